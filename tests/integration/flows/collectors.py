"""A flow of ready tasks: a web server, a database, a file, and a command that computes from them."""

import os

from pipeline import Flow
from tasks import command, http_json, sql, table

HOME = os.environ.get("COLLECTORS_HOME", ".")

departures = http_json("departures", os.environ.get("COLLECTORS_URL", "http://127.0.0.1:9") + "/{entity}")
seats = sql(
    "seats",
    "select route as entity, seats from plan where route in :entities",
    url=f"sqlite:///{HOME}/plan.db",
)
weather = table("weather", f"{HOME}/{{date:%Y-%m-%d}}.csv", "sky", entity="route", date="hour")

SCRIPT = r"""
{ match($0, /"entity":"[^"]*"/); entity = substr($0, RSTART, RLENGTH) }
entity ~ /stuck/ { fflush(); while (1); }
{ split($0, seats, /"seats":/); split($0, flights, /"departures":/)
  printf "{%s,\"value\":%d}\n", entity, flights[2] * seats[2]; fflush() }
"""
load = command(
    "load", ["awk", SCRIPT], inputs=["departures", "seats"], optional={"weather": None}, time_limit="4s"
)

collected = Flow("collected", [departures, seats, weather, load])
