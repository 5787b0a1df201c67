"""What Redis holds of waves: what they were submitted as, how they, their units and their entities stand.

`pipeline.gate.keys` lists the keys.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime
from functools import lru_cache
from typing import Any

from redis import Redis
from redis.exceptions import ResponseError

from pipeline.errors import UnreadableError
from pipeline.flows.left_out import KEPT, LeftOut
from pipeline.flows.pipe import stamp
from pipeline.forms import DAMAGE, FORM, readable
from pipeline.gate.incidents import Incident
from pipeline.gate.keys import WAVES, wave_key
from pipeline.gate.shards import Shard
from pipeline.gate.status import known
from pipeline.gate.unit_record import Condition
from pipeline.gate.units import Unit
from pipeline.gate.wave_spec import WaveSpec


@dataclass(frozen=True, slots=True)
class WaveInfo:
    """How a wave stands as a whole. Times are seconds since the epoch, by Redis' clock."""

    state: str  # submitting, open or closed
    reason: str | None  # why it is closed: done, empty, expired, superseded or cancelled
    open: int  # units that are not done
    submitted: float
    expires: float
    ended: float | None
    lost: int  # attempts whose worker vanished
    backfill: bool = False  # of an old hour
    submission: str = ""  # which one under its id (see WaveSpec)


_INFO = ("state", "reason", "open", "submitted", "expires", "ended", "lost", "backfill", "submission")


def _info(values: Sequence[bytes | None]) -> WaveInfo:
    state, reason, left, submitted, expires, ended, lost, backfill, submission = values
    if state is None or submitted is None or expires is None:
        raise LookupError("no such wave")
    return WaveInfo(
        state.decode(),
        reason.decode() if reason else None,
        int(left or 0),
        int(submitted) / 1000,
        int(expires) / 1000,
        int(ended) / 1000 if ended else None,
        int(lost or 0),
        backfill is not None,
        submission.decode() if submission else "",
    )


def _count(item: tuple[bytes, bytes]) -> tuple[str, str, int]:
    task, char = item[0].decode().split(" ")
    if char != "us" and not known(char):
        raise UnreadableError(f"no status is written as {char!r}")
    return task, char, int(item[1])


def _by_task(fields: Mapping[bytes, bytes]) -> dict[str, dict[str, int]]:
    found: dict[str, dict[str, int]] = {}
    for task, char, n in readable(_count, fields.items()):
        found.setdefault(task, {})[char] = n
    return found


def _error(item: tuple[bytes, bytes]) -> tuple[tuple[str, str, int], str]:
    name, where, index = item[0].decode().split(" ")
    return (name, where, int(index)), item[1].decode(errors="replace")


def _condition(item: tuple[bytes, bytes]) -> tuple[Unit, Condition]:
    return Unit.read(item[0].decode()), Condition.read(item[1].decode())


def _incidents(lines: Sequence[bytes]) -> list[Incident]:
    return list(readable(lambda line: Incident.read(line.decode()), lines))


def _left_out(fields: Mapping[bytes, bytes]) -> LeftOut:
    reasons = {key.decode(): why.decode() for key, why in fields.items() if key}
    return LeftOut(reasons, int(fields.get(b"", 0)))


def name_of(wave_id: str) -> tuple[str, str, str]:
    """Return the version, the flow, and the date with its digest, of a wave's id. Raises ValueError."""
    name, date = wave_id.split(" ", 1)
    version, between, flow = name.rpartition("/")
    if not between:
        raise ValueError(wave_id)
    return version, flow, date


def _scheduled(version: str, flow: str) -> str:
    return f"scheduled:{version}/{flow}"


