"""The versions of models: stored once, never changed, checked whenever one is loaded.

    {name}/{partition}/models/{version}/manifest.json, and the model's own files

The manifest is written last, so that a version is there whole or not at all. A version's name is the last hour of its
data and a digest of its files: saving the same model again changes nothing.
"""

from __future__ import annotations

import hashlib
from collections import OrderedDict
from collections.abc import Mapping
from datetime import UTC, datetime
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any
from urllib.parse import quote, unquote

from forecasting.errors import ModelError
from forecasting.registry.files import Files
from forecasting.registry.manifest import (
    MANIFEST,
    Manifest,
    Storable,
    class_of,
    features_of,
    kind_of,
    plain,
    recipe_of,
)
from pipeline.errors import near
from pipeline.flows.pipe import stamp

CACHED = 64  # models that a process keeps in memory
_ADVICE = "Roll back, make another version live, or train again."


class Artifacts:
    """The versions in one folder or bucket."""

    def __init__(self, files: Files) -> None:
        self.files = files
        self._loaded: OrderedDict[tuple[str, str, str], Any] = OrderedDict()

    def save(
        self,
        name: str,
        partition: str,
        model: Storable,
        span: tuple[datetime, datetime],
        *,
        entities: int,
        metrics: Mapping[str, float] | None = None,
        against: str | None = None,
        code: str = "",
    ) -> Manifest:
        """Store a model that was fitted to the hours of `span` (first, last). It is not live by that.

        Any class with `fit`, `predict`, `save` and `load` can be stored; one that is not of ours, where PIPELINE_ALLOW
        allows its module, since it is loaded only there. `against` names the version that `live_mae` in the metrics was
        measured of. Raises ModelError.
        """
        kind = kind_of(model)
        class_of(kind)
        data = _files_of(model)
        digests = {file: _sha256(content) for file, content in data.items()}
        manifest = Manifest(
            name,
            partition,
            version=f"{stamp(span[1])}-{_sha256(repr(digests).encode())[:8]}",
            first=stamp(span[0]),
            last=stamp(span[1]),
            entities=entities,
            features=features_of(model),
            metrics=dict(metrics or {}),
            against=against,
            code=code,
            made=now(),
            kind=kind,
            recipe=recipe_of(model),
            sha256=digests,
        )
        place = _place(name, partition, manifest.version)
        for file, content in data.items():
            self.files.create(place + file, content)
        self.files.create(place + MANIFEST, manifest.dump())
        return manifest

    def names(self) -> dict[str, list[str]]:
        """Return the names of what is forecast, with the partitions that have models of it."""
        found: dict[str, set[str]] = {}
        for key in self.files.find():
            parts = key.split("/")
            if parts[2:3] == ["models"] and parts[-1] == MANIFEST:
                found.setdefault(unquote(parts[0]), set()).add(unquote(parts[1]))
        return {name: sorted(partitions) for name, partitions in sorted(found.items())}

    def versions(self, name: str, partition: str) -> list[str]:
        """List the versions, oldest data first."""
        prefix = models(name, partition)
        keys = (key.removeprefix(prefix).split("/") for key in self.files.find(prefix))
        return sorted(parts[0] for parts in keys if parts[1:] == [MANIFEST])

    def manifest(self, name: str, partition: str, version: str) -> Manifest:
        """Read a version's manifest. Raises ModelError when it is missing or damaged."""
        key = _place(name, partition, version) + MANIFEST
        data = self.files.read(key)
        if data is None:
            known = self.versions(name, partition)
            raise ModelError(
                f"model {name!r} of {partition!r} has no version {version!r}.{near(version, known)} "
                f"It has: {', '.join(known[-5:]) or 'none'}{' and older ones' if len(known) > 5 else ''}."
            )
        try:
            found = Manifest.parse(data)
        except (KeyError, TypeError, ValueError) as error:
            raise ModelError(
                f"the manifest {self.files.place}/{key} cannot be read ({error}). {_ADVICE}"
            ) from None
        if (found.name, found.partition, found.version) != (name, partition, version):
            raise ModelError(
                f"the manifest {self.files.place}/{key} is that of {found.version!r} of {found.name!r} of "
                f"{found.partition!r}, and lies in the wrong place. {_ADVICE}"
            )
        return found

    def load(self, name: str, partition: str, version: str) -> Any:
        """Return a version's model; a process reads each one once. The files are checked against the manifest.

        Raises ModelError when one is missing or is not the one that was saved. The model is shared: do not fit it
        again, see `fresh`.
        """
        key = (name, partition, version)
        if key not in self._loaded:
            self._loaded[key] = self.fresh(name, partition, version)
        while len(self._loaded) > CACHED:
            self._loaded.popitem(last=False)
        self._loaded.move_to_end(key)
        return self._loaded[key]

    def fresh(self, name: str, partition: str, version: str) -> Any:
        """Read a version's model into an object of its own, which may be fitted again.

        Raises ModelError, for a class that may not be loaded here before any of its files is read.
        """
        manifest = self.manifest(name, partition, version)
        estimator = class_of(manifest.kind)
        data = self._checked(manifest)
        with TemporaryDirectory(prefix="wave-model-") as folder:
            for file, content in data.items():
                (Path(folder) / file).write_bytes(content)
            try:
                return estimator.load(Path(folder))
            except ModelError:
                raise
            except Exception as error:  # an estimator may come from anywhere
                raise ModelError(
                    f"{manifest.kind} cannot load {self.place(name, partition, version)} "
                    f"({type(error).__name__}: {error}). {_ADVICE}"
                ) from error

    def check(self, name: str, partition: str, version: str) -> Manifest:
        """Read all of a version, and return its manifest. Raises ModelError when it is not what was saved."""
        manifest = self.manifest(name, partition, version)
        self._checked(manifest)
        return manifest

    def remove(self, name: str, partition: str, version: str) -> None:
        """Remove a version, its manifest first: what is left by a crash is not a version."""
        place = _place(name, partition, version)
        keys = self.files.find(place)
        self.files.remove([place + MANIFEST])
        self.files.remove([key for key in keys if key != place + MANIFEST])

    def place(self, name: str, partition: str, version: str) -> str:
        """Return where a version's files are."""
        return f"{self.files.place}/{models(name, partition)}{version}"

    def _checked(self, manifest: Manifest) -> dict[str, bytes]:
        place = _place(manifest.name, manifest.partition, manifest.version)
        data: dict[str, bytes] = {}
        for file, digest in manifest.sha256.items():
            content = self.files.read(place + file)
            if content is None or _sha256(content) != digest:
                raise ModelError(
                    f"{self.files.place}/{place}{file} is {'missing' if content is None else 'damaged'}: it is not "
                    f"the file that was saved. {_ADVICE}"
                )
            data[file] = content
        return data


