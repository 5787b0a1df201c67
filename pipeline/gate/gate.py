"""The gate: who may run a unit, whose result counts, and when somebody must look at it next.

All of it is Lua (`gate.lua`) on one Redis, by that Redis' clock. A *unit* is a (task, where) of a wave; each is
pending, running or done.

    pending --claim--> running --final report--> done
       ^                  |
       +--- retry --------+--- claim, after the lease has run out (attempt + 1)

Who may do what, and why it is safe:

- `claim` grants a unit to one attempt at a time. It is refused when the unit is done, when another attempt's lease
  holds, when the wave is closed or past its expiry, or when an input is still open and the timeout has not come. A
  message is only a hint that a claim may succeed, so that messages can be lost, doubled or late.
- Who runs a unit past its time limit is known to hang: its worker says so (`hang`, or by renewing it after a grace).
  The unit is overdue then, and nobody may claim it but a keeper, to end it (`seize`).
- A unit whose lease ran out before was lost, with its worker. It is run again as it was, until it looks as if it were
  the reason: when it has killed two children (which their parents report: `drop`) or was with three workers that
  vanished, and nothing of it was reported in between. From then on it is granted only to a worker that runs nothing
  else (answer `alone`), which writes a `mark` before each piece of it: should that worker die too, the next claim
  learns which piece it was, and nobody else is blamed.
- `release` gives back what a worker that is told to stop, or that met an error, will not finish: no loss.
- `decline` is of a worker whose code does not know the task, as in a rolling deployment. It counts how often that
  was, so that the message is passed on to other workers a bounded number of times; then it is left to the deadlines.
- `renew` lengthens the leases that one worker's attempts hold.
- `report` carries the attempt. A stale one (the lease was lost and granted again) is refused, so that a task whose
  code ran twice has one effect. Only that its pipes stand counts, as a pipe is written once, whoever wrote it: their
  entities are set to finished, late if that is so, and no other report takes it back. The final report makes the unit
  done, counts down what its dependents wait for, arms those that became ready, and closes the wave when no unit is
  open.
- A wave may be submitted again under its id when Redis has lost it. Who claims, marks or reports says which
  submission is meant, so that what a process remembers of another one has no effect (answer `other` or `lost`).
- A client whose connection was cut does not know whether its script ran, and sends it again. So each script may run
  twice: a claim carries a token of its own and is granted again to the same one; a report says what it believes was
  reported before, and counts only when that is so.
- `due` gives what somebody must look at now and moves its score forward before it answers: a keeper that dies after
  it loses nothing, two keepers share the work. Scores: ready but unclaimed, 5 s after it became ready and doubling at
  each resend; waiting, its timeout; running, the end of its lease. A unit whose shard was not started yet has no
  score of its own: what it waits for has one.
- The wave has a score too: its expiry; before that, while it is being submitted, 5 s after it was made, so that a
  keeper arms what a submission that died did not; and where something of it was lost, or it was closed early, 10 s
  after its end, so that a keeper sees the pipes of who put them last and died before it could report.
- What went otherwise than it should is written into the list `{wave} incidents`, as `time kind number unit`, where it
  is decided (see `pipeline.gate.incidents`); a wave in which all goes well writes none.
- When a wave ends, what became of its entities is added to `totals:{version}/{flow}` in the same script, so that
  they count once whoever asks; after a retry what is new (see `pipeline.gate.flow_totals`).
- `close` ends a wave whatever is open. Claims and reports are refused from then on.
- A retry has three steps: `begin` takes a token; `reset` makes units pending again while the wave is closed, so that
  nobody can claim them; `reopen` arms them. One that dies leaves a closed wave, and the next one takes over.

A unit that nobody has touched has no record (see `pipeline.gate.unit_record`), so that submitting a wave writes nothing
for each unit. `pipeline.gate.keys` says what else is in Redis. Times are milliseconds.
"""

from __future__ import annotations

import os
from collections.abc import Iterable, Mapping, Sequence
from itertools import count
from typing import Any
from uuid import uuid4

from redis import Redis

from pipeline.forms import FORM, name_unreadable
from pipeline.gate.answers import Claim, Receipt
from pipeline.gate.keys import DEADLINES, wave_key
from pipeline.gate.scripts import REDIS_TIME, register_scripts
from pipeline.gate.units import Unit

WAVE_UNIT = Unit("@wave", "@")  # stands for the wave itself among the deadlines
CHUNK = 1000  # units that one script touches
NOBODY = -1  # the number of no attempt


