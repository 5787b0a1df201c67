"""Every error that celery-waves raises on purpose.

    PipelineError
    +-- DefinitionError        what a user wrote cannot be run
    |   +-- TaskError            a task's declaration
    |   +-- FlowError            a flow's graph
    |   +-- DurationError        a length of time or a rate
    +-- KeyFormatError         an entity, a date or a version that no key can hold
    +-- UnknownName            a flow, task, state, version or wave that does not exist
    +-- SettingsError          the environment
    +-- NotAllowed             a module or a file that stored data names, and settings do not allow
    +-- ClashError             a user's module shadows one of ours
    +-- MissingExtra           a package that an extra brings is not installed
    +-- UnreachableError       Redis does not answer
    +-- UnreadableError        a record or a message that this code cannot read
    +-- StoreError             the pipe store
    |   +-- CodecError           a value that no codec takes
    |   +-- WindowError          a window over what is not a number
    +-- WaveError              what cannot be asked of a wave in its present condition
    +-- ProcessError           a worker, or another process of ours, that does not start
    +-- RunError               one run of a task
        +-- AnswerError          a batch task answered for too few or for foreign entities
        +-- TimedOut             it took longer than its time limit
        +-- WorkerLost           it killed its worker

A message says what is wrong, with which thing, and what to do.
"""

from __future__ import annotations

from collections.abc import Iterable
from difflib import get_close_matches


class PipelineError(Exception):
    """The base of all errors of celery-waves."""


class DefinitionError(PipelineError):
    """Something in a task or a flow, as it was written, cannot be run."""


class TaskError(DefinitionError):
    """A task is declared in a way that cannot work."""


class FlowError(DefinitionError):
    """The tasks of a flow do not form a graph that can be run."""


class DurationError(DefinitionError, ValueError):
    """A text that is not a length of time, nor a rate."""


class KeyFormatError(PipelineError, ValueError):
    """An entity key, a date or a version that cannot be part of a pipe's key."""


class UnknownName(PipelineError, LookupError):
    """A name was asked for that nothing carries."""


class SettingsError(PipelineError):
    """A setting is missing or cannot be read."""


class NotAllowed(PipelineError):
    """Stored data names a module or a file that the settings of this process do not allow."""


class ClashError(PipelineError, ImportError):
    """A module of the user's own has the name of a package of celery-waves."""


class MissingExtra(PipelineError, ImportError):
    """A package that an extra brings is not installed."""

    def __init__(self, what: str, package: str, extra: str) -> None:
        super().__init__(
            f"{what} needs {package}. Install it: pip install 'celery-waves[{extra}]'.", name=package
        )


class UnreachableError(PipelineError, ConnectionError):
    """Redis does not answer at the given address."""


class UnreadableError(PipelineError):
    """A record or a message in Redis has a form that this code cannot read."""


class StoreError(PipelineError):
    """The pipe store refused what was asked."""


class CodecError(StoreError, TypeError):
    """A value that no codec takes."""


class WindowError(StoreError, TypeError):
    """A window was asked of a pipe that holds no numbers."""


class WaveError(PipelineError):
    """A wave cannot do this in the condition that it is in."""


class ProcessError(PipelineError):
    """A process that was started did not come up."""


class RunError(PipelineError):
    """One run of a task went wrong."""


class AnswerError(RunError):
    """A batch task did not answer for exactly the entities that it was given."""


class WorkerLost(RunError):
    """A task killed the worker that ran it."""


class TimedOut(RunError):
    """A task ran for longer than its time limit."""


def near(name: str, candidates: Iterable[str]) -> str:
    """Return `" Did you mean 'x'?"` for the candidates closest to `name`, or nothing when none is close."""
    close = get_close_matches(name, list(candidates), n=3, cutoff=0.6)
    if not close:
        return ""
    return f" Did you mean {' or '.join(repr(c) for c in close)}?"


def listed(names: Iterable[str], nothing: str = "none") -> str:
    """Join names for a message, sorted, and say `nothing` when there are none."""
    return ", ".join(sorted(names)) or nothing
