"""The control service, on a real Redis and a server that speaks ECS and CloudWatch over HTTP."""

from __future__ import annotations

import json
import os
import signal
import subprocess
import sys
import threading
from collections.abc import Callable, Iterator
from datetime import UTC, datetime, timedelta
from itertools import count

import boto3
import pytest
from botocore.config import Config
from click.testing import CliRunner

from ecs.cli import ecs
from ecs.control.controller import LEADER, Controller
from ecs.control.scaling import NAMESPACE, Aws, ServiceMissing
from ecs.control.services import Cluster, Service
from pipeline import Flow, State, Wave, submit_wave, task
from pipeline.settings import Settings
from pipeline.waves.presence import present
from pipeline.waves.runtime import Runtime
from pipeline.workers.heartbeat import Heartbeat, check_age
from tests.support.aws import aws
from tests.support.servers import until

_clusters = count()
SERVICE = "waves-compute"
COSTS = "costs:main/routes"


@task(queue="compute")
def first(entity):
    return 1


@task(queue="compute")
def second(first):
    return first + 1


FLOW = Flow("routes", [first, second], state=State("routes"), expiry="1h")


def hourly(minute: int) -> Flow:
    return Flow("routes", [first, second], state=State("routes"), schedule=f"{minute} * * * *")


@pytest.fixture(scope="module", autouse=True)
def server() -> Iterator[str]:
    with aws() as address:
        yield address


@pytest.fixture
def cluster() -> Cluster:
    """A cluster of one service, without tasks."""
    name, client = f"waves-{next(_clusters)}", boto3.client("ecs")
    client.create_cluster(clusterName=name)
    image = {"name": "worker", "image": "worker", "memory": 128}
    client.register_task_definition(family=SERVICE, containerDefinitions=[image])
    client.create_service(cluster=name, serviceName=SERVICE, taskDefinition=SERVICE, desiredCount=0)
    return Cluster(name, (Service(SERVICE, ("main.compute",), slots=2, most=40, goal=120.0, startup=30.0),))


@pytest.fixture
def runtime(redis_url) -> Runtime:
    return Runtime(Settings(redis_url=redis_url, version="main", shard_size=20, shard_max=20))


def controller(runtime: Runtime, cluster: Cluster, flows=(), **options) -> Controller:
    return Controller(runtime, cluster, Aws.of(cluster.name), flows, **options)


def desired(cluster: Cluster) -> int:
    return Aws.of(cluster.name).counts([SERVICE])[SERVICE].desired


def submit(runtime: Runtime, entities: int = 1000) -> Wave:
    """Submit a wave of two tasks that took 0.5 s and 0.1 s an entity."""
    runtime.client.hset(COSTS, mapping={"first": "50.0 100.0", "second": "10.0 100.0"})
    names = {f"route{n:04}": {} for n in range(entities)}
    return submit_wave(FLOW, date="2026-05-01T07", entities=names, runtime=runtime)


def remember_routes(runtime: Runtime) -> None:
    """Let the state hold 1000 routes, and the two tasks have taken 0.5 s and 0.1 s an entity."""
    runtime.client.hset(COSTS, mapping={"first": "50.0 100.0", "second": "10.0 100.0"})
    runtime.states.bind(State("routes")).update({f"route{n:04}": {} for n in range(1000)})


def at_rest(time: str) -> Callable[[], float]:
    """A clock that shows one time (UTC)."""
    seconds = datetime.fromisoformat(time).replace(tzinfo=UTC).timestamp()
    return lambda: seconds


def published(cluster: Cluster) -> dict[str, float]:
    """The newest values of the service's metrics."""
    found = {}
    for metric in boto3.client("cloudwatch").list_metrics(Namespace=NAMESPACE)["Metrics"]:
        where = {pair["Name"]: pair["Value"] for pair in metric["Dimensions"]}
        if where.get("Cluster") == cluster.name:
            points = boto3.client("cloudwatch").get_metric_statistics(
                Namespace=NAMESPACE,
                MetricName=metric["MetricName"],
                Dimensions=metric["Dimensions"],
                StartTime=datetime.now(UTC) - timedelta(minutes=5),
                EndTime=datetime.now(UTC) + timedelta(minutes=5),
                Period=1,
                Statistics=["Maximum"],
            )["Datapoints"]
            newest = max(points, key=lambda point: point["Timestamp"])
            found[f"{metric['MetricName']} {where.get('Queue') or where['Service']}"] = newest["Maximum"]
    return found


def test_an_empty_cluster_stays_empty_and_says_so(runtime, cluster):
    (decision,) = controller(runtime, cluster).round()
    assert (decision.wanted, decision.count, desired(cluster)) == (0, 0, 0)
    assert published(cluster) == {
        "backlog_seconds main.compute": 0,
        f"backlog_seconds {SERVICE}": 0,
        f"planned_seconds {SERVICE}": 0,
        f"in_flight {SERVICE}": 0,
        f"backlog_per_task {SERVICE}": 0,
        f"tasks_wanted {SERVICE}": 0,
    }


