"""Settings: what the environment says."""

from __future__ import annotations

import subprocess
from dataclasses import fields

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from forecasting.registry.settings import ModelSettings
from pipeline.errors import SettingsError
from pipeline.monitoring.alert_rules import Bounds
from pipeline.settings import Settings, git_version, without_secret
from pipeline.web.settings import WebSettings

LENGTHS = ("LEASE", "MIN_TTL", "WAVE_TTL", "SHARD_SECONDS", "SOCKET_TIMEOUT", "KEEPER")
COUNTS = ("MAX_VALUE", "SHARD_SIZE", "SHARD_MAX")


def read(**env: str) -> Settings:
    return Settings.from_env({"PIPELINE_VERSION": "main"} | env)


def git(folder, *command: str) -> None:
    who = ["-c", "user.name=somebody", "-c", "user.email=somebody@example.org"]
    subprocess.run(["git", *who, *command], cwd=folder, check=True, capture_output=True)


@pytest.fixture
def checkout(tmp_path, monkeypatch):
    """A fresh git checkout with one commit on `main`, which is the working folder."""
    git(tmp_path, "init", "--initial-branch", "main")
    git(tmp_path, "commit", "--allow-empty", "--message", "first")
    monkeypatch.chdir(tmp_path)
    return tmp_path


def test_an_empty_environment_gives_the_defaults():
    assert read() == Settings(version="main")


def test_every_variable_is_read():
    found = read(
        REDIS_URL="redis://broker/1",
        PIPELINE_STORE_URL="redis://store/2",
        PIPELINE_VERSION="feature/x",
        PIPELINE_FLOWS=" my_flows:delays , other ,",
        PIPELINE_MODELS="s3://models",
        PIPELINE_LEASE="45",
        PIPELINE_MIN_TTL="2d",
        PIPELINE_WAVE_TTL="1h30m",
        PIPELINE_MAX_VALUE="5000",
        PIPELINE_SHARD_SECONDS="0.5",
        PIPELINE_SHARD_SIZE="10",
        PIPELINE_SHARD_MAX="20",
        PIPELINE_SOCKET_TIMEOUT="250ms",
        PIPELINE_KEEPER=".5",
        PIPELINE_PRICE="0.0493",
    )
    assert (found.redis_url, found.store_url, found.pipe_store_url) == (
        "redis://broker/1",
        "redis://store/2",
        "redis://store/2",
    )
    assert (found.version, found.models) == ("feature/x", "s3://models")
    assert found.flows == ("my_flows:delays", "other")
    assert (found.lease, found.min_ttl, found.wave_ttl) == (45.0, 2 * 86400.0, 5400.0)
    assert (found.shard_seconds, found.socket_timeout, found.keeper) == (0.5, 0.25, 0.5)
    assert found.price == 0.0493
    assert (found.max_value, found.shard_size, found.shard_max) == (5000, 10, 20)


def test_a_variable_that_is_set_to_nothing_is_not_set():
    names = [
        "REDIS_URL",
        *(f"PIPELINE_{name}" for name in ("STORE_URL", "FLOWS", "MODELS", *LENGTHS, *COUNTS)),
    ]
    assert read(**dict.fromkeys(names, "")) == Settings(version="main")


def test_pipes_are_stored_in_the_same_redis_unless_another_is_named():
    assert Settings(redis_url="redis://one").pipe_store_url == "redis://one"


@pytest.mark.parametrize("name", LENGTHS)
@pytest.mark.parametrize("value", ["soon", "-1", "0", "nan", "1.2.3", "²"])
def test_a_length_of_time_that_cannot_be_read_names_the_variable(name, value):
    with pytest.raises(SettingsError, match=rf"^PIPELINE_{name} .*\(from the environment\)$"):
        read(**{f"PIPELINE_{name}": value})


@pytest.mark.parametrize("name", COUNTS)
@pytest.mark.parametrize("value", ["many", "-1", "0", "1.5", "²", "1e3"])
def test_a_count_that_cannot_be_read_names_the_variable(name, value):
    with pytest.raises(SettingsError) as caught:
        read(**{f"PIPELINE_{name}": value})
    assert str(caught.value) == f"PIPELINE_{name}={value!r} is not a whole number above zero."


@pytest.mark.parametrize("kind", [Settings, WebSettings, Bounds, ModelSettings])
def test_each_setting_tells_its_variable_and_its_meaning(kind):
    told = [one.metadata for one in fields(kind)]
    assert all(one["variable"].isupper() and one["meaning"] for one in told)
    assert len({one["variable"] for one in told}) == len(told)


# The version


