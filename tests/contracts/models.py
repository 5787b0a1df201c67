"""What a registry of models does, wherever its files lie. Inherit, and give the fixture `root` with an empty place."""

from __future__ import annotations

import json
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from datetime import UTC, datetime
from itertools import pairwise
from pathlib import Path
from threading import Barrier
from typing import Any

import pytest

from forecasting.errors import ModelError
from forecasting.registry import Gate, Manifest, ModelSettings, PromotionRefused, Registry
from forecasting.registry.files import open_files

SPAN = (datetime(2026, 1, 1, tzinfo=UTC), datetime(2026, 1, 5, 3, tzinfo=UTC))
GOOD = {"mae": 1.0, "naive_mae": 2.0}
BAD = {"mae": 3.0, "naive_mae": 2.0}


class Level:
    """The simplest estimator that there is: no class of ours, and no XGBoost in it."""

    def __init__(self, level: float = 0.0) -> None:
        self.level_ = level

    def fit(self, data: Any) -> Level:
        self.level_ = float(sum(data) / len(data))
        return self

    def predict(self, data: Any) -> float:
        return self.level_

    def save(self, folder: Path) -> None:
        (folder / "level.json").write_text(json.dumps(self.level_))
        (folder / "notes.txt").write_text("a second file")

    @classmethod
    def load(cls, folder: Path) -> Level:
        return cls(json.loads((folder / "level.json").read_text()))


def settings(**options: Any) -> ModelSettings:
    return ModelSettings(refresh=60.0, **options)


def promote_in_turn(root: str, versions: list[str]) -> None:
    """What one of several processes does."""
    registry = Registry(root, settings())
    for version in versions:
        registry.promote("delay", "JFK", version)


