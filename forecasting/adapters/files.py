"""Files of single regressors, each in the format of its own library; none is pickle."""

from __future__ import annotations

from collections.abc import Mapping
from importlib import import_module
from pathlib import Path
from typing import Any

from forecasting.errors import ModelError
from forecasting.registry.manifest import plain
from pipeline.allowed import Allowed
from pipeline.errors import NotAllowed, listed
from pipeline.serving import skops_files

XGBOOST, SKOPS = ".ubj", ".skops"
# What a file may call an XGBoost regressor -> its class there; the second form is that of 0.1.0.
REGRESSORS = {
    f"{module}:{name}": name
    for name in ("XGBRegressor", "XGBRFRegressor")
    for module in ("xgboost", "xgboost.sklearn")
}


def write(model: Any, path: Path) -> str:
    """Write a fitted regressor beside `path`, whose suffix tells the format; returns the file's name.

    XGBoost's regressors are written as UBJ, those of scikit-learn by skops. Raises ModelError for all others.
    """
    module = type(model).__module__
    if kind_of(model) in REGRESSORS:
        model.save_model(path.with_suffix(XGBOOST))
        return path.with_suffix(XGBOOST).name
    if module.startswith("sklearn."):
        _skops().dump(model, path.with_suffix(SKOPS))
        _check(path.with_suffix(SKOPS), type(model).__qualname__)
        return path.with_suffix(SKOPS).name
    raise ModelError(
        f"a {type(model).__qualname__} of {module} cannot be kept: what is known of it is only pickle, which runs "
        "whatever code a file holds. Regressors of scikit-learn and of XGBoost can be kept."
    )


def read(folder: Path, name: str, like: Any = None) -> Any:
    """Read what `write` wrote; `like` is an unfitted regressor of the same class.

    Raises ModelError for what may not be read, before anything of it is run; ValueError or OSError.
    """
    path = folder / plain(name)
    if path.suffix == XGBOOST:
        like.load_model(path)
        return like
    _check(path, path.name)
    return skops_files.load(path, Allowed.from_env())


def _check(path: Path, name: str) -> None:
    _skops()
    if others := skops_files.foreign(path, Allowed.from_env()):
        raise ModelError(
            f"{name} holds {', '.join(others)}, which cannot be kept: a file of ours names what scikit-learn's own "
            f"estimators hold, and no other code. {skops_files.advice(others)}"
        )


def _skops() -> Any:
    try:
        import skops.io  # noqa: PLC0415 - an optional extra
    except ImportError:
        raise ModelError(
            "models of scikit-learn are kept by skops. Install it: pip install 'celery-waves[sklearn]'."
        ) from None
    return skops.io


def names(models: Mapping[str, Any], folder: Path) -> dict[str, str]:
    """Write several regressors; returns name -> file."""
    return {name: write(model, folder / f"model-{n}") for n, (name, model) in enumerate(models.items())}


def kind_of(model: Any) -> str:
    """Return how a file calls a regressor's class."""
    name = type(model).__qualname__
    return f"xgboost:{name}" if f"xgboost:{name}" in REGRESSORS else f"{type(model).__module__}:{name}"


def regressor(kind: str, params: Mapping[str, Any]) -> Any:
    """Build an unfitted regressor of XGBoost of its class, as `kind_of` names it, and parameters. Raises ModelError."""
    if kind not in REGRESSORS:
        raise ModelError(
            f"{kind} is not a regressor of XGBoost. There are: {listed(set(REGRESSORS.values()))}."
        )
    return getattr(import_module("xgboost"), REGRESSORS[kind])(**params)


def made(make: str) -> Any:
    """Call the function that `make` names, "module:function", for an object that is not fitted. Raises ModelError."""
    try:
        return Allowed.from_env().find(make)()
    except NotAllowed as error:
        raise ModelError(f"make={make!r} is not called: {error}") from None
    except (ImportError, AttributeError, ValueError) as error:
        raise ModelError(
            f"make={make!r} cannot be called ({error}). Give 'module:function', a function without arguments that "
            "makes an object that is not fitted, in a module that workers can import."
        ) from None
