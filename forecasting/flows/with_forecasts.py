"""Forecasts of any numeric pipe: one line under a flow.

    flow = Flow("demand", [sales, demand], state=shops, schedule="59 * * * *")
    flow, training = with_forecasts(flow, "demand")

`flow` then has one more task, `demand_forecast`: the next 24 hours of each entity, by the model that is live. Read
them by `forecasting.read_forecast("demand_forecast", entity, at)`. `training` runs once a day: it fits a model
for each partition of the state to the last 60 days of what `flow` has stored, and makes it live if it passes the gate
(see `forecasting.registry`). Both are found where flows are looked for.

The parts can be had one by one, to name the task in the list of a flow, or for a backtest over the workers:

    forecasting = Forecasting("demand", past=["promo"], horizon=48)
    flow = Flow("demand", [sales, demand, promo, forecasting.task()], state=shops, keep=forecasting.keep)
    training, backtest = forecasting.training(flow), forecasting.backtest(flow)
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass
from inspect import Parameter, Signature
from typing import Any, TypedDict, Unpack

import pandas as pd

from forecasting.errors import DataError, ModelError
from forecasting.evaluation.backtest_waves import fold
from forecasting.features.panel import Panel, side_by_side
from forecasting.features.rows import FeatureSpec
from forecasting.flows.inputs import Future, Static, future_frames, static_columns
from forecasting.flows.prediction import forecast
from forecasting.flows.training import train_in_wave
from forecasting.models.global_forecaster import GlobalForecaster
from forecasting.registry import process_registry
from forecasting.registry.estimator_calls import horizon_of
from pipeline.errors import AnswerError, FlowError, TaskError, near
from pipeline.flows import durations
from pipeline.flows.durations import HOUR, Duration
from pipeline.flows.flow import Flow
from pipeline.flows.task import RESERVED, Task, task

Make = Callable[[], Any]  # makes an estimator that is not fitted yet


class Options(TypedDict, total=False):
    """The options of `Forecasting`, beside the pipe."""

    past: Sequence[str]
    future: Future | None
    static: Static | None
    needs: Sequence[str] | None
    horizon: int
    seasons: Sequence[int]
    timezone: str
    model: Make | None
    lookback: Duration
    past_lookback: Duration | None
    history: Duration
    check: Duration
    schedule: str
    timeout: Duration
    time_limit: Duration


@dataclass(frozen=True)
class Forecasting:
    """How a pipe is forecast.

    Args:
        pipe: The numeric pipe, one value an entity and hour.
        past: Other numeric pipes of the same entities that the model is told, up to the hour in which it forecasts.
        future: What is known of the hours to come, such as a calendar: a function, see docs/forecasts.md.
        static: What each entity is, in numbers: a function, see there.
        needs: Pipes without which this hour nothing is forecast, so that an older forecast answers; by default the
            forecast pipe itself. Name another one where an hour without a value is normal, or none.
        horizon: Hours that are forecast.
        seasons: Periods in hours, the main one first.
        timezone: Whose clock and weekdays the entities live by.
        model: Makes another estimator than the GlobalForecaster: anything with fit, predict, save and load.
        lookback: How much of the pipe a forecast looks at.
        past_lookback: The same of the other pipes.
        history: How much a model is fitted to.
        check: How much of it, at its end, the first fit is measured on.
        schedule: When models are trained (UTC).
        timeout: How long a forecast waits for its inputs.
        time_limit: How long training one partition may take.

    Raises:
        TaskError: It names what cannot be a pipe.

    Example:
        >>> @task
        ... def load(entity, date): ...
        >>> flow = Flow("grid", [load], state="meters", keep={"load": "60d"})
        >>> Forecasting("load", horizon=48, timezone="Europe/Oslo").training(flow).name
        'grid-load-training'
    """

    pipe: str
    past: Sequence[str] = ()
    future: Future | None = None
    static: Static | None = None
    needs: Sequence[str] | None = None
    horizon: int = 24
    seasons: Sequence[int] = (24, 168)
    timezone: str = "UTC"
    model: Make | None = None
    lookback: Duration = "28d"
    past_lookback: Duration | None = None
    history: Duration = "60d"
    check: Duration = "7d"
    schedule: str = "30 3 * * *"
    timeout: Duration = "20m"
    time_limit: Duration = "30m"

    def __post_init__(self) -> None:
        for name in ("past", "needs", "seasons"):
            value = getattr(self, name)
            if isinstance(value, str):
                raise TaskError(
                    f"forecasts of {self.pipe!r}: {name}={value!r} is a text. Give a list: [{value!r}]."
                )
            if value is not None:
                object.__setattr__(self, name, tuple(value))
        for pipe in self._pipes:
            if not isinstance(pipe, str) or not pipe.isidentifier() or pipe in RESERVED:
                raise TaskError(f"forecasts of {self.pipe!r}: {pipe!r} is not a name of a pipe.")

    @property
    def _pipes(self) -> tuple[str, ...]:
        return (self.pipe, *self.past)

    @property
    def keep(self) -> dict[str, float]:
        """How long the flow that makes the pipes has to keep them, in seconds."""
        return dict.fromkeys(
            self._pipes, durations.seconds(self.history, f"forecasts of {self.pipe!r}: history")
        )

    def estimator(self) -> Any:
        """Build the estimator, not fitted."""
        if self.model is not None:
            return self.model()
        spec = FeatureSpec(
            horizon=self.horizon, seasons=tuple(self.seasons), timezone=self.timezone, past=tuple(self.past)
        )
        return GlobalForecaster(spec)

    def task(self) -> Task:
        """Return the task `{pipe}_forecast`, which forecasts a shard's entities with their partition's live model."""
        needs = (self.pipe,) if self.needs is None else tuple(self.needs)
        past = self.past_lookback or self.lookback
        windows = {self.pipe: self.lookback, **dict.fromkeys(self.past, past)}

        def run(*args: Any, **kwargs: Any) -> dict[str, dict[str, Any]]:
            given = signature.bind(*args, **kwargs).arguments
            partition = str(given["entity"][0].partition_name)
            try:
                return forecast(process_registry(), self.pipe, partition, self._panel(given))
            except (DataError, ModelError) as error:
                # It holds for all entities of the batch: one by one they would fail the same.
                raise AnswerError(str(error)) from None

        optional = [pipe for pipe in self._pipes if pipe not in needs]
        signature = _signature(("entity", *needs), optional)
        run.observed = self.pipe  # type: ignore[attr-defined]
        run.__doc__ = (
            f"Forecast the next {self.horizon} hours of {self.pipe} with the partition's live model."
        )
        return _task(
            f"{self.pipe}_forecast", run, signature, batch=True, window=windows, timeout=self.timeout
        )

    def training(self, flow: Flow, schedule: str | None = None, name: str | None = None) -> Flow:
        """Return the flow that fits a model a partition to what the waves of another flow have stored.

        Args:
            flow: The one that makes the pipes.
            schedule: When it runs (UTC); by default that of these options.
            name: `{flow}-{pipe}-training` by default.

        Raises:
            FlowError: `flow` does not make one of the pipes, or keeps less of it than `history`.
        """

        def run(*args: Any, **kwargs: Any) -> dict[str, Any]:
            given = signature.bind(*args, **kwargs).arguments
            panel, model = self._panel(_whole(given, self._pipes)), self.estimator()
            return train_in_wave(self.pipe, given["entity"], given["date"], panel, model, self._check_hours)

        signature = _signature(("entity", "date", *self._pipes), ())
        run.__doc__ = f"Fit a partition's model of {self.pipe}, and make it live if it passes the gate."
        options = {"per": "partition", "window": self._history(), "time_limit": self.time_limit}
        made = _task(f"{self.pipe}_model", run, signature, **options)
        name = name or f"{flow.name}-{self.pipe}-training"
        return self._reading(flow, name, [made], schedule or self.schedule)

    def backtest(self, flow: Flow, folds: int = 3, name: str | None = None) -> Flow:
        """Return a flow that measures how this model would have done, beside the live one and the naive.

        Each fold is a task of its own, `{pipe}_backtest_1` for the newest, and runs for each partition, so that workers
        share them and the wave's progress is the backtest's. `backtest_folds` reads the results, `wave model promote
        --backtest` uses them.

        Args:
            flow: The one that makes the pipes.
            folds: Each as long as `check`; what is fitted is what `history` holds before it.
            name: `{flow}-{pipe}-backtest` by default.

        Raises:
            FlowError: `flow` does not make one of the pipes, or keeps less of it than the folds need.
        """
        if folds < 1:
            raise FlowError(
                f"forecasts of {self.pipe!r}: folds={folds} leaves nothing to test. Give 1 or more."
            )
        made = [self._fold(number) for number in range(1, folds + 1)]
        return self._reading(flow, name or f"{flow.name}-{self.pipe}-backtest", made)

    def _fold(self, number: int) -> Task:
        signature = _signature(("entity", *self._pipes), ())

        def run(*args: Any, **kwargs: Any) -> dict[str, Any]:
            given = signature.bind(*args, **kwargs).arguments
            panel, partition = self._panel(_whole(given, self._pipes)), str(given["entity"].partition_name)
            return fold(
                process_registry(), self.pipe, partition, panel, self.estimator(), number, self._check_hours
            )

        run.__doc__ = (
            f"Score {self.pipe}'s models on the stretch of {self.check} that is number {number} from the end."
        )
        options = {"per": "partition", "window": self._history(), "time_limit": self.time_limit}
        return _task(f"{self.pipe}_backtest_{number}", run, signature, **options)

    @property
    def _check_hours(self) -> int:
        return int(durations.seconds(self.check, f"forecasts of {self.pipe!r}: check") // HOUR)

    def _history(self) -> dict[str, Duration]:
        return dict.fromkeys(self._pipes, self.history)

    def _panel(self, frames: Mapping[str, Any]) -> Panel:
        y = frames[self.pipe]
        horizon = self.horizon if self.model is None or self.future is None else horizon_of(self.model())
        return Panel.from_frames(
            y,
            past={pipe: frames[pipe] for pipe in self.past},
            future=future_frames(self.pipe, self.future, y, horizon),
            static=static_columns(self.pipe, self.static, y),
        )

    def _reading(self, flow: Flow, name: str, tasks: Iterable[Task], schedule: str | None = None) -> Flow:
        if missing := [pipe for pipe in self._pipes if pipe not in flow.tasks]:
            raise FlowError(
                f"forecasts of {self.pipe!r}: flow {flow.name!r} does not make {' and '.join(missing)}. It has: "
                f"{', '.join(flow.tasks)}."
            )
        return Flow(name, tasks, flow.state, schedule, reads=flow)


def with_forecasts(flow: Flow, pipe: str, **options: Unpack[Options]) -> tuple[Flow, Flow]:
    """Return a flow with a task that forecasts one of its pipes, and the flow that trains the models for it.

    Args:
        flow: The one that makes the pipe; the new one keeps it for as long as models are fitted to.
        pipe: The name of the task that makes what is forecast.
        **options: Those of `Forecasting`.

    Raises:
        FlowError: `flow` does not make one of the pipes.
        TaskError: There is no such option, or it cannot work.

    Example:
        >>> @task
        ... def load(entity, date): ...
        >>> flow, training = with_forecasts(Flow("grid", [load], state="meters"), "load", horizon=48)
        >>> list(flow.tasks), training.name
        (['load', 'load_forecast'], 'grid-load-training')
    """
    for name in options:
        if name not in Options.__annotations__:
            raise TaskError(
                f"forecasts of {pipe!r}: there is no option {name!r}.{near(name, Options.__annotations__)} "
                f"There are: {', '.join(Options.__annotations__)}."
            )
    forecasting = Forecasting(pipe, **options)
    if pipe not in flow.tasks:
        flow.task(pipe)  # names the near ones
    longer = flow.extended([forecasting.task()], forecasting.keep)
    return longer, forecasting.training(longer)


def _task(name: str, run: Callable[..., Any], signature: Signature, **options: Any) -> Task:
    run.__name__ = run.__qualname__ = name
    run.__signature__ = signature  # type: ignore[attr-defined]
    made: Task = task(name=name, **options)(run)
    return made


def _signature(required: Iterable[str], optional: Iterable[str]) -> Signature:
    kind = Parameter.POSITIONAL_OR_KEYWORD
    return Signature(
        [
            *(Parameter(name, kind) for name in required),
            *(Parameter(name, kind, default=None) for name in optional),
        ]
    )


def _whole(given: Mapping[str, Any], pipes: Iterable[str]) -> dict[str, pd.DataFrame]:
    """Put the chunks of each pipe's window side by side."""
    return {pipe: side_by_side(given[pipe]) for pipe in pipes}
