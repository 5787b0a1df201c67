"""The picture of the day: a few carriers and routes, what they were told, and what came."""

from __future__ import annotations

import base64
import html
import io
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import matplotlib as mpl
import numpy as np
from matplotlib.dates import DateFormatter
from matplotlib.figure import Figure

from tasks.demo.day import Day
from tasks.demo.script import NEW_YORK, Script, local
from tasks.demo.truth import RIVALS

SHOWN = ("EWR-UA", "JFK-B6", "LGA-DL", "JFK-LAX")
PNG, PAGE = "delays.png", "delays.html"
BLUE, AMBER, INK = "#2563a8", "#c2410c", "#1f2937"


def draw(day: Day, script: Script, out: Path) -> list[Path]:
    """Write a PNG, and a page that holds it and the day's numbers and needs no network; give their paths."""
    out.mkdir(parents=True, exist_ok=True)
    png = picture(day, script)
    (out / PNG).write_bytes(png)
    (out / PAGE).write_text(page(day, script, png), encoding="utf-8")
    return [out / PNG, out / PAGE]


def picture(day: Day, script: Script, shown: Sequence[str] = SHOWN) -> bytes:
    """Draw the entities' day, a panel each."""
    with mpl.rc_context({"font.size": 9, "axes.spines.top": False, "axes.spines.right": False}):
        figure = Figure(figsize=(11, 6.4), dpi=130, layout="constrained")
        axes = figure.subplots(2, 2, sharex=True).ravel()
        for axis, entity in zip(axes, shown, strict=True):
            _panel(axis, day, script, day.entities.index(entity), entity)
        handles, labels = axes[0].get_legend_handles_labels()
        figure.legend(handles, labels, loc="outside lower center", ncols=len(labels), frameon=False)
        figure.suptitle(
            f"Mean delay of departures, {local(script.issues[0]):%d %B %Y}: what each hour was told, and what came",
            x=0.01,
            ha="left",
            fontweight="bold",
            color=INK,
        )
        target = io.BytesIO()
        figure.savefig(target, format="png", metadata={"Software": None})
    return target.getvalue()


def _panel(axis: Any, day: Day, script: Script, column: int, entity: str) -> None:
    hours = [local(date).replace(tzinfo=None) for date in day.hours]
    low, high, mean = {}, {}, day.mean[:, column]
    for level in (95, 80):
        low[level], high[level] = day.bounds[f"lo-{level}"][:, column], day.bounds[f"hi-{level}"][:, column]
        shade = {95: 0.16, 80: 0.3}[level]
        axis.fill_between(
            hours, low[level], high[level], color=BLUE, alpha=shade, lw=0, label=f"{level} % interval"
        )
    older = day.older[:, column]
    axis.plot(hours, mean, color=BLUE, lw=1.6, label="forecast")
    axis.plot(np.array(hours)[older], mean[older], "o", color=AMBER, ms=4, label="from an older forecast")
    there = day.flights[:, column] > 0
    size = 8 + 3 * day.flights[there, column]
    axis.scatter(
        np.array(hours)[there],
        day.y[there, column],
        s=size,
        color=INK,
        zorder=3,
        label="came (size: flights)",
    )
    gone = [hour for hour, date in zip(hours, script.issues, strict=True) if date in script.outage]
    axis.axvspan(gone[0], gone[-1], color=AMBER, alpha=0.09, lw=0, label="departures do not answer")
    axis.axhline(0, color=INK, lw=0.5)
    axis.set_title(entity, loc="left", color=INK)
    axis.set_ylabel("minutes")
    axis.xaxis.set_major_formatter(DateFormatter("%H:%M"))


def page(day: Day, script: Script, png: bytes) -> str:
    """Write the page."""
    head = "".join(
        f"<th>{html.escape(name)}</th>" for name in ("forecast", "error, min", *RIVALS, "in 80 %", "in 95 %")
    )
    rows = "".join(
        f"<tr><th>{name}</th>" + "".join(f"<td>{cell}</td>" for cell in _cells(day, where)) + "</tr>"
        for name, where in (("fresh", day.fresh), ("older", day.older), ("all", day.answered))
    )
    date = f"{local(script.issues[0]):%d %B %Y}"
    return f"""<!doctype html>
<html lang="en"><meta charset="utf-8"><meta name="viewport" content="width=device-width, initial-scale=1">
<title>Delays of {date}</title>
<style>
body {{ font: 15px/1.5 system-ui, sans-serif; color: {INK}; max-width: 70rem; margin: 2rem auto; padding: 0 1rem }}
img {{ width: 100% }} table {{ border-collapse: collapse }}
th, td {{ padding: .2rem .8rem; text-align: right; border-bottom: 1px solid #e5e7eb }}
th:first-child {{ text-align: left }}
</style>
<h1>Delays of {date}</h1>
<p>{day.answered.sum():,} of {day.answered.size:,} questions were answered, {day.older.sum():,} from an older forecast:
from {local(script.outage[0]):%H:%M} to {local(script.outage[-1]):%H:%M} the departures did not answer.</p>
<img alt="Forecasts and delays of {html.escape(", ".join(SHOWN))}"
src="data:image/png;base64,{base64.b64encode(png).decode()}">
<table><thead><tr>{head}</tr></thead><tbody>{rows}</tbody></table>
<p>Mean error in minutes, weighted by flights; simple forecasts for the same hours, made with all data. Times are those
of {NEW_YORK.key.replace("_", " ")}.</p>
</html>
"""


def _cells(day: Day, where: Any) -> list[str]:
    errors = [day.mae(where), *(day.mae(where, rival) for rival in RIVALS)]
    shares = [day.coverage(level, where) for level in (80, 95)]
    return [f"{e:.1f}" for e in errors] + [f"{100 * s:.0f} %" for s in shares]
