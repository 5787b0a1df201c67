"""Do intervals hold what they promise? Recalibrated ones after the world has changed, and those of the fallback.

    python -m tests.benchmarks.honesty [--data DIR] [--json FILE]

A model is fitted once and forecasts for weeks; each forecast is recalibrated by the stored ones of the days before,
read from a store as a wave does. The same again with hours whose distance from the usual is doubled or halved from
the middle of these weeks on. DIR holds melbourne_pedestrians.csv and ads/*.csv; without it series are generated.
"""

from __future__ import annotations

import argparse
import json
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd

from forecasting.features.panel import Floats, Panel
from forecasting.models.columns import LEVELS
from forecasting.models.forecasts import Forecasts
from forecasting.models.global_forecaster import Fitting, GlobalForecaster
from forecasting.reading.fallback import WINDOW, ridge, seasonal_naive
from forecasting.reading.recalibration import Recalibrated, issue_dates, recalibrate
from pipeline.store import MemoryStore

START = pd.Timestamp("2026-01-01", tz="UTC")
LEADS = np.arange(1, 25)
BACK = [
    (START - pd.Timestamp(date)) // pd.Timedelta(hours=1) for date in issue_dates(START.to_pydatetime(), 24)
]
STEP = 29  # hours between the forecasts that are scored; meets every hour of the day
FAR = 1e12
FITTING = Fitting(rounds=60, quantile_rounds=30, max_rows=15_000)  # quick: what counts is what comes after
PROMISED = {80: (0.76, 0.85), 95: (0.93, 0.975)}
WEEK = 168


def main() -> None:
    """Measure and print; ends with 1 where a promise is broken."""
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--data", type=Path, metavar="DIR")
    parser.add_argument("--json", type=Path, metavar="FILE")
    given = parser.parse_args()
    began, figures = time.perf_counter(), {}
    for name, y in sets(given.data):
        for world, factor in (("as it is", 1.0), ("twice as noisy", 2.0), ("half as noisy", 0.5)):
            figures[f"{name}, {world}"] = recalibration(changed(y, factor))
        figures[f"{name}, fallback"] = fallback(y)
    for name, found in figures.items():
        print(name)
        for line, values in found.items():
            print(f"  {line:<28} " + "  ".join(f"{key} {value:.3f}" for key, value in values.items()))
    broken = [name for name, found in figures.items() if not kept(found.get("recalibrated"))]
    print(
        f"{time.perf_counter() - began:.0f} s;",
        f"broken: {', '.join(broken)}" if broken else "all promises are kept",
    )
    if given.json:
        given.json.write_text(json.dumps(figures, indent=1))
    raise SystemExit(bool(broken))


def sets(folder: Path | None) -> Iterator[tuple[str, Floats]]:
    """Give names and series (hours, entities)."""
    if folder is None:
        rng = np.random.default_rng(1)
        hours = np.arange(1500)[:, None]
        rhythm = np.sin(2 * np.pi * (hours % 24) / 24 + rng.uniform(0, 6, 40))
        yield "generated", 100 + 50 * rhythm + 10 * rng.standard_normal((1500, 40))
        return
    yield "pedestrians", np.loadtxt(folder / "melbourne_pedestrians.csv", delimiter=",")[9000:11000, ::3]
    columns = []
    for path in sorted((folder / "ads").glob("*.csv")):
        data = pd.read_csv(path, parse_dates=["timestamp"])
        hourly = data.groupby(data["timestamp"].dt.floor("h"))["value"].last()
        columns.append(hourly.asfreq("h").to_numpy())
    yield "ads", np.stack([column[: min(map(len, columns))] for column in columns], axis=1)


