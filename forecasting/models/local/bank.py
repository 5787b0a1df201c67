"""Bank: what local models have learned, an entity a row of each array; one file for all."""

from __future__ import annotations

import zipfile
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, fields
from pathlib import Path
from typing import Any, Self

import numpy as np
import numpy.typing as npt

from forecasting.features.panel import Floats, Ints
from forecasting.models.local.trees import Rows32, Trees

FILE = "models.npz"


@dataclass(frozen=True, slots=True)
class Bank:
    """The models of E entities. The last row is for entities that are not among them."""

    coefficients: Rows32  # (E + 1, F + 1): of the ridge; the last one is the constant
    usual: Rows32  # (E + 1, hours of the main season): the size of an error, in scales
    reach: Rows32  # (E + 1,): the farthest that a target was from its base, in scales
    floor: Rows32  # (E + 1,): 0 where no observation was negative, else minus infinity
    trees: Trees | None  # (E + 1, ...)

    @property
    def nbytes(self) -> int:
        """The memory of it."""
        return sum(array.nbytes for array in self._arrays().values())

    def of(self, rows: Ints) -> Self:
        """Return the models of some rows."""
        parts = {name: array[rows] for name, array in self._arrays().items()}
        return self._from(parts)

    def save(self, folder: Path) -> None:
        """Write it into a folder."""
        np.savez(folder / FILE, allow_pickle=False, **self._arrays())

    @classmethod
    def load(cls, folder: Path) -> Self:
        """Read what `save` wrote. Raises OSError, KeyError or ValueError."""
        try:
            with (folder / FILE).open("rb") as file, np.load(file, allow_pickle=False) as stored:
                return cls._from(dict(stored))
        except (zipfile.BadZipFile, EOFError) as error:
            raise ValueError(f"{FILE} is damaged: {error}") from None

    @classmethod
    def joined(cls, parts: Sequence[Self]) -> Self:
        """Put the models of several blocks one below the other."""
        arrays = [part._arrays() for part in parts]
        return cls._from({name: np.concatenate([each[name] for each in arrays]) for name in arrays[0]})

    def _arrays(self) -> dict[str, npt.NDArray[Any]]:
        own = {f.name: getattr(self, f.name) for f in fields(self) if f.name != "trees"}
        if self.trees is None:
            return own
        return own | {f"trees_{f.name}": getattr(self.trees, f.name) for f in fields(self.trees)}

    @classmethod
    def _from(cls, arrays: Mapping[str, npt.NDArray[Any]]) -> Self:
        trees = {
            name.removeprefix("trees_"): array for name, array in arrays.items() if name.startswith("trees_")
        }
        own = {name: array for name, array in arrays.items() if not name.startswith("trees_")}
        return cls(**own, trees=Trees(**trees) if trees else None)


def told(bank: Bank, x: Rows32, with_phases: Rows32 | None) -> Floats:
    """Return the targets that the models tell of x (E, R, F), in scales from the base: (E, R)."""
    found: Floats = linear(bank.coefficients, x)
    if bank.trees is not None and with_phases is not None:
        found = (found + bank.trees.predict(with_phases)) / 2
    reach = bank.reach[:, None]
    return np.clip(found, -reach, reach)


def linear(coefficients: Rows32 | Floats, x: Rows32) -> Floats:
    """Return x (E, R, F) times the coefficients (E, F + 1), of which the last is the constant: (E, R)."""
    slopes = coefficients[:, :-1].astype(np.float32)
    product: Floats = np.matmul(x, slopes[..., None])[..., 0].astype(np.float64)
    return product + coefficients[:, -1:]
