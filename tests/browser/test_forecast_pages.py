"""Forecasts and models as a person looks at them, and decides about them."""

from __future__ import annotations

import re
from collections.abc import Iterator
from dataclasses import dataclass
from datetime import UTC, datetime
from functools import partial
from pathlib import Path

import httpx
import pytest
from axe_playwright_python.sync_playwright import Axe
from fastapi import FastAPI
from playwright.sync_api import expect

from forecasting.dashboard.pages import ForecastPages
from forecasting.registry import Gate, ModelSettings, Registry
from pipeline import submit_wave
from pipeline.dashboard.routes import Dashboard
from pipeline.flows.discover import load_flows
from pipeline.flows.pipe import ONE_HOUR, floor, stamp
from pipeline.local.processes import Workers
from pipeline.settings import Settings
from pipeline.waves.runtime import Runtime
from tests.browser.conftest import Site
from tests.browser.forecasts import PIPE, fill
from tests.browser.test_dashboard import SERIOUS
from tests.contracts.models import BAD, GOOD, SPAN, Level
from tests.support.sites import served

FLOWS = str(Path(__file__).parent / "flows" / "told.py")
NOW = floor(datetime.now(UTC)) - 2 * ONE_HOUR
FAILED = (20, 21, 22)  # hours before NOW without a forecast
FORECAST = f"/forecast?pipe={PIPE}&key=shop-1&date={stamp(NOW)}"
COMPARE = "/compare"
MODEL = "/model?pipe=sales&partition=city1"


@dataclass
class ModelSite(Site):
    """With the models that it shows."""

    registry: Registry

    def live(self) -> str | None:
        return self.registry.look("sales", "city1", "dev").live


@pytest.fixture
def site(redis_url: str, tmp_path: Path) -> Iterator[ModelSite]:
    """Forecasts of two shops with some hours missing; three models, of which the last one is bad."""
    flows = load_flows([FLOWS])
    runtime = Runtime(Settings(redis_url=redis_url, version="main"))
    fill(runtime, NOW, ["shop-1", "shop-2"], FAILED)
    registry = Registry(
        tmp_path / "models", ModelSettings(gates=dict.fromkeys(("dev", "test", "prod"), Gate()))
    )
    for n, metrics in enumerate((GOOD, GOOD, BAD)):
        found = registry.save("sales", "city1", Level(n), SPAN, entities=2, metrics=metrics)
        if n == 0:
            registry.promote("sales", "city1", found.version, by="training")
    app = FastAPI()
    app.include_router(Dashboard(runtime, flows, [partial(ForecastPages, registry=registry)]).router())
    with served(app) as address:
        yield ModelSite(address, runtime, flows["told"], registry)


def candidates(site: ModelSite, metrics: dict[str, float]) -> list[str]:
    """The versions with such errors."""
    versions = site.registry.versions("sales", "city1")
    return [v for v in versions if site.registry.manifest("sales", "city1", v).metrics == metrics]


# -- forecasts


def test_a_degraded_hour_is_shown_as_such_in_the_picture_and_in_the_table(watched, site):
    watched.go(FORECAST)
    page = watched.page
    expect(page.locator("main")).to_contain_text("3 hours of 72 degraded")
    wide = page.locator("svg.wide")
    assert wide.locator("path.band.older").count() == 2, "an interval of 80 and one of 95 %"
    assert wide.locator("rect.hour.older").count() == 3
    cell = wide.locator("rect.hover").nth(47 - 19)
    expect(cell.locator("title")).to_have_text(re.compile("older, made 4 h before"))
    page.get_by_text("The same numbers as a table").click()
    rows = page.locator("tr.degraded")
    assert rows.count() == 3
    expect(rows.first).to_contain_text(re.compile(r"older.*4 h"))