def changed(y: Floats, factor: float) -> Floats:
    """Let each hour's distance from the usual of its week be so many times as large, from the middle of the test on."""
    weeks = np.stack([np.nanmean(y[hour::WEEK], axis=0) for hour in range(WEEK)])
    usual = weeks[np.arange(len(y)) % WEEK]
    late = (np.arange(len(y)) >= 3 * len(y) // 4)[:, None]
    return np.where(late, usual + factor * (y - usual), y)


def recalibration(y: Floats) -> dict[str, dict[str, float]]:
    """Fit on the first half, forecast the second; gives shares covered before and after, and the score of 95 %."""
    hours = pd.date_range(START, periods=len(y), freq="h")
    panel = Panel.from_frames(pd.DataFrame(y, index=hours, columns=[f"e{n}" for n in range(y.shape[1])]))
    half = len(panel) // 2
    model, store = GlobalForecaster(fitting=FITTING).fit(panel.part(0, half)), MemoryStore()
    put: set[int] = set()
    unit = np.nanmean(np.abs(y[24:] - y[:-24]), axis=0)
    rows: dict[str, list[tuple[Floats, ...]]] = {"as the model gives them": [], "recalibrated": []}

    rows_of = range(half + 100, len(panel) - 25, STEP)
    dates_of = {row: [row - back for back in BACK] for row in rows_of}
    made = forecasts(model, panel, sorted({*rows_of, *(row for d in dates_of.values() for row in d)}))
    for row in rows_of:
        for earlier in set(dates_of[row]) - put:
            date = hours[earlier].to_pydatetime()
            store.put("main", "f", date, Recalibrated(made[earlier], {}).to_pipes(), FAR)
            put.add(earlier)
        seen = panel.part(max(row - 800, 0), row + 1)
        after = recalibrate(made[row], seen, "f", "main", store).forecasts
        truth = y[row + LEADS]
        for found, name in zip((made[row], after), rows, strict=True):
            rows[name].append(judged(found.bounds, truth, unit))
    return {name: shares(found) for name, found in rows.items()}


def forecasts(model: GlobalForecaster, panel: Panel, rows: list[int]) -> dict[int, Forecasts]:
    """Forecast from some rows, many at a time."""
    found = {}
    for start in range(0, len(rows), 40):
        some = np.array(rows[start : start + 40])
        many = model.forecast_at(panel, np.repeat(some, 24), np.tile(LEADS, len(some)))
        for n, row in enumerate(some.tolist()):
            own = slice(24 * n, 24 * n + 24)
            bounds = {name: values[own] for name, values in many.bounds.items()}
            found[row] = Forecasts(many.entities, many.issued[own], LEADS, many.mean[own], bounds)
    return found


def judged(bounds: Any, truth: Floats, unit: Floats) -> tuple[Floats, ...]:
    """Tell what each level covers, and the interval score of 95 % in units of the usual change in a day."""
    known = np.isnan(truth)
    inside = [
        np.where(known, np.nan, (bounds[f"lo-{level}"] <= truth) & (truth <= bounds[f"hi-{level}"]))
        for level in LEVELS
    ]
    low, high = bounds["lo-95"], bounds["hi-95"]
    return (*inside, (high - low + 40 * (np.maximum(low - truth, 0) + np.maximum(truth - high, 0))) / unit)


def shares(rows: list[tuple[Floats, ...]]) -> dict[str, float]:
    """Average over forecasts, leads and entities."""
    parts = [np.stack(part) for part in zip(*rows, strict=True)]
    found = {f"in {level} %": float(np.nanmean(part)) for level, part in zip(LEVELS, parts, strict=False)}
    by_entity = np.nanmean(parts[1], axis=tuple(range(parts[1].ndim - 1)))
    return found | {
        "entities below 80 %": float(np.mean(by_entity < 0.8)),
        "score of 95 %": float(np.nanmean(parts[-1])),
    }


def fallback(y: Floats) -> dict[str, dict[str, float]]:
    """Forecast every so often by what was observed; gives shares covered, and the error in changes of a day."""
    unit, found = np.nanmean(np.abs(y[24:] - y[:-24]), axis=0), {}
    methods: dict[str, Callable[[Floats, int], Any]] = {"ridge": ridge, "seasonal naive": seasonal_naive}
    for lead in (1, 6, 24, 48):
        for name, method in methods.items():
            rows, errors = [], []
            for row in range(WINDOW, len(y) - lead, STEP):
                mean, bounds = method(y[row - WINDOW : row], lead)
                rows.append(judged(bounds, y[row - 1 + lead], unit))
                errors.append(np.abs(mean - y[row - 1 + lead]) / unit)
            found[f"{name}, {lead} h ahead"] = {"error": float(np.nanmean(errors))} | shares(rows)
    return found


def kept(found: dict[str, float] | None) -> bool:
    """Tell whether recalibrated intervals cover what they promise; true for what has none."""
    return found is None or all(
        low <= found[f"in {level} %"] <= high for level, (low, high) in PROMISED.items()
    )


if __name__ == "__main__":
    main()
