"""The commands that change what is live, and which versions there are: `wave model promote|rollback|prune|publish`."""

from __future__ import annotations

import click

from forecasting.cli.options import (
    name_argument,
    partition_option,
    pass_registry,
    stage_option,
    why_option,
)
from forecasting.cli.verdicts import each, finish
from forecasting.errors import ModelError
from forecasting.registry import STAGES, Promotion, Registry
from forecasting.registry.live import Measurement
from forecasting.registry.lookup import partitions_of
from pipeline.cli.options import Chosen, json_option
from pipeline.cli.output import write_json
from pipeline.cli.session import Session, answering
from pipeline.cli.waiting import busy, counted
from pipeline.errors import listed
from pipeline.formatting import plural


@click.command()
@name_argument
@partition_option
@click.option(
    "--version",
    metavar="VERSION",
    help="The version. [default: what is live at the stage before; for dev, the newest]",
)
@stage_option
@why_option
@click.option(
    "--backtest",
    "backtest",
    metavar="WAVE",
    help="Judge by this backtest: the id of its wave, or its flow for the newest.",
)
@click.option("--force", is_flag=True, help="Go past the gate; the history notes it.")
@json_option
@pass_registry
def promote(
    registry: Registry,
    name: str,
    partition: str | None,
    version: str | None,
    stage: str | None,
    why: str,
    backtest: str | None,
    force: bool,
    as_json: bool,
) -> None:
    """Make a version live, if it passes the gate.

    Without --version it is what is live at the stage before: `wave model promote delay --stage prod` takes each
    partition's model from test to prod. The gate reads the errors that the training measured, or with --backtest
    those of a backtest's wave, for which the live model of PIPELINE_STAGE was the rival. The exit code is 1 if one was
    refused, or not published.
    """
    stage = stage or registry.settings.stage

    measured = (
        {}
        if backtest is None
        else _measured(Session(click.get_current_context().ensure_object(Chosen)), backtest)
    )

    def one(p: str) -> Promotion:
        chosen = version or _before(registry, name, p, stage)
        if backtest is not None and p not in measured:
            raise ModelError(f"the backtest {backtest} holds nothing of {p!r}. It has: {listed(measured)}.")
        return registry.promote(name, p, chosen, stage, why=why, force=force, measured=measured.get(p))

    finish(each(partitions_of(registry, name, partition), one), name, stage, as_json)


def _measured(session: Session, words: str) -> dict[str, Measurement]:
    """Read a backtest's wave: partition -> what it found."""
    # pandas and more, which the other commands do without.
    from forecasting.evaluation.backtest_waves import Measured, backtest_folds  # noqa: PLC0415

    with answering(session), busy("reading the backtest"):
        found = backtest_folds(session.wave(words.split()))
        return {partition: Measured.of(own) for partition, own in found.items()}


def _before(registry: Registry, name: str, partition: str, stage: str) -> str:
    """Return the version that comes to a stage next."""
    if stage == STAGES[0]:
        return registry.versions(name, partition)[-1]
    return registry.live(name, partition, STAGES[STAGES.index(stage) - 1])


@click.command()
@name_argument
@partition_option
@click.option("--all", "everywhere", is_flag=True, help="All partitions, where there are several.")
@stage_option
@why_option
@json_option
@pass_registry
def rollback(
    registry: Registry,
    name: str,
    partition: str | None,
    everywhere: bool,
    stage: str | None,
    why: str,
    as_json: bool,
) -> None:
    """Make the version live that was live before. Doing so again goes one further back."""
    stage = stage or registry.settings.stage
    partitions = partitions_of(registry, name, partition)
    if len(partitions) > 1 and not everywhere:
        raise click.UsageError(
            f"{name!r} has models of {plural(len(partitions), 'partition')}: give --partition, or --all."
        )
    outcomes = each(partitions, lambda p: registry.rollback(name, p, stage, why=why))
    finish(outcomes, name, stage, as_json)


@click.command()
@name_argument
@partition_option
@stage_option
@json_option
@pass_registry
def publish(registry: Registry, name: str, partition: str | None, stage: str | None, as_json: bool) -> None:
    """Publish once more what is live.

    It goes to the SNS topic of PIPELINE_MODELS_TOPIC.
    """
    stage = stage or registry.settings.stage
    outcomes = each(partitions_of(registry, name, partition), lambda p: registry.publish(name, p, stage))
    finish(outcomes, name, stage, as_json)


@click.command()
@name_argument
@partition_option
@click.option("--keep", metavar="N", type=click.IntRange(1), help="How many. [default: PIPELINE_MODELS_KEEP]")
@json_option
@pass_registry
def prune(registry: Registry, name: str, partition: str | None, keep: int | None, as_json: bool) -> None:
    """Remove old versions.

    The newest stay, and so do what is live at any stage and the version before that.
    """
    partitions = counted(partitions_of(registry, name, partition), "models")
    found = {p: registry.prune(name, p, keep) for p in partitions}
    if as_json:
        write_json(found)
        return
    for p, gone in found.items():
        left = len(registry.versions(name, p))
        click.echo(f"{name} of {p}: removed {plural(len(gone), 'version')}, {left} left")
