"""submit_wave: start one execution of a flow over a state."""

from __future__ import annotations

import hashlib
import subprocess
from collections.abc import Iterable, Mapping, Sequence
from datetime import datetime
from functools import cache
from typing import Any
from uuid import uuid4

import orjson

from pipeline.app import settings as app_settings
from pipeline.errors import WaveError
from pipeline.flows.cron import Cron, due_hour
from pipeline.flows.durations import Duration, seconds
from pipeline.flows.flow import Flow
from pipeline.flows.left_out import LeftOut
from pipeline.flows.pipe import check_version, floor, hour, stamp
from pipeline.flows.plan import compile_flow
from pipeline.flows.state import State
from pipeline.gate.gate import CHUNK
from pipeline.gate.shards import (
    Group,
    Shard,
    cut_shards,
    fair_share,
    fused_segments,
    own_entities,
    shard_size,
)
from pipeline.gate.wave_spec import WaveSpec
from pipeline.messaging.canvas import first_messages
from pipeline.telemetry.logs import get_logger
from pipeline.waves.keeper import arm, close
from pipeline.waves.makers import note_makers
from pipeline.waves.presence import form_to_write
from pipeline.waves.runtime import Runtime, process_runtime
from pipeline.waves.task_costs import read_costs
from pipeline.waves.wave import Wave

SHARDS_TTL = 3600  # seconds that the shards of a submission that died are kept

log = get_logger("pipeline.submit")


def submit_wave(
    flow: Flow,
    date: datetime | str | None = None,
    state: State | str | None = None,
    entities: Iterable[str] | Mapping[str, Mapping[str, Any]] | None = None,
    version: str | None = None,
    base: str | None = None,
    only: Iterable[str] | None = None,
    *,
    expiry: Duration | None = None,
    backfill: bool = False,
    runtime: Runtime | None = None,
) -> Wave:
    """Start a wave of a flow.

    Args:
        flow: What is run.
        date: The hour (UTC) that it is about; this hour by default.
        state: Whose entities it is run for; the flow's by default.
        entities: Keys, or key -> features, instead of a state's; those that cannot be are left out and named.
        version: The code's, under which its pipes are written; PIPELINE_VERSION, else the git branch, else main.
        base: The version whose pipes are read where this one has none.
        only: Names of the tasks to run; other inputs are read from the store.
        expiry: From now until it is closed ("30m", or seconds); 0 for never; the flow's by default.
        backfill: Whether it is of an old hour: it never expires by default, and is left out of durations.
        runtime: The Redis that it runs on; the settings' by default.

    Returns:
        The wave, which may be one that was submitted before.

    Raises:
        WaveError: Neither the flow nor the call names a state or entities.
        UnknownName: No state of that name holds entities.
        FlowError: `only` names no task, or one that the flow does not have.
        KeyFormatError: The date, a version or an entity cannot be part of a key.
        DurationError: `expiry` cannot be read.
        UnreachableError: Redis does not answer.
    """
    runtime = runtime or process_runtime(app_settings)
    tracer = runtime.tracer
    when = None if date is None else hour(date)
    version = check_version(version or runtime.settings.any_version())
    base = base if base is None else check_version(base)
    only = None if only is None else tuple(only)
    plan = compile_flow(flow, only)
    source = _state_of(flow, state, entities is not None)
    left = LeftOut()
    own = None if entities is None else own_entities(entities, source or State("entities"), left)
    with runtime.reachable():
        now = runtime.clock.look()
        when = when or floor(now)
        wave_id = wave_id_of(flow, when, version, base, only, own, None if state is None else source)
        known = runtime.records.spec(wave_id)
        if known is not None:
            return _continued(Wave(known, runtime))
        note_makers(runtime, flow, version, plan.steps, source)
        groups = own if own is not None else _snapshot(runtime, source, left)
        costs = read_costs(runtime.client, version, flow.name)
        share = fair_share(flow, sum(len(keys) for _, keys, _ in groups))
        batch = frozenset(name for name, task in flow.tasks.items() if task.batch)
        shards = cut_shards(groups, shard_size(runtime.settings, plan, costs, share, batch))
        spec = WaveSpec(
            id=wave_id,
            version=version,
            base=base,
            date=when,
            state=None if source is None else source.name,
            plan=plan,
            partitions=tuple(shard.partition for shard in shards),
            sizes=tuple(len(shard.keys) for shard in shards),
            fused=fused_segments(plan, costs, max((len(shard.keys) for shard in shards), default=0)),
            expiry=_expiry(flow, expiry, backfill, now),
            commit=_commit(),
            backfill=backfill,
            form=form_to_write(runtime.client),
            submission=uuid4().hex,
        )
        made = _made(runtime, spec, shards, left)
        tracer.submitted(spec, now.timestamp())
        if not shards:
            tracer.ended(spec)
        return made


