"""Dates, versions and the keys of pipes."""

from __future__ import annotations

from datetime import UTC, date, datetime, timedelta, timezone

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from pipeline.errors import KeyFormatError
from pipeline.flows.pipe import PipeKey, check_version, floor, hour, stamp

THEN = datetime(2013, 6, 25, 13, tzinfo=UTC)


@pytest.mark.parametrize(
    "written",
    [
        "2013-06-25T13",
        "2013-06-25T13:00",
        "2013-06-25T13:00:00+00:00",
        "2013-06-25T09-04:00",
        "2013-06-25 13:00Z",
    ],
)
def test_a_text_without_a_zone_is_utc_and_one_with_a_zone_is_turned_into_it(written):
    assert hour(written) == THEN
    assert hour(written).tzinfo is UTC


def test_a_date_in_another_zone_is_given_in_utc():
    there = timezone(timedelta(hours=5, minutes=30))
    assert hour(datetime(2013, 6, 25, 18, 30, tzinfo=there)) == THEN


@pytest.mark.parametrize(
    ("value", "said"),
    [
        (
            datetime(2013, 6, 25, 13),  # noqa: DTZ001 - what is refused
            "date 2013-06-25T13:00:00 has no time zone. Give it one, as in value.replace(tzinfo=timezone.utc).",
        ),
        (
            datetime(2013, 6, 25, 13, 30, tzinfo=UTC),
            "date 2013-06-25T13:30:00+00:00 is not on the hour. Use 2013-06-25T13:00:00+00:00: pipes are hourly.",
        ),
        (
            "2013-06-25T13:00:01",
            "date 2013-06-25T13:00:01+00:00 is not on the hour. Use 2013-06-25T13:00:00+00:00: pipes are hourly.",
        ),
        ("yesterday", "date 'yesterday' cannot be read. Write it like 2013-06-25T13 (UTC)."),
        (
            date(2013, 6, 25),
            "date datetime.date(2013, 6, 25) has the type date. Give a datetime in UTC, on the hour.",
        ),
        (1372165200, "date 1372165200 has the type int. Give a datetime in UTC, on the hour."),
    ],
)
def test_a_date_that_is_no_hour_is_refused(value, said):
    with pytest.raises(KeyFormatError) as caught:
        hour(value)
    assert str(caught.value) == said


def test_floor_gives_the_hour_that_a_moment_lies_in():
    assert floor(THEN + timedelta(minutes=59, seconds=59)) == THEN


@pytest.mark.parametrize("version", ["main", "v1.2.3", "feature/new-model_2", "2024+hotfix"])
def test_a_version_is_a_branch_or_a_tag(version):
    assert check_version(version) == version


@pytest.mark.parametrize("version", ["", "-x", "/x", "two words", "a\n", "a:b", None, 5])
def test_a_version_that_no_key_can_hold_is_refused(version):
    with pytest.raises(KeyFormatError) as caught:
        check_version(version)
    assert str(caught.value) == (
        f"version {version!r} cannot be part of a key. Use a branch or tag: letters, digits and . _ / + -"
    )


def test_a_key_is_written_as_it_stands_in_redis():
    key = PipeKey("feature/new", "delay", "JFK-LAX", "2013-06-25T13")
    assert key.date == THEN
    assert str(key) == "feature/new/delay JFK-LAX 2013-06-25T13"
    assert stamp(THEN) == "2013-06-25T13"


@pytest.mark.parametrize("entity", ["@JFK", "@all"])
def test_a_scope_has_keys_too(entity):
    assert str(PipeKey("main", "model", entity, THEN)) == f"main/model {entity} 2013-06-25T13"


@pytest.mark.parametrize("pipe", ["", "a b", "a/b", "1st", None])
def test_the_pipe_of_a_key_is_the_name_of_a_task(pipe):
    with pytest.raises(KeyFormatError, match="it is the name of a task"):
        PipeKey("main", pipe, "A", THEN)


@pytest.mark.parametrize(
    "text", ["", "main/delay", "delay JFK-LAX 2013-06-25T13", "main/delay JFK-LAX", "/delay A 2013-06-25T13"]
)
def test_a_text_that_is_no_key_is_refused_with_an_example(text):
    with pytest.raises(KeyFormatError) as caught:
        PipeKey.parse(text)
    assert str(caught.value) == (
        f"{text!r} is not a pipe key. One looks like 'main/delay JFK-LAX 2013-06-25T13'."
    )


names = st.from_regex(r"[A-Za-z_][A-Za-z0-9_]{0,9}", fullmatch=True)
versions = st.from_regex(r"[A-Za-z0-9][A-Za-z0-9._/+-]{0,12}", fullmatch=True)
entities = st.from_regex(r"[A-Za-z0-9_/.:-][A-Za-z0-9@_/.:-]{0,12}", fullmatch=True)
dates = st.datetimes(datetime(1970, 1, 1), datetime(2100, 1, 1))  # noqa: DTZ001 - hypothesis wants naive bounds


@settings(deadline=None, max_examples=100)
@given(versions, names, entities, dates)
def test_a_key_that_is_written_and_read_is_the_same(version, pipe, entity, moment):
    key = PipeKey(version, pipe, entity, floor(moment.replace(tzinfo=UTC)))
    assert PipeKey.parse(str(key)) == key
