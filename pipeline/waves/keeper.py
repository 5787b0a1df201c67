"""The deadline keeper: looks at what is due, and renews the leases of what its worker runs.

It runs in every worker's main process, beside beat and in the control service. Everything that it does may be done
twice, or by another keeper, without harm: the gate decides.
"""

from __future__ import annotations

import threading
import time
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager, suppress

from kombu.exceptions import OperationalError
from redis.exceptions import RedisError, ResponseError

from pipeline.errors import UnreadableError
from pipeline.execution.runner import Ran, Runner
from pipeline.execution.standing import amend
from pipeline.execution.tools import Tools
from pipeline.gate.gate import WAVE_UNIT, Gate
from pipeline.gate.records import Records
from pipeline.gate.unit_record import Condition
from pipeline.gate.units import Unit
from pipeline.gate.wave_spec import WaveSpec
from pipeline.messaging.canvas import Sender, Single, following
from pipeline.messaging.lost_messages import EVERY, sweep
from pipeline.telemetry.logs import get_logger
from pipeline.telemetry.tracing import OFF, Tracer
from pipeline.waves.presence import Presence
from pipeline.waves.runtime import Runtime
from pipeline.waves.task_costs import learn_costs

log = get_logger("pipeline.keeper")

OPEN = Condition("pending", 0, 0)  # of a unit that has no record
Held = Callable[[], Sequence[tuple[str, Unit]]]


class Keeper:
    """Keeps the deadlines of all waves, of whatever version."""

    def __init__(
        self,
        runner: Runner,
        sender: Sender,
        held: Held,
        every: float = 1.0,
        presence: Presence | None = None,
    ) -> None:
        """Take what gives the units that this process' children run now, how often to look (seconds), and who it is."""
        self._presence = presence
        self._runner = runner
        self._sender = sender
        self._held = held
        self._every = every
        self._renewed = self._swept = 0.0
        self._stop = threading.Event()
        self._thread: threading.Thread | None = None

    @property
    def _gate(self) -> Gate:
        return self._runner.tools.gate

    @property
    def _records(self) -> Records:
        return self._runner.tools.records

    def start(self) -> None:
        """Look at the deadlines every so often in a thread of its own."""
        self._thread = threading.Thread(target=self._loop, name="keeper", daemon=True)
        self._thread.start()

    def stop(self) -> None:
        """End the thread; what it has taken is due again soon and found by another keeper."""
        self._stop.set()
        if self._thread is not None:
            self._thread.join(timeout=5)
        if self._presence is not None:
            with suppress(RedisError, OSError):  # then it is taken for gone soon
                self._presence.leave()

    def _loop(self) -> None:
        while not self._stop.wait(self._every):
            try:
                if self._presence is not None:
                    self._presence.tell()
                self.tick()
            except (RedisError, OSError, OperationalError) as error:
                log.warning("redis does not answer, trying again", error=str(error))
            except Exception:
                log.exception("the keeper met an error and goes on")

    def tick(self) -> int:
        """Renew leases if it is time, and look at all that is due; returns how many units that were."""
        self.renew()
        count = 0
        while found := self._gate.due():
            for kind, wave_id, unit in found:
                with self._going_on(wave_id, unit):
                    self._look(kind, wave_id, unit)
            count += len(found)
        if time.monotonic() - self._swept >= EVERY:
            self._swept = time.monotonic()
            sweep(self._records.client)
        return count

    def renew(self) -> None:
        """Lengthen the leases that this process' children hold, three times as often as they would end."""
        running = self._held()
        if time.monotonic() - self._renewed >= self._runner.lease / 3:
            self._renewed = time.monotonic()
            self._gate.renew(self._runner.owner, self._runner.lease, running)

    @contextmanager
    def _going_on(self, wave_id: str, unit: Unit) -> Iterator[None]:
        """Let what goes wrong with one unit keep nobody from looking at the next; it will be due again."""
        try:
            yield
        except (RedisError, OSError) as error:
            if type(error) is not ResponseError:  # one that tells of this wave's keys alone
                raise
            log.exception("cannot do what is due", wave=wave_id, task=unit.task, shard=unit.where)
        except Exception:
            log.exception("cannot do what is due", wave=wave_id, task=unit.task, shard=unit.where)

    def _look(self, kind: str, wave_id: str, unit: Unit) -> None:
        try:
            spec = self._records.spec(wave_id)
            if spec is not None and unit != WAVE_UNIT and unit not in spec.units:
                raise UnreadableError("its wave has no such unit.")
        except UnreadableError as error:
            self._set_aside(kind, wave_id, unit, error)
            return
        if spec is None:
            return
        if kind == "expired":
            close(self._runner.tools, spec, "expired")
        elif kind == "closed":
            amend(self._gate, self._runner.tools.store, self._records, spec, spec.units)
            self._gate.clear(wave_id, [unit])
        elif kind == "unsent":
            arm(self._gate, spec)
            self._gate.open(wave_id)
        elif kind == "overdue":
            tools = self._runner.tools
            finish(self._runner.end(wave_id, unit), unit, True, self._sender, tools.records, tools.tracer)
        else:
            log.info("sending again", wave=wave_id, task=unit.task, shard=unit.where, why=kind)
            self._sender.send(spec, [Single(unit, alone=kind == "alone")])

    def _set_aside(self, kind: str, wave_id: str, unit: Unit, error: UnreadableError) -> None:
        """Name what nobody can run; a wave that nobody can read still ends at its expiry."""
        log.error("set aside", wave=wave_id, task=unit.task, shard=unit.where, error=str(error))
        if kind == "expired":
            self._gate.close(wave_id, "expired", ())
        elif kind == "unsent":
            self._gate.open(wave_id)
        else:
            self._gate.set_aside(wave_id, unit, str(error))


def finish(
    ran: Ran, unit: Unit, follow: bool, sender: Sender, records: Records, tracer: Tracer = OFF
) -> None:
    """Do what follows a run: send what it made ready and no canvas brings; learn from a wave that has ended."""
    if ran.spec is None:
        return
    messages = following(ran.spec, unit, follow, ran.ready)
    if ran.answer == "alone":
        messages = [Single(unit, alone=True)]
    if messages:
        sender.send(ran.spec, messages)
    if ran.closed:
        learn_costs(records, ran.spec)
        tracer.ended(ran.spec)
        log.info("wave has ended", wave=ran.spec.id)


def arm(gate: Gate, spec: WaveSpec) -> None:
    """Set a deadline for all that is ready in a wave whose submission, or retry, has died."""
    gate.arm(spec.id, ((unit, spec.units.need(unit)) for unit in spec.units))


def close(tools: Tools | Runtime, spec: WaveSpec, reason: str) -> bool:
    """Close a wave for a reason (expired, superseded, cancelled): what is open is not run any more.

    Entities whose pipe stands are set to finished before.
    """
    gate, records, store = tools.gate, tools.records, tools.store
    if (info := records.info(spec.id)) is None or info.state == "closed":
        return False
    conditions = records.conditions(spec.id)
    amend(gate, store, records, spec, [u for u in spec.units if conditions.get(u, OPEN).name != "done"])
    closed = gate.close(spec.id, reason, spec.units)
    if closed:
        log.info("wave is closed", wave=spec.id, reason=reason)
        tools.tracer.ended(spec)
    return closed
