"""Pipes apart from the broker: on a server of their own, on a Cluster, on one that is full or gone."""

from __future__ import annotations

import signal
import time
from collections.abc import Callable, Iterator
from contextlib import ExitStack
from pathlib import Path

import pytest
from redis import RedisCluster

from pipeline import Wave, submit_wave
from pipeline.errors import StoreError, UnreachableError
from pipeline.flows.discover import load_flows
from pipeline.local.processes import Workers
from pipeline.monitoring.doctor import examine
from pipeline.settings import Settings
from pipeline.store import ClusterStore
from pipeline.waves.runtime import Runtime
from tests.contracts.store import StoreContract
from tests.support.breakable_redis import BreakableRedis
from tests.support.servers import Node, cluster, until

OUTAGES = str(Path(__file__).parent / "flows" / "outages.py")
ENTITIES = {f"place{n}": {"country": f"c{n % 2}"} for n in range(40)}


@pytest.fixture(scope="module")
def flows():
    return load_flows([OUTAGES])


@pytest.fixture(scope="module")
def nodes() -> Iterator[list[Node]]:
    with cluster() as found:
        yield found


@pytest.fixture(scope="module")
def cluster_url(nodes: list[Node]) -> str:
    return f"redis+cluster://127.0.0.1:{nodes[0].port}"


@pytest.fixture
def witness(tmp_path: Path) -> Path:
    (tmp_path / "witness").touch()
    return tmp_path / "witness"


@pytest.fixture
def at() -> Iterator[Callable[[str, str], Runtime]]:
    """Makes the clients of two addresses; a Cluster's does not close itself."""
    with ExitStack() as stack:

        def make(redis_url: str, store_url: str) -> Runtime:
            settings = Settings(redis_url=redis_url, store_url=store_url, version="main", shard_size=10)
            found = Runtime(settings)
            stack.callback(lambda: found.store.close())
            return found

        yield make


def working(redis_url: str, store_url: str, witness: Path) -> Workers:
    env = {"WITNESS": str(witness), "PIPELINE_STORE_URL": store_url, "PIPELINE_SOCKET_TIMEOUT": "2s"}
    return Workers(redis_url, flows=[OUTAGES], count=2, env=env, patience=5)


def statuses(wave: Wave, task: str) -> set[str]:
    return {str(status) for status in wave.statuses(task).values()}


class TestClusterStoreOfThree(StoreContract):
    """What every store does, on three masters."""

    @pytest.fixture
    def make(self, nodes):
        with RedisCluster("127.0.0.1", nodes[0].port) as client:
            client.flushall()
            yield lambda **options: ClusterStore(client, **options)


def test_a_wave_with_windows_and_scopes_runs_on_a_cluster(redis_url, cluster_url, nodes, witness, flows, at):
    runtime = at(redis_url, cluster_url)
    assert isinstance(runtime.store, ClusterStore)
    runtime.check()
    with working(redis_url, cluster_url, witness) as workers:
        workers.wait_ready()
        for n in (7, 8):
            wave = submit_wave(flows["steps"], date=f"2026-06-01T0{n}", entities=ENTITIES, runtime=runtime)
            wave.wait(40)
            assert wave.progress().count("finished") == wave.progress().total, wave.errors()
        assert wave.result("windowed", "place7") == 2 * len("place7")
        assert wave.result("levelled", "place7") == pytest.approx(
            sum(len(name) / 2 for name, f in ENTITIES.items() if f["country"] == "c1")
        )
    for node in nodes:  # each of them holds some
        with node.client() as client:
            assert client.dbsize() > 10
    assert not list(runtime.client.scan_iter("main/*"))
    checks = [finding for finding in examine(runtime) if finding.check.startswith("store version")]
    assert [finding.level for finding in checks] == ["OK"] * 3


