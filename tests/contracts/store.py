"""What every pipe store does. Inherit, and give the fixture `make` that builds an empty store from its
options."""

from __future__ import annotations

import math
import time
from datetime import UTC, datetime, timedelta
from itertools import count

import numpy as np
import pandas as pd
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from pipeline.errors import CodecError, KeyFormatError, WindowError
from pipeline.store import codec, series

HOUR, DAY = 3600.0, 86400.0
NOW = datetime.now(UTC).replace(minute=0, second=0, microsecond=0)
THEN = datetime(2013, 6, 25, 13, tzinfo=UTC)
FUTURE = datetime(2099, 6, 25, 13, tzinfo=UTC)
NEVER = 4_102_444_800  # the year 2100
BORDER = datetime(2013, 6, 20, 0, tzinfo=UTC)  # where a period of series begins

VALUES = {
    "object": {"n": 3, "mean": 12.5, "codes": ["AA", "DL"], "last": None, "ok": True},
    "list": [1, [2, {}]],
    "text": "späte Flüge ✈ \x01\x1e",
    "integer": -(2**63),
    "float": 0.1 + 0.2,
    "zero": 0.0,
    "boolean": False,
    "nothing": None,
    "bytes": b"\x00\xff raw",
    "no bytes": b"",
}

_examples = count()


def shift(hours: int, date: datetime = THEN) -> datetime:
    return date + timedelta(hours=hours)


class WritingContract:
    def test_a_value_comes_back_as_it_went_in(self, store):
        for kind, value in VALUES.items():
            store.put("main", "delay", THEN, {kind.replace(" ", "-"): value}, ttl=DAY)
        found = store.get("main", "delay", THEN, [kind.replace(" ", "-") for kind in VALUES])
        assert list(found.values()) == list(VALUES.values())
        assert [type(v) for v in found.values()] == [type(v) for v in VALUES.values()]

    def test_a_put_of_mixed_values_keeps_each_with_its_entity(self, store):
        values = {f"E{i}": value for i, value in enumerate(VALUES.values())}
        assert store.put("main", "delay", THEN, values, ttl=DAY) == set()
        assert store.get("main", "delay", THEN, list(values)) == values

    def test_a_data_frame_comes_back_with_its_index_and_types(self, store):
        frame = pd.DataFrame({"lead": [1, 2], "mean": [0.5, math.nan]}, index=pd.Index(["a", "b"], name="id"))
        store.put("main", "forecast", THEN, {"JFK-LAX": frame}, ttl=DAY)
        pd.testing.assert_frame_equal(
            store.get("main", "forecast", THEN, ["JFK-LAX"])["JFK-LAX"], frame, check_exact=True
        )

    def test_a_pipe_is_written_once_and_keeps_its_first_value(self, store):
        assert store.put("main", "delay", THEN, {"A": 1, "B": 2}, ttl=DAY) == set()
        assert store.put("main", "delay", THEN, {"B": 20, "C": 30, "A": 10}, ttl=DAY) == {"A", "B"}
        assert store.get("main", "delay", THEN, ["A", "B", "C"]) == {"A": 1, "B": 2, "C": 30}

    def test_versions_pipes_and_dates_are_kept_apart(self, store):
        for i, (version, pipe, date) in enumerate(
            [
                ("main", "delay", THEN),
                ("b/x", "delay", THEN),
                ("main", "wind", THEN),
                ("main", "delay", shift(1)),
            ]
        ):
            assert store.put(version, pipe, date, {"A": i}, ttl=DAY) == set()
        assert store.get("main", "delay", THEN, ["A"]) == {"A": 0}
        assert store.get("b/x", "delay", THEN, ["A"]) == {"A": 1}
        assert store.get("main", "wind", THEN, ["A"]) == {"A": 2}
        assert store.get("main", "delay", shift(1), ["A"]) == {"A": 3}

    def test_more_entities_than_travel_in_one_go(self, store):
        values = {f"E{i}": {"n": i} for i in range(1203)}
        store.put("main", "delay", THEN, dict(list(values.items())[::2]), ttl=DAY)
        assert store.put("main", "delay", THEN, values, ttl=DAY) == set(list(values)[::2])
        assert store.get("main", "delay", THEN, list(values)) == values

    def test_nothing_to_put_is_no_error(self, store):
        assert store.put("main", "delay", THEN, {}, ttl=DAY) == set()
        assert store.get("main", "delay", THEN, []) == {}

    def test_plain_values_are_readable_json_in_redis(self, store):
        store.put("main", "delay", THEN, {"JFK-LAX": {"n": 3}}, ttl=DAY)
        assert store.raw("main/delay JFK-LAX 2013-06-25T13") == b'{"n":3}'
        assert store.raw("main/delay JFK-SFO 2013-06-25T13") is None

    def test_a_value_that_no_codec_takes_is_named_and_none_is_written(self, store):
        with pytest.raises(
            CodecError, match=r"main/delay B 2013-06-25T13: the value\['at'\] is of type datetime"
        ):
            store.put("main", "delay", THEN, {"A": 1, "B": {"at": THEN}}, ttl=DAY)
        assert store.get("main", "delay", THEN, ["A", "B"]) == {}

    def test_encoded_apart_the_others_are_written(self, store):
        encoded, errors = store.encode({"A": 1.5, "B": math.nan, "C": {"n": 1}, "D": 2})
        assert list(errors) == ["B"]
        assert store.put_encoded("main", "delay", THEN, encoded, ttl=DAY) == set()
        assert store.get("main", "delay", THEN, ["A", "B", "C", "D"]) == {"A": 1.5, "C": {"n": 1}, "D": 2}

    def test_a_value_that_is_too_large_is_refused_with_its_size(self, make):
        store = make(max_value=1000)
        with pytest.raises(CodecError, match="A 2013-06-25T13: the value takes 1,002 bytes and 1,000 are"):
            store.put("main", "delay", THEN, {"A": "x" * 1000, "B": "y"}, ttl=DAY)

    def test_dates_and_versions_that_no_key_can_hold_are_refused(self, store):
        with pytest.raises(KeyFormatError, match="no time zone"):
            store.put("main", "delay", datetime(2013, 6, 25, 13), {"A": 1}, ttl=DAY)  # noqa: DTZ001
        with pytest.raises(KeyFormatError, match="not on the hour"):
            store.get("main", "delay", THEN.replace(minute=5), ["A"])
        with pytest.raises(KeyFormatError, match="version 'a b'"):
            store.window("a b", "delay", THEN, 3, ["A"])


