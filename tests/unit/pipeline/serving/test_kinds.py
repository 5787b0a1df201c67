"""Kinds of models that come along: XGBoost's own format, scikit-learn by skops, a plain function."""

from __future__ import annotations

import numpy as np
import pytest
import xgboost
from sklearn.linear_model import LinearRegression
from skops import io

from pipeline.allowed import Allowed
from pipeline.serving.catalogue import Source
from pipeline.serving.errors import ModelFault
from pipeline.serving.kinds import matrix
from pipeline.serving.models import load, predict

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


@pytest.mark.parametrize(
    ("instances", "text"),
    [
        ([[1, 2]], "instance 0 has 2 numbers; the model takes 3."),
        ([[1, 2, 3], "x"], "instance 1 is no list of numbers and no object of them by feature."),
        ([[1, 2, "x"]], "an instance holds something that is no number"),
        ([[1, 2, [3]]], "an instance holds something that is no number"),
        ([{"a": 1}], "the model does not know its features' names: give each instance as a list of numbers."),
    ],
)
def test_an_instance_of_another_form_says_which_and_why(instances, text):
    with pytest.raises(ValueError) as raised:
        matrix(instances, 3, None)
    assert text in str(raised.value)
