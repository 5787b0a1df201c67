"""What a command works with: settings, clients and flows, as the command line and the environment choose them."""

from __future__ import annotations

import functools
import os
import traceback
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager, suppress
from dataclasses import dataclass, replace
from datetime import datetime
from functools import cached_property
from pathlib import Path
from typing import Any, Concatenate, ParamSpec, TypeVar

import click
from kombu.exceptions import OperationalError
from redis.exceptions import RedisError

from pipeline.cli.options import Chosen, flows_option, redis_option, together
from pipeline.errors import FlowError, KeyFormatError, PipelineError, UnknownName, listed, near
from pipeline.flows.discover import Flows, load_flows
from pipeline.flows.flow import Flow
from pipeline.flows.pipe import hour, stamp
from pipeline.flows.state import State
from pipeline.settings import Settings
from pipeline.waves.runtime import Runtime, unreachable
from pipeline.waves.wave import Wave

P = ParamSpec("P")
R = TypeVar("R")

ANSWER_LIMIT = 5.0  # seconds that a command waits for Redis at most; a person waits for it


@dataclass
class Session:
    """One use of the command."""

    chosen: Chosen

    @cached_property
    def settings(self) -> Settings:
        """The environment's settings, with what was chosen on the command line instead."""
        found = Settings.from_env()
        return replace(
            found,
            redis_url=self.chosen.redis or found.redis_url,
            # One Redis that was named on the command line is meant for all.
            store_url="" if self.chosen.redis else found.store_url,
            flows=tuple(self.chosen.flows) or found.flows,
            socket_timeout=min(found.socket_timeout, ANSWER_LIMIT),
        )

    @cached_property
    def runtime(self) -> Runtime:
        """Clients of a Redis that answers. Raises UnreachableError."""
        found = Runtime(self.settings)
        found.check()
        return found

    def close(self) -> None:
        """Close the connections that no thread uses any more."""
        if "runtime" in self.__dict__:
            self.runtime.client.connection_pool.disconnect(inuse_connections=False)

    @cached_property
    def flows(self) -> Flows:
        """The flows of PIPELINE_FLOWS or -F."""
        return load(self.settings.flows)

    def flow(self, name: str) -> Flow:
        """Find a flow by its name, or load `module:flow` or `file.py[:flow]`. Raises UnknownName or FlowError."""
        if not is_place(name):
            return self.flows.find(name)
        found = load([name])
        if len(found) > 1:
            raise FlowError(f"{name} holds several flows: {listed(found)}. Choose one: {name}:{min(found)}.")
        return next(iter(found.values()))

    @property
    def states(self) -> dict[str, State]:
        """The states that the flows declare, by name; where some only name it, as the others declare it."""
        found: dict[str, State] = {}
        for flow in self.flows.values():
            if flow.state is not None and found.get(flow.state.name, State(flow.state.name)) == State(
                flow.state.name
            ):
                found[flow.state.name] = flow.state
        return found

    def state(self, name: str, flow: Flow | None = None) -> State:
        """Find a state that a flow declares or that holds entities, the flow's own first. Raises UnknownName."""
        own = {} if flow is None or flow.state is None else {flow.state.name: flow.state}
        declared = self.states | own
        self.runtime.states.check(name, declared)
        return declared.get(name, State(name))

    def wave(self, words: Sequence[str]) -> Wave:
        """Find a wave by its id, quoted or not, or by its flow's name: then the newest. Raises UnknownName."""
        text, records = " ".join(words), self.runtime.records
        if records.spec(text) is not None:
            return Wave.find(text, self.runtime)
        known = records.ids()
        matching = [wave_id for wave_id in known if _matches(text, wave_id)]
        if not matching:
            names = {*known, *(wave_id.split(" ")[0].rpartition("/")[2] for wave_id in known)}
            raise UnknownName(f"no wave {text!r} in Redis.{near(text, names)} `wave ls` lists them.")
        return Wave.find(matching[0], self.runtime)


