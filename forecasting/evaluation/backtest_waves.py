"""A backtest that runs as a wave: a fold is one task's work for one partition, its scores are a pipe.

`forecasting.Forecasting.backtest` makes the flow. Here is what a fold computes, and how the wave is read when it has
ended:

    wave = submit_wave(backtest).wait()
    by_age(backtest_table(backtest_folds(wave)), {"1 h": (1, 1), "2-24 h": (2, 24)})
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import pandas as pd

from forecasting.errors import DataError, ModelError
from forecasting.evaluation.gate_metrics import Rival, metrics, scores
from forecasting.features.panel import Panel
from forecasting.registry import Registry
from forecasting.registry.manifest import recipe_of
from pipeline.waves.wave import Wave


def fold(
    registry: Registry, name: str, partition: str, panel: Panel, model: Any, number: int, hours: int
) -> dict[str, Any]:
    """Score one of a backtest's folds: the `number`-th stretch of so many hours from the panel's end, the last is 1.

    Returns a value for a pipe, which `Measured.of` reads. Raises DataError where the history is too short.
    """
    panel = panel.begun()
    last = len(panel) - 1 - number * hours
    if last < 0:
        raise DataError(
            f"{len(panel)} hours of {name!r} for {partition!r} are too few for fold {number} of {hours} hours. Give a "
            "longer history, or fewer folds."
        )
    rival = Rival.of(registry, name, partition, model)
    cutoff = panel.hours[last]
    found = scores(panel.part(0, last + 1 + hours), model, cutoff, hours, rival).drop(columns="cutoff")
    return {
        "name": name,
        "cutoff": cutoff.isoformat(),
        "recipe": recipe_of(model),
        "live": rival.version,
        "scores": found.astype(object).where(found.notna(), None).to_dict(orient="list"),
    }


@dataclass(frozen=True, slots=True)
class Measured:
    """What the folds of one partition's backtest say together.

    Args:
        recipe: Of the model that was measured.
        live: The version that it was measured against.
        metrics: What the gate reads.
    """

    recipe: str
    live: str | None
    metrics: Mapping[str, float]

    @classmethod
    def of(cls, folds: Sequence[Mapping[str, Any]]) -> Measured:
        """Sum the folds up. Raises ModelError when they are of different models."""
        if len({(part["recipe"], part["live"]) for part in folds}) != 1:
            raise ModelError(
                "the folds of the backtest measured different models: it ran while another one was made live, or on "
                "workers with different code. Run it again."
            )
        return cls(folds[0]["recipe"], folds[0]["live"], metrics(backtest_table({"": folds})))


def backtest_table(folds: Mapping[str, Sequence[Mapping[str, Any]]]) -> pd.DataFrame:
    """Put the folds of each partition into one DataFrame: the columns of `Backtest.run`, and `partition`."""
    parts = [
        _frame(part["scores"]).assign(partition=partition, cutoff=pd.Timestamp(part["cutoff"]))
        for partition, own in folds.items()
        for part in own
    ]
    return pd.concat(parts, ignore_index=True)


def _frame(columns: Mapping[str, Any]) -> pd.DataFrame:
    found = pd.DataFrame(columns)
    numbers = [name for name in found.columns if name != "model"]
    return found.assign(**{name: pd.to_numeric(found[name]) for name in numbers})


def backtest_folds(wave: Wave) -> dict[str, list[dict[str, Any]]]:
    """Return what a backtest's wave has found: partition -> its folds.

    Raises:
        ModelError: A fold failed or is still open (the others alone would be another backtest), or it is none.
    """
    found: dict[str, list[dict[str, Any]]] = {}
    for task in wave.spec.plan.steps:
        errors = wave.errors(task).get(task, {})
        for key, status in wave.statuses(task).items():
            if status.status != "finished":
                why = f" ({errors[key]})" if key in errors else ""
                raise ModelError(
                    f"the backtest {wave.id} has no whole result: {task} of {key} is {status}{why}. `wave show` tells "
                    "more, `wave retry` runs it again."
                )
            value = wave.result(task, key)
            if not isinstance(value, Mapping) or "scores" not in value:
                raise ModelError(f"{wave.id} is not a backtest: the pipe of {task} holds no scores.")
            found.setdefault(key.removeprefix("@"), []).append(dict(value))
    return found
