"""The pipe store: values, series and windows, over memory, one Redis, or a Redis Cluster behind one interface.

Uses `flows` for keys and `settings`. Begin with `base`; `codec` and `series` are the forms of what is stored.
"""

from pipeline.store.base import Store
from pipeline.store.cluster import ClusterStore
from pipeline.store.memory import MemoryStore
from pipeline.store.single import RedisStore

__all__ = ["ClusterStore", "MemoryStore", "RedisStore", "Store"]
