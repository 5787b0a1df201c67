"""Processes whose clock is wrong, by libfaketime: what they take for the time of day, not what they measure."""

from __future__ import annotations

import subprocess

KEPT = ("LD_PRELOAD", "FAKETIME")


def wrong_clock(offset: str) -> dict[str, str]:
    """The environment of a process whose clock is off, such as "+30d" or "-2h"."""
    try:
        said = subprocess.run(
            ["faketime", "-m", "-f", offset, "env"], capture_output=True, text=True, timeout=20, check=True
        )
    except FileNotFoundError:
        raise RuntimeError(
            "faketime is missing, and with it processes whose clock is wrong. Install it: apt-get install faketime"
        ) from None
    found = dict(line.partition("=")[::2] for line in said.stdout.splitlines())
    return {name: found[name] for name in KEPT} | {"FAKETIME_DONT_FAKE_MONOTONIC": "1"}
