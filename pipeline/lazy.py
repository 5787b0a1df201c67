"""The public names of a package: a table of where each is, which is loaded when it is used.

A module that only defines a flow loads neither Celery nor Redis, a reader of forecasts no trainer, and a collector's
extra is asked for by those who use the collector.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from importlib import import_module
from typing import Any

from pipeline.errors import MissingExtra, near


def public(package: str, names_at: Mapping[str, str]) -> tuple[Callable[[str], Any], Callable[[], list[str]]]:
    """Build a package's `__getattr__` and `__dir__`.

    names_at  module -> its public names, parted by blanks. The module may be followed by the extra that brings what it
              imports, as in an entry point: "forecasting.models.naive [forecasting]"

    A name that is not there raises AttributeError, which names the near ones; one whose extra is not installed
    MissingExtra.
    """
    places = {name: place for place, names in names_at.items() for name in names.split()}

    def load(name: str) -> Any:
        if name not in places:
            raise AttributeError(
                f"module {package!r} has no attribute {name!r}.{near(name, places)}", name=name
            )
        module, _, extra = places[name].partition(" ")
        try:
            return getattr(import_module(module), name)
        except ModuleNotFoundError as error:
            if not extra:
                raise
            missing = (error.name or "").partition(".")[0]
            raise MissingExtra(f"{package}.{name}", missing, extra.strip("[]")) from None

    return load, lambda: sorted(places)
