"""A Django program with a Celery of its own starts waves; each side keeps its queues, its workers and its log."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path
from textwrap import dedent

import pytest

from pipeline.local.embedded import EmbeddedRedis
from pipeline.local.processes import Workers, celery_command, worker_env
from pipeline.settings import Settings
from pipeline.waves.runtime import Runtime
from tests.support.servers import until

pytest.importorskip("django")

ROOT = Path(__file__).parents[2]
PLACES = [f"place{n}" for n in range(12)]

PROJECT = {
    "depot/__init__.py": "from depot.celery import app\n",
    "depot/celery.py": """
        import os
        from celery import Celery

        app = Celery("depot", broker=os.environ["HOST_REDIS"], backend=os.environ["HOST_REDIS"])
        app.conf.task_default_queue = "depot"
        app.autodiscover_tasks(["shop"])
        """,
    "depot/settings.py": """
        from pathlib import Path

        SECRET_KEY = "x"
        INSTALLED_APPS = ["shop"]
        DATABASES = {"default": {"ENGINE": "django.db.backends.sqlite3", "CONN_MAX_AGE": None,
                                 "NAME": Path(__file__).parents[1] / "db.sqlite3"}}
        LOGGING = {
            "version": 1, "disable_existing_loggers": False,
            "formatters": {"host": {"format": "HOST %(name)s %(message)s"}},
            "handlers": {"host": {"class": "logging.StreamHandler", "formatter": "host"}},
            "root": {"handlers": ["host"], "level": "INFO"},
        }
        """,
    "shop/__init__.py": "",
    "shop/models.py": """
        from django.db import models

        class Place(models.Model):
            name = models.TextField(unique=True)
            stock = models.IntegerField()
        """,
    "shop/tasks.py": """
        from celery import shared_task

        @shared_task
        def add(x, y):
            return x + y
        """,
    "shop/flows.py": """
        import time
        from django.db import connections
        from django.db.backends.signals import connection_created
        from pipeline import Flow, State, task
        from .models import Place

        opened = []
        connection_created.connect(lambda connection, **_: opened.append(connection), weak=False)

        @task(concurrency=3)
        def stock(entity):
            return Place.objects.get(name=entity).stock

        @task
        def mine(entity):
            return Place.objects.filter(name=entity).count()

        @task
        def left(stock, mine):
            until = time.monotonic() + 5
            while open_elsewhere() and time.monotonic() < until:
                time.sleep(0.01)
            return open_elsewhere()

        def open_elsewhere():
            own = connections["default"]
            return sum(one.connection is not None for one in opened if one is not own)

        def names():
            return list(Place.objects.values_list("name", flat=True))

        flow = Flow("stocks", [stock, mine, left], state=State("places", source=names))
        """,
    "host.py": """
        import json, logging, signal, sys
        import django
        django.setup()
        from celery import current_app, signals
        from shop.tasks import add

        def look():
            root = logging.getLogger()
            return [repr(current_app._get_current_object()), root.level,
                    [(repr(h), h.formatter._fmt) for h in root.handlers],
                    [len(s.receivers or ()) for s in vars(signals).values() if hasattr(s, "receivers")],
                    repr(signal.getsignal(signal.SIGTERM)), repr(signal.getsignal(signal.SIGALRM))]

        before = look()
        from pipeline import submit_wave
        from shop.flows import flow, names

        first = add.delay(2, 3)
        wave = submit_wave(flow, date="2026-05-01T07")
        second = add.delay(20, 30)
        wave.wait(60)
        counts = wave.progress()
        third = add.delay(200, 300)
        logging.getLogger("shop").info("done")
        print(json.dumps({
            "sums": [result.get(timeout=30) for result in (first, second, third)],
            "finished": [counts.count("finished"), counts.total],
            "left": [wave.result("left", place) for place in names()],
            "unchanged": before == look(), "queue": add.app.amqp.router.route({}, add.name)["queue"].name,
        }))
        """,
}


@pytest.fixture
def project(tmp_path: Path) -> Path:
    """A Django project whose database holds the places."""
    for name, text in PROJECT.items():
        (tmp_path / name).parent.mkdir(exist_ok=True)
        (tmp_path / name).write_text(dedent(text))
    return tmp_path


@pytest.fixture
def env(project: Path, redis_url: str) -> Iterator[dict[str, str]]:
    """The environment of all of its processes; its own broker is another Redis than ours."""
    with EmbeddedRedis() as own:
        found = {name: value for name, value in os.environ.items() if not name.startswith("PIPELINE_")}
        found |= {
            "DJANGO_SETTINGS_MODULE": "depot.settings",
            "HOST_REDIS": own.url,
            "REDIS_URL": redis_url,
            "PIPELINE_VERSION": "main",
            "PYTHONPATH": f"{ROOT}{os.pathsep}{os.environ.get('PYTHONPATH', '')}",
        }
        fill = (
            "import django; django.setup(); from django.core.management import call_command as call; "
            "call('migrate', run_syncdb=True, verbosity=0); from shop.models import Place; "
            f"[Place.objects.create(name=name, stock=7) for name in {PLACES}]"
        )
        run(["-c", fill], project, found)
        yield found


def run(words: list[str], folder: Path, env: dict[str, str]) -> str:
    done = subprocess.run(
        [sys.executable, *words], cwd=folder, env=env, capture_output=True, text=True, timeout=100
    )
    assert done.returncode == 0, done.stdout + done.stderr
    return done.stdout + done.stderr


def test_a_django_program_and_its_waves_keep_apart(project: Path, env: dict[str, str], redis_url: str):
    ours = worker_env(redis_url, ["shop.flows"], "main") | {
        name: env[name] for name in ("DJANGO_SETTINGS_MODULE", "HOST_REDIS")
    }
    ours["PYTHONPATH"] = f"{env['PYTHONPATH']}{os.pathsep}{project}"
    with Workers(redis_url, flows=["shop.flows"], env=ours, options=["-l", "INFO"], patience=5) as workers:
        own = [sys.executable, "-m", "celery", "-A", "depot", "worker", "-P", "solo", "-l", "INFO"]
        theirs = workers.start("theirs", own, env | {"PYTHONPATH": ours["PYTHONPATH"]})
        workers.start("beat", celery_command("beat"), ours)
        workers.wait_ready(names=["worker1"])
        until(lambda: "ready." in theirs.tail(), 30)
        said = run(["host.py"], project, env | {"PYTHONPATH": ours["PYTHONPATH"]})
        assert all(child.code is None for child in workers.children)
    told = json.loads(next(line for line in said.splitlines() if line.startswith("{")))
    assert told == {
        "sums": [5, 50, 500],
        "finished": [36, 36],
        "left": [0] * len(PLACES),
        "unchanged": True,
        "queue": "depot",
    }
    assert "HOST shop done" in said


def test_the_command_prepares_django_too(project: Path, env: dict[str, str], redis_url: str):
    words = ["-m", "pipeline.cli", "-F", "shop.flows", "submit", "stocks", "--date", "2026-05-01T08"]
    run(words, project, env)
    runtime = Runtime(Settings(redis_url=redis_url, version="main"))
    assert runtime.records.ids() == ["main/stocks 2026-05-01T08"]
