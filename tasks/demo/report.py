"""The demo's tables."""

from __future__ import annotations

from typing import Any
from zoneinfo import ZoneInfo

import pandas as pd
from rich.console import Console
from rich.table import Table

from tasks.demo.scores import AGES, SIMPLE


def served_hours(console: Console, served: pd.DataFrame, local: ZoneInfo) -> None:
    """Show, hour by hour, who was answered, from how old a forecast, and how well where flights left."""
    table = _table("hour", "answered", "from an older one", "age, h", "MAE, min", "in 80 %", "in 95 %")
    for at, part in served.groupby("ds"):
        known = part[part["weight"] > 0]
        older = int(part["degraded"].sum())
        table.add_row(
            f"{pd.Timestamp(str(at)).tz_convert(local):%H:%M}",
            str(len(part)),
            str(older) if older else "",
            str(int(part["lead"].max())),
            *_errors(known),
            style="yellow" if older else "",
        )
    console.print(f"\nwhat was served ({served['ds'].nunique()} hours, New York time):")
    console.print(table)
    older = int(served["degraded"].sum())
    console.print(f"{len(served):,} answers, {older:,} of them from an older forecast; none was missing.\n")


def _errors(known: pd.DataFrame) -> list[str]:
    if known.empty:
        return ["no flights", "", ""]
    error = ((known["y"] - known["mean"]).abs() * known["weight"]).sum() / known["weight"].sum()
    inside = [known["y"].between(known[f"lo-{n}"], known[f"hi-{n}"]).mean() for n in (80, 95)]
    return [f"{error:.1f}", *(f"{share:.0%}" for share in inside)]


def day(console: Console, scores: pd.DataFrame) -> None:
    """Show fresh and older forecasts of the day beside simple ones."""
    table = _table("served", "answers", "with flights", "forecast", *SIMPLE, "in 80 %", "in 95 %")
    for name, row in scores.iterrows():
        numbers = [f"{row[column]:.1f}" for column in ("forecast", *SIMPLE)]
        covers = [f"{row[column]:.0%}" for column in ("in 80 %", "in 95 %")]
        table.add_row(str(name), f"{row['served']:,.0f}", f"{row['truths']:,.0f}", *numbers, *covers)
    console.print(
        "that day (mean absolute error in minutes, weighted by flights; simple ones on the same hours):"
    )
    console.print(table)


def backtest(console: Console, scores: pd.DataFrame) -> None:
    """Show the error by the forecast's age."""
    table = _table("age of the forecast", *AGES)
    for name, part in scores.groupby("model", sort=False):
        by_age: dict[str, Any] = part.set_index("age")["mae"].to_dict()
        table.add_row(str(name), *(f"{by_age[age]:.1f}" for age in AGES))
    ours = scores[scores["model"] == "forecast"].set_index("age")
    for level in (80, 95):
        table.add_row(
            f"in {level} %", *(f"{ours.loc[age, f'cover-{level}']:.0%}" for age in AGES), style="dim"
        )
    console.print(table)
    console.print(f"{int(ours['hours'].sum()):,} forecast hours with flights", style="dim")


def _table(first: str, *others: str) -> Table:
    table = Table(box=None, pad_edge=False, padding=(0, 2))
    table.add_column(first)
    for name in others:
        table.add_column(name, justify="right")
    return table
