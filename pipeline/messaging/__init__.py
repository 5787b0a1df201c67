"""Celery's side of a message: its transport, the canvas that a plan becomes, and what lies in the queues.

Uses `flows`, `connections` and `gate`. Begin with `canvas`, the one module that names chords and chains.
"""
