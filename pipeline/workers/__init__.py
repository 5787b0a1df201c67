"""What worker and beat processes run, and their signs of life.

Uses `waves`, `messaging` and `monitoring`. Begin with `worker`; `schedule` is what beat loads.
"""