def test_a_wave_gets_at_its_submission_the_tasks_that_end_it_in_time(runtime, cluster):
    submit(runtime)
    (decision,) = controller(runtime, cluster).round()
    # 600 s of work in 120 s, less 30 s of start, less 2.4 s for both tasks of a shard of 4: 7 slots, 2 of each task
    assert decision.wanted == desired(cluster) == 4
    values = published(cluster)
    assert values["backlog_seconds main.compute"] == pytest.approx(
        500.0
    )  # what is in the queue: the first task
    assert values[f"planned_seconds {SERVICE}"] == pytest.approx(100.0)
    assert values[f"backlog_per_task {SERVICE}"] == pytest.approx(600.0 / 4)


def test_a_second_round_and_a_second_control_change_nothing(runtime, cluster, monkeypatch):
    submit(runtime)
    one, other = controller(runtime, cluster), controller(runtime, cluster)
    one.round()
    calls = []
    monkeypatch.setattr(Aws, "set_desired", lambda *call: calls.append(call))
    one.round()
    assert other.round() is None, "the first one leads"
    one.leave()
    assert other.round() is not None
    assert calls == []


def test_another_leads_when_the_leader_is_silent(runtime, cluster):
    one, other = controller(runtime, cluster, every=10.0), controller(runtime, cluster, every=10.0)
    assert one.round() is not None
    assert other.round() is None
    key = LEADER.format(cluster=cluster.name)
    assert 0 < runtime.client.pttl(key) <= 30_000
    runtime.client.pexpire(key, 1)  # as if three rounds had passed
    until(lambda: other.round() is not None, 10)
    assert one.round() is None


def test_counts_are_raised_and_not_lowered(runtime, cluster):
    Aws.of(cluster.name).set_desired(SERVICE, 9)
    (decision,) = controller(runtime, cluster).round()
    assert (decision.wanted, desired(cluster)) == (0, 9)


def test_a_service_that_asks_for_it_is_scaled_in_after_a_while(runtime, cluster):
    name = cluster.name
    slow = Cluster(name, (Service(SERVICE, ("main.compute",), hold=1.0, scale_in=True),))
    Aws.of(name).set_desired(SERVICE, 9)
    found = controller(runtime, slow, every=0.2)
    found.round()
    assert desired(slow) == 9
    until(lambda: found.round() and desired(slow) == 0, 10)


@pytest.mark.parametrize(
    ("now", "due"),
    [
        ("2026-05-01T07:04:01", "2026-05-01T07:05"),
        ("2026-05-01T06:58:50", "2026-05-01T07:00"),
        ("2026-12-31T23:59:30", "2027-01-01T00:00"),
    ],
)
def test_tasks_are_there_before_a_scheduled_wave_is_due(runtime, cluster, now, due):
    remember_routes(runtime)
    due = datetime.fromisoformat(due)
    soon, later = hourly(due.minute), hourly((due.minute + 30) % 60)
    at = {"clock": at_rest(now)}
    (decision,) = controller(runtime, cluster, [later], **at).round()
    assert decision.wanted == 0
    found = controller(
        runtime,
        Cluster(cluster.name, (Service(SERVICE, ("main.compute",), goal=120.0, most=40),)),
        [soon],
        **at,
    )
    runtime.client.delete(LEADER.format(cluster=cluster.name))
    (decision,) = found.round()
    assert decision.wanted == desired(cluster) == 6  # 600 s of work in 120 s
    runtime.records.note_scheduled("main", "routes", f"{due:%Y-%m-%dT%H}")
    (decision,) = found.round()
    assert decision.wanted == 0, "it has started, and its own record tells of it"


def test_tasks_for_a_wave_that_is_due_and_has_not_started_are_late_by_their_start(runtime, cluster):
    remember_routes(runtime)
    service = Service(SERVICE, ("main.compute",), goal=120.0, startup=60.0, most=40)
    found = controller(
        runtime,
        Cluster(cluster.name, (service,)),
        [hourly(5)],
        clock=at_rest("2026-05-01T07:05:00"),
    )
    (decision,) = found.round()
    assert decision.wanted == 10  # 600 s of work in what is left of 120 s: 60 s


def test_a_service_that_is_not_there_is_named(runtime, cluster):
    gone = Cluster(cluster.name, (*cluster.services, Service("waves-gone", ("main.gone",))))
    with pytest.raises(
        ServiceMissing, match=f"cluster '{cluster.name}' has no active service waves-gone. Deploy it"
    ):
        controller(runtime, gone).round()


