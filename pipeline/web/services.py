"""What the routes of the API work with; kept as the application's state."""

from __future__ import annotations

from dataclasses import dataclass
from typing import cast

from starlette.requests import Request

from pipeline.serving.producer import Producer
from pipeline.serving.version_results import Results
from pipeline.waves.runtime import Runtime
from pipeline.web.metrics import Metrics
from pipeline.web.settings import WebSettings


@dataclass(frozen=True, slots=True)
class Services:
    """One application's."""

    runtime: Runtime  # clients that wait in threads, for what is not asked by the hundred a second
    producer: Producer
    results: Results
    metrics: Metrics
    settings: WebSettings
    version: str  # of the code


def services_of(request: Request) -> Services:
    """Return the services of a request's application."""
    return cast(Services, request.app.state.services)
