"""`wave ecs deploy|diff|destroy|clean|push|template`: what makes and removes environments."""

from __future__ import annotations

from collections.abc import Callable
from functools import wraps
from pathlib import Path
from typing import Any

import click

from ecs.deployment import version_keys
from ecs.deployment.aws_clients import clients
from ecs.deployment.deployer import SHARED, Deployer, parts, write
from ecs.deployment.images import check_images, commands, images, registry_of
from ecs.deployment.images import push as push_images
from ecs.deployment.services import run_once
from ecs.deployment.stacks import Bucket, Stacks
from ecs.templates.environment import render
from ecs.templates.naming import MAIN, STAGES, Place
from ecs.templates.service_roles import own_roles
from pipeline.cli.options import together
from pipeline.cli.session import Session, with_session
from pipeline.errors import SettingsError

region_option = click.option("--region", help="[default: AWS_DEFAULT_REGION, else that of AWS_PROFILE]")
yes_option = click.option("--yes", is_flag=True, help="Do not ask.")


def place_options(command: Callable[..., None]) -> Callable[..., None]:
    """Add the options that name an environment; the command gets its `place` and the `region`."""

    @click.option("--env", "stage", type=click.Choice(STAGES), required=True, help="The stage.")
    @click.option("--branch", default=MAIN, show_default=True, help="The version of the code.")
    @click.option("--project", default="waves", show_default=True, help="What names begin with.")
    @region_option
    @wraps(command)
    def placed(stage: str, branch: str, project: str, **more: Any) -> None:
        command(place=Place(stage, branch, project), **more)

    return placed


# They say what is deployed.
what_options = together(
    click.option("--tag", help="The tag of the images in ECR. [default: the branch, as `push` tags them]"),
    click.option(
        "--queue",
        "queues",
        metavar="KIND[=POOL:SLOTS:CPU:MEMORY]",
        multiple=True,
        help="Workers for a kind of queue that your tasks name. [default: prefork:2:2048:4096]",
    ),
    click.option("--flows", help="PIPELINE_FLOWS of the environment. [default: its own]"),
    click.option(
        "-p",
        "given",
        metavar="NAME=VALUE",
        multiple=True,
        help="A parameter of the environment's template.",
    ),
    click.option(
        "-s",
        "shared",
        metavar="NAME=VALUE",
        multiple=True,
        help="A parameter of the template that a stage shares.",
    ),
)


def _pairs(texts: tuple[str, ...]) -> dict[str, str]:
    for text in texts:
        if "=" not in text:
            raise SettingsError(f"{text!r} is not a parameter: write NAME=VALUE, as in -p MaxTasks=20.")
    return dict(text.split("=", 1) for text in texts)


@click.command()
@place_options
@what_options
@click.option("--dry-run", is_flag=True, help="Only print what would change.")
def deploy(
    place: Place, region: str | None, tag: str | None, flows: str | None,
    given: tuple[str, ...], shared: tuple[str, ...], queues: tuple[str, ...], dry_run: bool,
) -> None:  # fmt: skip
    """Deploy an environment: a stage's main, or a branch beside it with its own workers and queues.

    Deploying the same twice changes nothing the second time. What fails is taken back, and the resources that failed
    are named.

    \b
    Examples:
      wave ecs deploy --env dev --flows my_flows
      wave ecs deploy --env dev --branch feature-x --flows my_flows --dry-run
    """
    _deploy(place, region, tag, flows, given, shared, queues, dry_run)


@click.command()
@place_options
@what_options
def diff(**what: Any) -> None:
    """Print what a deployment would change; the exit code is 1 if there is anything."""
    if _deploy(**what, dry=True):
        raise click.exceptions.Exit(1)