class Gate:
    """The scripts, bound to a client of the control Redis.

    `now` is Lua that returns the time in milliseconds: Redis' own clock, unless a test wants another. No time of a
    client ever reaches a script.
    """

    def __init__(self, client: Redis, now: str = REDIS_TIME) -> None:
        self._client = client
        self._tokens = count()
        self._scripts = register_scripts(client, now)

    def _run(self, script: str, keys: Sequence[str], args: Sequence[Any]) -> Any:
        return self._scripts[script](keys=keys, args=args)

    def create(
        self,
        wave_id: str,
        shards_key: str,
        fields: Mapping[str, Any],
        units: int,
        roots: Sequence[Unit],
        expiry: float,
        ttl: float,
        form: int = FORM,
    ) -> tuple[bool, str]:
        """Create a wave from its shards under a temporary key, unless it is there.

        `roots` get their first deadline; more than `CHUNK` of them are left to `arm`. `expiry` in seconds from
        now, 0 for none; `ttl` how long its keys are kept after that; `form` is that of all its records. Returns
        whether this call made it, and its condition: submitting, open or closed.
        """
        pairs = ["form", form, *(item for pair in fields.items() for item in pair)]
        first = [str(unit) for unit in roots[:CHUNK]]
        args = [wave_id, int(expiry * 1000), int(ttl * 1000), units, len(first), *first, *pairs]
        made, state = self._run("create", [wave_key(wave_id), shards_key], args)
        return bool(made), state.decode()

    def arm(self, wave_id: str, units: Iterable[tuple[Unit, int]]) -> None:
        """Set a first deadline for those units, given with what they wait for, that are pending and wait for none."""
        flat = [item for unit, need in units for item in (str(unit), need)]
        for i in range(0, len(flat), 2 * CHUNK):
            self._run("arm", [wave_key(wave_id)], [wave_id, *flat[i : i + 2 * CHUNK]])

    def open(self, wave_id: str) -> str:
        """Open a wave of which everything was sent; returns its condition. Raises LookupError when Redis lost it."""
        state = self._run("open", [wave_key(wave_id)], [wave_id])
        if state is None:
            raise LookupError(f"wave {wave_id!r} is not in Redis any more")
        return str(state.decode())

    def claim(
        self,
        wave_id: str,
        unit: Unit,
        *,
        need: int,
        timeout: float,
        lease: float,
        limit: float,
        owner: str,
        waiting: Mapping[str, Sequence[tuple[Unit, float]]],
        mode: str = "run",
        submission: str = "",
    ) -> Claim:
        """Ask to run a unit.

        need     how many units it waits for, by the wave's graph
        timeout  seconds after its place's start that it runs without them
        lease    seconds that the claim holds without being renewed
        limit    seconds that the run may take
        owner    who renews the lease
        waiting  place -> units whose clocks start if this is the first claim there, with their timeouts
        mode     "run"; "alone" by a worker that runs nothing else; "seize" only to end a run past its limit
        submission  which one under this id is meant, "" for whichever there is
        """
        token = f"{owner}/{os.getpid()}.{next(self._tokens)}"
        args: list[Any] = [
            wave_id,
            str(unit),
            need,
            _ms(timeout),
            _ms(lease),
            _ms(limit),
            token,
            mode,
            submission,
        ]
        for place, units in waiting.items():
            args += [place, len(units)]
            for waiter, wait in units:
                args += [str(waiter), _ms(wait)]
        return Claim.read(self._run("claim", [wave_key(wave_id)], args))

    def renew(self, owner: str, lease: float, held: Sequence[tuple[str, Unit]]) -> int:
        """Lengthen the leases of what `owner` runs, given as (wave id, unit); returns how many it still holds."""
        return self._held("renew", [owner, _ms(lease)], held)

    def drop(self, owner: str, held: Sequence[tuple[str, Unit]]) -> None:
        """End the leases of what `owner` will not finish."""
        self._held("lose", [owner, "died"], held)

    def hang(self, owner: str, held: Sequence[tuple[str, Unit]]) -> None:
        """Report that what `owner` ran was stopped at its time limit: a keeper is to end it."""
        self._held("lose", [owner, "hung"], held)

    def freeze(self, owner: str, held: Sequence[tuple[str, Unit]]) -> None:
        """Report that the process in which `owner` ran all this stood still, and is ended: each runs alone next."""
        self._held("lose", [owner, "frozen"], held)

    def release(self, owner: str, held: Sequence[tuple[str, Unit]], delay: float = 0.0) -> None:
        """Hand back what `owner` will not finish though it lives; it is sent again after `delay` seconds."""
        self._held("release", [owner, _ms(delay)], held)

    def decline(self, wave_id: str, unit: Unit) -> int:
        """Report that a worker does not know a task that others may; returns how often that was, 0 when it is over."""
        return int(self._run("decline", [wave_key(wave_id)], [str(unit)]))

    def mark(
        self, wave_id: str, unit: Unit, attempt: int, first: int, stop: int, submission: str = ""
    ) -> bool:
        """Write down which entities an attempt that runs alone does next; False when it holds the unit no more."""
        return bool(self._run("mark", [wave_key(wave_id)], [str(unit), attempt, first, stop, submission]))

    def _held(self, script: str, args: list[Any], held: Sequence[tuple[str, Unit]]) -> int:
        if not held:
            return 0
        pairs = [item for wave_id, unit in held for item in (wave_id, str(unit))]
        return int(self._run(script, [wave_key(wave_id) for wave_id, _ in held], [*args, *pairs]))

    def report(
        self,
        wave_id: str,
        unit: Unit,
        attempt: int,
        *,
        statuses: str,
        late_statuses: str,
        before: str,
        counts: Mapping[tuple[str, str], int],
        errors: Mapping[int, str],
        dependents: Sequence[tuple[Unit, int]],
        took: float,
        final: bool,
        ran: float = 0.0,
        submission: str = "",
    ) -> Receipt:
        """Report how the entities of a unit stand. Of a refused report counts what it says of pipes: see `amend`.

        statuses       all entities' characters; `late_statuses` the same if dependents have started without them
        before         the characters that were reported before
        counts         (character, late character) -> how many entities got it since the last report
        errors         index of an entity -> its text
        dependents     units that wait for this one, each with how many it waits for
        took           seconds of work since the last report
        final          whether this was all of it
        ran            seconds since the claim
        submission     which one under this id is meant, "" for whichever there is
        """
        lists = [
            *(item for index, text in errors.items() for item in (index, text)),
            *(item for dep, need in dependents for item in (str(dep), need)),
            *(item for (char, late), n in counts.items() for item in (char, n, late)),
        ]
        sizes = [len(errors), len(dependents), len(counts), _ms(ran), submission]
        head = [wave_id, str(unit), attempt, int(final), statuses, late_statuses, before, int(took * 1e6)]
        return Receipt.read(self._run("report", [wave_key(wave_id)], [*head, *sizes, *lists]))

    def amend(
        self,
        wave_id: str,
        unit: Unit,
        statuses: str,
        dependents: Sequence[tuple[Unit, int]],
        submission: str = "",
    ) -> None:
        """Set to finished those entities of a unit that `statuses` says so of, because their pipes stand.

        Late where the unit is done, its wave is closed, or a dependent has started. It is a report of no attempt.
        """
        self.report(
            wave_id,
            unit,
            NOBODY,
            statuses=statuses,
            late_statuses=statuses,
            before="",
            counts={},
            errors={},
            dependents=dependents,
            took=0.0,
            final=False,
            submission=submission,
        )

    def due(self, limit: int = 200) -> list[tuple[str, str, Unit]]:
        """Take what somebody must look at now, as (kind, wave id, unit), and move its score forward.

        Kinds: send (ready, its timeout has come, or unclaimed), lost (its worker vanished), alone (that was not the
        first time), overdue (past its time limit); and for the wave itself, as `WAVE_UNIT`, expired, unsent (its
        submission did not come to an end), and closed (its pipes are to be looked at once more).
        """
        flat = [item.decode() for item in self._run("due", [], [limit])]
        found = []
        for kind, member in zip(flat[::2], flat[1::2], strict=True):
            wave_id, task, where = member.rsplit(" ", 2)
            found.append((kind, wave_id, Unit(task, where)))
        return found

    def set_aside(self, wave_id: str, unit: Unit, why: str) -> None:
        """Name a unit that nobody can run, and drop its deadline."""
        name_unreadable(self._client, f"deadline {wave_id} {unit}: {why}")
        self._client.zrem(DEADLINES, f"{wave_id} {unit}")

    def close(self, wave_id: str, reason: str, units: Iterable[Unit]) -> bool:
        """End a wave for a reason (expired, superseded, cancelled), and drop the deadlines of its units."""
        if not self._run("close", [wave_key(wave_id)], [wave_id, reason]):
            return False
        self.clear(wave_id, units)
        return True

    def clear(self, wave_id: str, units: Iterable[Unit]) -> None:
        """Drop deadlines of a closed wave; of one that somebody has opened again none."""
        names = [str(unit) for unit in units]
        for i in range(0, len(names), CHUNK):
            self._run("clear", [wave_key(wave_id)], [wave_id, *names[i : i + CHUNK]])

    def begin(self, wave_id: str) -> str | None:
        """Begin to retry a closed wave; returns a token, None unless it is closed. Whoever began before is refused."""
        token = uuid4().hex
        return token if self._run("begin", [wave_key(wave_id)], [token]) else None

    def reset(self, wave_id: str, token: str, units: Iterable[tuple[Unit, int, str]]) -> bool:
        """Make units of a closed wave pending, given as (unit, what it waits for, the statuses that it keeps).

        False when somebody else has begun to retry it.
        """
        flat = [item for unit, need, statuses in units for item in (str(unit), need, statuses)]
        parts = [flat[i : i + 3 * CHUNK] for i in range(0, len(flat), 3 * CHUNK)]
        return all(self._run("reset", [wave_key(wave_id)], [wave_id, token, *part]) for part in parts)

    def reopen(self, wave_id: str, token: str, expiry: float, units: int, ready: Iterable[Unit]) -> bool:
        """Open a closed wave again after `reset`: so many units are open, and these wait for none.

        False when somebody else has begun to retry it.
        """
        args = [wave_id, token, _ms(expiry), units, *map(str, ready)]
        return bool(self._run("reopen", [wave_key(wave_id)], args))


def _ms(seconds: float) -> int:
    return int(seconds * 1000)
