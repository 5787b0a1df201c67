"""The dashboard as a person uses it."""

from __future__ import annotations

import re
import time
from collections.abc import Callable
from contextlib import suppress

import httpx
import pytest
from axe_playwright_python.sync_playwright import Axe
from playwright.sync_api import Error, expect

from pipeline import Wave, submit_wave
from tests.browser.conftest import Site
from tests.support.servers import until

SERIOUS = ("serious", "critical")
DATE = "2026-11-20T07"


def run(site: Site, date: str = DATE) -> Wave:
    return submit_wave(site.flow, date=date, runtime=site.runtime)


def test_the_graphs_colours_follow_a_running_wave_and_the_page_ends_with_it(watched, site, workers):
    wave = run(site)
    watched.go(f"/wave?id={wave.id}")
    bars, seen = watched.page.locator("svg.graph [data-bar=sales] rect"), []
    deadline = time.monotonic() + 60
    while time.monotonic() < deadline:
        with suppress(Error):  # the page is loading anew, because the wave has ended
            kinds = bars.evaluate_all("rects => rects.map(rect => rect.getAttribute('class'))")
            if not seen or kinds != seen[-1]:
                seen.append(kinds)
        if watched.page.locator("#live").get_attribute("data-open") == "no":
            break
        time.sleep(0.2)
    wave.wait(30)
    assert ["pending"] in seen or any("pending" in kinds for kinds in seen), seen
    expect(watched.page.locator("[data-live=state]")).to_have_text("done", timeout=20_000)
    kinds = bars.evaluate_all("rects => rects.map(rect => rect.getAttribute('class'))")
    assert kinds == ["finished", "failed"]
    expect(watched.page.locator("[data-text=sales]")).to_have_text("39 finished, 1 failed")


def test_a_failed_entity_is_three_clicks_from_the_overview(watched, site, workers):
    run(site).wait(60)
    page = watched.page
    watched.go("/")
    clicks = 0
    for click in (
        page.locator(".strip .flawed").last,
        page.get_by_role("link", name="shop-07").first,
    ):
        click.click()
        clicks += 1
    expect(page.get_by_role("heading", level=1)).to_have_text("shop-07")
    row = page.get_by_role("row", name=re.compile("^sales"))
    expect(row).to_contain_text("failed: error")
    expect(row).to_contain_text("the till of shop-07 is broken")
    heads = page.locator("[aria-labelledby=pipes] thead th").all_inner_texts()
    cells = page.locator("[aria-labelledby=pipes] tbody tr").first.locator("th, td").all_inner_texts()
    pipes = dict(zip(heads, cells, strict=True))
    assert (pipes["sales"], pipes["demand"]) == ("none", "none")
    assert float(pipes["level"]) > 0, "of its city"
    assert clicks <= 3


def test_what_runs_now_has_a_colour_of_its_own(watched, site, workers):
    wave = run(site)
    until(lambda: wave.running())
    watched.go(f"/wave?id={wave.id}")
    expect(watched.page.locator("svg.graph rect.running").first).to_be_attached()
    wave.wait(60)


def test_the_waves_of_a_flow_are_listed_with_what_became_of_their_entities(watched, site, workers):
    run(site).wait(60)
    watched.go("/")
    watched.page.get_by_role("link", name="main/shop").click()
    row = watched.page.get_by_role("row", name=re.compile(DATE))
    expect(row.locator(".cell.flawed")).to_be_visible()
    heads = watched.page.locator("thead th").all_inner_texts()
    cells = dict(zip(heads, row.locator("th, td").all_inner_texts(), strict=True))
    assert (cells["ended"], cells["failed"]) == ("done", "1")
    assert int(cells["finished"]) > 100


def test_queues_stand_beside_workers(watched, site, workers):
    watched.go("/workers")
    expect(watched.page.get_by_role("row", name=re.compile("^main.compute"))).to_be_visible()


@pytest.fixture
def pages(site: Site, workers: object) -> Callable[[], list[str]]:
    """What makes something to see on each page, and gives the addresses."""

    def found() -> list[str]:
        wave = run(site).wait(60)
        return [
            "/",
            f"/wave?id={wave.id}",
            "/flow?version=main&name=shop",
            "/states",
            "/state?name=shops",
            "/entity?flow=shop&key=shop-07",
            "/workers",
        ]

    return found


@pytest.mark.parametrize("watched", ["light", "dark"], indirect=True)
def test_no_page_has_a_serious_fault_of_accessibility_or_is_wider_than_a_phone(watched, pages):
    for path in pages():
        watched.go(path)
        faults = [v for v in Axe().run(watched.page).response["violations"] if v["impact"] in SERIOUS]
        assert not faults, (path, [(v["id"], [n["html"] for n in v["nodes"]][:3]) for v in faults])
        watched.page.set_viewport_size({"width": 375, "height": 720})
        wide = watched.page.evaluate("document.documentElement.scrollWidth")
        assert wide <= 375, f"{path} is {wide} pixels wide"
        watched.page.set_viewport_size({"width": 1280, "height": 720})


def test_all_of_it_can_be_reached_by_keyboard(watched, site, workers):
    run(site).wait(60)
    watched.go("/")
    page = watched.page
    page.keyboard.press("Tab")
    expect(page.locator(":focus")).to_have_text("Skip to the content")
    names = []
    for _ in range(40):
        page.keyboard.press("Tab")
        names.append(page.evaluate("document.activeElement.textContent.trim()"))
    assert {"Overview", "Entities", "Workers", "main/shop", "shops"} <= set(names)
    assert any(name.startswith(DATE) for name in names), "a wave of the strip"


def test_entities_are_found_by_a_part_of_their_key(watched, site, workers):
    watched.go("/state?name=shops")
    page = watched.page
    page.get_by_label("Search by key").fill("-1")
    page.keyboard.press("Enter")
    expect(page.locator("main")).to_contain_text("10 of 40 entities")
    assert page.locator("tbody tr").count() == 10


def test_what_is_not_there_is_said_with_the_near_names(site):
    with httpx.Client(base_url=site.address) as client:
        for path, text in {
            "/wave?id=main/nothing 2026-01-01T00": "no wave &#39;main/nothing 2026-01-01T00&#39; in Redis.",
            "/state?name=shop": "no state &#39;shop&#39;.",
            "/entity?flow=nothing&key=a": "Redis holds no wave of main/nothing.",
            "/static/secret": "There is no file &#39;secret&#39; here.",
        }.items():
            answer = client.get(path)
            assert answer.status_code == 404
            assert text in answer.text
        assert client.get("/wave.json?id=x").json()["error"].startswith("no wave 'x' in Redis.")
        assert client.get("/state?name=shops&page=0").status_code == 422


def test_what_users_wrote_is_shown_and_not_run(watched, site):
    evil = "<script>document.title='gone'</script>"
    site.runtime.states.bind("shops").update({evil: {"city": evil}})
    watched.go(f"/state?name=shops&q={evil}")
    expect(watched.page.locator("tbody")).to_contain_text(evil)
    assert "gone" not in watched.page.title()
