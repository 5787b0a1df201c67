"""Files of single regressors, each in the format of its own library; none is pickle."""

from __future__ import annotations

from collections.abc import Mapping
from importlib import import_module
from pathlib import Path
from typing import Any

from forecasting.errors import ModelError

XGBOOST, SKOPS = ".ubj", ".skops"
TRUSTED = ("sklearn.", "numpy.", "scipy.", "builtins.")  # modules whose classes a file may name


def write(model: Any, path: Path) -> str:
    """Write a fitted regressor beside `path`, whose suffix tells the format; gives the file's name.

    XGBoost's regressors are written as UBJ, those of scikit-learn by skops. Raises ModelError for all others.
    """
    module = type(model).__module__
    if module.startswith("xgboost."):
        model.save_model(path.with_suffix(XGBOOST))
        return path.with_suffix(XGBOOST).name
    if module.startswith("sklearn."):
        _skops().dump(model, path.with_suffix(SKOPS))
        _checked(path.with_suffix(SKOPS), type(model).__qualname__)
        return path.with_suffix(SKOPS).name
    raise ModelError(
        f"a {type(model).__qualname__} of {module} cannot be kept: what is known of it is only pickle, which runs "
        "whatever code a file holds. Regressors of scikit-learn and of XGBoost can be kept."
    )


def read(path: Path, like: Any = None) -> Any:
    """Read what `write` wrote; `like` is an unfitted regressor of the same class. Raises ModelError or OSError."""
    if path.suffix == XGBOOST:
        like.load_model(path)
        return like
    return _skops().load(path, trusted=_checked(path, path.name))


def _checked(path: Path, name: str) -> list[str]:
    """Give the classes that a file names, if all belong to a library that is trusted."""
    found: list[str] = _skops().get_untrusted_types(file=path)
    if others := [kind for kind in found if not kind.startswith(TRUSTED)]:
        raise ModelError(
            f"{name} holds {', '.join(others)}, which cannot be kept: a file of ours names classes of scikit-learn, "
            "numpy and scipy alone. Put own code into the features instead."
        )
    return found


def _skops() -> Any:
    try:
        import skops.io  # noqa: PLC0415 - an optional extra
    except ImportError:
        raise ModelError(
            "models of scikit-learn are kept by skops. Install it: pip install 'celery-waves[sklearn]'."
        ) from None
    return skops.io


def names(models: Mapping[str, Any], folder: Path) -> dict[str, str]:
    """Write several regressors; gives name -> file."""
    return {name: write(model, folder / f"model-{n}") for n, (name, model) in enumerate(models.items())}


def regressor(kind: str, params: Mapping[str, Any]) -> Any:
    """Make an unfitted regressor of XGBoost of its class, `module:name`, and parameters. Raises ModelError."""
    module, _, name = kind.partition(":")
    if not module.startswith("xgboost."):
        raise ModelError(f"{kind} is no regressor of XGBoost.")
    return getattr(import_module(module), name)(**params)


def made(make: str) -> Any:
    """Call the function that `make` names, "module:function", for an object that is not fitted. Raises ModelError."""
    module, _, name = make.partition(":")
    try:
        return getattr(import_module(module), name)()
    except (ImportError, AttributeError, ValueError) as error:
        raise ModelError(
            f"make={make!r} cannot be called ({error}). Give 'module:function', a function without arguments that "
            "makes an object that is not fitted, in a module that workers can import."
        ) from None
