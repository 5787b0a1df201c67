"""The entities of states: one interface, over memory or Redis."""

from pipeline.registry.base import Group, Registry, States
from pipeline.registry.memory import MemoryStates
from pipeline.registry.remote import RedisStates

__all__ = ["Group", "MemoryStates", "RedisStates", "Registry", "States"]
