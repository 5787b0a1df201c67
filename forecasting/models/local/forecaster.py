"""LocalForecaster: a model for each entity by itself, by the tens of thousands.

Each entity has a ridge regression, all of a block solved at once, and, unless kind="ridge", small boosted trees; the
forecast is the mean of both, which is better than either. Both are direct: fitted to rows of all leads, on what was
known at the origin (see `lags`). They are kept as arrays, some 6 KB an entity, in two files.

Intervals: the size of an entity's errors at each hour of the day, from rows that its ridge was not fitted to; how
many of these sizes an interval has at each lead is conformal, measured over all entities.

What is known of the hours to come (`future` of the panel) is told as the change since the base's hour. Other inputs are
not used: what an entity is (`static`) is the same in all rows of its model.

What an entity lacks: without a week of rows to fit to, or when it was not there at fitting, it has the ridge that all
entities have together; without a day of observations its last one is repeated; without any there is no forecast (NaN).
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import asdict
from pathlib import Path
from types import MappingProxyType
from typing import Self

import numpy as np
import pandas as pd

from forecasting.errors import DataError, NotFitted
from forecasting.features.panel import Floats, Ints, Panel
from forecasting.features.spec import inputs_of
from forecasting.models import ridge
from forecasting.models.direct_forecaster import Direct
from forecasting.models.forecasts import Forecasts
from forecasting.models.intervals import Conformal, normal, tidy
from forecasting.models.local.bank import Bank, told
from forecasting.models.local.fitting import Fitted, Fitter, Held, LocalSpec
from forecasting.models.local.inputs import Inputs
from forecasting.models.local.lags import Lags
from forecasting.models.spec_file import parameters, reading_spec, write_spec

BLOCK = 32  # entities that are worked on at once: their arrays stay in the cache
HELD_OUT = 16  # one entity in so many has trees fitted twice, to measure the errors of the forecast
CALIBRATION = 20_000  # errors that the intervals are measured on


class LocalForecaster(Direct[LocalSpec]):
    """A model for each entity of a panel.

    Args:
        spec: How they are made.

    Example:
        >>> hours = pd.date_range("2026-01-01", periods=42 * 24, freq="h", tz="UTC")
        >>> panel = Panel.from_frames(pd.DataFrame({"oslo": hours.hour, "lima": hours.hour + 5}, index=hours))
        >>> forecast = LocalForecaster(LocalSpec(kind="ridge", horizon=6)).fit(panel).predict(panel)
        >>> forecast["mean"].round().tolist()[:3]
        [0.0, 1.0, 2.0]
    """

    def __init__(self, spec: LocalSpec | None = None) -> None:
        self.spec = spec or LocalSpec()
        self._entities: tuple[str, ...] = ()
        self._bank: Bank | None = None
        self._inputs = Inputs()
        self._conformal = Conformal.none(self.spec.horizon)

    @property
    def features(self) -> tuple[str, ...]:
        """The names of the features of the ridge."""
        return (*Lags(self.spec.seasons).names, *self._inputs.scales)

    @property
    def nbytes(self) -> int:
        """The memory that the models take. Raises NotFitted."""
        return self._fitted().nbytes

    def fit(self, data: Panel | pd.DataFrame) -> Self:
        """Fit to a panel, or to the long format (unique_id, ds, y). Raises DataError when there is too little."""
        panel = self._panel(data)
        panel = panel.part(max(len(panel) - self.spec.history, 0), len(panel))
        names = inputs_of("future", self.spec.future, panel.future)
        inputs = Inputs.measured(panel, names, self.spec.seasons[0])
        fitter = Fitter(self.spec, panel, inputs)
        blocks = [fitter.block(columns, -(-BLOCK // HELD_OUT)) for columns in _blocks(len(panel.entities))]
        own = np.concatenate([block.own for block in blocks]) if blocks else np.zeros(0, np.bool_)
        if not own.any():
            raise DataError(
                f"{len(panel)} hours with {int((panel.weight > 0).sum())} observations are too few to fit a model "
                f"to: no entity has more than three weeks. Give several weeks, or use a GlobalForecaster."
            )
        self._entities, self._inputs = panel.entities, inputs
        self._bank = _joined(blocks, own, ridge.common([block.ridge for block in blocks], fitter.mixing))
        self._conformal = _calibrated([block.held for block in blocks], self.spec.horizon)
        return self

    def forecast_at(self, panel: Panel, origins: Ints, leads: Ints, *, intervals: bool = True) -> Forecasts:
        """Forecast from R origins (row numbers of the panel), each for its lead, as if it were that hour."""
        bank = self._fitted()
        row = {entity: i for i, entity in enumerate(self._entities)}
        rows = np.array([row.get(entity, len(self._entities)) for entity in panel.entities], np.int64)
        inputs_of("future", tuple(self._inputs.scales), panel.future)
        fitter = Fitter(self.spec, panel, self._inputs)
        parts = [
            self._block(fitter, bank.of(rows[columns]), columns, origins, leads)
            for columns in _blocks(len(panel.entities))
        ]
        mean, usual, floor = (np.concatenate(each, axis=-1) for each in zip(*parts, strict=True))
        if not intervals:
            return Forecasts(panel.entities, panel.hours[origins], leads, np.maximum(mean, floor), {})
        bounds = self._conformal.apply(leads, normal(mean, usual))
        bounds = {name: np.maximum(values, floor) for name, values in bounds.items()}
        mean = np.maximum(mean, floor)
        return Forecasts(panel.entities, panel.hours[origins], leads, mean, tidy(mean, bounds))

    def save(self, folder: Path) -> None:
        """Write the models' files into a folder that exists: two, however many entities there are."""
        self._fitted().save(folder)
        stored = {
            "local": asdict(self.spec),
            "widening": self._conformal.to_json(),
            "entities": self._entities,
            "inputs": dict(self._inputs.scales),
        }
        write_spec(folder, stored)

    @classmethod
    def load(cls, folder: Path) -> Self:
        """Read what `save` wrote. Raises ModelError when a file is missing or cannot be read."""
        with reading_spec(folder) as stored:
            model = cls(parameters(LocalSpec, stored["local"]))
            model._inputs = Inputs(MappingProxyType(stored["inputs"]))
            model._entities = tuple(stored["entities"])
            model._conformal = Conformal.from_json(stored["widening"])
            model._bank = Bank.load(folder)
        return model

    def _block(
        self, fitter: Fitter, bank: Bank, columns: slice, origins: Ints, leads: Ints
    ) -> tuple[Floats, Floats, Floats]:
        """Forecast some entities: the mean and the usual size of an error, (R, E) each, and the floor (E,)."""
        y = fitter.panel.y[:, columns]
        lagged = fitter.lagged(columns, origins, leads)
        phases = fitter.with_phases(lagged, origins, leads) if bank.trees is not None else None
        mean = (lagged.base + lagged.scale * told(bank, lagged.x, phases)).T
        hours = (origins + leads + fitter.panel_hour) % self.spec.seasons[0]
        usual = bank.usual.astype(np.float64)[:, hours].T * lagged.scale.T
        return _young(y, mean, origins, self.spec.seasons[0]), usual, bank.floor.astype(np.float64)

    def _fitted(self) -> Bank:
        if self._bank is None:
            raise NotFitted
        return self._bank

    def _panel(self, data: Panel | pd.DataFrame) -> Panel:
        future = self.spec.future or tuple(self._inputs.scales)
        return data if isinstance(data, Panel) else Panel.from_long(data, future=future)


