"""Simple forecasts, measures and the backtest that compares them."""

from __future__ import annotations

import numpy as np
import pandas as pd
import pytest

from forecasting import metrics
from forecasting.backtest import Backtest, by_age
from forecasting.naive import Constant, SeasonalNaive, TrailingMean
from forecasting.panel import HOUR, Panel

HOURS = 400


@pytest.fixture
def panel() -> Panel:
    hours = pd.date_range("2026-01-01", periods=HOURS, freq="h", tz="UTC")
    y = np.arange(HOURS, dtype=float)[:, None] + np.array([[0.0, 1000.0]])
    return Panel.from_frames(pd.DataFrame(y, index=hours, columns=["a", "b"]))


@pytest.mark.parametrize(("lead", "row"), [(1, 177), (24, 200), (25, 177)])
def test_the_seasonal_naive_repeats_the_newest_same_hour_that_is_known(panel: Panel, lead: int, row: int):
    found = SeasonalNaive().forecast_at(panel, np.array([200]), np.array([lead]))
    assert found.mean[0].tolist() == panel.y[row].tolist()
    assert found.targets[0] == panel.hours[200 + lead]
    assert not found.bounds


def test_the_seasonal_naive_goes_further_back_for_an_hour_that_is_missing(panel: Panel):
    panel.y[177, 0] = np.nan
    panel.y[177::-24, 1] = np.nan
    found = SeasonalNaive().forecast_at(panel, np.array([200]), np.array([1]))
    assert found.mean[0].tolist() == [153.0, 0.0]


def test_the_trailing_mean_weights_the_hours(panel: Panel):
    panel.weight[199, 0] = 3
    found = TrailingMean(2).forecast_at(panel, np.array([200]), np.array([5]))
    assert found.mean[0].tolist() == [(3 * 199 + 200) / 4, 1199.5]


def test_the_constant_is_constant(panel: Panel):
    assert Constant(3.0).forecast_at(panel, np.array([9, 8]), np.array([1, 2])).mean.tolist() == [
        [3, 3],
        [3, 3],
    ]


def test_every_age_is_scored_on_the_same_hours_and_none_of_the_fitted_ones(panel: Panel):
    fitted, asked = [], []

    class Spy(Constant):
        def forecast_at(self, panel, origins, leads):
            asked.extend(zip(panel.hours[origins], panel.hours[origins + leads], leads, strict=True))
            return super().forecast_at(panel, origins, leads)

    cutoff = panel.hours[200]
    scores = Backtest(train=100, test=96, stride=5).run(
        panel, [cutoff], {"zero": lambda past: fitted.append(past) or Spy()}
    )
    assert [len(fitted[0]), fitted[0].hours[-1]] == [100, cutoff]
    targets = {lead: [target for _, target, of in asked if of == lead] for lead in range(1, 25)}
    assert all(found == targets[1] for found in targets.values())
    assert all(target - origin == lead * HOUR for origin, target, lead in asked)
    assert min(targets[1]) == cutoff + 24 * HOUR
    assert max(targets[1]) <= cutoff + 96 * HOUR
    assert scores["count"].nunique() == 1


def test_the_hours_weigh_as_they_are_told_to(panel: Panel):
    weight = np.ones_like(panel.y)
    weight[:, 1] = 0
    backtest, models = Backtest(train=100, test=96), {"zero": lambda _: Constant(1000.0)}
    scores = backtest.run(panel, [panel.hours[200]], models, weight)
    assert by_age(scores, {"all": (1, 24)})["mae"][0] > 700  # only the small series counts


def test_scores_are_summed_up_by_age(panel: Panel):
    scores = Backtest(train=100, test=96).run(
        panel,
        [panel.hours[200], panel.hours[250]],
        {"naive": lambda _: SeasonalNaive(), "zero": lambda _: Constant()},
    )
    table = by_age(scores, {"fresh": (1, 1), "day": (1, 24)})
    naive = table[table["model"] == "naive"]
    assert naive["mae"].tolist() == [24.0, 24.0]  # the series grows by one an hour
    assert naive["rmse"].tolist() == [24.0, 24.0]
    assert np.isnan(naive["cover-80"]).all()
    assert table["hours"].tolist() == [60, 60, 24 * 60, 24 * 60]


def test_weights_decide_in_the_error(panel: Panel):
    panel.weight[:, 1] = 0
    scores = Backtest(train=100, test=96).run(panel, [panel.hours[200]], {"zero": lambda _: Constant(1000.0)})
    assert by_age(scores, {"all": (1, 24)})["mae"][0] > 700  # only the small series counts


def test_a_cutoff_outside_of_the_data_is_refused(panel: Panel):
    with pytest.raises(ValueError, match="is no hour of the panel"):
        Backtest().run(panel, [pd.Timestamp("2031-01-01", tz="UTC")], {})


def test_measures_leave_out_what_is_missing_and_weight_the_rest():
    y, f = np.array([1.0, 2.0, np.nan, 4.0]), np.array([2.0, 4.0, 0.0, 4.0])
    assert metrics.mae(y, f) == 1.0
    assert metrics.mae(y, f, np.array([3.0, 1.0, 1.0, 0.0])) == 1.25
    assert metrics.rmse(y, f) == pytest.approx((5 / 3) ** 0.5)
    assert metrics.coverage(y, f - 1, f + 1) == pytest.approx(2 / 3)
    assert np.isnan(metrics.mae(y * np.nan, f))


def test_the_pinball_loss_is_least_at_the_quantile():
    y = np.random.default_rng(0).normal(size=10_000)
    losses = {q: metrics.pinball(y, np.full_like(y, q), 0.9) for q in (0.8, 1.2816, 1.8)}
    assert min(losses, key=losses.get) == 1.2816


def test_the_interval_score_is_the_width_and_a_penalty_for_what_lies_outside():
    y, zero = np.array([0.0, 3.0]), np.zeros(2)
    assert metrics.interval_score(y, zero - 1, zero + 1, 0.8) == pytest.approx(2 + 10 * 2 / 2)
