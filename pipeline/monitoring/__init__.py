"""How a deployment stands: metrics, alerts, backlog, cover, and what is wrong with it.

Uses `waves` and what lies below. Begin with `observe`, which most of the others read; `doctor` runs the checks of
`redis_checks` and `worker_checks`.
"""