def is_place(name: str) -> bool:
    """Return whether it is `module:flow` or `file.py` rather than the name of a flow."""
    return ":" in name or name.endswith(".py")


def load(names: Sequence[str]) -> Flows:
    """Import flows; what a module of the user's raises is shown from where it was raised. Raises FlowError."""
    try:
        return load_flows(names)
    except PipelineError:
        raise
    except Exception as error:
        raise FlowError(f"cannot import {listed(names)}:\n{own_traceback(error)}") from None


def own_traceback(error: BaseException) -> str:
    """Write a traceback from the first line on that is neither ours nor the import machinery's."""
    home = str(Path(__file__).resolve().parent.parent) + os.sep
    trace = error.__traceback__
    while trace is not None and trace.tb_next is not None:
        place = trace.tb_frame.f_code.co_filename
        if not place.startswith((home, "<frozen importlib")) and os.sep + "importlib" + os.sep not in place:
            break
        trace = trace.tb_next
    return "".join(traceback.format_exception(type(error), error, trace)).rstrip()


def _matches(text: str, wave_id: str) -> bool:
    """Return whether a wave is meant by `flow`, `version/flow`, `flow date` or `version/flow date`."""
    head, date, *_ = wave_id.split(" ")
    wanted, _, when = text.partition(" ")
    return wanted in (head, head.rpartition("/")[2]) and when in ("", date)


Command = Callable[Concatenate[Session, P], R]


def _with(*options: Callable[[Any], Any]) -> Callable[[Command[P, R]], Callable[P, R]]:
    """Build a decorator that gives a command its session and these options."""

    def decorate(command: Command[P, R]) -> Callable[P, R]:
        @functools.wraps(command)
        def call(*args: P.args, **kwargs: P.kwargs) -> R:
            session = Session(click.get_current_context().ensure_object(Chosen))
            try:
                with answering(session):
                    return command(session, *args, **kwargs)
            finally:
                session.close()

        return together(*options)(call)

    return decorate


with_session = _with(flows_option, redis_option)
with_redis = _with(redis_option)
with_flows = _with(flows_option)


@contextmanager
def answering(session: Session) -> Iterator[None]:
    """Turn a lost connection into UnreachableError."""
    try:
        yield
    except (RedisError, OperationalError) as error:
        raise unreachable(session.settings.redis_url, error) from error


class Hour(click.ParamType[datetime]):
    """A date on the command line: an hour in UTC."""

    name = "hour"

    def convert(self, value: Any, param: click.Parameter | None, ctx: click.Context | None) -> datetime:
        """Read it. Raises KeyFormatError."""
        return hour(value)


HOUR = Hour()


def check_past(session: Session, date: datetime, remedy: str) -> None:
    """Refuse an hour that has not begun: its wave would be the newest one until then. Raises KeyFormatError."""
    present = session.runtime.clock.hour()
    if date > present:
        raise KeyFormatError(
            f"date {stamp(date)} is later than the present hour, {stamp(present)} (UTC): its wave would count as the "
            f"newest one until then. {remedy}"
        )


def complete_flow(ctx: click.Context, _: click.Parameter, begun: str) -> list[str]:
    """Return the names of flows that begin so, for a shell that completes; none where they cannot be read."""
    with suppress(Exception):
        return [name for name in Session(ctx.ensure_object(Chosen)).flows if name.startswith(begun)]
    return []


def complete_wave(ctx: click.Context, _: click.Parameter, begun: str) -> list[str]:
    """Return `version/flow` of the waves in Redis that begin so, for a shell that completes; it is the newest wave."""
    with suppress(Exception):
        ids = Session(ctx.ensure_object(Chosen)).runtime.records.ids()
        return [name for name in dict.fromkeys(i.split(" ")[0] for i in ids) if name.startswith(begun)]
    return []


flow_argument: Callable[[Any], Any] = click.argument("flow", shell_complete=complete_flow)
wave_argument: Callable[[Any], Any] = click.argument(
    "wave", nargs=-1, required=True, shell_complete=complete_wave
)
