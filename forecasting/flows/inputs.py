"""What a forecast is told beside pipes: what is known of the hours to come, and what an entity is.

Both are plain functions, called once a batch of entities:

    def holidays(entities, hours):              # from the first hour of the past to the last one that is forecast
        return {"holiday": pd.Series(hours.normalize().isin(DAYS), index=hours)}        # the same for all entities

    def sizes(entities):
        return pd.DataFrame({"seats": {entity: SEATS[entity] for entity in entities}})

    flow, training = with_forecasts(flow, "demand", future=holidays, static=sizes)
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from typing import Any

import pandas as pd

from forecasting.errors import DataError
from forecasting.features.panel import HOUR

Future = Callable[[Sequence[str], pd.DatetimeIndex], Mapping[str, pd.DataFrame | pd.Series]]
Static = Callable[[Sequence[str]], pd.DataFrame]


def future_frames(
    pipe: str, known: Future | None, observed: pd.DataFrame, horizon: int
) -> dict[str, pd.DataFrame]:
    """Ask for what is known of each hour of a window and of the `horizon` hours after it: name -> frame.

    known     takes the entities and the hours (UTC); gives, by name, a frame (hours x entities), or a Series by
              hour that holds for all entities. What it leaves out is unknown (NaN).
    observed  the window of the pipe that is forecast, (hours x entities)

    Raises DataError when the function fails or gives anything else.
    """
    if known is None or not len(observed):
        return {}
    entities = [str(entity) for entity in observed.columns]
    first, last = observed.index[0], observed.index[-1]
    hours = pd.date_range(first, last + horizon * HOUR, freq=HOUR)
    found = _called(pipe, "future", known, entities, hours)
    if not isinstance(found, Mapping) or not all(
        isinstance(values, pd.DataFrame | pd.Series) for values in found.values()
    ):
        raise DataError(
            f"{_name(known)}, the future inputs of {pipe!r}, gave {_kind(found)}. It is to give "
            "{name: DataFrame of hours x entities, or a Series by hour that holds for all}."
        )
    return {name: _wide(values, observed.columns) for name, values in found.items()}


def static_columns(pipe: str, told: Static | None, observed: pd.DataFrame) -> dict[str, pd.Series]:
    """Ask what each entity of a window is: name -> a number an entity. What it leaves out is unknown (NaN).

    Raises DataError when the function fails or gives no frame that is indexed by entity.
    """
    if told is None or not len(observed.columns):
        return {}
    entities = [str(entity) for entity in observed.columns]
    found = _called(pipe, "static", told, entities)
    if not isinstance(found, pd.DataFrame) or not found.index.isin(entities).any():
        raise DataError(
            f"{_name(told)}, the static inputs of {pipe!r}, gave {_kind(found)}. It is to give a DataFrame with a row "
            f"an entity, indexed by entity ({', '.join(entities[:3])}), and a column of numbers an input."
        )
    return {str(name): found[name] for name in found.columns}


def _wide(values: pd.DataFrame | pd.Series, entities: pd.Index) -> pd.DataFrame:
    if isinstance(values, pd.DataFrame):
        return values.astype("float64")
    return pd.DataFrame({entity: values.astype("float64") for entity in entities})


def _called(pipe: str, kind: str, function: Callable[..., Any], *args: Any) -> Any:
    """Call a user's function; what it raises holds for all entities, so that none is tried alone."""
    try:
        return function(*args)
    except (Exception, SystemExit) as error:
        raise DataError(
            f"{_name(function)}, the {kind} inputs of {pipe!r}, raised {type(error).__name__}: {error}"
        ) from error


def _name(function: Callable[..., Any]) -> str:
    return getattr(function, "__qualname__", type(function).__name__)


def _kind(found: Any) -> str:
    if isinstance(found, Mapping):
        return f"a {type(found).__name__} of {', '.join(sorted({type(v).__name__ for v in found.values()}))}"
    if isinstance(found, pd.DataFrame):
        return f"a DataFrame indexed by {', '.join(map(str, found.index[:3])) or 'nothing'}"
    return f"a {type(found).__name__}"
