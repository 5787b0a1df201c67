"""The process that predicts shard by shard: `python -m tests.benchmarks.forecasting.predicting FOLDER SECONDS`."""

from __future__ import annotations

import ctypes
import sys
import time
from pathlib import Path

import numpy as np
import pandas as pd
import psutil

from forecasting.features.panel import Panel
from forecasting.models.global_forecaster import GlobalForecaster
from tests.benchmarks.forecasting.series import START
from tests.benchmarks.forecasting.speed import SHARD

WARM_UP = 10  # shards
LEAST = 20  # shards over which the peak is taken, whatever the rates take


def main(folder: Path, seconds: float) -> None:
    """Print entities a second for the mean and with intervals, the growth of memory, its size in MB, the peak in MB."""
    model = GlobalForecaster.load(folder)
    y = np.load(folder / "y.npy")
    count = -(-SHARD // y.shape[1])
    y = np.tile(y, count)[:, :SHARD]
    hours = pd.date_range(START, periods=len(y), freq="h")
    shard = Panel.from_frames(pd.DataFrame(y, index=hours, columns=[f"e{i}" for i in range(SHARD)]))
    for _ in range(WARM_UP):
        model.forecast(shard)
    before = held()
    rates = [_rate(model, shard, seconds, intervals) for intervals in (False, True)]
    peak = psutil.Process().memory_info().rss
    for _ in range(LEAST):
        model.forecast(shard)
        peak = max(peak, psutil.Process().memory_info().rss)
    after = held()
    print(*rates, after / before, after / 1e6, peak / 1e6)


def held() -> int:
    """Bytes in use, after the allocator has given back what is free.

    What it keeps of that rises and falls by a tenth over more than a hundred shards, and would hide or feign a leak.
    """
    if sys.platform == "linux":
        trim = getattr(ctypes.CDLL(None), "malloc_trim", None)  # glibc's
        if trim is not None:
            trim(0)
    size: int = psutil.Process().memory_info().rss
    return size


def _rate(model: GlobalForecaster, shard: Panel, seconds: float, intervals: bool) -> float:
    """Entities a second of this process' time: what others do on the machine does not count."""
    best, end = 0.0, time.monotonic() + seconds
    while time.monotonic() < end:
        began = time.process_time()
        model.forecast(shard, intervals=intervals)
        best = max(best, SHARD / (time.process_time() - began))
    return best


if __name__ == "__main__":
    main(Path(sys.argv[1]), float(sys.argv[2]))
