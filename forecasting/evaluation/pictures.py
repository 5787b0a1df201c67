"""Pictures of a backtest: error and coverage by the forecast's age. Needs matplotlib: `celery-waves[pictures]`."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pandas as pd
from matplotlib.figure import Figure

from forecasting.evaluation.backtest import by_age
from forecasting.models.columns import LEVELS

INKS = ("#2563a8", "#c2410c", "#4d7c0f", "#7e22ce", "#475569", "#be123c")


def draw_backtest(scores: pd.DataFrame, path: Path | str, *, measure: str = "mae", unit: str = "") -> Path:
    """Draw what `Backtest.run` returned: each model's error by lead, and what its intervals covered.

    Args:
        scores: What it returned.
        path: Where the picture goes; its ending says which kind: .png, .svg, .pdf.
        measure: A column of `by_age`: mae, rmse, mase or smape.
        unit: Of the error, for the axis.

    Raises:
        ValueError: There is no such measure.
    """
    if measure not in (known := ("mae", "rmse", "mase", "smape")):
        raise ValueError(f"measure={measure!r} cannot be drawn. Use {', '.join(known)}.")
    table = by_age(scores, {str(lead): (lead, lead) for lead in sorted(set(scores["lead"]))})
    table["lead"] = table["age"].astype(int)
    figure = Figure(figsize=(9, 3.6), layout="constrained")
    errors, covers = figure.subplots(1, 2)
    look: dict[str, Any] = {"color": INKS, "xlabel": "age of the forecast, h"}
    label = f"{measure.upper()}{f', {unit}' if unit else ''}"
    table.pivot(index="lead", columns="model", values=measure).plot(
        ax=errors, ylabel=label, marker=".", **look
    )
    for level, style in zip(LEVELS, ("--", "-"), strict=True):
        covers.axhline(level, color="#9ca3af", linewidth=0.8)
        covered = 100 * table.pivot(index="lead", columns="model", values=f"cover-{level}")
        covered.add_suffix(f", {level} %").plot(ax=covers, ylabel="covered, %", style=style, **look)
    for axes in (errors, covers):
        axes.spines[["top", "right"]].set_visible(False)
        axes.legend(frameon=False, fontsize=8)
    figure.savefig(path, dpi=150)
    return Path(path)
