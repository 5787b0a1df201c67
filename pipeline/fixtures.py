"""Fixtures for pytest: put `pytest_plugins = ["pipeline.fixtures"]` into the conftest.py at the top of your tests."""

from __future__ import annotations

from collections.abc import Callable
from datetime import datetime
from typing import Any

import pytest

from pipeline.flows.flow import Flow
from pipeline.store import MemoryStore, Store
from pipeline.testing import run_wave
from pipeline.waves.wave import Wave


@pytest.fixture
def pipe_store() -> Store:
    """An empty pipe store in memory."""
    return MemoryStore()


@pytest.fixture
def wave_runner(pipe_store: Store) -> Callable[..., Wave]:
    """`run_wave` with `pipe_store` as its store, so that a test can put inputs and run several hours."""

    def run(flow: Flow, entities: Any, date: datetime | str | None = None, **options: Any) -> Wave:
        return run_wave(flow, entities, date, store=options.pop("store", pipe_store), **options)

    return run
