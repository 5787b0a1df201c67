"""Forecasts over HTTP: the freshest one for an hour, of one entity, of many, and a stream of them.

    GET  /v1/forecasts/{pipe}/{entity}?at=2026-04-01T07      one
    GET  /v1/forecasts/{pipe}?entity=a&entity=b&at=...       some
    POST /v1/forecasts/{pipe}  {"entities": [...], "at": ...}  many
    GET  /v1/forecasts/{pipe}:stream?entity=a&entity=b       server-sent events: each time that one is fresher

An hour without a fresh wave is answered too: `lead` says how old the forecast is, `degraded` that it is not from the
newest wave, and `source` what it is made of.
"""

from __future__ import annotations

import asyncio
from collections import Counter
from collections.abc import AsyncIterator, Iterable, Mapping, Sequence
from datetime import datetime
from typing import Annotated, Any

import orjson
from fastapi import APIRouter, Path, Query, Request
from fastapi.responses import Response, StreamingResponse
from pydantic import BaseModel, Field
from starlette.concurrency import run_in_threadpool

from forecasting.errors import NoForecast
from forecasting.models.columns import FRESH, MEAN
from forecasting.reading.reader import Forecast, read_forecast, read_forecasts
from pipeline.flows.pipe import ONE_HOUR, hour, stamp
from pipeline.web.responses import HttpError, json_response
from pipeline.web.services import Services, services_of

MOST = 10_000  # entities of one request
STREAMED = 1_000  # entities of one stream
EVERY = 10.0  # seconds between two looks of a stream

Hour = Annotated[
    str | None,
    Query(
        description="The hour that is asked about, UTC; the next one by default",
        examples=["2026-04-01T07"],
        max_length=40,
    ),
]
Version = Annotated[
    str | None, Query(description="Whose forecasts, the API's own version by default", max_length=200)
]
Pipe = Annotated[str, Path(description="The task that makes the forecasts", max_length=200)]
Entities = Annotated[list[str], Query(description="Entity keys", min_length=1)]

_FAULT = {"description": "What is wrong and what to do"}
_RESPONSES: dict[int | str, dict[str, Any]] = dict.fromkeys((401, 404, 413, 422, 429, 503), _FAULT)

router = APIRouter(tags=["forecasts"])


class Asked(BaseModel):
    """Which forecasts are asked for."""

    entities: list[str] = Field(min_length=1, max_length=MOST)
    at: str | None = Field(None, max_length=40)
    version: str | None = Field(None, max_length=200)
    base: str | None = Field(None, max_length=200)


@router.get("/v1/forecasts/{pipe}:stream", responses=_RESPONSES)
async def stream(
    request: Request,
    pipe: Pipe,
    entity: Entities,
    at: Hour = None,
    version: Version = None,
    every: Annotated[float, Query(ge=0.5, le=3600, description="Seconds between two looks")] = EVERY,
) -> Response:
    """Send each forecast as an event, and again when there is a fresher one; without `at` for the next hour on."""
    if len(entity) > STREAMED:
        raise HttpError(413, f"{len(entity)} entities are more than {STREAMED}. Ask for several streams.")
    await run_in_threadpool(
        _some, services_of(request), pipe, entity, at, version, None
    )  # what is wrong is said now
    return StreamingResponse(
        _events(request, pipe, entity, at, version, every),
        media_type="text/event-stream",
        headers={"cache-control": "no-store"},
    )


@router.get("/v1/forecasts/{pipe}", responses=_RESPONSES)
def some(
    request: Request,
    pipe: Pipe,
    entity: Entities,
    at: Hour = None,
    version: Version = None,
    base: Version = None,
) -> Response:
    """Return the freshest forecast of some entities; those that have none are named under `missing`."""
    return _batch(services_of(request), pipe, entity, at, version, base)


