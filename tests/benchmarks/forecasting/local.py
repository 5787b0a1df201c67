"""Line 5, models that are fitted by the entity or by the block: how many a second on one core, and how good."""

from __future__ import annotations

import os
import subprocess
import sys

from tests.benchmarks.forecasting.figures import Figure, Options, Section, say

KINDS = {"local": "local XGBoost", "ridge": "ridge"}
TARGETS = {"local": (45.0, 0.45), "ridge": (2_000.0, 0.48)}  # models a second, OWA
POOLED = 120.0  # entities a second
SERIES = {
    True: (24, 100, 48),
    False: (350, 350, 256),
}  # short or not: of local XGBoost, of ridges, of a block


def run(options: Options) -> list[Section]:
    """Measure each in a process of its own, with one thread."""
    full = not options.short
    counts = dict(zip(("local", "ridge", "pooled"), SERIES[options.short], strict=True))
    figures: list[Figure] = []
    for kind, name in KINDS.items():
        rate, owa, kilobytes, load = _measured(kind, counts[kind], options)
        say(f"{name}: {rate:,.0f} models/s, OWA {owa:.4f}")
        fast, good = TARGETS[kind]
        figures += [
            Figure(
                f"{kind}_models_per_s",
                f"{name}: models a second",
                rate,
                "{:,.0f}",
                least=fast if full else None,
            ),
            Figure(
                f"{kind}_owa",
                f"  OWA of {counts[kind]} M4 series",
                owa,
                "{:.4f}",
                most=good if full else None,
            ),
            Figure(f"{kind}_kb", "  KB of memory a model", kilobytes, "{:.1f}"),
            Figure(f"{kind}_load_s", "  seconds to load ten thousand", load),
        ]
    rate, owa, growth, rss = _measured("pooled", counts["pooled"], options)
    say(f"pooled: {rate:,.0f} entities/s, OWA {owa:.4f}")
    figures += [
        Figure(
            "pooled_fit_per_s",
            f"one model a block of {counts['pooled']}: entities fitted a second",
            rate,
            "{:,.0f}",
            least=POOLED if full else None,
        ),
        Figure("pooled_owa", "  OWA", owa, "{:.4f}"),
        Figure(
            "pooled_memory_growth",
            "  memory held after all blocks, of that after two",
            growth,
            "{:.2f}",
            most=1.15,
        ),
        Figure("pooled_rss_mb", "  MB of memory at the end", rss, "{:.0f}"),
    ]
    return [
        Section(
            "5. Fitting on one core, to M4 without its last 48 h, fit and forecast of 48 h", tuple(figures)
        )
    ]


def _measured(kind: str, count: int, options: Options) -> list[float]:
    command = [
        sys.executable,
        "-m",
        "tests.benchmarks.forecasting.fitting",
        kind,
        str(count),
        str(options.data),
    ]
    env = os.environ | {"OMP_NUM_THREADS": "1", "OPENBLAS_NUM_THREADS": "1"}
    done = subprocess.run(command, env=env, stdout=subprocess.PIPE, text=True, check=True)
    return [float(word) for word in done.stdout.split()]
