"""`wave model`: looking at models, and deciding what is live."""

from __future__ import annotations

import json
import re
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from click.testing import CliRunner, Result

from forecasting.registry import ModelSettings, Registry
from pipeline.cli import COMMANDS, main
from tests.contracts.models import BAD, GOOD, SPAN, Level

Wave = Callable[..., Result]


@pytest.fixture
def registry(tmp_path: Path) -> Registry:
    return Registry(tmp_path, ModelSettings(refresh=1e-9))


@pytest.fixture
def wave(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Wave:
    """The command, over the registry's folder; the exit code is 0 unless `code` says another."""
    # The command itself, whatever the installation of this environment knows of entry points.
    monkeypatch.setitem(COMMANDS, "model", ("forecasting.cli.model:model", ""))
    monkeypatch.setenv("PIPELINE_MODELS", str(tmp_path))
    for name in ("PIPELINE_STAGE", "PIPELINE_MODELS_TOPIC"):
        monkeypatch.delenv(name, raising=False)

    def call(*words: str, code: int = 0) -> Result:
        result = CliRunner().invoke(main, ["model", *words], prog_name="wave")
        assert result.exit_code == code, result.output
        return result

    return call


def save(registry: Registry, level: float, metrics: dict[str, float] = GOOD, partition: str = "JFK") -> str:
    return registry.save(
        "delay", partition, Level(level), SPAN, entities=3, metrics=metrics, code="main"
    ).version


@pytest.fixture
def versions(registry: Registry) -> list[str]:
    """Three versions of JFK, the second of which is live at dev; one of LGA, live nowhere."""
    found = [save(registry, level) for level in (1.0, 2.0, 3.0)]
    for version in found[:2]:
        registry.promote("delay", "JFK", version, by="ann")
    save(registry, 1.0, BAD, "LGA")
    return found


def read(result: Result) -> Any:
    return json.loads(result.stdout)


def test_ls_lists_versions_and_what_is_live_at_each_stage(wave: Wave, registry: Registry, versions):
    registry.promote("delay", "JFK", versions[0], "prod")
    lines = wave("ls").stdout.splitlines()
    assert lines[0].split() == [
        *("pipe", "partition", "versions", "dev", "test", "prod"),
        *("data", "until", "error", "naive"),
    ]
    assert lines[1].split() == ["delay", "JFK", "3", versions[1], versions[0], "2026-01-05T03", "1", "2"]
    assert lines[2].split() == ["delay", "LGA", "1"]
    assert lines[-1] == "errors are those of what is live at dev"
    jfk = read(wave("ls", "delay", "--json"))[0]
    assert (jfk["dev"], jfk["test"], jfk["prod"], jfk["metrics"]) == (versions[1], None, versions[0], GOOD)


def test_ls_of_an_empty_place_says_which(wave: Wave, tmp_path: Path):
    assert wave("ls").stdout == f"no models in {tmp_path}\n"
    assert read(wave("ls", "--json")) == []


def test_ls_marks_a_damaged_live_version(wave: Wave, registry: Registry, versions, tmp_path: Path):
    (tmp_path / "delay" / "JFK" / "models" / versions[1] / "manifest.json").write_text("{")
    assert "damaged" in wave("ls").stdout.splitlines()[1]


def test_another_place_can_be_named(wave: Wave, tmp_path: Path):
    assert f"no models in {tmp_path / 'other'}" in wave("--models", str(tmp_path / "other"), "ls").stdout


def test_show_tells_the_data_the_errors_and_what_each_gate_says(wave: Wave, versions):
    text = wave("show", "delay", "--partition", "JFK").stdout
    assert text.startswith(f"delay of JFK: {versions[1]}\n  live at       dev\n")
    assert "data          2026-01-01T00 to 2026-01-05T03, 3 entities" in text
    assert "errors        mae 1, naive_mae 2" in text
    assert "gate of prod  passes: its error 1 is 0.500 times the seasonal naive's 2" in text
    known = read(wave("show", "delay", "--partition", "JFK", "--version", versions[2], "--json"))[0]
    assert (known["version"], known["live_at"], known["code"]) == (versions[2], [], "main")
    assert known["gates"]["dev"]["passed"]


def test_show_tells_damage(wave: Wave, versions, tmp_path: Path):
    (tmp_path / "delay" / "JFK" / "models" / versions[1] / "level.json").write_text("7")
    assert "level.json is damaged" in wave("show", "delay", "--partition", "JFK").stdout


def test_the_newest_version_is_promoted_to_dev_and_what_is_live_there_to_test(
    wave: Wave, registry: Registry, versions
):
    newest = registry.versions("delay", "JFK")[-1]
    registry.promote("delay", "JFK", next(v for v in versions if v != newest))
    said = wave("promote", "delay", "--partition", "JFK", "--why", "a new feature").stdout
    assert said.startswith(f"delay of JFK at dev: {newest} is live (promoted, before it ")
    assert "0.500 times the seasonal naive's 2" in said
    assert registry.history("delay", "JFK")[0].why == "a new feature"
    wave("promote", "delay", "--partition", "JFK", "--stage", "test")
    assert registry.live("delay", "JFK", "test") == newest
    again = wave("promote", "delay", "--partition", "JFK", "--stage", "test").stdout
    assert again == f"delay of JFK at test: {newest} is live already\n"


def test_a_refused_promotion_tells_the_numbers_and_the_others_go_on(wave: Wave, registry: Registry, versions):
    result = wave("promote", "delay", code=1)
    assert "delay of JFK at dev:" in result.stdout
    assert "wave: 'delay' of 'LGA': version" in result.stderr
    assert "its error 3 is 1.500 times the seasonal naive's 2 (at most 1 is allowed)" in result.stderr
    jfk, lga = read(wave("promote", "delay", "--json", code=1))
    assert (jfk["changed"], jfk["error"]) == (False, None)
    assert "1.500 times" in lga["error"]


def test_force_goes_past_the_gate(wave: Wave, registry: Registry, versions):
    said = wave("promote", "delay", "--partition", "LGA", "--force").stdout
    assert "is live (promoted by force)" in said
    assert registry.history("delay", "LGA")[0].forced


def test_nothing_that_is_live_before_cannot_be_promoted(wave: Wave, versions):
    said = wave("promote", "delay", "--partition", "LGA", "--stage", "prod", code=1).stderr
    assert "no model of 'delay' for 'LGA' is live at test" in said


def test_rollback_goes_back_and_says_when_there_is_no_further(wave: Wave, registry: Registry, versions):
    said = wave("rollback", "delay", "--partition", "JFK", "--why", "too wide").stdout
    assert said == (f"delay of JFK at dev: {versions[0]} is live (rolled back, before it {versions[1]})\n")
    error = wave("rollback", "delay", "--partition", "JFK", code=1).stderr
    assert "has no earlier version to go back to at dev" in error


def test_a_rollback_of_several_partitions_is_asked_for(wave: Wave, registry: Registry, versions):
    error = wave("rollback", "delay", code=2).stderr
    assert "'delay' has models of 2 partitions: give --partition, or --all" in error
    wave("rollback", "delay", "--all", code=1)  # LGA has nothing to go back to
    assert registry.live("delay", "JFK") == versions[0]


def test_history_tells_who_when_from_to_and_why(wave: Wave, registry: Registry, versions):
    wave("promote", "delay", "--partition", "LGA", "--force", "--why", "must")
    registry.rollback("delay", "JFK", why="too wide", by="ben")
    text = wave("history", "delay").stdout
    assert f"rolled back  {versions[0]}" in text
    assert "ben" in text
    assert "too wide" in text
    assert "must by force (its error 3 is 1.500 times" in text
    assert len(wave("history", "delay", "-n", "2").stdout.splitlines()) == 4
    assert "and 2 older ones: -n 0 lists all" in wave("history", "delay", "-n", "2").stdout
    found = read(wave("history", "delay", "--partition", "JFK", "--json"))
    assert [event["kind"] for event in found] == ["rolled back", "promoted", "promoted"]
    assert wave("history", "delay", "--stage", "prod").stdout == "nothing was decided about delay at prod\n"


def test_prune_removes_old_versions(wave: Wave, registry: Registry, versions):
    for level in (4.0, 5.0, 6.0):
        save(registry, level)
    said = wave("prune", "delay", "--partition", "JFK", "--keep", "1").stdout
    left = registry.versions("delay", "JFK")
    assert said == f"delay of JFK: removed {6 - len(left)} versions, {len(left)} left\n"
    assert set(versions[:2]) <= set(left)
    assert read(wave("prune", "delay", "--keep", "1", "--json")) == {"JFK": [], "LGA": []}


def test_what_is_not_published_is_told_and_is_live_all_the_same(
    wave: Wave, registry: Registry, versions, monkeypatch: pytest.MonkeyPatch
):
    monkeypatch.setenv("PIPELINE_MODELS_TOPIC", "arn:aws:sns:eu-west-1:123456789012:models")
    monkeypatch.setenv("AWS_ENDPOINT_URL", "http://127.0.0.1:9")
    monkeypatch.setenv("AWS_MAX_ATTEMPTS", "1")
    for name in ("AWS_ACCESS_KEY_ID", "AWS_SECRET_ACCESS_KEY"):
        monkeypatch.setenv(name, "testing")
    result = wave("promote", "delay", "--partition", "JFK", "--version", versions[2], code=1)
    assert f"{versions[2]} is live" in result.stdout
    assert "wave: not published: arn:aws:sns:eu-west-1:123456789012:models does not take" in result.stderr
    assert "`wave model publish delay` tries again" in result.stderr
    assert registry.live("delay", "JFK") == versions[2]


def test_publishing_without_a_topic_is_told(wave: Wave, versions):
    assert "no topic is configured" in wave("publish", "delay", "--partition", "JFK", code=1).stderr


@pytest.mark.parametrize(
    ("words", "text"),
    [
        (("show", "dely"), "no models of 'dely' in .* Did you mean 'delay'.*There are those of: delay"),
        (("history", "delay", "--partition", "JFL"), "no model of 'delay' for 'JFL'. Did you mean 'JFK'"),
        (("show", "delay", "--partition", "JFK", "--version", "v1"), "has no version 'v1'"),
        (("ls", "--json", "x"), "no models of 'x'"),
        (("show", "delay/JFK"), "no models of 'delay/JFK'. Those of a partition are: delay --partition JFK."),
        (("promote", "delay", "--stage", "prd"), "'prd' is not one of 'dev', 'test', 'prod'"),
        (("prune", "delay", "--keep", "0"), "0 is not in the range x>=1"),
    ],
)
def test_a_wrong_word_is_answered_with_a_text(wave: Wave, versions, words: tuple[str, ...], text: str):
    result = wave(*words, code=2)
    assert re.search(text, result.stderr)


def test_a_wrong_setting_is_told(wave: Wave, monkeypatch: pytest.MonkeyPatch):
    monkeypatch.setenv("PIPELINE_STAGE", "live")
    assert "PIPELINE_STAGE: 'live' is not a stage" in wave("ls", code=2).stderr
