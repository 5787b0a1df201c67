"""The demo's picture: a few entities with their intervals, as a PNG and as a page that needs nothing else."""

from __future__ import annotations

import base64
import html
from datetime import datetime
from pathlib import Path
from zoneinfo import ZoneInfo

import matplotlib as mpl
import pandas as pd
from matplotlib.axes import Axes
from matplotlib.dates import DateFormatter
from matplotlib.figure import Figure

from pipeline.pipe import ONE_HOUR

ENTITIES = 4
FORECAST, TRUTH, OLD = "#1f5fa8", "#222222", "#d9822b"


def draw(
    served: pd.DataFrame, out: Path, local: ZoneInfo, outage: tuple[datetime, datetime]
) -> tuple[Path, Path]:
    """Draw the entities with the most flights into `out`; give the PNG and the page."""
    out.mkdir(parents=True, exist_ok=True)
    busiest = served.groupby("unique_id")["weight"].sum().nlargest(ENTITIES).index
    figure = Figure(figsize=(11, 7), layout="constrained")
    axes = figure.subplots(2, 2, sharex=True, sharey=True).ravel()
    for axis, key in zip(axes, busiest, strict=True):
        _entity(axis, str(key), served[served["unique_id"] == key].sort_values("ds"), local, outage)
    axes[0].legend(loc="upper left", fontsize=8, frameon=False)
    figure.supylabel("mean delay of departures, minutes")
    figure.suptitle("What was served for each hour of 25 June 2013, an hour before it")
    png, page = out / "forecasts.png", out / "forecasts.html"
    with mpl.rc_context({"font.size": 9}):
        figure.savefig(png, dpi=130)
    page.write_text(_page(png.read_bytes(), served))
    return png, page


def _entity(
    axis: Axes, key: str, part: pd.DataFrame, local: ZoneInfo, outage: tuple[datetime, datetime]
) -> None:
    hours = part["ds"].dt.tz_convert(local)
    for level, alpha in ((95, 0.14), (80, 0.26)):
        axis.fill_between(
            hours,
            part[f"lo-{level}"],
            part[f"hi-{level}"],
            color=FORECAST,
            alpha=alpha,
            lw=0,
            label=f"{level} %",
        )
    axis.plot(hours, part["mean"], color=FORECAST, lw=1.4, label="served forecast")
    older = part["degraded"].to_numpy()
    axis.plot(hours[older], part["mean"][older], "o", color=OLD, ms=4, label="from an older one")
    axis.plot(hours, part["y"], ".", color=TRUTH, ms=5, label="what came")
    first, last = (pd.Timestamp(date).tz_convert(local) for date in outage)
    axis.axvspan(first, last + ONE_HOUR, color=OLD, alpha=0.1, lw=0)
    axis.set_title(key, loc="left", fontsize=10)
    axis.xaxis.set_major_formatter(DateFormatter("%H:%M", tz=local))
    axis.tick_params(axis="x", rotation=0)
    axis.spines[["top", "right"]].set_visible(False)
    axis.set_ylim(-25, 150)


def _page(picture: bytes, served: pd.DataFrame) -> str:
    code = base64.b64encode(picture).decode()
    older = int(served["degraded"].sum())
    text = html.escape(
        f"{len(served):,} answers for {served['unique_id'].nunique()} carriers and routes; {older:,} of them came from "
        "an older forecast, because a source failed (the shaded hours)."
    )
    return (
        '<!doctype html><html lang="en"><meta charset="utf-8"><title>celery-waves: a day of forecasts</title>'
        "<style>body{font:16px/1.5 system-ui,sans-serif;max-width:72rem;margin:2rem auto;padding:0 1rem;color:#222}"
        "img{width:100%;height:auto}</style><h1>A day of forecasts</h1>"
        f'<p>{text}</p><img alt="Served forecasts of four carriers with their intervals" '
        f'src="data:image/png;base64,{code}"></html>\n'
    )
