"""Flow -> plan: which tasks travel in one canvas, and its series and parallel parts. Pure.

A flow is first cut into *segments*: at each partition- or wave-scoped task, because a canvas belongs to one shard,
and where a canvas would grow past `MAX_TASKS`, so that a message stays small however large the flow. Each segment
is then written as a tree of Series and Parallel parts. A series-parallel graph maps exactly. Where a part is not
(the "N": a->c, a->d, b->d), it is cut at the level that adds the fewest waits, and the plan lists these waits:
they delay a task a little, they never change what it reads.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from pipeline.errors import FlowError
from pipeline.flows.flow import Flow

MAX_TASKS = 8  # of one canvas: its first message then stays under 4 KB


@dataclass(frozen=True, slots=True)
class Series:
    """Parts that run one after the other."""

    parts: tuple[Part, ...]


@dataclass(frozen=True, slots=True)
class Parallel:
    """Parts that run side by side."""

    parts: tuple[Part, ...]


Part = str | Series | Parallel  # a text is the name of a task


@dataclass(frozen=True, slots=True)
class Step:
    """What a wave must know of one task to run it without the flow's code."""

    name: str
    inputs: tuple[str, ...]  # those made in this wave; others are read from the store and never waited for
    required: tuple[str, ...]  # those that it cannot do without, made in this wave or not
    per: str | None  # None, "partition" or "wave"
    segment: int  # index of the canvas that it travels in; -1 for scoped tasks, which travel alone
    queue: str  # kind of worker, without the version
    timeout: float  # seconds that it waits for its inputs after its shard's start; 0 without inputs
    time_limit: float  # seconds that one run may take


@dataclass(frozen=True, slots=True)
class Plan:
    """A flow cut for execution."""

    flow: str
    steps: Mapping[str, Step]  # in an order in which each comes after its inputs
    segments: tuple[Part, ...]  # one canvas a shard each
    waits: tuple[tuple[str, str], ...]  # (task, other): task waits for other though it does not read it

    def dependents(self, name: str) -> tuple[str, ...]:
        """Return the tasks that read `name`."""
        return tuple(step.name for step in self.steps.values() if name in step.inputs)

    def dump(self) -> dict[str, Any]:
        """Return it as plain values, the form in which a wave carries it."""
        steps = [
            [s.name, list(s.inputs), list(s.required), s.per, s.segment, s.queue, s.timeout, s.time_limit]
            for s in self.steps.values()
        ]
        return {
            "flow": self.flow,
            "steps": steps,
            "segments": [_dump(p) for p in self.segments],
            "waits": self.waits,
        }

    @classmethod
    def load(cls, data: Mapping[str, Any]) -> Plan:
        """Read what `dump` gave."""
        steps = [Step(name, tuple(i), tuple(r), *rest[:5]) for name, i, r, *rest in data["steps"]]
        return cls(
            data["flow"],
            {step.name: step for step in steps},
            tuple(_load(p) for p in data["segments"]),
            tuple((a, b) for a, b, *_ in data["waits"]),
        )


def compile_flow(flow: Flow, only: Iterable[str] | None = None, max_tasks: int = MAX_TASKS) -> Plan:
    """Cut a flow, or only some of its tasks, into segments and parts. Raises FlowError for an unknown task."""
    if isinstance(only, str):
        raise FlowError(f"flow {flow.name!r}: only={only!r} is one text. Give a list: only=[{only!r}].")
    chosen = {flow.task(name).name for name in only} if only is not None else set(flow.tasks)
    if not chosen:
        raise FlowError(f"flow {flow.name!r}: only=[] leaves no task to run. Name one, or leave it out.")
    names = [name for name in flow.tasks if name in chosen]
    inputs = {name: tuple(i for i in flow.tasks[name].inputs if i in chosen) for name in names}
    scoped = {name for name in names if flow.tasks[name].per}
    groups = _segments(names, inputs, scoped, max_tasks)
    segment = {name: i for i, group in enumerate(groups) for name in group}
    waits: list[tuple[str, str]] = []
    parts = tuple(_part(group, inputs, waits) for group in groups)
    steps = {
        name: Step(
            name,
            inputs[name],
            flow.tasks[name].required,
            flow.tasks[name].per,
            segment.get(name, -1),
            flow.tasks[name].queue,
            flow.timeouts.get(name, 0.0) if inputs[name] else 0.0,
            flow.tasks[name].time_limit,
        )
        for name in names
    }
    return Plan(flow.name, steps, parts, tuple(waits))


