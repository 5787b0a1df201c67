"""Plan -> Celery: the one module that names chords, chains and groups.

Messages carry references (wave, task, where), never data. Every signature is immutable and every group is a list.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from celery import Celery, chain, group
from celery.canvas import Signature

from pipeline.errors import UnreadableError
from pipeline.flows.plan import Parallel, Part, Series
from pipeline.flows.task import CONTROL, SOLO
from pipeline.forms import DAMAGE, OLDEST_FORM, check_form
from pipeline.gate.units import Unit
from pipeline.gate.wave_spec import WaveSpec

RUN, JOIN, SUBMIT = "pipeline.run", "pipeline.join", "pipeline.submit"
AND = "+"  # between the tasks that one message runs
HARD_LIMIT = 3.0  # seconds after its own time limit that a hung run is killed, before the keeper ends it


@dataclass(frozen=True, slots=True)
class Canvas:
    """A whole segment at one shard, to be sent as one canvas."""

    segment: int
    where: str


@dataclass(frozen=True, slots=True)
class Single:
    """One unit on its own; whoever ends it sends on what it made ready."""

    unit: Unit
    alone: bool = False  # to a worker that runs nothing else, because it has killed workers before


Message = Canvas | Single


@dataclass(frozen=True, slots=True)
class Order:
    """What a message tells a worker to run."""

    wave_id: str
    units: tuple[Unit, ...]  # one after the other
    follow: bool = False  # whether no canvas brings what follows
    alone: bool = False

    @classmethod
    def read(cls, args: Sequence[Any], fields: Mapping[str, Any]) -> Order:
        """Read the arguments of a message, without those that this code does not know. Raises UnreadableError."""
        check_form(fields.get("form", OLDEST_FORM), "a message")
        try:
            wave_id, joined, where, follow, *more = args
            units = tuple(Unit(str(name), str(where)) for name in joined.split(AND))
            return cls(str(wave_id), units, bool(follow), bool(more and more[0]))
        except DAMAGE:
            raise UnreadableError("a message does not name a wave, tasks and a place.") from None


def first_messages(spec: WaveSpec) -> list[Message]:
    """Return what starts a wave: the canvases of the segments that wait for nothing, and scoped tasks that do so."""
    return following(spec, None, False, spec.units.roots())


def following(spec: WaveSpec, done: Unit | None, follow: bool, ready: Sequence[Unit]) -> list[Message]:
    """Return what must be sent for the units that a report made ready.

    What lies in the canvas that brought `done` comes by itself, unless `follow` says that no canvas brought it. A
    segment whose first tasks are all ready is sent whole.
    """
    units, steps = spec.units, spec.plan.steps
    brought = steps[done.task].segment if done is not None and not follow else None
    messages: list[Message] = []
    starting: dict[tuple[int, str], list[Unit]] = {}
    for unit in ready:
        segment = steps[unit.task].segment
        if segment < 0:
            messages.append(Single(unit))
        elif segment != brought:  # of the same segment is only what lies at the same shard
            starting.setdefault((segment, unit.where), []).append(unit)
    for (segment, where), found in starting.items():
        whole = (
            units.segment_roots(segment) == {unit.task for unit in found} and len(units.segment(segment)) > 1
        )
        messages += [Canvas(segment, where)] if whole else [Single(unit) for unit in found]
    return messages


class Sender:
    """Sends messages for one Celery application."""

    def __init__(self, app: Celery) -> None:
        self._app = app

    def send(self, spec: WaveSpec, messages: Iterable[Message]) -> int:
        """Send canvases and single units; returns how many. Uses one connection for all of them."""
        count = 0
        with self._app.producer_or_acquire() as producer:
            for message in messages:
                self.signature(spec, message).apply_async(producer=producer)
                count += 1
        return count

    def signature(self, spec: WaveSpec, message: Message) -> Signature:
        """Build a message's canvas, without sending it."""
        if isinstance(message, Single):
            return self._run(spec, message.unit, follow=True, alone=message.alone)
        if message.segment in spec.fused:
            stages = spec.units.stages(message.segment)
            return chain(*(self._stage(spec, names, message.where) for names in stages), app=self._app)
        return self._build(spec, spec.plan.segments[message.segment], message.where)

    def _build(self, spec: WaveSpec, part: Part, where: str) -> Signature:
        if isinstance(part, str):
            return self._run(spec, Unit(part, where))
        if isinstance(part, Parallel):
            return group([self._member(spec, p, where) for p in part.parts], app=self._app)
        return chain(*self._steps(spec, part, where), app=self._app)

    def _steps(self, spec: WaveSpec, part: Series, where: str) -> list[Signature]:
        steps: list[Signature] = []
        for before, inner in zip((None, *part.parts), part.parts, strict=False):
            if isinstance(before, Parallel) and isinstance(inner, Parallel):
                steps.append(self._join(spec))
            steps.append(self._build(spec, inner, where))
        return steps

    def _member(self, spec: WaveSpec, part: Part, where: str) -> Signature:
        """Return a member of a group, which must end in one task.

        Of a member that ends in a group Celery wants results, for which it waits in a child of the pool: as there
        are none, that child would never come back.
        """
        if isinstance(part, Series) and isinstance(part.parts[-1], Parallel):
            return chain(*self._steps(spec, part, where), self._join(spec), app=self._app)
        return self._build(spec, part, where)

    def _run(self, spec: WaveSpec, unit: Unit, follow: bool = False, alone: bool = False) -> Signature:
        return self._stage(spec, [unit.task], unit.where, follow, alone)

    def _stage(
        self, spec: WaveSpec, names: Sequence[str], where: str, follow: bool = False, alone: bool = False
    ) -> Signature:
        """Return a message that runs one task at a place, or several one after the other."""
        joined = AND.join(names)
        return self._app.signature(
            RUN,
            args=(spec.id, joined, where, int(follow), int(alone)),
            kwargs={"form": spec.form},
            immutable=True,
            ignore_result=True,
            queue=f"{spec.version}.{SOLO}" if alone else spec.queue(names[0]),
            shadow=f"{spec.flow}.{joined}",
            time_limit=sum(spec.plan.steps[name].time_limit + HARD_LIMIT for name in names),
        )

    def _join(self, spec: WaveSpec) -> Signature:
        """Return a task that does nothing: a chord's body between two parallel parts."""
        return self._app.signature(
            JOIN,
            kwargs={"form": spec.form},
            immutable=True,
            ignore_result=True,
            queue=f"{spec.version}.{CONTROL}",
        )
