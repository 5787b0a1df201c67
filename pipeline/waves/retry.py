"""Retrying a wave that has ended: what is not finished runs again, what is finished is kept."""

from __future__ import annotations

from pipeline.errors import WaveError
from pipeline.gate import status
from pipeline.gate.records import Records
from pipeline.gate.units import Unit
from pipeline.gate.wave_spec import WaveSpec
from pipeline.messaging.canvas import Single
from pipeline.waves.runtime import Runtime


def retry_wave(spec: WaveSpec, runtime: Runtime) -> None:
    """Run failed, skipped and expired entities of a wave again. Raises WaveError while it is open."""
    gate, records = runtime.gate, runtime.records
    token = gate.begin(spec.id)
    if token is None:
        raise WaveError(f"wave {spec.id!r} is still open. Wait for its end, or cancel it, and retry then.")
    again = _unfinished(spec, records)
    if not again:
        return
    needs = {unit: sum(i in again for i in spec.units.inputs(unit)) for unit in again}
    texts = [key for key in records.errors(spec.id) if Unit(key[0], key[1]) in again]
    first = [unit for unit, need in needs.items() if need == 0]
    other = WaveError(f"wave {spec.id!r} was opened by somebody else just now. Look at `wave show`.")
    if not gate.reset(spec.id, token, ((unit, needs[unit], kept) for unit, kept in again.items())):
        raise other
    records.drop_errors(spec.id, texts)
    if not gate.reopen(spec.id, token, spec.expiry, len(again), first):
        raise other
    runtime.sender.send(spec, [Single(unit) for unit in first])
    gate.open(spec.id)


def _unfinished(spec: WaveSpec, records: Records) -> dict[Unit, str]:
    """Return the units that are not done or have unfinished entities, with their statuses without these."""
    units = list(spec.units)
    conditions = records.conditions(spec.id)
    again: dict[Unit, str] = {}
    for unit, chars in zip(units, records.statuses(spec.id, units), strict=True):
        chars = chars or status.PENDING_CHAR * spec.size(unit)
        kept = "".join(c if status.done(c) else status.PENDING_CHAR for c in chars)
        if status.PENDING_CHAR in kept or unit not in conditions or conditions[unit].name != "done":
            again[unit] = kept
    return again