def _segments(
    names: list[str], inputs: Mapping[str, tuple[str, ...]], scoped: set[str], max_tasks: int
) -> list[list[str]]:
    """Group entity tasks by how many scoped tasks lie before them, then by size, in running order."""
    depth: dict[str, int] = {}
    for name in names:
        depth[name] = max((depth[i] + (i in scoped) for i in inputs[name]), default=0)
    by_depth: dict[int, list[str]] = {}
    for name in names:
        if name not in scoped:
            by_depth.setdefault(depth[name], []).append(name)
    groups = []
    for _, group in sorted(by_depth.items()):
        groups += [group[i : i + max_tasks] for i in range(0, len(group), max_tasks)]
    return groups


def _part(names: list[str], inputs: Mapping[str, tuple[str, ...]], waits: list[tuple[str, str]]) -> Part:
    if len(names) == 1:
        return names[0]
    components = _components(names, inputs)
    if len(components) > 1:
        return Parallel(tuple(_part(c, inputs, waits) for c in components))
    before = _ancestors(names, inputs)
    first, rest = _cut(names, before)
    waits += [(b, a) for b in rest for a in first if a not in before[b]]
    return Series((*_flat(_part(first, inputs, waits)), *_flat(_part(rest, inputs, waits))))


def _flat(part: Part) -> tuple[Part, ...]:
    return part.parts if isinstance(part, Series) else (part,)


def _components(names: list[str], inputs: Mapping[str, tuple[str, ...]]) -> list[list[str]]:
    """Split into the parts that no edge connects, each in running order."""
    group = {name: {name} for name in names}
    for name in names:
        for i in inputs[name]:
            if i in group and group[i] is not group[name]:
                group[i] |= group[name]
                for member in group[name]:
                    group[member] = group[i]
    unique = {id(g): g for g in group.values()}
    return [[n for n in names if n in g] for g in unique.values()]


def _ancestors(names: list[str], inputs: Mapping[str, tuple[str, ...]]) -> dict[str, frozenset[str]]:
    found: dict[str, frozenset[str]] = {}
    for name in names:
        direct = [i for i in inputs[name] if i in found]
        found[name] = frozenset(direct).union(*(found[i] for i in direct))
    return found


def _cut(names: list[str], before: Mapping[str, frozenset[str]]) -> tuple[list[str], list[str]]:
    """Cut into what comes first and what comes after it, with the fewest waits that no edge asks for.

    In an exact cut everything after has all that is first among its ancestors, so that sorting by the number of
    ancestors puts an exact cut at some index.
    """
    order = sorted(names, key=lambda n: (len(before[n]), names.index(n)))
    cuts = [
        (order[:k], order[k:])
        for k in range(1, len(order))
        if len(before[order[k]]) > len(before[order[k - 1]])
    ]
    return min(cuts, key=lambda cut: sum(a not in before[b] for b in cut[1] for a in cut[0]))


def members(part: Part) -> Iterator[str]:
    """Yield the names of a part's tasks, in running order."""
    if isinstance(part, str):
        yield part
        return
    for inner in part.parts:
        yield from members(inner)


def levels(inputs: Mapping[str, Sequence[str]]) -> list[list[str]]:
    """Group tasks by the longest way from the start; given with what each reads, each after its inputs."""
    found: list[list[str]] = []
    level: dict[str, int] = {}
    for task, its in inputs.items():
        level[task] = 1 + max((level[name] for name in its), default=-1)
        if level[task] == len(found):
            found.append([])
        found[level[task]].append(task)
    return found


def _dump(part: Part) -> Any:
    if isinstance(part, str):
        return part
    return {"series" if isinstance(part, Series) else "parallel": [_dump(p) for p in part.parts]}


def _load(data: Any) -> Part:
    if isinstance(data, str):
        return data
    if "series" in data:
        return Series(tuple(_load(p) for p in data["series"]))
    return Parallel(tuple(_load(p) for p in data["parallel"]))
