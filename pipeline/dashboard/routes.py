"""The dashboard's addresses: / and /wave, /flow, /states, /state, /entity, /workers; and what its script asks for.

Other packages add pages of theirs, see `additions`.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Annotated, Any

from fastapi import APIRouter, Query
from fastapi.responses import FileResponse, JSONResponse, Response

from pipeline.dashboard.additions import GROUP, Add, links
from pipeline.dashboard.entities import Keys, look_at
from pipeline.dashboard.overview import overview
from pipeline.dashboard.pages import HEADERS, Pages
from pipeline.dashboard.waves import line, live, view
from pipeline.errors import UnknownName, UnreadableError
from pipeline.extensions import installed
from pipeline.flows.discover import Flows
from pipeline.monitoring.cover import Covers, process_covers
from pipeline.monitoring.observe import observe
from pipeline.waves.runtime import Runtime
from pipeline.waves.wave import Wave

STATIC = Path(__file__).with_name("static")
FILES = {"style.css": "text/css", "live.js": "text/javascript", "icon.svg": "image/svg+xml"}
LISTED = 200  # waves of one flow
PATIENCE = 0.05  # seconds that the overview waits for the cover, which is read in the background
MENU = {"/": "Overview", "/states": "Entities", "/workers": "Workers"}


class Dashboard:
    """The pages, each a method that answers one address."""

    def __init__(
        self,
        runtime: Runtime,
        flows: Flows,
        additions: Sequence[Add] | None = None,
        covers: Covers | None = None,
        flower: str = "",
    ) -> None:
        """Take the flows that are known here, and what other packages add, by default those that are installed.

        `flower` is Flower's address, to link to.
        """
        self._runtime, self._flows = runtime, flows
        self._flower = flower
        self._keys = Keys(runtime)
        self._covers = covers or process_covers(runtime, flows.values())
        self._additions = [
            add(runtime, flows) for add in (installed(GROUP) if additions is None else additions)
        ]
        menu = {address: text for one in self._additions for address, text in one.menu.items()}
        self.pages = Pages(*(one.package for one in self._additions), menu=MENU | menu)

    def router(self) -> APIRouter:
        """Return the router of all addresses."""
        made = APIRouter(include_in_schema=False)
        found: dict[str, Callable[..., Response]] = {
            "/": self.overview,
            "/wave": self.wave,
            "/wave.json": self.wave_json,
            "/flow": self.flow,
            "/states": self.states,
            "/state": self.state,
            "/entity": self.entity,
            "/workers": self.workers,
            "/static/{name}": self.static,
        }
        for path, answer in found.items():
            made.add_api_route(path, answer, response_model=None)
        for one in self._additions:
            made.include_router(one.router(self.pages))
        return made

    def _write(self, template: str, **context: Any) -> Response:
        return self.pages.write(template, **context)

    def missing(self, text: str, here: str = "") -> Response:
        """Show that something is not there."""
        return self.pages.write("error.html", 404, text=text, here=here)

    def overview(self) -> Response:
        """Show all flows, queues and alerts."""
        found = overview(self._runtime, self._flows, self._covers.known(PATIENCE))
        return self._write("overview.html", view=found, here="/")

    def wave(self, id: str) -> Response:
        """Show one wave."""
        try:
            return self._write("wave.html", view=view(Wave.find(id, self._runtime)), here="")
        except (UnknownName, UnreadableError) as error:
            return self.missing(str(error))

    def wave_json(self, id: str) -> Response:
        """Serve what changes on a wave's page."""
        try:
            return JSONResponse(live(Wave.find(id, self._runtime)), headers=HEADERS)
        except (UnknownName, UnreadableError) as error:
            return JSONResponse({"error": str(error)}, 404)

    def flow(self, name: str, version: str) -> Response:
        """Show the waves of one flow."""
        records = self._runtime.records
        infos = records.infos(records.ids(version, name)[:LISTED])
        price = self._runtime.settings.price
        lines = [
            line(info, counts, price)
            for info, counts in zip(infos.values(), records.counts_of(list(infos)).values(), strict=True)
        ]
        rows = list(zip(infos.items(), lines, strict=True))
        return self._write("flow.html", name=name, version=version, rows=rows, price=price, here="")

    def states(self) -> Response:
        """Show all states."""
        states = self._runtime.states
        names = {name: len(states.bind(name)) for name in states.names()}
        return self._write("states.html", names=names, here="/states")

    def state(self, name: str, q: str = "", page: Annotated[int, Query(ge=1)] = 1) -> Response:
        """Show some entities of a state."""
        try:
            found = self._keys.page(name, q, page)
        except (UnknownName, UnreadableError) as error:
            return self.missing(str(error), "/states")
        over = [flow for flow in self._flows.values() if flow.state is not None and flow.state.name == name]
        return self._write("state.html", page=found, flows=over, here="/states")

    def entity(self, flow: str, key: str, version: str = "", date: str = "") -> Response:
        """Show what is stored of one entity by a flow, and how it stands in one wave."""
        at = version or self._runtime.settings.any_version()
        ids = self._runtime.records.ids(at, flow)
        ids = [i for i in ids if date in i] + [i for i in ids if date not in i] if date else ids
        if not ids:
            return self.missing(
                f"Redis holds no wave of {at}/{flow}. The overview lists all flows.", "/states"
            )
        try:
            found = look_at(self._runtime, ids, key)
        except (UnknownName, UnreadableError) as error:  # it has just been forgotten
            return self.missing(str(error), "/states")
        more = links(self._additions, found)
        return self._write("entity.html", view=found, links=more, here="/states")

    def workers(self) -> Response:
        """Show the workers and queues."""
        observed = observe(self._runtime, self._flows.values())
        queues = [(backlog, observed.slots(name)) for name, backlog in observed.queues.items()]
        return self._write(
            "workers.html", observed=observed, queues=queues, flower=self._flower, here="/workers"
        )

    def static(self, name: str) -> Response:
        """Serve the style, the script and the icon."""
        if name not in FILES:
            return self.missing(f"There is no file {name!r} here.")
        return FileResponse(STATIC / name, media_type=FILES[name], headers={"Cache-Control": "max-age=300"})
