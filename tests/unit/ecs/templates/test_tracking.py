"""The policies as they are deployed, in a small model of what AWS makes of them.

Application Auto Scaling, as documented: a metric has a value a minute. Target tracking adds tasks in proportion after
three values above the target, and takes some away after fifteen below 90 % of it. Step scaling acts at each value of
an alarm, and counts what it added within its cooldown. Both ask for the larger count; a scale-in of one needs the other
to have none. A task takes a minute to start, Container Insights tell its count a minute late, and a task that runs
something is protected.
"""

from __future__ import annotations

import math
from collections import deque
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from itertools import groupby, pairwise
from typing import Any

import pytest

from ecs.templates.environment import template
from ecs.templates.service_roles import COLLECT, COMPUTE, ROLES, SERVE, Role

RESOURCES: Mapping[str, Any] = template()["Resources"]
SCALING = [role for role in ROLES if role.scales]
STEP = 10  # seconds between two values that the control service publishes
MOST = 50


def evaluate(expression: str, values: Mapping[str, float | None]) -> float:
    """Metric math, as far as these expressions use it; None is a metric without a value."""

    def fill(value: float | None, default: float) -> float:
        return default if value is None else value

    def choose(condition: bool, yes: float, no: float) -> float:
        return yes if condition else no

    return float(eval(expression, {"__builtins__": {}}, {"FILL": fill, "IF": choose, **values}))


@dataclass
class Deployed:
    """The policies of one role."""

    role: Role

    def __post_init__(self) -> None:
        key = self.role.key
        tracking = RESOURCES[f"{key}Tracking"]["Properties"]["TargetTrackingScalingPolicyConfiguration"]
        self.target = tracking["TargetValue"]
        self.cooldowns = tracking["ScaleOutCooldown"], tracking["ScaleInCooldown"]
        metrics = tracking["CustomizedMetricSpecification"]["Metrics"]
        (self.tracked,) = [metric["Expression"] for metric in metrics if metric["ReturnData"]]
        steps = RESOURCES[f"{key}FromZero"]["Properties"]["StepScalingPolicyConfiguration"]
        self.steps, self.cooldown = steps["StepAdjustments"], steps["Cooldown"]
        alarm = RESOURCES[f"{key}Waiting"]["Properties"]
        assert alarm["EvaluationPeriods"] == 1
        assert alarm["AlarmActions"] == [{"Ref": f"{key}FromZero"}]
        (self.waiting,) = [each["Expression"] for each in alarm["Metrics"] if each["ReturnData"]]
        self.threshold = alarm["Threshold"]

    def step(self, value: float) -> int:
        """Give the tasks that step scaling adds for a value of its alarm."""
        over = value - self.threshold
        (found,) = [
            each["ScalingAdjustment"]
            for each in self.steps
            if each["MetricIntervalLowerBound"] <= over < each.get("MetricIntervalUpperBound", math.inf)
        ]
        return int(found)


@dataclass
class Model:
    """A service, its queue, and the policies that scale it. Times are seconds."""

    deployed: Deployed
    arrives: Callable[[float], float]  # seconds of one slot that arrive at a moment, in a step
    message: float = 2.0  # seconds that one message takes
    start: float = 60.0
    late: int = 1  # minutes by which the count of tasks is told late
    desired: int = 0
    backlog: float = 0.0
    busy: float = 0.0
    tasks: list[float] = field(default_factory=list)  # when each takes messages
    history: list[tuple[float, int, float]] = field(default_factory=list)  # moment, desired, backlog
    lost: int = 0  # tasks that were taken away while they worked

    def run(self, until: float) -> Model:
        """Run it; every minute the policies look."""
        told: deque[int] = deque([self.desired] * (self.late + 1), maxlen=self.late + 1)
        seen: list[tuple[float, float]] = []
        values: deque[float] = deque(maxlen=15)
        now, changed, stepped, added = 0.0, -math.inf, -math.inf, 0
        while now < until:
            self._work(now)
            seen.append((self.backlog, self.busy))
            now += STEP
            if now % 60 == 0:
                told.append(self.desired)
                means = {
                    "backlog": sum(one for one, _ in seen) / len(seen),
                    "busy": sum(two for _, two in seen) / len(seen),
                    "planned": None,
                    "tasks": float(told[0]),
                }
                seen.clear()
                values.append(evaluate(self.deployed.tracked, means))
                wanted = self._tracked(values, now - changed)
                waiting = evaluate(self.deployed.waiting, means)
                if waiting > self.deployed.threshold:
                    more = self.deployed.step(waiting)
                    again = added if now - stepped < self.deployed.cooldown else 0
                    if more > again:
                        wanted = max(wanted, self.desired + more - again)
                        stepped, added = now, more
                wanted = min(wanted, MOST)
                if wanted != self.desired:
                    changed = now
                    values.clear()
                self._scale(now, wanted)
            self.history.append((now, self.desired, self.backlog))
        return self

    def _tracked(self, values: deque[float], since: float) -> int:
        target, (out, back) = self.deployed.target, self.deployed.cooldowns
        last = list(values)[-3:]
        if self.desired and len(last) == 3 and min(last) > target and since >= out:
            return math.ceil(self.desired * last[-1] / target)
        if len(values) == 15 and max(values) < 0.9 * target and since >= back:
            return math.ceil(self.desired * max(values) / target)
        return self.desired

    def _work(self, now: float) -> None:
        self.backlog += self.arrives(now)
        slots = sum(ready <= now for ready in self.tasks) * self.deployed.role.slots
        done = min(slots * STEP, self.backlog)
        self.busy = (
            min(slots, math.ceil(self.backlog / self.message))
            if slots * STEP <= self.backlog
            else done / STEP
        )
        self.backlog -= done

    def _scale(self, now: float, wanted: int) -> None:
        self.tasks += [now + self.start] * (wanted - len(self.tasks))
        idle = len(self.tasks) - math.ceil(self.busy / self.deployed.role.slots)
        gone = min(
            len(self.tasks) - wanted, idle
        )  # the others are protected, and go when their work has ended
        self.lost += max(len(self.tasks) - wanted - max(idle, 0), 0)
        if gone > 0:
            self.tasks = self.tasks[:-gone]
        self.desired = wanted

    @property
    def turns(self) -> int:
        """How often the count went the other way."""
        signs = [b > a for (_, a, _), (_, b, _) in pairwise(self.history) if a != b]
        return max(len(list(groupby(signs))) - 1, 0)

    def ended(self) -> float:
        """When the last work was done."""
        return max((at for at, _, backlog in self.history if backlog > 0), default=0.0)