class TimeToLiveContract:
    def test_a_pipe_lives_for_its_ttl_from_its_date(self, store):
        store.put("main", "delay", NOW, {"A": 1}, ttl=30 * DAY)
        left = NOW.timestamp() + 30 * DAY - time.time()
        assert store.ttl(f"main/delay A {NOW:%Y-%m-%dT%H}") == pytest.approx(left, abs=5)

    def test_a_pipe_of_an_old_date_lives_for_the_minimum(self, make):
        make(min_ttl=2 * DAY).put("main", "delay", THEN, {"A": 1, "B": {}}, ttl=DAY)
        store = make()
        for key in (
            "main/delay A 2013-06-25T13",
            "main/delay B 2013-06-25T13",
            "main/delay A series 2013-06-20",
        ):
            assert store.ttl(key) >= 2 * DAY - 5

    def test_a_refused_put_leaves_the_time_to_live(self, store):
        store.put("main", "delay", NOW, {"A": {}}, ttl=2 * DAY)
        store.put("main", "delay", NOW, {"A": {}}, ttl=30 * DAY)
        assert store.ttl(f"main/delay A {NOW:%Y-%m-%dT%H}") <= 2 * DAY

    def test_a_series_lives_for_its_ttl_from_the_end_of_its_period(self, store):
        store.put("main", "delay", NOW, {"A": 1}, ttl=DAY, series_ttl=28 * DAY)
        (span,) = series.spans(NOW, 1)
        left = store.ttl(f"main/delay A{span.tail}")
        assert left - 5 <= span.ends + 28 * DAY + HOUR - time.time()
        assert left + 5 >= span.ends + 28 * DAY - time.time()

    def test_a_later_put_lengthens_the_life_of_a_series_and_never_shortens_it(self, store):
        lives = []
        for hour, ttl in enumerate((10 * DAY, 30 * DAY, DAY)):
            store.put("main", "delay", shift(hour, FUTURE), {"A": 1}, ttl=ttl)
            lives.append(store.ttl(f"main/delay A{series.spans(FUTURE, 1)[0].tail}"))
        assert lives[1] >= lives[0] + 20 * DAY - 2 * HOUR
        assert lives[2] >= lives[1] - 5

    def test_what_is_past_its_time_is_gone_and_can_be_written_again(self, make, wait_until):
        store = make(min_ttl=0.01)
        store.put("main", "delay", THEN, {"A": 1}, ttl=1)
        wait_until(lambda: store.get("main", "delay", THEN, ["A"]) == {})
        assert store.ttl("main/delay A 2013-06-25T13") is None
        assert store.put("main", "delay", THEN, {"A": 2}, ttl=DAY) == set()


