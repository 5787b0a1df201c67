"""Addresses about models: /models, /model, and /model/decision, which promotes and rolls back once it is confirmed."""

from __future__ import annotations

from collections.abc import Callable
from typing import Annotated
from urllib.parse import parse_qs

from fastapi import APIRouter, Query, Request
from fastapi.concurrency import run_in_threadpool
from fastapi.responses import RedirectResponse, Response

from forecasting.dashboard.chart import number
from forecasting.dashboard.models import ask, listed, look_at
from forecasting.errors import ModelError
from forecasting.registry import STAGES, PromotionRefused, Registry
from pipeline.dashboard.pages import Pages, url
from pipeline.errors import PipelineError
from pipeline.web.responses import HttpError
from pipeline.web.trust import check_meant, owner_of

DECISIONS = ("promote", "rollback")
WORDS = 500  # characters of a reason


class ModelPages:
    """The pages, each a method that answers one address."""

    def __init__(self, pages: Pages, registry: Callable[[], Registry]) -> None:
        self._pages, self._registry = pages, registry

    def router(self) -> APIRouter:
        """Return the router of all addresses."""
        made = APIRouter(include_in_schema=False)
        made.add_api_route("/models", self.models, response_model=None)
        made.add_api_route("/model", self.model, response_model=None)
        made.add_api_route("/model/decision", self.question, response_model=None)
        made.add_api_route("/model/decision", self.decision, methods=["POST"], response_model=None)
        return made

    def models(self, q: str = "", page: Annotated[int, Query(ge=1)] = 1) -> Response:
        """Show all models."""
        try:
            found = listed(self._registry(), q, page)
        except PipelineError as error:
            return self._error(503, "No models", str(error))
        return self._pages.write("models.html", found=found, stages=STAGES, number=number, here="/models")

    def model(self, pipe: str, partition: str, stage: str = "") -> Response:
        """One model at a stage."""
        try:
            registry = self._registry()
            found = look_at(registry, pipe, partition, stage or registry.settings.stage)
        except PipelineError as error:
            return self._error(404, "Not found", str(error))
        return self._pages.write("model.html", found=found, stages=STAGES, number=number, here="/models")

    def question(self, what: str, pipe: str, partition: str, stage: str, version: str = "") -> Response:
        """Show what a decision would change, and ask for confirmation."""
        if what not in DECISIONS:
            return self._error(404, "Not found", f"{what!r} is not a decision: {' or '.join(DECISIONS)}.")
        try:
            found = ask(self._registry(), what, pipe, partition, stage, version)
        except PipelineError as error:
            return self._error(404, "Not found", str(error))
        return self._pages.write("decision.html", found=found, number=number, here="/models")

    async def decision(self, request: Request) -> Response:
        """Carry out a decision that was confirmed."""
        try:
            check_meant(request)
        except HttpError as error:
            return self._error(error.status, "Not done", error.text)
        body = (await request.body()).decode(errors="replace")
        form = {name: values[0] for name, values in parse_qs(body, keep_blank_values=True).items()}
        return await run_in_threadpool(self._decide, form, owner_of(request) or "")

    def _decide(self, form: dict[str, str], by: str) -> Response:
        what, pipe, partition, stage, version = (
            form.get(name, "") for name in ("what", "pipe", "partition", "stage", "version")
        )
        why = form.get("why", "").strip()[:WORDS]
        back = url("/model", pipe=pipe, partition=partition, stage=stage)
        try:
            registry = self._registry()
            found = ask(registry, what, pipe, partition, stage, version)
            if (found.before or "") != form.get("before", "") or found.candidate.version != version:
                raise ModelError(
                    f"somebody else has decided about it meanwhile: {found.before} is live at {stage} now. Look again."
                )
            if what == "promote":
                registry.promote(pipe, partition, version, stage, why=why, by=by)
            elif what == "rollback":
                registry.rollback(pipe, partition, stage, why=why, by=by)
            else:
                raise ModelError(f"{what!r} is not a decision: {' or '.join(DECISIONS)}.")
        except PromotionRefused as error:
            return self._error(409, "Refused by the gate", str(error), back)
        except PipelineError as error:
            return self._error(409, "Not done", str(error), back)
        return RedirectResponse(back, 303)

    def _error(self, status: int, title: str, text: str, back: str = "/models") -> Response:
        return self._pages.write("problem.html", status, title=title, text=text, back=back, here="/models")