def wave(seconds: float, at: float = 600.0) -> Callable[[float], float]:
    return lambda now: seconds if now == at else 0.0


@pytest.mark.parametrize("role", SCALING, ids=lambda role: role.name)
@pytest.mark.parametrize(
    ("tasks", "per_task", "at_zero"),
    [(None, 900.0, 900.0), (0, 900.0, 900.0), (1, 900.0, 0.0), (9, 100.0, 0.0)],
)
def test_the_backlog_of_one_task_is_defined_at_zero_tasks(role: Role, tasks, per_task: float, at_zero: float):
    deployed = Deployed(role)
    values = {"backlog": 600.0, "planned": 300.0, "tasks": tasks, "busy": 0.0}
    assert evaluate(deployed.tracked, values) == per_task
    assert evaluate(deployed.waiting, values) == at_zero


@pytest.mark.parametrize("role", SCALING, ids=lambda role: role.name)
def test_a_metric_that_was_never_written_is_no_error(role: Role):
    values = {"backlog": 600.0, "planned": None, "tasks": None, "busy": None}
    assert evaluate(Deployed(role).tracked, values) == evaluate(Deployed(role).waiting, values) == 600.0


@pytest.mark.parametrize("role", [COLLECT, COMPUTE, SERVE], ids=lambda role: role.name)
@pytest.mark.parametrize("minutes", [1, 10, 60])
def test_from_zero_a_wave_gets_tasks_and_when_it_has_ended_all_go(role: Role, minutes: int):
    work = minutes * 60.0 * role.slots * 4
    model = Model(Deployed(role), wave(work)).run(4 * 3600)
    first = next(at for at, desired, _ in model.history if desired)
    assert first - 600 <= 120, "two values of the alarm"
    assert model.ended() - 600 <= 900 + work / role.slots / 4
    assert (model.desired, model.tasks) == (0, [])
    assert model.turns == 1, "up, and down once"


@pytest.mark.parametrize("role", [COLLECT, COMPUTE], ids=lambda role: role.name)
def test_nobody_is_taken_away_while_work_is_in_flight(role: Role):
    """Slots that work hold the count, for however long; and who works is protected besides."""
    model = Model(Deployed(role), wave(3 * 3600.0 * role.slots)).run(6 * 3600)
    counts = [desired for _, desired, backlog in model.history if backlog > 60 * role.slots * 20]
    assert all(b >= a for a, b in pairwise(counts))
    assert model.lost == 0


@pytest.mark.parametrize("role", [COLLECT, COMPUTE, SERVE], ids=lambda role: role.name)
@pytest.mark.parametrize("load", [0.6, 2.5, 7.9])
def test_a_steady_load_does_not_make_the_count_swing(role: Role, load: float):
    """`load` is what it needs in tasks."""
    model = Model(Deployed(role), lambda now: load * role.slots * STEP).run(12 * 3600)
    late = [desired for at, desired, _ in model.history if at > 3 * 3600]
    assert min(late) >= math.ceil(load)
    assert max(late) == min(late), "it has settled"
    assert max(late) <= 2 * math.ceil(load) + 1
    assert model.turns <= 2
    assert model.lost == 0


def test_a_day_of_uneven_requests_is_followed():
    """By day ten times what comes at night: the count follows, and does not swing."""

    def arrives(now: float) -> float:
        return (5.5 - 4.5 * math.cos(now / 86_400 * 2 * math.pi)) * SERVE.slots * STEP / 2

    model = Model(Deployed(SERVE), arrives, message=0.05).run(2 * 86_400)
    second = [desired for at, desired, _ in model.history if at > 86_400]
    assert min(second) <= 2
    assert 5 <= max(second) <= 12
    changes = [(at, b - a) for (_, a, _), (at, b, _) in pairwise(model.history) if a != b]
    apart = [later - at for (at, one), (later, two) in pairwise(changes) if one * two < 0]
    assert min(apart) >= 600, "no change is taken back within ten minutes"
    waits = [backlog / max(desired * SERVE.slots, 1) for at, desired, backlog in model.history if at > 7200]
    assert sorted(waits)[int(0.99 * len(waits))] < 30
