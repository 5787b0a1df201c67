"""The services of an environment that is there: what runs, how many tasks, and one more task that runs a command."""

from __future__ import annotations

import time
from collections.abc import Mapping, Sequence
from typing import Any

from ecs.deployment.errors import CloudError, telling
from ecs.deployment.stacks import Stacks
from ecs.templates.naming import Place
from pipeline.errors import SettingsError, listed, near

PAGE = 10  # services that one DescribeServices takes
PAUSE = 3.0  # seconds between two looks at a task


def scale(clients: Any, place: Place, role: str, count: int) -> None:
    """Set how many tasks a role has; autoscaling goes on from there. Raises SettingsError for an unknown role."""
    cluster, service = cluster_and_service(clients, place, role)
    with telling(f"scaling {service}"):
        clients("ecs").update_service(cluster=cluster, service=service, desiredCount=count)


def services(clients: Any, place: Place) -> dict[str, Mapping[str, Any]]:
    """Describe the services that an environment has, by their roles. Raises CloudError."""
    cluster, ecs = cluster_of(clients, place), clients("ecs")
    with telling(f"looking at {cluster}"):
        pages = ecs.get_paginator("list_services").paginate(cluster=cluster)
        arns = [arn for page in pages for arn in page["serviceArns"]]
        found = [
            one
            for start in range(0, len(arns), PAGE)
            for one in ecs.describe_services(cluster=cluster, services=arns[start : start + PAGE])["services"]
        ]
    active = (one for one in found if one["status"] == "ACTIVE")
    own = {one["serviceName"].removeprefix(f"{place.stack}-"): one for one in active}
    return dict(sorted(own.items()))


def cluster_of(clients: Any, place: Place) -> str:
    """Return the name of an environment's cluster. Raises CloudError."""
    return Stacks(clients("cloudformation")).output(place.stack, "Cluster")


def cluster_and_service(clients: Any, place: Place, role: str) -> tuple[str, str]:
    """Return the names of an environment's cluster and of a role's service. Raises SettingsError and CloudError."""
    known = services(clients, place)
    if role not in known:
        raise SettingsError(
            f"{place.stack} has no role {role!r}.{near(role, known)} There are {listed(known) or 'none'}."
        )
    return cluster_of(clients, place), known[role]["serviceName"]


def run_once(clients: Any, place: Place, words: Sequence[str], limit: float = 900) -> None:
    """Run a `wave` command as a task of the environment, where Redis can be reached, and wait. Raises CloudError."""
    cluster, service = cluster_and_service(clients, place, "control")
    ecs, said = clients("ecs"), f"wave {' '.join(words)}"
    with telling(f"running {said}"):
        found = ecs.describe_services(cluster=cluster, services=[service])["services"][0]
        answer = ecs.run_task(
            cluster=cluster,
            taskDefinition=found["taskDefinition"],
            launchType="FARGATE",
            networkConfiguration=found["networkConfiguration"],
            overrides={"containerOverrides": [{"name": "control", "command": list(words)}]},
        )
        if not answer["tasks"]:
            raise CloudError(f"ECS starts no task for {said}: {answer['failures']}")
        arn = answer["tasks"][0]["taskArn"]
        ended = _ended(ecs, cluster, arn, limit)
    code = ended["containers"][0].get("exitCode")
    if code != 0:
        raise CloudError(
            f"{said} ended with {code}: {ended.get('stoppedReason', '')} See: wave ecs logs control"
        )


def _ended(ecs: Any, cluster: str, arn: str, limit: float) -> Mapping[str, Any]:
    """Wait until a task has stopped. Raises CloudError where it goes on for longer."""
    until = time.monotonic() + limit
    while True:
        (task,) = ecs.describe_tasks(cluster=cluster, tasks=[arn])["tasks"]
        if task["lastStatus"] == "STOPPED":
            return dict(task)
        if time.monotonic() > until:
            raise CloudError(
                f"the task {arn} still runs after {limit:g} s and goes on. See: wave ecs logs control"
            )
        time.sleep(PAUSE)
