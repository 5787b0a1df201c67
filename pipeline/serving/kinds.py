"""Kinds of models that come along. None of them unpickles anything."""

from __future__ import annotations

from pathlib import Path
from typing import Any, Self

import numpy as np

from pipeline.allowed import Allowed
from pipeline.serving import skops_files
from pipeline.serving.errors import ModelFault
from pipeline.serving.examples import EXAMPLES


class Function:
    """A plain function of a list: an example of ours, or `module:function`, imported where it is served and allowed."""

    def __init__(self, function: Any) -> None:
        self._function = function

    @classmethod
    def load(cls, path: str, allowed: Allowed) -> Self:
        """Import it. Raises NotAllowed."""
        found = EXAMPLES.get(path) or allowed.find(path)
        if not callable(found):
            raise ModelFault(f"{path} is a {type(found).__name__}, which cannot be called.")
        return cls(found)

    def predict(self, instances: list[Any]) -> Any:
        """Call it with all instances."""
        return self._function(instances)


class XGBoost:
    """A Booster in XGBoost's own format (.ubj or .json). An instance is a list of numbers, or an object by feature."""

    def __init__(self, booster: Any) -> None:
        self._booster = booster
        self._names = booster.feature_names

    @classmethod
    def load(cls, path: str, allowed: Allowed) -> Self:
        """Read the file, in a folder that is allowed; one thread a call, because slots share the cores already."""
        import xgboost  # noqa: PLC0415 - an optional extra

        booster = xgboost.Booster({"nthread": 1})
        booster.load_model(_existing(path, allowed))
        return cls(booster)

    def predict(self, instances: list[Any]) -> Any:
        """Predict all rows at once."""
        rows = matrix(instances, self._booster.num_features(), self._names)
        return self._booster.inplace_predict(rows, validate_features=False)


class Sklearn:
    """An estimator of scikit-learn, written by skops: its file holds no code that is run when it is read."""

    def __init__(self, estimator: Any) -> None:
        self._estimator = estimator
        self._names = [str(name) for name in getattr(estimator, "feature_names_in_", [])] or None

    @classmethod
    def load(cls, path: str, allowed: Allowed) -> Self:
        """Read the file. Raises ModelFault for one that holds types which are not known as harmless."""
        file = _existing(path, allowed)
        if unknown := skops_files.foreign(file, allowed):
            raise ModelFault(
                f"{path} holds types that are not known to be harmless: {', '.join(unknown)}. "
                f"{skops_files.advice(unknown)}"
            )
        return cls(skops_files.load(file, allowed))

    def predict(self, instances: list[Any]) -> Any:
        """Predict all rows at once."""
        return self._estimator.predict(matrix(instances, self._estimator.n_features_in_, self._names))


def matrix(instances: list[Any], width: int, names: list[str] | None) -> Any:
    """Lay instances out as rows of numbers; null is a missing value. Raises ValueError, which says which is wrong."""
    rows = [_row(instance, i, width, names) for i, instance in enumerate(instances)]
    try:
        return np.array(rows, dtype=np.float32).reshape(len(rows), width)
    except (TypeError, ValueError):
        raise ValueError(
            "an instance holds something that is not a number; use numbers, and null for missing."
        ) from None


def _row(instance: Any, place: int, width: int, names: list[str] | None) -> list[Any]:
    if isinstance(instance, dict):
        if names is None:
            raise ValueError(
                "the model does not know its features' names: give each instance as a list of numbers."
            )
        unknown = [name for name in instance if name not in names]
        if unknown:
            raise ValueError(
                f"instance {place} has the unknown feature {unknown[0]!r}. There are: {', '.join(names)}."
            )
        return [instance.get(name) for name in names]
    if not isinstance(instance, list):
        raise ValueError(f"instance {place} is neither a list of numbers nor an object of them by feature.")
    if len(instance) != width:
        raise ValueError(f"instance {place} has {len(instance)} numbers; the model takes {width}.")
    return instance


def _existing(path: str, allowed: Allowed) -> str:
    real = allowed.file(path)
    if not Path(real).is_file():
        raise ModelFault(f"there is no file {path}.")
    return real
