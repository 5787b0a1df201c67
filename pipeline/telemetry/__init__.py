"""Logs and traces of what runs.

Uses `settings` and `gate` (the names of units). Begin with `logs`; `tracing` costs nothing where no collector is
named.
"""
