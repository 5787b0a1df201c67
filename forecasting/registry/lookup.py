"""Which models are meant, where a person names a pipe and perhaps a partition."""

from __future__ import annotations

from forecasting.registry.live import Registry
from pipeline.errors import UnknownName, listed, near


def partitions_of(registry: Registry, name: str, partition: str | None) -> list[str]:
    """Return the partitions that have models of a pipe, or the one that is named. Raises UnknownName."""
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
