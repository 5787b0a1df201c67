"""Files of scikit-learn, written by skops: which types one may name. Nothing of a file runs before that is checked.

skops itself trusts the estimators of scikit-learn, and what numpy and scipy compute with; everything else is refused,
but for the types below, which fitted estimators hold, and those that PIPELINE_ALLOW names one by one: module:name.
"""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import Any

from pipeline.allowed import ALLOW, Allowed

TRUSTED = (
    "numpy.dtype",
    "numpy.mean",
    "scipy._lib.array_api_compat.numpy._aliases.asarray",
    "scipy.interpolate._bsplines.BSpline",
    *(
        f"sklearn.{name}"
        for name in (
            "_loss.link.IdentityLink",
            "_loss.link.Interval",
            "_loss.link.LogLink",
            "_loss.loss.AbsoluteError",
            "_loss.loss.HalfGammaLoss",
            "_loss.loss.HalfPoissonLoss",
            "_loss.loss.HalfSquaredError",
            "_loss.loss.HalfTweedieLoss",
            "_loss.loss.HalfTweedieLossIdentity",
            "_loss.loss.HuberLoss",
            "_loss.loss.PinballLoss",
            "ensemble._hist_gradient_boosting.binning._BinMapper",
            "ensemble._hist_gradient_boosting.predictor.TreePredictor",
            "feature_selection._univariate_selection.f_classif",
            "feature_selection._univariate_selection.f_regression",
            "gaussian_process.kernels.ConstantKernel",
            "gaussian_process.kernels.Matern",
            "gaussian_process.kernels.Product",
            "gaussian_process.kernels.RBF",
            "gaussian_process.kernels.Sum",
            "gaussian_process.kernels.WhiteKernel",
            "metrics._dist_metrics.EuclideanDistance64",
            "neighbors._ball_tree.BallTree",
            "neighbors._kd_tree.KDTree",
            "neural_network._stochastic_optimizers.AdamOptimizer",
            "neural_network._stochastic_optimizers.SGDOptimizer",
            "tree._tree.Tree",
            "utils._bunch.Bunch",
        )
    ),
)


def foreign(path: str | Path, allowed: Allowed) -> list[str]:
    """Return the types that a file names and that may not be loaded; nothing of it is run. Raises ImportError."""
    return sorted(_untrusted(path) - _own(allowed))


def load(path: str | Path, allowed: Allowed) -> Any:
    """Load a file that names no foreign types. Raises skops' UntrustedTypesFoundException for another one."""
    from skops import io  # noqa: PLC0415 - an optional extra

    return io.load(path, trusted=sorted(_untrusted(path) & _own(allowed)))


def advice(kinds: Sequence[str]) -> str:
    """Return how types of a user's own are allowed."""
    return f"If they are meant, set {ALLOW}={','.join(':'.join(kind.rsplit('.', 1)) for kind in kinds)}."


def _untrusted(path: str | Path) -> set[str]:
    from skops import io  # noqa: PLC0415 - an optional extra

    return set(io.get_untrusted_types(file=path))


def _own(allowed: Allowed) -> set[str]:
    """Return what may be named besides: the types above, and single ones that are allowed, never a whole module."""
    return {*TRUSTED, *(name.replace(":", ".") for name in allowed.names if ":" in name)}
