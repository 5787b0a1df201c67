"""Who may run what, whose result counts, and what stands of a wave: units, shards, statuses, records, and the scripts
that change them.

Uses `flows`, `connections` and `store`, and knows no Celery. Begin with `gate`, which explains why every wave ends;
`gate.lua` is its other half. `keys` lists what is in Redis, `records` reads it.
"""
