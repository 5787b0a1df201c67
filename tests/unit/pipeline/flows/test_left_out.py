"""LeftOut: who was left out, and why, whatever it is."""

from __future__ import annotations

import pytest

from pipeline.errors import KeyFormatError
from pipeline.flows.left_out import KEPT, LeftOut


class Nameless:
    def __repr__(self):
        raise ValueError


class Silent(Exception):
    def __str__(self):
        raise ValueError


@pytest.mark.parametrize(
    ("key", "why", "line"),
    [
        ("a b", KeyFormatError("has a space"), "a b: has a space"),
        ("", "empty", "'': empty"),
        ("a\nb", "two\n  lines", r"'a\nb': two lines"),
        ("\ud800", "x", r"'\ud800': x"),
        ("x" * 99, "x", "x" * 80 + "...: x"),
        (5, ValueError(), "5: ValueError: no message"),
        ("k", Silent(), "k: Silent: no message"),
        ("k", "\ud800", r"k: \ud800"),
        ("k", "y" * 301, "k: " + "y" * 300 + "..."),
    ],
)
def test_each_is_one_short_line(key, why, line):
    left = LeftOut()
    assert not left
    left.add(key, why)
    assert left.lines() == [line]
    assert left.count == 1


def test_what_cannot_be_written_is_named_by_its_kind():
    left = LeftOut()
    left.add(Nameless(), "bad")
    assert left.lines()[0].startswith("<Nameless instance")


def test_who_is_left_out_twice_counts_once_and_beyond_some_they_are_only_counted():
    left, more = LeftOut(), LeftOut()
    for n in (*range(KEPT + 2), 0, 1):
        left.add(f"e{n}", "bad")
    assert left.count == KEPT + 2
    assert left.lines()[-1] == "and 2 more"
    for n in range(KEPT, KEPT + 3):
        more.add(f"e{n}", "bad")
    more.take(left)
    assert more.count == KEPT + 5
    assert isinstance(left.error, type(None))