def folder(name: str, partition: str) -> str:
    """Return the prefix of all that is kept of a model: whatever a partition is called, one folder."""
    return f"{_quoted(name)}/{_quoted(partition)}/"


def _quoted(part: str) -> str:
    text = quote(part, safe="")
    return text if text.strip(".") else text.replace(".", "%2E")


def models(name: str, partition: str) -> str:
    """Return the prefix of a model's versions."""
    return f"{folder(name, partition)}models/"


def _place(name: str, partition: str, version: str) -> str:
    """Return the prefix of a version's files. Raises ModelError for a version that would lead out of its folder."""
    try:
        return f"{models(name, partition)}{plain(version)}/"
    except ValueError:
        raise ModelError(f"{version!r} is not a version of a model. `wave model ls` lists them.") from None


def now() -> str:
    """Return the time in UTC, to the second."""
    return datetime.now(UTC).isoformat(timespec="seconds")


def _files_of(model: Storable) -> dict[str, bytes]:
    with TemporaryDirectory(prefix="wave-model-") as folder:
        model.save(Path(folder))
        found = {path.name: path.read_bytes() for path in sorted(Path(folder).iterdir()) if path.is_file()}
    if not found:
        raise ModelError(f"{type(model).__name__}.save(folder) wrote no file into the folder.")
    for file in found:
        try:
            plain(file)
        except ValueError as error:
            raise ModelError(
                f"{type(model).__name__}.save(folder) wrote a file that cannot be kept: {error}."
            ) from None
    return found


def _sha256(data: bytes) -> str:
    return hashlib.sha256(data).hexdigest()
