"""PooledForecaster: a GlobalForecaster for each block of entities, where they are too many for one model.

The blocks are fitted one after the other, and given one after the other if need be: what is in memory is one block's
rows, and the models, however many blocks there are.
"""

from __future__ import annotations

import zipfile
from collections.abc import Iterable, Iterator
from dataclasses import asdict
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Self

import numpy as np
import pandas as pd

from forecasting.errors import DataError, NotFitted
from forecasting.features.panel import Floats, Ints, Panel
from forecasting.features.rows import FeatureSpec
from forecasting.models.direct_forecaster import Direct, panel_of
from forecasting.models.forecasts import Forecasts
from forecasting.models.global_forecaster import Fitting, GlobalForecaster
from forecasting.models.spec_file import parameters, reading_spec, write_spec

BLOCKS_FILE = "blocks.zip"
BLOCK = 256  # entities that share a model
# Quick rather than the best: 256 entities in a second or two.
QUICK = Fitting(
    members=1,
    rounds=50,
    quantile_members=1,
    quantile_rounds=14,
    depth=6,
    quantile_depth=5,
    eta=0.15,
    quantile_eta=0.3,
    max_rows=20_000,
)


class PooledForecaster(Direct[FeatureSpec]):
    """One model a block of entities.

    Args:
        spec: The features, as of a GlobalForecaster.
        fitting: How each block's model is fitted; by default in a second or two.
        block: Entities that share a model.

    Example:
        >>> hours = pd.date_range("2026-01-01", periods=14 * 24, freq="h", tz="UTC")
        >>> panel = Panel.from_frames(pd.DataFrame({"oslo": hours.hour, "lima": hours.hour + 5}, index=hours))
        >>> fitting = Fitting(members=1, quantile_members=1, rounds=5, quantile_rounds=5)
        >>> PooledForecaster(FeatureSpec(horizon=6), fitting, block=1000).fit(panel).predict(panel).shape
        (12, 8)
    """

    def __init__(
        self, spec: FeatureSpec | None = None, fitting: Fitting | None = None, block: int = BLOCK
    ) -> None:
        self.spec = spec or FeatureSpec()
        self.fitting = fitting or QUICK
        self.block = block
        self._blocks: list[tuple[tuple[str, ...], GlobalForecaster]] = []

    @property
    def features(self) -> tuple[str, ...]:
        """The names of the features that the first block was fitted with. Raises NotFitted."""
        return self._fitted()[0][1].features

    def fit(self, data: Panel | pd.DataFrame | Iterable[Panel]) -> Self:
        """Fit to a panel, to the long format, or to panels that come one after the other, such as shards.

        Raises:
            DataError: There is too little.
        """
        self._blocks = []
        panels = [self._panel(data)] if isinstance(data, (Panel, pd.DataFrame)) else data
        for panel in panels:
            for part in self._parts(panel):
                model = _slim(GlobalForecaster(self.spec, self.fitting).fit(part))
                self._blocks.append((part.entities, model))
        if not self._blocks:
            raise DataError("there are no entities to fit a model to. Give at least one panel with some.")
        return self

    def forecast_at(self, panel: Panel, origins: Ints, leads: Ints, *, intervals: bool = True) -> Forecasts:
        """Forecast from R origins, each for its lead; entities that are in no block by the first block's model."""
        blocks = self._fitted()
        block_of = {entity: n for n, (entities, _) in enumerate(blocks) for entity in entities}
        wanted = np.array([block_of.get(entity, 0) for entity in panel.entities], np.int64)
        columns: dict[str, Floats] = {}
        for n in np.unique(wanted).tolist():
            chosen = np.flatnonzero(wanted == n)
            found = blocks[n][1].forecast_at(_some(panel, chosen), origins, leads, intervals=intervals)
            for name, values in {"mean": found.mean, **found.bounds}.items():
                whole = columns.setdefault(name, np.full((len(origins), len(wanted)), np.nan))
                whole[:, chosen] = values
        mean = columns.pop("mean", np.empty((len(origins), 0)))
        return Forecasts(panel.entities, panel.hours[origins], leads, mean, columns)

    def save(self, folder: Path) -> None:
        """Write the models' files into a folder that exists: two, however many blocks there are."""
        blocks = self._fitted()
        with zipfile.ZipFile(folder / BLOCKS_FILE, "w") as file:
            for n, (_, model) in enumerate(blocks):
                with TemporaryDirectory(prefix="wave-model-") as place:
                    model.save(Path(place))
                    for path in sorted(Path(place).iterdir()):
                        file.write(path, f"{n}/{path.name}")
        stored = {
            "spec": asdict(self.spec),
            "fitting": asdict(self.fitting),
            "block": self.block,
            "entities": [entities for entities, _ in blocks],
        }
        write_spec(folder, stored)

    @classmethod
    def load(cls, folder: Path) -> Self:
        """Read what `save` wrote. Raises ModelError when a file is missing or cannot be read."""
        with reading_spec(folder) as stored:
            spec = parameters(FeatureSpec, stored["spec"])
            model = cls(spec, Fitting(**stored["fitting"]), stored["block"])
            with zipfile.ZipFile(folder / BLOCKS_FILE) as file:
                model._blocks = [
                    (tuple(entities), _read(file, n)) for n, entities in enumerate(stored["entities"])
                ]
        return model

    def _parts(self, panel: Panel) -> Iterator[Panel]:
        """Cut a panel into blocks of nearly one size."""
        count = -(-len(panel.entities) // self.block)
        for chosen in np.array_split(np.arange(len(panel.entities)), count) if count else ():
            yield _some(panel, chosen)

    def _fitted(self) -> list[tuple[tuple[str, ...], GlobalForecaster]]:
        if not self._blocks:
            raise NotFitted
        return self._blocks

    def _panel(self, data: Panel | pd.DataFrame) -> Panel:
        return panel_of(data, self.spec)


def _some(panel: Panel, chosen: Ints) -> Panel:
    """Return some entities of a panel."""
    pairs = (panel.past, panel.future, panel.static)
    past, future, static = ({k: v[..., chosen] for k, v in each.items()} for each in pairs)
    names = tuple(panel.entities[i] for i in chosen.tolist())
    return Panel(panel.hours, names, panel.y[:, chosen], panel.weight[:, chosen], past, future, static)


def _slim(model: GlobalForecaster) -> GlobalForecaster:
    """Return the model as it is when it was kept: a booster that was just fitted holds on to what it was fitted to."""
    with TemporaryDirectory(prefix="wave-model-") as place:
        model.save(Path(place))
        return GlobalForecaster.load(Path(place))


def _read(file: zipfile.ZipFile, n: int) -> GlobalForecaster:
    with TemporaryDirectory(prefix="wave-model-") as place:
        for name in file.namelist():
            if name.startswith(f"{n}/"):
                (Path(place) / Path(name).name).write_bytes(file.read(name))
        return GlobalForecaster.load(Path(place))
