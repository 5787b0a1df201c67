"""Builds images by docker and pushes them to ECR."""

from __future__ import annotations

import base64
import shutil
import subprocess
from collections.abc import Sequence
from pathlib import Path
from typing import Any

from ecs.deployment.errors import CloudError, telling
from ecs.deployment.stacks import Say
from pipeline.errors import SettingsError

TARGETS = {"WorkerImage": "worker", "WebImage": "web"}


def repository(target: str) -> str:
    """Return the name of an image's repository."""
    return f"celery-waves-{target}"


def images(registry: str, tag: str) -> dict[str, str]:
    """Return the images of a tag, by the template's parameters."""
    return {name: f"{registry}/{repository(target)}:{tag}" for name, target in TARGETS.items()}


def registry_of(clients: Any) -> str:
    """Return the address of this account's registry."""
    with telling("asking who this is"):
        sts = clients("sts")
        account = sts.get_caller_identity()["Account"]
        return f"{account}.dkr.ecr.{sts.meta.region_name}.amazonaws.com"


def check_images(clients: Any, tag: str) -> None:
    """Raise CloudError for an image that was not pushed: a deployment would wait for it in vain."""
    ecr = clients("ecr")
    for target in TARGETS.values():
        try:
            with telling(f"looking for {repository(target)}:{tag}"):
                ecr.describe_images(repositoryName=repository(target), imageIds=[{"imageTag": tag}])
        except CloudError as error:
            if "NotFoundException" in str(error):
                raise CloudError(
                    f"there is no image {repository(target)}:{tag} in ECR. Push it: wave ecs push --tag {tag}"
                ) from None
            raise


def commands(root: Path, registry: str, tag: str, version: str) -> list[list[str]]:
    """Return the commands that build and push, in order."""
    found = []
    for name, image in images(registry, tag).items():
        words = ["docker", "build", "-f", str(root / "docker" / "Dockerfile"), "--target", TARGETS[name]]
        found.append([*words, "--build-arg", f"VERSION={version}", "-t", image, str(root)])
        found.append(["docker", "push", image])
    return found


def push(clients: Any, steps: Sequence[Sequence[str]], registry: str, say: Say) -> None:
    """Make the repositories that lack, log docker in, build and push. Raises CloudError."""
    if shutil.which("docker") is None:
        raise SettingsError(
            "docker is not installed, which builds the images. Install it, or push them elsewhere."
        )
    ecr = clients("ecr")
    for target in TARGETS.values():
        _make(ecr, repository(target))
    with telling("logging in to ECR"):
        token = ecr.get_authorization_token()["authorizationData"][0]["authorizationToken"]
    user, _, password = base64.b64decode(token).decode().partition(":")
    _run(["docker", "login", "--username", user, "--password-stdin", registry], say, password)
    for step in steps:
        _run(step, say)


def _make(ecr: Any, name: str) -> None:
    try:
        with telling(f"making the repository {name}"):
            ecr.create_repository(repositoryName=name, imageScanningConfiguration={"scanOnPush": True})
    except CloudError as error:
        if "RepositoryAlreadyExistsException" not in str(error):
            raise


def _run(words: Sequence[str], say: Say, text: str | None = None) -> None:
    say(" ".join(words))
    ended = subprocess.run(words, input=text, text=True, check=False)
    if ended.returncode:
        raise CloudError(
            f"`{' '.join(words[:3])} ...` ended with {ended.returncode}; see above what it said."
        )
