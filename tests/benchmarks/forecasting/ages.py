"""Line 4: pedestrians, bikes and advertisements, by the forecast's age, beside simple methods.

A model is fitted once, to all but the last week, and asked from each hour of that week. Every age is scored on the
same hours.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import replace

import numpy as np

from forecasting.evaluation import metrics
from forecasting.features.panel import Ints, Panel
from forecasting.features.rows import FeatureSpec
from forecasting.models.forecasts import Forecasts
from forecasting.models.global_forecaster import GlobalForecaster
from forecasting.models.naive import Forecaster, SeasonalNaive
from tests.benchmarks.forecasting import m4_measures, series
from tests.benchmarks.forecasting.figures import Figure, Options, Section, say
from tests.benchmarks.forecasting.m4 import SHORT, fitting

HORIZON, TEST, HISTORY = 24, 168, 2_160
AGES = (1, 2, 3, 6, 12, 18, 24)  # that are shown; all of them count
SETS: Mapping[str, Callable[..., Panel]] = {
    "pedestrians": series.pedestrians,
    "bikes": series.bikes,
    "ads": series.ads,
}
MODEL, SEASONAL, LAST = "model", "seasonal naive", "last value"


class LastValue:
    """The last value that was seen, whatever the lead."""

    def forecast_at(self, panel: Panel, origins: Ints, leads: Ints) -> Forecasts:
        found = SeasonalNaive(1).forecast_at(panel, origins, np.ones_like(leads))
        return replace(found, leads=leads)


def run(options: Options) -> list[Section]:
    """Measure all sets."""
    return [_one(name, read(options.data), options) for name, read in SETS.items()]


def _one(name: str, panel: Panel, options: Options) -> Section:
    panel = panel.part(max(len(panel) - HISTORY, 0), len(panel))
    if options.short:
        panel = panel.of(slice(None, None, max(len(panel.entities) // 20, 1)))
    found = mase_by_age(panel, options)
    for_naive = found[SEASONAL]
    worst = float(np.max(found[MODEL] / for_naive))
    figures = [
        Figure(f"{name}_worst_to_naive", "worst age: times the MASE of the seasonal naive", worst, most=1.0),
        Figure(f"{name}_mase", "MASE over all ages", float(found[MODEL].mean())),
        Figure(f"{name}_naive_mase", "  of the seasonal naive", float(for_naive.mean())),
    ]
    for age in AGES:
        ours, naive, last = (float(found[who][age - 1]) for who in (MODEL, SEASONAL, LAST))
        text = f"  {age:2} h; seasonal naive {naive:.3f}, last value {last:.3f}"
        figures.append(Figure(f"{name}_mase_{age}h", text, ours))
    better = [age + 1 for age in range(HORIZON) if found[LAST][age] < found[MODEL][age]]
    figures.append(
        Figure(f"{name}_ages_of_last_value", "ages at which the last value is better", len(better), "{:.0f}")
    )
    say(f"{name}: MASE {found[MODEL].mean():.3f}, seasonal naive {for_naive.mean():.3f}")
    return Section(f"4. {name}, {len(panel.entities)} series", tuple(figures))


def mase_by_age(panel: Panel, options: Options) -> dict[str, np.ndarray]:
    """Give method -> the mean MASE of each age, (HORIZON,)."""
    cut = len(panel) - TEST
    history = panel.part(0, cut)
    recipe = fitting(options) if not options.short else replace(SHORT, max_rows=25_000)
    model = GlobalForecaster(FeatureSpec(horizon=HORIZON), recipe).fit(history)
    methods: dict[str, Forecaster] = {MODEL: model, SEASONAL: SeasonalNaive(), LAST: LastValue()}
    targets = np.arange(cut + HORIZON - 1, len(panel))
    scale = metrics.seasonal_scale(history.y)
    result = {name: np.empty(HORIZON) for name in methods}
    for lead in range(1, HORIZON + 1):
        for name, method in methods.items():
            found = method.forecast_at(panel, targets - lead, np.full(len(targets), lead))
            result[name][lead - 1] = np.nanmean(m4_measures.mase(panel.y[targets], found.mean, scale))
    return result
