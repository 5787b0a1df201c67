"""A real worker asks the ECS agent to protect its task while it runs something, and gives that up afterwards."""

from __future__ import annotations

from pathlib import Path

from pipeline import submit_wave
from pipeline.flows.discover import load_flows
from pipeline.local.processes import Workers
from pipeline.settings import Settings
from pipeline.waves.runtime import Runtime
from tests.support.ecs_agent import agent_running
from tests.support.servers import until

GRAPHS = str(Path(__file__).parent / "flows" / "graphs.py")
OPTIONS = ["-I", "pipeline.workers.readiness,ecs.control.protection"]


def test_a_worker_is_protected_from_its_first_message_until_it_has_been_idle(redis_url):
    runtime = Runtime(Settings(redis_url=redis_url, version="main", shard_size=10, shard_max=10))
    flow = load_flows([GRAPHS])["twelve"]
    with agent_running() as agent:
        env = {"ECS_AGENT_URI": agent.uri}
        with Workers(redis_url, flows=[GRAPHS], env=env, options=OPTIONS) as workers:
            workers.wait_ready()
            assert agent.enabled == [], "it runs nothing yet"
            entities = {f"shop{n:05}": {"city": "x"} for n in range(40)}
            wave = submit_wave(flow, date="2026-04-01T07", entities=entities, runtime=runtime).wait(60)
            assert wave.progress().count("finished") == wave.progress().total
            until(lambda: agent.enabled == [True, False], 20)


def test_a_worker_whose_agent_refuses_works_all_the_same(redis_url):
    runtime = Runtime(Settings(redis_url=redis_url, version="main"))
    flow = load_flows([GRAPHS])["twelve"]
    with agent_running() as agent:
        agent.answer = 403, {"error": {"Code": "AccessDeniedException", "Message": "no task IAM role"}}
        env = {"ECS_AGENT_URI": agent.uri}
        with Workers(redis_url, flows=[GRAPHS], env=env, options=OPTIONS) as workers:
            workers.wait_ready()
            entities = {f"shop{n:05}": {"city": "x"} for n in range(40)}
            wave = submit_wave(flow, date="2026-04-01T07", entities=entities, runtime=runtime).wait(60)
            assert wave.progress().count("finished") == wave.progress().total
            until(lambda: agent.enabled == [True], 10)
