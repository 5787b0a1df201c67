"""The registry of models in a folder, and what needs no files at all."""

from __future__ import annotations

import os
from pathlib import Path

import pytest

from forecasting.errors import ModelError
from forecasting.registry import Gate, Manifest, ModelSettings, Registry, decide, process_registry
from forecasting.registry.manifest import class_of, kind_of, recipe_of
from pipeline.errors import SettingsError
from tests.contracts.models import GOOD, SPAN, Level, ModelsContract


class TestModelsInAFolder(ModelsContract):
    @pytest.fixture
    def root(self, tmp_path: Path) -> str:
        return str(tmp_path / "models")

    def test_nothing_is_left_beside_the_files(self, root: str, three):
        assert not list(Path(root).rglob(".*"))

    def test_a_place_that_is_no_folder_is_told(self, tmp_path: Path):
        (tmp_path / "file").write_text("")
        with pytest.raises(
            ModelError, match=r"the folder of models .*file cannot be used .*set PIPELINE_MODELS"
        ):
            Registry(tmp_path / "file").save("delay", "JFK", Level(), SPAN, entities=1)


def manifest(version: str = "v1", against: str | None = None, **metrics: float) -> Manifest:
    named = {name.replace("cover95", "cover-95"): value for name, value in metrics.items()}
    return Manifest("delay", "JFK", version, "", "", 1, (), named, against)


@pytest.mark.parametrize(
    ("candidate", "live", "gate", "passed", "said"),
    [
        (manifest(mae=1, naive_mae=2), None, Gate(), True, "0.500 times the seasonal naive's 2"),
        (manifest(mae=2, naive_mae=2), None, Gate(), True, "1.000 times"),
        (manifest(mae=2, naive_mae=2), None, Gate(naive=0.9), False, "at most 0.9 is allowed"),
        (manifest(), None, Gate(), False, "was not measured by a backtest"),
        (manifest(mae=float("nan"), naive_mae=2), None, Gate(), False, "was not measured"),
        (manifest(mae=0, naive_mae=0), None, Gate(), True, "0.000 times"),
        (manifest(mae=1, naive_mae=0), None, Gate(), False, "inf times"),
        (
            manifest(mae=1, naive_mae=2, live_mae=0.9, against="v0"),
            manifest("v0", mae=9, naive_mae=9),
            Gate(),
            False,
            "1.111 times that of the live v0 0.9",
        ),
        (
            manifest(mae=1, naive_mae=2, live_mae=0.9, against="v0"),
            manifest("v0"),
            Gate(live=1.2),
            True,
            "at most 1.2",
        ),
        # Measured against another one than the one that is live: at other hours, so relative to the naive.
        (
            manifest(mae=1, naive_mae=2, live_mae=0.1, against="v0"),
            manifest("v9", mae=3, naive_mae=5),
            Gate(),
            True,
            "at other hours, 0.5 is 0.833 times",
        ),
        (manifest(mae=1, naive_mae=2), manifest("v0"), Gate(), True, "the live v0 was not measured"),
        (
            manifest(mae=1, naive_mae=2, cover95=0.85),
            None,
            Gate(cover=0.05),
            False,
            r"covers 85.0 % \(at most 5 points",
        ),
        (manifest(mae=1, naive_mae=2, cover95=0.85), None, Gate(), True, "0.500"),
    ],
)
def test_the_gate_says_yes_or_no_with_its_numbers(candidate, live, gate, passed, said):
    decision = decide(gate, candidate, live)
    assert decision.passed == passed
    assert said.replace("\\", "") in decision.text


def test_settings_are_read_from_the_environment():
    found = ModelSettings.from_env(
        {
            "PIPELINE_MODELS": "s3://b/p",
            "PIPELINE_STAGE": "prod",
            "PIPELINE_MODELS_REFRESH": "2s",
            "PIPELINE_MODELS_KEEP": "5",
            "PIPELINE_MODELS_TOPIC": "arn:aws:sns:eu-west-1:123456789012:models",
            "PIPELINE_GATE": "naive=0.95",
            "PIPELINE_GATE_PROD": "naive=0.9, live=1.02",
        }
    )
    assert (found.root, found.stage, found.refresh, found.keep) == ("s3://b/p", "prod", 2.0, 5)
    assert found.gates == {"dev": Gate(0.95), "test": Gate(0.95), "prod": Gate(0.9, 1.02)}
    assert ModelSettings.from_env({}) == ModelSettings()


@pytest.mark.parametrize(
    ("variable", "value", "text"),
    [
        ("PIPELINE_STAGE", "production", "'production' is not a stage. There are dev, test, prod"),
        ("PIPELINE_STAGE", "tset", "Did you mean 'test'"),
        ("PIPELINE_MODELS_REFRESH", "soon", "PIPELINE_MODELS_REFRESH"),
        ("PIPELINE_MODELS_KEEP", "0", "PIPELINE_MODELS_KEEP='0' is not a whole number above zero"),
        ("PIPELINE_MODELS_TOPIC", "models", "PIPELINE_MODELS_TOPIC='models' is not a topic's ARN"),
        (
            "PIPELINE_GATE",
            "naiv=1",
            "PIPELINE_GATE: 'naiv=1' names no threshold. Did you mean 'naive'.*naive, live",
        ),
        (
            "PIPELINE_GATE_PROD",
            "live=much",
            "PIPELINE_GATE_PROD: 'live=much' is not a number above zero. Write live=0.95",
        ),
    ],
)
def test_a_wrong_setting_is_named(variable: str, value: str, text: str):
    with pytest.raises(SettingsError, match=text):
        ModelSettings.from_env({variable: value})


