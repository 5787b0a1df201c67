"""Whether the API is alive, whether it can answer, and what it counts."""

from __future__ import annotations

import asyncio

from fastapi import APIRouter, Request
from fastapi.responses import Response
from prometheus_client import CONTENT_TYPE_LATEST, generate_latest

from pipeline.web.responses import JSON, HttpError, json_response
from pipeline.web.services import services_of

router = APIRouter(tags=["health"])
_TEXT = {200: {"content": {JSON: {"schema": {"type": "object"}}}}}


@router.get("/healthz", responses=_TEXT)  # type: ignore[arg-type]
async def healthz() -> Response:
    """Answer that the process is alive."""
    return json_response({"status": "alive"})


@router.get("/readyz", responses={**_TEXT, 503: {"description": "Redis or workers are missing"}})  # type: ignore[dict-item]
async def readyz(request: Request) -> Response:
    """Answer whether Redis answers and at least one worker serves a model; 503 tells what is missing."""
    producer = services_of(request).producer
    if not producer.reachable:
        raise HttpError.later(503, "Redis does not answer. Is REDIS_URL right, and does the server run?", 1)
    ready = {name: len(view.workers) for name, view in producer.views.items() if view.workers}
    if not ready:
        raise HttpError.later(503, "no worker serves a model. Start one: wave serve-worker MODEL", 5)
    return json_response({"status": "ready", "workers": ready})


@router.get("/metrics", responses={200: {"content": {"text/plain": {}}}})
async def metrics(request: Request) -> Response:
    """Return the metrics in Prometheus' text format."""
    registry = services_of(request).metrics.registry
    text = await asyncio.to_thread(generate_latest, registry)  # it asks Redis, and other requests go on
    return Response(text, media_type=CONTENT_TYPE_LATEST)
