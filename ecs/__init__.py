"""celery-waves on Amazon ECS: deployment, autoscaling on the queues' depth, and a simulator of both.

    wave ecs --help     what most need

    simulate a load     Scenario of FlowModel (its Stages), TaskModel; Simulation of Arrivals under a Policy gives
                        an Outcome
    render a template   render
    errors              CloudError, DeployFailed, ServiceMissing

It uses the engine, and nothing of the engine knows of it.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from pipeline.lazy import public

if TYPE_CHECKING:
    from ecs.control.scaling import ServiceMissing
    from ecs.deployment.errors import CloudError, DeployFailed
    from ecs.simulator.outcome import Outcome
    from ecs.simulator.policies import Policy
    from ecs.simulator.scenario import FlowModel, Scenario, Stage, TaskModel
    from ecs.simulator.simulation import Arrival, Simulation
    from ecs.templates.environment import render
else:
    __getattr__, __dir__ = public(
        __name__,
        {
            "ecs.control.scaling": "ServiceMissing",
            "ecs.deployment.errors": "CloudError DeployFailed",
            "ecs.simulator.outcome": "Outcome",
            "ecs.simulator.policies": "Policy",
            "ecs.simulator.scenario": "FlowModel Scenario Stage TaskModel",
            "ecs.simulator.simulation": "Arrival Simulation",
            "ecs.templates.environment": "render",
        },
    )

__all__ = [
    "Arrival", "CloudError", "DeployFailed", "FlowModel", "Outcome", "Policy", "Scenario",
    "ServiceMissing", "Simulation", "Stage", "TaskModel", "render",
]  # fmt: skip
