"""python -m pipeline.workers.liveness [SECONDS]: whether the process of this container is alive, by its heartbeat file.

The exit code is 0 when PIPELINE_HEARTBEAT was touched within that time (60 s), else 1, and 2 for a wrong use.
"""

from __future__ import annotations

import os
import sys
from collections.abc import Mapping, Sequence

from pipeline.errors import ProcessError
from pipeline.workers.heartbeat import GONE_AFTER, HEARTBEAT, check_age


def main(words: Sequence[str], environ: Mapping[str, str]) -> int:
    """Return the exit code."""
    path = environ.get(HEARTBEAT)
    if not path:
        return _say(f"{HEARTBEAT} is not set: it names the file that the process touches.", 2)
    try:
        limit = float(words[0]) if words else GONE_AFTER
    except ValueError:
        return _say(
            f"{words[0]!r} is not a number of seconds, as in: python -m pipeline.workers.liveness 60", 2
        )
    try:
        check_age(path, limit)
    except ProcessError as error:
        return _say(str(error), 1)
    return 0


def _say(text: str, code: int) -> int:
    sys.stderr.write(f"wave: {text}\n")
    return code


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:], os.environ))
