"""The alert rules and the Grafana dashboard, on what a real Prometheus scrapes from a real deployment."""

from __future__ import annotations

import json
import math
import subprocess
import time
from collections.abc import Iterator
from datetime import timedelta

import httpx
import pytest

from pipeline import submit_wave
from pipeline.flows.cron import due_hour
from pipeline.waves.first_seen import first_seen
from tests.prometheus.conftest import DOCKER, FLOWS, HERE, Stack
from tests.support.servers import until

DASHBOARD = json.loads((DOCKER / "grafana" / "dashboard.json").read_text())
OVERDUE = str(HERE / "flows" / "overdue.py")


def expressions() -> list[tuple[str, str]]:
    """Give the title and the query of each target of each panel, with the dashboard's variables filled in."""
    filled = {"$version": ".*", "$flow": ".*", "$__rate_interval": "5m"}
    found = []
    for panel in DASHBOARD["panels"]:
        for target in panel.get("targets", ()):
            text = target["expr"]
            for name, value in filled.items():
                text = text.replace(name, value)
            found.append((panel["title"], text))
    return found


def wave(stack: Stack, name: str, later: int = 0):
    """Submit a wave of the hour that was due, or of a later one."""
    schedule = stack.flows["shops"].schedule
    assert schedule is not None
    due = due_hour(schedule, stack.began) + timedelta(hours=later)
    return submit_wave(stack.flows[name], date=due, runtime=stack.runtime)


@pytest.fixture(scope="module")
def good(stack: Stack) -> Iterator[Stack]:
    """The deployment after good waves and answers of a model, each of which Prometheus has seen."""
    until(lambda: stack.prometheus.value('up{job="waves"}') == 1, 30)
    for n in (-1, 0):
        for name in ("shops", "mines"):
            wave(stack, name, n).wait(30)
        until(lambda n=n: stack.prometheus.value('waves_ended_total{flow="mines"}') == n + 2, 20)
        body = {"instances": [[1, 2, 6]]}
        until(lambda body=body: httpx.post(f"{stack.api}/v1/models/mean:predict", json=body).is_success, 40)
        until(lambda n=n: stack.prometheus.value("waves_serve_instances_total") >= n + 2, 20)
        assert httpx.get(f"{stack.api}/v1/forecasts/demand/shops-01").is_success
        until(lambda n=n: stack.prometheus.value("sum(waves_forecast_answers_total)") >= n + 2, 20)
    until(lambda: stack.prometheus.value('waves_cover_hours{statistic="p5"}') > 24, 60)
    return stack


def test_the_configuration_and_the_rules_hold_what_they_promise(tool):
    folder = DOCKER / "prometheus"
    # Of the configuration only the syntax: the token that it names is where the stack is.
    config = ["check", "config", "--syntax-only", "prometheus.yml"]
    for words in (config, ["check", "rules", "rules.yml"], ["test", "rules", "rules_test.yml"]):
        ended = subprocess.run([tool, *words], cwd=folder, capture_output=True, text=True, timeout=60)
        assert ended.returncode == 0, ended.stdout + ended.stderr


def test_what_is_scraped_is_as_prometheus_wants_it(good, tool):
    text = httpx.get(f"{good.api}/metrics").text
    ended = subprocess.run([tool, "check", "metrics"], input=text, capture_output=True, text=True, timeout=60)
    said = [
        line for line in ended.stderr.splitlines() if not line.startswith("waves_cover_hours use base unit")
    ]
    assert not said, "but for cover, which people count in hours"


@pytest.mark.parametrize(("title", "expression"), expressions())
def test_every_query_of_the_grafana_dashboard_returns_data(good, title, expression):
    found = good.prometheus.query(expression)
    assert found, f"{title}: no data for {expression}"
    assert all(not math.isnan(value) for _, value in found), f"{title}: {found}"


def test_in_a_good_run_no_alert_fires_and_in_a_staged_failure_each_does(good):
    prometheus, client = good.prometheus, good.runtime.client
    assert not prometheus.firing()

    def fires(name: str, limit: float = 20.0) -> None:
        until(lambda: name in prometheus.firing(), limit)

    newcomers = {f"shops-new-{n}0": {} for n in range(10)}  # their source fails: they get no forecast
    good.runtime.states.bind("shops").update(newcomers)
    client.set("break", 1)
    wave(good, "shops", 1).wait(30)
    fires("EntitiesFailed")
    fires("CoverLow", 60)  # it is read twice a minute
    client.set("kill", 1)
    wave(good, "mines", 1).wait(60)
    fires("IncidentsRising")
    client.config_set("maxmemory", int(client.info()["used_memory"] / 0.93))
    fires("RedisMemory")
    client.config_set("maxmemory", 0)
    good.workers.stop()
    wave(good, "shops", 2)
    fires("QueueWithoutWorkers")
    good.stop("model")
    good.stop("api")
    fires("ApiDown")
    assert "WaveLate" not in prometheus.firing()
    first_seen(client, [("main", "overdue")], time.time() - 7200)
    good.start_api("api again", FLOWS, OVERDUE)
    fires("WaveLate")
    fires("NobodyKeepsDeadlines", 40)
    good.redis.kill()
    fires("RedisDown")
