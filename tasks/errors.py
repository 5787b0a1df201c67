"""What the ready tasks raise, beside the engine's own errors.

PipelineError
+-- RunError
    +-- AnswerError
    |   +-- SourceError      a source as a whole cannot be read
    +-- CommandError         a command ended badly, or answered with what cannot be read
"""

from __future__ import annotations

from pipeline.errors import AnswerError, RunError


class SourceError(AnswerError):
    """A source as a whole cannot be read. No entity is to blame, so that a batch is not tried again by halves."""


class CommandError(RunError):
    """A command ended badly, or answered with what cannot be read."""
