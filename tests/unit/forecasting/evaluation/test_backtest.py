"""Simple forecasts, measures and the backtest that compares them."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pandas as pd
import pytest

from forecasting.evaluation import metrics
from forecasting.evaluation.backtest import Backtest, by_age, relative
from forecasting.evaluation.pictures import draw_backtest
from forecasting.features.panel import HOUR, Panel
from forecasting.models.forecasts import Forecasts
from forecasting.models.naive import Constant, SeasonalNaive, TrailingMean

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
    with pytest.raises(ValueError, match="is not an hour of the panel"):
        Backtest().run(panel, [pd.Timestamp("2031-01-01", tz="UTC")], {})


def test_measures_leave_out_what_is_missing_and_weight_the_rest():
    y, f = np.array([1.0, 2.0, np.nan, 4.0]), np.array([2.0, 4.0, 0.0, 4.0])
    assert metrics.mae(y, f) == 1.0
    assert metrics.mae(y, f, np.array([3.0, 1.0, 1.0, 0.0])) == 1.25
    assert metrics.coverage(y, f - 1, f + 1) == pytest.approx(2 / 3)
    assert np.isnan(metrics.mae(y * np.nan, f))


class Off:
    """Forecasts that are too high by some units, within bounds that are too low by others."""

    def __init__(self, by: float, low: float = -1.0, high: float = 2.0) -> None:
        self.by, self.low, self.high = by, low, high

    def forecast_at(self, panel: Panel, origins: np.ndarray, leads: np.ndarray) -> Forecasts:
        y = panel.y[origins + leads]
        bounds = {
            f"{side}-{level}": y + by
            for level in (80, 95)
            for side, by in (("lo", self.low), ("hi", self.high))
        }
        return Forecasts(panel.entities, panel.hours[origins], leads, y + self.by, bounds)


def table(panel: Panel, **models: Off) -> pd.DataFrame:
    backtest = Backtest(train=100, test=96, season=2)  # the series rise by 1 an hour, so by 2 a season
    return backtest.run(panel, [panel.hours[200]], {name: lambda _, m=m: m for name, m in models.items()})


def test_every_measure_is_what_its_definition_gives(panel: Panel):
    row = by_age(table(panel, off=Off(3.0)), {"all": (1, 24)}).iloc[0]
    assert row["mae"] == row["rmse"] == pytest.approx(3.0)
    assert row["mase"] == pytest.approx(1.5)
    targets = np.arange(224, 297, 5)
    y = np.concatenate([targets, targets + 1000.0])
    assert row["smape"] == pytest.approx((200 * 3 / (2 * y + 3)).mean())
    assert (row["cover-80"], row["cover-95"]) == (1.0, 1.0)
    # The truth lies 1 above the lower bound and 2 below the upper one.
    assert row["pinball-80"] == pytest.approx((0.1 * 1 + 0.1 * 2) / 2)
    assert row["pinball-95"] == pytest.approx((0.025 * 1 + 0.025 * 2) / 2)
    assert row["msis-95"] == pytest.approx(3 / 2)
    row = by_age(table(panel, off=Off(0.0, low=1.0)), {"all": (1, 24)}).iloc[0]
    assert row["cover-95"] == 0.0
    assert row["pinball-95"] == pytest.approx((0.975 * 1 + 0.025 * 2) / 2)
    assert row["msis-95"] == pytest.approx((1 + 40 * 1) / 2)


def test_a_model_is_set_beside_a_rival(panel: Panel):
    found = by_age(table(panel, ours=Off(1.0), rival=Off(2.0)), {"1 h": (1, 1), "2-24 h": (2, 24)})
    owa = relative(found, "rival").set_index(["model", "age"])["owa"]
    assert owa["rival"].tolist() == [1.0, 1.0]
    assert owa["ours"].tolist() == pytest.approx([0.5, 0.5], abs=0.001)
    with pytest.raises(ValueError, match=r"no model 'naive' was scored\. There is ours, rival\."):
        relative(found, "naive")


@pytest.mark.parametrize("measure", ["mae", "smape"])
def test_a_backtest_is_drawn(panel: Panel, tmp_path: Path, measure: str):
    scores = table(panel, ours=Off(1.0))
    path = draw_backtest(scores, tmp_path / "backtest.png", measure=measure, unit="min")
    assert path.read_bytes().startswith(b"\x89PNG")
    with pytest.raises(ValueError, match="measure='mea' cannot be drawn"):
        draw_backtest(scores, path, measure="mea")
