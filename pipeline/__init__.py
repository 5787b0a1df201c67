"""celery-waves: every hour a wave runs a flow of plain functions over thousands of entities.

    from pipeline import Flow, State, submit_wave, task

    define a flow       task, Task, Flow, State, Entity
    run it              submit_wave, Wave, Progress; Settings and Runtime where the environment is not to say where
    read what it made   PipeKey, hour, compare
    keep pipes          Store: RedisStore, ClusterStore, MemoryStore; EmbeddedRedis, a server of one's own
    errors              PipelineError, the base of all:
      of definitions    DefinitionError: TaskError, FlowError, DurationError; KeyFormatError, UnknownName, ClashError
      of a deployment   SettingsError, UnreachableError, ProcessError, MissingExtra
      of pipes          StoreError: CodecError, WindowError
      of waves          WaveError; RunError: AnswerError, TimedOut, WorkerLost
      of served models  ModelFault, CatalogueError

Beside them: `pipeline.testing` and `pipeline.fixtures` for tests, and `celery -A pipeline.app`. Each name is loaded
when it is used: a module that only defines a flow loads neither Celery nor Redis.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from pipeline.lazy import public

if TYPE_CHECKING:
    from pipeline.errors import (
        AnswerError,
        ClashError,
        CodecError,
        DefinitionError,
        DurationError,
        FlowError,
        KeyFormatError,
        MissingExtra,
        PipelineError,
        ProcessError,
        RunError,
        SettingsError,
        StoreError,
        TaskError,
        TimedOut,
        UnknownName,
        UnreachableError,
        WaveError,
        WindowError,
        WorkerLost,
    )
    from pipeline.flows.entity import Entity
    from pipeline.flows.flow import Flow
    from pipeline.flows.pipe import PipeKey, hour
    from pipeline.flows.state import State
    from pipeline.flows.task import Task, task
    from pipeline.local.embedded import EmbeddedRedis
    from pipeline.serving.errors import CatalogueError, ModelFault
    from pipeline.settings import Settings
    from pipeline.store import ClusterStore, MemoryStore, RedisStore, Store
    from pipeline.waves.progress import Progress
    from pipeline.waves.runtime import Runtime
    from pipeline.waves.submit import submit_wave
    from pipeline.waves.versions import compare
    from pipeline.waves.wave import Wave
else:
    __getattr__, __dir__ = public(
        __name__,
        {
            "pipeline.errors": (
                "AnswerError ClashError CodecError DefinitionError DurationError FlowError KeyFormatError "
                "MissingExtra PipelineError ProcessError RunError SettingsError StoreError TaskError "
                "TimedOut UnknownName UnreachableError WaveError WindowError WorkerLost"
            ),
            "pipeline.flows.entity": "Entity",
            "pipeline.flows.flow": "Flow",
            "pipeline.flows.pipe": "PipeKey hour",
            "pipeline.flows.state": "State",
            "pipeline.flows.task": "Task task",
            "pipeline.local.embedded": "EmbeddedRedis",
            "pipeline.serving.errors": "CatalogueError ModelFault",
            "pipeline.settings": "Settings",
            "pipeline.store": "ClusterStore MemoryStore RedisStore Store",
            "pipeline.waves.progress": "Progress",
            "pipeline.waves.runtime": "Runtime",
            "pipeline.waves.submit": "submit_wave",
            "pipeline.waves.versions": "compare",
            "pipeline.waves.wave": "Wave",
        },
    )

__all__ = [
    "AnswerError", "CatalogueError", "ClashError", "ClusterStore", "CodecError", "DefinitionError",
    "DurationError", "EmbeddedRedis", "Entity", "Flow", "FlowError", "KeyFormatError", "MemoryStore",
    "MissingExtra", "ModelFault", "PipeKey", "PipelineError", "ProcessError", "Progress", "RedisStore",
    "RunError", "Runtime", "Settings", "SettingsError", "State", "Store", "StoreError", "Task",
    "TaskError", "TimedOut", "UnknownName", "UnreachableError", "Wave", "WaveError", "WindowError",
    "WorkerLost", "compare", "hour", "submit_wave", "task",
]  # fmt: skip
