"""What was served, against what came: errors and coverage, beside simple forecasts."""

from __future__ import annotations

from datetime import datetime

import numpy as np
import pandas as pd

from forecasting.backtest import Backtest, by_age
from forecasting.naive import Constant, Forecaster, SeasonalNaive, TrailingMean
from forecasting.panel import Panel
from forecasting.reader import read_forecasts
from forecasting.registry import Registry
from pipeline.pipe import ONE_HOUR
from pipeline.runtime import Runtime
from tasks import flights

PIPE = "delay_forecast"
SIMPLE: dict[str, Forecaster] = {
    "seasonal naive": SeasonalNaive(),
    "14-day mean": TrailingMean(),
    "zero": Constant(0.0),
}
AGES = {"1 h": (1, 1), "2-6 h": (2, 6), "7-12 h": (7, 12), "13-24 h": (13, 24)}


def panel(airport: str) -> Panel:
    """Give the whole year of one airport, with what its models are told beside the delays."""
    board = flights.departures()
    keys = [key for key, features in board.entities.items() if features["origin"] == airport]
    columns = [board.columns[key] for key in keys]
    seen = flights.weather().measure("visibility", airport).reindex(board.hours).to_numpy(np.float64)
    past = {
        "waiting": board.waiting[:, columns],
        "weather": np.repeat(seen[:, None], len(keys), axis=1),
    }
    y, weight = board.delay()[:, columns], board.flights[:, columns]
    return Panel(board.hours, tuple(keys), y, weight, past)


def served(runtime: Runtime, first: datetime, hours: int) -> pd.DataFrame:
    """Ask for each of the day's hours, an hour before it, as a client would.

    Gives a row an entity and hour: ds, unique_id, mean, lo-80 ... hi-95, lead, degraded, y and weight (NaN and 0
    where nothing left), and what the simple forecasts would have said then.
    """
    board = flights.departures()
    keys = list(board.entities)
    rows = []
    for at in (first + n * ONE_HOUR for n in range(1, hours + 1)):
        found = read_forecasts(PIPE, keys, at, version=runtime.settings.version, store=runtime.store)
        row = int(board.hours.get_indexer([pd.Timestamp(at)])[0])
        for key, forecast in found.items():
            column = board.columns[key]
            rows.append(
                {"ds": at, "unique_id": key, "row": row, "mean": forecast.value}
                | dict(forecast.bounds)
                | {"lead": forecast.lead, "degraded": forecast.degraded}
                | {"y": board.delay()[row, column], "weight": board.flights[row, column]}
            )
    return _with_simple(pd.DataFrame(rows))


def _with_simple(table: pd.DataFrame) -> pd.DataFrame:
    """Add what the simple forecasts would have said an hour before."""
    for airport in sorted({key.partition("-")[0] for key in table["unique_id"]}):
        data = panel(airport)
        mine = table["unique_id"].str.startswith(f"{airport}-")
        rows = np.unique(table.loc[mine, "row"].to_numpy())
        place = {row: i for i, row in enumerate(rows)}
        columns = {key: i for i, key in enumerate(data.entities)}
        for name, model in SIMPLE.items():
            said = model.forecast_at(data, rows - 1, np.ones(len(rows), np.int64)).mean
            table.loc[mine, name] = [
                said[place[row], columns[key]]
                for row, key in zip(table.loc[mine, "row"], table.loc[mine, "unique_id"], strict=True)
            ]
    return table


def day(table: pd.DataFrame) -> pd.DataFrame:
    """Score fresh and older forecasts of the day, each beside the simple ones on the same hours.

    Gives a row each: served (rows), truths (of these, how many hours had flights), `forecast` and the simple ones'
    mean absolute errors weighted by flights, and the shares covered by the 80 and 95 % intervals.
    """
    rows = {}
    for name, part in (("fresh", table[~table["degraded"]]), ("older", table[table["degraded"]])):
        known = part[part["weight"] > 0]
        errors = {
            label: _mae(known, column)
            for label, column in {"forecast": "mean", **{s: s for s in SIMPLE}}.items()
        }
        covers = {
            f"in {level} %": float(known["y"].between(known[f"lo-{level}"], known[f"hi-{level}"]).mean())
            for level in (80, 95)
        }
        rows[name] = {"served": len(part), "truths": len(known)} | errors | covers
    return pd.DataFrame(rows).T


def _mae(known: pd.DataFrame, column: str) -> float:
    if known.empty:
        return float("nan")
    return float(np.average((known["y"] - known[column]).abs(), weights=known["weight"]))


def backtest(registry: Registry, airports: list[str], first: datetime) -> pd.DataFrame:
    """Score the live models on the two weeks after `first`, which they have not seen: a row a model and age."""
    plan = Backtest(train=24, test=360)
    cutoff = pd.Timestamp(first - ONE_HOUR)
    parts = []
    for airport in airports:
        model, _ = registry.load("delay", airport)
        fitted = {"forecast": model, **SIMPLE}
        models = {name: (lambda _past, found=found: found) for name, found in fitted.items()}
        parts.append(plan.run(panel(airport), [cutoff], models))
    return by_age(pd.concat(parts, ignore_index=True), AGES)
