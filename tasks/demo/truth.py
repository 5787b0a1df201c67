"""What really happened, and what simple forecasts would have said."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from datetime import datetime

import numpy as np
import pandas as pd

from forecasting.naive import Constant, Forecaster, SeasonalNaive, TrailingMean
from forecasting.panel import Floats, Panel
from tasks import flights

RIVALS: Mapping[str, Forecaster] = {
    "seasonal naive": SeasonalNaive(),
    "14-day mean": TrailingMean(14 * 24),
    "zero": Constant(0.0),
}


class Truth:
    """Delays and flights of every carrier and route, hour by hour."""

    def __init__(self) -> None:
        found = flights.departures()
        self._found = found
        self.entities = list(found.entities)
        # Weighted by flights: the 14-day mean is the better for it.
        self.panel = self._panel(self.entities, weighted=True)
        self.flights = found.flights

    def at(self, hours: Sequence[datetime]) -> tuple[Floats, Floats]:
        """Give delays (minutes, NaN without departures) and numbers of flights, (hours, entities) each."""
        rows = self.panel.hours.get_indexer(pd.DatetimeIndex(hours))
        return self.panel.y[rows], self.flights[rows]

    def rivals(self, hours: Sequence[datetime]) -> dict[str, Floats]:
        """Give what simple forecasts would have said an hour before, with all data: name -> (hours, entities)."""
        rows = self.panel.hours.get_indexer(pd.DatetimeIndex(hours))
        lead = np.ones(len(rows), dtype=np.int64)
        return {name: rival.forecast_at(self.panel, rows - lead, lead).mean for name, rival in RIVALS.items()}

    def airport(self, origin: str) -> tuple[Panel, Floats]:
        """Give one airport's series as its model sees them, and the numbers of flights to score it by."""
        entities = [key for key, features in self._found.entities.items() if features["origin"] == origin]
        sight = flights.weather().measure("visibility", origin).reindex(self._found.hours)
        columns = [self._found.columns[key] for key in entities]
        past = {
            "waiting": self._frame(self._found.waiting[:, columns], entities),
            "weather": self._frame(np.repeat(sight.to_numpy()[:, None], len(entities), axis=1), entities),
        }
        panel = self._panel(entities, weighted=False)
        return Panel(panel.hours, panel.entities, panel.y, panel.weight, {k: f.to_numpy() for k, f in past.items()}), (
            self.flights[:, columns]
        )

    @property
    def airports(self) -> list[str]:
        """The airports."""
        return sorted({features["origin"] for features in self._found.entities.values()})
