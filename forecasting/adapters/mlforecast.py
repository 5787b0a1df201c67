"""MlforecastForecaster: an mlforecast.MLForecast.

    def make():                     # in a module that workers can import, and that PIPELINE_ALLOW names
        return MLForecast({"boosted": XGBRegressor(n_estimators=100)}, freq="h", lags=[24, 168],
                          target_transforms=[Differences([24]), LocalStandardScaler()])

    MlforecastForecaster("my_models:make", horizon=48)

MLForecast.save is pickle. What is kept here are the fitted regressors, each in its library's own format; lags and
transforms come from the function, and what they hold of the series from the data that are forecast from. So the
function must not change while its models live. Regressors other than those of scikit-learn and XGBoost cannot be kept.
"""

from __future__ import annotations

import json
from collections.abc import Mapping
from pathlib import Path
from typing import Any, Self

from forecasting.adapters import files
from forecasting.adapters.base import Adapter, plain_long, wide
from forecasting.features.panel import Floats, Panel

_FILE = "regressors.json"


class MlforecastForecaster(Adapter):
    """An MLForecast; where it has several regressors, the mean of them.

    Args:
        make: "module:function" that makes an MLForecast of freq="h" that is not fitted.
        **options: Those of Adapter.

    Example:
        >>> model = MlforecastForecaster("my_models:make", horizon=48).fit(panel)  # doctest: +SKIP
    """

    def __init__(self, make: str, **options: Any) -> None:
        super().__init__(**options)
        self.make = make
        self._models: dict[str, Any] = {}

    def _learn(self, panel: Panel) -> None:
        fresh = files.made(self.make)
        fresh.fit(plain_long(panel, self.seasons[0]), static_features=[])
        self._models = dict(fresh.models_)

    def _mean(self, panel: Panel) -> Floats:
        fresh = files.made(self.make)
        # Gives lags and transforms what they hold of these series; the rows that it makes are not wanted.
        fresh.preprocess(plain_long(panel, self.seasons[0]), static_features=[])
        fresh.models_ = self._models
        return wide(fresh.predict(self.horizon), panel, self.horizon)

    def _store(self, folder: Path) -> None:
        (folder / _FILE).write_text(json.dumps(files.names(self._models, folder)))

    def _given(self) -> dict[str, Any]:
        return super()._given() | {"make": self.make}

    @classmethod
    def _restored(cls, folder: Path, given: Mapping[str, Any]) -> Self:
        model = cls(**given)
        blanks = files.made(model.make).models
        stored = json.loads((folder / _FILE).read_text())
        model._models = {name: files.read(folder, file, blanks.get(name)) for name, file in stored.items()}
        return model
