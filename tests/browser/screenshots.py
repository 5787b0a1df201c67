"""Makes the pictures of the dashboard in the README, of a real run: python -m tests.browser.screenshots

Workers run the waves of some weeks, two trainings and the hours since, in some of which no source answers.
It takes some minutes.
"""

from __future__ import annotations

import io
import shutil
from collections.abc import Mapping
from datetime import UTC, datetime, timedelta
from functools import partial
from pathlib import Path
from tempfile import TemporaryDirectory

import click
from fastapi import FastAPI
from PIL import Image
from playwright.sync_api import sync_playwright

from forecasting.dashboard.pages import ForecastPages
from forecasting.reading.flow_cover import flow_covers
from forecasting.registry import ModelSettings, Registry
from pipeline import submit_wave
from pipeline.dashboard.pages import url as address_of
from pipeline.dashboard.routes import Dashboard
from pipeline.flows.discover import load_flows
from pipeline.flows.pipe import ONE_HOUR, floor, stamp
from pipeline.local.embedded import serving
from pipeline.local.processes import Workers
from pipeline.monitoring.cover import Covers
from pipeline.settings import Settings
from pipeline.waves.backfill import Backfill
from pipeline.waves.runtime import Runtime
from tests.browser.flows.demand import CITIES, OUTAGE
from tests.support.sites import served

FLOWS = str(Path(__file__).parent / "flows" / "demand.py")
IMAGES = Path(__file__).parents[2] / ".github" / "images"
SHOP = "lima-4"
DAYS = 44  # of history
SILENT = range(6, 12)  # hours before the present in which no till answers
COLOURS = 256  # of a picture: it is a third as large then, and looks the same


def dates(first: datetime, last: datetime) -> list[datetime]:
    """Give the hours from one to another."""
    return [first + n * ONE_HOUR for n in range(round((last - first) / ONE_HOUR) + 1)]


def run(runtime: Runtime, present: datetime) -> None:
    """Run the waves of weeks, two trainings, and the hours since the first of them."""
    flows = load_flows([FLOWS])
    flow, training = flows["demand"], flows["demand-sales-training"]
    cities = {f"{city}-{n}": {"city": city} for city in CITIES for n in range(1, 11)}
    runtime.states.bind(flow.state or "").update(cities)
    trained = present.replace(hour=3) - timedelta(days=1 if present.hour > 3 else 2)
    history = dates(trained - timedelta(days=DAYS), trained)
    Backfill(flow, history, runtime, in_flight=8, only=["temperature", "sales"]).run()
    for date in dates(trained, present):
        if date.hour == 3:
            submit_wave(training, date, runtime=runtime).wait(300)
        if date > trained:
            submit_wave(flow, date, runtime=runtime).wait(120)
            click.echo(f"wave {stamp(date)}")


def shoot(address: str, paths: Mapping[str, str], out: Path) -> None:
    """Take the pictures: name -> path of the page."""
    with sync_playwright() as playwright:
        browser = playwright.chromium.launch(executable_path=shutil.which("chromium"), args=["--no-sandbox"])
        for name, path in paths.items():
            page = browser.new_page(viewport={"width": 1180, "height": 400}, color_scheme="light")
            page.goto(address + path)
            shot = Image.open(io.BytesIO(page.screenshot(full_page=True))).convert("RGB")
            shot = shot.quantize(COLOURS, Image.Quantize.MEDIANCUT, dither=Image.Dither.NONE)
            shot.save(out / f"{name}.png", optimize=True)
            click.echo(f"{name}.png: {(out / f'{name}.png').stat().st_size:,} bytes")
        browser.close()


@click.command()
@click.option("--out", type=click.Path(path_type=Path), default=IMAGES, show_default=True, help="Folder.")
def main(out: Path) -> None:
    """Make the pictures."""
    present = floor(datetime.now(UTC))
    silent = ",".join(stamp(present - n * ONE_HOUR) for n in SILENT)
    with TemporaryDirectory() as models, serving(None) as url:
        runtime = Runtime(Settings(redis_url=url, version="main"))
        env = {"PIPELINE_MODELS": models, "PIPELINE_STAGE": "dev", OUTAGE: silent}
        with Workers(url, [FLOWS], count=2, env=env) as workers:
            workers.wait_ready()
            run(runtime, present)
            registry = Registry(models, ModelSettings(root=models))
            flows = load_flows([FLOWS])
            covers = Covers(runtime, flows.values(), [flow_covers])
            covers.known()
            pages = Dashboard(runtime, flows, [partial(ForecastPages, registry=registry)], covers)
            app = FastAPI()
            app.include_router(pages.router())
            forecast = address_of("/forecast", pipe="sales_forecast", key=SHOP)
            with served(app) as address:
                shoot(address, {"overview": "/", "forecast": forecast}, out)


if __name__ == "__main__":
    main()
