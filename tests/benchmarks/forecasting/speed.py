"""Line 5: entities a second on one core, of the model of line 1 after it was saved and loaded, 48 hours each."""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path
from tempfile import TemporaryDirectory

import numpy as np

from tests.benchmarks.forecasting.figures import Figure, Options, Section, say
from tests.benchmarks.forecasting.m4 import Fitted

SHARD = 500  # entities
SECONDS = 6.0  # that each measure takes


def run(fitted: Fitted, options: Options) -> list[Section]:
    """Measure in a process of its own, with one thread, so that what was fitted here costs nothing there."""
    full = not options.short
    with TemporaryDirectory(prefix="wave-speed-") as folder:
        fitted.model.save(Path(folder))
        np.save(Path(folder) / "y.npy", fitted.history.y)
        found = _measured(Path(folder), 2.0 if options.short else SECONDS)
    say(f"predict: {found['mean']:,.0f} entities/s, with intervals {found['intervals']:,.0f}")
    figures = (
        Figure(
            "predict_per_s",
            "entities a second, mean",
            found["mean"],
            "{:,.0f}",
            least=5_000 if full else None,
        ),
        Figure(
            "predict_intervals_per_s",
            "entities a second, with intervals",
            found["intervals"],
            "{:,.0f}",
            least=1_500 if full else None,
        ),
        Figure(
            "predict_memory_growth",
            "memory held after all shards, of that after the first ten",
            found["growth"],
            "{:.2f}",
            most=1.1,
        ),
        Figure("predict_rss_mb", "MB of memory held at the end", found["rss"], "{:.0f}"),
        Figure("predict_peak_mb", "  with what the allocator keeps, at most", found["peak"], "{:.0f}"),
    )
    return [Section(f"5. Predicting on one core, 48 h, features included, shards of {SHARD}", figures)]


def _measured(folder: Path, seconds: float) -> dict[str, float]:
    command = [sys.executable, "-m", "tests.benchmarks.forecasting.predicting", str(folder), str(seconds)]
    done = subprocess.run(
        command, env=os.environ | {"OMP_NUM_THREADS": "1"}, stdout=subprocess.PIPE, text=True, check=True
    )
    names = ("mean", "intervals", "growth", "rss", "peak")
    return dict(zip(names, map(float, done.stdout.split()), strict=True))
