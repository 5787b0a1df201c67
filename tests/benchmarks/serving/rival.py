"""Rival: the same service as one writes it by hand, with FastAPI and `task.delay().get()`.

Its thread pool and its workers have as many slots as ours. Worker: celery -A tests.benchmarks.serving.rival worker
-P threads; API: python -m tests.benchmarks.serving.rival PORT.
"""

from __future__ import annotations

import os
import sys
import time
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager

import uvicorn
from anyio.to_thread import current_default_thread_limiter
from celery import Celery
from fastapi import FastAPI
from pydantic import BaseModel

SLOTS = 2000

URL = os.environ.get("REDIS_URL", "")
celery = Celery("rival", broker=URL, backend=URL, set_as_current=False)
celery.conf.update(result_expires=60, worker_prefetch_multiplier=1, task_default_queue="rival")


@celery.task(name="rival.predict")
def predict_task(instances: list[float]) -> list[float]:
    """Hold a slot for a second."""
    time.sleep(1.0)
    return instances


@asynccontextmanager
async def lifespan(_: FastAPI) -> AsyncIterator[None]:
    """Let as many requests wait as there are slots."""
    current_default_thread_limiter().total_tokens = SLOTS
    yield


api = FastAPI(lifespan=lifespan)


class Asked(BaseModel):
    """A request."""

    instances: list[float]


@api.get("/readyz")
def readyz() -> dict[str, str]:
    """Say that it is there."""
    return {"status": "ready"}


@api.post("/predict")
def predict(asked: Asked) -> dict[str, list[float]]:
    """Predict."""
    return {"predictions": predict_task.delay(asked.instances).get(timeout=30)}


if __name__ == "__main__":
    uvicorn.run(api, port=int(sys.argv[1]), access_log=False, log_level="warning", backlog=4096)