def _deploy(
    place: Place, region: str | None, tag: str | None, flows: str | None,
    given: tuple[str, ...], shared: tuple[str, ...], queues: tuple[str, ...], dry: bool,
) -> bool:  # fmt: skip
    values, own = _pairs(given) | ({"Flows": flows} if flows else {}), own_roles(queues)
    # What lacks is said before AWS is asked.
    parts(place, {"WorkerImage": "-", "WebImage": "-"}, values, _pairs(shared), own)
    made = clients(region)
    tag = tag or default_tag(place.version)
    registry = registry_of(made)
    check_images(made, tag)
    wanted = parts(place, images(registry, tag), values, _pairs(shared), own)
    stacks = Stacks(made("cloudformation"), bucket=Bucket(made("s3"), place.shared))
    return Deployer(stacks, write).deploy(wanted, dry=dry)


def default_tag(version: str) -> str:
    """Return the tag of a version's images: tags hold no slashes and no plus."""
    return version.replace("/", "-").replace("+", "-")


@click.command()
@place_options
@click.option("--keep-data", is_flag=True, help="Leave its pipes and waves in Redis.")
@yes_option
def destroy(place: Place, region: str | None, keep_data: bool, yes: bool) -> None:
    """Remove an environment: its services, logs and roles, and its keys in Redis.

    With the branch main, what the stage shares stays: `aws cloudformation delete-stack` removes that.
    """
    made = clients(region)
    stacks = Stacks(made("cloudformation"))
    if stacks.find(place.stack) is None:
        write(f"{place.stack}: there is none")
        return
    if not yes:
        click.confirm(f"Remove {place.stack}{'' if keep_data else ' and all its keys in Redis'}?", abort=True)
    if place.version != MAIN and not keep_data:
        run_once(made, place, ["ecs", "clean", "--branch", place.version, "--yes"])
        write(f"{place.stack}: its keys in Redis are removed")
    stacks.delete(place.stack, write)
    write(f"{place.stack}: removed")


@click.command(context_settings={"ignore_unknown_options": True})
@click.argument("words", nargs=-1, required=True, type=click.UNPROCESSED)
@place_options
def run(place: Place, region: str | None, words: tuple[str, ...]) -> None:
    """Run `wave WORDS` once inside an environment, where its Redis can be reached, and wait until it ends.

    \b
    Examples:
      wave ecs run --env dev -- submit my_flows
      wave ecs run --env dev -- serving add delays 1 delay/JFK --kind forecast
    """
    run_once(clients(region), place, words)
    write(f"wave {' '.join(words)}: ended well. What it said: wave ecs logs control --env {place.stage}")


@click.command()
@click.option("--branch", required=True, help="The version whose keys go.")
@yes_option
@with_session
def clean(session: Session, branch: str, yes: bool) -> None:
    """Remove a version's pipes, waves, totals and queues from Redis. `destroy` runs it in the cluster."""
    found = version_keys.count(session.runtime, branch)
    if found and not yes and branch != MAIN:
        click.confirm(f"Remove {found:,} keys of version {branch}?", abort=True)
    write(f"{version_keys.clean(session.runtime, branch):,} keys of version {branch} are removed")


@click.command()
@click.option("--branch", default=MAIN, show_default=True, help="The version that is baked in.")
@click.option("--tag", help="[default: the branch]")
@region_option
@click.option(
    "--root",
    type=click.Path(exists=True, file_okay=False, path_type=Path),
    default=".",
    help="The repository. [default: .]",
)
@click.option("--dry-run", is_flag=True, help="Only print the commands.")
def push(branch: str, tag: str | None, region: str | None, root: Path, dry_run: bool) -> None:
    """Build the images with docker and push them to ECR."""
    made = clients(region)
    registry = registry_of(made)
    steps = commands(root, registry, tag or default_tag(branch), branch)
    if dry_run:
        for step in steps:
            write(" ".join(step))
    else:
        push_images(made, steps, registry, write)


@click.command()
@click.option("--shared", is_flag=True, help="The template of what a stage's environments share.")
@click.option("--queue", "queues", metavar="KIND[=...]", multiple=True, help="As for `deploy`.")
def template(shared: bool, queues: tuple[str, ...]) -> None:
    """Print the CloudFormation template of an environment."""
    write(SHARED.read_text() if shared else render(own_roles(queues)))
