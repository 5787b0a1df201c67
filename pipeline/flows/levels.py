"""Levels of a graph: each task by the longest way from the start. Pure."""

from __future__ import annotations

from collections.abc import Mapping, Sequence


def levels(inputs: Mapping[str, Sequence[str]]) -> list[list[str]]:
    """Group tasks, given with those that each one reads, in an order in which each comes after its inputs."""
    found: list[list[str]] = []
    level: dict[str, int] = {}
    for task, its in inputs.items():
        level[task] = 1 + max((level[name] for name in its), default=-1)
        if level[task] == len(found):
            found.append([])
        found[level[task]].append(task)
    return found
