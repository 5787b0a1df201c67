"""JSON over HTTP, a request an entity.

    departures = http_json(
        "departures",
        "https://api.example.com/v1/{origin}/departures",
        params={"from": "{date}", "to": "{end}", "route": "{entity}"},
        headers=lambda: {"Authorization": f"Bearer {os.environ['FLIGHTS_TOKEN']}"},
        select="data.0.mean_delay",
        rate="50/s",
    )

Texts may name the fields of `template`. Requests are tried again after failed connections and the statuses 429
and 5xx. Headers, the query and credentials never get into messages.
"""

from __future__ import annotations

import json
from collections.abc import Callable, Collection, Mapping
from dataclasses import dataclass
from datetime import datetime
from typing import Any, Unpack
from urllib.parse import quote

from pipeline.errors import RunError, TaskError, listed, near
from pipeline.flows import durations
from pipeline.flows.durations import Duration
from pipeline.flows.task import DEFAULT_TIME_LIMIT, Task
from tasks.sources.declare import TaskOptions, declare
from tasks.sources.http_client import Call, ClientFactory, HttpSource, Scalar, new_client
from tasks.sources.template import Template
from tasks.sources.values import plain

Params = Mapping[str, Scalar] | Callable[[str, datetime], Mapping[str, Scalar]]
Headers = Mapping[str, str] | Callable[[], Mapping[str, str]]
Select = str | Callable[[Any], Any]

LONGEST_TEXT = 500  # characters of a message that lists what an answer has
THREADS = 8  # that ask at the same time, within one shard
_REFUSED = {
    "window": "a collection task reads no pipes.",
    "timeout": "say request_timeout, how long it may be silent.",
}


def http_json(
    name: str,
    url: str,
    *,
    params: Params | None = None,
    headers: Headers | None = None,
    select: Select | None = None,
    request_timeout: Duration = "10s",
    patience: Duration | None = None,
    retries: int = 3,
    missing: Collection[int] = (404,),
    client: ClientFactory = new_client,
    **options: Unpack[TaskOptions],
) -> Task:
    """Build a collection task that asks an address for JSON.

    With per="wave" or "partition" it asks once a scope.

    Args:
        name: The pipe's.
        url: The address; the values of its fields are quoted.
        params: The query: name -> text with fields; or a function (entity, date) -> mapping.
        headers: Name -> value; or a function that returns them, for a token from the environment.
        select: What of the answer is the value: a path like "data.0.{entity}", or a function of the answer.
        request_timeout: How long the source may be silent.
        patience: How long one entity may take, with all tries and waits; a tenth of the time limit by default.
        retries: Tries after the first.
        missing: Statuses that mean: no observation. So do 204 and a selected null.
        client: Makes the process' httpx.Client, for a proxy or a certificate.
        **options: Those of `@task`, but `window` and `timeout`; `concurrency` is 8 by default.

    Raises:
        TaskError: The declaration cannot work.
        DurationError: A length of time or the rate cannot be read.
    """
    what = f"http_json {name!r}"
    limit = durations.seconds(options.get("time_limit", DEFAULT_TIME_LIMIT), f"{what}: time_limit")
    _check(what, url, retries, missing)
    if options.get("batch") and not options.get("per"):
        raise TaskError(
            f"{what} asks for one entity at a time, so batch=True wants per='partition' or per='wave'."
        )
    asked = _Asked(
        HttpSource(
            what,
            durations.seconds(request_timeout, f"{what}: request_timeout"),
            limit / 10 if patience is None else durations.seconds(patience, f"{what}: patience"),
            retries,
            frozenset(missing),
            client,
        ),
        Template(url, f"{what}: the url"),
        _templates(what, params),
        headers or {},
        _selector(what, select),
    )

    def call(entity: str, date: datetime) -> Any:
        return asked.value(entity, date)

    if "concurrency" not in options and not options.get("per"):
        options["concurrency"] = THREADS
    return declare("http_json", name, call, options, _REFUSED)


