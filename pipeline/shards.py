"""Cutting a wave's entities into shards. Pure."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from typing import Any

from pipeline.entity import check_entity_key
from pipeline.errors import KeyFormatError
from pipeline.plan import Plan
from pipeline.records import Shard
from pipeline.settings import Settings
from pipeline.state import Entities, State

Group = tuple[str, Sequence[str], Mapping[str, Mapping[str, Any]]]  # partition, keys, features by key


def shard_size(settings: Settings, plan: Plan, costs: Mapping[str, float]) -> int:
    """Say how many entities a shard should have, so that the dearest task has about `shard_seconds` of work in it.

    `costs` are seconds an entity, from earlier waves; before any was measured it is `shard_size`.
    """
    known = [costs[name] for name, step in plan.steps.items() if name in costs and step.per is None]
    if not known or max(known) <= 0:
        return min(settings.shard_size, settings.shard_max)
    return max(1, min(int(settings.shard_seconds / max(known)), settings.shard_max))


def cut_shards(groups: Iterable[Group], size: int) -> list[Shard]:
    """Cut each partition into shards of nearly equal size, at most `size` entities."""
    shards = []
    for partition, keys, features in groups:
        count = -(-len(keys) // size)
        for i in range(count):
            part = tuple(keys[i * len(keys) // count : (i + 1) * len(keys) // count])
            own = tuple(features.get(key, {}) for key in part)
            shards.append(Shard(partition, part, own if any(own) else None))
    return shards


def own_entities(entities: Entities, state: State) -> list[Group]:
    """Group entities that were given at submission, keys or key -> features, as their state would.

    Raises KeyFormatError for a key that cannot be one, and for an entity without the feature that partitions.
    """
    if isinstance(entities, str):
        raise KeyFormatError(f"entities={entities!r} is one text. Give a list: entities=[{entities!r}].")
    features = {key: dict(entities[key]) for key in entities} if isinstance(entities, Mapping) else {}
    groups: dict[str, list[str]] = {}
    for key in sorted({check_entity_key(key) for key in entities}):
        groups.setdefault(state.partition_of(key, features.get(key, {})), []).append(key)
    return [
        (name, keys, {k: features[k] for k in keys if k in features}) for name, keys in sorted(groups.items())
    ]
