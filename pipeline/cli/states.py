"""`wave state ls|show|add|rm`."""

from __future__ import annotations

import click

from pipeline.cli.options import json_option, number_option
from pipeline.cli.output import table, write_json
from pipeline.cli.run import features_of
from pipeline.cli.session import Session, with_session
from pipeline.flows.state import State
from pipeline.formatting import plural
from pipeline.states import Registry

SOME_ENTITIES = 50

state_argument = click.argument("name", metavar="STATE")


@click.group()
def state() -> None:
    """Show and change the entities of states.

    How a state is partitioned stands in the flow that declares it: name its module by -F or PIPELINE_FLOWS.
    """


def _registry(session: Session, name: str, new: bool = False) -> Registry:
    """Return a state's registry; a `new` one may be unknown as yet. Raises UnknownName."""
    found = session.states.get(name, State(name)) if new else session.state(name)
    return session.runtime.states.bind(found)


@state.command()
@json_option
@with_session
def ls(session: Session, as_json: bool) -> None:
    """List the states with how many entities they hold."""
    states, declared = session.runtime.states, session.states
    names = sorted({*states.names(), *declared})
    found = {name: len(states.bind(declared.get(name, State(name)))) for name in names}
    if as_json:
        write_json(found)
    elif found:
        rows = [
            [n, f"{count:,}", declared[n].partition_by if n in declared else None]
            for n, count in found.items()
        ]
        table(["state", "entities", "partitioned by"], rows, right=["entities"])
    else:
        click.echo("no states: no flow here declares one, and Redis holds none")


@state.command()
@state_argument
@click.option("--partition", metavar="PARTITION", help="Entities of this partition only.")
@number_option(SOME_ENTITIES, "How many entities")
@json_option
@with_session
def show(session: Session, name: str, partition: str | None, number: int, as_json: bool) -> None:
    """Show the partitions of STATE, and its entities with their features."""
    registry = _registry(session, name)
    groups = [g for g in registry.snapshot() if partition in (None, g[0])]
    registry.left_out.take(session.runtime.states.left_out(name))
    for line in registry.left_out.lines():
        click.echo(f"wave: left out: {line}", err=True)
    if as_json:
        write_json({p: {key: features.get(key, {}) for key in keys} for p, keys, features in groups})
        return
    total = sum(len(keys) for _, keys, _ in groups)
    click.echo(f"{name}: {plural(total, 'entity', 'entities')} in {plural(len(groups), 'partition')}")
    if not total:
        return
    table(["partition", "entities"], [[p, f"{len(keys):,}"] for p, keys, _ in groups], right=["entities"])
    click.echo()
    rows = [
        [key, p, " ".join(f"{name}={value}" for name, value in features.get(key, {}).items())]
        for p, keys, features in groups
        for key in keys
    ]
    table(["entity", "partition", "features"], rows[: number or None])
    if number and total > number:
        click.echo(f"and {plural(total - number, 'entity', 'entities')} more: -n 0 shows all")


@state.command()
@state_argument
@click.argument("key")
@click.argument("features", nargs=-1, metavar="[NAME=VALUE]...")
@click.option("--new", is_flag=True, help="STATE may be one that neither a flow here nor Redis knows yet.")
@json_option
@with_session
def add(session: Session, name: str, key: str, features: tuple[str, ...], new: bool, as_json: bool) -> None:
    """Add the entity KEY to STATE, with features; it joins the next wave."""
    registry = _registry(session, name, new)
    known = key in registry
    registry.add(key, **features_of(features))
    if as_json:
        write_json({"state": name, "entity": key, "new": not known, "entities": len(registry)})
        return
    click.echo(
        f"{name}: {'has seen' if known else 'added'} {key}; {plural(len(registry), 'entity', 'entities')} now"
    )


@state.command()
@state_argument
@click.argument("keys", nargs=-1, required=True, metavar="KEY...")
@json_option
@with_session
def rm(session: Session, name: str, keys: tuple[str, ...], as_json: bool) -> None:
    """Take entities out of STATE; their pipes stay."""
    registry = _registry(session, name)
    for key in keys:
        registry.features(key)  # names the near ones where there is none
    removed = registry.remove(*keys)
    if as_json:
        write_json({"state": name, "removed": removed, "entities": len(registry)})
    else:
        click.echo(f"{name}: removed {plural(removed, 'entity', 'entities')}; {len(registry):,} left")
