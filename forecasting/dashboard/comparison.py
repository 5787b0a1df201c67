"""What the page that compares versions shows: scores of forecasts, and where other pipes differ."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import TYPE_CHECKING, Any

from forecasting.errors import DataError
from forecasting.models.columns import MEAN
from pipeline.errors import UnknownName
from pipeline.flows.entity import check_entity_key
from pipeline.flows.flow import Flow
from pipeline.flows.pipe import ONE_HOUR, check_version, stamp
from pipeline.flows.pipe import hour as parse_hour
from pipeline.waves.runtime import Runtime

if TYPE_CHECKING:
    from forecasting.evaluation.compare import Scores

MOST = 20_000  # pipes that are read for one page: a second or two
SOME = 50  # entities of a state where none is named, and pipes that are shown where versions differ


@dataclass(frozen=True, slots=True)
class Asked:
    """What is to be compared."""

    pipe: str
    versions: Sequence[str]  # the first is what the others are compared with
    entities: Sequence[str]
    first: datetime
    last: datetime

    @property
    def dates(self) -> Sequence[datetime]:
        """All hours."""
        return [self.first + n * ONE_HOUR for n in range(round((self.last - self.first) / ONE_HOUR) + 1)]


@dataclass(frozen=True, slots=True)
class Differing:
    """Where versions of a pipe that is not a forecast differ."""

    # version, its pipes, and how many of them are as the first one's
    versions: Sequence[tuple[str, int, int]]
    pairs: int  # of entity and date
    different: int  # of these
    rows: Sequence[tuple[str, str, Sequence[Any]]]  # some of these: entity, date, value a version


@dataclass(frozen=True, slots=True)
class Compared:
    """One of the two."""

    asked: Asked
    scores: Scores | None = None
    differing: Differing | None = None


def asked(
    runtime: Runtime,
    flows: Mapping[str, Flow],
    pipe: str,
    versions: str,
    entities: str,
    first: str,
    last: str,
) -> Asked:
    """Read a form. Raises DataError, UnknownName or KeyFormatError, which say what is wrong with it."""
    names = [check_version(name) for name in dict.fromkeys(versions.replace(",", " ").split())]
    if len(names) < 2:
        raise DataError("name two versions or more: the first is what the others are compared with.")
    keys = [check_entity_key(key) for key in entities.replace(",", " ").split()] or _some(
        runtime, flows, pipe
    )
    found = Asked(pipe, names, keys, parse_hour(first), parse_hour(last))
    if found.last < found.first:
        raise DataError(f"the last date {last} lies before the first one, {first}.")
    reads = len(names) * len(keys) * len(found.dates)
    if reads > MOST:
        raise DataError(
            f"this would read {reads:,} pipes, a page at most {MOST:,}. Take fewer entities or dates, or "
            "`wave compare`, which has no limit."
        )
    return found


def _some(runtime: Runtime, flows: Mapping[str, Flow], pipe: str) -> list[str]:
    states = {flow.state.name for flow in flows.values() if pipe in flow.tasks and flow.state is not None}
    if not states:
        raise UnknownName(f"no flow here makes {pipe!r}, so its entities are not known. Name some.")
    keys = sorted(runtime.states.keys(sorted(states)[0]))
    return keys[:: -(-len(keys) // SOME) or 1]


def compare(runtime: Runtime, wanted: Asked) -> Compared:
    """Compare. Raises UnknownName or DataError where there is nothing to compare."""
    # pandas and scipy, which no other page needs
    from forecasting.evaluation.compare import score_versions  # noqa: PLC0415

    store, keys = runtime.store, wanted.entities
    sample = store.get_grid(wanted.versions[0], wanted.pipe, wanted.dates, keys[:3])
    if any(isinstance(value, Mapping) and MEAN in value for value in sample.values()):
        scores = score_versions(wanted.pipe, wanted.versions, keys, wanted.dates, store=store)
        return Compared(wanted, scores=scores)
    return Compared(wanted, differing=_differing(runtime, wanted))


def _differing(runtime: Runtime, wanted: Asked) -> Differing:
    dates, keys = wanted.dates, wanted.entities
    found = [runtime.store.get_grid(name, wanted.pipe, dates, keys) for name in wanted.versions]
    for name, grid in zip(wanted.versions, found, strict=True):
        if not grid:
            raise UnknownName(
                f"version {name!r} has no pipe {wanted.pipe!r} of these entities and dates. The overview lists the "
                "waves of each version."
            )
    pairs = [(key, date) for key in keys for date in dates]
    rows = [(*pair, [grid.get(pair) for grid in found]) for pair in pairs]
    alike = [[_same(values[0], value) for value in values] for _, _, values in rows]
    versions = [
        (name, len(grid), sum(row[i] for row in alike))
        for i, (name, grid) in enumerate(zip(wanted.versions, found, strict=True))
    ]
    different = [row for row, same in zip(rows, alike, strict=True) if not all(same)]
    some = [(key, stamp(date), values) for key, date, values in different[:SOME]]
    return Differing(versions, len(pairs), len(different), some)


def _same(one: Any, other: Any) -> bool:
    if hasattr(one, "equals") or hasattr(other, "equals"):  # of pandas
        return type(one) is type(other) and bool(one.equals(other))
    return bool(one == other)
