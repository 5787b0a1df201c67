"""Ready collection tasks, tasks in any language, and the shipped flows.

    from tasks import http_json

    http_json           JSON over HTTP, a request an entity
    sql                 a database, a query a shard
    table               CSV and Parquet files
    command             a program in any language, collection or computation
    errors              SourceError, CommandError

Each makes a task from a declaration. The extra `celery-waves[tasks]` brings what they need. `tasks.delays` are the
demo's flows, over the flights of `tasks.flights`.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from pipeline.lazy import public

if TYPE_CHECKING:
    from tasks.errors import CommandError, SourceError
    from tasks.programs.command import command
    from tasks.sources.files import table
    from tasks.sources.http import http_json
    from tasks.sources.sql import sql
else:
    __getattr__, __dir__ = public(
        __name__,
        {
            "tasks.errors": "CommandError SourceError",
            "tasks.programs.command": "command",
            "tasks.sources.files [tasks]": "table",
            "tasks.sources.http [tasks]": "http_json",
            "tasks.sources.sql [tasks]": "sql",
        },
    )

__all__ = [
    "CommandError",
    "SourceError",
    "command",
    "http_json",
    "sql",
    "table",
]
