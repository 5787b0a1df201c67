"""`wave serving`: what is served, and who gets which traffic."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import asdict
from typing import Any

import click

from pipeline.cli.group import CommandGroup
from pipeline.cli.options import json_option, kind_option, version_option
from pipeline.cli.output import table, write_json
from pipeline.cli.serve import added
from pipeline.cli.session import Session, with_redis
from pipeline.flows.pipe import check_version
from pipeline.formatting import length
from pipeline.serving.catalogue import Catalogue, Entry
from pipeline.serving.names import Place
from pipeline.serving.status_board import View, look
from pipeline.serving.version_results import VersionResults, read

COMMANDS = {
    "ls": ("pipeline.cli.serving:ls", "List the models that are served, their versions and workers."),
    "add": ("pipeline.cli.serving:add", "Add a version of a model."),
    "promote": (
        "pipeline.cli.serving:promote",
        "Make a version live: workers change over, no request is lost.",
    ),
    "rollback": ("pipeline.cli.serving:rollback", "End a split, else go back to the version before."),
    "split": (
        "pipeline.cli.serving:split",
        "Share the traffic out between versions, and copy it to shadows.",
    ),
    "results": ("pipeline.cli.serving:results", "Show what each version did."),
    "remove": ("pipeline.cli.serving:remove", "Stop serving a model."),
    "token": ("pipeline.cli.serving:token", "Make a token for the HTTP API."),
}


@click.group(cls=CommandGroup, commands_at=COMMANDS)
def serving() -> None:
    """Show served models, and change who gets which traffic."""


def _catalogue(session: Session, version: str | None) -> Catalogue:
    return Catalogue(session.runtime.client, _code(session, version))


def _code(session: Session, version: str | None) -> str:
    return check_version(version or session.settings.any_version())


def _tell(entry: Entry, as_json: bool) -> None:
    """Report how a model's traffic is shared out."""
    if as_json:
        write_json(asdict(entry))
        return
    left = 1 - sum(entry.weights.values())
    parts = [
        f"{entry.live} {left:.0%}",
        *(f"{name} {part:.0%}" for name, part in sorted(entry.weights.items())),
    ]
    shadows = [f"{name} {part:.0%}" for name, part in sorted(entry.shadow.items())]
    click.echo(f"{entry.name}: {', '.join(parts)}{'; shadow ' if shadows else ''}{', '.join(shadows)}")


@click.command()
@json_option
@version_option
@with_redis
def ls(session: Session, as_json: bool, version: str | None) -> None:
    """List the models that are served, their versions and workers."""
    views = look(session.runtime.client, _code(session, version))
    if as_json:
        write_json(
            {name: {**asdict(view.entry), "workers": len(view.workers)} for name, view in views.items()}
        )
    elif not views:
        click.echo("no model is served. Add one: wave serve-worker NAME --path PATH")
    else:
        head = ("model", "version", "share", "workers", "slots", "busy", "a call", "state")
        table(
            head,
            [row for view in views.values() for row in _rows(view)],
            ("share", "workers", "slots", "busy"),
        )


def _rows(view: View) -> list[tuple[Any, ...]]:
    entry, found = view.entry, []
    for version in entry.needed:
        able = view.able(version)
        share = 1 - sum(entry.weights.values()) if version == entry.live else entry.weights.get(version, 0.0)
        said = {worker.versions.get(version, "not loaded") for worker in view.workers.values()} - {"ready"}
        state = "; ".join(sorted(said)) or ("ready" if able else "no worker")
        shadow = f" (shadow {entry.shadow[version]:.0%})" if version in entry.shadow else ""
        seconds = view.capacity.seconds if version == entry.live else None
        found.append(
            (
                entry.name,
                f"{version}{' (live)' if version == entry.live else shadow}",
                f"{share:.0%}",
                len(able),
                sum(worker.slots for worker in able),
                sum(worker.busy for worker in able),
                "" if seconds is None else length(seconds),
                state,
            )
        )
    return found


@click.command()
@click.argument("model")
@click.argument("model_version", metavar="VERSION")
@click.argument("path")
@kind_option
@json_option
@version_option
@with_redis
def add(
    session: Session,
    model: str,
    model_version: str,
    path: str,
    kind_name: str | None,
    as_json: bool,
    version: str | None,
) -> None:
    """Add VERSION of MODEL, which is at PATH. The first version of a model is live at once.

    A worker loads it if its own settings allow PATH and the kind: `wave serve-worker --help`.

    \b
    Example:
      wave serving add delays 2 models/delays-2.ubj
    """
    entry = added(model, path, kind_name, model_version).put(_catalogue(session, version), {})
    _tell(entry, as_json)


