"""What a served model is, and how one is loaded: `load(path)` and `predict(list) -> list`, nothing more.

The catalogue lies in Redis, so a kind and a path of it are data: a worker imports a class or a function, and reads a
file, only where its own settings allow it (`pipeline.allowed`). What a class of one's own does with a path is its own.
"""

from __future__ import annotations

from collections.abc import Sequence
from importlib import import_module
from importlib.metadata import entry_points
from typing import Any, Protocol, Self

from pipeline.allowed import Allowed
from pipeline.errors import NotAllowed, listed, near
from pipeline.serving.catalogue import Source
from pipeline.serving.errors import ModelFault

GROUP = "pipeline.models"  # the entry points by which other packages name kinds of theirs

KINDS = {
    "xgboost": "pipeline.serving.kinds:XGBoost",
    "sklearn": "pipeline.serving.kinds:Sklearn",
    "callable": "pipeline.serving.kinds:Function",
}
_SUFFIXES = {".ubj": "xgboost", ".skops": "sklearn"}


class Model(Protocol):
    """A model that is served. One object answers the calls of all slots of its worker, at the same time.

    A ValueError, TypeError, KeyError or IndexError that `predict` raises tells that an instance is no good, and the
    client is told its text; anything else is a fault of the model.
    """

    @classmethod
    def load(cls, path: str) -> Self:
        """Read it from where the catalogue says that it is."""

    def predict(self, instances: list[Any]) -> Sequence[Any]:
        """Return one prediction for each instance, in their order; what JSON can hold, or a numpy array."""


def load(source: Source, allowed: Allowed) -> Model:
    """Load a version. Raises ModelFault, which says why it cannot be."""
    found = kind(source.kind, allowed)
    try:
        # Ours take what they may read and import; a class of one's own has `load(path)` alone.
        more = (allowed,) if source.kind in KINDS else ()
        model: Model = found.load(source.path, *more)
    except Exception as error:
        what = "" if isinstance(error, NotAllowed) else f"{type(error).__name__}: "
        raise ModelFault(f"{source.kind} cannot load {source.path!r}: {what}{error}") from error
    return model


def kind(name: str, allowed: Allowed) -> Any:
    """Find the class that loads models of a kind: by its name, or as "module:Class". Raises ModelFault."""
    try:
        found = allowed.find(name) if ":" in name else _named(name)
    except NotAllowed as error:
        raise ModelFault(f"the kind of the model is refused: {error}") from error
    except (ImportError, AttributeError) as error:
        raise ModelFault(
            f"{name} cannot be imported ({error}). Is its package installed, and the name right?"
        ) from error
    for method in ("load", "predict"):
        if not callable(getattr(found, method, None)):
            raise ModelFault(
                f"{name} has no {method}: a kind of model is a class with load(path) and predict(list)."
            )
    return found


def _named(name: str) -> Any:
    others = {entry.name: f"{entry.module}:{entry.attr}" for entry in entry_points(group=GROUP)}
    place = (KINDS | others).get(name)
    if place is None:
        known = [*KINDS, *others]
        raise ModelFault(
            f"no kind of model {name!r}.{near(name, known)} There are: {listed(known)}; or name a class with "
            "load(path) and predict(list) as module:Class."
        )
    module, _, attribute = place.partition(":")
    return getattr(import_module(module), attribute)


def newest(source: Source, allowed: Allowed) -> tuple[str, Source] | None:
    """Return the version that a source's own registry says is live, None where the kind knows of none.

    A kind tells it by a third method, `newest(path)`, which gives a version and its path. Raises what that raises.
    """
    ask = getattr(kind(source.kind, allowed), "newest", None)
    if ask is None:
        return None
    version, path = ask(source.path)
    return version, Source(source.kind, path)


def kind_of(path: str) -> str:
    """Guess the kind from a path: module:function, *.ubj, *.skops. Raises ModelFault where it tells nothing."""
    for suffix, name in _SUFFIXES.items():
        if path.endswith(suffix):
            return name
    if ":" in path and "/" not in path:
        return "callable"
    raise ModelFault(
        f"{path!r} does not tell what kind of model it is. Give --kind: {listed(KINDS)}, or module:Class."
    )


def predict(model: Model, instances: list[Any]) -> list[Any]:
    """Call a model. Raises what it raises, and ModelFault where it does not return one prediction for each instance."""
    found = model.predict(instances)
    tolist = getattr(found, "tolist", None)
    predictions = tolist() if tolist is not None else list(found)
    if len(predictions) != len(instances):
        raise ModelFault(f"the model gave {len(predictions)} predictions for {len(instances)} instances.")
    return predictions
