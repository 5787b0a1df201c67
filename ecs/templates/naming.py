"""Names of an environment in AWS. Pure."""

from __future__ import annotations

import hashlib
import re
from dataclasses import dataclass

from pipeline.errors import SettingsError, near
from pipeline.flows.pipe import check_version

STAGES = ("dev", "test", "prod")
MAIN = "main"
LONGEST = (
    40  # of a stack's name: services, roles and alarms begin with it, and load balancers have short names
)


@dataclass(frozen=True, slots=True)
class Place:
    """One environment: a version of the code at a stage."""

    stage: str
    version: str = MAIN
    project: str = "waves"

    def __post_init__(self) -> None:
        if self.stage not in STAGES:
            raise SettingsError(
                f"{self.stage!r} is not a stage.{near(self.stage, STAGES)} There are {', '.join(STAGES)}."
            )
        check_version(self.version)
        if not re.fullmatch(r"[a-z][a-z0-9-]{0,15}", self.project):
            raise SettingsError(
                f"project {self.project!r} cannot begin the names of stacks: use up to 16 small letters, digits and "
                "dashes, with a letter first."
            )

    @property
    def shared(self) -> str:
        """The stack that the environments of a stage share."""
        return f"{self.project}-{self.stage}-shared"

    @property
    def stack(self) -> str:
        """The stack of this environment. A branch whose name is too long or no name for AWS gets a digest."""
        plain = re.sub(r"[^a-z0-9]+", "-", self.version.lower()).strip("-")
        name = f"{self.project}-{self.stage}-{plain}"
        if plain == self.version and len(name) <= LONGEST and plain != "shared":
            return name
        digest = hashlib.sha256(self.version.encode()).hexdigest()[:8]
        return f"{name[: LONGEST - 9].rstrip('-')}-{digest}"

    @property
    def priority(self) -> int:
        """A number for the load balancer's rule; two branches of one number are refused by AWS, with its text.

        49,999 and 50,000 are the rules behind all versions.
        """
        return (
            1
            if self.version == MAIN
            else 2 + int(hashlib.sha256(self.version.encode()).hexdigest(), 16) % 49_997
        )
