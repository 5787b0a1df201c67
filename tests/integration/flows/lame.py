"""Flows of which single entities are not as they have to be: in the state's source, and in answers."""

from __future__ import annotations

import math

from pipeline import Flow, State, task

SHOPS = {f"shop{n}": {"city": "Bern"} for n in range(8)}
BAD = {
    "shop 8": {"city": "Bern"},
    "@9": {"city": "Bern"},
    "shop10": {},
    "shop11": {"city": "x", "n": math.nan},
}


@task
def sales(entity, state):
    if entity == "shop1":
        state.update({"shop12": {"city": "Bern"}, "shop 13": {"city": "Bern"}})
    return 1.0


@task(batch=True)
def doubled(sales):
    return {key: 2 * value for key, value in sales.items()} | ({"SHOP1": 2.0} if "shop1" in sales else {})


@task(per="wave", batch=True)
def ranks(sales):
    keys = [key for chunk in sales for key in chunk]
    return {key: {1} if key == "shop2" else 1 for key in keys}


@task
def told(ranks, doubled):
    return ranks + doubled


flow = Flow("lame", [sales, doubled, ranks, told], State("lame", "city", lambda: SHOPS | BAD, "7d"))