@router.post("/v1/forecasts/{pipe}", responses=_RESPONSES)
def many(request: Request, pipe: Pipe, asked: Asked) -> Response:
    """Return the freshest forecast of many entities; those that have none are named under `missing`."""
    return _batch(services_of(request), pipe, asked.entities, asked.at, asked.version, asked.base)


@router.get("/v1/forecasts/{pipe}/{entity:path}", responses=_RESPONSES)
def one(
    request: Request,
    pipe: Pipe,
    entity: Annotated[str, Path(description="Entity key")],
    at: Hour = None,
    version: Version = None,
    base: Version = None,
) -> Response:
    """Return the freshest forecast of one entity for an hour, however old it is."""
    services = services_of(request)
    when, now = _hours(services, at)
    found = read_forecast(
        pipe,
        entity,
        when,
        now=now,
        version=version or services.version,
        base=base,
        store=services.runtime.store,
    )
    _count(services, pipe, [found])
    return json_response(written(found))


def written(forecast: Forecast) -> dict[str, Any]:
    """Return a forecast as JSON has it: a row of the long format."""
    return {
        "unique_id": forecast.entity,
        "ds": stamp(forecast.at),
        MEAN: forecast.value,
        **forecast.bounds,
        "issued": stamp(forecast.issued),
        "lead": forecast.lead,
        "degraded": forecast.degraded,
        "source": forecast.source,
        "version": forecast.version,
        "model": forecast.model,
    }


def _batch(
    services: Services,
    pipe: str,
    entities: Sequence[str],
    at: str | None,
    version: str | None,
    base: str | None,
) -> Response:
    if len(entities) > MOST:
        raise HttpError(413, f"{len(entities)} entities are more than {MOST:,}. Send several requests.")
    found = _some(services, pipe, entities, at, version, base)
    return json_response(
        {
            "forecasts": [written(forecast) for forecast in found.values()],
            "missing": [entity for entity in dict.fromkeys(entities) if entity not in found],
        }
    )


def _some(
    services: Services,
    pipe: str,
    entities: Sequence[str],
    at: str | None,
    version: str | None,
    base: str | None,
) -> Mapping[str, Forecast]:
    when, now = _hours(services, at)
    found = read_forecasts(
        pipe,
        list(dict.fromkeys(entities)),
        when,
        now=now,
        version=version or services.version,
        base=base,
        store=services.runtime.store,
    )
    _count(services, pipe, found.values())
    return found


def _count(services: Services, pipe: str, answers: Iterable[Forecast]) -> None:
    """Count what was answered, by what it was made of: of all that are not fresh is the share of degraded ones.

    Only pipes that hold forecasts have a label: who asks for another gets an error.
    """
    counter = services.metrics.counter(
        "waves_forecast_answers",
        "Forecasts that were answered, by what they are made of; fresh or degraded: older, ridge, seasonal naive.",
        ("pipe", "source"),
    )
    found = Counter(one.source for one in answers)
    for source in (
        {FRESH: 0} | found if found else ()
    ):  # a share needs the fresh ones also while there are none
        counter.labels(pipe, source).inc(found[source])


def _hours(services: Services, at: str | None) -> tuple[datetime, datetime]:
    """Return the hour that is asked about and the present one."""
    now = services.runtime.store.present()
    return (now + ONE_HOUR if at is None else hour(at)), now


async def _events(
    request: Request, pipe: str, entities: Sequence[str], at: str | None, version: str | None, every: float
) -> AsyncIterator[bytes]:
    sent: dict[str, bytes] = {}
    while True:  # until the client goes away: then the response ends this
        try:
            found = await run_in_threadpool(_some, services_of(request), pipe, entities, at, version, None)
        except NoForecast:
            found = {}
        fresh = False
        for entity, forecast in found.items():
            data = orjson.dumps(written(forecast))
            if sent.get(entity) != data:
                sent[entity], fresh = data, True
                yield b"event: forecast\ndata: " + data + b"\n\n"
        if not fresh:
            yield b": nothing new\n\n"  # a proxy closes what says nothing
        await asyncio.sleep(every)