def _blocks(entities: int) -> Iterator[slice]:
    yield from (slice(start, min(start + BLOCK, entities)) for start in range(0, entities, BLOCK))


def _joined(blocks: list[Fitted], own: np.ndarray, common: Floats) -> Bank:
    """Put the blocks together; who has no model of its own has the common one, as has the last row."""
    whole = Bank.joined([block.bank for block in blocks])
    last = Bank.joined([whole, whole.of(np.flatnonzero(own)[:1])])
    last.coefficients[np.append(~own, True)] = common
    others = np.append(~own, True)
    last.usual[others] = np.nanmedian(whole.usual[own], axis=0)
    last.reach[others] = np.max(whole.reach[own])
    last.floor[-1] = np.min(whole.floor[own])
    return last


def _calibrated(held: list[Held], horizon: int) -> Conformal:
    """Measure how many usual errors an interval has to have at each lead."""
    leads, errors, usual = (
        np.concatenate([getattr(one, name) for one in held]) for name in ("leads", "errors", "usual")
    )
    some = np.linspace(0, len(errors) - 1, min(len(errors), CALIBRATION)).astype(np.int64)
    return Conformal.measure(leads[some], errors[some], normal(np.zeros(len(some)), usual[some]), horizon)


def _young(y: Floats, mean: Floats, origins: Ints, season: int) -> Floats:
    """Repeat the last value where less than a season was seen before an origin; NaN where nothing was."""
    seen = ~np.isnan(y)
    first = np.where(seen.any(axis=0), np.argmax(seen, axis=0), len(y))
    young = origins[:, None] < first + season
    if not young.any():
        return mean
    newest = np.maximum.accumulate(np.where(seen, np.arange(len(y))[:, None], -1), axis=0)[origins]
    last = np.take_along_axis(y, np.maximum(newest, 0), axis=0)
    return np.where(young, np.where(newest >= 0, last, np.nan), mean)
