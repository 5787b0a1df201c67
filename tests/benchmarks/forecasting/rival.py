"""The process of one forecaster of line 3: `python -m tests.benchmarks.forecasting.rival NAME SERIES FOLDER THREADS`.

It may run in an environment of its own: see `rivalry`.
"""

from __future__ import annotations

import resource
import sys
import time
import warnings
from collections.abc import Callable, Mapping
from pathlib import Path

import numpy as np
import pandas as pd

from forecasting.adapters.base import plain_long, wide
from forecasting.features.panel import Floats, Panel
from forecasting.models.forecasts import Forecasts
from forecasting.models.local import LocalForecaster, LocalSpec
from tests.benchmarks.forecasting import series
from tests.benchmarks.forecasting.m4 import HORIZON, score

ABSENT = 3  # exit code where a library is not installed
TREES = {"n_estimators": 200, "max_depth": 6, "learning_rate": 0.1}

Forecast = Callable[[Panel, int], Floats]  # history, threads -> (HORIZON, E)


def ours(history: Panel, threads: int) -> Floats:
    """Local models, which are the quickest of ours; line 1 is the best."""
    return LocalForecaster(LocalSpec(kind="ridge", horizon=HORIZON)).fit(history).forecast(history).mean


def mlforecast(history: Panel, threads: int) -> Floats:
    """One XGBoost for all, recursive: differences of 24 h, a scaler a series."""
    from mlforecast import MLForecast  # noqa: PLC0415 - may be absent
    from mlforecast.target_transforms import Differences, LocalStandardScaler  # noqa: PLC0415
    from xgboost import XGBRegressor  # noqa: PLC0415

    found = MLForecast(
        {"xgboost": XGBRegressor(**TREES, n_jobs=threads)},
        freq="h",
        lags=[*range(1, 25), 48, 168],
        target_transforms=[Differences([24]), LocalStandardScaler()],
        date_features=["hour", "dayofweek"],
        num_threads=threads,
    )
    found.fit(plain_long(history, 24), static_features=[])
    return wide(found.predict(HORIZON), history, HORIZON)


def skforecast(history: Panel, threads: int) -> Floats:
    """One XGBoost for all, recursive: a scaler a series, the series' numbers as a feature."""
    from skforecast.recursive import ForecasterRecursiveMultiSeries  # noqa: PLC0415 - may be absent
    from sklearn.preprocessing import StandardScaler  # noqa: PLC0415
    from xgboost import XGBRegressor  # noqa: PLC0415

    parts = plain_long(history, 24).groupby("unique_id")
    given = {str(name): part.set_index("ds")["y"].asfreq("h") for name, part in parts}
    found = ForecasterRecursiveMultiSeries(
        XGBRegressor(**TREES, n_jobs=threads),
        lags=[*range(1, 25), 48, 168],
        encoding="ordinal",
        transformer_series=StandardScaler(),
    )
    found.fit(given, suppress_warnings=True)
    answer = found.predict(HORIZON, suppress_warnings=True).reset_index(names="ds")
    answer = answer.rename(columns={"level": "unique_id"})[["unique_id", "ds", "pred"]]
    return wide(answer, history, HORIZON)


def mstl(history: Panel, threads: int) -> Floats:
    """Decomposed by a day and a week, the rest by exponential smoothing, each series by itself."""
    from statsforecast import StatsForecast  # noqa: PLC0415 - may be absent
    from statsforecast.models import MSTL, AutoETS  # noqa: PLC0415

    model = MSTL(season_length=[24, 168], trend_forecaster=AutoETS(model="ZZN"))
    found = StatsForecast([model], freq="h", n_jobs=threads)
    return wide(found.forecast(df=plain_long(history, 24), h=HORIZON), history, HORIZON)


FORECASTERS: Mapping[str, Forecast] = {
    "ours": ours,
    "mlforecast": mlforecast,
    "skforecast": skforecast,
    "mstl": mstl,
}


def main(name: str, count: int, folder: Path, threads: int) -> int:
    """Print sMAPE, MASE, OWA, seconds, and the most memory it had in MB."""
    warnings.simplefilter("ignore")
    panel = series.m4(folder, count)
    history, truth = panel.part(0, len(panel) - HORIZON), panel.y[-HORIZON:]
    try:
        FORECASTERS[name](series.m4(folder, 2), threads)  # compiles and imports what is needed
    except ImportError as error:
        print(error)
        return ABSENT
    began = time.perf_counter()
    mean = np.maximum(FORECASTERS[name](history, threads), 0.0)
    seconds = time.perf_counter() - began
    leads = np.arange(1, HORIZON + 1)
    issued = pd.DatetimeIndex([history.hours[-1]] * HORIZON)
    found = score(history, truth, Forecasts(history.entities, issued, leads, mean, {}))
    print(found.smape, float(np.nanmean(found.mase)), found.owa, seconds, _peak_mb())
    return 0


def _peak_mb() -> float:
    """The most memory (resident) since this program began; what `resource` tells counts its parent's, too."""
    status = Path("/proc/self/status")
    if not status.exists():  # not on Linux
        return resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1e6
    lines = dict(line.split(":", 1) for line in status.read_text().splitlines())
    return int(lines["VmHWM"].split()[0]) * 1024 / 1e6


if __name__ == "__main__":
    sys.exit(main(sys.argv[1], int(sys.argv[2]), Path(sys.argv[3]), int(sys.argv[4])))