class ReadingContract:
    def test_entities_without_the_pipe_are_absent(self, store):
        store.put("main", "delay", THEN, {"A": None, "B": 2}, ttl=DAY)
        assert store.get("main", "delay", THEN, ["A", "X", "B"]) == {"A": None, "B": 2}

    def test_what_a_version_has_not_is_read_from_its_base(self, store):
        store.put("main", "delay", THEN, {"A": 1, "B": 2}, ttl=DAY)
        store.put("fix/delay", "delay", THEN, {"B": 20, "C": 30}, ttl=DAY)
        entities = ["A", "B", "C", "D"]
        assert store.get("fix/delay", "delay", THEN, entities, base="main") == {"A": 1, "B": 20, "C": 30}
        assert store.get("fix/delay", "delay", THEN, entities) == {"B": 20, "C": 30}
        assert store.get("main", "delay", THEN, entities, base="main") == {"A": 1, "B": 2}

    def test_many_dates_of_many_entities(self, store):
        store.put("main", "delay", THEN, {"A": 1, "B": 2}, ttl=DAY)
        store.put("fix", "delay", shift(-1), {"B": 3}, ttl=DAY)
        found = store.get_grid("fix", "delay", [shift(-1), THEN], ["A", "B"], base="main")
        assert found == {("A", THEN): 1, ("B", THEN): 2, ("B", shift(-1)): 3}

    def test_bytes_that_no_codec_wrote_are_named_by_their_key(self, store):
        store._add(["main/delay B 2013-06-25T13"], [b"{broken"], int(time.time() + DAY))
        store.put("main", "delay", THEN, {"A": 1}, ttl=DAY)
        with pytest.raises(CodecError, match=r"main/delay B 2013-06-25T13: stored bytes b'\{broken'"):
            store.get("main", "delay", THEN, ["A", "B"])


