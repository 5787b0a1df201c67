"""The series: files that are not part of the project, read from the folder that --data names."""

from __future__ import annotations

import csv
from pathlib import Path

import numpy as np
import pandas as pd

from forecasting.features.panel import Panel

START = pd.Timestamp("2020-01-06", tz="UTC")  # a Monday: the files have no hours, or other ones


def m4(folder: Path, count: int | None = None) -> Panel:
    """Read the M4 hourly series, side by side so that all end in the same hour; `count` of them, evenly chosen."""
    with (folder / "m4_hourly_train.csv").open() as file:
        rows = [(row[0], [float(value) for value in row[1:] if value]) for row in csv.reader(file)]
    if count is not None:
        rows = [rows[i] for i in np.linspace(0, len(rows) - 1, count).astype(int)]
    y = np.full((max(len(values) for _, values in rows), len(rows)), np.nan)
    for column, (_, values) in enumerate(rows):
        y[len(y) - len(values) :, column] = values
    return _panel(y, [name for name, _ in rows])


def pedestrians(folder: Path) -> Panel:
    """Read the counts of pedestrians."""
    return _unnamed(folder / "melbourne_pedestrians.csv")


def bikes(folder: Path) -> Panel:
    """Read the flow of bikes; cells that never saw one are left out: no error can be scaled there."""
    panel = _unnamed(folder / "nyc_bike.csv")
    used = np.flatnonzero((panel.y != 0).any(axis=0))
    return _panel(panel.y[:, used], [panel.entities[i] for i in used])


def ads(folder: Path) -> Panel:
    """Read the prices of advertisements: the hour of a time stamp is the one that it lies in."""
    parts = []
    for path in sorted((folder / "ads").glob("*.csv")):
        part = pd.read_csv(path, parse_dates=["timestamp"])
        ds = part["timestamp"].dt.tz_localize("UTC").dt.floor("h")
        parts.append(pd.DataFrame({"unique_id": path.stem, "ds": ds, "y": part["value"]}))
    return Panel.from_long(pd.concat(parts, ignore_index=True))


def _unnamed(path: Path) -> Panel:
    y = np.loadtxt(path, delimiter=",")
    return _panel(y, [f"s{i}" for i in range(y.shape[1])])


def _panel(y: np.ndarray, names: list[str]) -> Panel:
    hours = pd.date_range(START, periods=len(y), freq="h")
    return Panel.from_frames(pd.DataFrame(y, index=hours, columns=names))
