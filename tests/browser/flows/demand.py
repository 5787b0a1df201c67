"""Shops of four cities, whose sales are forecast: what the pictures in the README show."""

from __future__ import annotations

import hashlib
import math
import os

from forecasting import with_forecasts
from pipeline import Flow, State, task

OUTAGE = "TILLS_OUT"  # dates at which no till answers, separated by commas
BROKEN = "oslo-3"  # a shop whose till does not answer now and then
CITIES = {
    "berlin": 9.0,
    "kyoto": 4.0,
    "lima": 15.0,
    "oslo": 10.0,
}  # the hour at which a day begins to be busy


def noise(*parts: object) -> float:
    """A number from -1 to 1 that is the same whoever asks."""
    digest = hashlib.blake2b(repr(parts).encode(), digest_size=8).digest()
    return int.from_bytes(digest) / 2**63 - 1


@task(rate="2000/s", concurrency=4)
def temperature(entity, date):
    city = entity.split("-")[0]
    day = math.sin((date.hour - CITIES[city]) * math.pi / 12)
    return round(12 + 6 * day + 3 * noise(city, date.toordinal()) + noise(city, date), 1)


@task(rate="2000/s", concurrency=4)
def sales(entity, date):
    if f"{date:%Y-%m-%dT%H}" in os.environ.get(OUTAGE, "").split(","):
        raise ConnectionError("the tills' gateway does not answer (503)")
    if entity == BROKEN and date.hour % 7 == 0:
        raise TimeoutError(f"the till of {BROKEN} did not answer within 30 s")
    city, number = entity.split("-")
    busy = max(math.sin((date.hour - CITIES[city]) * math.pi / 12), -0.6)
    level = 60 + 12 * int(number) + 3 * noise(city, date.isocalendar().week)
    weekend = 1.25 if date.weekday() > 4 else 1.0
    return round(
        level * weekend * (1 + 0.7 * busy) + 5 * noise(str(entity), date) + 3 * noise(city, date, 1), 1
    )


shops = State("shops", partition_by="city")
flow = Flow("demand", [temperature, sales], state=shops, schedule="2 * * * *")
flow, training = with_forecasts(flow, "sales", past=["temperature"], history="42d", check="5d")
