"""What a check of the doctor takes and gives: the facts of a deployment, and findings. Pure."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any

from pipeline.flows.flow import Flow
from pipeline.waves.presence import Process

OK, WARN, FAIL = "OK", "WARN", "FAIL"

Info = Mapping[str, Any]  # what INFO says of a server of Redis


@dataclass(frozen=True, slots=True)
class Finding:
    """What one check found."""

    level: str  # OK; WARN: it works, and will not always; FAIL: it does not work, or not for long
    check: str
    text: str
    advice: str = ""  # what to do; "" where all is well


@dataclass(frozen=True, slots=True)
class Facts:
    """What is known of a deployment."""

    version: str
    flows: tuple[Flow, ...]
    control: Info  # INFO of the control Redis
    stores: Mapping[str, Info] = field(default_factory=dict)  # INFO of each server of a pipe store apart
    saves: bool | None = None  # whether the control Redis writes snapshots; None where it does not tell
    skew: float = 0.0  # seconds that this machine's clock is ahead of Redis'
    processes: tuple[Process, ...] = ()
    # flow, and the hour of its wave that was due and has not started -> seconds for which it could have
    unstarted: Mapping[str, float] = field(default_factory=dict)
    ahead: Mapping[str, str] = field(
        default_factory=dict
    )  # version/flow -> the later hour that its schedule has marked
    depths: Mapping[str, int] = field(default_factory=dict)  # messages that wait in each queue
    deadlines: int = 0
    overlooked: tuple[str, ...] = ()  # deadlines that are long past, the oldest first
    refused: Mapping[str, int] = field(default_factory=dict)  # content type -> messages that workers refused
    unreadable: tuple[str, ...] = ()  # what could not be read within the last day, and why
    unversioned: tuple[str, ...] = ()  # ids of waves whose records do not say their form
