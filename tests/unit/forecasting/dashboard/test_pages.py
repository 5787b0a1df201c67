"""What a forecast's page shows, and how it is drawn; the cover of flows."""

from __future__ import annotations

import re
from datetime import UTC, datetime

import pytest

from forecasting.dashboard.chart import draw, in_words, nice, number, runs
from forecasting.dashboard.outlook import Outlook, look_ahead
from pipeline import Flow, State, task
from pipeline.errors import StoreError
from pipeline.flows.pipe import ONE_HOUR, floor
from pipeline.monitoring.alert_rules import Alert, Bounds, alerts
from pipeline.monitoring.cover import Covered, Covers, by_flow
from pipeline.monitoring.observe import Observed
from pipeline.settings import Settings
from pipeline.store import MemoryStore
from pipeline.waves.runtime import Runtime

NOW = datetime(2026, 1, 2, 12, tzinfo=UTC)
FAR = 1e9


def stored(value: float, horizon: int = 6) -> dict[str, object]:
    mean = [value] * horizon
    bounds = {
        name: [value + off] * horizon
        for name, off in {"lo-80": -1, "hi-80": 1, "lo-95": -2, "hi-95": 2}.items()
    }
    return {"mean": mean, "of": "y", **bounds}


@pytest.fixture
def store() -> MemoryStore:
    """Two weeks of observations up to NOW + 2 h, and forecasts of each hour but those of 3 to 5 h before NOW."""
    made = MemoryStore()
    for back in range(-2, 24 * 14):
        made.put("main", "y", NOW - back * ONE_HOUR, {"a": 10.0 + back % 24}, FAR)
    for back in set(range(30)) - {3, 4, 5}:
        made.put("main", "f", NOW - back * ONE_HOUR, {"a": stored(100 + back)}, FAR)
    return made


def look(store: MemoryStore, **options) -> Outlook:
    return look_ahead(store, "f", "a", version="main", **{"issued": NOW, "back": 12, **options})


# -- what is shown


def test_past_hours_show_what_was_told_an_hour_before_and_coming_ones_what_is_told_now(store: MemoryStore):
    found = look(store)
    assert (found.observed, len(found.past), len(found.coming)) == ("y", 12, 6)
    assert [hour.forecast.value for hour in found.past if hour.forecast][-2:] == [102.0, 101.0]
    assert {hour.forecast.value for hour in found.coming if hour.forecast} == {100.0}
    assert found.next is not None
    assert (found.next.source, found.next.lead) == ("fresh", 1)


def test_an_hour_that_no_fresh_wave_answered_is_degraded_and_says_how_old_its_forecast_was(
    store: MemoryStore,
):
    degraded = look(store).degraded
    assert [hour.at for hour in degraded] == [NOW - n * ONE_HOUR for n in (4, 3, 2)]
    assert [(h.forecast.source, h.forecast.lead) for h in degraded if h.forecast] == [
        ("older", 2),
        ("older", 3),
        ("older", 4),
    ]


def test_the_truth_is_shown_for_hours_after_the_issue_date_too_once_it_has_come(store: MemoryStore):
    found = look(store)
    assert [hour.truth is not None for hour in found.coming] == [True, True, False, False, False, False]


def test_what_was_told_before_of_the_same_hours_stands_beside_it(store: MemoryStore):
    found = look(store, back=24)
    assert [issued for issued, _ in found.older] == [NOW - n * ONE_HOUR for n in (6, 12, 18, 24)]
    assert all(line[0][0] > issued for issued, line in found.older)


def test_hours_that_no_stored_forecast_reaches_are_answered_by_one_that_is_made(store: MemoryStore):
    found = look(store, issued=NOW - 40 * ONE_HOUR, back=2)
    sources = {hour.forecast.source for hour in found.coming if hour.forecast}
    assert sources <= {"ridge", "seasonal naive"}
    assert sources


def test_without_a_date_it_is_that_of_the_newest_forecast():
    store, present = MemoryStore(), floor(datetime.now(UTC))
    store.put("main", "f", present - 5 * ONE_HOUR, {"a": stored(1)}, FAR)
    found = look_ahead(store, "f", "a", version="main")
    assert present - found.issued in (5 * ONE_HOUR, 6 * ONE_HOUR)
    assert found.age in (5, 6)


def test_of_an_entity_that_nothing_is_known_of_nothing_is_shown(store: MemoryStore):
    found = look_ahead(store, "f", "nobody", version="main", issued=NOW)
    assert found.next is None
    assert not found.known
    assert not found.degraded
    assert draw(found, 800, 300).bands == []


