"""Telling of alerts: each once when it begins and once when it ends, however many processes look.

alerts       hash: "level what about" -> JSON [text, since when, channels that were told, form]
alerts:turn  text: who looks and tells now, so that the others wait for their next turn

What is known of an alert is written before it is told: a process that dies in between tells nobody, rather than
twice. What a channel has surely not taken is told at the next look.
"""

from __future__ import annotations

import threading
import time
import uuid
from collections.abc import Iterable, Iterator, Mapping, Sequence
from contextlib import contextmanager, suppress
from dataclasses import dataclass, replace
from typing import Any

import orjson
from redis import Redis
from redis.exceptions import RedisError

from pipeline.errors import UnreachableError
from pipeline.flows.flow import Flow
from pipeline.forms import FORM, readable
from pipeline.monitoring.alert_channels import NEW, RESOLVED, Channel, Notice
from pipeline.monitoring.alert_rules import CRITICAL, Alert, Bounds, alerts
from pipeline.monitoring.cover import process_covers
from pipeline.monitoring.observe import Observed, lately, observe, outcomes
from pipeline.settings import without_secret
from pipeline.telemetry.logs import get_logger
from pipeline.waves.runtime import Runtime

log = get_logger("pipeline.alerting")

KEY, TURN = "alerts", "alerts:turn"
EVERY = 60.0  # seconds between two looks
TURN_LIMIT = 120  # seconds after which a turn ends by itself
KEPT = 7 * 86400  # seconds that what was told is remembered without a change

# For how many seconds something must hold before it is told: a cluster that was scaled to zero needs some to start.
HOLD: Mapping[str, float] = {"untaken": 120.0, "keeper": 120.0}


@dataclass(frozen=True, slots=True)
class Known:
    """An alert that was seen, and who knows of it."""

    alert: Alert
    since: float  # seconds since the epoch
    told: frozenset[str] = frozenset()  # names of channels

    @property
    def key(self) -> str:
        """What it is known by, whatever its text says now."""
        return f"{self.alert.level} {self.alert.what} {self.alert.about}"

    def dump(self) -> bytes:
        """Write it as stored."""
        return orjson.dumps([self.alert.text, self.since, sorted(self.told), FORM])

    @classmethod
    def load(cls, key: str, data: bytes) -> Known:
        """Read what `dump` gave."""
        text, since, told, *_ = orjson.loads(data)
        level, what, about = key.split(" ", 2)
        return cls(Alert(level, what, about, text), since, frozenset(told))


def changes(
    known: Iterable[Known], found: Iterable[Alert], now: float, channel: str, hold: Mapping[str, float] = HOLD
) -> tuple[list[Known], list[Notice]]:
    """Return what is known after a look, and what one channel is to be told. Pure."""
    before = {one.key: one for one in known}
    after, notices = [], []
    for alert in found:
        one = Known(alert, now)
        if one.key in before:
            one = replace(before.pop(one.key), alert=alert)
        if channel not in one.told and now - one.since >= hold.get(alert.what, 0.0):
            notices.append(Notice(NEW, alert, one.since))
            one = replace(one, told=one.told | {channel})
        after.append(one)
    for one in before.values():  # it is over
        if channel in one.told:
            notices.append(Notice(RESOLVED, one.alert, one.since))
        if left := one.told - {channel}:
            after.append(replace(one, told=left))
    return after, notices


def look(runtime: Runtime, flows: Iterable[Flow], bounds: Bounds) -> tuple[list[Alert], Observed | None]:
    """Return what is wrong now, the critical first. That Redis does not answer is an alert too, then the only one."""
    try:
        with runtime.reachable():
            known = tuple(flows)
            observed = observe(runtime, known)
            covers = process_covers(runtime, known).known()
            found = outcomes(runtime, observed)
            return alerts(observed, found, bounds, covers, lately(runtime, observed)), observed
    except (UnreachableError, RedisError, OSError) as error:
        address = without_secret(runtime.settings.redis_url)
        text = (
            f"Redis at {address} does not answer ({type(error).__name__}). Waves stand still until it does."
        )
        return [Alert(CRITICAL, "redis", address, text)], None


