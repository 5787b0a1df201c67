"""A wave from its submission to its end, the keeper that makes its end certain, and the clients that one process
holds.

Uses all of the engine below it. Begin with `submit`, then `wave`, which `progress`, `entity_statuses` and `retry`
serve; `keeper` answers what becomes of lost work.
"""
