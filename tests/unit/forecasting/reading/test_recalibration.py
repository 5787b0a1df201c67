"""Recalibration: intervals cover what they promise after the world has changed, by the errors of earlier forecasts."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta

import numpy as np
import pandas as pd
import pytest

from forecasting.features.panel import Panel
from forecasting.models.forecasts import Forecasts
from forecasting.reading.recalibration import COUNT, Recalibrated, issue_dates, recalibrate, score
from pipeline.store import MemoryStore

NOW = datetime(2026, 1, 10, 12, tzinfo=UTC)
HOURS = 200
LEADS = 24
FAR = 1e9
HALF = {80: 1.2816, 95: 1.96}  # half widths of normal intervals


def world(entities: int, noise: float | np.ndarray = 1.0, seed: int = 1) -> Panel:
    """Series of noise around zero, up to two days after now."""
    rng = np.random.default_rng(seed)
    index = pd.date_range(NOW - timedelta(hours=HOURS - 1), periods=HOURS + 48, freq="h")
    y = noise * rng.standard_normal((len(index), entities))
    return Panel.from_frames(pd.DataFrame(y, index=index, columns=[f"e{n}" for n in range(entities)]))


def until_now(panel: Panel) -> Panel:
    return panel.part(0, HOURS)


def model(panel: Panel, issued: datetime, leads: int = LEADS) -> Forecasts:
    """What a model says that takes the noise for 1 at the first lead, and a little more at each later one."""
    shape = (leads, len(panel.entities))
    growth = 1 + 0.01 * np.arange(leads)[:, None]
    bounds = {
        f"{side}-{level}": np.broadcast_to(sign * half * growth, shape)
        for level, half in HALF.items()
        for side, sign in (("lo", -1), ("hi", 1))
    }
    index = pd.DatetimeIndex([issued] * leads)
    return Forecasts(panel.entities, index, np.arange(1, leads + 1), np.zeros(shape), bounds)


def put_earlier(
    store: MemoryStore, panel: Panel, leads: int = LEADS, dates: list[datetime] | None = None
) -> None:
    for date in issue_dates(NOW, leads) if dates is None else dates:
        pipes = Recalibrated(model(panel, date, leads), {}).to_pipes("m", "load")
        store.put("main", "f", date, pipes, FAR)


def again(store: MemoryStore, panel: Panel, leads: int = LEADS) -> Recalibrated:
    return recalibrate(model(panel, NOW, leads), until_now(panel), "f", "main", store)


def covered(found: Recalibrated, panel: Panel, level: int) -> np.ndarray:
    y = panel.y[HOURS : HOURS + len(found.forecasts.leads)]
    bounds = found.forecasts.bounds
    return (bounds[f"lo-{level}"] <= y) & (y <= bounds[f"hi-{level}"])


@pytest.mark.parametrize("noise", [0.5, 1.0, 3.0])
def test_intervals_cover_again_after_the_noise_has_changed(noise: float):
    inside = {80: [], 95: []}
    for seed in range(4):
        panel, store = world(100, noise, seed), MemoryStore()
        put_earlier(store, panel)
        found = again(store, panel)
        for level, shares in inside.items():
            shares.append(covered(found, panel, level).mean())
    assert np.mean(inside[80]) == pytest.approx(0.80, abs=0.03)
    assert np.mean(inside[95]) == pytest.approx(0.95, abs=0.02)


def test_an_entity_whose_errors_are_larger_than_the_others_has_wider_intervals():
    noise = np.where(np.arange(100) < 20, 4.0, 1.0)
    panel, store = world(100, noise), MemoryStore()
    put_earlier(store, panel)
    found = again(store, panel)
    width = found.forecasts.bounds["hi-95"] - found.forecasts.bounds["lo-95"]
    assert width[:, :20].mean() > 1.5 * width[:, 20:].mean()
    inside = covered(found, panel, 95)
    together = covered(Recalibrated(model(panel, NOW), {}), panel, 95)
    assert inside[:, :20].mean() > together[:, :20].mean() + 0.2


def test_one_wave_does_not_build_on_another_s_correction():
    panel, store, other = world(80, 3.0), MemoryStore(), MemoryStore()
    put_earlier(store, panel)
    first = again(store, panel)
    for date in issue_dates(NOW, LEADS):
        given = first.widening  # as it would stand there, had those waves corrected their own
        bounds = {}
        raw = model(panel, date)
        for level, by in given.items():
            low, high = raw.bounds[f"lo-{level}"], raw.bounds[f"hi-{level}"]
            wide = np.round(100 * by) / 100 * (high - low)
            bounds |= {f"lo-{level}": low - wide, f"hi-{level}": high + wide}
        pipes = Recalibrated(
            Forecasts(raw.entities, raw.issued, raw.leads, raw.mean, bounds), given
        ).to_pipes()
        other.put("main", "f", date, pipes, FAR)
    second = again(other, panel)
    for level in (80, 95):
        assert second.widening[level] == pytest.approx(first.widening[level], abs=1e-3)


def test_bounds_never_cross_hold_the_mean_and_grow_with_lead():
    for seed, noise in enumerate((0.2, 1.0, 5.0)):
        panel, store = world(60, noise, seed), MemoryStore()
        put_earlier(store, panel)
        b = again(store, panel).forecasts.bounds
        assert (b["lo-95"] <= b["lo-80"]).all()
        assert (b["lo-80"] <= 0).all()
        assert (b["hi-80"] >= 0).all()
        assert (b["hi-80"] <= b["hi-95"]).all()
        for level in (80, 95):
            usual = (b[f"hi-{level}"] - b[f"lo-{level}"]).mean(axis=1)
            assert (np.diff(usual) > -0.02 * usual[1:]).all()


def test_the_correction_is_stored_with_the_forecast():
    panel, store = world(60, 3.0), MemoryStore()
    put_earlier(store, panel)
    value = again(store, panel).to_pipes("m", "load")["e0"]
    assert set(value["widened"]) == {"80", "95"}
    assert len(value["widened"]["80"]) == LEADS
    assert all(isinstance(by, int) and by > 0 for by in value["widened"]["80"])
    assert (value["model"], value["of"]) == ("m", "load")


def test_without_earlier_forecasts_or_truth_nothing_changes():
    panel = world(60)
    found = again(MemoryStore(), panel)
    assert found.widening == {}
    assert np.array_equal(found.forecasts.bounds["lo-95"], model(panel, NOW).bounds["lo-95"])
    assert "widened" not in found.to_pipes()["e0"]


def test_one_or_two_earlier_forecasts_are_no_change_of_the_world():
    panel, store = world(60, 9.0), MemoryStore()
    put_earlier(store, panel, dates=issue_dates(NOW, LEADS)[-2:])
    assert again(store, panel).widening == {}


def test_forecasts_of_another_version_or_without_intervals_do_not_count():
    panel, store = world(60, 3.0), MemoryStore()
    put_earlier(store, panel)
    assert recalibrate(model(panel, NOW), until_now(panel), "f", "fix", store).widening == {}
    bare = Forecasts(panel.entities, model(panel, NOW).issued, np.arange(1, 25), np.zeros((24, 60)), {})
    assert recalibrate(bare, until_now(panel), "f", "main", store).forecasts is bare


def test_missed_waves_new_entities_and_constants_do_no_harm():
    panel, store = world(60, 3.0), MemoryStore()
    panel.y[:, 0] = 0.0
    put_earlier(store, panel, dates=issue_dates(NOW, LEADS)[:4])
    grown = Panel(panel.hours, (*panel.entities, "new"), np.hstack([panel.y, panel.y[:, :1] * np.nan]),
                  np.hstack([panel.weight, 0 * panel.weight[:, :1]]))  # fmt: skip
    found = again(store, grown)
    assert np.isfinite(found.forecasts.bounds["hi-95"]).all()
    assert found.widening[95][:, -1].mean() > 0.3  # what all others tell


def test_what_has_not_come_yet_does_not_count():
    panel, store = world(60, 3.0), MemoryStore()
    put_earlier(store, panel)
    later = Panel(panel.hours, panel.entities, panel.y.copy(), panel.weight)
    later.y[HOURS:] = 1e9
    assert np.array_equal(again(store, panel).widening[95], again(store, later).widening[95])


def test_horizons_of_two_days_and_of_an_hour_are_corrected_too():
    for leads in (1, 48):
        panel, store = world(80, 3.0), MemoryStore()
        put_earlier(store, panel, leads)
        found = again(store, panel, leads)
        assert found.widening[95].shape == (leads, 80)
        assert covered(found, panel, 95).mean() == pytest.approx(0.95, abs=0.05)
        assert issue_dates(NOW, leads)[-1] <= NOW - timedelta(hours=1.6 * leads)


def test_the_earlier_forecasts_are_one_read_of_a_few_dates():
    panel, store = world(20), MemoryStore()
    put_earlier(store, panel)
    reads = []
    real = store.get_grid
    store.get_grid = lambda *args, **options: reads.append(args[2]) or real(*args, **options)
    again(store, panel)
    assert [len(dates) for dates in reads] == [COUNT]


def test_forecasts_of_another_length_are_scored_as_far_as_they_reach():
    panel, store = world(40), MemoryStore()
    dates = issue_dates(NOW, LEADS)
    for date, leads in zip(dates, (24, 12, 48, 24, 24), strict=True):
        store.put("main", "f", date, model(panel, date, leads).to_pipes(), FAR)
    found = score(store.get_grid("main", "f", dates, panel.entities), dates, until_now(panel), LEADS)
    known = ~np.isnan(found.scores[95][:, :, 0])
    assert known.sum(axis=1).tolist() == [3, 12, 24, 24, 24]
