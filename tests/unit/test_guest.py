"""A guest leaves the house as it was: importing changes nothing in a program that has a Celery of its own."""

from __future__ import annotations

import json
import subprocess
import sys
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[2]

# What a process of ours loads by name, and nobody else.
OWN = (
    "pipeline.workers.",
    "pipeline.serving.worker",
    "ecs.control.protection",
    "__main__",
    "templates.promotion",
)

HOST = """
import atexit, gc, importlib, json, logging, multiprocessing, os, signal, sys, threading, warnings
import blinker, celery, structlog
from celery import signals
from kombu.transport import TRANSPORT_ALIASES, _transport_cache

THIRD = "billiard boto3 celery.bin.celery fastapi httpx numpy opentelemetry.sdk.trace pandas prometheus_client pyarrow"
THIRD += " rich scipy.optimize sklearn sqlalchemy uvicorn xgboost pytest click skops.io matplotlib.pyplot flower.app"
for name in THIRD.split():  # what other libraries do at their import is theirs
    importlib.import_module(name)

app = celery.Celery("host", broker="memory://")
handler = logging.StreamHandler()
handler.setFormatter(logging.Formatter("host %(message)s"))
logging.getLogger().addHandler(handler)

def look():
    loggers = [logging.getLogger(), *(logging.getLogger(name) for name in BEFORE)]
    return {
        "current app": repr(celery.current_app._get_current_object()),
        "default app": repr(celery._state.default_app),
        "transports": dict(TRANSPORT_ALIASES), "known transports": sorted(map(str, _transport_cache)),
        "loggers": [(l.name, l.level, l.propagate, l.disabled, [(repr(h), h.level, h.formatter and h.formatter._fmt)
                    for h in l.handlers]) for l in loggers],
        "logger class": repr(logging.getLoggerClass()), "record factory": repr(logging.getLogRecordFactory()),
        "signals": {n: len(s.receivers or ()) for n, s in vars(signals).items() if hasattr(s, "receivers")},
        "blinker": {n: len(s.receivers) for n, s in blinker.signal.__self__.items()},
        "handlers": {n: repr(signal.getsignal(n)) for n in signal.valid_signals()},
        "environ": dict(os.environ), "warnings": repr(warnings.filters), "showwarning": repr(warnings.showwarning),
        "hooks": [repr(h) for h in (sys.excepthook, threading.excepthook, sys.unraisablehook, sys.displayhook)],
        "structlog": repr(structlog.get_config()), "structlog is set": structlog.is_configured(),
        "start method": multiprocessing.get_start_method(allow_none=True), "path": list(sys.path),
        "at exit": atexit._ncallbacks(), "gc": [gc.get_threshold(), gc.isenabled(), gc.get_freeze_count()],
        "threads": sorted(t.name for t in threading.enumerate()),
        "streams": [repr(s) for s in (sys.stdout, sys.stderr)], "recursion": sys.getrecursionlimit(),
    }

BEFORE = sorted(n for n in logging.root.manager.loggerDict)
before = look()
for name in sys.argv[1:]:
    found = importlib.import_module(name)
    for public in getattr(found, "__all__", ()):
        getattr(found, public)
after = look()
print(json.dumps({k: [before[k], after[k]] for k in before if before[k] != after[k]}))
"""


def names() -> list[str]:
    """Every module that a program may import; those that a process of ours loads by name are left out."""
    paths = [
        path.relative_to(ROOT)
        for name in ("pipeline", "forecasting", "tasks", "ecs")
        for path in sorted((ROOT / name).rglob("*.py"))
    ]
    dotted = [".".join(path.with_suffix("").parts).removesuffix(".__init__") for path in paths]
    return [name for name in dotted if not any(own in name for own in OWN)]


@pytest.mark.parametrize("django", [False, True])
def test_importing_changes_nothing_in_a_host(tmp_path: Path, django: bool):
    env = {"PATH": "/usr/bin:/bin", "PYTHONPATH": f"{ROOT}:{':'.join(sys.path)}", "HOME": str(tmp_path)}
    if django:
        pytest.importorskip("django")
        (tmp_path / "site_settings.py").write_text("SECRET_KEY = 'x'\n")
        env["DJANGO_SETTINGS_MODULE"] = "site_settings"
    done = subprocess.run(
        [sys.executable, "-W", "ignore", "-c", HOST, *names()],
        cwd=tmp_path,
        env=env,
        capture_output=True,
        text=True,
        timeout=110,
    )
    assert done.returncode == 0, done.stderr
    assert json.loads(done.stdout.splitlines()[-1]) == {}
