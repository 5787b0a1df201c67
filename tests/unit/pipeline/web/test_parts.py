"""The parts of the HTTP API that need no service: tokens, limits, settings."""

from __future__ import annotations

import pytest

from pipeline.errors import SettingsError
from pipeline.web.rate_limit import RateLimit
from pipeline.web.settings import WebSettings
from pipeline.web.tokens import Tokens, line, new_token


def test_a_token_lets_its_owner_in_and_nobody_else():
    mine, other = new_token(), new_token()
    tokens = Tokens.parse([line("ana", mine), "", "# a comment", line("bo", other) + " # of the dashboard"])
    assert tokens.owner(f"Bearer {mine}".encode()) == "ana"
    assert tokens.owner(f"bearer {other}".encode()) == "bo"
    for header in (None, b"", b"Bearer", b"Bearer x", mine.encode(), f"Basic {mine}".encode()):
        assert tokens.owner(header) is None
    assert mine not in repr(tokens)
    assert mine not in line("ana", mine)


def test_a_line_that_is_no_token_is_refused_without_showing_it():
    with pytest.raises(SettingsError) as raised:
        Tokens.parse([line("ana", new_token()), "ana=secret"])
    assert str(raised.value) == (
        "token 2 is none: one looks like NAME=sha256:HASH. `wave serving token NAME` makes one."
    )


def test_a_client_may_make_so_many_requests_a_second_and_others_are_not_held_back():
    now = 100.0
    limit = RateLimit(10, clock=lambda: now)
    assert [limit.wait("a") == 0.0 for _ in range(12)] == [True] * 10 + [False] * 2
    assert limit.wait("a") == pytest.approx(0.1)
    assert limit.wait("b") == 0.0
    now += 0.1
    assert limit.wait("a") == 0.0


def test_no_limit_holds_nobody_back():
    assert RateLimit(0).wait("a") == 0.0


def test_settings_come_from_the_environment(tmp_path):
    file = tmp_path / "tokens"
    file.write_text(line("ana", "t") + "\n")
    found = WebSettings.from_env(
        {
            "PIPELINE_WEB_PORT": "9000",
            "PIPELINE_WEB_RATE": "20/s",
            "PIPELINE_WEB_PACE": "0.01",
            "PIPELINE_TOKENS_FILE": str(file),
            "PIPELINE_TOKENS": line("bo", "u"),
        }
    )
    assert (found.port, found.rate, found.pace, len(found.tokens.hashes)) == (9000, 20.0, 0.01, 2)


@pytest.mark.parametrize(
    ("env", "text"),
    [
        ({"PIPELINE_WEB_PORT": "x"}, "PIPELINE_WEB_PORT='x' is not a whole number."),
        ({"PIPELINE_WEB_RATE": "many"}, "PIPELINE_WEB_RATE"),
        ({"PIPELINE_WEB_SLOW": "soon"}, "PIPELINE_WEB_SLOW"),
        ({"PIPELINE_TOKENS_FILE": "/no/file"}, "PIPELINE_TOKENS_FILE=/no/file cannot be read"),
    ],
)
def test_a_setting_that_cannot_be_read_is_named(env, text):
    with pytest.raises(SettingsError) as raised:
        WebSettings.from_env(env)
    assert text in str(raised.value)


def test_an_api_that_others_reach_needs_tokens():
    with pytest.raises(
        SettingsError, match=r"^the API would answer everybody who reaches 0\.0\.0\.0: there are no"
    ):
        WebSettings(host="0.0.0.0").check()
    WebSettings(host="0.0.0.0", tokens=Tokens.parse([line("ana", "t")])).check()
    WebSettings().check()
