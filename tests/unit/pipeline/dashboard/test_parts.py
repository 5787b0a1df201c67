from __future__ import annotations

from datetime import UTC, datetime

import pytest

from pipeline.dashboard import timeline as timelines
from pipeline.dashboard.colours import shares, verdict
from pipeline.dashboard.layout import HEIGHT, WIDTH, draw
from pipeline.dashboard.pages import short, url
from pipeline.dashboard.timeline import timeline
from pipeline.errors import SettingsError
from pipeline.flows.cron import Cron
from pipeline.flows.left_out import LeftOut
from pipeline.gate.records import WaveInfo
from pipeline.gate.status_groups import by_kind, kind
from pipeline.gate.unit_record import Condition
from pipeline.gate.units import Unit
from pipeline.monitoring.alert_rules import Alert, Bounds, alerts
from pipeline.monitoring.backlog import Backlog
from pipeline.monitoring.observe import Observed, Standing
from pipeline.waves.presence import BEAT, WORKER, Process

NOW = datetime(2026, 11, 20, 12, tzinfo=UTC)
DIAMOND = {"a": [], "b": ["a"], "c": ["a"], "d": ["b", "c"]}


def observed(**options) -> Observed:
    empty = {"standings": (), "queues": {}, "processes": (), "deadlines": 0, "redis": {}}
    return Observed(NOW, **{**empty, **options})


# -- the graph


def test_tasks_stand_in_columns_after_what_they_read():
    drawing = draw(DIAMOND)
    x = {box.task: box.x for box in drawing.boxes}
    assert x["a"] < x["b"] == x["c"] < x["d"]
    assert {(a, b) for a, b, _ in drawing.edges} == {("a", "b"), ("a", "c"), ("b", "d"), ("c", "d")}


def test_no_two_boxes_overlap_and_all_lie_within_the_drawing():
    wide = {"s": [], **{f"m{n}": ["s"] for n in range(9)}, "e": [f"m{n}" for n in range(9)]}
    drawing = draw(wide)
    places = [(box.x, box.y) for box in drawing.boxes]
    for n, (x, y) in enumerate(places):
        assert 0 <= x <= drawing.width - WIDTH
        assert 0 <= y <= drawing.height - HEIGHT
        assert not any(abs(x - x2) < WIDTH and abs(y - y2) < HEIGHT for x2, y2 in places[:n])


def test_columns_are_ordered_so_that_edges_cross_little():
    crossed = {"a": [], "b": [], "x": ["b"], "y": ["a"]}
    y = {box.task: box.y for box in draw(crossed).boxes}
    assert (y["a"] < y["b"]) == (y["y"] < y["x"])


def test_a_graph_without_tasks_is_drawn_too():
    assert draw({}).boxes == []


# -- the timeline


def test_a_shards_pieces_follow_one_another_from_its_start():
    done = {
        Unit("a", "0"): Condition("done", 1, 0, 102.0),
        Unit("b", "0"): Condition("done", 2, 0, 104.0),
        Unit("a", "1"): Condition("running", 1, 0, 130.0),
        Unit("all", "@all"): Condition("done", 1, 0, 110.0),
    }
    found = timeline({"0": 101.0, "@all": 108.0}, done, submitted=100.0)
    assert found.seconds == 10.0
    ((where, (a, b)), (last, (whole,))) = found.rows
    assert (where, last) == ("0", "@all")
    scale = (timelines.WIDTH - timelines.LABEL) / 10
    assert (a.x, a.width) == (timelines.LABEL + scale, scale)
    assert (b.x, b.width, b.again) == (timelines.LABEL + 2 * scale, 2 * scale, True)
    assert whole.x + whole.width == timelines.WIDTH


def test_of_many_shards_those_that_took_longest_are_drawn_in_their_order():
    done = {Unit("a", str(n)): Condition("done", 1, 0, 100.0 + n) for n in range(60)}
    found = timeline({}, done, 100.0)
    assert [where for where, _ in found.rows] == [str(n) for n in range(60 - timelines.ROWS, 60)]
    assert found.left == 60 - timelines.ROWS


def test_a_wave_of_which_nothing_is_done_has_no_timeline():
    assert timeline({}, {}, 100.0).rows == []


# -- colours


@pytest.mark.parametrize(
    ("status", "expected"),
    [
        ("finished", "finished"),
        ("finished (empty)", "finished"),
        ("finished (late)", "degraded"),
        ("failed: timed out", "failed"),
        ("skipped: missing input", "skipped"),
        ("pending", "pending"),
    ],
)
def test_a_status_has_one_kind(status, expected):
    assert kind(status) == expected


