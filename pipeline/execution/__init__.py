"""One run of one task over one shard: claim, read, call, put, report.

Uses `flows`, `store`, `states`, `gate` and `telemetry`, and knows no Celery. Begin with `runner`, then `attempt`;
`calls` is where a user's function is called, `settlement` what is done with what it returned.
"""
