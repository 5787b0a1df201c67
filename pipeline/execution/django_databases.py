"""Connections to databases that a user's code opens through Django, which keeps them by thread.

Celery's own fixup closes those of the thread in which Celery runs a task. Calls that run in threads of their own
would leave theirs open behind them.
"""

from __future__ import annotations

import sys


def close_connections() -> None:
    """Close the database connections that Django has open in this thread. Does nothing without Django."""
    conf, db = sys.modules.get("django.conf"), sys.modules.get("django.db")
    if conf is not None and db is not None and conf.settings.configured:
        db.connections.close_all()
