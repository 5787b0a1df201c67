"""A flow whose module loads a model when it is imported: in a worker that forks, in the parent of those that run it."""

from __future__ import annotations

import json
import os
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any

import numpy as np
import pandas as pd
import xgboost as xgb

from forecasting import FeatureSpec, Fitting, GlobalForecaster, LocalForecaster, LocalSpec, Panel
from pipeline import Flow, task


def history(entities: int = 2, hours: int = 600) -> Panel:
    hour = np.arange(hours)[:, None]
    y = 10 + np.sin(hour / 24 * 2 * np.pi) + np.arange(entities) + 0.1 * np.cos(hour**2)
    index = pd.date_range("2026-01-01", periods=hours, freq="h", tz="UTC")
    return Panel.from_frames(pd.DataFrame(y, index=index, columns=[f"e{n}" for n in range(entities)]))


def fitted() -> GlobalForecaster:
    fitting = Fitting(rounds=3, quantile_rounds=3, max_rows=2_000, threads=2)
    return GlobalForecaster(FeatureSpec(horizon=6), fitting).fit(history())


def loaded() -> GlobalForecaster:
    """Fit with all threads there are, save and load: each of it is known to hang a forked child's OpenMP."""
    with TemporaryDirectory() as folder:
        fitted().save(Path(folder))
        return GlobalForecaster.load(Path(folder))


MODEL = loaded()
PARENT = os.getpid()
xgb.QuantileDMatrix(np.random.default_rng(0).normal(size=(5_000, 20)))


@task(batch=True, time_limit="30s")
def trained(entity: Any) -> dict[str, str]:
    """Forecast with the parent's model, and fit both kinds of models anew."""
    told = MODEL.forecast(history()).mean
    fresh = fitted().forecast(history()).mean
    local = LocalForecaster(LocalSpec(horizon=6, trees=3)).fit(history()).forecast(history()).mean
    found = {
        "forked": os.getpid() != PARENT,
        "threads": os.environ.get("OMP_NUM_THREADS"),
        "same": bool(np.allclose(told, fresh, rtol=1e-3)),
        "finite": bool(np.isfinite(local).all()),
    }
    return {str(name): json.dumps(found) for name in entity}


models = Flow("models", [trained])