def test_metrics_are_published_though_ecs_refuses_a_count(runtime, cluster, monkeypatch):
    submit(runtime)

    def refuse(*_: object) -> None:
        raise RuntimeError("quota")

    monkeypatch.setattr(Aws, "set_desired", refuse)
    with pytest.raises(RuntimeError, match="quota"):
        controller(runtime, cluster).round()
    assert published(cluster)[f"tasks_wanted {SERVICE}"] == 4


def test_it_goes_on_after_an_outage_of_aws(runtime, cluster, caplog):
    once = {"endpoint_url": "http://127.0.0.1:1", "config": Config(retries={"max_attempts": 0})}
    broken = Aws(*(boto3.client(name, **once) for name in ("ecs", "cloudwatch")), cluster.name)
    found = Controller(runtime, cluster, broken, every=0.05)
    rounds: list[object] = []
    thread = threading.Thread(target=found.run, args=(rounds.append,))
    thread.start()
    try:
        until(lambda: caplog.text.count("no answer, trying again") > 1)
        assert thread.is_alive()
        assert not rounds
        found._aws = Aws.of(cluster.name)
        until(lambda: rounds, 20)
    finally:
        found.stop()
        thread.join(10)


def test_it_is_alive_while_aws_does_not_answer_and_not_while_a_round_hangs(runtime, cluster, tmp_path):
    beat = Heartbeat(tmp_path / "alive", every=0.05)
    found = Controller(runtime, cluster, Aws.of(cluster.name), every=0.4, heartbeat=beat)
    hanging, going_on = threading.Event(), threading.Event()

    def measure() -> None:
        if hanging.is_set():
            going_on.wait(20)
        raise ConnectionError("no answer")

    found.measure = measure
    thread = threading.Thread(target=found.run)
    thread.start()
    try:
        first = (tmp_path / "alive").stat().st_mtime_ns
        until(lambda: (tmp_path / "alive").stat().st_mtime_ns > first, 5)
        hanging.set()
        until(lambda: check_age(tmp_path / "alive") > 0.5, 10)
    finally:
        going_on.set()
        found.stop()
        thread.join(10)


def test_counts_of_many_services_are_asked_for_in_pages(cluster):
    client, names = boto3.client("ecs"), [f"s{n:02}" for n in range(12)]
    for name in names:
        client.create_service(cluster=cluster.name, serviceName=name, taskDefinition=SERVICE, desiredCount=1)
    found = Aws.of(cluster.name).counts(names)
    assert {name: one.desired for name, one in found.items()} == dict.fromkeys(names, 1)


def test_the_command_scales_and_ends_waves_and_stops_at_sigterm(redis_url, runtime, cluster, tmp_path):
    wave = submit(runtime)
    names = {"route": {}}
    short = submit_wave(FLOW, date="2026-05-01T08", entities=names, expiry="2s", runtime=runtime)
    services = [{"name": SERVICE, "queues": ["main.compute"], "slots": 2, "most": 40}]
    env = os.environ | {
        "REDIS_URL": redis_url,
        "PIPELINE_VERSION": "main",
        "ECS_CLUSTER": cluster.name,
        "ECS_SERVICES": json.dumps(services),
        "PIPELINE_HEARTBEAT": str(tmp_path / "alive"),
    }
    process = subprocess.Popen(
        [sys.executable, "-m", "ecs.control.control_command", "--every", "0.5"],
        env=env,
        stderr=subprocess.PIPE,
    )
    try:
        until(lambda: desired(cluster) > 0, 20)
        until(lambda: short.info().reason == "expired", 20)
        assert check_age(tmp_path / "alive") < 20
        assert wave.info().state == "open"
        assert [found.kind for found in present(runtime.client)] == ["keeper"]
        process.send_signal(signal.SIGTERM)
        assert process.wait(10) == 0
        assert not runtime.client.exists(LEADER.format(cluster=cluster.name))
    finally:
        process.kill()
        _, said = process.communicate()
    assert f"tasks: service='{SERVICE}' before=0".encode() in said


def test_one_round_shows_what_it_decided(redis_url, runtime, cluster, monkeypatch):
    monkeypatch.setenv(
        "ECS_SERVICES", json.dumps([{"name": SERVICE, "queues": ["main.compute"], "most": 40}])
    )
    monkeypatch.setenv("PIPELINE_VERSION", "main")
    submit(runtime)
    said = (
        CliRunner().invoke(ecs, ["control", "--redis", redis_url, "--cluster", cluster.name, "--once"]).output
    )
    head, line = said.splitlines()
    assert head.split() == [
        "service",
        "backlog",
        "messages",
        "in_flight",
        "planned",
        "desired",
        "running",
        "wanted",
        "count",
    ]
    assert line.split()[:5] == [SERVICE, "500.0", "250", "0", "100.0"]
