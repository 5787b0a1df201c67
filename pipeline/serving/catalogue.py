"""The catalogue: which models are served, which versions of each there are, and who gets which traffic.

It is kept in Redis, an entry a model, and changed by compare-and-set: two people who change it at once do not undo
each other's change. Workers and the API look at it twice a second.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import asdict, dataclass, field, replace
from typing import Any, Self

import orjson
from redis import Redis

from pipeline.errors import UnknownName, listed, near
from pipeline.forms import FORM, known_fields, readable
from pipeline.serving.errors import CatalogueError
from pipeline.serving.names import catalogue_key, check_name

TRIES = 20  # changes of others that may come in between
REMEMBERED = 10  # earlier live versions that a rollback may go back to
RENAMED = {"pipeline.serving.examples:mean": "example:mean"}  # paths that 0.1.0 stored -> what they are now

# KEYS: catalogue. ARGV: model, the entry that was read ("" for none), the new one.
_SWAP = """
if (redis.call('HGET', KEYS[1], ARGV[1]) or '') ~= ARGV[2] then return 0 end
redis.call('HSET', KEYS[1], ARGV[1], ARGV[3])
return 1
"""


@dataclass(frozen=True, slots=True)
class Source:
    """Where one version comes from."""

    kind: (
        str  # how it is loaded: a name of `pipeline.serving.kinds`, or "module:Class" where workers allow it
    )
    path: str

    @classmethod
    def of(cls, kind: str, path: str) -> Self:
        """Build it of what was stored, or given, by whichever version of celery-waves."""
        return cls(kind, RENAMED.get(path, path))


@dataclass(frozen=True, slots=True)
class Options:
    """How a model is served."""

    batch: int = 32  # instances in one call of predict, at most
    deadline: float = 10.0  # seconds in which a request must be answered
    instances: int = 1000  # of one request, at most


@dataclass(frozen=True, slots=True)
class Entry:
    """One model."""

    name: str
    versions: Mapping[str, Source] = field(default_factory=dict)
    live: str | None = None
    before: tuple[str, ...] = ()  # that were live earlier, the newest first
    weights: Mapping[str, float] = field(default_factory=dict)  # version -> its share of the traffic
    shadow: Mapping[str, float] = field(default_factory=dict)  # version -> fraction that is copied to it
    key: str | None = None  # field of an instance by which a split is sticky, where no header names a key
    options: Options = Options()

    @property
    def needed(self) -> tuple[str, ...]:
        """The versions that workers hold, the live one first."""
        others = sorted({*self.weights, *self.shadow} - {self.live})
        return (*([self.live] if self.live else []), *others)

    def dump(self) -> bytes:
        """Return what `parse` reads."""
        return orjson.dumps(asdict(self) | {"form": FORM}, option=orjson.OPT_SORT_KEYS)

    @classmethod
    def parse(cls, data: bytes | str) -> Self:
        """Read what `dump` gave."""
        found: dict[str, Any] = orjson.loads(data)
        found["versions"] = {
            name: Source.of(source["kind"], source["path"]) for name, source in found["versions"].items()
        }
        found["before"] = tuple(found["before"])
        found["options"] = Options(**known_fields(Options, found["options"]))
        return cls(**known_fields(cls, found))

    def with_version(self, version: str, source: Source) -> Self:
        """Know one more version; the first one is live at once. Raises CatalogueError where it is another already."""
        check_name(version, "model's version")
        known = self.versions.get(version)
        if known not in (None, source):
            raise CatalogueError(
                f"version {version!r} of {self.name!r} is {known.path!r} already, and a version never changes. "
                "Choose another name for this one."
            )
        return replace(self, versions={**self.versions, version: source}, live=self.live or version)

    def promoted(self, version: str) -> Self:
        """Make a version live: the whole traffic goes to it, but for what the split gives to others."""
        self._known(version)
        if version == self.live:
            return self
        before = (self.live, *(v for v in self.before if v != self.live)) if self.live else self.before
        weights = {name: weight for name, weight in self.weights.items() if name != version}
        shadow = {name: part for name, part in self.shadow.items() if name != version}
        return replace(self, live=version, before=before[:REMEMBERED], weights=weights, shadow=shadow)

    def rolled_back(self) -> Self:
        """End a split; where there is none, make the version live that was so before. Raises CatalogueError."""
        if self.weights:
            return replace(self, weights={})
        if not self.before:
            raise CatalogueError(
                f"{self.name!r} has no earlier version to go back to: {self.live} is the first."
            )
        return replace(self.promoted(self.before[0]), before=self.before[1:])

    def split(
        self, weights: Mapping[str, float], shadow: Mapping[str, float], key: str | None = None
    ) -> Self:
        """Share the traffic out; what the weights leave of 1 goes to the live version. Raises CatalogueError."""
        for version, part in {**weights, **shadow}.items():
            self._known(version)
            if not 0 <= part <= 1:
                raise CatalogueError(
                    f"{version}={part:g} is not a share: give one from 0 to 1, like {version}=0.1."
                )
        if self.live in shadow:
            raise CatalogueError(f"{self.live} is live and cannot be its own shadow.")
        others = {name: part for name, part in weights.items() if part and name != self.live}
        left = 1 - sum(others.values())
        wrong = abs(weights.get(self.live or "", left) - left) > 1e-6
        if left < -1e-9 or wrong:
            total = sum(weights.values())
            raise CatalogueError(
                f"the shares make {total:g} together. They may make 1; {self.live} has the rest."
            )
        return replace(
            self,
            weights=others,
            shadow={name: part for name, part in shadow.items() if part},
            key=key or self.key,
        )

    def _known(self, version: str) -> None:
        if version not in self.versions:
            raise CatalogueError(
                f"{self.name!r} has no version {version!r}.{near(version, self.versions)} "
                f"There are: {listed(self.versions)}."
            )


class Catalogue:
    """The models that one version of the code serves."""

    def __init__(self, client: Redis, version: str) -> None:
        self._client: Any = client
        self._key = catalogue_key(version)
        self._swap: Any = client.register_script(_SWAP)

    def all(self) -> dict[str, Entry]:
        """Return every model that can be read."""
        found = self._client.hgetall(self._key)
        return {entry.name: entry for entry in readable(Entry.parse, dict(sorted(found.items())).values())}

    def get(self, name: str) -> Entry:
        """Return one model. Raises UnknownName."""
        raw = self._client.hget(self._key, name)
        if raw is None:
            known = [key.decode() for key in self._client.hkeys(self._key)]
            raise UnknownName(
                f"no model {name!r} is served.{near(name, known)} There are: {listed(known)}. "
                "`wave serve-worker NAME --path PATH` adds one."
            )
        return Entry.parse(raw)

    def change(self, name: str, change: Callable[[Entry], Entry], new: bool = False) -> Entry:
        """Change a model, or with `new` add it where it is not there. Raises UnknownName, and what `change` raises."""
        check_name(name, "model")
        for _ in range(TRIES):
            raw = self._client.hget(self._key, name)
            if raw is None and not new:
                self.get(name)
            entry = change(Entry(name) if raw is None else Entry.parse(raw))
            if self._swap(keys=[self._key], args=[name, raw or b"", entry.dump()]):
                return entry
        raise CatalogueError(f"others change {name!r} all the time, {TRIES} times just now. Try again.")

    def remove(self, name: str) -> None:
        """Forget a model: its workers release it. Raises UnknownName."""
        self.get(name)
        self._client.hdel(self._key, name)
