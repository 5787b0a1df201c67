"""The pipe store: one interface, over memory, one Redis, or a Redis Cluster."""

from pipeline.store.base import Store
from pipeline.store.cluster import ClusterStore
from pipeline.store.memory import MemoryStore
from pipeline.store.single import RedisStore

__all__ = ["ClusterStore", "MemoryStore", "RedisStore", "Store"]
