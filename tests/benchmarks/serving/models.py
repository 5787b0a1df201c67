"""Models that the benchmark serves."""

from __future__ import annotations

import time
from pathlib import Path

import numpy as np

PAGE = 4096
PART = 16  # of the large model, a call reads one in so many pages


def second(instances):
    """Hold a slot for a second an instance."""
    time.sleep(1.0 * len(instances))
    return instances


def tenth(instances):
    """Hold a slot for 100 ms an instance."""
    time.sleep(0.1 * len(instances))
    return instances


def fifth(instances):
    """Hold a slot for 200 ms an instance."""
    time.sleep(0.2 * len(instances))
    return instances


class Large:
    """An array of random bytes, of which a call reads some pages."""

    def __init__(self, data: np.ndarray) -> None:
        self.data = data

    @classmethod
    def load(cls, path):
        return cls(np.fromfile(path, dtype=np.uint8))

    def predict(self, instances):
        return [int(self.data[one % PART * PAGE :: PART * PAGE].sum()) for one in instances]


def write_large(path: Path, megabytes: int, seed: int) -> None:
    """Write the file of a large model."""
    random = np.random.default_rng(seed)
    with path.open("wb") as file:
        for _ in range(0, megabytes, 50):
            file.write(random.bytes(50_000_000))


def train(path: Path) -> np.ndarray:
    """Fit and write an XGBoost model of a usual size; gives a row for it."""
    import xgboost  # noqa: PLC0415 - workers that serve other models go without

    random = np.random.default_rng(1)
    rows = random.normal(size=(2000, 20)).astype(np.float32)
    target = rows @ random.normal(size=20) + np.sin(rows[:, 0] * 3)
    booster = xgboost.train(
        {"max_depth": 6, "nthread": 1}, xgboost.DMatrix(rows, target), num_boost_round=200
    )
    booster.save_model(path)
    return rows
