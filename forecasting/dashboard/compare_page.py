"""The address that compares versions: /compare."""

from __future__ import annotations

from datetime import timedelta
from typing import Any

from fastapi import APIRouter
from fastapi.responses import Response

from forecasting.dashboard.chart import number
from forecasting.dashboard.comparison import asked, compare
from pipeline.dashboard.pages import Pages
from pipeline.errors import PipelineError
from pipeline.flows.discover import Flows
from pipeline.flows.pipe import stamp
from pipeline.waves.runtime import Runtime

WEEK = timedelta(days=7)


class ComparePage:
    """The page, empty or with what was found."""

    def __init__(self, pages: Pages, runtime: Runtime, flows: Flows) -> None:
        self._pages, self._runtime, self._flows = pages, runtime, flows

    def router(self) -> APIRouter:
        """Return the router of its address."""
        made = APIRouter(include_in_schema=False)
        made.add_api_route("/compare", self.compare, response_model=None)
        return made

    def compare(
        self, pipe: str = "", versions: str = "", entities: str = "", first: str = "", last: str = ""
    ) -> Response:
        """Compare what several versions made of some entities and dates."""
        present = self._runtime.store.present()
        form = {
            "pipe": pipe,
            "versions": versions,
            "entities": entities,
            "first": first or stamp(present - WEEK),
            "last": last or stamp(present),
        }
        found, error = None, ""
        if pipe and versions:
            try:
                found = compare(self._runtime, asked(self._runtime, self._flows, **form))
            except PipelineError as wrong:
                error = str(wrong)
            except ImportError as missing:
                error = (
                    f"comparing needs {missing.name}. Install it: pip install 'celery-waves[forecasting]'."
                )
        return self._pages.write(
            "compare.html", 422 if error else 200, form=form, found=found, error=error, **self._known()
        )

    def _known(self) -> dict[str, Any]:
        pipes = sorted({name for flow in self._flows.values() for name in flow.tasks})
        versions = sorted(
            {wave_id.split(" ")[0].rpartition("/")[0] for wave_id in self._runtime.records.ids()}
        )
        return {"pipes": pipes, "known": versions, "number": number, "here": "/compare"}
