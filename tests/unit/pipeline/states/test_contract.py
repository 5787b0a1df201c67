"""Registries in memory."""

from __future__ import annotations

import pytest

from pipeline.states import MemoryStates
from tests.contracts.registry import RegistryContract


class TestMemoryStates(RegistryContract):
    @pytest.fixture
    def make(self):
        return MemoryStates
