"""Models in the KServe V1 form: {"instances": [...]} in, {"predictions": [...]} out."""

from __future__ import annotations

import asyncio
from functools import partial
from typing import Any

import orjson
from fastapi import APIRouter, Request
from fastapi.responses import Response
from pydantic import BaseModel, Field

from pipeline.errors import listed, near
from pipeline.serving.batcher import Waiting
from pipeline.serving.producer import NotAnswered, Producer, Refused
from pipeline.serving.splits import choose, sampled
from pipeline.serving.status_board import View
from pipeline.serving.wire import GONE, OK, REFUSED, Answered
from pipeline.web.direct_routes import PlainRoute
from pipeline.web.guard import BODY, REQUEST_ID
from pipeline.web.responses import JSON, HttpError, json_response
from pipeline.web.server import LEFT
from pipeline.web.services import Services, services_of

KEY = b"x-routing-key"
PREDICT = ":predict"  # the end of the paths that are asked most


class Instances(BaseModel):
    """What a prediction is asked for."""

    instances: list[Any] = Field(min_length=1)


class Predictions(BaseModel):
    """A prediction for each instance, in their order."""

    predictions: list[Any]


class Fault(BaseModel):
    """What is wrong and what to do."""

    error: str
    request_id: str


_FAULT: dict[str, Any] = {"model": Fault, "description": "What is wrong and what to do"}
_ANSWERS: dict[int | str, dict[str, Any]] = {
    200: {"model": Predictions, "description": "A prediction for each instance, in their order"},
    **dict.fromkeys((400, 401, 404, 408, 413, 422, 429, 500, 502, 503, 504), _FAULT),
}


def _parameter(name: str, where: str = "path", text: str = "") -> dict[str, Any]:
    told = {"description": text} if text else {}
    return {"name": name, "in": where, "required": where == "path", "schema": {"type": "string"}, **told}


def _extra(*names: str) -> dict[str, Any]:
    """Describe what a route that parses by itself takes: fields of its path, a header and a body."""
    text = "Requests of the same key get the same version, where traffic is split"
    return {
        "parameters": [*map(_parameter, names), _parameter("X-Routing-Key", "header", text)],
        "requestBody": {"required": True, "content": {JSON: {"schema": Instances.model_json_schema()}}},
    }


router = APIRouter(tags=["models"], route_class=PlainRoute)


@router.post("/v1/models/{name}:predict", responses=_ANSWERS, openapi_extra=_extra("name"))
async def predict(request: Request) -> Response:
    """Predict with the live version, or as the traffic is split."""
    return await _predict(request, None)


@router.post(
    "/v1/models/{name}/versions/{version}:predict",
    responses=_ANSWERS,
    openapi_extra=_extra("name", "version"),
)
async def predict_version(request: Request) -> Response:
    """Predict with one version, which must be live, in a split or a shadow."""
    return await _predict(request, request.path_params["version"])


@router.get("/v1/models")
async def models(request: Request) -> Response:
    """List the models that are served."""
    return json_response({"models": sorted(services_of(request).producer.views)})


@router.get("/v1/models/{name}", responses={404: _FAULT}, openapi_extra={"parameters": [_parameter("name")]})
async def model(request: Request) -> Response:
    """Describe a model: whether it is ready, its versions, how its traffic is split, its workers."""
    view = _view(services_of(request), request.path_params["name"])
    entry = view.entry
    return json_response(
        {
            "name": entry.name,
            "ready": bool(view.able(entry.live)),
            "live": entry.live,
            "versions": sorted(entry.versions),
            "weights": dict(entry.weights),
            "shadow": dict(entry.shadow),
            "workers": [
                {"slots": w.slots, "busy": w.busy, "versions": w.versions} for w in view.workers.values()
            ],
        }
    )


