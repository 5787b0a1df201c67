"""The gate's scripts: what `gate.lua` holds, with the constants that it is given."""

from __future__ import annotations

import re
from collections.abc import Mapping
from functools import cache
from pathlib import Path
from typing import Any

from redis import Redis

from pipeline.forms import FORM, LONGEST, NAMED
from pipeline.gate.flow_totals import KEPT_MS, RUN_BOUNDS, WAVE_BOUNDS
from pipeline.gate.status import CANCELLED, EXPIRED, char

READY_MS = 5_000  # how soon a unit that is ready is looked at
AGAIN_MS = 10_000  # how soon the pipes of a closed wave are looked at where something of it was lost
RESEND_MAX_MS = 300_000  # the longest time between two resends
TOLD = 1000  # incidents of a wave that are written down; what comes after them is only counted
UNTAKEN = 3  # resends of a ready unit that nobody has claimed, after which that is an incident: 35 s
YEAR_MS = 365 * 86_400_000  # a wave without an expiry is kept so long while it is open
GRACE_MS = 5_000  # how far from its time limit a run may be when it is said to hang
# Suspicion from which a unit is run alone: a worker that vanished with it counts 1, a child 2.
ALONE_AFTER = 3
UNKNOWN = 1000  # the attempt of a unit whose record cannot be read: a new record of it goes on from there
FAR_MS = 4_102_444_800_000  # the year 2100: the expiry of a wave that has none

_CONSTANTS: Mapping[str, Any] = {
    "ALONE": ALONE_AFTER,
    "READY": READY_MS,
    "AGAIN": AGAIN_MS,
    "RESEND": RESEND_MAX_MS,
    "GRACE": GRACE_MS,
    "FAR": FAR_MS,
    "YEAR": YEAR_MS,
    "TOLD": TOLD,
    "UNTAKEN": UNTAKEN,
    "KEPT": KEPT_MS,
    "FORM": FORM,
    "NAMED": NAMED,
    "LONGEST": LONGEST,
    "UNKNOWN": UNKNOWN,
    "EXPIRED": repr(char(EXPIRED)),
    "CANCELLED": repr(char(CANCELLED)),
    "WAVE_BOUNDS": f"{{{', '.join(map(str, WAVE_BOUNDS))}}}",
    "RUN_BOUNDS": f"{{{', '.join(map(str, RUN_BOUNDS))}}}",
}
SOURCE = Path(__file__).with_name("gate.lua")
REDIS_TIME = "local t = redis.call('TIME'); return t[1] * 1000 + math.floor(t[2] / 1000)"


def register_scripts(client: Redis, now: str = REDIS_TIME) -> dict[str, Any]:
    """Return the scripts by name, bound to a client. `now` is Lua that returns the time in milliseconds."""
    head = "".join(f"local {name} = {value}\n" for name, value in _CONSTANTS.items())
    common, scripts = _read_scripts()
    head += f"local function now_ms() {now} end\n{common}"
    return {name: client.register_script(head + body) for name, body in scripts.items()}


@cache
def _read_scripts() -> tuple[str, dict[str, str]]:
    """Return what all scripts begin with, and each script by its name."""
    common, *rest = re.split(r"^--- (\w+)\n", SOURCE.read_text(encoding="utf-8"), flags=re.MULTILINE)
    return common, dict(zip(rest[::2], rest[1::2], strict=True))
