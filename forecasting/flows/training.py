"""What the tasks of a training flow call: fit a partition's model, store it, make it live if it passes the gate."""

from __future__ import annotations

from dataclasses import asdict, dataclass
from datetime import datetime
from typing import Any

import pandas as pd

from forecasting.errors import ModelError
from forecasting.evaluation.gate_metrics import Rival, measure
from forecasting.features.panel import Panel
from forecasting.registry import Manifest, PromotionRefused, Registry, process_registry
from forecasting.registry.live import me
from forecasting.registry.promotion_gate import LIVE_MAE
from pipeline.errors import AnswerError
from pipeline.flows import durations
from pipeline.flows.durations import HOUR
from pipeline.flows.entity import Entity
from pipeline.flows.pipe import stamp
from pipeline.settings import Settings
from pipeline.telemetry.logs import get_logger

log = get_logger("tasks.forecasts")


@dataclass(frozen=True, slots=True)
class Trained:
    """What came of a training."""

    manifest: Manifest
    live: bool
    text: str  # what the gate said, with its numbers


def train(
    registry: Registry,
    name: str,
    partition: str,
    panel: Panel,
    model: Any,
    *,
    check: int = 168,
    code: str = "",
    by: str = "",
) -> Trained:
    """Fit a model to one partition's history, store it, and make it live if it passes the gate.

    name    what is forecast: the pipe's name
    model   an estimator with fit, predict, save and load, not fitted yet
    check   hours at the end that a first fit, without them, is measured on; at most a third of the history
    code    the version of the code that trains; `by` who makes it live, for the history

    The metrics that go into the manifest are those of `gate_metrics.metrics`. A history of less than
    three days cannot be measured, so that its model is stored and not made live. Raises DataError, ModelError.
    """
    panel = panel.begun()
    rival = Rival.of(registry, name, partition, model)
    metrics = measure(panel, model, min(check, len(panel) // 3), rival)
    model.fit(panel)
    manifest = registry.save(
        name,
        partition,
        model,
        (_date(panel.hours[0]), _date(panel.hours[-1])),
        entities=len(panel.entities),
        metrics=metrics,
        against=rival.version if LIVE_MAE in metrics else None,
        code=code,
    )
    try:
        done = registry.promote(name, partition, manifest.version, why="trained", by=by, automatic=True)
    except PromotionRefused as refused:
        return Trained(manifest, False, str(refused))
    return Trained(manifest, True, done.event.text)


def train_in_wave(
    pipe: str, entity: Entity, date: datetime, panel: Panel, model: Any, check: int
) -> dict[str, Any]:
    """Train for the partition of a scope's entity, and remove old versions; returns what is known, for the task's pipe.

    Raises AnswerError for a history without a value.
    """
    registry, partition = process_registry(), str(entity.partition_name)
    if not (panel.weight > 0).any():
        raise AnswerError(
            f"{pipe} of {partition!r} has no value in the last {durations.text(len(panel) * HOUR)} to fit a model to. "
            "Run the waves that make it, or a backfill."
        )
    done = train(
        registry,
        pipe,
        partition,
        panel,
        model,
        check=check,
        code=Settings.from_env().version or "",
        by=f"training wave {stamp(date)} ({me()})",
    )
    known = {name: v for name, v in asdict(done.manifest).items() if name not in ("features", "sha256")}
    return known | {"live": done.live, "gate": done.text, "pruned": _pruned(registry, pipe, partition)}


def _pruned(registry: Registry, pipe: str, partition: str) -> list[str]:
    try:
        return registry.prune(pipe, partition)
    except ModelError as error:
        # The model is there and live; who may train need not be one who may delete.
        log.warning("old versions were not removed", model=pipe, partition=partition, error=str(error))
        return []


def _date(moment: pd.Timestamp) -> datetime:
    result: datetime = moment.to_pydatetime()
    return result
