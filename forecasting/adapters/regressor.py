"""RegressorForecaster: any scikit-learn regressor over our features, one model for all entities.

    RegressorForecaster(HistGradientBoostingRegressor(max_iter=200), horizon=48)

Its rows are those of a GlobalForecaster: drawn from the history, measured from a base in units of a scale. A feature
that is not known is NaN; a regressor that cannot take it goes into a pipeline with an imputer.
"""

from __future__ import annotations

import json
from collections.abc import Mapping
from copy import deepcopy
from pathlib import Path
from typing import Any, Self

import numpy as np

from forecasting.adapters import files
from forecasting.adapters.base import Adapter
from forecasting.features.panel import Floats, Panel
from forecasting.features.rows import Features, FeatureSpec
from forecasting.features.sampling import draw

WARM_UP = 200  # hours at the start of the history that only serve as the past of later ones
INPUTS = ("past", "future", "static")  # of a panel: it learns from all that a panel has
FARTHEST = 30.0  # scales: a target that is farther off counts as this far


class RegressorForecaster(Adapter):
    """A regressor of scikit-learn, or XGBoost's with that interface.

    Args:
        regressor: One that is not fitted; a copy of it is.
        max_rows: Rows that are drawn from the history.
        seed: Of the draw.
        **options: Those of Adapter.

    Example:
        >>> hours = pd.date_range("2026-01-01", periods=14 * 24, freq="h", tz="UTC")
        >>> panel = Panel.from_frames(pd.DataFrame({"oslo": hours.hour, "lima": hours.hour + 5}, index=hours))
        >>> model = RegressorForecaster(xgboost.XGBRegressor(n_jobs=1), held_out=0).fit(panel)
        >>> model.predict(panel).shape
        (48, 4)
    """

    def __init__(self, regressor: Any, max_rows: int = 50_000, seed: int = 1, **options: Any) -> None:
        super().__init__(**options)
        self.regressor = regressor
        self.max_rows = max_rows
        self.seed = seed
        self._model: Any = None
        self._spec = FeatureSpec(horizon=self.horizon, seasons=self.seasons)

    @property
    def features(self) -> tuple[str, ...]:
        """The number of the features that it was fitted with, as names; none before."""
        return tuple(f"feature {n}" for n in range(getattr(self._model, "n_features_in_", 0)))

    def _learn(self, panel: Panel) -> None:
        features = Features(panel, FeatureSpec(horizon=self.horizon, seasons=self.seasons))
        self._spec = features.spec
        last = len(panel) - 1
        sample = draw(features, min(WARM_UP, last // 3) + 1, last, self.max_rows, self.seed)
        self._model = deepcopy(self.regressor)
        self._model.fit(sample.x, np.clip(sample.y, -FARTHEST, FARTHEST))

    def _mean(self, panel: Panel) -> Floats:
        leads = np.arange(1, self.horizon + 1)
        rows = Features(panel, self._spec).at(np.full(self.horizon, len(panel) - 1), leads)
        told = np.asarray(self._model.predict(rows.x), np.float64).reshape(rows.base.shape)
        mean = rows.base + rows.scale * told
        return np.where(np.isnan(panel.y).all(axis=0), np.nan, mean)

    def _store(self, folder: Path) -> None:
        file = files.write(self._model, folder / "model")
        blank = files.write(self.regressor, folder / "blank") if file.endswith(files.SKOPS) else ""
        params = self.regressor.get_params() if not blank else {}
        kind = files.kind_of(self.regressor)
        known = {k: v for k, v in params.items() if isinstance(v, (str, int, float, bool))}
        stored = {"file": file, "blank": blank, "kind": kind, "params": known}
        (folder / "regressor.json").write_text(json.dumps(stored))

    def _given(self) -> dict[str, Any]:
        spec = {name: getattr(self._spec, name) for name in ("kind", "base", *INPUTS)}
        return super()._given() | {"max_rows": self.max_rows, "seed": self.seed, "spec": spec}

    @classmethod
    def _restored(cls, folder: Path, given: Mapping[str, Any]) -> Self:
        stored = json.loads((folder / "regressor.json").read_text())
        if stored["blank"]:
            blank = files.read(folder, stored["blank"])
            fitted = files.read(folder, stored["file"])
        else:
            blank = files.regressor(stored["kind"], stored["params"])
            fitted = files.read(folder, stored["file"], files.regressor(stored["kind"], stored["params"]))
        options = {name: value for name, value in given.items() if name != "spec"}
        model = cls(blank, **options)
        inputs = {name: given["spec"].get(name) for name in INPUTS}
        chosen = given["spec"] | {k: None if names is None else tuple(names) for k, names in inputs.items()}
        model._spec = FeatureSpec(horizon=model.horizon, seasons=model.seasons, **chosen)
        model._model = fitted
        return model