async def _predict(request: Request, version: str | None) -> Response:
    services = services_of(request)
    view = _view(services, request.path_params["name"])
    instances = _instances(request.scope[BODY], view.entry.options.instances)
    key = _key(request, view, instances)
    chosen = _version(view, version, key)
    try:
        waiting = services.producer.ask(
            view.entry, chosen, version is not None, instances, len(request.scope[BODY])
        )
    except Refused as refused:
        services.metrics.refused(view.entry.name)
        raise HttpError.later(503, str(refused), refused.retry_after) from None
    if view.entry.shadow:
        _shadow(services, view, key, waiting)
    answer = await _answer(request, services.producer, waiting)
    took = asyncio.get_running_loop().time() - waiting.since
    services.results.answered(view.entry.name, answer, took)
    if answer.status == OK:
        services.metrics.answered(view.entry.name, answer.version, len(instances), took)
        return json_response({"predictions": answer.value}, {"x-model-version": answer.version})
    raise _fault(view, answer)


def _view(services: Services, name: str) -> View:
    views = services.producer.views
    if name not in views:
        raise HttpError(404, f"no model {name!r} is served.{near(name, views)} There are: {listed(views)}.")
    return views[name]


def _instances(body: bytes, most: int) -> list[Any]:
    """Read the instances of a body. Raises HttpError."""
    try:
        found = orjson.loads(body)
    except ValueError as error:
        raise HttpError(
            400,
            f"the body is not JSON ({error}). NaN and Infinity are none either: send null for a missing number.",
        ) from None
    instances = found.get("instances") if isinstance(found, dict) else None
    if not isinstance(instances, list) or not instances:
        raise HttpError(422, 'the body must look like {"instances": [...]}, with at least one instance.')
    if len(instances) > most:
        raise HttpError(413, f"{len(instances)} instances are more than {most}. Send several requests.")
    return instances


def _key(request: Request, view: View, instances: list[Any]) -> str:
    """Return the key by which a split is sticky: a header's, an instance's, or else the request's own id."""
    entry = view.entry
    if not entry.weights and not entry.shadow:
        return ""
    for name, value in request.scope["headers"]:
        if name == KEY:
            return str(value.decode("latin-1"))
    first = instances[0]
    if entry.key is not None and isinstance(first, dict) and entry.key in first:
        return str(first[entry.key])
    return str(request.scope[REQUEST_ID])


def _version(view: View, asked: str | None, key: str) -> str:
    """Return the version that is to answer, "" for the live one. Raises HttpError for one that is not served."""
    entry = view.entry
    if asked is None:
        chosen = choose(entry.weights, key, entry.name) if entry.weights else None
        return chosen if chosen is not None and view.held(chosen) else ""
    if asked not in entry.versions:
        raise HttpError(
            404,
            f"{entry.name!r} has no version {asked!r}.{near(asked, entry.versions)} Served: {listed(entry.needed)}.",
        )
    if asked not in entry.needed:
        raise HttpError(
            404, f"version {asked!r} of {entry.name!r} is not in memory. Served: {listed(entry.needed)}."
        )
    return asked


def _shadow(services: Services, view: View, key: str, waiting: Waiting) -> None:
    """Ask shadows too, where workers have slots to spare; their answers are compared and not returned."""
    entry = view.entry
    for version, fraction in entry.shadow.items():
        if sampled(key, fraction, entry.name) and view.held(version) and services.producer.free(entry.name):
            try:
                copy = services.producer.ask(
                    entry, version, True, waiting.asked.instances, waiting.size, waiting.asked.id
                )
            except Refused:
                return
            services.results.compare(entry.name, waiting, copy)


async def _answer(request: Request, producer: Producer, waiting: Waiting) -> Answered:
    """Wait for an answer. Raises HttpError; a client that goes away cancels its request."""
    request.scope[LEFT] = partial(producer.cancel, waiting)
    try:
        answer: Answered = await waiting.answer
    except NotAnswered as error:
        raise HttpError(504, str(error)) from None
    except Refused as refused:
        raise HttpError.later(503, str(refused), refused.retry_after) from None
    except asyncio.CancelledError:
        if waiting.answer.cancelled():
            raise HttpError(499, "the client went away.") from None
        producer.cancel(waiting)
        raise
    return answer


def _fault(view: View, answer: Answered) -> HttpError:
    if answer.status == REFUSED:
        return HttpError(422, f"the model refuses this: {answer.value}")
    if answer.status == GONE:
        return HttpError.later(503, f"{view.entry.name!r}: {answer.value}", 1)
    return HttpError(502, f"the model {view.entry.name!r} {answer.version} failed: {answer.value}")
