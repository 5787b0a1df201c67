"""The cover of flows: which of their pipes hold forecasts, and how long these last. For pages, metrics and alerts."""

from __future__ import annotations

from collections.abc import Iterator, Sequence

from forecasting.reading.cover import covers
from pipeline.errors import UnknownName
from pipeline.flows.flow import Flow
from pipeline.monitoring.cover import Covered
from pipeline.waves.runtime import Runtime

MOST = 5000  # entities of a state that are looked at, evenly spread over it: reading these takes a second


def flow_covers(runtime: Runtime, flows: Sequence[Flow]) -> Iterator[Covered]:
    """Read it for the flows whose states are known here, in the runtime's version."""
    version = runtime.settings.any_version()
    for flow in flows:
        if flow.state is None:
            continue
        try:
            keys = runtime.states.keys(flow.state.name)
        except UnknownName:  # no wave has run yet
            continue
        some = keys[:: -(-len(keys) // MOST) or 1]
        pipes = [task.name for task in flow.tasks.values() if task.per is None]
        for pipe, found in covers(pipes, some, version=version, store=runtime.store).items():
            numbers = found.least, found.p5, found.median, found.out
            yield Covered(version, flow.name, pipe, *numbers, len(some))
