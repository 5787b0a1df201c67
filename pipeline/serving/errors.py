"""Errors of serving models.

PipelineError
+-- ModelFault           a model that cannot be loaded, or what it was given or gave back
+-- CatalogueError       what cannot be asked of a served model in its present condition
"""

from __future__ import annotations

from pipeline.errors import PipelineError


class ModelFault(PipelineError):
    """A model cannot be loaded, or its answer is not one for each instance."""


class CatalogueError(PipelineError):
    """A served model has no such version, or cannot be changed in that way."""
