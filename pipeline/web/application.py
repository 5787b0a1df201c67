"""The HTTP application: its routes, what every request passes, and what lives as long as it does."""

from __future__ import annotations

from collections.abc import AsyncIterator, Awaitable, Callable, Iterable
from contextlib import asynccontextmanager
from importlib.metadata import PackageNotFoundError, version
from typing import Any

from fastapi import APIRouter, FastAPI, Request
from fastapi.exceptions import RequestValidationError
from redis.exceptions import RedisError
from starlette.exceptions import HTTPException
from starlette.responses import Response
from starlette.types import ASGIApp

from pipeline.connections.async_clients import connect
from pipeline.dashboard.routes import Dashboard
from pipeline.errors import PipelineError
from pipeline.extensions import installed
from pipeline.flows.discover import Flows
from pipeline.monitoring.metrics import WaveCollector
from pipeline.serving.producer import Producer
from pipeline.serving.version_results import Results
from pipeline.settings import Settings
from pipeline.telemetry.logs import get_logger
from pipeline.waves.runtime import Runtime
from pipeline.web import health, models
from pipeline.web.direct_routes import Direct, PlainRoute
from pipeline.web.guard import REQUEST_ID, Guard
from pipeline.web.metrics import Metrics, Serving
from pipeline.web.responses import HttpError, error_response
from pipeline.web.services import Services
from pipeline.web.settings import WebSettings

GROUP = "pipeline.routers"  # the entry points by which other packages name routers of theirs

log = get_logger("pipeline.web")


def make_app(
    settings: Settings,
    web: WebSettings | None = None,
    routers: Iterable[APIRouter] | None = None,
    flows: Flows | None = None,
) -> ASGIApp:
    """Build the application: the API, the dashboard and the metrics.

    routers   of other packages; by default those that are installed (entry points `pipeline.routers`)
    flows     whose schedules and states the dashboard and the metrics know; by default none
    """
    web, flows = web or WebSettings(), flows or Flows(())
    metrics, runtime = Metrics(), Runtime(settings)
    metrics.registry.register(WaveCollector(runtime, flows.values()))
    dashboard = Dashboard(runtime, flows, flower=web.flower)
    api = FastAPI(
        title="celery-waves",
        version=_version(),
        lifespan=_lifespan(settings, web, metrics),
        docs_url=None,
        redoc_url=None,
    )
    added = installed(GROUP, log.warning) if routers is None else routers
    for router in (models.router, health.router, dashboard.router(), *added):
        api.include_router(router)
    api.add_exception_handler(HttpError, _http_error)
    api.add_exception_handler(HTTPException, _no_route(dashboard))
    api.add_exception_handler(RequestValidationError, _invalid)
    api.add_exception_handler(PipelineError, _pipeline_error)
    api.add_exception_handler(RedisError, _unreachable)
    hot = [
        route
        for route in models.router.routes
        if isinstance(route, PlainRoute) and route.path.endswith(models.PREDICT)
    ]
    return Guard(Direct(api, api, hot, models.PREDICT), web, metrics)


def _lifespan(settings: Settings, web: WebSettings, metrics: Metrics) -> Any:
    @asynccontextmanager
    async def lifespan(api: FastAPI) -> AsyncIterator[None]:
        runtime = Runtime(settings)
        client = connect(settings.redis_url, settings.socket_timeout)
        code = settings.any_version()
        producer = Producer(client, code, web.pace)
        results = Results(client, code)
        await producer.start()
        results.start()
        metrics.registry.register(Serving(producer))
        api.state.services = Services(runtime, producer, results, metrics, web, code)
        try:
            yield
        finally:
            await producer.close()
            await results.close()
            await client.aclose(close_connection_pool=True)
            runtime.client.connection_pool.disconnect()

    return lifespan


async def _http_error(request: Request, error: Exception) -> Response:
    assert isinstance(error, HttpError)
    return error_response(error, request.scope[REQUEST_ID])


def _no_route(dashboard: Dashboard) -> Callable[[Request, Exception], Awaitable[Response]]:
    """Build the handler for where there is nothing: a page for a browser, JSON for a program."""

    async def answer(request: Request, error: Exception) -> Response:
        assert isinstance(error, HTTPException)
        path = request.url.path
        if error.status_code == 404 and "text/html" in request.headers.get("accept", ""):
            return dashboard.missing(f"There is nothing at {path}.")
        texts = {
            404: f"there is nothing at {path}. /openapi.json lists what there is.",
            405: f"{request.method} is not what {path} answers. /openapi.json lists what is.",
        }
        text = texts.get(error.status_code, str(error.detail))
        return error_response(
            HttpError(error.status_code, text, dict(error.headers or {})), request.scope[REQUEST_ID]
        )

    return answer


async def _invalid(request: Request, error: Exception) -> Response:
    assert isinstance(error, RequestValidationError)
    text = "; ".join(f"{'.'.join(map(str, one['loc'][1:]))}: {one['msg']}" for one in error.errors())
    return error_response(
        HttpError(422, f"{text}. /openapi.json tells what is expected."), request.scope[REQUEST_ID]
    )


async def _pipeline_error(request: Request, error: Exception) -> Response:
    """Answer with an error that was raised on purpose: its text tells what to do."""
    kinds = ((ConnectionError, 503), (LookupError, 404), (ValueError, 422))
    status = next((status for kind, status in kinds if isinstance(error, kind)), 500)
    return error_response(HttpError(status, str(error)), request.scope[REQUEST_ID])


async def _unreachable(request: Request, error: Exception) -> Response:
    log.warning("redis does not answer", error=str(error))
    return error_response(
        HttpError.later(503, "Redis does not answer. Try again.", 1), request.scope[REQUEST_ID]
    )


def _version() -> str:
    try:
        return version("celery-waves")
    except PackageNotFoundError:
        return "0"