def test_a_bar_shows_one_failure_among_many_and_is_as_wide_as_it_may_be():
    bar = shares({"finished": 100_000, "failed: error": 1}, 174)
    assert [name for name, _, _ in bar] == ["finished", "failed"]
    assert bar[1][2] >= 1.9
    assert sum(width for _, _, width in bar) == pytest.approx(174, abs=0.2)
    assert shares({}, 174) == []


@pytest.mark.parametrize(
    ("state", "reason", "counts", "expected"),
    [
        ("open", None, {}, "open"),
        ("closed", "done", {"finished": 3}, "good"),
        ("closed", "done", {"finished": 3, "failed: error": 1}, "flawed"),
        ("closed", "expired", {"finished": 3}, "bad"),
        ("closed", "empty", {}, "good"),
    ],
)
def test_a_wave_has_a_verdict(state, reason, counts, expected):
    assert verdict(state, reason, list(by_kind(counts).items())) == expected


def test_values_are_written_on_one_line():
    assert short(0.1 + 0.2) == "0.3"
    assert short({"a": [1, 2]}) == '{"a":[1,2]}'
    assert short(b"x" * 2000) == "2,000 bytes"
    assert short("x" * 500).endswith("…")
    assert url("/wave", id="main/a b", q="") == "/wave?id=main%2Fa+b"


def test_the_next_minute_of_a_schedule():
    assert Cron.parse("5 * * * *").next(NOW) == datetime(2026, 11, 20, 12, 5, tzinfo=UTC)
    assert Cron.parse("0 * * * *").next(NOW) == datetime(2026, 11, 20, 13, 0, tzinfo=UTC)
    assert Cron.parse("30 6 1 1 *").next(NOW) == datetime(2027, 1, 1, 6, 30, tzinfo=UTC)


# -- alerts


def test_all_is_well_where_nothing_is_wrong():
    fine = observed(standings=[Standing("main", "sales", {}, NOW, 60.0)])
    assert (
        alerts(fine, {"main/sales 2026-11-20T11": {"a": {"finished": 99, "failed: error": 1}}}, Bounds())
        == []
    )


def test_a_late_flow_is_critical_and_says_since_when():
    unstarted = Standing("main", "sales", {}, NOW, 7200.0, unstarted="2026-11-20T11")
    (found,) = alerts(observed(standings=[unstarted]), {}, Bounds())
    assert (found.level, found.what, found.about) == ("critical", "late", "main/sales")
    assert found.text == (
        "main/sales is late by 2.0 h: none has ended well yet. The wave of 2026-11-20T11 has not started: "
        "`wave doctor` tells what is missing."
    )


def test_a_late_flow_whose_wave_has_started_names_that_wave_and_none_of_an_hour_to_come():
    info = WaveInfo("open", None, 1, 0.0, 0.0, None, 0)
    waves = {"2026-12-20T11": info, f"{NOW:%Y-%m-%dT%H} 0123456789": info, "2026-11-20T01": info}
    (found,) = alerts(observed(standings=[Standing("main", "sales", waves, NOW, 7200.0)]), {}, Bounds())
    assert found.text.endswith(f"`wave show main/sales {NOW:%Y-%m-%dT%H} 0123456789` tells why.")


def test_many_incidents_name_the_wave_with_the_most():
    incidents = {"main/sales 2026-11-20T10": {"lost": 1}, "main/sales 2026-11-20T11": {"lost": 4, "hung": 2}}
    (found,) = alerts(observed(), {}, Bounds(), incidents=incidents)
    assert (found.what, found.about) == ("incidents", "main/sales")
    assert "7 runs of main/sales" in found.text
    assert ": 5 lost, 2 hung. " in found.text
    assert found.text.endswith("`wave show main/sales 2026-11-20T11` tells of each why.")


