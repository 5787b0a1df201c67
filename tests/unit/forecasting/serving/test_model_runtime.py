"""A model of the registry that is served: which version, and forecasts from histories that a request brings."""

from __future__ import annotations

import json
from datetime import UTC, datetime
from pathlib import Path

import pandas as pd
import pytest

from forecasting.errors import ModelError
from forecasting.registry import ModelSettings, Registry
from forecasting.serving import model_runtime
from forecasting.serving.model_runtime import ForecastModel
from pipeline.allowed import Allowed
from pipeline.serving.catalogue import Source
from pipeline.serving.models import newest

SPAN = (datetime(2026, 1, 1, tzinfo=UTC), datetime(2026, 1, 5, 3, tzinfo=UTC))


class Last:
    """Forecasts the last value, and something more, for two hours."""

    def __init__(self, more: float = 0.0) -> None:
        self.more = more

    def fit(self, data):
        return self

    def predict(self, panel):
        hours = [panel.hours[-1] + pd.Timedelta(hours=lead) for lead in (1, 2)]
        rows = [
            {"unique_id": name, "ds": hour, "mean": panel.y[-1, i] + self.more}
            for i, name in enumerate(panel.entities)
            for hour in hours
        ]
        return pd.DataFrame(rows)

    def save(self, folder: Path) -> None:
        (folder / "more.json").write_text(json.dumps(self.more))

    @classmethod
    def load(cls, folder: Path) -> Last:
        return cls(json.loads((folder / "more.json").read_text()))


@pytest.fixture
def registry(tmp_path, monkeypatch) -> Registry:
    found = Registry(tmp_path, ModelSettings(refresh=1e-9))
    monkeypatch.setattr(model_runtime, "process_registry", lambda: found)
    return found


def promoted(registry: Registry, more: float) -> str:
    version = registry.save("delay", "JFK", Last(more), SPAN, entities=2).version
    registry.promote("delay", "JFK", version, force=True)
    return version


def test_the_live_version_is_served_and_a_promotion_is_followed(registry):
    first = promoted(registry, 1.0)
    assert ForecastModel.newest("delay/JFK") == (first, f"delay/JFK@{first}")
    second = promoted(registry, 2.0)
    source = Source("forecast", f"delay/JFK@{first}")
    assert newest(source, Allowed()) == (second, Source(source.kind, f"delay/JFK@{second}"))
    instance = {"unique_id": "a", "ds": "2026-01-05T03", "y": [1, None, 5]}
    assert ForecastModel.load(f"delay/JFK@{first}").predict([instance])[0]["mean"] == [6.0, 6.0]
    assert ForecastModel.load("delay/JFK").predict([instance])[0]["mean"] == [7.0, 7.0]


def test_series_of_different_lengths_and_hours_are_answered_in_their_order(registry):
    promoted(registry, 0.0)
    instances = [
        {"unique_id": "a", "ds": "2026-01-05T03", "y": [1, 2, 3]},
        {"unique_id": "b", "ds": "2026-01-06T07", "y": [4]},
        {"unique_id": "a", "ds": "2026-01-05T03", "y": [9.5]},
    ]
    found = ForecastModel.load("delay/JFK").predict(instances)
    assert [(one["unique_id"], one["mean"]) for one in found] == [
        ("a", [3.0, 3.0]),
        ("b", [4.0, 4.0]),
        ("a", [9.5, 9.5]),
    ]


@pytest.mark.parametrize(
    ("instance", "text"),
    [
        ([1, 2], "instance 0 is not a series: give unique_id, ds (its last hour) and y"),
        ({"ds": "2026-01-05T03", "y": []}, "instance 0 is not a series"),
        ({"ds": "2026-01-05T03", "y": ["x"]}, "instance 0: y holds something that is not a number"),
        ({"ds": "soon", "y": [1]}, "soon"),
    ],
)
def test_an_instance_that_is_no_series_says_why(registry, instance, text):
    promoted(registry, 0.0)
    with pytest.raises(ValueError) as raised:
        ForecastModel.load("delay/JFK").predict([instance])
    assert text in str(raised.value)


def test_a_path_that_names_no_model_is_refused():
    with pytest.raises(
        ModelError, match=r"^'delay' names no model of the registry\. One looks like delay/JFK"
    ):
        ForecastModel.load("delay")
