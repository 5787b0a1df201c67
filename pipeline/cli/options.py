"""Options that many commands share. They hold before the command's name and after it."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, field
from typing import Any, TypeVar

import click

C = TypeVar("C", bound=Callable[..., Any])


@dataclass
class Chosen:
    """What was chosen on the command line for the whole command; kept as the context's object."""

    redis: str | None = None
    flows: list[str] = field(default_factory=list)


def together(*options: Callable[[Any], Any]) -> Callable[[C], C]:
    """Join options into one decorator; the help lists them in this order."""

    def add(command: C) -> C:
        for option in reversed(options):
            command = option(command)
        return command

    return add


def _take_redis(ctx: click.Context, _: click.Parameter, value: str | None) -> None:
    if value is not None:
        ctx.ensure_object(Chosen).redis = value


def _take_flows(ctx: click.Context, _: click.Parameter, value: tuple[str, ...]) -> None:
    ctx.ensure_object(Chosen).flows += [name for entry in value for name in entry.split(",") if name]


redis_option: Callable[[C], C] = click.option(
    "--redis",
    metavar="URL",
    expose_value=False,
    callback=_take_redis,
    help="Redis to use, instead of REDIS_URL.",
)

flows_option: Callable[[C], C] = click.option(
    "-F",
    "--flows",
    metavar="MODULE[:FLOW]",
    multiple=True,
    expose_value=False,
    callback=_take_flows,
    help="Module or file that holds flows, instead of PIPELINE_FLOWS. May be given more than once.",
)

json_option: Callable[[C], C] = click.option("--json", "as_json", is_flag=True, help="Write JSON.")

version_option: Callable[[C], C] = click.option(
    "--version",
    metavar="VERSION",
    help="The code's version. [default: PIPELINE_VERSION, else the git branch]",
)

base_option: Callable[[C], C] = click.option(
    "--base", metavar="VERSION", help="Version whose pipes are read where this one has none."
)

only_option: Callable[[C], C] = click.option(
    "--only", metavar="TASK", multiple=True, help="Run this task only. May be given more than once."
)

state_option: Callable[[C], C] = click.option(
    "--state", metavar="STATE", help="Run it over this state's entities. [default: the flow's state]"
)

kind_option: Callable[[C], C] = click.option(
    "--kind", "kind_name", help="xgboost, sklearn, callable or module:Class. [default: by the path]"
)


def number_option(default: int, what: str = "How many") -> Callable[[C], C]:
    """Build the option that says how many lines of a list are shown."""
    found: Callable[[C], C] = click.option(
        "-n", "--number", metavar="N", default=default, show_default=True, help=f"{what}; 0 for all."
    )
    return found
