"""Lines 1 and 2: the M4 hourly series, the last 48 hours held out; accuracy, intervals, seconds of the fit.

Two earlier origins stand beside the last one: every choice was made on origins like these, none on the last.
"""

from __future__ import annotations

import time
from dataclasses import dataclass, replace

import numpy as np

from forecasting.evaluation import metrics
from forecasting.features.panel import Floats, Panel
from forecasting.features.rows import FeatureSpec
from forecasting.models.forecasts import Forecasts
from forecasting.models.global_forecaster import Fitting, GlobalForecaster
from forecasting.models.naive import SeasonalNaive
from tests.benchmarks.forecasting import m4_measures, series
from tests.benchmarks.forecasting.figures import Figure, Options, Section, say

HORIZON = 48
ORIGINS = (0, 48, 96)  # hours after the held out ones, the last origin first
SHORT = Fitting(
    members=1,
    quantile_members=1,
    rounds=40,
    quantile_rounds=16,
    depth=8,
    quantile_depth=7,
    eta=0.15,
    quantile_eta=0.3,
    max_rows=60_000,
)
SHORT_SERIES = 100


@dataclass(frozen=True, slots=True)
class Fitted:
    """A model, and the history that it was fitted to."""

    model: GlobalForecaster
    history: Panel


@dataclass(frozen=True, slots=True)
class Scores:
    """What one origin gave; arrays have the shape (entities,), `inside` (hours, entities)."""

    smape: float
    mase: Floats
    owa: float
    naive2: tuple[float, float]  # sMAPE and MASE of Naive2
    msis: Floats
    inside: Floats

    @property
    def sixths(self) -> list[float]:
        """The coverage in each sixth of the horizon."""
        return [float(np.nanmean(part)) for part in np.array_split(self.inside, 6)]


def run(options: Options) -> tuple[list[Section], Fitted]:
    """Measure; gives the model of the last origin, too."""
    panel = series.m4(options.data, SHORT_SERIES if options.short else None)
    origins = ORIGINS[:1] if options.short else ORIGINS
    found: list[tuple[Scores, float]] = []
    kept: Fitted | None = None
    for back in origins:
        stop = len(panel) - back - HORIZON
        history, truth = panel.part(0, stop), panel.y[stop : stop + HORIZON]
        model = GlobalForecaster(FeatureSpec(horizon=HORIZON), fitting(options))
        began = time.perf_counter()
        model.fit(history)
        seconds = time.perf_counter() - began
        scores = score(history, truth, model.forecast(history))
        kept = kept or Fitted(model, history)
        found.append((scores, seconds))
        say(f"M4, {back} h before the end: OWA {scores.owa:.4f}, fit {seconds:.0f} s")
    assert kept is not None
    stop = len(panel) - HORIZON
    seasonal = score(kept.history, panel.y[stop:], naive(kept.history))
    return [_accuracy(found, seasonal, options), _intervals(found, options)], kept


def fitting(options: Options) -> Fitting:
    """The defaults, with threads; fewer trees for the short form."""
    return replace(SHORT if options.short else Fitting(), threads=options.threads)


def naive(history: Panel) -> Forecasts:
    """Forecast by the same hour of the last day."""
    leads = np.arange(1, HORIZON + 1)
    return SeasonalNaive().forecast_at(history, np.full(HORIZON, len(history) - 1), leads)


