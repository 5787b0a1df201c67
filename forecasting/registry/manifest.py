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
from forecasting.registry.estimators import PLACES, PUBLIC, WRITTEN_BY_0_1_0
from pipeline.allowed import Allowed
from pipeline.errors import NotAllowed

MANIFEST = "manifest.json"
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
    """What is known about one version of a model.

    Args:
        name: What it forecasts: the pipe's name.
        partition: The one that it is of.
        version: Its name.
        first: The first hour of the data that it was fitted to.
        last: The last one.
        entities: How many there were.
        features: Their names.
        metrics: What a backtest measured.
        against: The version that `live_mae` among the metrics was measured of.
        code: The version of the code that trained it.
        made: When it was stored, UTC.
        kind: The estimator: a public name of ours, or "module:class" of a user's own.
        recipe: Digest of its class and parameters: equal for two fits of the same model.
        sha256: File -> digest.
    """

    name: str
    partition: str
    version: str
    first: str
    last: str
    entities: int
    features: tuple[str, ...]
    metrics: Mapping[str, float] = field(default_factory=dict)
    against: str | None = None
    code: str = ""
    made: str = ""
    kind: str = ""
    recipe: str = ""
    sha256: Mapping[str, str] = field(default_factory=dict)

    def dump(self) -> bytes:
        """Return what `parse` reads."""
        return json.dumps(asdict(self), indent=1).encode()

    @classmethod
    def parse(cls, data: bytes) -> Self:
        """Read what `dump` gave. Raises ValueError, KeyError or TypeError for anything else."""
        stored: dict[str, Any] = json.loads(data)
        if not isinstance(stored, dict) or not isinstance(stored.get("kind", ""), str):
            raise TypeError("it is not an object with a text as its kind")
        for file in dict(stored.get("sha256", {})):
            plain(file)
        return cls(**stored | {"features": tuple(stored["features"])})


def plain(name: str) -> str:
    """Return the name of a file, or of a version, if it leads nowhere else. Raises ValueError."""
    if name in ("", ".", "..", MANIFEST) or any(char in name for char in "/\\:") or not name.isprintable():
        raise ValueError(
            f"{name!r} cannot be the name of a file of a model: it has to be plain, as model.ubj is"
        )
    return name


def kind_of(model: object) -> str:
    """Return the name by which a manifest tells an estimator's class, which `class_of` finds again.

    Raises ModelError for what is not an estimator, and for a class that no process of these settings may load.
    """
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
    kind = f"{found.__module__}:{found.__qualname__}"
    return PUBLIC.get(kind, kind)


def class_of(kind: str) -> Any:
    """Return the class that `kind_of` named: one of ours, or of a module that PIPELINE_ALLOW allows.

    Raises ModelError, before anything is imported, for any other; and where it is not there, or is not an estimator.
    """
    try:
        found = _find(kind)
    except NotAllowed as error:
        raise ModelError(f"the model is not an estimator of ours: {error}") from None
    except (ImportError, AttributeError, ValueError) as error:
        raise ModelError(
            f"the model is a {kind}, which this process cannot import ({error}). Install the package that it comes "
            "from, at the version that trained it."
        ) from None
    if not isinstance(found, type) or any(not callable(getattr(found, m, None)) for m in _METHODS):
        raise ModelError(f"the model is a {kind}, which is not a class with {', '.join(_METHODS)}.")
    return found


def _find(kind: str) -> Any:
    place = PLACES.get(kind)
    if place is None:
        return Allowed.from_env().find(kind)
    module, _, name = place.partition(":")
    return getattr(import_module(module), name)


def recipe_of(model: object) -> str:
    """Digest an estimator's class and its parameters: its public attributes that `fit` does not set.

    The same model has the digest that 0.1.0 gave it, so that the one that is live can still be measured against.
    """
    parameters = {
        name: value
        for name, value in _attributes(model).items()
        if not name.startswith("_") and not name.endswith("_")
    }
    kind = kind_of(model)
    text = json.dumps([WRITTEN_BY_0_1_0.get(kind, kind), parameters], sort_keys=True, default=_plain)
    return hashlib.sha256(text.encode()).hexdigest()[:16]


def features_of(model: object) -> tuple[str, ...]:
    """Return the names of the features that an estimator says it was fitted with, none where it does not say."""
    return tuple(map(str, getattr(model, "features", None) or ()))


def _attributes(model: object) -> dict[str, Any]:
    if is_dataclass(model) and not isinstance(model, type):
        return asdict(model)
    return dict(getattr(model, "__dict__", {}))


def _plain(value: Any) -> Any:
    if is_dataclass(value) and not isinstance(value, type):
        return asdict(value)
    return repr(value)
