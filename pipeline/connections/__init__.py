"""Clients of Redis, for threads and for asyncio, made of the same URLs.

Uses `settings`. Begin with `address`, which shows the forms of a URL; `sync_clients` names the rights that a user
needs.
"""
