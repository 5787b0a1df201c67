"""What differs between a laptop, a test and production, for models: read from the environment."""

from __future__ import annotations

import os
from collections.abc import Mapping
from dataclasses import dataclass, field
from types import MappingProxyType

from forecasting.registry.promotion_gate import Gate
from pipeline import environment
from pipeline.errors import SettingsError, near

STAGES = ("dev", "test", "prod")  # in the order in which a version goes through them
DEFAULT_STAGE = STAGES[0]


@dataclass(frozen=True, slots=True)
class ModelSettings:
    """Where models are kept, and what it takes to be live."""

    root: str = "models"  # PIPELINE_MODELS: a folder, or s3://bucket/prefix
    stage: str = DEFAULT_STAGE  # PIPELINE_STAGE: whose live versions this process trains and forecasts with
    refresh: float = (
        10.0  # PIPELINE_MODELS_REFRESH: seconds after which a process looks for a promotion again
    )
    keep: int = 30  # PIPELINE_MODELS_KEEP: versions of a model that a training wave leaves
    topic: str = ""  # PIPELINE_MODELS_TOPIC: ARN of the SNS topic that promotions are published to
    # PIPELINE_GATE, and PIPELINE_GATE_PROD for one stage: "naive=0.95,live=1.0"
    gates: Mapping[str, Gate] = field(default_factory=lambda: MappingProxyType(dict.fromkeys(STAGES, Gate())))

    @classmethod
    def from_env(cls, environ: Mapping[str, str] | None = None) -> ModelSettings:
        """Read the environment (`os.environ` by default). Raises SettingsError, which names the variable."""
        env = os.environ if environ is None else environ
        default = cls()
        return cls(
            root=env.get("PIPELINE_MODELS") or default.root,
            stage=check_stage(env.get("PIPELINE_STAGE") or default.stage, "PIPELINE_STAGE"),
            refresh=environment.seconds(env, "PIPELINE_MODELS_REFRESH", default.refresh),
            keep=environment.count(env, "PIPELINE_MODELS_KEEP", default.keep),
            topic=_topic(env.get("PIPELINE_MODELS_TOPIC", "")),
            gates=MappingProxyType({stage: _gate(env, stage) for stage in STAGES}),
        )


def check_stage(name: str, what: str = "stage") -> str:
    """Give the name of a stage back. Raises SettingsError for what is none."""
    if name not in STAGES:
        raise SettingsError(
            f"{what}: {name!r} is no stage.{near(name, STAGES)} There are {', '.join(STAGES)}."
        )
    return name


def _gate(env: Mapping[str, str], stage: str) -> Gate:
    names = (f"PIPELINE_GATE_{stage.upper()}", "PIPELINE_GATE")
    return next((Gate.parse(env[name], name) for name in names if env.get(name)), Gate())


def _topic(arn: str) -> str:
    if arn and not (arn.startswith("arn:") and arn.count(":") == 5 and ":sns:" in arn):
        raise SettingsError(
            f"PIPELINE_MODELS_TOPIC={arn!r} is no topic's ARN. One looks like "
            "arn:aws:sns:eu-west-1:123456789012:models."
        )
    return arn
