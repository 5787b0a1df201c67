"""The longer backtest: the same models over several weeks of other months, so that the day is no luck."""

from __future__ import annotations

from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from datetime import UTC, datetime
from functools import partial

import pandas as pd

from forecasting.evaluation.backtest import Backtest
from forecasting.features.panel import Panel
from forecasting.models.global_forecaster import GlobalForecaster
from forecasting.models.naive import Forecaster
from tasks.delays import FITTING, SPEC
from tasks.demo.stop import Check
from tasks.demo.truth import RIVALS, Truth

CUTOFFS = [
    datetime(2013, 3, 18, tzinfo=UTC),
    datetime(2013, 4, 29, tzinfo=UTC),
    datetime(2013, 9, 9, tzinfo=UTC),
]
TEST = 14 * 24  # hours after each cutoff
FRESH = "1 h"
AGES = {FRESH: (1, 1), "2-5 h": (2, 5), "6-12 h": (6, 12), "13-24 h": (13, 24)}
MODEL = "forecast"


def backtest(
    truth: Truth, days: int, seen: Check = lambda: None, check: Check = lambda: None
) -> pd.DataFrame:
    """Score models that are fitted to `days` of history, two at a time: a fit leaves Python's lock.

    `seen` is called at the end of each of `steps()`, `check` also at its beginning; what it raises ends all.
    """
    plan = Backtest(train=days * 24, test=TEST)

    def one(origin: str, cutoff: pd.Timestamp) -> pd.DataFrame:
        check()
        panel, flights = truth.airport(origin)
        models: dict[str, Callable[[Panel], Forecaster]] = {
            MODEL: lambda past: GlobalForecaster(SPEC, FITTING).fit(past),
            **{name: partial(_as_it_is, rival) for name, rival in RIVALS.items()},
        }
        scores = plan.run(panel, [cutoff], models, flights)
        check()
        seen()
        return scores

    pool = ThreadPoolExecutor(2)
    try:
        return pd.concat(pool.map(lambda step: one(*step), steps(truth)), ignore_index=True)
    finally:
        pool.shutdown(cancel_futures=True)


def _as_it_is(rival: Forecaster, _: Panel) -> Forecaster:
    return rival


def steps(truth: Truth) -> list[tuple[str, pd.Timestamp]]:
    """What is fitted: an airport, and the last hour of its history."""
    return [(origin, pd.Timestamp(cutoff)) for cutoff in CUTOFFS for origin in truth.airports]
