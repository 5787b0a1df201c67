"""Suites that every implementation of an interface has to pass. A test module inherits one and gives the fixture."""

import pytest

pytest.register_assert_rewrite("tests.contracts.store", "tests.contracts.registry")


class Clock:
    """A clock that a test moves on."""

    def __init__(self, now: float) -> None:
        self.now = now

    def __call__(self) -> float:
        return self.now

    def advance(self, seconds: float) -> None:
        self.now += seconds