def submit_scheduled(flow: Flow, date: str, now: datetime, runtime: Runtime) -> Wave | None:
    """Start the wave that was due at `date`; return None where by `now` none or a newer one is, or one was started.

    `now` is Redis' time: who asks for a date that is not due yet has a wrong clock. So had who started a wave of a
    later hour than this one: that wave counts for nothing here.
    The flow's scheduled wave before it is closed, if it is still open: the newest wave wins, and after an outage or
    a wave that takes longer than its period nothing piles up. What it had finished is kept.
    """
    assert flow.schedule is not None
    version = runtime.settings.own_version()
    newest, due = (
        runtime.records.newest_scheduled(version, flow.name, now) or "",
        stamp(due_hour(flow.schedule, now)),
    )
    if date > due:
        log.warning(
            "not due yet; the clock of the beat that asked is wrong", flow=flow.name, date=date, due=due
        )
    if date != due or date < newest:
        return None
    wave = submit_wave(flow, date=date, runtime=runtime)
    before = runtime.records.note_scheduled(version, flow.name, date)
    if before is not None and before < date:
        older = runtime.records.readable_spec(wave_id_of(flow, hour(before), version, None, None, None, None))
        if older is not None:
            close(runtime, older, "superseded")
    return wave


def _made(runtime: Runtime, spec: WaveSpec, shards: Sequence[Shard], left: LeftOut) -> Wave:
    """Write a wave to Redis and start it, or continue the one that somebody else wrote in the meantime."""
    key, roots = f"wave-shards:{uuid4().hex}", spec.units.roots() if shards else []
    runtime.records.put_shards(key, shards, SHARDS_TTL, spec.form)
    units = len(spec.units) if shards else 0
    counted = " ".join(f"{task} {spec.size_of(task)}" for task in spec.plan.steps)
    fields = {"spec": spec.dump(), "submission": spec.submission, "tasks": counted} | (
        {"backfill": 1} if spec.backfill else {}
    )
    made, state = runtime.gate.create(
        spec.id, key, fields, units, roots, spec.expiry, runtime.settings.wave_ttl, spec.form
    )
    if made and left:
        log.warning("entities were left out", wave=spec.id, count=left.count, first=left.lines()[0])
        runtime.records.leave_out(spec.id, left)
    if made and len(roots) <= CHUNK:
        if state == "submitting":
            _start(Wave(spec, runtime))
        return Wave(spec, runtime)
    stored = runtime.records.spec(spec.id)
    if stored is None:
        raise WaveError(
            f"wave {spec.id!r} was not kept by Redis. Check its memory and eviction policy (noeviction)."
        )
    return _continued(Wave(stored, runtime))


def _continued(wave: Wave) -> Wave:
    """Start a wave whose submission has not come to its end."""
    if wave.info().state == "submitting":
        arm(wave.runtime.gate, wave.spec)
        _start(wave)
    return wave


def _start(wave: Wave) -> None:
    wave.runtime.sender.send(wave.spec, first_messages(wave.spec))
    wave.runtime.gate.open(wave.id)


def _snapshot(runtime: Runtime, state: State | None, left: LeftOut) -> list[Group]:
    """Return the entities that are active now; a state with a source is filled from it first.

    A source that fails does not stop the wave while the state holds entities from before.
    """
    assert state is not None
    registry = runtime.states.bind(state, left)
    try:
        registry.fill()
    except Exception as error:
        if not len(registry):
            raise
        log.warning(
            "the state's source failed; going on with the entities it has", state=state.name, error=str(error)
        )
    if state == State(state.name):  # only a name: the entities must have come from elsewhere
        runtime.states.check(state.name)
    return [(partition, keys, features) for partition, keys, features in registry.snapshot()]


def _state_of(flow: Flow, state: State | str | None, optional: bool) -> State | None:
    if isinstance(state, State):
        return state
    if isinstance(state, str):
        return flow.state if flow.state is not None and flow.state.name == state else State(state)
    if flow.state is None and not optional:
        raise WaveError(
            f"flow {flow.name!r} names no state. Give it one, or give submit_wave(..., entities=[...])."
        )
    return flow.state


def wave_id_of(
    flow: Flow,
    date: datetime,
    version: str,
    base: str | None,
    only: Sequence[str] | None,
    own: Any,
    state: State | None,
) -> str:
    """Name a wave: `{version}/{flow} {date}`, and a digest of what makes it another than the flow's ordinary one."""
    wave_id = f"{version}/{flow.name} {stamp(date)}"
    other = {
        "base": base,
        "only": None if only is None else sorted(only),
        "entities": own,
        "state": None if state is None or state == flow.state else state.name,
    }
    if all(value is None for value in other.values()):
        return wave_id
    digest = hashlib.sha256(orjson.dumps(other, option=orjson.OPT_SORT_KEYS)).hexdigest()
    return f"{wave_id} {digest[:10]}"


def _expiry(flow: Flow, given: Duration | None, backfill: bool, now: datetime) -> float:
    if given is not None and given != 0:
        return seconds(given, "expiry")
    if backfill or given is not None:
        return 0.0
    if flow.expiry is not None:
        return flow.expiry
    return Cron.parse(flow.schedule).period(now) if flow.schedule else 0.0


@cache
def _commit() -> str | None:
    try:
        found = subprocess.run(
            ["git", "rev-parse", "HEAD"], capture_output=True, text=True, timeout=10, check=False
        )
    except (OSError, subprocess.TimeoutExpired):
        return None
    return found.stdout.strip() or None
