"""State: the definition of a registry of active entities. Pure; `pipeline.states` holds the entities.

routes = State("routes", partition_by="origin", ttl="7d")
"""

from __future__ import annotations

import re
from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass, field
from typing import Any

from pipeline.errors import DefinitionError, KeyFormatError
from pipeline.flows import durations
from pipeline.flows.durations import Duration
from pipeline.flows.entity import check_entity_key
from pipeline.flows.place import Place

DEFAULT_PARTITION = "default"  # of the entities of a state that is not partitioned
_WAVE = "all"  # "@all" is the key of what runs once a wave
NAME = re.compile(r"[A-Za-z0-9_][A-Za-z0-9_.-]*")

Entities = Mapping[str, Mapping[str, Any]] | Iterable[str]


@dataclass(frozen=True, slots=True)
class State:
    """Names a registry of entities, and says how it is partitioned, filled and cleaned.

    Args:
        name: What flows, commands and errors call it.
        partition_by: The feature that partitions it; None: all entities lie in the partition "default".
        source: Returns entity -> features, or just entities; called before each wave's snapshot is taken.
        ttl: An entity that was not added or touched for so long drops out; None: never.

    Raises:
        DefinitionError: The name, the feature or the source cannot be one.
        DurationError: `ttl` cannot be read.

    Example:
        >>> routes = State("routes", partition_by="origin", source=lambda: {"JFK-LAX": {"origin": "JFK"}}, ttl="7d")
        >>> routes.partition_of("JFK-LAX", {"origin": "JFK"})
        'JFK'
    """

    name: str
    partition_by: str | None = None
    source: Callable[[], Entities] | None = None
    ttl: Duration | None = None
    place: Place = field(init=False, repr=False, compare=False)  # where it is declared

    def __post_init__(self) -> None:
        if not isinstance(self.name, str) or not NAME.fullmatch(self.name):
            raise DefinitionError(
                f"state name {self.name!r} cannot be part of a key. Use letters, digits and . _ - in it."
            )
        what = f"state {self.name!r}"
        if self.partition_by is not None and not (isinstance(self.partition_by, str) and self.partition_by):
            raise DefinitionError(f"{what}: partition_by={self.partition_by!r} is not a name of a feature.")
        if self.source is not None and not callable(self.source):
            raise DefinitionError(f"{what}: source={self.source!r} cannot be called. Give a function.")
        if self.ttl is not None:
            durations.seconds(self.ttl, f"{what}: ttl")
        object.__setattr__(self, "place", Place.of(self.source))

    @property
    def bare(self) -> bool:
        """Whether it only names a state, which is defined elsewhere or not at all."""
        return (self.partition_by, self.source, self.ttl) == (None, None, None)

    def same(self, other: State) -> bool:
        """Return whether both define one state, as in a module that is imported under two names."""
        mine, its = ((s.name, s.partition_by, s.ttl_seconds) for s in (self, other))
        return mine == its and (self.source == other.source or self.place.same(other.place))

    @property
    def ttl_seconds(self) -> float | None:
        """The time to live of an entity in seconds, None for ever."""
        return None if self.ttl is None else durations.seconds(self.ttl)

    def partition_of(self, key: str, features: Mapping[str, Any]) -> str:
        """Return the partition that an entity with these features lies in.

        Raises:
            KeyFormatError: It lacks the feature, or the feature's value cannot be part of a key.
        """
        if self.partition_by is None:
            return DEFAULT_PARTITION
        value = features.get(self.partition_by)
        if value is None:
            raise KeyFormatError(
                f"entity {key!r} lacks the feature {self.partition_by!r}, by which state {self.name!r} is "
                f"partitioned. Give it: add({key!r}, {self.partition_by}=...)."
            )
        try:
            partition = check_entity_key(str(value))
        except KeyFormatError as error:
            raise KeyFormatError(
                f"the feature {self.partition_by!r} of entity {key!r} names its partition: {error}"
            ) from None
        if partition == _WAVE:
            raise KeyFormatError(
                f"the feature {self.partition_by!r} of entity {key!r} is {_WAVE!r}, which as a partition's "
                "name is kept for the whole wave. Use another value."
            )
        return partition
