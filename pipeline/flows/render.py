"""A flow's plan as text: a tree, a mermaid chart, JSON, or a shell script that runs it by hand. Pure.

What a task reads is written `pipe`, `pipe?` where it can do without it, and `pipe[28d]` for a window.
"""

from __future__ import annotations

import json
import shlex
from collections.abc import Callable, Iterator, Mapping
from typing import Any

from pipeline.flows import durations
from pipeline.flows.flow import Flow
from pipeline.flows.plan import Parallel, Part, Plan
from pipeline.flows.task import Task

_PER = {None: "entity", "partition": "partition", "wave": "wave"}

Branch = tuple[str, list[Any]]  # a line, and the branches below it


def tree(flow: Flow, plan: Plan) -> str:
    """Draw what runs after what: canvases, their series and parallel parts, scoped tasks, and the added waits."""
    lines = [_title(flow, plan)]
    lines += _draw([_stage(flow, plan, stage) for stage in _stages(plan)])
    lines += [
        f"wait added: {task} also waits for {other}, which it does not read" for task, other in plan.waits
    ]
    return "\n".join(lines) + "\n"


def _title(flow: Flow, plan: Plan) -> str:
    chosen = (
        f"{len(plan.steps)} of {len(flow.tasks)}" if len(plan.steps) < len(flow.tasks) else len(plan.steps)
    )
    over = f" over state {flow.state.name}" if flow.state is not None else ""
    when = f", schedule {flow.schedule} (UTC)" if flow.schedule else ""
    return f"{flow.name}: {chosen} tasks{over}{when}"


def _stages(plan: Plan) -> list[int | str]:
    """Put canvases (their number) and scoped tasks (their name) into an order in which each comes after its inputs."""
    stage_of = {name: name if step.segment < 0 else step.segment for name, step in plan.steps.items()}
    before: dict[int | str, set[int | str]] = {stage: set() for stage in stage_of.values()}
    for name, step in plan.steps.items():
        before[stage_of[name]] |= {stage_of[i] for i in step.inputs} - {stage_of[name]}
    found: list[int | str] = []
    while len(found) < len(before):
        found.append(next(s for s in before if s not in found and before[s] <= set(found)))
    return found


def _stage(flow: Flow, plan: Plan, stage: int | str) -> Branch:
    if isinstance(stage, str):
        return f"once a {plan.steps[stage].per}", [(_line(flow.tasks[stage]), [])]
    part = plan.segments[stage]
    return f"for each shard{'' if isinstance(part, str) else f', {_how(part)}'}", _branches(flow, part)


def _how(part: Part) -> str:
    return "in parallel" if isinstance(part, Parallel) else "in series"


def _branches(flow: Flow, part: Part) -> list[Branch]:
    parts = (part,) if isinstance(part, str) else part.parts
    return [
        (_line(flow.tasks[inner]), []) if isinstance(inner, str) else (_how(inner), _branches(flow, inner))
        for inner in parts
    ]


def _line(task: Task) -> str:
    reads = ", ".join(reads_as(task))
    kind = [task.queue, *(["batch"] if task.batch else [])]
    return f"{task.name} ({', '.join(kind)})" + (f" <- {reads}" if reads else "")


def reads_as(task: Task) -> Iterator[str]:
    """Yield what a task reads, as `pipe`, `pipe?` or `pipe[28d]`."""
    for pipe in task.inputs:
        window = f"[{durations.text(task.window[pipe] * durations.HOUR)}]" if pipe in task.window else ""
        yield f"{pipe}{window}{'?' if pipe in task.optional else ''}"


def _draw(branches: list[Branch], indent: str = "") -> Iterator[str]:
    for i, (line, below) in enumerate(branches):
        last = i == len(branches) - 1
        yield f"{indent}{'└── ' if last else '├── '}{line}"
        yield from _draw(below, indent + ("    " if last else "│   "))


