"""`wave web`: the dashboard and the API alone, on a Redis that is there."""

from __future__ import annotations

import os
import sys
from collections.abc import Mapping
from dataclasses import replace
from importlib.util import find_spec

import click

from pipeline.cli.options import version_option
from pipeline.cli.session import Session, with_redis
from pipeline.errors import SettingsError
from pipeline.flows.pipe import check_version
from pipeline.local.processes import worker_env
from pipeline.local.supervise import READY

NEEDED = ("fastapi", "jinja2", "prometheus_client", "uvicorn", "uvloop")

host_option = click.option("--host", help="Where it listens. [default: PIPELINE_WEB_HOST, else 127.0.0.1]")
port_option = click.option(
    "--port", type=click.IntRange(0, 65535), help="[default: PIPELINE_WEB_PORT, else 8000]"
)


def check_installed() -> None:
    """Raise SettingsError where the extra is missing."""
    if any(find_spec(name) is None for name in NEEDED):
        raise SettingsError(
            "the dashboard and the HTTP API are not installed. Install them: pip install 'celery-waves[web]'"
        )


def web_env(host: str | None, port: int | None) -> dict[str, str]:
    """Return the environment of the server, once it is checked. Raises SettingsError."""
    from pipeline.web.settings import WebSettings  # noqa: PLC0415 - an optional extra

    found = WebSettings.from_env()
    found = replace(found, host=host or found.host, port=found.port if port is None else port)
    found.check()
    found.check_port()
    return {"PIPELINE_WEB_HOST": found.host, "PIPELINE_WEB_PORT": str(found.port)}


def address(env: Mapping[str, str]) -> str:
    """Return the address that such an environment makes it listen at."""
    return f"http://{env['PIPELINE_WEB_HOST']}:{env['PIPELINE_WEB_PORT']}"


@click.command()
@host_option
@port_option
@version_option
@with_redis
def web(session: Session, host: str | None, port: int | None, version: str | None) -> None:
    """Start the dashboard and the HTTP API. It knows the schedules of the flows of PIPELINE_FLOWS or -F.

    \b
    Examples:
      wave web
      wave -F my_flows web --port 8080
    """
    check_installed()
    chosen = web_env(host, port)
    _ = session.flows  # what is wrong with them is said here, in words
    code = check_version(version or session.settings.any_version())
    env = worker_env(session.settings.redis_url, session.settings.flows, code) | chosen
    if READY in os.environ:
        env[READY] = os.environ[READY]
    click.echo(f"dashboard: {address(chosen)}/  metrics: /metrics  API: /openapi.json; Ctrl-C ends it")
    sys.stdout.flush()
    os.execvpe(sys.executable, [sys.executable, "-m", "pipeline.web"], {**os.environ, **env})
