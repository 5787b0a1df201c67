"""Ask a source over HTTP: politely, with patience, and without telling its secrets."""

from __future__ import annotations

import atexit
import itertools
import logging
import os
import random
import re
import threading
import time
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from datetime import UTC, datetime
from email.utils import parsedate_to_datetime
from functools import cache
from http import HTTPStatus
from http.cookiejar import CookieJar, DefaultCookiePolicy
from typing import Any

import httpx

from pipeline.errors import RunError

Scalar = str | int | float | bool
ClientFactory = Callable[[], httpx.Client]

MAX_BYTES = 20 * 2**20  # of one answer
FIRST_WAIT, LONGEST_WAIT = 0.5, 30.0  # seconds between two tries
DOWN = 10.0  # seconds that a source which failed in all tries is asked once only for each further entity
_QUOTED = r"""\s*b?['"]"""
_SECRET = 8  # characters from which on a value that may be a secret is taken out of messages
_SHOWN = 200  # characters of an answer that a message shows


class _Passing(Exception):
    """What may go better the next time, after so many seconds if the source said so."""

    def __init__(self, text: str, after: float | None = None) -> None:
        super().__init__(text)
        self.after = after


@dataclass(frozen=True, slots=True)
class Call:
    """One request, ready to be sent."""

    url: httpx.URL
    headers: Mapping[str, str]
    constants: Sequence[str] = ()  # what is the same for all entities, such as a key

    @property
    def place(self) -> str:
        """The address without credentials, query and fragment."""
        return str(self.url.copy_with(userinfo=b"", query=None, fragment=None))

    def clean(self, text: str) -> str:
        """Take the secrets of this request out of a text, and put it on one line."""
        secrets = {*self.headers.values(), *self.constants, self.url.password}
        secrets |= {value.rpartition(" ")[2] for value in self.headers.values()}  # of "Bearer ..."
        for secret in sorted(secrets, key=len, reverse=True):
            if len(secret) >= _SECRET:
                text = text.replace(secret, "***")
        return " ".join(text.split())


@dataclass
class HttpSource:
    """A source, and how it fares in this process."""

    what: str  # its task, for messages
    timeout: float  # seconds that it may be silent
    patience: float  # seconds that one entity may take, with all tries and waits
    retries: int  # tries after the first
    missing: frozenset[int]  # statuses that mean: no observation
    client: ClientFactory = field(default_factory=lambda: new_client)
    _closed_until: float = 0.0  # it asked for no requests until then
    _down_until: float = 0.0

    def call(
        self, address: str, params: Mapping[str, Scalar], headers: Mapping[str, str], declared: Sequence[str]
    ) -> Call:
        """Prepare a request. `declared` are texts that do not come from an entity: what is in them may be secret."""
        try:
            own = httpx.URL(address)
        except httpx.InvalidURL as error:
            # The rest of the message may show a part of a password that was not quoted.
            raise RunError(f"{self.what}: the url cannot be read: {str(error).partition(':')[0]}.") from None
        constants = [value for value in own.params.values() if any(value in text for text in declared)]
        return Call(own.copy_merge_params(dict(params)), headers, [*declared, *constants])

    def get(self, call: Call) -> bytes | None:
        """Return the body of the answer, None where there is no observation.

        Tries again, with growing waits, when the connection fails and after the statuses 429 and 5xx; waits as long
        as a Retry-After says, all threads together. Raises RunError.
        """
        deadline = time.monotonic() + self.patience
        for tries in itertools.count(1):
            self._wait_until_open(call, deadline)
            try:
                body = self._once(call, deadline)
            except _Passing as passing:
                self._prepare_next(call, passing, tries, deadline)
            else:
                self._down_until = 0.0
                return body
        raise AssertionError("unreachable")

    def _wait_until_open(self, call: Call, deadline: float) -> None:
        wait = self._closed_until - time.monotonic()
        if wait <= 0:
            return
        if time.monotonic() + wait > deadline:
            raise self._error(
                call, f"the source asks for no requests for another {wait:.0f} s ({self._limit()})"
            )
        time.sleep(wait)

    def _prepare_next(self, call: Call, passing: _Passing, tries: int, deadline: float) -> None:
        """Wait before the next try, or raise when there is to be none."""
        now = time.monotonic()
        if passing.after is not None:
            self._closed_until = max(self._closed_until, now + passing.after)
        wait = backoff(tries) if passing.after is None else passing.after
        text = f"{passing}, tried {tries} time{'s' if tries > 1 else ''}"
        if passing.after is not None and now + wait > deadline:
            raise self._error(call, f"{text}; it asks to wait {wait:.0f} s ({self._limit()})")
        if tries > self.retries or now < self._down_until or now + wait > deadline:
            self._down_until = now + DOWN
            raise self._error(call, text)
        if passing.after is None:
            time.sleep(wait)

    def _limit(self) -> str:
        return f"patience: {self.patience:g} s an entity"

    def _error(self, call: Call, text: str) -> RunError:
        return RunError(f"{self.what}: GET {call.place}: {text}")

    def _once(self, call: Call, deadline: float) -> bytes | None:
        timeout = max(min(self.timeout, deadline - time.monotonic()), 0.01)
        try:
            with client_of(self.client).stream(
                "GET", call.url, headers=call.headers, timeout=timeout
            ) as response:
                return self._answer(call, response, deadline)
        except httpx.TimeoutException as error:
            raise _Passing(f"no answer within {timeout:g} s ({type(error).__name__})") from None
        except httpx.LocalProtocolError as error:
            # It quotes the header that it is about.
            raise self._error(call, f"cannot be asked: {re.split(_QUOTED, str(error))[0]}") from None
        except (httpx.UnsupportedProtocol, httpx.InvalidURL) as error:
            raise self._error(call, f"cannot be asked: {call.clean(str(error))}") from None
        except (httpx.TransportError, httpx.DecodingError) as error:
            raise _Passing(f"{type(error).__name__}: {call.clean(str(error)) or 'no reason given'}") from None

    def _answer(self, call: Call, response: httpx.Response, deadline: float) -> bytes | None:
        status = response.status_code
        if status in self.missing or status == HTTPStatus.NO_CONTENT:
            return None
        if response.is_redirect:
            target = httpx.URL(response.headers["location"]).copy_with(
                userinfo=b"", query=None, fragment=None
            )
            raise self._error(call, f"HTTP {status}: it moved to {target}. Put that into the url.")
        body = self._body(call, response, deadline)
        if response.is_success:
            return body
        text = f"HTTP {status} {response.reason_phrase}".strip()
        said = call.clean(body[: 4 * _SHOWN].decode(errors="replace"))[:_SHOWN]
        text += f" ({said})" if said else ""
        if status == HTTPStatus.TOO_MANY_REQUESTS or status >= HTTPStatus.INTERNAL_SERVER_ERROR:
            raise _Passing(text, retry_after(response.headers.get("retry-after"), sent_at(response)))
        raise self._error(call, text)

    def _body(self, call: Call, response: httpx.Response, deadline: float) -> bytes:
        body = bytearray()
        for piece in response.iter_bytes():
            body += piece
            if len(body) > MAX_BYTES:
                raise self._error(
                    call, f"the answer is larger than {MAX_BYTES / 2**20:.0f} MB. Ask for less."
                )
            if time.monotonic() > deadline:
                raise _Passing(f"the answer did not end within {self.patience:g} s")
        return bytes(body)


