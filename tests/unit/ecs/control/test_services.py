"""Which services the control service is told of, and what it answers to a wrong list."""

from __future__ import annotations

import json

import pytest

from ecs.control.services import EXAMPLE, Cluster, Service, read_services
from pipeline.errors import SettingsError


def test_the_example_of_the_errors_can_be_read():
    assert read_services(EXAMPLE) == (Service("waves-compute", ("main.compute",), slots=2, most=50),)


def test_a_cluster_is_read_from_the_environment():
    assert Cluster.from_env({"ECS_CLUSTER": "dev", "ECS_SERVICES": EXAMPLE}).name == "dev"
    with pytest.raises(SettingsError, match=r"ECS_CLUSTER is not set\. Set it to the cluster"):
        Cluster.from_env({"ECS_SERVICES": EXAMPLE})


def listed(**fields: object) -> str:
    return json.dumps([{"name": "a", "queues": ["main.compute"], **fields}])


@pytest.mark.parametrize(
    ("text", "said"),
    [
        ("[", "ECS_SERVICES is not JSON"),
        ("", "ECS_SERVICES is not JSON"),
        ("{}", "ECS_SERVICES holds no list of services"),
        ("[]", "ECS_SERVICES holds no list of services"),
        ("[3]", "3 is not a service. Each needs a name and queues"),
        ('[{"name": "a"}]', "is not a service. Each needs a name and queues"),
        (listed(slot=2), "service 'a' has no field 'slot'. Did you mean 'slots'?"),
        (listed(slots="2"), "service 'a': slots='2' must be a whole number"),
        (listed(slots=True), "slots=True must be a whole number"),
        (listed(goal=0), "goal=0 must be a number above zero"),
        (listed(scale_in=1), "scale_in=1 must be true or false"),
        (listed(queues="main.compute"), "queues='main.compute' must be a list of texts"),
        (listed(most=0), "least=0, most=0, slots=1. It must hold that 0 <= least <= most"),
        (listed(least=20), "least=20, most=10"),
        (listed(slots=0), "slots=0"),
        (listed()[:-1] + "," + listed()[1:], "names a service twice: a, a"),
    ],
)
def test_a_wrong_list_says_what_is_wrong(text, said):
    with pytest.raises(SettingsError) as error:
        read_services(text)
    assert said in str(error.value)


def test_tasks_are_asked_for_the_earlier_the_more_they_are():
    service = Service("a", ("main.compute",), slots=2, most=1000, startup=60.0, launch=5.0)
    assert service.lead(20) == 60.0 + 20.0 + 2.0
    assert service.lead(2000) == service.lead(1_000_000) == 60.0 + 20.0 + 200.0
