"""What differs between a laptop, a test and production, for models: read from the environment."""

from __future__ import annotations

import os
from collections.abc import Mapping
from dataclasses import dataclass, replace
from types import MappingProxyType

from forecasting.registry.promotion_gate import Gate
from pipeline.environment import count, explained, read, seconds, setting
from pipeline.errors import SettingsError, near

STAGES = ("dev", "test", "prod")  # in the order in which a version goes through them
DEFAULT_STAGE = STAGES[0]


def check_stage(name: str, what: str = "stage") -> str:
    """Return the name of a stage. Raises SettingsError for what is none."""
    if name not in STAGES:
        raise SettingsError(
            f"{what}: {name!r} is not a stage.{near(name, STAGES)} There are {', '.join(STAGES)}."
        )
    return name


def _gates(value: str = "", name: str = "") -> Mapping[str, Gate]:
    return MappingProxyType(dict.fromkeys(STAGES, Gate.parse(value, name)))


def _topic(arn: str, name: str) -> str:
    if not (arn.startswith("arn:") and arn.count(":") == 5 and ":sns:" in arn):
        raise SettingsError(
            f"{name}={arn!r} is not a topic's ARN. One looks like arn:aws:sns:eu-west-1:123456789012:models."
        )
    return arn


@explained
@dataclass(frozen=True, slots=True)
class ModelSettings:
    """Where models are kept, and what it takes to be live.

    Example:
        >>> ModelSettings.from_env({"PIPELINE_STAGE": "prod", "PIPELINE_GATE": "naive=0.95"}).gates["prod"].naive
        0.95
    """

    root: str = setting("PIPELINE_MODELS", "models", "a folder, or s3://bucket/prefix")
    stage: str = setting(
        "PIPELINE_STAGE", DEFAULT_STAGE, "whose live versions are used: dev, test, prod", check_stage
    )
    refresh: float = setting(
        "PIPELINE_MODELS_REFRESH", 10.0, "until promotions are looked for again", seconds
    )
    keep: int = setting("PIPELINE_MODELS_KEEP", 30, "versions of a model that a training wave leaves", count)
    topic: str = setting(
        "PIPELINE_MODELS_TOPIC", "", "ARN of the SNS topic that is told of promotions", _topic
    )
    gates: Mapping[str, Gate] = setting(
        "PIPELINE_GATE",
        _gates,
        "what is live must keep: naive=0.95,live=1.0; PIPELINE_GATE_PROD for a stage",
        _gates,
    )

    @classmethod
    def from_env(cls, environ: Mapping[str, str] | None = None) -> ModelSettings:
        """Read the environment (`os.environ` by default). Raises SettingsError, which names the variable."""
        env = os.environ if environ is None else environ
        found = read(cls, env)
        names = {stage: f"PIPELINE_GATE_{stage.upper()}" for stage in STAGES}
        own = {stage: Gate.parse(env[name], name) for stage, name in names.items() if env.get(name)}
        return replace(found, gates=MappingProxyType({**found.gates, **own}))
