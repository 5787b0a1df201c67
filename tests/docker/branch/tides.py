"""The stack's example: how high the water stands at eight harbours, from a gauge in Python and a program in C.

    docker-compose exec worker-compute wave submit tides --wait
    docker-compose exec worker-compute wave pipe main smoothed hull 2026-01-01T12

The gauges are made up of the moon's and the sun's tides, so that nothing has to be asked. `smoothed` is computed by
docker/native/smooth.c, which only the image of the service worker-native holds: it has a queue of its own.
"""

from __future__ import annotations

import math
from datetime import UTC, datetime

from pipeline import Flow, State, task
from tasks import command

EPOCH = datetime(2026, 1, 1, tzinfo=UTC)
MOON = 12.4206  # hours between two high waters of the tide M2
HARBOURS = {  # metres: half the range of each tide; hours: when the high water comes
    "bremen": (1.9, 0.4, 2.0),
    "brest": (2.1, 0.7, 3.5),
    "dover": (2.2, 0.7, 11.1),
    "esbjerg": (0.7, 0.2, 1.0),
    "hull": (2.1, 0.7, 6.2),
    "leith": (1.8, 0.6, 2.3),
    "lisbon": (1.0, 0.4, 2.9),
    "ostend": (1.8, 0.5, 0.2),
}


@task
def level(entity: str, date: datetime) -> float:
    """Give the water at a harbour, in metres above its mean."""
    moon, _, late = HARBOURS[entity]  # this branch leaves the sun out
    hours = (date - EPOCH).total_seconds() / 3600 - late
    return round(moon * math.cos(2 * math.pi * hours / MOON), 3)


smoothed = command("smoothed", ["smooth"], inputs=["level"], window={"level": "24h"}, queue="native")

flow = Flow(
    "tides", [level, smoothed], state=State("harbours", source=lambda: list(HARBOURS)), schedule="5 * * * *"
)
