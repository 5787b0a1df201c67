"""python -m pipeline.web: the HTTP API, for the settings of the environment."""

from __future__ import annotations

import asyncio
import gc
import os
import sys
from pathlib import Path

import uvloop

from pipeline.errors import PipelineError
from pipeline.flows.discover import load_flows
from pipeline.local.supervise import READY
from pipeline.settings import Settings
from pipeline.telemetry import logs
from pipeline.web.application import make_app
from pipeline.web.server import make_server
from pipeline.web.settings import WebSettings
from pipeline.workers.heartbeat import Heartbeat


async def serve(settings: Settings, web: WebSettings) -> bool:
    """Answer until the process is told to end; returns False when it could not begin."""
    flows = load_flows(settings.flows) if settings.flows else None
    heartbeat = Heartbeat.from_env()
    server = make_server(make_app(settings, web, flows=flows), web)
    running = asyncio.create_task(server.serve())
    while not server.started and not running.done():
        await asyncio.sleep(0.02)
    gc.collect()
    gc.freeze()  # else each full collection goes through all that was imported, and requests wait for it
    if server.started and (path := os.environ.get(READY)):
        Path(path).touch()
    beating = asyncio.create_task(_beat(heartbeat))
    await running
    beating.cancel()
    return server.started


async def _beat(heartbeat: Heartbeat | None) -> None:
    """Show signs of life from the loop that answers: one that stands still answers nobody."""
    while heartbeat is not None:
        heartbeat.tell()
        await asyncio.sleep(heartbeat.every)


def main() -> int:
    """Return the exit code."""
    try:
        logs.set_up()
        web = WebSettings.from_env()
        web.check()
        web.check_port()
        with asyncio.Runner(loop_factory=uvloop.new_event_loop) as runner:
            return 0 if runner.run(serve(Settings.from_env(), web)) else 1
    except PipelineError as error:
        sys.stderr.write(f"wave: {error}\n")
        return 2


if __name__ == "__main__":
    sys.exit(main())