def mermaid(flow: Flow, plan: Plan) -> str:
    """Draw the graph as a mermaid flowchart: a dotted edge is an optional input or, labelled so, an added wait."""
    lines = ["flowchart LR"]
    for name in plan.steps:
        task = flow.tasks[name]
        opened, closed = {None: ('["', '"]'), "partition": ('[["', '"]]'), "wave": ('{{"', '"}}')}[task.per]
        lines.append(f"    {_node(name)}{opened}{name}{f'<br/>a {task.per}' if task.per else ''}{closed}")
    for name in plan.steps:
        task = flow.tasks[name]
        for pipe in task.inputs:
            lines += [f'    {_node(pipe)}(["{pipe}, stored"])'] * (pipe not in plan.steps)
            label = durations.text(task.window[pipe] * durations.HOUR) if pipe in task.window else ""
            arrow = "-.->" if pipe in task.optional else "-->"
            lines.append(f"    {_node(pipe)} {arrow}{f'|{label}|' if label else ''} {_node(name)}")
    lines += [f"    {_node(other)} -.->|wait| {_node(task)}" for task, other in plan.waits]
    return "\n".join(dict.fromkeys(lines)) + "\n"


def _node(name: str) -> str:
    # Mermaid has words of its own, such as `end`, which no node may be called.
    return f"t_{name}"


def as_json(flow: Flow, plan: Plan) -> str:
    """Write the plan as JSON: tasks with all that a wave carries of them, canvases, and the added waits."""
    data = {
        "flow": flow.name,
        "state": None if flow.state is None else flow.state.name,
        "schedule": flow.schedule,
        "tasks": [_task(flow.tasks[name], plan) for name in plan.steps],
        "canvases": [_part(part) for part in plan.segments],
        "waits": [{"task": task, "for": other} for task, other in plan.waits],
    }
    return json.dumps(data, indent=2) + "\n"


def _task(task: Task, plan: Plan) -> Mapping[str, Any]:
    step = plan.steps[task.name]
    return {
        "name": task.name,
        "per": _PER[task.per],
        "batch": task.batch,
        "required": list(task.required),
        "optional": list(task.optional),
        "window_hours": dict(task.window),
        "canvas": step.segment if step.segment >= 0 else None,
        "queue": step.queue,
        "timeout_s": step.timeout if step.inputs else None,
        "time_limit_s": step.time_limit,
        "ttl_s": task.ttl,
        "concurrency": task.concurrency,
        "rate_per_s": task.rate,
    }


def _part(part: Part) -> Any:
    if isinstance(part, str):
        return part
    return {"parallel" if isinstance(part, Parallel) else "series": [_part(inner) for inner in part.parts]}


_SCRIPT = """\
#!/bin/sh
# The flow {flow} for one entity, task by task, in an order in which each comes after its inputs:
#
#     sh this_script ENTITY DATE [BASE]          e.g. sh this_script JFK-LAX 2013-06-25T13 main
#
# Each task writes its pipe under a version of this run's own, and reads what that has not from BASE.
# Where the entity is a scope (@partition or @all), the tasks that run once for that scope are run.
set -eu
entity=${{1:?give an entity}} date=${{2:?give a date, such as 2013-06-25T13}} base=${{3:-main}}
version=${{VERSION:-debug-$$}}
run() {{ {wave} run {name} --entity "$entity" --at "$date" --version "$version" --base "$base" --save --task "$1"; }}

case $entity in
{cases}
esac
echo "kept under version $version: {wave} pipe $version TASK $entity $date"
"""


def shell(flow: Flow, plan: Plan, name: str | None = None, wave: str = "wave") -> str:
    """Write a script of `wave run` lines in order. `name` is how the command finds the flow, `wave` the command."""
    scopes: tuple[tuple[str, str | None], ...] = (("@all", "wave"), ("@*", "partition"), ("*", None))
    cases = []
    for pattern, per in scopes:
        lines = [f"    run {task}" for task in plan.steps if flow.tasks[task].per == per]
        cases += [f"{pattern})", *(lines or ['    echo "no task runs for $entity" >&2; exit 2']), "    ;;"]
    return _SCRIPT.format(
        flow=flow.name, name=shlex.quote(name or flow.name), wave=wave, cases="\n".join(cases)
    )


FORMATS: Mapping[str, Callable[[Flow, Plan], str]] = {
    "tree": tree,
    "mermaid": mermaid,
    "json": as_json,
    "sh": shell,
}