# -- how it is drawn


def test_degraded_stretches_are_shapes_of_their_own_that_touch_their_neighbours(store: MemoryStore):
    chart = draw(look(store), 800, 300)
    assert [shape.kind for shape in chart.lines] == ["fresh", "older", "fresh"]
    ends = [re.findall(r"[\d.]+ [\d.]+", shape.path) for shape in chart.lines]
    assert ends[0][-1] == ends[1][0]
    assert ends[1][-1] == ends[2][0]
    assert [shape.kind for shape in chart.bands if "older" in shape.kind] == ["older in95", "older in80"]


def test_all_of_it_lies_within_the_picture(store: MemoryStore):
    chart = draw(look(store), 800, 300)
    paths = [s.path for s in (*chart.bands, *chart.lines, *chart.older)] + list(chart.truth)
    points = [tuple(map(float, p.split())) for path in paths for p in re.findall(r"[\d.-]+ [\d.-]+", path)]
    assert all(0 <= x <= 800 and 0 <= y <= 300 for x, y in points)
    assert len(chart.columns) == 18
    assert [column.kind for column in chart.columns].count("older") == 3
    assert chart.columns[8].text == (
        "02 Jan 09:00; observed 13; forecast 106; 105 to 107 in 80 %; 104 to 108 in 95 %; older, made 3 h before"
    )


def test_an_hour_without_anything_says_so(store: MemoryStore):
    found = look_ahead(store, "f", "nobody", version="main", issued=NOW, back=1)
    assert in_words(found.hours[0]) == "02 Jan 12:00; no forecast"


@pytest.mark.parametrize(
    ("low", "high", "expected"),
    [
        (0, 10, [0, 2, 4, 6, 8, 10]),
        (44, 245, [0, 50, 100, 150, 200, 250]),
        (-0.03, 0.02, [-0.03, -0.02, -0.01, 0, 0.01, 0.02]),
    ],
)
def test_axes_have_round_numbers(low: float, high: float, expected: list[float]):
    assert nice(low, high) == pytest.approx(expected)


@pytest.mark.parametrize("value", [0.0, 7.0, -3.0, 1e12])
def test_an_axis_of_one_value_has_some_room(value: float):
    ticks = nice(value, value)
    assert ticks[0] < value < ticks[-1]
    assert len(ticks) < 12


def test_numbers_are_short():
    assert [number(v) for v in (1234567.8, 1234.56, 0.000123456)] == ["1,234,568", "1235", "0.0001235"]


def test_stretches_of_one_kind_are_found():
    assert runs(["a", "a", "", "b"]) == [("a", 0, 2), ("", 2, 3), ("b", 3, 4)]
    assert runs([]) == []


# -- cover


@task
def y(entity: str) -> float:
    return 1.0


@task
def f(y: float) -> dict[str, object]:
    return stored(y)


FLOW = Flow("shop", [y, f], state=State("shops", partition_by="city"))
SHORT = Covered("main", "shop", "f", 0, 3, 23, 1, 40)


def test_cover_is_read_once_in_a_while_and_what_fails_leaves_what_was_known():
    runtime, calls = Runtime(Settings(redis_url="redis://nowhere", version="main")), []

    def tell(_, flows):
        calls.append([flow.name for flow in flows])
        if len(calls) > 1:
            raise StoreError("the store is gone")
        return [SHORT]

    covers = Covers(runtime, [FLOW], [tell], kept=3600)
    assert [covers.known() for _ in range(3)] == [(SHORT,)] * 3
    assert calls == [["shop"]]
    impatient = Covers(runtime, [FLOW], [tell], kept=0)
    assert impatient.known() == ()
    assert Covers(runtime, [], [tell]).known() == ()
    assert by_flow([SHORT]) == {("main", "shop"): [SHORT]}


def test_cover_under_the_bound_is_an_alert_and_none_left_a_critical_one():
    nothing = Observed(NOW, (), {}, (), 0, {})
    assert alerts(nothing, {}, Bounds(cover=3), [SHORT]) == []
    assert alerts(nothing, {}, Bounds(), [SHORT]) == [
        Alert(
            "warning",
            "cover",
            "main/shop f",
            "main/shop: the forecasts f of one entity in twenty last for 3 h more at most. `wave forecast f --cover "
            "--version main` names those with the least.",
        )
    ]
    over = Covered("main", "shop", "f", 0, 0, 23, 9, 40)
    (alert,) = alerts(nothing, {}, Bounds(), [over])
    assert alert.level == "critical"
    assert "of one entity in twenty have run out." in alert.text
