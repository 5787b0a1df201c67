"""Options that commands about forecasts and models share, and how these write a metric."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any, TypeVar

import click

from forecasting.registry import STAGES, Registry

C = TypeVar("C", bound=Callable[..., Any])


def _option(*names: str, **options: Any) -> Callable[[C], C]:
    found: Callable[[C], C] = click.option(*names, **options)
    return found


name_argument: Callable[[C], C] = click.argument("name", metavar="PIPE")
partition_option = _option("--partition", metavar="PARTITION", help="Only this partition. [default: all]")
stage_option = _option(
    "--stage", type=click.Choice(STAGES), help="The stage. [default: PIPELINE_STAGE, else dev]"
)
why_option = _option("--why", metavar="TEXT", default="", help="The reason, for the history.")

observed_option = _option(
    "--observed", metavar="PIPE", help="The numeric pipe that is forecast. [default: what forecasts name]"
)

pass_registry = click.make_pass_decorator(Registry)


def written(value: float | None) -> str:
    """Write a metric, nothing where there is none."""
    return "" if value is None else f"{value:.4g}"
