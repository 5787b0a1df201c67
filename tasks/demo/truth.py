"""What really happened, and what simple forecasts would have said of it."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from datetime import datetime

import numpy as np
import pandas as pd

from forecasting.features.panel import Floats, Ints, Panel
from forecasting.models.naive import Constant, Forecaster, SeasonalNaive, TrailingMean
from tasks import flights

RIVALS: Mapping[str, Forecaster] = {
    "seasonal naive": SeasonalNaive(),
    "14-day mean": TrailingMean(14 * 24),
    "zero": Constant(0.0),
}


class Truth:
    """Delays and flights of every carrier and route, hour by hour."""

    def __init__(self) -> None:
        self._found = flights.departures()
        self.entities = list(self._found.entities)
        self.airports = sorted({features["origin"] for features in self._found.entities.values()})
        # Weighted by flights, by which the 14-day mean is the better one.
        self._panel = self._series(self.entities, weight=self._found.flights)

    def at(self, hours: Sequence[datetime]) -> tuple[Floats, Floats]:
        """Return delays (minutes, NaN without departures) and numbers of flights, (hours, entities) each."""
        rows = self._rows(hours)
        return self._panel.y[rows], self._found.flights[rows]

    def rivals(self, hours: Sequence[datetime]) -> dict[str, Floats]:
        """Return what simple forecasts say an hour ahead, with no outage: name -> (hours, entities)."""
        leads = np.ones(len(hours), dtype=np.int64)
        origins = self._rows(hours) - leads
        return {name: rival.forecast_at(self._panel, origins, leads).mean for name, rival in RIVALS.items()}

    def airport(self, origin: str) -> tuple[Panel, Floats]:
        """Return an airport's series as its model reads them, and the numbers of flights, (hours, entities)."""
        found = self._found
        entities = [key for key, features in found.entities.items() if features["origin"] == origin]
        sight = flights.weather().measure("visibility", origin).reindex(found.hours).to_numpy()
        columns = [found.columns[key] for key in entities]
        past = {"waiting": found.waiting[:, columns], "weather": np.tile(sight[:, None], len(columns))}
        return self._series(entities, past=past), found.flights[:, columns]

    def _series(
        self, entities: Sequence[str], weight: Floats | None = None, past: Mapping[str, Floats] | None = None
    ) -> Panel:
        columns = [self._found.columns[key] for key in entities]

        def frame(values: Floats) -> pd.DataFrame:
            return pd.DataFrame(values, index=self._found.hours, columns=list(entities))

        return Panel.from_frames(
            frame(self._found.delay()[:, columns]),
            None if weight is None else frame(weight),
            {name: frame(values) for name, values in (past or {}).items()},
        )

    def _rows(self, hours: Sequence[datetime]) -> Ints:
        rows: Ints = self._panel.hours.get_indexer(pd.DatetimeIndex(hours))
        return rows