def score(history: Panel, truth: Floats, forecasts: Forecasts) -> Scores:
    """Score what was forecast from the end of a history."""
    scale = metrics.seasonal_scale(history.y)
    errors = m4_measures.mase(truth, forecasts.mean, scale)
    by_series = [m4_measures.smape(truth[:, i], forecasts.mean[:, i]) for i in range(truth.shape[1])]
    rival = _naive2(history)
    naive_smape = float(np.mean([m4_measures.smape(truth[:, i], rival[:, i]) for i in range(truth.shape[1])]))
    naive_mase = float(np.nanmean(m4_measures.mase(truth, rival, scale)))
    bounds = forecasts.bounds or {"lo-95": forecasts.mean, "hi-95": forecasts.mean}
    low, high = bounds["lo-95"], bounds["hi-95"]
    smape = float(np.mean(by_series))
    return Scores(
        smape,
        errors,
        m4_measures.owa(smape, float(np.nanmean(errors)), naive_smape, naive_mase),
        (naive_smape, naive_mase),
        m4_measures.msis(truth, low, high, scale),
        m4_measures.covered(truth, low, high),
    )


def _naive2(history: Panel) -> Floats:
    """Naive2 of each series, from its own first hour on."""
    first = np.argmax(~np.isnan(history.y), axis=0)
    result = np.empty((HORIZON, len(history.entities)))
    for start in np.unique(first):
        same = first == start
        result[:, same] = m4_measures.naive2(history.y[start:, same], HORIZON)
    return result


def _accuracy(found: list[tuple[Scores, float]], seasonal: Scores, options: Options) -> Section:
    last = found[0][0]
    full = not options.short
    figures = [
        Figure("m4_owa", "OWA", last.owa, "{:.4f}", most=0.385 if full else 0.5),
        *(
            Figure(f"m4_owa_{back}h_earlier", f"  the same {back} h earlier", scores.owa, "{:.4f}")
            for back, (scores, _) in zip(ORIGINS[1:], found[1:], strict=False)
        ),
        Figure("m4_smape", "sMAPE", last.smape),
        Figure("m4_mase", "MASE", float(np.nanmean(last.mase))),
        Figure("m4_naive2_smape", "  sMAPE of Naive2", last.naive2[0]),
        Figure("m4_naive2_mase", "  MASE of Naive2", last.naive2[1]),
        Figure("m4_naive_owa", "  OWA of the seasonal naive", seasonal.owa),
        Figure(
            "m4_worse_than_naive",
            "share of the series worse than the seasonal naive",
            m4_measures.share_worse(last.mase, seasonal.mase),
        ),
        Figure(
            "m4_fit_s",
            f"seconds of the fit, {options.threads} threads",
            max(took for _, took in found),
            "{:.0f}",
            most=240,
        ),
    ]
    return Section(f"1. M4 hourly, {len(last.mase)} series, the last 48 h held out", tuple(figures))


def _intervals(found: list[tuple[Scores, float]], options: Options) -> Section:
    last, full = found[0][0], not options.short
    by_series = np.nanmean(last.inside, axis=0)
    figures = [
        Figure("m4_msis", "MSIS", float(np.nanmean(last.msis)), "{:.2f}", most=5.6 if full else 9.0),
        *(
            Figure(
                f"m4_msis_{back}h_earlier",
                f"  the same {back} h earlier",
                float(np.nanmean(scores.msis)),
                "{:.2f}",
            )
            for back, (scores, _) in zip(ORIGINS[1:], found[1:], strict=False)
        ),
        Figure(
            "m4_coverage",
            "coverage",
            float(np.nanmean(last.inside)),
            least=0.94 if full else 0.9,
            most=0.96 if full else 0.99,
        ),
        *(
            Figure(
                f"m4_coverage_{back}h_earlier",
                f"  the same {back} h earlier",
                float(np.nanmean(scores.inside)),
            )
            for back, (scores, _) in zip(ORIGINS[1:], found[1:], strict=False)
        ),
        *(
            Figure(
                f"m4_coverage_{i + 1}",
                f"  hours {8 * i + 1}-{8 * i + 8}",
                share,
                least=0.93 if full else 0.85,
                most=0.97 if full else 1.0,
            )
            for i, share in enumerate(last.sixths)
        ),
        Figure(
            "m4_covered_below_80", "share of the series covered below 80 %", float((by_series < 0.8).mean())
        ),
    ]
    return Section("2. 95 % intervals there", tuple(figures))