def backoff(tries: int) -> float:
    """Return the seconds to wait after so many tries: twice as long each time, less a random part up to a half."""
    longest: float = min(FIRST_WAIT * 2 ** (tries - 1), LONGEST_WAIT)
    return longest * random.uniform(0.5, 1.0)


def sent_at(response: httpx.Response) -> datetime:
    """Return when a response was sent, by the clock that its Retry-After goes by; now where it does not tell."""
    try:
        return parsedate_to_datetime(response.headers.get("date", ""))
    except ValueError:
        return datetime.now(UTC)


def retry_after(header: str | None, now: datetime) -> float | None:
    """Read a Retry-After header, a number of seconds or a date, as seconds from now; None without a readable one."""
    if header is None:
        return None
    try:
        return max(
            float(header)
            if header.strip().isdigit()
            else (parsedate_to_datetime(header) - now).total_seconds(),
            0,
        )
    except (TypeError, ValueError):
        return None


def new_client() -> httpx.Client:
    """Build the client that all sources share. It keeps no cookies, so that no entity's answer changes another's."""
    return httpx.Client(
        cookies=CookieJar(DefaultCookiePolicy(allowed_domains=[])),
        limits=httpx.Limits(max_connections=None, max_keepalive_connections=50, keepalive_expiry=30.0),
        headers={"user-agent": "celery-waves"},
    )


_clients: dict[ClientFactory, httpx.Client] = {}
_lock = threading.Lock()
_inherited: list[Any] = []  # connections of the parent process: neither used nor closed here


def client_of(factory: ClientFactory) -> httpx.Client:
    """Return this process' client of a factory, made at its first use."""
    _at_first_use()
    with _lock:
        if factory not in _clients:
            _clients[factory] = factory()
        return _clients[factory]


@cache
def _at_first_use() -> None:
    """Prepare this process, which importing must not do: a program that only imports keeps its own log as it is."""
    atexit.register(close_clients)
    # httpx logs each request with its query, where API keys are.
    if logging.getLogger("httpx").level == logging.NOTSET:
        logging.getLogger("httpx").setLevel(logging.WARNING)


def close_clients() -> None:
    """Close the clients of this process. The next request makes new ones."""
    with _lock:
        while _clients:
            _clients.popitem()[1].close()


def _after_fork() -> None:
    global _clients, _lock
    _inherited.append(_clients)
    _clients, _lock = {}, threading.Lock()


os.register_at_fork(after_in_child=_after_fork)
