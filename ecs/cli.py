"""`wave ecs`: a group whose commands are loaded when they are used."""

from __future__ import annotations

import click

from pipeline.cli.group import CommandGroup

# name -> (where it is, what it does); in the order in which `wave ecs --help` shows them
COMMANDS = {
    "deploy": (
        "ecs.deployment.deploy_command:deploy",
        "Deploy an environment of a stage, for main or a branch.",
    ),
    "diff": ("ecs.deployment.deploy_command:diff", "Print what a deployment would change."),
    "status": ("ecs.deployment.status_command:status", "Show stacks and services."),
    "logs": ("ecs.deployment.status_command:logs", "Print log lines."),
    "scale": ("ecs.deployment.status_command:scale", "Set how many tasks a role has."),
    "destroy": ("ecs.deployment.deploy_command:destroy", "Remove an environment with its keys in Redis."),
    "run": ("ecs.deployment.deploy_command:run", "Run a `wave` command once inside an environment."),
    "clean": ("ecs.deployment.deploy_command:clean", "Remove a version's keys from Redis."),
    "push": ("ecs.deployment.deploy_command:push", "Build the images and push them to ECR."),
    "template": ("ecs.deployment.deploy_command:template", "Print the CloudFormation templates."),
    "control": (
        "ecs.control.control_command:control",
        "Run the control service: metrics, deadlines, pre-scaling.",
    ),
    "simulate": (
        "ecs.simulator.simulate_command:simulate",
        "Report how many workers a load needs, and what that costs.",
    ),
}


@click.group(cls=CommandGroup, commands_at=COMMANDS)
def ecs() -> None:
    """Deploy to Amazon ECS, scale with the queues, and simulate both."""
