"""`wave model`, and its commands that look: ls, show, history."""

from __future__ import annotations

from dataclasses import asdict, replace
from typing import Any

import click

from forecasting.cli.decisions import promote, prune, publish, rollback
from forecasting.cli.options import (
    name_argument,
    partition_option,
    pass_registry,
    stage_option,
    written,
)
from forecasting.errors import ModelError
from forecasting.registry import STAGES, Event, ModelSettings, Registry
from forecasting.registry.lookup import partitions_of
from pipeline.cli.options import json_option, number_option
from pipeline.cli.output import table, write_json
from pipeline.cli.serving import split
from pipeline.cli.waiting import counted
from pipeline.formatting import plural

SOME_EVENTS = 20


@click.group()
@click.option("--models", metavar="PLACE", help="Folder or s3://bucket/prefix, instead of PIPELINE_MODELS.")
@click.pass_context
def model(ctx: click.Context, models: str | None) -> None:
    """Show, promote and roll back trained models.

    A model belongs to a PIPE and a partition of its state. Each version of it can be live at each of the stages dev,
    test and prod; workers of a stage forecast with what is live there, and take up a change within seconds.
    """
    settings = ModelSettings.from_env()
    # A person wants to know what holds now, not what held some seconds ago.
    settings = replace(settings, root=models or settings.root, refresh=1e-9)
    ctx.obj = Registry(settings.root, settings)


@model.command()
@click.argument("name", required=False, metavar="[PIPE]")
@json_option
@pass_registry
def ls(registry: Registry, name: str | None, as_json: bool) -> None:
    """List the models, and what is live.

    The errors are those of the version that is live at PIPELINE_STAGE.
    """
    names = registry.names()
    if name is not None:
        names = {name: partitions_of(registry, name, None)}
    each = [(key, partition) for key, partitions in names.items() for partition in partitions]
    found = [_line(registry, key, partition) for key, partition in counted(each, "models")]
    if as_json:
        write_json(found)
    elif not found:
        click.echo(f"no models in {registry.files.place}")
    else:
        head = ["pipe", "partition", "versions", *STAGES, "data until", "error", "naive"]
        rows = [[*(row[key] for key in head[:6]), *_live_facts(row)] for row in found]
        table(head, rows, right=["versions", "error", "naive"])
        click.echo(f"\nerrors are those of what is live at {registry.settings.stage}")


def _line(registry: Registry, name: str, partition: str) -> dict[str, Any]:
    live = {stage: registry.newest(name, partition, stage).live for stage in STAGES}
    own = live[registry.settings.stage]
    try:
        manifest = None if own is None else registry.manifest(name, partition, own)
        damage = None
    except ModelError as error:
        manifest, damage = None, str(error)
    return {
        "pipe": name,
        "partition": partition,
        "versions": len(registry.versions(name, partition)),
        **live,
        "last": manifest and manifest.last,
        "metrics": {} if manifest is None else dict(manifest.metrics),
        "damage": damage,
    }


def _live_facts(row: dict[str, Any]) -> list[str]:
    if row["damage"]:
        return ["damaged", "", ""]
    return [row["last"] or "", *(written(row["metrics"].get(key)) for key in ("mae", "naive_mae"))]


@model.command()
@name_argument
@partition_option
@click.option("--version", metavar="VERSION", help="The version. [default: what is live at the stage]")
@stage_option
@json_option
@pass_registry
def show(
    registry: Registry,
    name: str,
    partition: str | None,
    version: str | None,
    stage: str | None,
    as_json: bool,
) -> None:
    """Show what is known of a version.

    Its data, its errors, where it is live, and what the gate of each stage says of it.
    """
    partitions = counted(partitions_of(registry, name, partition), "models")
    found = [_known(registry, name, p, version, stage) for p in partitions]
    if as_json:
        write_json(found)
        return
    for number, known in enumerate(found):
        click.echo("\n" * bool(number) + f"{known['name']} of {known['partition']}: {known['version']}")
        for key, value in _facts(known).items():
            if value:
                click.echo(f"  {key:<12}  {value}")


def _known(
    registry: Registry, name: str, partition: str, version: str | None, stage: str | None
) -> dict[str, Any]:
    manifest = registry.manifest(name, partition, version or registry.live(name, partition, stage))
    live = {s: registry.newest(name, partition, s).live for s in STAGES}
    gates = {s: registry.judge(manifest, live[s], s) for s in STAGES if live[s] != manifest.version}
    try:
        registry.check(name, partition, manifest.version)
        damage = None
    except ModelError as error:
        damage = str(error)
    return asdict(manifest) | {
        "live_at": [s for s in STAGES if live[s] == manifest.version],
        "gates": {s: asdict(decision) for s, decision in gates.items()},
        "place": registry.place(name, partition, manifest.version),
        "damage": damage,
    }


def _facts(known: dict[str, Any]) -> dict[str, str]:
    metrics = known["metrics"]
    gates = {
        f"gate of {stage}": f"{'passes' if gate['passed'] else 'refused'}: {gate['text']}"
        for stage, gate in known["gates"].items()
    }
    return {
        "live at": ", ".join(known["live_at"]),
        "damage": known["damage"] or "",
        "data": f"{known['first']} to {known['last']}, {plural(known['entities'], 'entity', 'entities')}",
        "errors": ", ".join(f"{key} {written(value)}" for key, value in metrics.items()),
        "against": known["against"] or "",
        "kind": known["kind"],
        "features": plural(len(known["features"]), "feature") if known["features"] else "",
        "code": known["code"],
        "made": known["made"],
        "place": known["place"],
        **gates,
    }


@model.command()
@name_argument
@partition_option
@stage_option
@number_option(SOME_EVENTS)
@json_option
@pass_registry
def history(
    registry: Registry, name: str, partition: str | None, stage: str | None, number: int, as_json: bool
) -> None:
    """Show promotions, rollbacks and refusals.

    When, from what, by whom and why, the newest first.
    """
    stage = stage or registry.settings.stage
    partitions = counted(partitions_of(registry, name, partition), "models")
    found = [(p, e) for p in partitions for e in registry.history(name, p, stage)]
    found.sort(key=lambda item: (item[1].at, item[1].number), reverse=True)
    shown = found[: number or None]
    if as_json:
        write_json([{"partition": p, "stage": stage} | asdict(event) for p, event in shown])
        return
    if not found:
        click.echo(f"nothing was decided about {name} at {stage}")
        return
    head = ["at", "partition", "", "version", "from", "error", "naive", "by", "why"]
    table(head, [_event_line(p, event) for p, event in shown], right=["error", "naive"])
    if len(found) > len(shown):
        click.echo(f"and {plural(len(found) - len(shown), 'older one')}: -n 0 lists all")


def _event_line(partition: str, event: Event) -> list[str | None]:
    forced = f" by force ({event.text})" if event.forced else ""
    why = event.text if event.kind == "refused" else f"{event.why}{forced}".strip()
    errors = [written(event.metrics.get(key)) for key in ("mae", "naive_mae")]
    at = event.at.replace("T", " ").removesuffix("+00:00")
    return [at, partition, event.kind, event.version, event.before, *errors, event.by, why]


for command in (promote, rollback, prune, publish):
    model.add_command(command)
model.add_command(split)
