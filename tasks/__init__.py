"""Ready collection tasks, tasks in any language, and the shipped flows.

    from tasks.sources.http import http_json      JSON over HTTP, a request an entity
    from tasks.sources.sql import sql             a database, a query a shard
    from tasks.sources.files import table         CSV and Parquet files
    from tasks.programs.command import command     a program in any language, collection or computation

Each makes a task from a declaration. The extra `celery-waves[tasks]` brings what they need.
"""
