"""A discrete-event model of waves, a queue, tasks that start late and cost money, and a scaling policy.

A wave's shards come into one queue, each free slot takes the next, and a shard's next stage is queued when the one
before has ended. What is left out: Redis' own limits, failures, and APIs that grow slower with the number of callers.
"""

from __future__ import annotations

import heapq
import random
from collections import deque
from collections.abc import Sequence
from dataclasses import dataclass, field

from ecs.control.policy import Work
from ecs.simulator.outcome import Outcome
from ecs.simulator.policies import Policy, Seen
from ecs.simulator.scenario import FlowModel, Scenario, TaskModel

WAVE, READY, DONE, LOOK = range(4)


@dataclass(frozen=True, slots=True)
class Arrival:
    """A wave.

    Args:
        at: Seconds from the beginning until it is submitted.
        entities: How many it is run over.

    Example:
        >>> hourly = [Arrival(at=3600.0 * n, entities=10_000) for n in range(24)]
    """

    at: float
    entities: int


@dataclass(slots=True)
class Container:
    """One task of the service."""

    asked: float  # since when it is billed
    number: int
    ready: bool = False
    busy: int = 0
    leaving: bool = False  # takes nothing more: it is protected until what it runs has ended


@dataclass(slots=True)
class Run:
    """One wave in the simulation."""

    arrival: Arrival
    left: int  # messages that have not ended
    seconds: float  # work that has not begun
    ended: float | None = None


