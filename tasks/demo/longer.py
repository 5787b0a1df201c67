"""The longer backtest: the same models over several weeks of other months, so that the day is no luck."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from functools import partial

import pandas as pd

from forecasting.evaluation.backtest import Backtest
from forecasting.features.panel import Panel
from forecasting.models.global_forecaster import GlobalForecaster
from forecasting.models.naive import Forecaster
from tasks.delays import FITTING, SPEC
from tasks.demo.stop import Check
from tasks.demo.truth import RIVALS, Truth

CUTOFFS = [pd.Timestamp(day, tz="UTC") for day in ("2013-03-18", "2013-04-29", "2013-09-09")]
TEST = 14 * 24  # hours after each cutoff
FRESH = "1 h"
AGES = {FRESH: (1, 1), "2-5 h": (2, 5), "6-12 h": (6, 12), "13-24 h": (13, 24)}
MODEL = "forecast"


def backtest(truth: Truth, days: int, check: Check = lambda: None) -> Iterator[pd.DataFrame]:
    """Score models that are fitted to `days` of history, two at a time: a fit leaves Python's lock.

    Returns the scores of each of `steps()`. `check` is called around each; what it raises ends all.
    """
    plan = Backtest(train=days * 24, test=TEST)

    def one(step: tuple[str, pd.Timestamp]) -> pd.DataFrame:
        check()
        panel, flights = truth.airport(step[0])
        models: dict[str, Callable[[Panel], Forecaster]] = {
            MODEL: lambda past: GlobalForecaster(SPEC, FITTING).fit(past),
            **{name: partial(_as_it_is, rival) for name, rival in RIVALS.items()},
        }
        return plan.run(panel, [step[1]], models, flights)

    pool = ThreadPoolExecutor(2)
    try:
        for scores in pool.map(one, steps(truth)):
            check()
            yield scores
    finally:
        pool.shutdown(cancel_futures=True)


def _as_it_is(rival: Forecaster, _: Panel) -> Forecaster:
    return rival


def steps(truth: Truth) -> list[tuple[str, pd.Timestamp]]:
    """Return what is fitted: an airport, and the last hour of its history."""
    return [(origin, cutoff) for cutoff in CUTOFFS for origin in truth.airports]
