"""What is claimed, and the table that shows it beside what was measured."""

from __future__ import annotations

import os
import platform
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

Figures = Mapping[str, Any]


@dataclass(frozen=True, slots=True)
class Line:
    """One line of the table."""

    key: str  # of the figure
    text: str
    form: str = "{:,.0f}"
    least: float | None = None  # the target, where there is one
    most: float | None = None

    @property
    def target(self) -> str:
        """Write the target."""
        if self.least is not None:
            return f">= {self.form.format(self.least)}"
        return "" if self.most is None else f"<= {self.form.format(self.most)}"

    def met(self, figures: Figures, slack: float = 0.0) -> bool:
        """Tell whether the figure is as claimed, or off by at most the share `slack`; one without a target is."""
        value = figures[self.key]
        least = self.least is None or value >= self.least * (1 - slack)
        return least and (self.most is None or value <= self.most * (1 + slack))


HEADINGS: Mapping[str, list[Line]] = {
    "10,000 entities, 5 tasks, 2 workers, JSON objects; entity-tasks a second": [
        Line("rate", "celery-waves"),
        Line("rate_pipelines", "one plain process, Redis pipelines"),
        Line("ratio_to_pipelines", "  times as fast as that", "{:.2f}", least=0.55),
        Line("rate_mget", "the same, reading with MGET"),
        Line("ratio_to_mget", "  times as fast as that", "{:.2f}"),
        Line("rate_chords", "one Celery chord an entity"),
        Line("ratio_to_chords", "  times as fast as that", "{:.0f}", least=75),
    ],
    "the same with numbers, which also go into series": [
        Line("rate_numbers", "celery-waves"),
        Line("rate_numbers_pipelines", "one plain process, Redis pipelines"),
        Line("ratio_numbers_to_pipelines", "  times as fast as that", "{:.2f}"),
    ],
    "the same with 8 threads in the collection tasks": [
        Line("rate_threads", "celery-waves"),
        Line("rate_threads_pipelines", "one plain process, Redis pipelines"),
        Line("ratio_threads_to_pipelines", "  times as fast as that", "{:.2f}"),
    ],
    "size": [
        Line("marginal_us_low", "microseconds an entity, {sizes[0]:,} to {sizes[1]:,} entities", "{:.1f}"),
        Line("marginal_us_high", "microseconds an entity, {sizes[1]:,} to {sizes[2]:,} entities", "{:.1f}"),
        Line("marginal_spread", "  the dearer is dearer by", "{:.0%}", most=0.25),
        Line("wave_fixed_s", "seconds for a wave of 1 entity", "{:.3f}", most=0.15),
        Line("worker_rss_mb", "MB of memory, the largest of all processes", most=250),
        Line("submitter_rss_mb", "MB of memory, the process that submits", most=250),
        Line("message_bytes", "bytes of the largest message", most=4095),
    ],
    "windows: 28 days of hours, 10,000 entities": [
        Line("window_s", "seconds into one array", "{:.3f}", most=0.5),
        Line("window_frame_s", "seconds into one DataFrame", "{:.3f}", most=0.5),
        Line("window_ratio", "times as fast as reading single pipes", "{:.0f}", least=20),
        Line("window_exact", "what is missing is NaN, 0.0 is 0.0", "{:.0f}", least=1),
    ],
    "tasks that sleep 50 ms, entities in proportion to the workers": [
        Line("sleep_s_1", "seconds with 1 worker", "{:.2f}"),
        Line("sleep_s_2", "seconds with 2 workers", "{:.2f}"),
        Line("sleep_s_4", "seconds with 4 workers", "{:.2f}"),
        Line("sleep_s_8", "seconds with 8 workers", "{:.2f}"),
        Line("sleep_spread", "  the slowest is slower by", "{:.0%}", most=0.15),
    ],
}


def missed(figures: Figures) -> list[str]:
    """Name the figures that miss their target."""
    return [line.key for lines in HEADINGS.values() for line in lines if not line.met(figures)]


def table(figures: Figures, sizes: tuple[int, int, int]) -> str:
    """Write the table."""
    rows = []
    for heading, lines in HEADINGS.items():
        rows += ["", heading]
        for line in lines:
            verdict = "" if not line.target else "met" if line.met(figures) else "MISSED"
            value = line.form.format(figures[line.key])
            text = line.text.format(sizes=sizes)
            rows.append(f"  {text:<52} {value:>10}   {line.target:>9} {verdict}".rstrip())
    said = missed(figures)
    verdict = f"missed: {', '.join(said)}" if said else "all targets are met"
    return "\n".join([*rows, "", f"{figures['seconds']:.0f} s; {verdict}"])


def machine(redis_version: str) -> str:
    """Say what it was measured on."""
    load = ", ".join(f"{value:.1f}" for value in os.getloadavg())
    return (
        f"{os.cpu_count()} processors, load {load}; Python {platform.python_version()}, Redis {redis_version}"
    )
