"""Alerts without Prometheus: a real Redis, a real webhook, an SNS topic."""

from __future__ import annotations

import json
import threading
import time
from datetime import UTC, datetime, timedelta
from pathlib import Path

import boto3
import pytest

from pipeline import Flow, State, submit_wave, task
from pipeline.flows.cron import due_hour
from pipeline.flows.pipe import floor
from pipeline.local.processes import celery_command, worker_env
from pipeline.local.supervise import Processes
from pipeline.monitoring.alert_channels import Webhook, channels
from pipeline.monitoring.alert_delivery import KEY, TURN, Teller, Watch, look
from pipeline.monitoring.alert_rules import Bounds
from pipeline.settings import Settings
from pipeline.waves.first_seen import first_seen
from pipeline.waves.runtime import Runtime
from tests.support.aws import REGION, aws
from tests.support.breakable_redis import BreakableRedis
from tests.support.hooks import Hook, hook
from tests.support.servers import until

OVERDUE = str(Path(__file__).parents[1] / "prometheus" / "flows" / "overdue.py")
NEW, OVER = ("new", "late", "main/hourly"), ("resolved", "late", "main/hourly")


@task
def single(entity: str) -> int:
    return 1


@pytest.fixture
def hourly() -> Flow:
    """A flow that was due half an hour before the test begins, and has not started."""
    due = datetime.now(UTC) - timedelta(minutes=30)
    return Flow("hourly", [single], state=State("nobody", source=list), schedule=f"{due.minute} * * * *")


@pytest.fixture
def runtime(redis_url):
    found = Runtime(Settings(redis_url=redis_url, version="main"))
    seen_long_ago(found)
    return found


def seen_long_ago(runtime: Runtime) -> None:
    """Let the flows be late by all of the half hour: else lateness counts from now, when they are first seen."""
    first_seen(runtime.client, [("main", name) for name in ("hourly", "overdue")], time.time() - 7200)


@pytest.fixture
def to():
    with hook() as found:
        yield found


def teller(runtime: Runtime, to: Hook, *flows: Flow) -> Teller:
    return Teller(runtime, flows, [Webhook(to.url, pauses=(0.01,))], Bounds())


def end_the_hour(runtime: Runtime, hourly: Flow) -> None:
    submit_wave(hourly, date=due_hour(hourly.schedule, datetime.now(UTC)), runtime=runtime)


def test_an_alert_is_told_once_when_it_begins_and_once_when_it_ends(runtime, to, hourly):
    looking = teller(runtime, to, hourly)
    assert [one.what for one in looking.look()] == ["late"]
    looking.look()
    assert to.told() == [NEW]
    end_the_hour(runtime, hourly)
    assert looking.look() == []
    looking.look()
    assert to.told() == [NEW, OVER]
    assert not runtime.client.exists(KEY, TURN)


def test_a_flow_is_late_from_when_it_was_first_seen_and_the_command_that_is_named_has_something_to_say(
    runtime, wave, hourly, tmp_path
):
    runtime.client.delete("seen:main/hourly")
    assert look(runtime, [hourly], Bounds())[0] == []
    time.sleep(1.1)
    (found,) = look(runtime, [hourly], Bounds(late=1.0))[0]
    assert found.text.startswith("main/hourly is late by 0 min: none has ended well yet. The wave of ")
    assert found.text.endswith(" has not started: `wave doctor` tells what is missing.")
    at = f"{due_hour(hourly.schedule, datetime.now(UTC)):%Y-%m-%dT%H}"
    unstarted = f"due, and not started: main/hourly {at}"
    level, text = doctored(wave, hourly, tmp_path)["schedules"]
    assert (level, text) == ("OK", f"{unstarted}; beat asks for them every minute")
    runtime.client.set("seen:main/hourly", int(time.time()) - 7200)
    assert doctored(wave, hourly, tmp_path)["schedules"] == ("WARN", unstarted)
    started = submit_wave(hourly, date=at, entities=["a"], runtime=runtime)
    runtime.client.delete("seen:main/hourly")
    runtime.client.hset(f"wave:{started.id}", "submitted", round((time.time() - 7200) * 1000))
    alone, _, digest = started.id.partition(" ")[2].partition(" ")
    (found,) = (one for one in look(runtime, [hourly], Bounds())[0] if one.what == "late")
    words = found.text.split("`")[1].split(" ")
    assert words == ["wave", "show", "main/hourly", alone, digest]
    assert started.id in wave(*words[1:]).stdout


def doctored(wave, flow: Flow, folder: Path) -> dict[str, tuple[str, str]]:
    """What the doctor says who knows the flow: check -> level, text."""
    file = folder / "hourly_flow.py"
    file.write_text(
        "from pipeline import Flow, State, task\n@task\ndef single(entity): return 1\n"
        f"hourly = Flow('hourly', [single], state=State('nobody', source=list), schedule={flow.schedule!r})\n"
    )
    found = json.loads(wave("doctor", "--json", "-F", str(file), code=1).stdout)
    return {one["check"]: (one["level"], one["text"]) for one in found}


def test_many_that_look_at_once_tell_once(runtime, to, hourly):
    def at_once() -> None:
        tellers = [teller(Runtime(runtime.settings), to, hourly) for _ in range(8)]
        threads = [threading.Thread(target=one.look) for one in tellers]
        for thread in threads:
            thread.start()
        for thread in threads:
            thread.join()

    at_once()
    assert to.told() == [NEW]
    end_the_hour(runtime, hourly)
    at_once()
    assert to.told() == [NEW, OVER]


def test_who_does_not_know_a_schedule_does_not_say_that_its_flow_is_well(runtime, to, hourly):
    teller(runtime, to, hourly).look()
    teller(runtime, to).look()
    assert to.told() == [NEW]