def test_without_a_variable_the_version_is_the_git_branch(checkout):
    git(checkout, "checkout", "-b", "feature/new-model")
    assert git_version() == "feature/new-model"
    assert Settings.from_env({}).version == "feature/new-model"
    assert Settings.from_env({"PIPELINE_VERSION": "v1"}).version == "v1"


def test_on_no_branch_the_version_is_the_tag(checkout):
    git(checkout, "tag", "v1.2")
    git(checkout, "checkout", "--detach")
    assert git_version() == "v1.2"
    git(checkout, "commit", "--allow-empty", "--message", "second")
    assert git_version() is None


def test_where_nothing_tells_the_version_asking_for_it_says_what_to_do(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("GIT_CEILING_DIRECTORIES", str(tmp_path.parent))
    found = Settings.from_env({})
    assert found.version is None
    with pytest.raises(SettingsError) as caught:
        found.own_version()
    assert str(caught.value) == (
        "no version: PIPELINE_VERSION is not set and this is not a git checkout on a branch or tag. "
        "Set PIPELINE_VERSION to the branch that this code was built from (images bake it in)."
    )


def test_without_git_there_is_no_version(monkeypatch):
    monkeypatch.setenv("PATH", "")
    assert git_version() is None


def test_a_version_that_no_key_can_hold_names_the_variable():
    with pytest.raises(SettingsError) as caught:
        read(PIPELINE_VERSION="two words")
    assert str(caught.value) == (
        "PIPELINE_VERSION: version 'two words' cannot be part of a key. "
        "Use a branch or tag: letters, digits and . _ / + -"
    )


def test_a_branch_that_no_key_can_hold_says_how_to_give_another_version(checkout):
    git(checkout, "checkout", "-b", "fix#12")
    with pytest.raises(SettingsError) as caught:
        Settings.from_env({})
    assert str(caught.value).startswith("PIPELINE_VERSION: version 'fix#12' cannot be part of a key. ")
    assert str(caught.value).endswith("This one is the git branch: set PIPELINE_VERSION to use another.")


# Secrets


@pytest.mark.parametrize(
    ("url", "shown"),
    [
        ("redis://127.0.0.1:6379/0", "redis://127.0.0.1:6379/0"),
        ("redis://:secret@host:6379/0", "redis://:***@host:6379/0"),
        ("rediss://user:secret@host/0", "rediss://user:***@host/0"),
        ("redis://secret@host/0", "redis://***@host/0"),
        ("redis://us/er:secret@host/0", "redis://:***@host/0"),
        ("user:secret@host:6379", "user:***@host:6379"),
        ("redis:/user:secret@host:6379", "redis:***@host:6379"),
        ("redis://:secret", "redis://:***"),
        ("redis://host:secret/0", "redis://host:***/0"),
        ("redis://host/0?ssl_password=se&cret&db=1", "redis://host/0?ssl_password=***&db=1"),
        ("sentinel://:secret@a:1;sentinel://:secret@b:2/0?master=m", "sentinel://:***@b:2/0?master=m"),
        ("redis://:se@cret@host/0", "redis://:***@host/0"),
        ("redis://:se/cret?#@host/0", "redis://:***@host/0"),
        ("redis://:secret@[::1", "redis://:***@[::1"),
        ("redis://host/0?password=secret&db=1", "redis://host/0?password=***&db=1"),
        ("unix:///run/redis.sock?db=0&password=secret", "unix:///run/redis.sock?db=0&password=***"),
        ("unix://user:secret@/run/redis.sock", "unix://user:***@/run/redis.sock"),
        ("", ""),
    ],
)
def test_a_url_is_shown_without_its_password(url, shown):
    assert without_secret(url) == shown


@settings(deadline=None, max_examples=100)
@given(st.text(st.characters(codec="ascii", categories=["L", "N", "P", "S"]), min_size=6))
def test_no_password_is_ever_shown(password):
    assert f"{password}@" not in without_secret(f"redis://user:{password}@host:6379/0")


def test_settings_are_shown_without_passwords():
    shown = repr(Settings(redis_url="redis://:hidden@one", store_url="redis://u:hidden@two", version="main"))
    assert "hidden" not in shown
    assert "redis_url='redis://:***@one'" in shown
    assert "store_url='redis://u:***@two'" in shown
    assert "version='main'" in shown


@pytest.mark.parametrize("value", ["free", "-1", "nan", "inf"])
def test_a_price_that_is_none_is_refused(value):
    with pytest.raises(SettingsError) as caught:
        read(PIPELINE_PRICE=value)
    assert (
        str(caught.value)
        == f"PIPELINE_PRICE={value!r} is not a price. Give what an hour of one slot costs, as a number: 0.05"
    )
