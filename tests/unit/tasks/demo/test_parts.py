"""The demo's parts: its hours, its scores, its tables and its picture. Playing it whole needs workers."""

from __future__ import annotations

import re
import signal
from contextlib import suppress
from datetime import UTC, datetime
from pathlib import Path

import numpy as np
import pandas as pd
import pytest
from click.testing import CliRunner
from rich.console import Console

from forecasting.models.global_forecaster import Fitting
from forecasting.reading.reader import Forecast
from pipeline.flows.pipe import ONE_HOUR
from pipeline.waves.wave import Progress
from tasks.demo import demo, longer, picture, show, stop
from tasks.demo.day import Day
from tasks.demo.script import Script
from tasks.demo.truth import RIVALS, Truth

SCRIPT = Script(days=30)


@pytest.fixture(scope="module")
def truth() -> Truth:
    return Truth()


def serve(day: Day, hour: int, lead: int, error: float = 5.0, entities: list[str] | None = None) -> None:
    """Serve an hour with forecasts that are all off by so many minutes."""
    at = day.hours[hour]
    found = {}
    for entity in day.entities if entities is None else entities:
        value = float(np.nan_to_num(day.y[hour, day.entities.index(entity)])) + error
        bounds = {"lo-80": value - 1, "hi-80": value + 1, "lo-95": value - 9, "hi-95": value + 9}
        found[entity] = Forecast(entity, at, value, bounds, at - lead * ONE_HOUR, lead, "v", None)
    day.serve(hour, found)


@pytest.fixture
def day(truth: Truth) -> Day:
    """A day whose outage was served from older forecasts, that are worse."""
    day = Day(SCRIPT.served, truth.entities, *truth.at(SCRIPT.served), truth.rivals(SCRIPT.served))
    for hour, date in enumerate(SCRIPT.issues):
        if date in SCRIPT.outage:
            serve(day, hour, lead=2 + SCRIPT.outage.index(date), error=10.0)
        else:
            serve(day, hour, lead=1)
    return day


def test_the_waves_are_those_of_a_day_in_new_york_and_the_history_ends_before_it():
    assert SCRIPT.issues[0] == datetime(2013, 6, 25, 4, tzinfo=UTC)
    assert len(SCRIPT.issues) == len(SCRIPT.served) == 24
    assert SCRIPT.history[-1] + ONE_HOUR == SCRIPT.issues[0]
    assert len(SCRIPT.history) == 30 * 24


def test_the_outage_lies_in_the_middle_for_six_hours():
    assert len(SCRIPT.outage) == 6
    assert SCRIPT.outage[0] > SCRIPT.issues[6]
    assert SCRIPT.outage[-1] < SCRIPT.issues[-3]
    assert SCRIPT.outage_text == "2013-06-25T17/2013-06-25T22"


def test_fresh_and_older_answers_are_scored_apart_by_flights(day: Day):
    assert day.answered.all()
    assert day.older.sum() == 6 * 76
    assert day.fresh.sum() == 18 * 76
    assert day.mae(day.fresh) == pytest.approx(5.0)
    assert day.mae(day.older) == pytest.approx(10.0)
    assert 5.0 < day.mae(day.answered) < 10.0
    assert (day.coverage(80, day.fresh), day.coverage(95, day.fresh)) == (0.0, 1.0)


def test_an_hour_that_nobody_answered_is_seen(truth: Truth):
    day = Day(SCRIPT.served, truth.entities, *truth.at(SCRIPT.served), truth.rivals(SCRIPT.served))
    serve(day, 0, lead=1, entities=["JFK-B6"])
    assert day.answered.sum() == 1
    console = Console(record=True, width=80)
    show.day_scores(console, day)
    assert "1,823 questions were not answered" in console.export_text()


def test_simple_forecasts_know_what_was_known_an_hour_before(truth: Truth):
    at = [SCRIPT.served[12]]
    naive = truth.rivals(at)["seasonal naive"]
    yesterday, _ = truth.at([at[0] - 24 * ONE_HOUR])
    there = ~np.isnan(yesterday)
    np.testing.assert_array_equal(naive[there], yesterday[there])


