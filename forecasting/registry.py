"""Registry: the trained models in a folder.

    {root}/{name}/{partition}/{version}/manifest.json, mean.ubj, quantiles.ubj, spec.json
    {root}/{name}/{partition}/live

A version's folder appears whole and is never changed; `live` holds the version that forecasts are made with. The
version is the last hour of the data and a digest of the files: saving the same model again changes nothing.
"""

from __future__ import annotations

import hashlib
import json
import os
import shutil
import tempfile
from collections.abc import Mapping
from dataclasses import asdict, dataclass, field
from datetime import datetime
from functools import lru_cache
from pathlib import Path
from typing import Any

from forecasting.errors import ModelError
from forecasting.model import GlobalForecaster
from pipeline.entity import check_entity_key
from pipeline.errors import near
from pipeline.pipe import stamp

MANIFEST, LIVE = "manifest.json", "live"
CACHED = 64  # models that a process keeps in memory


@dataclass(frozen=True, slots=True)
class Manifest:
    """What is known about one version of a model."""

    name: str  # what it forecasts: the pipe's name
    partition: str
    version: str
    first: str  # the first and the last hour of the data that it was fitted to
    last: str
    entities: int
    features: tuple[str, ...]
    metrics: Mapping[str, float] = field(default_factory=dict)
    code: str = ""  # the version of the code that trained it
    sha256: Mapping[str, str] = field(default_factory=dict)  # file -> digest


class Registry:
    """The models under one folder."""

    def __init__(self, root: Path | str) -> None:
        self.root = Path(root)

    def save(
        self,
        name: str,
        partition: str,
        model: GlobalForecaster,
        span: tuple[datetime, datetime],
        *,
        entities: int,
        metrics: Mapping[str, float] | None = None,
        code: str = "",
        live: bool = True,
    ) -> Manifest:
        """Store a model that was fitted to the hours of `span` (first, last), and make it live."""
        place = self._place(name, partition)
        place.mkdir(parents=True, exist_ok=True)
        draft = Path(tempfile.mkdtemp(prefix=".new-", dir=place))
        try:
            model.save(draft)
            digests = {path.name: _sha256(path) for path in sorted(draft.iterdir())}
            version = f"{stamp(span[1])}-{hashlib.sha256(repr(digests).encode()).hexdigest()[:8]}"
            manifest = Manifest(
                name,
                partition,
                version,
                first=stamp(span[0]),
                last=stamp(span[1]),
                entities=entities,
                features=model.features,
                metrics=dict(metrics or {}),
                code=code,
                sha256=digests,
            )
            (draft / MANIFEST).write_text(json.dumps(asdict(manifest), indent=1))
            _publish(draft, place / version)
        finally:
            shutil.rmtree(draft, ignore_errors=True)
        if live:
            self.promote(name, partition, version)
        return manifest

    def promote(self, name: str, partition: str, version: str) -> None:
        """Make a version the live one. Raises ModelError when there is none such."""
        place = self._place(name, partition)
        if not (place / version / MANIFEST).is_file():
            known = self.versions(name, partition)
            raise ModelError(
                f"model {name!r} of {partition!r} has no version {version!r}.{near(version, known)} "
                f"It has: {', '.join(known) or 'none'}."
            )
        draft = place / f".{LIVE}-{os.getpid()}"
        draft.write_text(version)
        os.replace(draft, place / LIVE)

    def versions(self, name: str, partition: str) -> list[str]:
        """List the versions, oldest data first."""
        return sorted(path.parent.name for path in self._place(name, partition).glob(f"*/{MANIFEST}"))

    def live(self, name: str, partition: str) -> str:
        """Give the live version. Raises ModelError when none is."""
        try:
            return (self._place(name, partition) / LIVE).read_text().strip()
        except FileNotFoundError:
            raise ModelError(
                f"no model of {name!r} for {partition!r} is live in {self.root}. Run the training flow, or set "
                "PIPELINE_MODELS to the folder that holds the models."
            ) from None

    def manifest(self, name: str, partition: str, version: str) -> Manifest:
        """Read a version's manifest. Raises ModelError when it is missing or damaged."""
        path = self._place(name, partition) / version / MANIFEST
        try:
            stored: dict[str, Any] = json.loads(path.read_text())
            return Manifest(**stored | {"features": tuple(stored["features"])})
        except (OSError, KeyError, TypeError, ValueError) as error:
            raise ModelError(
                f"the manifest {path} cannot be read ({error}). Make another version live, or train again."
            ) from None

    def load(self, name: str, partition: str, version: str | None = None) -> tuple[GlobalForecaster, str]:
        """Give a model, the live one unless a version is named, and its version. A process reads each one once.

        Raises ModelError when it is missing, or when a file is not what the manifest says.
        """
        version = version or self.live(name, partition)
        return _load(str(self.root.absolute()), name, partition, version), version

    def _place(self, name: str, partition: str) -> Path:
        for part in (name, partition):
            if check_entity_key(part) in (".", "..") or "/" in part or "\\" in part:
                raise ModelError(f"{part!r} cannot name a folder of models. Use a name without slashes.")
        return self.root / name / partition


@lru_cache(CACHED)
def _load(root: str, name: str, partition: str, version: str) -> GlobalForecaster:
    manifest = Registry(root).manifest(name, partition, version)
    folder = Path(root) / name / partition / version
    for file, digest in manifest.sha256.items():
        path = folder / file
        if not path.is_file() or _sha256(path) != digest:
            raise ModelError(
                f"{path} is {'damaged' if path.exists() else 'missing'}: it is not the file that was saved. "
                "Make another version live, or train again."
            )
    return GlobalForecaster.load(folder)


def _publish(draft: Path, place: Path) -> None:
    """Give the folder its name; one that is there already holds the same model and stays."""
    draft.chmod(0o755)
    try:
        draft.rename(place)
    except OSError:
        if not (place / MANIFEST).is_file():
            raise


def _sha256(path: Path) -> str:
    return hashlib.sha256(path.read_bytes()).hexdigest()
