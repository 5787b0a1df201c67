"""Kinds of models that come along: XGBoost's own format, scikit-learn by skops, a plain function."""

from __future__ import annotations

import sys
from pathlib import Path

import numpy as np
import pytest
import xgboost
from sklearn.ensemble import (
    GradientBoostingRegressor,
    HistGradientBoostingRegressor,
    RandomForestRegressor,
    VotingRegressor,
)
from sklearn.feature_selection import SelectKBest, f_regression
from sklearn.impute import SimpleImputer
from sklearn.linear_model import LinearRegression, RidgeCV, TweedieRegressor
from sklearn.neighbors import KNeighborsRegressor
from sklearn.neural_network import MLPRegressor
from sklearn.pipeline import make_pipeline
from sklearn.preprocessing import FunctionTransformer, KBinsDiscretizer, SplineTransformer
from skops import io

from forecasting.adapters import files
from forecasting.errors import ModelError
from pipeline.allowed import Allowed
from pipeline.serving.catalogue import Entry, Source
from pipeline.serving.errors import ModelFault
from pipeline.serving.kinds import matrix
from pipeline.serving.models import load, predict
from tests.support import hostile

ROWS = np.random.default_rng(0).normal(size=(200, 3)).astype(np.float32)
TARGET = ROWS @ np.array([1.0, -2.0, 0.5], dtype=np.float32)


def test_an_xgboost_model_predicts_what_it_predicts_in_process(tmp_path):
    names = ["hour", "day", "price"]
    booster = xgboost.train({"nthread": 1}, xgboost.DMatrix(ROWS, TARGET, feature_names=names), 5)
    path = tmp_path / "model.ubj"
    booster.save_model(path)
    model = load(Source("xgboost", str(path)), Allowed(folders=(str(tmp_path),)))
    expected = booster.predict(xgboost.DMatrix(ROWS[:4], feature_names=names))
    assert predict(model, ROWS[:4].tolist()) == pytest.approx(expected.tolist())
    by_name = [dict(zip(names, row, strict=True)) for row in ROWS[:4].tolist()]
    assert predict(model, by_name) == pytest.approx(expected.tolist())
    assert len(predict(model, [[None, 1.0, 2.0], {"hour": 1.0}])) == 2
    with pytest.raises(
        ValueError, match=r"^instance 0 has the unknown feature 'week'\. There are: hour, day, price\.$"
    ):
        predict(model, [{"week": 1}])


def test_an_estimator_of_scikit_learn_is_read_from_a_skops_file(tmp_path):
    path = tmp_path / "model.skops"
    fitted = LinearRegression().fit(ROWS, TARGET)
    io.dump(fitted, path)
    model = load(Source("sklearn", str(path)), Allowed(folders=(str(tmp_path),)))
    assert predict(model, ROWS[:4].tolist()) == pytest.approx(fitted.predict(ROWS[:4]).tolist(), rel=1e-5)


class Trap:
    """A type that skops does not know."""


def test_a_file_with_foreign_types_is_refused(tmp_path):
    path = tmp_path / "model.skops"
    fitted = LinearRegression().fit(ROWS, TARGET)
    fitted.trap = Trap()
    io.dump(fitted, path)
    with pytest.raises(ModelFault, match=r"holds types that are not known to be harmless: .*Trap"):
        load(Source("sklearn", str(path)), Allowed(folders=(str(tmp_path),)))


@pytest.mark.parametrize("protocol", [0, 2])
@pytest.mark.parametrize("name", hostile.payloads(Path()))
def test_a_file_that_would_run_code_is_refused_by_name_and_runs_none(
    tmp_path: Path, name: str, protocol: int
):
    mark = tmp_path / "ran"
    path = hostile.write(tmp_path / "model.skops", hostile.payloads(mark)[name], protocol)
    with pytest.raises(ModelFault) as raised:
        load(Source("sklearn", str(path)), Allowed(("sklearn", "numpy", "os", "builtins"), (str(tmp_path),)))
    assert f"holds types that are not known to be harmless: {name}" in str(raised.value)
    assert (
        ":".join(name.rsplit(".", 1))
        in str(raised.value).partition("If they are meant, set PIPELINE_ALLOW=")[2]
    )
    with pytest.raises(
        ModelError, match=r"which cannot be kept: a file of ours names what scikit-learn's own estim"
    ):
        files.read(tmp_path, "model.skops")
    assert not mark.exists()


def doubled(rows):
    return 2 * rows