def test_a_machine_with_a_wrong_clock_is_named_once_and_so_is_a_mark_of_an_hour_to_come():
    processes = [
        Process(WORKER, "main", "box", 1, ("main.collect",), 4, skew=7200.0),
        Process(BEAT, "main", "box", 2, skew=7199.0),
        Process(WORKER, "main", "slow", 3, skew=-6.0),
        Process(WORKER, "main", "right", 4, skew=4.9),
    ]
    marked = Standing("main", "sales", {}, NOW, ahead="2026-12-20T11")
    found = alerts(observed(processes=processes, standings=[marked]), {}, Bounds())
    assert [(a.level, a.what, a.about) for a in found] == [
        ("warning", "clock", "box"),
        ("warning", "clock", "slow"),
        ("warning", "schedule", "main/sales"),
    ]
    assert found[0].text.startswith(
        "the clock of box (worker pid 1, beat pid 2) is 2 h 00 min ahead of Redis. Let NTP set it:"
    )
    assert found[1].text.startswith("the clock of slow (worker pid 3) is 6.0 s behind Redis. ")
    assert found[2].text.startswith("main/sales is marked as started for 2026-12-20T11, an hour to come: ")


def test_many_failures_of_a_task_are_a_warning():
    counts = {"main/sales 2026-11-20T11": {"a": {"finished": 90, "failed: error": 8, "failed: timed out": 2}}}
    (found,) = alerts(observed(), counts, Bounds())
    assert found == Alert(
        "warning",
        "failed",
        "main/sales a",
        "10 of 100 entities of a failed in main/sales 2026-11-20T11. `wave show main/sales 2026-11-20T11` tells why.",
    )


def test_a_queue_without_workers_a_full_redis_and_missing_keepers_are_critical_and_come_first():
    worker = Process(WORKER, "main", "host", 1, ("main.collect",), 4)
    found = alerts(
        observed(
            queues={
                "main.compute": Backlog("main.compute", 7, 0, 1.0),
                "main.collect": Backlog("main.collect", 7, 0, 1.0),
            },
            processes=[worker],
            redis={"control": {"used_memory": 95, "maxmemory": 100}},
            deadlines=3,
        ),
        {"w": {"a": {"failed: error": 1}}},
        Bounds(),
    )
    assert [(a.level, a.what) for a in found] == [
        ("critical", "untaken"),
        ("critical", "memory"),
        ("warning", "failed"),
    ]
    assert (
        found[0].text
        == "7 messages wait in main.compute and no worker takes from it. Start one with -Q main.compute."
    )
    assert found[1].text.startswith("Redis (control) uses 95% of its memory; when it is full, waves stop.")
    (alone,) = alerts(observed(deadlines=3), {}, Bounds())
    assert alone.text == "no worker and no beat is there: waves will not end. Start one."


def test_more_incidents_than_usual_are_a_warning_that_says_which():
    assert alerts(observed(), {}, Bounds(), (), {"main/sales": {"lost": 5}}) == []
    (found,) = alerts(observed(), {}, Bounds(), (), {"main/sales": {"late": 1, "lost": 5}})
    assert (found.level, found.what, found.about) == ("warning", "incidents", "main/sales")
    assert found.text.startswith(
        "6 runs of main/sales went otherwise than they should within 15 minutes: 5 lost, 1 late. They are run again"
    )


def test_entities_that_were_left_out_are_a_warning_that_names_the_first():
    left = LeftOut({"a b": "entity key 'a b' has a space.", "c": "no city"}, 7)
    (found,) = alerts(observed(left_out={"main/sales 2026-11-20T11": left}), {}, Bounds())
    assert (found.level, found.what, found.about) == ("warning", "entities", "main/sales")
    assert found.text == (
        "main/sales 2026-11-20T11 goes on without a b, and 6 more: entity key 'a b' has a space. "
        "`wave show main/sales 2026-11-20T11` names who was left out, and why."
    )
    (found,) = alerts(observed(left_out={"main/sales x": LeftOut({"c": "no city"})}), {}, Bounds())
    assert "goes on without c: no city." in found.text


def test_bounds_come_from_the_environment():
    found = Bounds.from_env(
        {
            "PIPELINE_ALERT_LATE": "5m",
            "PIPELINE_ALERT_FAILED": "0.2",
            "PIPELINE_ALERT_COVER": "3h",
            "PIPELINE_ALERT_INCIDENTS": "0",
        }
    )
    assert found == Bounds(late=300.0, failed=0.2, cover=3.0, incidents=0)
    with pytest.raises(SettingsError, match=r"PIPELINE_ALERT_FAILED='2' is not a share between 0 and 1"):
        Bounds.from_env({"PIPELINE_ALERT_FAILED": "2"})
    with pytest.raises(SettingsError, match=r"PIPELINE_ALERT_LATE 'soon' is not a length of time"):
        Bounds.from_env({"PIPELINE_ALERT_LATE": "soon"})