def test_one_looks_back_from_an_earlier_hour_and_sees_what_was_told_then(watched, site):
    watched.go(FORECAST)
    page = watched.page
    page.get_by_role("link", name="an hour earlier").click()
    expect(page.get_by_label("Issued at")).to_have_value(stamp(NOW - ONE_HOUR))
    page.get_by_label("Issued at").fill(stamp(NOW - 20 * ONE_HOUR))
    page.get_by_label("hours before").select_option("24")
    page.get_by_role("button", name="Show").click()
    expect(page.locator(".told")).to_contain_text(
        f"older degraded: of the wave of {stamp(NOW - 23 * ONE_HOUR)}"
    )
    assert page.locator("svg.wide circle.truth").count() == 24 + 20 + 2 - 2


def test_a_forecast_is_found_from_the_page_of_its_entity(watched, site):
    site.runtime.states.bind("shops").update({"shop-1": {"city": "city1"}})
    with Workers(site.runtime.settings.redis_url, flows=[FLOWS], count=1) as workers:
        workers.wait_ready()
        submit_wave(site.flow, date=stamp(NOW + ONE_HOUR), runtime=site.runtime).wait(30)
    watched.go("/entity?flow=told&key=shop-1")
    watched.page.get_by_role("link", name="Forecast: sales_forecast").click()
    expect(watched.page.get_by_role("heading", level=1)).to_have_text("shop-1")
    expect(watched.page.locator(".told")).to_contain_text(f"fresh of the wave of {stamp(NOW + ONE_HOUR)}")


@pytest.mark.parametrize("watched", ["light", "dark"], indirect=True)
def test_no_page_has_a_serious_fault_of_accessibility_or_is_wider_than_a_phone(watched, site):
    good = next(v for v in candidates(site, GOOD) if v != site.live())
    decision = f"/model/decision?pipe=sales&partition=city1&stage=dev&what=promote&version={good}"
    for path in (FORECAST, "/models", MODEL, decision, COMPARE):
        watched.go(path)
        for summary in watched.page.locator("summary").all():
            summary.click()
        faults = [v for v in Axe().run(watched.page).response["violations"] if v["impact"] in SERIOUS]
        assert not faults, (path, [(v["id"], [n["html"] for n in v["nodes"]][:3]) for v in faults])
        watched.page.set_viewport_size({"width": 375, "height": 720})
        wide = watched.page.evaluate("document.documentElement.scrollWidth")
        assert wide <= 375, f"{path} is {wide} pixels wide"
        watched.page.set_viewport_size({"width": 1280, "height": 720})


def test_versions_are_compared_where_their_forecasts_and_other_pipes_differ(watched, site):
    dates = [NOW - n * ONE_HOUR for n in range(30, 60)]
    store = site.runtime.store
    for (key, date), value in store.get_grid("main", PIPE, dates, ["shop-1"]).items():
        store.put("try", PIPE, date, {key: value | {"mean": [m + 30 for m in value["mean"]]}}, 1e9)
    store.put("try", "sales", NOW, {"shop-1": 1.5}, 1e9)
    watched.go("/")
    page = watched.page
    page.get_by_role("link", name="Compare").click()
    for label, text in {"Pipe": PIPE, "Versions": "main try", "Entities": "shop-1"}.items():
        page.get_by_label(label, exact=True).fill(text)
    page.get_by_label("From").fill(stamp(dates[-1]))
    page.get_by_label("To", exact=True).fill(stamp(dates[0]))
    page.get_by_role("button", name="Compare").click()
    expect(page.locator(".verdict")).to_contain_text(re.compile("try.* error is .* larger"))
    page.get_by_label("Pipe").fill("sales")
    page.get_by_label("From").fill(stamp(NOW - ONE_HOUR))
    page.get_by_label("To", exact=True).fill(stamp(NOW))
    page.get_by_role("button", name="Compare").click()
    expect(page.get_by_role("heading", level=2)).to_contain_text("2 of 2 pairs of entity and date differ")
    expect(page.get_by_role("row", name=re.compile(f"shop-1 {stamp(NOW)}"))).to_contain_text("1.5")


