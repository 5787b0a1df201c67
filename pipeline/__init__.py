"""celery-waves: every hour a wave runs a flow of plain functions over thousands of entities.

from pipeline import Flow, State, submit_wave, task
"""

from __future__ import annotations

from importlib import import_module
from typing import TYPE_CHECKING, Any

from pipeline.errors import PipelineError
from pipeline.flows.entity import Entity
from pipeline.flows.flow import Flow
from pipeline.flows.pipe import PipeKey
from pipeline.flows.state import State
from pipeline.flows.task import Task, task

if TYPE_CHECKING:
    from pipeline.waves.submit import submit_wave
    from pipeline.waves.versions import compare
    from pipeline.waves.wave import Progress, Wave

__all__ = [
    "Entity",
    "Flow",
    "PipeKey",
    "PipelineError",
    "Progress",
    "State",
    "Task",
    "Wave",
    "compare",
    "submit_wave",
    "task",
]

# These need Celery and a Redis address, which a module that only defines a flow does not.
_LATER = {
    "submit_wave": "pipeline.waves.submit",
    "compare": "pipeline.waves.versions",
    "Wave": "pipeline.waves.wave",
    "Progress": "pipeline.waves.wave",
}


def __getattr__(name: str) -> Any:
    if name not in _LATER:
        raise AttributeError(f"module 'pipeline' has no attribute {name!r}")
    return getattr(import_module(_LATER[name]), name)
