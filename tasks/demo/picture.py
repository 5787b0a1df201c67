"""The picture of the day: a few carriers and routes, what they were told, and what came."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import Any

import matplotlib as mpl
import numpy as np
from matplotlib.dates import DateFormatter
from matplotlib.figure import Figure

from tasks.demo.day import Day
from tasks.demo.script import Script, local

SHOWN = ("EWR-UA", "JFK-B6", "LGA-DL", "JFK-LAX")
BLUE, AMBER, INK = "#2563a8", "#c2410c", "#1f2937"


def draw(day: Day, script: Script, out: Path, shown: Sequence[str] = SHOWN) -> Path:
    """Draw some entities' day, a panel each; returns the path of the PNG."""
    out.mkdir(parents=True, exist_ok=True)
    with mpl.rc_context({"font.size": 9, "axes.spines.top": False, "axes.spines.right": False}):
        figure = Figure(figsize=(11, 6.4), dpi=130, layout="constrained")
        axes = figure.subplots(2, 2, sharex=True).ravel()
        for axis, entity in zip(axes, shown, strict=True):
            _panel(axis, day, script, day.entities.index(entity), entity)
        handles, labels = axes[0].get_legend_handles_labels()
        figure.legend(handles, labels, loc="outside lower center", ncols=len(labels), frameon=False)
        title = f"Mean delay of departures, {local(script.issues[0]):%d %B %Y}: what each hour was told, and what came"
        figure.suptitle(title, x=0.01, ha="left", fontweight="bold", color=INK)
        figure.savefig(out / "delays.png", metadata={"Software": None})
    return out / "delays.png"


def _panel(axis: Any, day: Day, script: Script, column: int, entity: str) -> None:
    hours = np.array([local(date).replace(tzinfo=None) for date in day.hours])
    for level, shade in ((95, 0.16), (80, 0.3)):
        low, high = (day.bounds[f"{side}-{level}"][:, column] for side in ("lo", "hi"))
        axis.fill_between(hours, low, high, color=BLUE, alpha=shade, lw=0, label=f"{level} % interval")
    mean, older = day.mean[:, column], day.older[:, column]
    axis.plot(hours, mean, color=BLUE, lw=1.6, label="forecast")
    axis.plot(hours[older], mean[older], "o", color=AMBER, ms=4, label="from an older forecast")
    there = day.flights[:, column] > 0
    size, label = 8 + 3 * day.flights[there, column], "came (size: flights)"
    axis.scatter(hours[there], day.y[there, column], s=size, color=INK, zorder=3, label=label)
    gone = [hour for hour, date in zip(hours, script.issues, strict=True) if date in script.outage]
    axis.axvspan(gone[0], gone[-1], color=AMBER, alpha=0.09, lw=0, label="departures do not answer")
    axis.axhline(0, color=INK, lw=0.5)
    axis.set_title(entity, loc="left", color=INK)
    axis.set_ylabel("minutes")
    axis.xaxis.set_major_formatter(DateFormatter("%H:%M"))
