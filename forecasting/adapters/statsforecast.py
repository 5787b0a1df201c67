"""StatsforecastForecaster: a statsforecast.StatsForecast, whose models are fitted to each series when they forecast.

    def make():                     # in a module that workers can import, and that PIPELINE_ALLOW names
        return StatsForecast([MSTL(season_length=[24, 168])], freq="h")

    StatsforecastForecaster("my_models:make", horizon=48, held_out=0)

There is nothing to keep but the name of that function: StatsForecast.save is pickle, and its models are of the series
as it was then. `fit` measures the intervals; with held_out=0 it does nothing.
"""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import Any, Self

from forecasting.adapters import files
from forecasting.adapters.base import Adapter, plain_long, wide
from forecasting.features.panel import Floats, Panel


class StatsforecastForecaster(Adapter):
    """A StatsForecast; where it has several models, the mean of them.

    Args:
        make: "module:function" that makes a StatsForecast of freq="h".
        **options: Those of Adapter.

    Example:
        >>> model = StatsforecastForecaster("my_models:make", held_out=0).fit(panel)  # doctest: +SKIP
    """

    def __init__(self, make: str, **options: Any) -> None:
        super().__init__(**options)
        self.make = make

    def _learn(self, panel: Panel) -> None:
        files.made(self.make)

    def _mean(self, panel: Panel) -> Floats:
        answer = files.made(self.make).forecast(df=plain_long(panel, self.seasons[0]), h=self.horizon)
        return wide(answer, panel, self.horizon)

    def _store(self, folder: Path) -> None:
        """Nothing was learned."""

    def _given(self) -> dict[str, Any]:
        return super()._given() | {"make": self.make}

    @classmethod
    def _restored(cls, folder: Path, given: Mapping[str, Any]) -> Self:
        return cls(**given)
