"""Measures how models are served, and writes a table beside what is claimed.

python -m tests.benchmarks.serving [--json FILE] [--short] [--strict [--slack SHARE]] [--only SECTION]
"""

from __future__ import annotations

import json
import sys
import time
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any

import click

from tests.benchmarks.report import Line, machine
from tests.benchmarks.serving.lab import ours
from tests.benchmarks.serving.sections import FULL, SECTIONS, SHORT, TOGETHER

HEADINGS: dict[str, tuple[str, list[Line]]] = {
    "rates": (
        "a model that holds a slot for 1 s an item, 2,000 slots; after some seconds at 500/s, warm",
        [
            Line("errors_500", "errors at 500 requests/s", most=0),
            Line("p50_500_s", "seconds, p50", "{:.3f}"),
            Line("p99_500_s", "seconds, p99", "{:.3f}", most=1.1),
            Line("longest_500_s", "seconds, the longest", "{:.3f}"),
            Line("cpu_ms_500", "CPU ms a request, API, workers, Redis and generator", "{:.2f}"),
            Line("errors_500_by_hand", "FastAPI and delay().get(): errors at 500/s"),
            Line("p99_500_s_by_hand", "  seconds, p99", "{:.2f}"),
            Line("max_rate", "highest rate without error at p99 <= 1.25 s"),
            Line("max_rate_by_hand", "  of FastAPI and delay().get()"),
            Line("max_rate_ratio", "  times as high as that", "{:.1f}", least=3),
        ],
    ),
    "boosted": (
        "XGBoost, 200 trees, 20 features, 400 requests/s of one row",
        [
            Line("boosted_rate", "requests/s"),
            Line("boosted_errors", "errors", most=0),
            Line("boosted_p50_ms", "ms, p50", "{:.1f}"),
            Line("boosted_p99_ms", "ms, p99", "{:.1f}"),
            Line("boosted_cpu_ms", "CPU ms a request, API, worker and Redis", "{:.2f}"),
            Line("boosted_direct_ms", "CPU ms of a direct call", "{:.2f}"),
            Line("boosted_rows_rate", "rows/s in requests of 32, 100 requests/s"),
            Line("boosted_rows_p50_ms", "ms, p50", "{:.1f}"),
            Line("boosted_rows_p99_ms", "ms, p99", "{:.1f}"),
        ],
    ),
    "large": (
        "a large model in a worker with 8 slots",
        [
            Line("model_gb", "GB of the model", "{:.2f}"),
            Line("pss_gb", "GB of memory (PSS) of the worker", "{:.2f}", most=1.3),
            Line("pss_over_model_gb", "  of that beside the model", "{:.2f}", most=0.3),
            Line("cold_start_s", "seconds from the start to the first answer", "{:.1f}"),
            Line("switch_s", "seconds of a change to a second version", "{:.1f}"),
            Line("switch_errors", "errors meanwhile, at 200 requests/s", most=0),
            Line("switch_p99_s", "seconds, p99", "{:.3f}"),
            Line("switch_peak_over_gb", "GB at most, beside two models", "{:.2f}", most=0.3),
            Line("switch_peak_models", "GB at most, in models", "{:.2f}"),
            Line("switch_after_gb", "GB afterwards", "{:.2f}"),
        ],
    ),
    "day": (
        "an uneven day: quiet, five times that, quiet; slots for half of the burst; a deadline of 2 s",
        [
            Line("day_sent", "requests"),
            Line("day_answered", "answered", "{:.0%}"),
            Line("day_refused", "refused at once", least=1),
            Line("day_refused_quiet", "  of those in quiet times"),
            Line("day_refused_without_retry_after", "  without Retry-After", most=0),
            Line("day_late", "accepted and not answered within the deadline", most=0),
            Line("day_unanswered", "unanswered", most=0),
            Line("day_longest_s", "seconds, the longest", "{:.2f}"),
        ],
    ),
    "kills": (
        "three workers, 100 ms a request, 200 requests/s; one is killed every 5 s; a deadline of 10 s",
        [
            Line("kills", "workers killed"),
            Line("kills_sent", "requests"),
            Line("kills_refused", "refused at once"),
            Line("kills_lost", "accepted and not answered once", most=0),
            Line("kills_p99_s", "seconds, p99", "{:.2f}"),
            Line("kills_longest_s", "seconds, the longest", "{:.2f}", most=10),
        ],
    ),
}


@click.command()
@click.option(
    "--json", "path", type=click.Path(dir_okay=False, path_type=Path), help="Write the figures to a file."
)
@click.option("--short", is_flag=True, help="Measure for a minute, less of everything.")
@click.option("--strict", is_flag=True, help="Exit with 1 where a target is missed.")
@click.option(
    "--slack",
    type=click.FloatRange(0, 1),
    default=0.0,
    help="With --strict, let a figure be off by this share.",
)
@click.option("--only", multiple=True, type=click.Choice(list(SECTIONS)), help="Measure this section only.")
def main(path: Path | None, short: bool, strict: bool, slack: float, only: tuple[str, ...]) -> None:
    """Measure how models are served."""
    began = time.perf_counter()
    figures: dict[str, Any] = {}
    missed: list[str] = []
    lines = [line for name in only or SECTIONS for line in HEADINGS[name][1]]
    click.echo(machine("of its own"))
    groups = TOGETHER if short else [(name,) for name in SECTIONS]
    chosen = [[name for name in group if name in (only or SECTIONS)] for group in groups]
    with ours() as stack, ThreadPoolExecutor() as pool:
        for group in chosen:
            for found in pool.map(lambda name: SECTIONS[name](stack, SHORT if short else FULL), group):
                figures |= found
            for name in group:
                missed += show(name, figures)
    figures |= {"seconds": time.perf_counter() - began, "missed": missed, "short": short}
    verdict = f"missed: {', '.join(missed)}" if missed else "all targets are met"
    click.echo(f"\n{figures['seconds']:.0f} s; {verdict}")
    if path is not None:
        path.write_text(json.dumps(figures, indent=1) + "\n")
    sys.exit(1 if strict and not all(line.met(figures, slack) for line in lines) else 0)


def show(name: str, figures: dict[str, Any]) -> list[str]:
    """Write the lines of a section; gives the figures that miss their target."""
    heading, lines = HEADINGS[name]
    click.echo(f"\n{heading}")
    for line in lines:
        verdict = "" if not line.target else "met" if line.met(figures) else "MISSED"
        value = line.form.format(figures[line.key])
        click.echo(f"  {line.text:<52} {value:>10}   {line.target:>9} {verdict}".rstrip())
    return [line.key for line in lines if not line.met(figures)]


if __name__ == "__main__":
    main()