class Records:
    """Reads and writes waves in the control Redis."""

    def __init__(self, client: Redis) -> None:
        self.client: Any = client
        self._spec = lru_cache(maxsize=64)(self._load_spec)
        self._shard = lru_cache(maxsize=64)(self._load_shard)

    def spec(self, wave_id: str) -> WaveSpec | None:
        """Return what a wave was submitted as, None when Redis does not hold it (any more).

        Raises UnreadableError for what cannot be read.
        """
        found = self.recall(wave_id)
        if found is None:
            return None
        state, submission = self.client.hmget(wave_key(wave_id), "state", "submission")
        if state is not None and (submission or b"").decode() == found.submission:
            return found
        self.forget()
        return self.recall(wave_id)

    def recall(self, wave_id: str) -> WaveSpec | None:
        """Return the same without asking Redis whether the wave was submitted again since: the gate tells of that."""
        try:
            return self._spec(wave_id)
        except LookupError:
            return None

    def readable_spec(self, wave_id: str) -> WaveSpec | None:
        """Return what `spec` does, and None for what cannot be read either."""
        try:
            return self.spec(wave_id)
        except UnreadableError:
            return None

    def forget(self) -> None:
        """Read what waves were submitted as again: one was submitted anew under its id."""
        self._spec.cache_clear()

    def _load_spec(self, wave_id: str) -> WaveSpec:
        data, submission = self.client.hmget(wave_key(wave_id), "spec", "submission")
        if data is None:
            raise LookupError(wave_id)
        try:
            return WaveSpec.load(wave_id, data, (submission or b"").decode())
        except DAMAGE as error:
            raise error if isinstance(error, UnreadableError) else _damaged(f"wave {wave_id!r}") from None

    def shard(self, spec: WaveSpec, where: str) -> Shard:
        """Return the shard of that number. Raises LookupError when Redis does not hold it, and UnreadableError."""
        return self._shard(spec.id, spec.submission, where)

    def _load_shard(self, wave_id: str, submission: str, where: str) -> Shard:
        with self.client.pipeline(transaction=False) as pipe:
            pipe.hget(f"{wave_key(wave_id)} shards", where)
            pipe.hget(wave_key(wave_id), "submission")
            data, now = pipe.execute()
        if data is None or (now or b"").decode() != submission:
            raise LookupError(f"wave {wave_id!r} has no shard {where} in Redis any more")
        try:
            return Shard.load(data)
        except DAMAGE:
            raise _damaged(f"shard {where} of wave {wave_id!r}") from None

    def put_shards(self, key: str, shards: Sequence[Shard], ttl: int, form: int = FORM) -> None:
        """Store shards under a key of their own, to be renamed when the wave is made; `ttl` in seconds."""
        for start in range(0, len(shards), 100):
            part = {str(start + i): shard.dump(form) for i, shard in enumerate(shards[start : start + 100])}
            with self.client.pipeline(transaction=False) as pipe:
                pipe.hset(key, mapping=part)
                pipe.expire(key, ttl)
                pipe.execute()

    def info(self, wave_id: str) -> WaveInfo | None:
        """Return how a wave stands, None when Redis does not hold it, or what it holds cannot be read."""
        return self.infos([wave_id]).get(wave_id)

    def infos(self, wave_ids: Sequence[str]) -> dict[str, WaveInfo]:
        """Return how waves stand, without those that Redis does not hold, and those that cannot be read."""
        found = self._of_each(wave_ids, lambda pipe, key: pipe.hmget(key, _INFO))
        return dict(readable(lambda item: (item[0], _info(item[1])), found))

    def counts(self, wave_id: str) -> dict[str, dict[str, int]]:
        """Return, for each task, its characters with how many entities have them, and "us": microseconds of work."""
        return _by_task(self.client.hgetall(f"{wave_key(wave_id)} counts"))

    def counts_of(self, wave_ids: Sequence[str]) -> dict[str, dict[str, dict[str, int]]]:
        """Return what `counts` gives, of several waves."""
        found = self._of_each(wave_ids, lambda pipe, key: pipe.hgetall(f"{key} counts"))
        return {wave_id: {} for wave_id in wave_ids} | {i: _by_task(fields) for i, fields in found}

    def _of_each(
        self, wave_ids: Sequence[str], ask: Callable[[Any, str], object]
    ) -> Iterator[tuple[str, Any]]:
        """Yield the ids of waves with Redis' answers, without those whose key is of another type."""
        with self.client.pipeline(transaction=False) as pipe:
            for wave_id in wave_ids:
                ask(pipe, wave_key(wave_id))
            found = pipe.execute(raise_on_error=False)
        for wave_id, answer in zip(wave_ids, found, strict=True):
            if type(answer) is ResponseError:
                continue
            if isinstance(answer, Exception):
                raise answer
            yield wave_id, answer

    def statuses(self, wave_id: str, units: Sequence[Unit]) -> list[str]:
        """Return the units' characters, "" for those of which nothing was reported."""
        found = []
        for start in range(0, len(units), 500):
            fields = [str(unit) for unit in units[start : start + 500]]
            found += self.client.hmget(f"{wave_key(wave_id)} status", fields)
        return [chars.decode() if chars else "" for chars in found]

    def errors(self, wave_id: str, task: str | None = None) -> dict[tuple[str, str, int], str]:
        """Return the texts by (task, where, index of the entity)."""
        match = f"{task} *" if task else None
        return dict(
            readable(_error, self.client.hscan_iter(f"{wave_key(wave_id)} errors", match=match, count=1000))
        )

    def error(self, wave_id: str, unit: Unit, index: int) -> str:
        """Return the text of one entity of a unit, "" where there is none."""
        text = self.client.hget(f"{wave_key(wave_id)} errors", f"{unit} {index}")
        return text.decode() if text else ""

    def drop_errors(self, wave_id: str, keys: Iterable[tuple[str, str, int]]) -> None:
        """Forget texts, because their entities are run again."""
        fields = [f"{task} {where} {index}" for task, where, index in keys]
        for start in range(0, len(fields), 1000):
            self.client.hdel(f"{wave_key(wave_id)} errors", *fields[start : start + 1000])

    def conditions(self, wave_id: str) -> dict[Unit, Condition]:
        """Return how each unit stands that was ever claimed, or an input of which has ended, if it can be read."""
        return dict(readable(_condition, self.client.hscan_iter(f"{wave_key(wave_id)} units", count=1000)))

    def starts(self, wave_id: str) -> dict[str, float]:
        """Return when the first unit of each place was claimed: where -> seconds since the epoch."""
        found = self.client.hgetall(f"{wave_key(wave_id)} starts")
        return {where.decode(): int(at) / 1000 for where, at in found.items()}

    def incidents(self, wave_id: str) -> tuple[list[Incident], int]:
        """Return what went otherwise than it should, oldest first, and how many more there were than are kept."""
        lines = self.client.lrange(f"{wave_key(wave_id)} incidents", 0, -1)
        untold = self.client.hget(wave_key(wave_id), "untold")
        return _incidents(lines), int(untold or 0)

    def incidents_of(self, wave_ids: Sequence[str]) -> dict[str, list[Incident]]:
        """Return those of several waves, without how many more there were."""
        found = self._of_each(wave_ids, lambda pipe, key: pipe.lrange(f"{key} incidents", 0, -1))
        return {wave_id: _incidents(lines) for wave_id, lines in found}

    def leave_out(self, wave_id: str, left: LeftOut) -> None:
        """Note entities that a wave goes on without; those of which it is noted already count no more."""
        key = f"{wave_key(wave_id)} left"
        gone = self.client.hget(wave_key(wave_id), "gone")
        if not left or gone is None:
            return
        room = max(KEPT + 1 - self.client.hlen(key), 0)
        with self.client.pipeline(transaction=True) as pipe:
            for name, why in list(left.reasons.items())[:room]:
                pipe.hsetnx(key, name, why)
            known = [not new for new in pipe.execute()] if room else []
            pipe.hincrby(key, "", left.count - sum(known))
            pipe.pexpireat(key, int(gone))
            pipe.execute()

    def left_out(self, wave_id: str) -> LeftOut:
        """Return the entities that a wave goes on without."""
        return self.left_out_of([wave_id])[wave_id]

    def left_out_of(self, wave_ids: Sequence[str]) -> dict[str, LeftOut]:
        """Return what `left_out` gives, of several waves."""
        with self.client.pipeline(transaction=False) as pipe:
            for wave_id in wave_ids:
                pipe.hgetall(f"{wave_key(wave_id)} left")
            return {i: _left_out(fields) for i, fields in zip(wave_ids, pipe.execute(), strict=True)}

    def newest_scheduled(self, version: str, flow: str, now: datetime) -> str | None:
        """Return the hour of the newest wave that a flow's schedule has started, None before the first.

        One that is later than `now` was started by a wrong clock: it does not count, and the next wave replaces it.
        """
        found = self.scheduled([(version, flow)]).get((version, flow))
        return found if found and found <= stamp(now) else None

    def scheduled(self, named: Sequence[tuple[str, str]]) -> dict[tuple[str, str], str]:
        """Return (version, flow) -> that hour of each flow that has one, whatever it is."""
        marks = self.client.mget([_scheduled(*each) for each in named]) if named else []
        return {each: mark.decode(errors="replace") for each, mark in zip(named, marks, strict=True) if mark}

    def note_scheduled(self, version: str, flow: str, date: str) -> str | None:
        """Note the hour of a scheduled wave that was started, and return the one before."""
        found = self.client.set(_scheduled(version, flow), date, get=True)
        return found.decode() if found else None

    def ids(self, version: str | None = None, flow: str | None = None) -> list[str]:
        """Return the ids of the waves that Redis holds, newest date first, of one version or flow where given."""
        found = [
            (date.split(" ")[0], wave_id)
            for wave_id, (its, name, date) in readable(_named, self.client.zrange(WAVES, 0, -1))
            if version in (None, its) and flow in (None, name)
        ]
        return [wave_id for _, wave_id in sorted(found, reverse=True)]


def _named(member: bytes) -> tuple[str, tuple[str, str, str]]:
    return member.decode(), name_of(member.decode())


def _damaged(what: str) -> UnreadableError:
    return UnreadableError(f"{what} is damaged: what Redis holds of it is not what was written.")
