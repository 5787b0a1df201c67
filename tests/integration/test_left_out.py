"""One bad entity never stops the others: with a real worker, and named wherever one looks."""

from __future__ import annotations

import sys
from collections.abc import Iterator
from pathlib import Path

import httpx
import pytest
from prometheus_client import CollectorRegistry, generate_latest

from pipeline import KeyFormatError, Wave, submit_wave
from pipeline.flows.discover import load_flows
from pipeline.local.processes import Workers, worker_env
from pipeline.local.supervise import Processes
from pipeline.monitoring.alert_delivery import look
from pipeline.monitoring.alert_rules import Bounds
from pipeline.monitoring.metrics import WaveCollector
from pipeline.settings import Settings
from pipeline.waves.runtime import Runtime
from pipeline.web.tokens import line, new_token
from tests.support.servers import free_port

LAME = str(Path(__file__).parent / "flows" / "lame.py")
HOUR = "2026-03-01T13"
LEFT = ["shop 8", "@9", "shop10", "shop11", "shop 13", "SHOP1", "shop2"]


@pytest.fixture(scope="module")
def runtime(url: str) -> Runtime:
    return Runtime(Settings(redis_url=url, version="main"))


@pytest.fixture(scope="module")
def ended(url: str, runtime: Runtime) -> Iterator[Wave]:
    """A wave that has ended, with some bad entities in its state's source, in its tasks' answers and in Redis."""
    flow = load_flows([LAME])["lame"]
    with Workers(url, flows=[LAME], count=1, env={"PIPELINE_SHARD_SIZE": "3"}) as workers:
        workers.wait_ready()
        yield submit_wave(flow, date=HOUR, runtime=runtime).wait(60)


@pytest.fixture
def wave(url: str, ended: Wave, command_on, monkeypatch):
    monkeypatch.setenv("PIPELINE_VERSION", "main")
    monkeypatch.setenv("PIPELINE_FLOWS", LAME)
    return command_on(url)


def test_the_others_are_all_well(ended):
    assert ended.info().reason == "done"
    for task, n in (("sales", 8), ("doubled", 8), ("told", 7)):
        found = {key for key, status in ended.statuses(task).items() if status.status == "finished"}
        assert len(found) == n, ended.errors()
    assert str(ended.statuses("ranks")["@all"]) == "finished"
    assert str(ended.statuses("told")["shop2"]) == "skipped: missing input"
    assert ended.result("told", "shop1") == 3.0


def test_who_was_left_out_is_named_with_why(ended, runtime):
    left = ended.left_out()
    assert sorted(left.reasons) == sorted(LEFT)
    assert left.count == len(LEFT)
    assert left.reasons["shop 8"].startswith("entity key 'shop 8' has a space")
    assert left.reasons["shop10"].startswith("entity 'shop10' lacks the feature 'city'")
    assert "the value['n'] is nan" in left.reasons["shop11"]
    assert left.reasons["SHOP1"] == "task 'doubled' was not asked for it"
    assert left.reasons["shop2"].startswith("the value is of type set")
    assert runtime.client.pttl(f"wave:{ended.id} left") > 0


def test_the_command_names_them(ended, wave):
    shown = wave("show", ended.id, "--errors").output
    assert "left out: 7 entities" in shown
    assert "  shop 8: entity key 'shop 8' has a space" in shown
    assert "  and 2 more: --errors shows them" in wave("show", ended.id).output
    state = wave("state", "show", "lame").output
    assert "wave: left out: @9: entity key '@9' begins with '@'" in state
    assert "lame: 9 entities in 1 partition" in state, "shop12, which a task has added, is one"


def test_an_alert_names_one_of_them_and_how_many_more(ended, runtime):
    (alert,) = [one for one in look(runtime, (), Bounds())[0] if one.what == "entities"]
    assert (alert.level, alert.about) == ("warning", "main/lame")
    assert alert.text.startswith(f"{ended.id} goes on without ")
    assert ", and 6 more: " in alert.text
    assert alert.text.endswith(f"`wave show {ended.id}` names who was left out, and why.")


def test_a_metric_counts_them(ended, runtime):
    registry = CollectorRegistry()
    registry.register(WaveCollector(runtime))
    assert 'waves_left_out{flow="lame",version="main"} 7.0' in generate_latest(registry).decode()


def test_pages_name_them(ended, runtime):
    port, token = free_port(), new_token()
    tokens = {"PIPELINE_TOKENS": line("ann", token), "PIPELINE_WEB_PORT": str(port)}
    with Processes(patience=10) as processes:
        environ = worker_env(runtime.settings.redis_url, [LAME], "main") | tokens
        processes.start("web", [sys.executable, "-m", "pipeline.web"], environ)
        processes.wait_ready(40)
        headers = {"Authorization": f"Bearer {token}"}
        with httpx.Client(base_url=f"http://127.0.0.1:{port}", headers=headers) as client:
            page = client.get("/wave", params={"id": ended.id}).text
            assert '<h2 id="left">Left out: 7 entities</h2>' in page
            assert "<li>SHOP1: task &#39;doubled&#39; was not asked for it</li>" in page
            assert "<li>shop 8: entity key" in client.get("/state", params={"name": "lame"}).text


def test_of_entities_that_are_given_by_hand_the_good_ones_are_run(ended, wave, runtime):
    out = wave("submit", "lame", "--date", "2026-03-01T14", "-e", "shop1", "-e", "shop 8", "--wait", code=1)
    assert "wave: left out: shop 8: state 'lame' holds no entity 'shop 8'" in out.output
    (wave_id,) = [i for i in runtime.records.ids(flow="lame") if "T14" in i]
    assert list(Wave.find(wave_id, runtime).statuses("sales")) == ["shop1"]
    assert "holds no entity 'shop 8'" in wave("submit", "lame", "-e", "shop 8", code=2).output


def test_a_single_bad_one_that_is_given_by_hand_is_an_error(ended, wave, runtime):
    flow = load_flows([LAME])["lame"]
    with pytest.raises(KeyFormatError, match="entity key 'a b' has a space"):
        submit_wave(flow, entities=["a b"], runtime=runtime)
    text = wave("state", "add", "lame", "a b", "city=Bern", code=2).output
    assert "entity key 'a b' has a space or a control character" in text


def test_a_stored_entity_that_cannot_be_read_is_left_out(ended, runtime):
    flow = load_flows([LAME])["lame"]
    runtime.client.hset("state:lame", mapping={b"\xff": b"{}", b"shop3": b"\xfe", b"shop99": b"{"})
    found = submit_wave(flow, date="2026-03-01T15", runtime=runtime)
    assert {r"'\udcff'", "shop99"} <= set(found.left_out().reasons)
    assert "shop3" not in found.left_out().reasons, "its source has written it anew"
