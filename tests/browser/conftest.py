"""A real Chromium, a real server with the dashboard, real workers on a real Redis."""

from __future__ import annotations

import os
import shutil
from collections.abc import Iterator
from dataclasses import dataclass, field
from pathlib import Path

import pytest
from fastapi import FastAPI
from playwright.sync_api import Browser, Page, sync_playwright

from pipeline import Flow
from pipeline.dashboard.routes import Dashboard
from pipeline.flows.discover import load_flows
from pipeline.local.processes import Workers
from pipeline.settings import Settings
from pipeline.waves.runtime import Runtime
from tests.support.sites import served

FLOWS = str(Path(__file__).parent / "flows" / "shop.py")
CHROMIUM = next((path for name in ("chromium", "chromium-browser") if (path := shutil.which(name))), "")
ENTITIES = {f"shop-{n:02}": {"city": f"city{n % 4}"} for n in range(40)}


@dataclass
class Site:
    """The dashboard as it is served, and what it shows."""

    address: str
    runtime: Runtime
    flow: Flow


@dataclass
class Watched:
    """A page, with all that it complained of and asked for elsewhere."""

    page: Page
    site: Site
    complaints: list[str] = field(default_factory=list)
    strangers: list[str] = field(default_factory=list)

    def go(self, path: str) -> None:
        """Open an address of the site."""
        answer = self.page.goto(self.site.address + path)
        assert answer is not None
        assert answer.ok, f"{path}: {answer.status}"


@pytest.fixture
def site(redis_url: str) -> Iterator[Site]:
    """The dashboard of an empty Redis."""
    flows = load_flows([FLOWS])
    runtime = Runtime(Settings(redis_url=redis_url, version="main"))
    app = FastAPI()
    app.include_router(Dashboard(runtime, flows).router())
    with served(app) as address:
        yield Site(address, runtime, flows["shop"])


@pytest.fixture
def workers(site: Site) -> Iterator[Workers]:
    """Two workers that are ready, and a state with entities."""
    site.runtime.states.bind("shops").update(ENTITIES)
    url = site.runtime.settings.redis_url
    with Workers(url, flows=[FLOWS], count=2, env={"PIPELINE_SHARD_SIZE": "5"}) as found:
        found.wait_ready()
        yield found


@pytest.fixture(scope="session")
def browser() -> Iterator[Browser]:
    """Chromium; outside CI its absence skips."""
    if not CHROMIUM and not os.environ.get("CI"):
        pytest.skip("no chromium on PATH")
    with sync_playwright() as playwright:
        found = playwright.chromium.launch(executable_path=CHROMIUM, args=["--no-sandbox"])
        yield found
        found.close()


@pytest.fixture
def watched(browser: Browser, site: Site, request: pytest.FixtureRequest) -> Iterator[Watched]:
    """A page, in the colours that the test's parameter names. What it complains of fails the test."""
    context = browser.new_context(color_scheme=getattr(request, "param", "light"))
    page = context.new_page()
    found = Watched(page, site)
    page.on("console", lambda m: found.complaints.append(m.text) if m.type in ("error", "warning") else None)
    page.on("pageerror", lambda error: found.complaints.append(str(error)))
    page.on(
        "request",
        lambda r: None if r.url.startswith((site.address, "data:")) else found.strangers.append(r.url),
    )
    yield found
    context.close()
    assert not found.complaints
    assert not found.strangers
