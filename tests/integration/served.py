"""Models that tests serve."""

from __future__ import annotations

import os
import time
from functools import cache

from redis import Redis


@cache
def client() -> Redis:
    return Redis.from_url(os.environ["REDIS_URL"])


def note(text: str) -> None:
    """Let a test see that a call has begun."""
    client().rpush("noted", text)


class Echo:
    """Gives back what it gets, with the path that it was loaded from; an object asks for something special."""

    def __init__(self, path: str) -> None:
        self.path = path

    @classmethod
    def load(cls, path):
        if path.startswith("late"):
            time.sleep(0.3)
        return cls(path)

    def predict(self, instances):
        return [self.one(instance) for instance in instances]

    def one(self, instance):
        if not isinstance(instance, dict):
            return instance
        if "note" in instance:
            note(instance["note"])
        time.sleep(instance.get("sleep", 0))
        if "bad" in instance:
            raise ValueError("bad instance")
        if "fail" in instance:
            raise RuntimeError("broken")
        if "strange" in instance:
            return object()
        return {"path": self.path, "pid": os.getpid(), "version": 2 if self.path.endswith("2") else 1}[
            instance.get("give", "path")
        ]
