"""What a wave was submitted as: its graph, its shards, its version and date. Pure.

A wave carries all that is needed to run it to its end, so that a keeper of any version can rescue it; nobody asks
the flow that its own code knows. `WaveSpec.dump` and `load` alone know the form in which Redis holds it.
"""

from __future__ import annotations

from dataclasses import dataclass
from datetime import datetime
from functools import cached_property

import orjson

from pipeline.flows.pipe import hour, stamp
from pipeline.flows.plan import Plan
from pipeline.forms import FORM, check_form, known_fields
from pipeline.gate.units import Unit, Units


@dataclass(frozen=True)
class WaveSpec:
    """What a wave was submitted as. It never changes."""

    id: str
    version: str
    base: str | None  # where inputs that this wave does not make are read from when `version` has none
    date: datetime
    state: str | None  # name of the state that its entities came from
    plan: Plan
    partitions: tuple[str, ...]  # of each shard
    sizes: tuple[int, ...]  # entities of each shard
    expiry: float  # seconds after submission, 0 for none
    fused: tuple[int, ...] = ()  # segments that travel as one message a queue
    commit: str | None = None  # of the code that submitted it
    backfill: bool = False  # an old hour: it neither supersedes nor is superseded
    form: int = FORM  # of all its records and messages
    submission: str = ""  # which one under this id it is, a text of its own; not stored with the rest

    @property
    def flow(self) -> str:
        """The flow's name."""
        return self.plan.flow

    @cached_property
    def units(self) -> Units:
        """All its units."""
        return Units(self.plan, self.partitions)

    @property
    def entities(self) -> int:
        """How many entities it runs for."""
        return sum(self.sizes)

    def size(self, unit: Unit) -> int:
        """Return how many entities a unit has: one for a scope."""
        return 1 if unit.where.startswith("@") else self.sizes[int(unit.where)]

    def size_of(self, task: str) -> int:
        """Return how many entities a task has at all its places."""
        per = self.plan.steps[task].per
        return self.entities if per is None else len(self.units.places(task))

    def queue(self, task: str) -> str:
        """Return the full name of the queue of a task."""
        return f"{self.version}.{self.plan.steps[task].queue}"

    def dump(self) -> bytes:
        """Write it as stored, without the id."""
        values = {
            name: getattr(self, name)
            for name in ("version", "base", "state", "expiry", "fused", "commit", "backfill", "form")
        }
        return orjson.dumps(
            values
            | {
                "date": stamp(self.date),
                "plan": self.plan.dump(),
                "partitions": self.partitions,
                "sizes": self.sizes,
            }
        )

    @classmethod
    def load(cls, wave_id: str, data: bytes, submission: str = "") -> WaveSpec:
        """Read what `dump` gave. Raises UnreadableError for a form that this code does not read."""
        values = orjson.loads(data)
        check_form(values.get("form"), f"wave {wave_id!r}")
        values["date"] = hour(values["date"])
        values["plan"] = Plan.load(values["plan"])
        values["partitions"], values["sizes"] = tuple(values["partitions"]), tuple(values["sizes"])
        values["fused"] = tuple(values.get("fused", ()))
        return cls(**known_fields(cls, values | {"id": wave_id, "submission": submission}))
