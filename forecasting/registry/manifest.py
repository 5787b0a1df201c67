"""What is known about one version of a model, and how its class is found again."""

from __future__ import annotations

import hashlib
import json
from collections.abc import Mapping
from dataclasses import asdict, dataclass, field, is_dataclass
from importlib import import_module
from pathlib import Path
from typing import Any, Protocol, Self

from forecasting.errors import ModelError

_METHODS = ("fit", "predict", "save", "load")


class Storable(Protocol):
    """An estimator that the registry keeps: any class with `fit`, `predict`, `save` and `load`.

    Its parameters are public attributes; what `fit` learns begins or ends with an underscore.
    """

    def fit(self, data: Any) -> Any:
        """Fit to a panel."""

    def predict(self, data: Any) -> Any:
        """Forecast the hours after the last one, in the long format."""

    def save(self, folder: Path) -> None:
        """Write its files into a folder that exists."""

    @classmethod
    def load(cls, folder: Path) -> Self:
        """Read what `save` wrote."""


@dataclass(frozen=True, slots=True)
class Manifest:
    """What is known about one version of a model."""

    name: str  # what it forecasts: the pipe's name
    partition: str
    version: str
    first: str  # the first and the last hour of the data that it was fitted to
    last: str
    entities: int
    features: tuple[str, ...]
    metrics: Mapping[str, float] = field(default_factory=dict)
    against: str | None = None  # the version that `live_mae` among the metrics was measured of
    code: str = ""  # the version of the code that trained it
    made: str = ""  # when it was stored, UTC
    kind: str = ""  # "module:class" of the estimator
    recipe: str = ""  # digest of its class and parameters: equal for two fits of the same model
    sha256: Mapping[str, str] = field(default_factory=dict)  # file -> digest

    def dump(self) -> bytes:
        """Give what `parse` reads."""
        return json.dumps(asdict(self), indent=1).encode()

    @classmethod
    def parse(cls, data: bytes) -> Self:
        """Read what `dump` gave. Raises ValueError, KeyError or TypeError for anything else."""
        stored: dict[str, Any] = json.loads(data)
        return cls(**stored | {"features": tuple(stored["features"])})


def kind_of(model: object) -> str:
    """Name the class of an estimator so that it can be imported again. Raises ModelError where it cannot."""
    found = type(model)
    lacks = [name for name in _METHODS if not callable(getattr(found, name, None))]
    if lacks:
        raise ModelError(
            f"{found.__name__} cannot be kept: it has no {' and no '.join(lacks)}. A model is stored by its "
            "save(folder), read by its load(folder), and used by fit(data) and predict(data)."
        )
    if "<locals>" in found.__qualname__ or found.__module__ == "__main__":
        raise ModelError(
            f"{found.__qualname__} cannot be kept: no other process can import it from {found.__module__}. Put the "
            "class at the top of a module."
        )
    return f"{found.__module__}:{found.__qualname__}"


def class_of(kind: str) -> Any:
    """Import the class that `kind_of` named. Raises ModelError when it is not there, or is no estimator."""
    module, _, name = kind.partition(":")
    try:
        found: Any = import_module(module)
        for part in name.split("."):
            found = getattr(found, part)
    except (ImportError, AttributeError, ValueError) as error:
        raise ModelError(
            f"the model is a {kind}, which this process cannot import ({error}). Install the package that it comes "
            "from, at the version that trained it."
        ) from None
    if not isinstance(found, type) or any(not callable(getattr(found, m, None)) for m in _METHODS):
        raise ModelError(f"the model is a {kind}, which is no class with {', '.join(_METHODS)}.")
    return found


def recipe_of(model: object) -> str:
    """Digest an estimator's class and its parameters: its public attributes that `fit` does not set."""
    parameters = {
        name: value
        for name, value in _attributes(model).items()
        if not name.startswith("_") and not name.endswith("_")
    }
    text = json.dumps([kind_of(model), parameters], sort_keys=True, default=_plain)
    return hashlib.sha256(text.encode()).hexdigest()[:16]


def features_of(model: object) -> tuple[str, ...]:
    """Give the names of the features that an estimator says it was fitted with, none where it does not say."""
    return tuple(map(str, getattr(model, "features", None) or ()))


def _attributes(model: object) -> dict[str, Any]:
    if is_dataclass(model) and not isinstance(model, type):
        return asdict(model)
    return dict(getattr(model, "__dict__", {}))


def _plain(value: Any) -> Any:
    if is_dataclass(value) and not isinstance(value, type):
        return asdict(value)
    return repr(value)