def test_a_type_of_ones_own_is_read_once_it_is_allowed_by_name(tmp_path: Path):
    io.dump(
        make_pipeline(FunctionTransformer(doubled), LinearRegression()).fit(ROWS, TARGET),
        tmp_path / "m.skops",
    )
    source, where = Source("sklearn", str(tmp_path / "m.skops")), (str(tmp_path),)
    with pytest.raises(ModelFault, match=rf"If they are meant, set PIPELINE_ALLOW={__name__}:doubled\."):
        load(source, Allowed(("tests",), where))
    assert len(predict(load(source, Allowed((f"{__name__}:doubled",), where)), ROWS[:4].tolist())) == 4


ESTIMATORS = [
    HistGradientBoostingRegressor(max_iter=2),
    RandomForestRegressor(2),
    GradientBoostingRegressor(n_estimators=2),
    KNeighborsRegressor(),
    TweedieRegressor(),
    MLPRegressor(max_iter=400, hidden_layer_sizes=(2,), tol=1.0),
    make_pipeline(SimpleImputer(), SplineTransformer(), SelectKBest(f_regression, k=2), RidgeCV()),
    make_pipeline(
        KBinsDiscretizer(quantile_method="averaged_inverted_cdf"),
        VotingRegressor([("a", LinearRegression())]),
    ),
]


@pytest.mark.parametrize("estimator", ESTIMATORS, ids=lambda one: type(one).__name__)
def test_what_fitted_estimators_of_scikit_learn_hold_is_known(tmp_path: Path, estimator):
    io.dump(estimator.fit(ROWS, TARGET), tmp_path / "m.skops")
    model = load(Source("sklearn", str(tmp_path / "m.skops")), Allowed(folders=(str(tmp_path),)))
    assert predict(model, ROWS[:4].tolist()) == pytest.approx(estimator.predict(ROWS[:4]).tolist(), rel=1e-4)


@pytest.mark.parametrize(
    ("source", "text"),
    [
        (
            Source("callable", "subprocess:check_output"),
            "it was stored as 'subprocess:check_output', and this process",
        ),
        (
            Source("callable", "pipeline.serving.examples:Any"),
            "it was stored as 'pipeline.serving.examples:Any'",
        ),
        (
            Source("smtpd:SMTPServer", "x"),
            "the kind of the model is refused: it was stored as 'smtpd:SMTPServer'",
        ),
        (
            Source("pipeline.serving.kinds:Function", "os:system"),
            "the kind of the model is refused: it was stored as",
        ),
        (
            Source("xgboost", "/etc/passwd"),
            "/etc/passwd is in none of the folders whose files this process reads",
        ),
        (Source("sklearn", "../../etc/passwd"), "is in none of the folders whose files this process reads"),
        (Source("forecast", "a/b@../../../etc"), "'../../../etc' is not a version of a model"),
    ],
)
def test_a_catalogue_that_names_code_or_files_elsewhere_is_refused_and_told(source: Source, text: str):
    with pytest.raises(ModelFault) as raised:
        load(source, Allowed(folders=("/models",)))
    assert text in str(raised.value)
    assert "smtpd" not in sys.modules


def test_the_example_is_stored_by_a_public_name_and_found_by_that_of_0_1_0():
    stored = b'{"name":"m","versions":{"1":{"kind":"callable","path":"pipeline.serving.examples:mean"}},"live":"1",'
    entry = Entry.parse(stored + b'"before":[],"weights":{},"shadow":{},"key":null,"options":{}}')
    assert entry.versions["1"] == Source("callable", "example:mean")
    assert predict(load(entry.versions["1"], Allowed()), [[1, 2, 6]]) == [3.0]
    assert entry.with_version("1", Source("callable", "example:mean")) == entry


@pytest.mark.parametrize(
    ("instances", "text"),
    [
        ([[1, 2]], "instance 0 has 2 numbers; the model takes 3."),
        ([[1, 2, 3], "x"], "instance 1 is neither a list of numbers nor an object of them by feature."),
        ([[1, 2, "x"]], "an instance holds something that is not a number"),
        ([[1, 2, [3]]], "an instance holds something that is not a number"),
        ([{"a": 1}], "the model does not know its features' names: give each instance as a list of numbers."),
    ],
)
def test_an_instance_of_another_form_says_which_and_why(instances, text):
    with pytest.raises(ValueError) as raised:
        matrix(instances, 3, None)
    assert text in str(raised.value)