@dataclass
class Simulation:
    """One run of a trace under one policy. The same seed gives the same result.

    Args:
        scenario: The flow, the containers and their price.
        policy: How many tasks to have.
        arrivals: The waves.
        starting: Tasks that are there at the beginning.
        until: Seconds after which it ends at the earliest; else with the last message.
        seed: Of what messages and starts take.
        joins: Moments at which tasks take their first message, whatever the policy says.
        now: The moment that it begins at.

    Example:
        >>> class Two:
        ...     period, delay = 60.0, 0.0
        ...     def __call__(self, now, seen, desired):
        ...         return 2
        >>> scenario = Scenario(FlowModel((Stage("delay", seconds=0.1),)))
        >>> Simulation(scenario, Two(), [Arrival(at=0.0, entities=1000)]).run().tasks
        2
    """

    scenario: Scenario
    policy: Policy
    arrivals: Sequence[Arrival]
    starting: int = 0  # tasks that are there at the beginning
    until: float | None = None  # when it ends at the earliest; else with the last message
    seed: int = 1
    joins: Sequence[float] = ()  # moments at which tasks take their first message, whatever the policy says
    now: float = 0.0
    _events: list[tuple[float, int, int, object]] = field(default_factory=list)
    _queue: deque[tuple[int, int, int, float]] = field(default_factory=deque)  # run, stage, entities, since
    _count: int = 0

    def __post_init__(self) -> None:
        self.random = random.Random(self.seed)
        self.runs = [Run(a, 0, self.flow.each * a.entities) for a in self.arrivals]
        self.open = len(self.runs)
        self.containers: dict[int, Container] = {}
        self.free: list[int] = []  # containers, once for each free slot
        self.desired = self.most = self.starting
        self.backlog = self.worked = self.cpu = self.billed = 0.0
        self.flying = 0
        self.seen: deque[Seen] = deque()
        self.history: list[tuple[float, int, float]] = []
        self.launched = 0.0
        self.let: dict[int, float] = {}  # stage -> when its source has let through all that was taken so far

    @property
    def flow(self) -> FlowModel:
        """The flow's model."""
        return self.scenario.flow

    @property
    def task(self) -> TaskModel:
        """The container's model."""
        return self.scenario.task

    def run(self) -> Outcome:
        """Run it to its end."""
        for _ in range(self.starting):
            self._begin(self._new())
        for moment in self.joins:
            self._at(moment, READY, self._new())
        for index, arrival in enumerate(self.arrivals):
            self._at(arrival.at, WAVE, (index, 0))
        self._at(0.0, LOOK, None)
        while self._events and not self._over():
            self.now, _, kind, what = heapq.heappop(self._events)
            if kind == DONE:
                self._done(*what)  # type: ignore[misc]
            elif kind == READY:
                self._begin(what)  # type: ignore[arg-type]
            elif kind == WAVE:
                self._submit(*what)  # type: ignore[misc]
            else:
                self._look()
        return self._outcome()

    def _over(self) -> bool:
        return self.open == 0 and self.now >= (self.until or 0.0)

    def _at(self, moment: float, kind: int, what: object) -> None:
        self._count += 1
        heapq.heappush(self._events, (moment, self._count, kind, what))

    # Messages

    def _submit(self, index: int, _: int) -> None:
        run = self.runs[index]
        size = self.flow.shard_size(run.arrival.entities)
        shards = -(-run.arrival.entities // size)
        run.left = shards * len(self.flow.stages)
        for number in range(shards):
            entities = (number + 1) * run.arrival.entities // shards - number * run.arrival.entities // shards
            self._put(index, 0, entities, self.now + number * self.flow.submit)

    def _put(self, index: int, stage: int, entities: int, since: float) -> None:
        self.backlog += entities * self.flow.stages[stage].seconds
        self._queue.append((index, stage, entities, since))
        self._take()

    def _take(self) -> None:
        while self._queue and self.free:
            container = self.containers.get(self.free.pop())
            if container is None or container.leaving:
                continue
            index, stage, entities, since = self._queue.popleft()
            container.busy += 1
            self.flying += 1
            plain = entities * self.flow.stages[stage].seconds
            self.runs[index].seconds -= plain
            took = max(plain * self.random.gauss(1.0, self.flow.spread / max(entities, 1) ** 0.5), 0.0)
            start = max(self.now, since)
            took = max(took, self._allowed(stage, entities, start) - start) + self.flow.message
            self._at(start + took, DONE, (container, index, stage, entities, took))

    def _allowed(self, stage: int, entities: int, start: float) -> float:
        """Return when a source of limited rate has let so many entities through; a slot waits until then."""
        rate = self.flow.stages[stage].rate
        if not rate:
            return start
        self.let[stage] = max(self.let.get(stage, 0.0), start) + entities / rate
        return self.let[stage]

    def _done(self, container: Container, index: int, stage: int, entities: int, took: float) -> None:
        container.busy -= 1
        self.flying -= 1
        self.worked += took
        self.cpu += took * self.flow.stages[stage].cpu
        self.backlog -= entities * self.flow.stages[stage].seconds
        run = self.runs[index]
        run.left -= 1
        if container.leaving:
            if not container.busy:
                self._end(container)
        else:
            self.free.append(container.number)
        if stage + 1 < len(self.flow.stages):
            self._put(index, stage + 1, entities, self.now)
        else:
            self._take()
        if not run.left:
            run.ended = self.now
            self.open -= 1

    # Tasks

    def _new(self) -> Container:
        container = Container(self.now, self._count)
        self._count += 1
        self.containers[container.number] = container
        return container

    def _begin(self, container: Container) -> None:
        if container.leaving:
            return
        container.ready = True
        self.free += [container.number] * self.task.slots
        self._take()

    def _end(self, container: Container) -> None:
        self.billed += max(self.now - container.asked, self.scenario.price.minimum)
        self.containers.pop(container.number, None)

    def _scale(self, wanted: int) -> None:
        self.desired = wanted
        staying = [c for c in self.containers.values() if not c.leaving]
        for _ in range(wanted - len(staying)):
            self.launched = max(self.launched + 1 / self.task.launch, self.now)
            begun = self._new()
            begun.asked = self.launched
            self._at(self.launched + self.random.uniform(*self.task.start), READY, begun)
        # Those that do nothing go first; who runs something is protected until it has ended.
        for container in sorted(staying, key=lambda c: (c.busy, c.ready))[: max(len(staying) - wanted, 0)]:
            container.leaving = True
            if not container.busy:
                self._end(container)
        self.most = max(self.most, len(self.containers))

    def _look(self) -> None:
        self.seen.append(self._measure())
        due = self.now - self.policy.delay
        while len(self.seen) > 1 and self.seen[1].at <= due:
            self.seen.popleft()
        if self.seen[0].at <= due and not self.joins:
            wanted = self.policy(self.now, self.seen[0], self.desired)
            if wanted != self.desired or self.now == 0:
                self._scale(wanted)
        self.history.append((self.now, len(self.containers), self.backlog))
        self._at(self.now + min(self.policy.period, self.scenario.scaling.control * 6), LOOK, None)

    def _measure(self) -> Seen:
        running = sum(c.ready for c in self.containers.values())
        since = self.now - self.seen[-1].at if self.seen else 0.0
        cpu = self.cpu / (since * running * self.task.slots) if since and running else 0.0
        self.cpu = 0.0
        messages = len(self._queue) + self.flying
        return Seen(self.now, running, messages, max(self.backlog, 0.0), min(cpu, 1.0), self._works())

    def _works(self) -> list[Work]:
        """Return what the control service knows: open waves, and those that are due as soon as tasks can start."""
        scaling, found = self.scenario.scaling, []
        for run in self.runs:
            entities = run.arrival.entities
            need = self.flow.each * entities / scaling.goal / self.task.slots
            ahead = scaling.startup + scaling.margin + need / self.task.launch
            if run.ended is not None or run.arrival.at > self.now + ahead:
                continue
            begun = run.arrival.at <= self.now
            size = self.flow.shard_size(entities)
            units = -(-entities // size) * len(self.flow.stages)
            left = run.arrival.at + scaling.goal - max(self.now, run.arrival.at)
            startup = scaling.startup if begun else 0.0
            found.append(Work(max(run.seconds, 0.0), left, self.flow.each * size, units, startup))
        return found

    def _outcome(self) -> Outcome:
        for container in list(self.containers.values()):
            self.billed += max(self.now - container.asked, 0.0)
        entities = sum(a.entities for a in self.arrivals)
        return Outcome(
            tuple((run.ended or self.now) - run.arrival.at for run in self.runs),
            self.most,
            self.billed / 3600,
            self.worked,
            self.task.slots,
            self.billed / 3600 * self.scenario.price.hour(self.task),
            entities * len(self.flow.stages),
            tuple(self.history),
        )
