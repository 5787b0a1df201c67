"""Panel: data as they come, put into series of the same hours."""

from __future__ import annotations

import numpy as np
import pandas as pd
import pytest

from forecasting.errors import DataError
from forecasting.features.panel import Panel, side_by_side
from pipeline.errors import PipelineError


def long(rows: list[tuple[str, str, float]]) -> pd.DataFrame:
    frame = pd.DataFrame(rows, columns=["unique_id", "ds", "y"])
    return frame.assign(ds=pd.to_datetime(frame["ds"], utc=True))


def test_hours_that_lack_are_missing_values_and_rows_may_come_in_any_order():
    panel = Panel.from_long(
        long([("a", "2026-01-01T03", 3.0), ("a", "2026-01-01T00", 0.0), ("b", "2026-01-01T01", 1.0)])
    )
    assert panel.entities == ("a", "b")
    np.testing.assert_array_equal(panel.y[:, 0], [0.0, np.nan, np.nan, 3.0])
    np.testing.assert_array_equal(panel.weight[:, 0], [1, 0, 0, 1])
    assert list(panel.hours.hour) == [0, 1, 2, 3]


def test_of_an_hour_that_stands_twice_the_last_row_counts():
    panel = Panel.from_long(long([("a", "2026-01-01T00", 1.0), ("a", "2026-01-01T00", 2.0)]))
    assert panel.y.tolist() == [[2.0]]


def test_a_value_that_is_no_number_of_this_world_is_missing():
    panel = Panel.from_long(long([("a", "2026-01-01T00", float("inf")), ("a", "2026-01-01T01", 1.0)]))
    assert np.isnan(panel.y[0, 0])
    assert panel.weight[0, 0] == 0


def test_weights_and_other_series_come_along_and_a_missing_weight_means_no_observation():
    data = long([("a", "2026-01-01T00", 1.0), ("a", "2026-01-01T01", 2.0)]).assign(
        n=[3.0, np.nan], wind=[7.0, 8.0]
    )
    panel = Panel.from_long(data, weight="n", past=["wind"])
    assert panel.weight.tolist() == [[3.0], [0.0]]
    assert panel.past["wind"].tolist() == [[7.0], [8.0]]


def test_another_series_that_is_shorter_is_missing_where_it_lacks():
    hours = pd.date_range("2026-01-01", periods=3, freq="h", tz="UTC")
    y = pd.DataFrame({"a": [1.0, 2.0, 3.0]}, index=hours)
    panel = Panel.from_frames(y, past={"now": y.tail(1) * 10})
    np.testing.assert_array_equal(panel.past["now"][:, 0], [np.nan, np.nan, 30.0])


def test_local_hours_become_utc():
    local = pd.date_range("2026-06-01", periods=2, freq="h", tz="America/New_York")
    panel = Panel.from_frames(pd.DataFrame({"a": [1.0, 2.0]}, index=local))
    assert str(panel.hours.tz) == "UTC"
    assert panel.hours[0].hour == 4


def test_the_long_format_goes_in_and_comes_out():
    data = long([("a", "2026-01-01T00", 1.0), ("a", "2026-01-01T02", 2.0), ("b", "2026-01-01T01", 3.0)])
    back = Panel.from_long(data).to_long()
    assert back["unique_id"].tolist() == ["a", "a", "b"]
    assert back["y"].tolist() == [1.0, 2.0, 3.0]
    assert (back["ds"].to_numpy() == data["ds"].to_numpy()).all()


def test_hours_before_the_first_observation_are_dropped():
    hours = pd.date_range("2026-01-01", periods=4, freq="h", tz="UTC")
    panel = Panel.from_frames(pd.DataFrame({"a": [np.nan, np.nan, 1.0, np.nan]}, index=hours))
    assert panel.begun().hours[0] == hours[2]
    assert len(panel.begun()) == 2


def test_the_chunks_of_shards_are_put_side_by_side():
    hours = pd.date_range("2026-01-01", periods=2, freq="h", tz="UTC")
    chunks = [pd.DataFrame({key: [1.0, 2.0]}, index=hours) for key in "ab"]
    assert list(side_by_side(iter(chunks)).columns) == ["a", "b"]


@pytest.mark.parametrize(
    ("data", "text"),
    [
        (pd.DataFrame({"unique_id": ["a"], "ds": [0]}), "the data lack y; they have unique_id, ds."),
        (long([("a", "2026-01-01T00:30", 1.0)]), "2026-01-01T00:30:00+00:00 is not on the hour."),
        (
            pd.DataFrame({"unique_id": ["a"], "ds": [pd.Timestamp("2026-01-01")], "y": [1.0]}),
            "the hours have no time zone.",
        ),
        (long([]), "the data have no hours."),
    ],
)
def test_data_that_are_no_hourly_series_are_refused_with_the_reason(data: pd.DataFrame, text: str):
    with pytest.raises(DataError, match="^" + text.replace(".", r"\.").replace("+", r"\+")) as caught:
        Panel.from_long(data)
    assert isinstance(caught.value, PipelineError)
