"""Clients of Redis, for threads and for asyncio, made of the same URLs.

Uses `settings`. Begin with `sync_clients`, which names the forms of a URL and the rights that a user needs.
"""