class WindowContract:
    def test_hours_go_down_entities_across_and_missing_is_nan(self, store):
        store.put("main", "delay", THEN, {"A": 1, "B": 2.5}, ttl=DAY)
        store.put("main", "delay", shift(-2), {"A": -3}, ttl=DAY)
        window = store.window("main", "delay", THEN, 3, ["B", "X", "A"])
        assert window.dtype == np.float64
        nan = math.nan
        np.testing.assert_array_equal(window, [[nan, nan, -3], [nan, nan, nan], [2.5, nan, 1]])

    def test_zero_is_zero_and_keeps_its_sign(self, store):
        store.put("main", "delay", THEN, {"A": 0.0, "B": -0.0, "C": 0}, ttl=DAY)
        window = store.window("main", "delay", THEN, 1, ["A", "B", "C"])
        assert window.tolist() == [[0.0, 0.0, 0.0]]
        assert np.signbit(window).tolist() == [[False, True, False]]

    def test_numbers_of_numpy_are_numbers_and_booleans_are_not(self, store):
        values = {"A": np.float32(0.1), "B": np.int64(7), "C": True, "D": {"n": 1}, "E": "1"}
        store.put("main", "delay", THEN, values, ttl=DAY)
        window = store.window("main", "delay", THEN, 1, list(values))
        np.testing.assert_array_equal(window, [[float(np.float32(0.1)), 7, math.nan, math.nan, math.nan]])
        assert store.get("main", "delay", THEN, ["A", "B"]) == {"A": float(np.float32(0.1)), "B": 7}

    def test_a_window_goes_across_the_borders_of_periods(self, store):
        hours = [-1500, -673, -672, -1, 0, 1]
        for hour in hours:
            store.put("main", "delay", shift(hour, BORDER), {"A": hour + 0.5}, ttl=DAY)
        window = store.window("main", "delay", shift(1, BORDER), 1502, ["A"])[:, 0]
        assert {i - 1500: value for i, value in enumerate(window) if not np.isnan(value)} == {
            hour: hour + 0.5 for hour in hours
        }

    def test_more_entities_than_travel_in_one_go_in_a_window(self, store):
        values = {f"E{i}": float(i) for i in range(257)}
        store.put("main", "delay", THEN, values, ttl=DAY)
        window = store.window("main", "delay", THEN, 2, [*values, "X"])
        assert window.shape == (2, 258)
        np.testing.assert_array_equal(window[1], [*values.values(), math.nan])

    def test_slots_that_a_version_has_not_are_filled_from_its_base(self, store):
        for hour in (-2, -1, 0):
            store.put("main", "delay", shift(hour), {"A": hour, "B": hour}, ttl=DAY)
        store.put("fix", "delay", shift(-1), {"A": 100}, ttl=DAY)
        window = store.window("fix", "delay", THEN, 3, ["A", "B", "X"], base="main")
        np.testing.assert_array_equal(window[:, 0], [-2, 100, 0])
        np.testing.assert_array_equal(window[:, 1], [-2, -1, 0])
        assert np.isnan(window[:, 2]).all()

    def test_the_last_hour_can_be_kept_to_the_own_version(self, store):
        for hour in (-1, 0):
            store.put("main", "delay", shift(hour), {"A": hour, "B": hour}, ttl=DAY)
        store.put("fix", "delay", THEN, {"A": 100}, ttl=DAY)
        window = store.window("fix", "delay", THEN, 2, ["A", "B"], base="main", own_last=True)
        np.testing.assert_array_equal(window, [[-1, -1], [100, math.nan]])

    def test_a_repeat_puts_the_stored_value_into_the_series(self, store):
        """As after a crash between the first write of a pipe and that of its slot."""
        store._add(["main/delay A 2013-06-25T13"], [codec.encode(1.5)], int(time.time() + DAY))
        store._add(["main/delay B 2013-06-25T13"], [codec.encode("no number")], int(time.time() + DAY))
        assert store.put("main", "delay", THEN, {"A": 99, "B": 99, "C": 3}, ttl=DAY) == {"A", "B"}
        window = store.window("main", "delay", THEN, 1, ["A", "B", "C"])
        np.testing.assert_array_equal(window, [[1.5, math.nan, 3]])

    def test_pipes_that_stand_are_known_and_their_numbers_are_in_their_series_again(self, store):
        blobs = {
            "N": codec.encode(5),
            "T": codec.encode("text"),
            "bad": b"5 is no number",
            "far": codec.encode(2**63),
        }
        store._add([f"main/delay {key} {THEN:%Y-%m-%dT%H}" for key in blobs], list(blobs.values()), NEVER)
        store.put("main", "delay", shift(-1), {"N": 4}, ttl=DAY)
        store.put("base", "delay", THEN, {"B": 1}, ttl=DAY)
        assert np.isnan(store.window("main", "delay", THEN, 1, ["N"])).all()
        assert store.standing("main", "delay", THEN, ["A", "B", *blobs]) == set(blobs)
        window = store.window("main", "delay", THEN, 2, ["N", "T", "far"])
        assert np.array_equal(window, [[4, math.nan, math.nan], [5, math.nan, 2.0**63]], equal_nan=True)

    def test_a_window_over_a_pipe_that_holds_no_numbers_says_so(self, store):
        store.put("main", "delay", THEN, {"A": {"n": 1}}, ttl=DAY)
        with pytest.raises(
            WindowError, match=r"window of 'delay'.* pipe of 'A' at 2013-06-25T13 is of type dict"
        ):
            store.window("main", "delay", THEN, 24, ["B", "A"])

    def test_a_window_over_nothing_is_all_nan(self, store):
        assert np.isnan(store.window("main", "delay", THEN, 24, ["A", "B"])).all()
        assert store.window("main", "delay", THEN, 24, []).shape == (24, 0)

    def test_a_window_without_hours_is_refused(self, store):
        with pytest.raises(WindowError, match="'delay' over 0 hours"):
            store.window("main", "delay", THEN, 0, ["A"])

    # The suite is inherited, so that several classes call it, each with an empty store.
    @settings(
        max_examples=25,
        deadline=None,
        suppress_health_check=[HealthCheck.function_scoped_fixture, HealthCheck.differing_executors],
    )
    @given(
        puts=st.lists(
            st.tuples(
                st.sampled_from(["own", "base"]),
                st.integers(-4, 4),
                st.dictionaries(st.sampled_from("ABC"), st.floats(allow_nan=False, allow_infinity=False)),
            )
        ),
        hours=st.integers(1, 6),
        end=st.integers(-2, 4),
    )
    def test_whatever_was_put_a_window_shows_the_first_writes(self, store, puts, hours, end):
        own, base = f"own{next(_examples)}", f"base{next(_examples)}"
        names, first = {"own": own, "base": base}, {}
        for version, hour, values in puts:
            store.put(names[version], "delay", shift(hour, BORDER), values, ttl=DAY)
            for entity, value in values.items():
                first.setdefault((version, entity, hour), value)
        window = store.window(own, "delay", shift(end, BORDER), hours, list("ABC"), base=base)
        for i, hour in enumerate(range(end - hours + 1, end + 1)):
            for j, entity in enumerate("ABC"):
                known = first.get(("own", entity, hour), first.get(("base", entity, hour), math.nan))
                np.testing.assert_array_equal(window[i, j], known)


class StoreContract(WritingContract, TimeToLiveContract, ReadingContract, WindowContract):
    """All of it."""

    @pytest.fixture
    def make(self):
        raise NotImplementedError

    @pytest.fixture
    def store(self, make):
        return make()

    @pytest.fixture
    def wait_until(self):
        """Wait for a condition, at most five seconds."""

        def wait(condition) -> None:
            limit = time.monotonic() + 5
            while not condition():
                assert time.monotonic() < limit, "it did not come true within 5 s"
                time.sleep(0.05)

        return wait
