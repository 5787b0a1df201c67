"""The registry of the entities that are active now: one interface, over memory or Redis.

Uses `flows` (what a state is) and `store`. Begin with `base`.
"""

from pipeline.states.base import Group, Registry, States
from pipeline.states.memory import MemoryStates
from pipeline.states.remote import RedisStates

__all__ = ["Group", "MemoryStates", "RedisStates", "Registry", "States"]
