"""The stack of docker/compose.yml: it comes up, runs waves, and loses nothing when its containers come and go."""

from __future__ import annotations

import json

import pytest

from pipeline import Wave, submit_wave
from pipeline.flows.discover import load_flows
from tests.docker.conftest import BRANCH, DOCKERFILE, HERE, flows
from tests.docker.engine import BRANCH as BRANCH_FILE
from tests.docker.engine import ROOT, STACK, Container, Project, build, run, wait

SERVICES = {
    "redis", "worker-collect", "worker-compute", "worker-solo", "worker-native", "serve-worker", "beat", "web",
    "flower", "prometheus",
}  # fmt: skip
HOUR = "2026-01-01T12"
ENTITIES = [f"meter{n:04}" for n in range(1000)]  # 50 s of work, and more slots than one to do it

pytestmark = pytest.mark.timeout(300, func_only=True)  # what fixtures run has limits of its own


def every_container(stack: Project) -> list[tuple[str, Container]]:
    return [(name, one) for name, found in stack.services().items() for one in found]


def test_every_service_runs_and_is_healthy(stack):
    found = stack.services()
    assert set(found) == SERVICES
    assert {name: one.health for name, one in every_container(stack)} == dict.fromkeys(found, "healthy")


def test_no_container_can_write_has_rights_or_takes_more_than_its_share(stack):
    for name, container in every_container(stack):
        host = container.look()["HostConfig"]
        assert host["ReadonlyRootfs"], name
        assert host["CapDrop"] == ["ALL"], name
        assert "no-new-privileges:true" in host["SecurityOpt"], name
        assert host["Memory"] > 0, name
        assert host["NanoCpus"] > 0, name
        assert container.shell("id -u").stdout.strip() == "10001", name
        refused = container.shell("touch /opt/mark || touch /usr/mark || touch /app/mark")
        assert refused.returncode, name
        assert "Read-only file system" in refused.stderr, name


def test_a_wave_of_the_example_runs_its_program_in_c_in_its_own_image(stack):
    said = json.loads(stack.wave("submit", "tides", "--date", HOUR, "--wait", "--json"))
    assert said["state"] == "closed"
    assert said["tasks"] == {"level": {"finished": 8}, "smoothed": {"finished": 8}}
    smoothed = json.loads(stack.wave("pipe", "main", "smoothed", "hull", HOUR, "--json"))["value"]
    level = float(stack.wave("pipe", "main", "level", "hull", HOUR))
    assert smoothed["level"] == pytest.approx(level)  # the first hour that it sees
    generic = stack.containers("worker-compute")[0].shell("command -v smooth")
    assert generic.returncode  # only worker-native has it


def test_a_wave_of_the_demos_flow_runs_in_it(stack):
    said = json.loads(stack.wave("submit", "delays", "--date", "2013-06-25T13", "--json"))
    counted = Wave.find(said["wave"], stack.runtime()).wait(90).progress().tasks
    for task in ("departures", "weather", "waiting"):
        assert counted[task] == {"finished": 76}
    assert sum(counted["delay"].values()) == 76


def test_the_api_wants_a_token_and_a_model_answers_behind_it(stack):
    token = (stack.folder / "secrets" / "token").read_text()
    with stack.client("API_PORT") as client:
        assert client.get("/healthz").status_code == 200
        body = {"instances": [[1, 2, 6]]}
        assert client.post("/v1/models/mean:predict", json=body).status_code == 401
        client.headers["Authorization"] = f"Bearer {token}"
        answer = client.post("/v1/models/mean:predict", json=body)
        assert answer.json()["predictions"] == [3.0], answer.text
        page = client.get("/")
        assert page.status_code == 200
        assert "tides" in page.text


def test_flower_wants_a_password_and_shows_the_workers(stack):
    with stack.client("FLOWER_PORT") as client:
        assert client.get("/").status_code == 401
        user, _, password = stack.secret("FLOWER_BASIC_AUTH").partition(":")
        assert "celery@" in client.get("/workers", auth=(user, password), follow_redirects=True).text


def test_prometheus_scrapes_the_api_with_its_token(stack):
    with stack.client("PROMETHEUS_PORT") as client:

        def value(expression: str) -> float:
            found = client.get("/api/v1/query", params={"query": expression}).json()["data"]["result"]
            return max((float(series["value"][1]) for series in found), default=-1.0)

        wait(lambda: value('up{job="waves"}') == 1, "prometheus reaches the API", 60, stack.logs)
        wait(lambda: value("count(waves_ended_total)") > 0, "prometheus has counted waves", 60, stack.logs)
        rules = client.get("/api/v1/rules").json()["data"]["groups"]
    assert [rule["health"] for group in rules for rule in group["rules"]]