@click.command()
@click.argument("model")
@click.argument("model_version", metavar="VERSION")
@json_option
@version_option
@with_redis
def promote(session: Session, model: str, model_version: str, as_json: bool, version: str | None) -> None:
    """Make VERSION live: workers load it, change over, and release the one before."""
    changed = _catalogue(session, version).change(model, lambda entry: entry.promoted(model_version))
    _tell(changed, as_json)


@click.command()
@click.argument("model")
@json_option
@version_option
@with_redis
def rollback(session: Session, model: str, as_json: bool, version: str | None) -> None:
    """End a split at once, so that the live version gets all; where there is none, go back to the version before."""
    _tell(_catalogue(session, version).change(model, Entry.rolled_back), as_json)


@click.command()
@click.argument("model")
@click.argument("shares", nargs=-1, metavar="[VERSION=SHARE]...")
@click.option(
    "--shadow", multiple=True, metavar="VERSION[=PART]", help="Copy this part of the traffic to a version."
)
@click.option("--key", metavar="FIELD", help="Field of an instance that keeps a client with its version.")
@json_option
@version_option
@with_redis
def split(
    session: Session,
    model: str,
    shares: tuple[str, ...],
    shadow: tuple[str, ...],
    key: str | None,
    as_json: bool,
    version: str | None,
) -> None:
    """Share MODEL's traffic out; the live version has what is left. Without shares it gets all.

    Requests of the same key (the header X-Routing-Key, else --key's field of the first instance) get the same
    version. A shadow's answers are recorded, compared and not returned.

    \b
    Examples:
      wave serving split delays 2=0.1
      wave serving split delays 2=50% --key route --shadow 3=0.2
    """
    weights, copies = _shares(shares), _shares([f"{text}" if "=" in text else f"{text}=1" for text in shadow])
    changed = _catalogue(session, version).change(model, lambda entry: entry.split(weights, copies, key))
    _tell(changed, as_json)


def _shares(texts: Sequence[str]) -> dict[str, float]:
    found = {}
    for text in texts:
        name, _, share = text.partition("=")
        try:
            found[name] = float(share[:-1]) / 100 if share.endswith("%") else float(share)
        except ValueError:
            raise click.BadParameter(f"{text!r} is not a share. One looks like 2=0.1 or 2=10%.") from None
    return found


@click.command()
@click.argument("model")
@json_option
@version_option
@with_redis
def results(session: Session, model: str, as_json: bool, version: str | None) -> None:
    """Show what each version of MODEL did: answers, times, and how a shadow's differ from those returned."""
    code = _code(session, version)
    Catalogue(session.runtime.client, code).get(model)
    counts: Any = session.runtime.client.hgetall(Place(code, model).key("results"))
    found = read(counts)
    if as_json:
        write_json([asdict(one) for one in found])
    elif not found:
        click.echo(f"{model} has answered nothing yet.")
    else:
        head = (
            "version",
            "answered",
            "refused",
            "failed",
            "p50 <=",
            "p99 <=",
            "compared",
            "same",
            "difference",
        )
        table(head, [_result(one) for one in found], head[1:])


def _result(one: VersionResults) -> tuple[Any, ...]:
    return (
        one.version,
        f"{one.answered:,}",
        one.refused,
        one.failed,
        length(one.p50),
        length(one.p99),
        one.compared or "",
        f"{one.same / one.compared:.0%}" if one.compared else "",
        f"{one.difference:.4g}" if one.compared else "",
    )


@click.command()
@click.argument("model")
@json_option
@version_option
@with_redis
def remove(session: Session, model: str, as_json: bool, version: str | None) -> None:
    """Stop serving MODEL: its workers release it."""
    _catalogue(session, version).remove(model)
    if as_json:
        write_json({"model": model, "removed": True})
    else:
        click.echo(f"{model} is served no more; end its workers.")


@click.command()
@click.argument("name")
@json_option
def token(name: str, as_json: bool) -> None:
    """Make a token for NAME. It is shown once; the API keeps its hash."""
    from pipeline.web.tokens import line, new_token  # noqa: PLC0415 - an optional extra

    made = new_token()
    if as_json:
        write_json({"token": made, "line": line(name, made)})
        return
    click.echo(f"token, for the header `Authorization: Bearer TOKEN`, shown only now:\n  {made}")
    click.echo("for PIPELINE_TOKENS (a comma between several) or PIPELINE_TOKENS_FILE (a line each):")
    click.echo(f"  {line(name, made)}")