class Teller:
    """Looks, and tells some channels what has changed."""

    def __init__(
        self, runtime: Runtime, flows: Iterable[Flow], channels: Sequence[Channel], bounds: Bounds
    ) -> None:
        self._runtime, self._flows = runtime, tuple(flows)
        self._channels, self._bounds = channels, bounds
        self._own: list[Known] = []  # what is known while Redis, which would know it, is gone

    def look(self) -> list[Alert]:
        """Look, tell what has changed, unless another process does so now; returns what is wrong."""
        found, observed = look(self._runtime, self._flows, self._bounds)
        if observed is None:
            self._own = self._tell(self._own, found)
            return found
        self._own = self._tell(self._own, [])
        with suppress(RedisError, OSError), _turn(self._runtime.client) as mine:
            if mine:
                found, observed = look(self._runtime, self._flows, self._bounds)  # as it is in this turn
                if observed is not None:
                    self._tell_shared(found, observed)
        return found

    def _tell(self, known: list[Known], found: Sequence[Alert]) -> list[Known]:
        for channel in self._channels:
            known, notices = changes(known, found, time.time(), channel.name)
            if notices:
                channel.tell(notices)
        return known

    def _tell_shared(self, found: Sequence[Alert], observed: Observed) -> None:
        client, now = self._runtime.client, observed.now.timestamp()
        known = _read(client)
        # Who knows no schedule of a flow cannot say that it is not late any more.
        judged = {f"{s.version}/{s.flow}" for s in observed.standings if s.due is not None}
        found = [
            *found,
            *(one.alert for one in known if one.alert.what == "late" and one.alert.about not in judged),
        ]
        for channel in self._channels:
            after, notices = changes(known, found, now, channel.name)
            _write(client, after)
            told = channel.tell(notices) if notices else 0
            if told < len(notices):
                again = {Known(notice.alert, 0.0).key for notice in notices[told:]}
                after = _untold(known, after, again)
                _write(client, after)
            known = after


def _untold(before: Iterable[Known], after: Iterable[Known], again: set[str]) -> list[Known]:
    """Take back, of some alerts, that a channel was told."""
    old = {one.key: one for one in before}
    kept = {one.key: one for one in after}
    for key in again:
        if key in old:
            kept[key] = replace(old[key], alert=kept[key].alert if key in kept else old[key].alert)
        else:
            kept[key] = replace(kept[key], told=frozenset())
    return list(kept.values())


def _read(redis: Redis) -> list[Known]:
    client: Any = redis
    return list(readable(lambda item: Known.load(item[0].decode(), item[1]), client.hgetall(KEY).items()))


def _write(redis: Redis, known: Iterable[Known]) -> None:
    values: dict[Any, Any] = {one.key: one.dump() for one in known}
    with redis.pipeline() as pipe:
        pipe.delete(KEY)
        if values:
            pipe.hset(KEY, mapping=values)
            pipe.expire(KEY, KEPT)
        pipe.execute()


@contextmanager
def _turn(redis: Redis) -> Iterator[bool]:
    """Take the turn, if nobody has it."""
    client: Any = redis
    token = uuid.uuid4().hex
    mine = bool(client.set(TURN, token, nx=True, ex=TURN_LIMIT))
    try:
        yield mine
    finally:
        if mine and (client.get(TURN) or b"").decode() == token:
            client.delete(TURN)


class Watch:
    """Looks every so often in a thread of its own."""

    def __init__(self, teller: Teller, every: float = EVERY) -> None:
        """Take how often to look, in seconds."""
        self._teller, self._every = teller, every
        self._stop = threading.Event()
        self._thread = threading.Thread(target=self._loop, name="alerts", daemon=True)

    def start(self) -> None:
        """Begin."""
        self._thread.start()

    def stop(self) -> None:
        """End it; what it tells just now may still arrive."""
        self._stop.set()

    def _loop(self) -> None:
        while True:
            try:
                self._teller.look()
            except Exception:
                log.exception("cannot tell of alerts, trying again")
            if self._stop.wait(self._every):
                return
