"""Registry: the trained models, and which version of each is live at which stage.

    {root}/{name}/{partition}/models/{version}/...        versions, see `artifacts`
    {root}/{name}/{partition}/live/{stage}/00000007.json  decisions about what is live, see `history`

The root is a folder or `s3://bucket/prefix`. Nothing in it is ever overwritten: a promotion is a file with the next
number, created on the condition that there is none of it yet. So of two that promote at once one comes second and
looks again, on a shared folder as in S3, and no lock is needed that a process could die with. What is live lies
beside what it names, not in Redis: it outlasts a Redis that is emptied, one registry serves clusters that have each
a Redis of their own, and a command or a notebook needs no more than the bucket. A process asks for it anew when its
answer is older than PIPELINE_MODELS_REFRESH (10 s): one listing, and one small read where something has changed.

Uses `models`. Begin with `live`.
"""

from __future__ import annotations

from forecasting.registry.artifacts import Artifacts
from forecasting.registry.history import Event
from forecasting.registry.live import Promotion, PromotionRefused, Registry, process_registry
from forecasting.registry.manifest import Manifest, Storable
from forecasting.registry.promotion_gate import Decision, Gate, decide
from forecasting.registry.settings import STAGES, ModelSettings
from forecasting.registry.timeline import Live

__all__ = [
    "STAGES",
    "Artifacts",
    "Decision",
    "Event",
    "Gate",
    "Live",
    "Manifest",
    "ModelSettings",
    "Promotion",
    "PromotionRefused",
    "Registry",
    "Storable",
    "decide",
    "process_registry",
]