def test_what_is_asked_for_wrongly_is_said(site):
    with httpx.Client(base_url=site.address) as client:
        question = "/model/decision?pipe=sales&partition=city1&stage=dev&what="
        for path, text in {
            "/forecast?pipe=f&key=a&date=soon": "date &#39;soon&#39; cannot be read.",
            "/model?pipe=sale&partition=city1": "no models of &#39;sale&#39;",
            "/model?pipe=sales&partition=city2": "no model of &#39;sales&#39; for &#39;city2&#39;.",
            f"{MODEL}&stage=live": "&#39;live&#39; is not a stage.",
            f"{question}promote&version=v": "has no version &#39;v&#39;",
            f"{question}rollback": "has no earlier version to go back to",
            f"{question}drop": "&#39;drop&#39; is not a decision",
        }.items():
            answer = client.get(path)
            assert (answer.status_code, text in answer.text) == (404, True), (path, answer.text)


# -- models


def test_a_model_is_promoted_and_rolled_back_by_mouse_and_the_history_says_who_and_why(watched, site):
    first = site.live()
    other = next(v for v in candidates(site, GOOD) if v != first)
    page = watched.page
    watched.go("/")
    page.get_by_role("link", name="Models").click()
    page.get_by_role("link", name="sales of city1").click()
    page.get_by_role("link", name=f"Promote {other}").click()
    expect(page.locator("main")).to_contain_text("The gate of dev lets it pass")
    assert site.live() == first, "not before it is confirmed"
    page.get_by_label("Why").fill("fewer surprises")
    page.get_by_role("button", name="Promote").click()
    expect(page.locator(".version")).to_have_text(other)
    assert site.live() == other
    top = page.locator("section[aria-labelledby=history] tbody tr").first
    expect(top).to_contain_text(re.compile("promoted.*fewer surprises"))
    page.get_by_role("link", name=re.compile("^Roll back to")).click()
    page.get_by_role("button", name="Roll back").click()
    expect(page.locator(".version")).to_have_text(str(first))
    assert site.live() == first
    event = site.registry.look("sales", "city1", "dev")
    assert (event.kind, bool(event.by)) == ("rolled back", True)


def test_what_the_gate_refuses_has_no_button_and_says_why(watched, site):
    (bad,) = candidates(site, BAD)
    watched.go(MODEL)
    page = watched.page
    page.get_by_role("link", name=f"Promote {bad}").click()
    expect(page.locator("main")).to_contain_text(
        "The gate of dev refuses it: its error 3 is 1.500 times the seasonal naive's 2 (at most 1 is allowed)"
    )
    assert page.locator("main button").count() == 0


@pytest.mark.parametrize(
    ("headers", "status", "text"),
    [
        ({}, 403, "this change was asked for by another site"),
        ({"origin": "http://evil.example"}, 403, "this change was asked for by another site"),
        ({"origin": "null"}, 403, "this change was asked for by another site"),
        ({"sec-fetch-site": "cross-site", "origin": "OWN"}, 403, "this change was asked for by another site"),
        (
            {"sec-fetch-site": "same-origin", "host": "evil.example"},
            403,
            "by way of evil.example need tokens",
        ),
        ({"sec-fetch-site": "same-origin"}, 409, "is not made live at dev: its error 3 is 1.500 times"),
        ({"origin": "OWN"}, 409, "is not made live at dev: its error 3 is 1.500 times"),
    ],
)
def test_only_its_own_pages_may_change_what_is_live(site, headers, status, text):
    (bad,) = candidates(site, BAD)
    form = {"what": "promote", "pipe": "sales", "partition": "city1", "stage": "dev", "version": bad}
    headers = {name: site.address if value == "OWN" else value for name, value in headers.items()}
    answer = httpx.post(
        f"{site.address}/model/decision", data=form | {"before": site.live()}, headers=headers
    )
    assert (answer.status_code, text in answer.text) == (status, True), answer.text


def test_who_decides_on_what_is_live_no_more_is_told_to_look_again(site):
    before = site.live()
    other = next(v for v in candidates(site, GOOD) if v != before)
    form = {"what": "promote", "pipe": "sales", "partition": "city1", "stage": "dev", "version": other}
    headers = {"origin": site.address}
    answer = httpx.post(f"{site.address}/model/decision", data=form | {"before": "v0"}, headers=headers)
    assert answer.status_code == 409
    assert f"somebody else has decided about it meanwhile: {before} is live at dev now." in answer.text
    assert site.live() == before