def test_what_a_webhook_does_not_take_is_told_at_the_next_look(runtime, to, hourly):
    looking = teller(runtime, to, hourly)
    to.answers = [500, 500]
    looking.look()
    assert to.told() == []
    looking.look()
    assert to.told() == [NEW]
    end_the_hour(runtime, hourly)
    to.answers = [500, 500]
    looking.look()
    assert to.told() == [NEW]
    looking.look()
    looking.look()
    assert to.told() == [NEW, OVER]


def test_incidents_are_told_while_there_were_many_in_the_last_minutes(runtime, to):
    named = Flow("named", [single], state=State("nobody"))
    wave = submit_wave(named, date=floor(datetime.now(UTC)), entities=["a"], runtime=runtime)
    now, looking = time.time(), teller(runtime, to)

    def lose(*minutes_ago: int) -> None:
        lines = [f"{round((now - 60 * n) * 1000)} lost 1 single 0" for n in minutes_ago]
        runtime.client.rpush(f"wave:{wave.id} incidents", *lines)

    lose(40, 30, 20, 16, 4, 3, 2, 1, 0)
    looking.look()
    assert to.told() == []
    lose(0)
    assert [one.about for one in looking.look() if one.what == "incidents"] == ["main/named"]
    assert to.told() == [("new", "incidents", "main/named")]
    runtime.client.delete(f"wave:{wave.id} incidents")
    looking.look()
    assert to.told()[1:] == [("resolved", "incidents", "main/named")]


def test_a_redis_that_is_gone_is_told_of_without_it(to):
    with BreakableRedis() as server:
        looking = teller(Runtime(Settings(redis_url=server.url, version="main"), patience=0.1), to)
        looking.look()
        server.kill()
        for _ in range(2):
            (found,) = looking.look()
        assert found.text.endswith(" does not answer (UnreachableError). Waves stand still until it does.")
        assert "***@127.0.0.1" in found.text
        assert [told[:2] for told in to.told()] == [("new", "redis")]
        server.start()
        looking.look()
    assert [told[:2] for told in to.told()] == [("new", "redis"), ("resolved", "redis")]


def test_a_thread_looks_until_it_is_stopped(runtime, to, hourly):
    watch = Watch(teller(runtime, to, hourly), every=0.05)
    watch.start()
    until(lambda: to.told() == [NEW])
    end_the_hour(runtime, hourly)
    until(lambda: to.told() == [NEW, OVER])
    watch.stop()


@pytest.mark.usefixtures("runtime")
def test_beat_tells_where_the_environment_says_to_whom(redis_url, to):
    env = worker_env(redis_url, [OVERDUE], "main") | {"PIPELINE_ALERT_WEBHOOK": to.url}
    with Processes(patience=5) as processes:
        processes.start("beat", celery_command("beat", "-l", "WARNING"), env)
        until(lambda: to.told() == [("new", "late", "main/overdue")], 40)


def test_a_topic_gets_a_message_for_each_with_attributes_to_filter_by(runtime, hourly):
    with aws():
        sns, sqs = (boto3.client(name, region_name=REGION) for name in ("sns", "sqs"))
        arn = sns.create_topic(Name="alerts")["TopicArn"]
        queue = sqs.create_queue(QueueName="critical")["QueueUrl"]
        place = sqs.get_queue_attributes(QueueUrl=queue, AttributeNames=["QueueArn"])["Attributes"]
        policy = {"FilterPolicy": json.dumps({"level": ["critical"]}), "RawMessageDelivery": "true"}
        sns.subscribe(TopicArn=arn, Protocol="sqs", Endpoint=place["QueueArn"], Attributes=policy)
        looking = Teller(runtime, [hourly], channels({"PIPELINE_ALERT_TOPIC": arn}), Bounds())
        looking.look()
        looking.look()
        end_the_hour(runtime, hourly)
        looking.look()
        got = sqs.receive_message(QueueUrl=queue, MaxNumberOfMessages=10).get("Messages", [])
        told = sorted(json.loads(message["Body"])["status"] for message in got)
        assert told == ["new", "resolved"]
        gone = channels({"PIPELINE_ALERT_TOPIC": arn.replace("alerts", "nothing")})
        assert gone[0].tell([]) == 0
        runtime.client.flushdb()
        seen_long_ago(runtime)
        Teller(runtime, [hourly], gone, Bounds()).look()
        assert b"[]" in runtime.client.hgetall(KEY)[b"critical late main/hourly"]


def test_the_command_says_what_is_wrong_tells_it_and_ends_by_the_level(wave, redis_url, to, monkeypatch):
    monkeypatch.setenv("PIPELINE_ALERT_WEBHOOK", to.url)
    monkeypatch.setenv("PIPELINE_FLOWS", "")
    assert wave("alert").stdout == "nothing is wrong\n"
    runtime = Runtime(Settings(redis_url=redis_url, version="main"))
    runtime.client.zadd("deadlines", {"main/x 2026-01-01T00|y|0": 1})
    (found,) = json.loads(wave("alert", "--quiet", "--json", code=2).stdout)
    assert (found["level"], found["what"]) == ("critical", "keeper")
    assert "no worker and no beat is there: waves will not end" in wave("alert", code=2).stdout
    assert to.told() == []  # it has not lasted
    said = wave("alert", "--every", "soon", code=2)
    assert (
        said.stderr
        == "wave: --every 'soon' is not a length of time. Write it like '90s', '5m', '2h' or '28d'.\n"
    )
    monkeypatch.setenv("PIPELINE_ALERT_LATE", "never")
    assert "PIPELINE_ALERT_LATE 'never' is not a length of time." in wave("alert", code=2).stderr