@pytest.fixture
def three(stack):
    """The stack with three workers that compute, in the middle of a wave."""
    stack.compose("up", "-d", "--no-build", "--no-recreate", "--scale", "worker-compute=3")
    stack.wait_healthy()
    return stack


def begin(stack: Project, date: str) -> Wave:
    """Submit a wave of some seconds, and wait until a third of it is done."""
    flow = load_flows([str(HERE / "flows" / "slow.py")])["slow"]
    runtime = stack.runtime(shard_size=20, shard_max=20)
    wave = submit_wave(flow, date, entities=ENTITIES, runtime=runtime)
    wait(
        lambda: wave.progress().tasks.get("worked", {}).get("finished", 0) >= len(ENTITIES) // 4,
        "a quarter of the wave is finished",
        60,
        stack.logs,
    )
    assert not wave.closed
    return wave


def check_complete(wave: Wave) -> None:
    counted = wave.wait(90).progress().tasks
    assert counted == {task: {"finished": len(ENTITIES)} for task in ("reading", "worked")}
    assert wave.result("worked", ENTITIES[-1]) == 18


def test_a_worker_that_is_stopped_in_the_middle_of_a_wave_ends_well_and_nothing_is_lost(three):
    wave = begin(three, "2026-01-02T00")
    one = three.containers("worker-compute")[0]
    assert one.stop() == 0
    assert not wave.closed
    check_complete(wave)
    assert wave.info().lost == 0
    assert wave.incidents() == []


def test_what_a_killed_worker_ran_is_run_by_others(three):
    wave = begin(three, "2026-01-02T01")
    victim = next(one for one in three.containers("worker-compute") if one.exit_code is None)
    three_left = len([one for one in three.containers("worker-compute") if one.exit_code is None]) - 1
    assert three_left >= 1
    run(["docker", "kill", victim.id])
    assert victim.exit_code == 137
    check_complete(wave)
    assert wave.info().lost > 0


def test_two_versions_run_side_by_side_and_compare_shows_both(stack, images):
    """Another branch: its own image, its own code, its own queues; the Redis of the first."""
    for target in ("worker", "native"):
        options = ["-f", DOCKERFILE, "--target", target, "--build-arg", f"VERSION={BRANCH}", str(ROOT)]
        build(f"celery-waves-{target}:{BRANCH}", *options)
    env = {
        **stack.env,
        "TAG": BRANCH,
        "VERSION": BRANCH,
        "STACK": stack.name,
        "FLOWS": str(flows(stack.folder / "branch", ROOT / "docker" / "flows", HERE / "branch")),
        "PIPELINE_FLOWS": "tides",
    }
    branch = Project(f"{stack.name}branch", stack.folder, env, (STACK, BRANCH_FILE))
    workers = ("worker-collect", "worker-compute", "worker-native")
    try:
        branch.compose("up", "-d", "--no-build", "--no-deps", *workers)
        branch.wait_healthy()
        for project in (stack, branch):
            said = json.loads(project.wave("submit", "tides", "--date", "2026-01-03T00", "--wait", "--json"))
            assert said["tasks"]["smoothed"] == {"finished": 8}
        words = ["level", "main", BRANCH, "--from", "2026-01-03T00", "--to", "2026-01-03T00"]
        for project in (stack, branch):
            shown = project.wave("compare", *words)
            assert "main" in shown
            assert BRANCH in shown
        found = json.loads(stack.wave("compare", *words, "--json"))
        print(json.dumps(found)[:600])
    finally:
        branch.compose("down", "-t", "20")
    assert branch.containers() == []
    wait(lambda: _version_gone(stack), "the branch's workers are gone", 60, stack.logs)
    after = json.loads(stack.wave("submit", "tides", "--date", "2026-01-03T01", "--wait", "--json"))
    assert after["tasks"]["smoothed"] == {"finished": 8}


def _version_gone(stack: Project) -> bool:
    return BRANCH.encode() not in b"".join(stack.runtime().client.zrange("present", 0, -1))


def test_every_container_ends_well_when_it_is_told_to(stack):
    """Last: nothing runs afterwards."""
    stack.compose("stop", limit=300)
    codes = {name: one.exit_code for name, one in every_container(stack) if one.exit_code != 137}
    assert codes == dict.fromkeys(codes, 0)
    assert set(codes) >= SERVICES
