"""What the ready tasks raise, beside the engine's own errors.

PipelineError
+-- MissingExtra             a package that an extra brings is not installed
+-- RunError
    +-- AnswerError
    |   +-- SourceError      a source as a whole cannot be read
    +-- CommandError         a command ended badly, or answered with what cannot be read
"""

from __future__ import annotations

from pipeline.errors import AnswerError, PipelineError, RunError


class MissingExtra(PipelineError, ImportError):
    """A package that an extra brings is not installed."""

    def __init__(self, module: str, package: str | None) -> None:
        super().__init__(
            f"{module} needs {package}. Install it: pip install 'celery-waves[tasks]'.", name=package
        )


class SourceError(AnswerError):
    """A source as a whole cannot be read. No entity is to blame, so that a batch is not tried again by halves."""


class CommandError(RunError):
    """A command ended badly, or answered with what cannot be read."""
