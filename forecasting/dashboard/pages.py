"""The part of the dashboard that is about forecasts: /forecast, /models, /compare; links on the page of an entity."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from datetime import datetime
from pathlib import Path
from types import MappingProxyType
from typing import Annotated, Any

from fastapi import APIRouter, Query
from fastapi.responses import FileResponse, Response

from forecasting.dashboard.chart import draw, interval, kind_of, number
from forecasting.dashboard.compare_page import ComparePage
from forecasting.dashboard.model_pages import ModelPages
from forecasting.dashboard.outlook import look_ahead
from forecasting.models.columns import LEVELS, MEAN
from forecasting.registry import Registry, process_registry
from pipeline.dashboard.additions import Link
from pipeline.dashboard.entities import EntityView
from pipeline.dashboard.pages import Pages, url
from pipeline.errors import PipelineError
from pipeline.flows.discover import Flows
from pipeline.flows.entity import check_entity_key
from pipeline.flows.pipe import ONE_HOUR, check_version, floor, stamp
from pipeline.flows.pipe import hour as parse_hour
from pipeline.waves.runtime import Runtime

STYLE = Path(__file__).with_name("static") / "forecasting.css"
BACK = (24, 48, 96, 168)  # hours before the issue date that can be shown
WIDE, NARROW = (1160, 380), (430, 320)  # pixels of the picture on a screen and on a phone


class ForecastPages:
    """What the package adds to the dashboard."""

    package = "forecasting.dashboard"
    menu: Mapping[str, str] = MappingProxyType({"/models": "Models", "/compare": "Compare"})

    def __init__(self, runtime: Runtime, flows: Flows, registry: Registry | None = None) -> None:
        """Take where models are, by default what the environment says."""
        self._runtime, self._flows, self._own = runtime, flows, registry

    def router(self, pages: Pages) -> APIRouter:
        """Return the router of all addresses."""
        made = APIRouter(include_in_schema=False)

        def forecast(
            pipe: str,
            key: str,
            version: str = "",
            date: str = "",
            back: Annotated[int, Query(ge=1, le=BACK[-1])] = 48,
        ) -> Response:
            """Forecasts of one entity around an issue date."""
            try:
                return pages.write("forecast.html", **self._forecast(pipe, key, version, date, back))
            except PipelineError as error:
                return pages.write("error.html", 404, text=str(error), here="")

        made.add_api_route("/forecast", forecast, response_model=None)
        made.add_api_route("/forecasting/forecasting.css", style, response_model=None)
        made.include_router(ModelPages(pages, self._registry).router())
        made.include_router(ComparePage(pages, self._runtime, self._flows).router())
        return made

    def _registry(self) -> Registry:
        return process_registry() if self._own is None else self._own

    def links(self, entity: EntityView) -> Sequence[Link]:
        """Return the pages of those of its pipes that hold forecasts."""
        pipes = {
            pipe: None
            for (pipe, _), value in entity.values.items()
            if isinstance(value, Mapping) and MEAN in value
        }
        where = {"version": entity.version, "date": entity.date[:13]}
        return [
            Link(f"Forecast: {pipe}", url("/forecast", pipe=pipe, key=entity.entity, **where))
            for pipe in pipes
        ]

    def _forecast(self, pipe: str, key: str, version: str, date: str, back: int) -> dict[str, Any]:
        own = check_version(version or self._runtime.settings.any_version())
        issued = floor(_moment(date)) if date else None
        found = look_ahead(
            self._runtime.store, pipe, check_entity_key(key), version=own, issued=issued, back=back
        )
        here = {"pipe": pipe, "key": key, "version": own, "back": back}
        return {
            "found": found,
            "charts": {"wide": draw(found, *WIDE), "narrow": draw(found, *NARROW)},
            "flow": next((name for name, flow in self._flows.items() if pipe in flow.tasks), ""),
            "back": back,
            "backs": BACK,
            "levels": LEVELS,
            "number": number,
            "interval": interval,
            "kind_of": kind_of,
            "stamp": stamp,
            "earlier": url("/forecast", **here, date=stamp(found.issued - ONE_HOUR)),
            "later": url("/forecast", **here, date=stamp(found.issued + ONE_HOUR)),
            "present": url("/forecast", **here, date=stamp(found.present)),
            "newest": url("/forecast", **here),
            "here": "",
        }


def style() -> Response:
    """Serve the style of these pages."""
    return FileResponse(STYLE, media_type="text/css", headers={"Cache-Control": "max-age=300"})


def _moment(text: str) -> datetime:
    return parse_hour(text[:13])