class Fitless:
    def save(self, folder: Path) -> None: ...


def test_what_is_no_estimator_is_refused(tmp_path: Path):
    with pytest.raises(ModelError, match="Fitless cannot be kept: it has no fit and no predict and no load"):
        Registry(tmp_path).save("delay", "JFK", Fitless(), SPAN, entities=1)

    class Local(Level):
        pass

    with pytest.raises(ModelError, match="no other process can import it"):
        kind_of(Local())


@pytest.mark.parametrize(
    ("kind", "text"),
    [
        ("nowhere.at_all:Model", "cannot import .*nowhere"),
        ("os:nothing", "cannot import"),
        ("os.path:join", "is not a class with fit, predict, save, load"),
    ],
)
def test_a_class_that_is_not_there_is_told(kind: str, text: str, monkeypatch):
    monkeypatch.setenv("PIPELINE_ALLOW", "nowhere,os,os.path,os.path:join")
    with pytest.raises(ModelError, match=text):
        class_of(kind)


def test_a_recipe_is_the_class_and_its_parameters_and_not_what_was_learned():
    class Tuned:
        fit = predict = save = load = lambda self: None

        def __init__(self, depth: int, learned: int) -> None:
            self.depth, self.learned_, self._cache = depth, learned, learned

    Tuned.__qualname__ = "Tuned"
    assert recipe_of(Tuned(3, 1)) == recipe_of(Tuned(3, 2)) != recipe_of(Tuned(4, 1))
    assert recipe_of(Level(1)) == recipe_of(Level(2))


class Silent(Level):
    def save(self, folder: Path) -> None: ...


class Loud(Level):
    def save(self, folder: Path) -> None:
        (folder / "manifest.json").write_text("{}")


def test_a_file_that_would_hide_the_manifest_is_refused_when_it_is_saved(tmp_path: Path):
    with pytest.raises(
        ModelError, match=r"Loud.save\(folder\) wrote a file that cannot be kept: 'manifest.json'"
    ):
        Registry(tmp_path).save("delay", "JFK", Loud(), SPAN, entities=1)


def test_a_file_that_save_did_not_write_is_told(tmp_path: Path):
    with pytest.raises(ModelError, match=r"Silent.save\(folder\) wrote no file"):
        Registry(tmp_path).save("delay", "JFK", Silent(), SPAN, entities=1)


def test_a_place_of_an_unknown_kind_is_told():
    with pytest.raises(ModelError, match=r"'gs://b' holds no models: PIPELINE_MODELS is a folder or s3://"):
        Registry("gs://b")
    with pytest.raises(ModelError, match="'s3:///prefix' names no bucket"):
        Registry("s3:///prefix")


def test_a_registry_whose_place_is_gone_goes_on_with_what_it_knows(tmp_path: Path, caplog, monkeypatch):
    registry = Registry(tmp_path, ModelSettings(refresh=1e-9))
    version = registry.save("delay", "JFK", Level(), SPAN, entities=1, metrics=GOOD).version
    registry.promote("delay", "JFK", version)

    def gone(*_):
        raise ModelError("the network is down")

    monkeypatch.setattr(registry.files, "find", gone)
    assert registry.live("delay", "JFK") == version
    assert "going on with the version that was live" in caplog.text


def test_a_damaged_decision_is_named(tmp_path: Path):
    registry = Registry(tmp_path)
    registry.files.create("delay/JFK/live/dev/00000001.json", b"{")
    with pytest.raises(ModelError, match=r"the decision .*00000001.json cannot be read .*Remove that file"):
        registry.live("delay", "JFK")


def test_what_is_made_live_is_published_and_a_failure_is_told_and_loses_nothing(tmp_path: Path, caplog):
    said = []
    registry = Registry(tmp_path, publish=said.append)
    first, second = (
        registry.save("delay", "JFK", Level(n), SPAN, entities=1, metrics=GOOD).version for n in (1, 2)
    )
    assert registry.promote("delay", "JFK", first, "prod", why="new", by="ann").published
    (body,) = said
    assert body == {
        "event": "promoted",
        "name": "delay",
        "partition": "JFK",
        "stage": "prod",
        "version": first,
        "from": None,
        "number": 1,
        "by": "ann",
        "at": body["at"],
        "why": "new",
        "forced": False,
        "metrics": GOOD,
        "artifact": f"{tmp_path}/delay/JFK/models/{first}",
    }

    def fail(_):
        raise ModelError("no such topic")

    broken = Registry(tmp_path, publish=fail)
    done = broken.promote("delay", "JFK", second, "prod")
    assert (done.published, done.unpublished) == (False, "no such topic")
    assert broken.live("delay", "JFK", "prod") == second
    assert "a promotion was not published" in caplog.text
    assert registry.publish("delay", "JFK", "prod").published
    assert said[-1]["version"] == second
    assert said[-1]["from"] == first


def test_publishing_again_needs_a_topic_and_a_live_version(tmp_path: Path):
    with pytest.raises(ModelError, match=r"no topic is configured\. Set PIPELINE_MODELS_TOPIC"):
        Registry(tmp_path).publish("delay", "JFK")
    with pytest.raises(ModelError, match="no model of 'delay'"):
        Registry(tmp_path, publish=print).publish("delay", "JFK")


def test_a_process_has_one_registry_of_the_same_settings(monkeypatch, tmp_path: Path):
    monkeypatch.setenv("PIPELINE_MODELS", str(tmp_path))
    assert process_registry() is process_registry()
    monkeypatch.setattr(os, "getpid", lambda: 1)
    first = process_registry()
    monkeypatch.undo()
    assert process_registry(ModelSettings(root=str(tmp_path))) is not first
