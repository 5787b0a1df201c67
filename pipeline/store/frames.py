"""pandas DataFrames and Series <-> Arrow IPC streams. The extra [arrow] brings what this needs."""

from __future__ import annotations

import sys
from types import ModuleType
from typing import Any

from pipeline.errors import CodecError

_KIND = b"celery-waves"  # name in the stream's metadata, beside pandas' own
_FRAME, _SERIES, _UNNAMED = b"frame", b"series", b"unnamed series"


def is_frame(value: Any) -> bool:
    """Return whether a value is a pandas DataFrame or Series, without importing pandas for it."""
    pandas = sys.modules.get("pandas")
    return pandas is not None and isinstance(value, pandas.DataFrame | pandas.Series)


def dump(value: Any) -> bytes:
    """Write a DataFrame or a Series: values, types, index and names.

    An index loses its `freq`. Raises CodecError when something else would not come back.
    """
    arrow = _arrow()
    kind = _FRAME
    frame = value
    if value.ndim == 1:
        kind = _UNNAMED if value.name is None else _SERIES
        frame = value.to_frame()
    try:
        table = arrow.Table.from_pandas(frame)
        table = table.replace_schema_metadata({**table.schema.metadata, _KIND: kind})
        sink = arrow.BufferOutputStream()
        with arrow.ipc.new_stream(sink, table.schema) as writer:
            writer.write_table(table)
        data: bytes = sink.getvalue().to_pybytes()
        _compare(load(data), value)
    except (arrow.ArrowException, AssertionError, TypeError, ValueError) as error:
        reason = str(error).strip().splitlines()[0]
        raise CodecError(
            f"the value is a {type(value).__name__} that would not come back as it is ({reason}). "
            "Give each column one type, and the columns names of their own."
        ) from None
    return data


def load(data: bytes) -> Any:
    """Read what `dump` wrote."""
    arrow = _arrow()
    with arrow.ipc.open_stream(data) as reader:
        table = reader.read_all()
    kind = table.schema.metadata[_KIND]
    frame = table.to_pandas()
    if kind == _FRAME:
        return frame
    series = frame.iloc[:, 0]
    return series.rename(None) if kind == _UNNAMED else series


def _compare(got: Any, want: Any) -> None:
    testing = sys.modules["pandas"].testing
    same = testing.assert_frame_equal if want.ndim == 2 else testing.assert_series_equal
    same(got, want, check_exact=True, check_freq=False)


def _arrow() -> ModuleType:
    try:
        import pandas  # noqa: F401, PLC0415 - optional extra
        import pyarrow  # noqa: PLC0415 - optional extra
        import pyarrow.ipc  # noqa: F401, PLC0415 - optional extra
    except ImportError as error:
        raise CodecError(
            f"a DataFrame or a Series needs {error.name}. Install it: pip install 'celery-waves[arrow]'."
        ) from None
    return sys.modules["pyarrow"]