def test_the_tables_fit_a_narrow_terminal_and_tell_the_outage(day: Day):
    console = Console(record=True, width=80, force_terminal=False)
    show.opening(console, SCRIPT)
    show.day_scores(console, day)
    text = console.export_text()
    assert "New York, 25 June 2013" in text
    assert "from 13:00 to 18:00" in text
    assert "456 of them (in 6 hours)" in text
    assert "…" not in text
    for name in ("fresh", "older", "all"):
        assert re.search(rf"^ *{name} .*\d %", text, re.MULTILINE)


def test_the_picture_is_a_png_in_a_folder_that_is_made(day: Day, tmp_path: Path):
    png = picture.draw(day, SCRIPT, tmp_path / "new" / "folder")
    assert png.read_bytes().startswith(b"\x89PNG")


def test_the_table_of_the_day_tells_each_hour(day: Day):
    console = Console(record=True, width=100)
    with show.day_table(console, day, SCRIPT) as add:
        for hour in (12, 13):
            failed = {"failed": 76} if hour == 13 else {}
            tasks = {"delay_forecast": {"finished": 0 if failed else 76} | failed}
            add(hour, Progress("w", "closed", "done", tasks, 76, 76, 1.0))
    text = console.export_text()
    assert re.search(r"12:00 +13:00 +76 +76 of 76 +1 h", text)
    assert re.search(r"13:00 +14:00 +0 +76 of 76 +2 h", text)


def test_the_backtest_scores_models_and_simple_forecasts_on_the_same_hours(
    truth: Truth, monkeypatch: pytest.MonkeyPatch
):
    monkeypatch.setattr(longer, "CUTOFFS", [pd.Timestamp("2013-04-29", tz="UTC")])
    monkeypatch.setattr(
        longer, "FITTING", Fitting(loss="robust", rounds=20, quantile_rounds=5, max_rows=5_000)
    )
    monkeypatch.setattr(truth, "airports", ["JFK"])
    parts = list(longer.backtest(truth, 25))
    assert len(parts) == len(longer.steps(truth)) == 1
    scores = parts[0]
    assert set(scores["model"]) == {longer.MODEL, *RIVALS}
    assert scores.groupby("model")["weight"].sum().nunique() == 1
    console = Console(record=True, width=80)
    show.longer_scores(console, scores)
    assert "seasonal naive" in console.export_text()


def test_a_wrong_order_of_errors_is_not_called_the_expected_one(truth: Truth):
    rows = [
        {
            "model": model,
            "cutoff": pd.Timestamp(cutoff),
            "lead": lead,
            "weight": 1.0,
            "count": 1.0,
            "squared": 1.0,
        }
        | {"error": 1.0 if model == "seasonal naive" else 2.0, "in-80": 1.0, "in-95": 1.0}
        for model in (longer.MODEL, *RIVALS)
        for cutoff in longer.CUTOFFS
        for lead in range(1, 25)
    ]
    console = Console(record=True, width=80)
    show.longer_scores(console, pd.DataFrame(rows))
    assert "not in the expected order" in console.export_text()


@pytest.mark.parametrize("number", stop.SIGNALS)
def test_a_stop_that_a_destructor_swallows_is_seen_at_the_next_check(number: int):
    before = signal.getsignal(number)
    with stop.stoppable() as check:
        check()
        with suppress(KeyboardInterrupt):
            signal.raise_signal(number)
        with pytest.raises(KeyboardInterrupt):
            check()
    assert signal.getsignal(number) is before


def test_the_command_explains_itself_and_refuses_too_short_a_history():
    runner = CliRunner()
    assert "six hours" in runner.invoke(demo, ["--help"]).output
    refused = runner.invoke(demo, ["--days", "3"])
    assert refused.exit_code == 2
    assert "20<=x<=150" in refused.output
