from __future__ import annotations

import math
from datetime import UTC, datetime, timedelta

import numpy as np
from hypothesis import example, given
from hypothesis import strategies as st

from pipeline.store import series

FLOATS = st.lists(st.floats(width=64), min_size=1)
HOURS = st.integers(-90_000, 1_200_000).map(
    lambda hours: datetime(1970, 1, 1, tzinfo=UTC) + timedelta(hours=hours)
)


def unpacked(slots, hours):
    rows = series.table(1, hours)
    series.unpack(slots, rows)
    return series.window(rows)[:, 0]


@given(FLOATS)
@example([0.0, -0.0, math.inf, -math.inf, math.nan, 5e-324, 1.7e308])
def test_numbers_come_back_bit_by_bit(values):
    found = unpacked(series.pack(values), len(values))
    wanted = np.array(values)
    np.testing.assert_array_equal(found, wanted)
    np.testing.assert_array_equal(np.signbit(found)[~np.isnan(wanted)], np.signbit(wanted)[~np.isnan(wanted)])


def test_zero_bytes_read_as_nan():
    assert np.isnan(unpacked(bytes(24), 3)).all()
    assert series.pack([math.nan]) == bytes(8)


def test_the_layout_is_fixed():
    """What is in Redis must be read by later versions."""
    assert series.pack([1.0, 0.0, -2.5]).hex() == "0000000000000840000000000000f87f000000000000fcbf"
    (span,) = series.spans(datetime(2013, 6, 25, 13, tzinfo=UTC), 1)
    assert (span.tail, span.offset, span.size) == (" series 2013-06-20", (5 * 24 + 13) * 8, 8)
    assert datetime.fromtimestamp(span.ends, UTC) == datetime(2013, 7, 18, tzinfo=UTC)


def hours_until(end: datetime, hours: int) -> list[datetime]:
    return [end - timedelta(hours=back) for back in range(hours - 1, -1, -1)]


@given(HOURS, st.integers(1, 3000))
def test_spans_cover_each_hour_once_and_in_order(end, hours):
    spans = series.spans(end, hours)
    slots = [s.period * series.PERIOD + s.first + i for s in spans for i in range(s.hours)]
    assert slots == [series.number(date) for date in hours_until(end, hours)]
    assert all(s.first >= 0 and s.first + s.hours <= series.PERIOD for s in spans)
    assert len(spans) <= hours // series.PERIOD + 2


@given(HOURS)
def test_a_period_is_named_by_its_first_day(date):
    (span,) = series.spans(date, 1)
    first = datetime.strptime(span.tail, " series %Y-%m-%d").replace(tzinfo=UTC)
    assert first <= date < first + timedelta(days=28)
    assert series.spans(first, 1)[0].first == 0


def test_a_window_is_a_view_whose_columns_are_contiguous():
    rows = series.table(4, 10)
    window = series.window(rows)
    assert window.shape == (10, 4)
    assert np.shares_memory(window, rows)
    assert window[:, 2].flags.c_contiguous


def test_slots_are_cut_apart():
    assert list(series.cut(series.pack([1.5, 2.5]))) == [series.pack([1.5]), series.pack([2.5])]