def test_a_cluster_that_loses_a_master_fails_its_entities_alone_and_says_why(redis_url, witness, flows, at):
    with cluster() as nodes:
        for node in nodes:
            with node.client() as client:
                client.config_set("cluster-require-full-coverage", "no")
        store_url = f"redis+cluster://127.0.0.1:{nodes[0].port}"
        runtime = at(redis_url, store_url)
        with working(redis_url, store_url, witness) as workers:
            workers.wait_ready()
            submit_wave(flows["keys"], date="2026-06-01T07", entities=ENTITIES, runtime=runtime).wait(30)
            nodes[2].child.send(signal.SIGKILL)
            wave = submit_wave(flows["keys"], date="2026-06-01T08", entities=ENTITIES, runtime=runtime)
            wave.wait(60)
    assert statuses(wave, "keyed") == {"failed: error"}  # a shard's pipes travel together
    assert "the pipe store at redis+cluster://127.0.0.1" in next(iter(wave.errors("keyed")["keyed"].values()))


def test_a_full_pipe_store_fails_entities_with_a_text_and_the_wave_ends(redis_url, witness, flows, at):
    with BreakableRedis() as apart:
        runtime = at(redis_url, apart.url)
        with working(redis_url, apart.url, witness) as workers, apart.client() as client:
            workers.wait_ready()
            client.config_set("maxmemory", 1)
            wave = submit_wave(flows["keys"], date="2026-06-01T07", entities=ENTITIES, runtime=runtime)
            wave.wait(20)
            assert statuses(wave, "keyed") == {"failed: error"}
            assert statuses(wave, "again") == {"skipped: missing input"}
            text = wave.errors("keyed")["keyed"]["place7"]
            assert "the pipe store at redis://:***@127.0.0.1" in text
            assert "is full" in text
            assert "Raise its maxmemory, or shorten the tasks' ttl." in text
            client.config_set("maxmemory", 0)
            wave.retry().wait(20)
            assert statuses(wave, "again") == {"finished"}


def test_a_pipe_store_that_is_gone_fails_entities_and_the_wave_ends_and_a_retry_mends_it(
    redis_url, witness, flows, at
):
    with BreakableRedis({"appendonly": "yes"}) as apart:
        runtime = at(redis_url, apart.url)
        with working(redis_url, apart.url, witness) as workers:
            workers.wait_ready()
            apart.kill()
            started = time.monotonic()
            wave = submit_wave(flows["keys"], date="2026-06-01T07", entities=ENTITIES, runtime=runtime)
            wave.wait(90)
            assert time.monotonic() - started < 60  # the workers' patience once, not once a shard
            assert statuses(wave, "keyed") == {"failed: error"}
            assert "does not do what it is asked" in wave.errors("keyed")["keyed"]["place7"]
            assert wave.info().lost == 0
            apart.start()
            wave.retry().wait(20)
            assert statuses(wave, "again") == {"finished"}


def test_a_pipe_store_that_restarts_in_the_middle_of_a_wave_costs_no_entity(redis_url, witness, flows, at):
    with BreakableRedis({"appendonly": "yes"}) as apart:
        runtime = at(redis_url, apart.url)
        with working(redis_url, apart.url, witness) as workers:
            workers.wait_ready()
            wave = submit_wave(flows["steps"], date="2026-06-01T07", entities=ENTITIES, runtime=runtime)
            until(lambda: len(witness.read_text().splitlines()) >= 8)
            apart.kill()
            time.sleep(2)  # the outage
            apart.start()
            wave.wait(40)
            assert wave.progress().count("finished") == wave.progress().total, wave.errors()


def test_the_control_redis_may_not_be_a_cluster(cluster_url):
    with pytest.raises(UnreachableError, match="which can hold pipes and nothing else"):
        Runtime(Settings(redis_url=cluster_url)).check()


def test_a_cluster_that_is_gone_is_told_with_its_address():
    runtime = Runtime(Settings(redis_url="redis://x", store_url="redis+cluster://:secret@127.0.0.1:1"))
    with pytest.raises(StoreError, match=r"the pipe store at redis\+cluster://:\*\*\*@127\.0\.0\.1:1"):
        runtime.store.raw("x")
