"""What the commands about models share: options, and which partitions are meant."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any, TypeVar

import click

from forecasting.registry import STAGES, Registry
from pipeline.errors import UnknownName, listed, near

C = TypeVar("C", bound=Callable[..., Any])


def _option(*names: str, **options: Any) -> Callable[[C], C]:
    found: Callable[[C], C] = click.option(*names, **options)
    return found


name_argument: Callable[[C], C] = click.argument("name", metavar="PIPE")
partition_option = _option("--partition", metavar="PARTITION", help="Of this partition. [default: of all]")
stage_option = _option(
    "--stage", type=click.Choice(STAGES), help="The stage. [default: PIPELINE_STAGE, else dev]"
)
why_option = _option("--why", metavar="TEXT", default="", help="The reason, for the history.")

pass_registry = click.make_pass_decorator(Registry)


def partitions_of(registry: Registry, name: str, partition: str | None) -> list[str]:
    """Give the partitions that have models of a pipe, or the one that is named. Raises UnknownName."""
    names = registry.names()
    pipe, _, rest = name.partition("/")
    if name not in names and pipe in names and rest:
        raise UnknownName(f"no models of {name!r}. Those of a partition are: {pipe} --partition {rest}.")
    if name not in names:
        raise UnknownName(
            f"no models of {name!r} in {registry.files.place}.{near(name, names)} There are those of: {listed(names)}."
        )
    if partition is None:
        return names[name]
    if partition not in names[name]:
        raise UnknownName(
            f"no model of {name!r} for {partition!r}.{near(partition, names[name])} Partitions: {listed(names[name])}."
        )
    return [partition]


def written(value: float | None) -> str:
    """Write a metric, nothing where there is none."""
    return "" if value is None else f"{value:.4g}"
