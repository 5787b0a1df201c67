"""`python -m ecs` is `wave ecs`."""

from __future__ import annotations

from ecs.cli import ecs

if __name__ == "__main__":
    ecs(prog_name="python -m ecs")