class ModelsContract:
    @pytest.fixture
    def root(self) -> str:
        raise NotImplementedError

    @pytest.fixture
    def open(self, root: str) -> Callable[..., Registry]:
        """Opens the same place as another process would."""
        return lambda **options: Registry(root, settings(**options))

    @pytest.fixture
    def registry(self, open: Callable[..., Registry]) -> Registry:
        return open()

    @pytest.fixture
    def save(self, registry: Registry) -> Callable[..., Manifest]:
        def save(level: float, metrics: dict[str, float] = GOOD, partition: str = "JFK", **options: Any):
            return registry.save(
                "delay", partition, Level(level), SPAN, entities=3, metrics=metrics, **options
            )

        return save

    @pytest.fixture
    def three(self, registry: Registry, save) -> list[str]:
        """Versions that were promoted one after the other."""
        versions = [save(level).version for level in (1.0, 2.0, 3.0)]
        for version in versions:
            registry.promote("delay", "JFK", version)
        return versions

    # -- files

    def test_a_file_is_created_once_and_listed_in_order(self, root: str):
        files = open_files(root)
        assert files.create("a/2.json", b"two")
        assert files.create("a/1.json", b"one")
        assert files.create("b/3.json", b"three")
        assert not files.create("a/1.json", b"other")
        assert files.read("a/1.json") == b"one"
        assert files.read("a/9.json") is None
        assert files.find("a/") == ["a/1.json", "a/2.json"]
        assert files.find("a/", after="a/1.json") == ["a/2.json"]
        assert files.find() == ["a/1.json", "a/2.json", "b/3.json"]
        files.remove(["a/1.json", "a/2.json", "a/9.json"])
        assert files.find("a/") == []

    def test_of_many_that_create_the_same_file_one_does(self, root: str):
        files, ready = open_files(root), Barrier(8)
        files.find()

        def create(n: int) -> bool:
            ready.wait()
            return files.create("a/1.json", str(n).encode())

        with ThreadPoolExecutor(8) as pool:
            won = list(pool.map(create, range(8)))
        assert won.count(True) == 1
        assert files.read("a/1.json") == str(won.index(True)).encode()
        assert files.find("a/") == ["a/1.json"]

    # -- versions

    def test_any_estimator_comes_back_with_its_manifest(self, registry: Registry, save, open):
        manifest = save(1.5, code="main")
        assert manifest.version.startswith("2026-01-05T03-")
        other = open()
        assert other.load("delay", "JFK", manifest.version).level_ == 1.5
        stored = other.manifest("delay", "JFK", manifest.version)
        assert stored == manifest
        assert stored.kind == "tests.contracts.models:Level"
        assert (stored.first, stored.last, stored.entities, stored.code) == (
            "2026-01-01T00",
            "2026-01-05T03",
            3,
            "main",
        )
        assert set(stored.sha256) == {"level.json", "notes.txt"}
        assert other.names() == {"delay": ["JFK"]}

    def test_a_saved_version_is_not_live_before_it_is_promoted(self, registry: Registry, save):
        version = save(1.0).version
        with pytest.raises(
            ModelError, match=r"no model of 'delay' for 'JFK' is live at dev in .*Run the train"
        ):
            registry.live("delay", "JFK")
        assert registry.promote("delay", "JFK", version).changed
        assert registry.live("delay", "JFK") == version

    def test_saving_the_same_model_again_changes_nothing(self, registry: Registry, save):
        first = save(1.0)
        again = save(1.0, metrics=BAD)
        assert again.version == first.version
        assert registry.manifest("delay", "JFK", first.version).metrics == GOOD

    def test_a_model_is_read_once_by_a_process(self, registry: Registry, save):
        version = save(1.0).version
        assert registry.load("delay", "JFK", version) is registry.load("delay", "JFK", version)
        assert registry.fresh("delay", "JFK", version) is not registry.load("delay", "JFK", version)

    def test_an_unknown_version_is_answered_with_the_near_ones(self, registry: Registry, save):
        version = save(1.0).version
        with pytest.raises(ModelError, match=f"Did you mean '{version}'"):
            registry.promote("delay", "JFK", version[:-1])

    def test_a_partition_may_have_any_name_and_never_leads_out_of_the_folder(self, registry: Registry, save):
        partitions = ["..", ".", "../../etc", "Köln/Süd", "50% off", "a\\b"]
        for partition in partitions:
            registry.promote("delay", partition, save(1.0, partition=partition).version)
            assert registry.serving("delay", partition).model.level_ == 1.0
        assert registry.names() == {"delay": sorted(partitions)}
        assert all(key.startswith("delay/") and "/../" not in key for key in registry.files.find())

    # -- what is live

    def test_a_promotion_is_seen_by_others_once_their_answer_is_old(self, save, open):
        first, second = save(1.0).version, save(2.0).version
        mine, late = open(), Registry(open().files, ModelSettings(refresh=1e-9))
        mine.promote("delay", "JFK", first)
        assert open().live("delay", "JFK") == late.live("delay", "JFK") == first
        waiting = open()
        assert waiting.live("delay", "JFK") == first
        mine.promote("delay", "JFK", second)
        assert waiting.live("delay", "JFK") == first  # it asks again after `refresh` seconds
        assert late.live("delay", "JFK") == second
        assert late.serving("delay", "JFK").model.level_ == 2.0

    def test_of_promotions_at_once_none_is_lost(self, save, open):
        versions = [save(float(level)).version for level in range(6)]
        ready = Barrier(6)

        def promote(version: str) -> None:
            own = open()
            own.newest("delay", "JFK")
            ready.wait()
            own.promote("delay", "JFK", version)

        with ThreadPoolExecutor(6) as pool:
            list(pool.map(promote, versions))
        events = open().history("delay", "JFK")
        assert [event.number for event in events] == [6, 5, 4, 3, 2, 1]
        assert {event.version for event in events} == set(versions)
        for later, earlier in pairwise(events):
            assert later.before == earlier.version

    def test_what_is_live_already_is_not_promoted_again(self, registry: Registry, save):
        version = save(1.0).version
        registry.promote("delay", "JFK", version)
        assert not registry.promote("delay", "JFK", version).changed
        assert len(registry.history("delay", "JFK")) == 1

    def test_stages_have_each_their_own_live_version(self, registry: Registry, save):
        first, second = save(1.0).version, save(2.0).version
        registry.promote("delay", "JFK", first)
        registry.promote("delay", "JFK", first, "prod")
        registry.promote("delay", "JFK", second)
        assert registry.live("delay", "JFK") == second
        assert registry.live("delay", "JFK", "prod") == first
        with pytest.raises(ModelError, match="is live at test"):
            registry.live("delay", "JFK", "test")

    # -- the gate

    def test_a_first_model_that_does_not_beat_the_seasonal_naive_is_refused_with_the_numbers(
        self, registry: Registry, save
    ):
        version = save(1.0, BAD).version
        text = r"its error 3 is 1.500 times the seasonal naive's 2 \(at most 1 is allowed\)"
        with pytest.raises(
            PromotionRefused, match=rf"not made live at dev: {text}.*No version is live; --force"
        ):
            registry.promote("delay", "JFK", version)
        with pytest.raises(ModelError, match=rf"{version} was refused, {text}"):
            registry.live("delay", "JFK")
        (event,) = registry.history("delay", "JFK")
        assert (event.kind, event.version, event.live) == ("refused", version, None)

    def test_force_goes_past_the_gate_and_is_recorded(self, registry: Registry, save):
        version = save(1.0, BAD).version
        event = registry.promote("delay", "JFK", version, force=True, why="a test", by="me").event
        assert registry.live("delay", "JFK") == version
        assert (event.forced, event.why, event.by) == (True, "a test", "me")
        assert "1.500 times" in event.text
        assert registry.history("delay", "JFK") == [event]

    def test_force_that_was_not_needed_is_not_recorded(self, registry: Registry, save):
        assert not registry.promote("delay", "JFK", save(1.0).version, force=True).event.forced

    def test_a_version_that_is_worse_than_the_live_one_is_refused_and_the_live_one_stays(
        self, registry: Registry, save
    ):
        live = save(1.0).version
        registry.promote("delay", "JFK", live)
        worse = save(2.0, GOOD | {"live_mae": 0.8}, against=live).version
        with pytest.raises(
            PromotionRefused, match=rf"1.250 times that of the live {live} 0.8.*{live} stays live"
        ):
            registry.promote("delay", "JFK", worse)
        assert registry.live("delay", "JFK") == live

    def test_each_stage_has_thresholds_of_its_own(self, save, open):
        gates = {"dev": Gate(), "test": Gate(), "prod": Gate(naive=0.4)}
        version, strict = save(1.0).version, open(gates=gates)
        assert strict.promote("delay", "JFK", version).changed
        with pytest.raises(PromotionRefused, match=r"0.500 times the seasonal naive's 2 \(at most 0.4"):
            strict.promote("delay", "JFK", version, "prod")

    # -- rollback and history

    def test_rollbacks_go_back_one_by_one_and_end_with_an_error(self, registry: Registry, three):
        first, second, third = three
        assert registry.rollback("delay", "JFK", why="late").event.version == second
        assert registry.rollback("delay", "JFK").event.version == first
        assert registry.live("delay", "JFK") == first
        with pytest.raises(
            ModelError, match=f"no earlier version to go back to at dev: {first} is the first one"
        ):
            registry.rollback("delay", "JFK")
        registry.promote("delay", "JFK", third)
        assert registry.rollback("delay", "JFK").event.version == first

    def test_the_history_tells_who_when_from_to_and_why(self, registry: Registry, three):
        registry.rollback("delay", "JFK", why="too wide", by="ann")
        newest, *_, oldest = registry.history("delay", "JFK")
        assert (newest.kind, newest.before, newest.version) == ("rolled back", three[2], three[1])
        assert (newest.by, newest.why, dict(newest.metrics)) == ("ann", "too wide", GOOD)
        assert newest.at.endswith("+00:00")
        assert (oldest.kind, oldest.before, oldest.version) == ("promoted", None, three[0])
        assert "@" in oldest.by

    # -- damage

    def damage(self, registry: Registry, version: str, file: str = "level.json") -> None:
        key = f"delay/JFK/models/{version}/{file}"
        registry.files.remove([key])
        registry.files.create(key, b"7")

    @pytest.mark.parametrize("file", ["level.json", "manifest.json"])
    def test_a_damaged_version_is_named_and_the_one_before_it_serves(self, three, open, caplog, file: str):
        registry = open()
        self.damage(registry, three[2], file)
        with pytest.raises(ModelError, match=rf"{three[2]}/{file} (is damaged|cannot be read)"):
            registry.load("delay", "JFK", three[2])
        for _ in range(2):
            found = registry.serving("delay", "JFK")
            assert (found.version, found.instead_of, found.model.level_) == (three[1], three[2], 2.0)
            assert file in found.why
        assert caplog.text.count("the one before it serves") == 1

    def test_a_missing_version_is_served_by_the_newest_whole_one_before_it(self, three, open):
        registry = open()
        registry.remove("delay", "JFK", three[2])
        self.damage(registry, three[1])
        found = registry.serving("delay", "JFK")
        assert (found.version, found.instead_of) == (three[0], three[2])
        assert "has no version" in found.why

    def test_with_nothing_whole_the_error_is_that_of_the_live_version(self, three, open):
        registry = open()
        for version in three:
            self.damage(registry, version)
        with pytest.raises(
            ModelError, match=rf"{three[2]}/level.json is damaged: it is not the file that was sa"
        ):
            registry.serving("delay", "JFK")

    def test_a_damaged_version_is_neither_promoted_nor_rolled_back_to(self, three, registry: Registry):
        self.damage(registry, three[1])
        assert registry.rollback("delay", "JFK").event.version == three[0]
        with pytest.raises(ModelError, match="is damaged"):
            registry.promote("delay", "JFK", three[1], force=True)

    # -- pruning

    def test_old_versions_are_removed_but_never_what_is_live_or_was_before_it(
        self, registry: Registry, save, three
    ):
        registry.promote("delay", "JFK", three[0], "prod")
        old = save(4.0).version
        assert set(registry.prune("delay", "JFK", keep=1)) <= {old}
        assert set(three) <= set(registry.versions("delay", "JFK"))
        registry.rollback("delay", "JFK")  # three[1] is live, three[0] before it, three[2] nowhere
        registry.prune("delay", "JFK", keep=1)
        assert set(three[:2]) <= set(registry.versions("delay", "JFK"))
        with pytest.raises(ModelError, match="keep=0 would remove every version"):
            registry.prune("delay", "JFK", keep=0)