@dataclass(frozen=True)
class _Asked:
    """What is asked of a source for an entity at an hour."""

    source: HttpSource
    url: Template
    params: Mapping[str, Template] | Callable[[str, datetime], Mapping[str, Scalar]]
    headers: Headers
    select: Callable[[Any, str, datetime], Any]

    def value(self, entity: str, date: datetime) -> Any:
        """Ask, and take the value out of the answer."""
        body = self.source.get(self._call(entity, date))
        if body is None:
            return None
        try:
            answer = json.loads(body)
        except ValueError:
            start = body[:80].decode(errors="replace").strip() if body else "nothing"
            raise RunError(
                f"{self.source.what}: the answer is not JSON, but begins with {start!r}."
            ) from None
        return plain(self.select(answer, entity, date))

    def _call(self, entity: str, date: datetime) -> Call:
        address = self.url.fill(entity, date, lambda text: quote(text, safe=""))
        given = (
            self.params(entity, date) if callable(self.params) else self._filled(self.params, entity, date)
        )
        headers = self.headers() if callable(self.headers) else self.headers
        # What is the same for all entities may be a key, and is kept out of messages.
        constants = [str(value) for key, value in given.items() if not self._varies(key)]
        return self.source.call(address, given, headers, [*constants, self.url.text])

    def _filled(self, params: Mapping[str, Template], entity: str, date: datetime) -> dict[str, str]:
        return {key: text.fill(entity, date) for key, text in params.items()}

    def _varies(self, key: str) -> bool:
        return not callable(self.params) and not self.params[key].constant


def _check(what: str, url: str, retries: int, missing: Collection[int]) -> None:
    if not isinstance(url, str) or not url.startswith(("http://", "https://")):
        raise TaskError(f"{what}: {url!r} is not an address. Begin it with https:// or http://.")
    if isinstance(retries, bool) or not isinstance(retries, int) or retries < 0:
        raise TaskError(f"{what}: retries={retries!r} is not a number of tries. Use 0 or more.")
    if isinstance(missing, int) or not all(isinstance(status, int) for status in missing):
        raise TaskError(
            f"{what}: missing={missing!r} is not a list of HTTP statuses. Write missing=(404,), or ()."
        )


def _templates(
    what: str, params: Params | None
) -> Mapping[str, Template] | Callable[..., Mapping[str, Scalar]]:
    if callable(params):
        return params
    values = [None] if params is not None and not isinstance(params, Mapping) else (params or {}).values()
    if not all(isinstance(value, Scalar) for value in values):
        raise TaskError(
            f"{what}: params={params!r} is not a mapping of texts and numbers. Write {{'route': '{{entity}}'}}."
        )
    return {
        key: Template(
            value if isinstance(value, str) else json.dumps(value), f"{what}: the parameter {key!r}"
        )
        for key, value in (params or {}).items()
    }


def _selector(what: str, select: Select | None) -> Callable[[Any, str, datetime], Any]:
    """Return the function that takes the value out of an answer."""
    if select is None:
        return lambda answer, entity, date: answer
    if callable(select):
        return lambda answer, entity, date: select(answer)
    if not isinstance(select, str) or not all(select.split(".")):
        raise TaskError(
            f"{what}: select={select!r} is not a path. Write it like 'data.0.value', or give a function."
        )
    parts = [Template(part, f"{what}: select") for part in select.split(".")]

    def walk(answer: Any, entity: str, date: datetime) -> Any:
        path = ""
        for part in parts:
            name = part.fill(entity, date)
            answer = _step(answer, name, f"{what}: select {select!r}: {path or 'the answer'}")
            path = f"{path}.{name}" if path else name
        return answer

    return walk


def _step(answer: Any, name: str, at: str) -> Any:
    """Go one step down a path. Raises RunError, which says what there is instead."""
    if isinstance(answer, Mapping):
        if name in answer:
            return answer[name]
        raise RunError(
            f"{at} has no {name!r}.{near(name, answer)} It has: {listed(answer, 'nothing')}."[:LONGEST_TEXT]
        )
    if isinstance(answer, list):
        try:
            return answer[int(name)]
        except ValueError:
            raise RunError(f"{at} is a list, and {name!r} is not a number.") from None
        except IndexError:
            raise RunError(f"{at} is a list of {len(answer)}, without a number {name}.") from None
    raise RunError(f"{at} is {json.dumps(answer)[:80]}, which has no {name!r}.")
