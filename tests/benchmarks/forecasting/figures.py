"""What is claimed of one line, what was measured, and the table that shows both."""

from __future__ import annotations

import os
import platform
import sys
import time
from collections.abc import Iterable
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import xgboost as xgb

BEGAN = time.monotonic()


@dataclass(frozen=True, slots=True)
class Options:
    """How the benchmark is run."""

    data: Path  # the folder of the series
    short: bool = False  # fewer series and trees: ends within a minute; its targets are wider
    threads: int = 2  # of a fit
    rivals: Path | None = None  # the interpreter that has the other libraries; this one's by default


@dataclass(frozen=True, slots=True)
class Figure:
    """One number, with its target where there is one."""

    key: str  # in the JSON
    text: str
    value: float
    form: str = "{:.3f}"
    least: float | None = None
    most: float | None = None

    @property
    def met(self) -> bool:
        """Whether it is as claimed; one without a target is."""
        low = self.least is None or self.value >= self.least
        return low and (self.most is None or self.value <= self.most)

    @property
    def target(self) -> str:
        """Write the target."""
        bounds = [
            f"{sign} {self.form.format(bound)}"
            for sign, bound in ((">=", self.least), ("<=", self.most))
            if bound is not None
        ]
        return ", ".join(bounds)


@dataclass(frozen=True, slots=True)
class Section:
    """Figures under one heading."""

    heading: str
    figures: tuple[Figure, ...]


def table(sections: Iterable[Section]) -> str:
    """Write everything."""
    rows = []
    for section in sections:
        rows += ["", section.heading]
        for figure in section.figures:
            verdict = "" if not figure.target else "met" if figure.met else "MISSED"
            value = figure.form.format(figure.value)
            rows.append(f"  {figure.text:<58} {value:>10}   {figure.target:>18} {verdict}".rstrip())
    return "\n".join(rows)


def say(text: str) -> None:
    """Write a line of progress."""
    print(f"{time.monotonic() - BEGAN:6.1f} s  {text}", file=sys.stderr, flush=True)


def machine() -> str:
    """Say what it was measured on."""
    load = ", ".join(f"{value:.1f}" for value in os.getloadavg())
    return (
        f"{os.cpu_count()} processors, load {load}; Python {platform.python_version()}, "
        f"numpy {np.__version__}, xgboost {xgb.__version__}"
    )
