"""Deciding about models over HTTP: who is noted, behind the token."""

from __future__ import annotations

import asyncio
from functools import partial
from pathlib import Path

import httpx
from fastapi import FastAPI

from forecasting.dashboard.models import listed, look_at
from forecasting.dashboard.pages import ForecastPages
from forecasting.registry import Registry
from pipeline.dashboard.routes import Dashboard
from pipeline.flows.discover import Flows
from pipeline.settings import Settings
from pipeline.waves.runtime import Runtime
from pipeline.web.guard import Guard
from pipeline.web.metrics import Metrics
from pipeline.web.settings import WebSettings
from pipeline.web.tokens import Tokens, line
from tests.contracts.models import BAD, GOOD, SPAN, Level

ADDRESS = "https://waves.example"
FORM = {"what": "promote", "pipe": "sales", "partition": "x", "stage": "prod", "before": "", "why": "good"}


def post(registry: Registry, token: str, **headers: str) -> httpx.Response:
    version = registry.versions("sales", "x")[0]
    runtime = Runtime(Settings(redis_url="redis://nowhere", version="main"))
    api = FastAPI()
    api.include_router(Dashboard(runtime, Flows(()), [partial(ForecastPages, registry=registry)]).router())
    app = Guard(api, WebSettings(tokens=Tokens.parse([line("ada", "secret")])), Metrics())

    async def ask() -> httpx.Response:
        transport = httpx.ASGITransport(app=app)
        async with httpx.AsyncClient(transport=transport, base_url=ADDRESS) as client:
            headers["authorization"] = f"Bearer {token}"
            return await client.post("/model/decision", data=FORM | {"version": version}, headers=headers)

    return asyncio.run(ask())


def test_the_history_names_whose_token_it_was(tmp_path: Path):
    registry = Registry(tmp_path)
    registry.save("sales", "x", Level(1), SPAN, entities=1, metrics=GOOD)
    assert post(registry, "wrong", origin=ADDRESS).status_code == 401
    assert post(registry, "secret", origin="https://other.example").status_code == 403
    assert registry.look("sales", "x", "prod").live is None
    answer = post(registry, "secret", origin=ADDRESS)
    assert (answer.status_code, answer.headers["location"]) == (
        303,
        "/model?pipe=sales&partition=x&stage=prod",
    )
    (event,) = registry.history("sales", "x", "prod")
    assert (event.kind, event.by, event.why) == ("promoted", "ada", "good")


def test_a_refusal_says_what_the_gate_said_and_is_in_the_history(tmp_path: Path):
    registry = Registry(tmp_path)
    registry.save("sales", "x", Level(1), SPAN, entities=1, metrics=BAD)
    answer = post(registry, "secret", origin=ADDRESS)
    assert answer.status_code == 409
    assert "its error 3 is 1.500 times the seasonal naive&#39;s 2 (at most 1 is allowed)" in answer.text
    assert [event.kind for event in registry.history("sales", "x", "prod")] == ["refused"]


def test_models_are_found_by_pipe_or_partition_by_the_page(tmp_path: Path):
    registry = Registry(tmp_path)
    for n in range(53):
        registry.save("sales", f"city{n:02}", Level(1), SPAN, entities=1, metrics=GOOD)
    first, last = listed(registry), listed(registry, number=9)
    assert (first.count, first.pages, len(first.lines), last.number, len(last.lines)) == (53, 2, 50, 2, 3)
    assert [one.partition for one in listed(registry, "Y07").lines] == ["city07"]


def test_a_damaged_version_is_told_and_the_others_can_be_promoted(tmp_path: Path):
    registry = Registry(tmp_path)
    found = [registry.save("sales", "x", Level(n), SPAN, entities=1, metrics=GOOD).version for n in range(2)]
    registry.promote("sales", "x", found[0])
    next(tmp_path.glob(f"**/{found[0]}/manifest.json")).write_text("{")
    view = look_at(registry, "sales", "x", "dev")
    assert view.live is None
    assert "cannot be read" in view.damage
    assert [one.manifest.version for one in view.candidates] == [found[1]]
    assert [bool(one.damage) for one in listed(registry).lines] == [True]
