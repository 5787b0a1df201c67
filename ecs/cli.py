"""`wave ecs`: a group whose commands are loaded when they are used."""

from __future__ import annotations

import click

from pipeline.cli.group import CommandGroup

# name -> (where it is, what it does); in the order in which `wave ecs --help` shows them
COMMANDS = {
    "control": ("ecs.control:control", "Run the control service: metrics, deadlines, pre-scaling."),
    "simulate": ("ecs.simulate_command:simulate", "Say how many workers a load needs, and what that costs."),
}


@click.group(cls=CommandGroup, commands_at=COMMANDS)
def ecs() -> None:
    """Deploy to Amazon ECS, scale with the queues, and simulate both."""
