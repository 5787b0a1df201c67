"""Failures of one run, as its log tells them."""

from __future__ import annotations

from pipeline.execution.failures import Failures


def test_texts_that_differ_by_the_entity_alone_are_one():
    found = Failures()
    for key in ("shop-1", "shop-2", "shop-3"):
        found.add(key, f"ConnectionError: no data for {key}")
    found.add("shop-4", "ValueError: negative")
    assert list(found.lines()) == [
        {"count": 3, "first": "shop-1", "error": "ConnectionError: no data for shop-1"},
        {"count": 1, "first": "shop-4", "error": "ValueError: negative"},
    ]


def test_texts_that_are_all_different_are_counted_after_three():
    found = Failures()
    for n in range(10):
        found.add(f"shop-{n}", f"ValueError: {n * n}")
    *_, last = found.lines()
    assert len(list(found.lines())) == 4
    assert last == {"count": 7, "texts": 7, "error": "other errors"}
