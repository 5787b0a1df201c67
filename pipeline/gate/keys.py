"""The keys in the control Redis under which waves stand, and what each holds.

wave:{id}            hash: form, state, open, submitted, expires, ended, reason, submission, spec (JSON, see wave_spec)
wave:{id} shards     hash: number -> JSON, see shards
wave:{id} units      hash: "task where" -> record (see unit_record)
wave:{id} status     hash: "task where" -> a character an entity (see status)
wave:{id} errors     hash: "task where index" -> text
wave:{id} counts     hash: "task character" -> entities, "task us" -> microseconds of work
wave:{id} starts     hash: where -> when its first unit was claimed (ms)
wave:{id} resends    hash: "task where" -> how often a keeper has sent it
wave:{id} marks      hash: "task where" -> the piece that an attempt running alone is at
wave:{id} incidents  list: what went otherwise than it should (see incidents)
wave:{id} left       hash: entity that was left out -> why, "" -> how many these are
wave:{id} told       hash: the counts that were added to the totals before a retry
deadlines            sorted set: "id task where" by when somebody must look at it (ms)
waves                sorted set: the ids of all waves, by when Redis forgets them (ms)
totals:{version}/{flow}  hash: sums over all waves (see flow_totals); the set `totals` has their names
scheduled:{version}/{flow}  text: the hour of the newest wave that its schedule has started
makers:{version}     hash: flow -> who makes its pipes (see pipeline.waves.makers)
seen:{version}/{flow}    text: when somebody first saw it (see waves/first_seen)
costs:{version}/{flow}  hash: task -> seconds and entities, sums over waves of which the older count less
"""

from __future__ import annotations

DEADLINES = "deadlines"
WAVES = "waves"


def wave_key(wave_id: str) -> str:
    """Return the key of a wave's hash; its other keys begin with it and a space."""
    return f"wave:{wave_id}"
