"""Shards: entities of one partition that travel together, and how a wave's are cut. Pure."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from functools import cached_property
from typing import Any

import orjson

from pipeline.errors import KeyFormatError
from pipeline.flows.entity import Entity
from pipeline.flows.flow import Flow
from pipeline.flows.left_out import LeftOut
from pipeline.flows.plan import Plan, members
from pipeline.flows.state import Entities, State
from pipeline.forms import FORM, check_form
from pipeline.settings import Settings
from pipeline.states.sifting import decode, encode, sift

Group = tuple[str, Sequence[str], Mapping[str, Mapping[str, Any]]]  # partition, keys, features by key

SPREAD = 32  # shards that a wave has, if they are worth it, so that all workers share it and end together
WORTH_SECONDS = 0.25  # work of a task that is worth a message of its own
BATCH_LEAST = 100  # entities of a shard at least, as far as batch tasks are concerned
UNKNOWN_LEAST = 10  # entities of a shard at least, while nothing is known of what they cost
FUSE_SECONDS = 0.25  # work that is not worth a message a task: these cost some milliseconds each


@dataclass(frozen=True)
class Shard:
    """Some entities of one partition that travel together."""

    partition: str
    keys: tuple[str, ...]
    # In the order of the keys; None when no entity has any.
    features: tuple[Mapping[str, Any], ...] | None = None

    def entities(self) -> list[Entity]:
        """Return the entities with their features."""
        return self._entities

    @cached_property
    def _entities(self) -> list[Entity]:
        # Once for all tasks that this process runs over the shard.
        if self.features is None:
            return [Entity(key, partition=self.partition) for key in self.keys]
        return [Entity(k, f, self.partition) for k, f in zip(self.keys, self.features, strict=True)]

    def dump(self, form: int = FORM) -> bytes:
        """Write it as stored, in the form of its wave."""
        values = {"partition": self.partition, "keys": self.keys, "features": self.features}
        return orjson.dumps({"form": form} | values)

    @classmethod
    def load(cls, data: bytes) -> Shard:
        """Read what `dump` gave. Raises UnreadableError for a form that this code does not read."""
        values = orjson.loads(data)
        check_form(values.get("form"), "a shard")
        features = values["features"]
        return cls(values["partition"], tuple(values["keys"]), None if features is None else tuple(features))


def shard_size(
    settings: Settings,
    plan: Plan,
    costs: Mapping[str, float],
    share: int | None = None,
    batch: frozenset[str] = frozenset(),
) -> int:
    """Return how many entities a shard should have, so that the dearest task has about `shard_seconds` of work in it.

    `costs` are seconds an entity, from earlier waves; before any was measured it is `shard_size`. Not more than
    `share` (see `fair_share`) are taken, as long as they are worth a message. For the sake of the tasks named in
    `batch` no shard is made smaller than `BATCH_LEAST`: a call that costs the same however few it is for would look
    dearer with each cut.
    """
    each = {s.name: costs.get(s.name, 0.0) for s in plan.steps.values() if s.per is None}
    bound = settings.shard_seconds / BATCH_LEAST
    dearest = max((min(c, bound) if name in batch else c for name, c in each.items()), default=0.0)
    if dearest > 0:
        largest, least = int(settings.shard_seconds / dearest), int(WORTH_SECONDS / dearest)
    else:
        largest, least = settings.shard_size, UNKNOWN_LEAST
    if share is not None:
        largest = min(largest, max(share, least))
    return max(1, min(largest, settings.shard_max))


def fair_share(flow: Flow, entities: int) -> int | None:
    """Return how many entities a shard may have so that some dozens of workers all get some of them.

    None for a flow with a batch task: what a call of it costs may not depend on how many entities it is for, so that
    more shards are only more work.
    """
    if any(task.batch and task.per is None for task in flow.tasks.values()):
        return None
    return -(-entities // SPREAD)


def fused_segments(plan: Plan, costs: Mapping[str, float], largest: int) -> tuple[int, ...]:
    """Return which segments are so little work at a shard that they travel as one message a queue, not one a task.

    `costs` are seconds an entity, from earlier waves, `largest` the entities of the largest shard. A segment with a
    task that was never measured is not fused.
    """
    found = []
    for index, part in enumerate(plan.segments):
        names = list(members(part))
        known = all(name in costs for name in names)
        if len(names) > 1 and known and largest * sum(costs[name] for name in names) < FUSE_SECONDS:
            found.append(index)
    return tuple(found)


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


def own_entities(entities: Entities, state: State, left: LeftOut) -> list[Group]:
    """Group entities that were given at submission, keys or key -> features, as their state would.

    Those that a state would leave out are left out. Where none is left, what is wrong with the first is raised:
    KeyFormatError for a key that cannot be one, and for an entity without the feature that partitions; CodecError for
    features that cannot be kept.
    """
    if isinstance(entities, str) or not isinstance(entities, Iterable):
        raise KeyFormatError(f"entities={entities!r} is not a list of entities. Give one: entities=['...'].")
    given = dict(sorted(dict(sift(entities, left)).items()))
    groups: dict[str, list[str]] = {}
    # As a state would give features back: numpy's numbers plain, tuples as lists.
    features = dict(decode(encode(state, given, left), left))
    for key, its in features.items():
        groups.setdefault(state.partition_of(key, its), []).append(key)
    if left.error is not None and not groups:
        raise left.error
    return [
        (name, keys, {k: features[k] for k in keys if isinstance(entities, Mapping)})
        for name, keys in sorted(groups.items())
    ]
