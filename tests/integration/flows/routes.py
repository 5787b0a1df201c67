"""Flows for the tests of the command: one of every kind of task, and one that can be held up."""

from __future__ import annotations

import os
import time

from redis import Redis

from pipeline import Flow, State, task

routes = State("routes", partition_by="origin")


@task
def departures(entity, date):
    return {"flights": 5, "minutes": 60.0, "origin": entity.features["origin"]}


@task
def weather(entity, date):
    if date.hour == 3:
        raise ConnectionError(f"no weather for {entity} at night")
    return {"wind": 1.0}


@task
def delay(departures):
    return departures["minutes"] / departures["flights"]


@task(per="partition", window={"delay": "2d"})
def train(delay):
    return {"hours": sum(int(chunk.notna().to_numpy().sum()) for chunk in delay)}


@task(batch=True, window={"delay": "1d"})
def forecast(delay, train, weather=None):
    return {key: float(delay[key].mean()) for key in delay}


flow = Flow("delays", [departures, weather, delay, train, forecast], state=routes, schedule="5 * * * *")


@task
def waiting(entity):
    with Redis.from_url(os.environ["REDIS_URL"]) as client:
        while client.exists("hold"):
            time.sleep(0.02)
    return 1


held = Flow("held", [waiting], state="routes")
