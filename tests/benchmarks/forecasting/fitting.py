"""The process that fits: `python -m tests.benchmarks.forecasting.fitting local|ridge|pooled SERIES FOLDER`.

All seconds are of this process: what others do on the machine does not count.
"""

from __future__ import annotations

import sys
import time
from dataclasses import replace
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Literal

import numpy as np

from forecasting.features.panel import Panel
from forecasting.features.rows import FeatureSpec
from forecasting.models.local import LocalForecaster, LocalSpec
from forecasting.models.pooled_forecaster import PooledForecaster
from tests.benchmarks.forecasting import series
from tests.benchmarks.forecasting.m4 import HORIZON, score
from tests.benchmarks.forecasting.predicting import held

MANY = 10_000  # models that are loaded
BLOCKS = 5  # that are fitted one after the other
FEWER = 3  # of them where they are small: in the short form
LARGE = 256  # entities of a large block


def local(kind: Literal["xgboost", "ridge"], panel: Panel, history: Panel, rounds: int) -> None:
    """Print models a second (the best of some rounds), OWA, KB a model, and seconds to load ten thousand."""
    rates = []
    for _ in range(rounds):
        began = time.process_time()
        model = LocalForecaster(LocalSpec(kind=kind, horizon=HORIZON)).fit(history)
        forecasts = model.forecast(history)
        rates.append(len(panel.entities) / (time.process_time() - began))
    found = score(history, panel.y[-HORIZON:], forecasts)
    print(max(rates), found.owa, model.nbytes / len(panel.entities) / 1e3, _load_many(model))


def _load_many(model: LocalForecaster) -> float:
    rows = np.resize(np.arange(len(model._entities)), MANY)
    model._bank = model._fitted().of(np.append(rows, -1))
    model._entities = tuple(f"e{i}" for i in range(MANY))
    with TemporaryDirectory(prefix="wave-local-") as folder:
        model.save(Path(folder))
        began = time.process_time()
        LocalForecaster.load(Path(folder))
        return time.process_time() - began


def pooled(panel: Panel, history: Panel, count: int) -> None:
    """Print entities a second, OWA, the growth of memory from the second block to the last, and its size in MB."""
    sizes, rates = [], []
    block = history.of(slice(0, count))

    def shards():
        for n in range(BLOCKS if count >= LARGE else FEWER):
            began = time.process_time()
            yield replace(block, entities=tuple(f"{n} {name}" for name in block.entities))
            rates.append(count / (time.process_time() - began))
            sizes.append(held())

    model = PooledForecaster(FeatureSpec(horizon=HORIZON), block=count).fit(shards())
    named = replace(block, entities=tuple(f"0 {name}" for name in block.entities))
    found = score(block, panel.y[-HORIZON:, :count], model.forecast(named))
    print(max(rates), found.owa, sizes[-1] / sizes[1], sizes[-1] / 1e6)


def main(kind: str, count: int, folder: Path) -> None:
    """Measure one kind."""
    panel = series.m4(folder, count)
    history = panel.part(0, len(panel) - HORIZON)
    if kind == "pooled":
        pooled(panel, history, count)
    else:
        local("ridge" if kind == "ridge" else "xgboost", panel, history, 5 if kind == "ridge" else 1)


if __name__ == "__main__":
    main(sys.argv[1], int(sys.argv[2]), Path(sys.argv[3]))
