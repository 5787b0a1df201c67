"""Entity keys, and what an Entity knows beside its key."""

from __future__ import annotations

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from pipeline.errors import KeyFormatError
from pipeline.flows.entity import MAX_KEY_BYTES, Entity, check_entity_key


def test_an_entity_is_its_key_as_text_and_knows_its_features_and_partition():
    entity = Entity("JFK-LAX", {"origin": "JFK"}, "JFK")
    assert entity == "JFK-LAX"
    assert {entity: 1}["JFK-LAX"] == 1
    assert f"{entity}" == "JFK-LAX"
    assert entity.features["origin"] == "JFK"
    assert entity.partition_name == "JFK"
    assert entity.partition("-") == ("JFK", "-", "LAX"), "str's own method stays"


def test_an_entity_without_features_has_none_and_nobody_can_give_it_any_by_mistake():
    entity = Entity("A")
    assert dict(entity.features) == {}
    assert entity.partition_name is None
    with pytest.raises(TypeError):
        entity.features["x"] = 1


@pytest.mark.parametrize("key", ["A", "JFK-LAX", "a_b/c.d", "Zürich", "x@y", "東京", "a" * MAX_KEY_BYTES])
def test_a_key_may_be_any_printable_text_without_spaces(key):
    assert check_entity_key(key) == key


@pytest.mark.parametrize("key", ["JFK LAX", "a\n", "a\tb", "a\x00", "a\u00a0b", "a\u2028b", "\ud800"])
def test_a_space_or_control_character_in_a_key_is_refused(key):
    with pytest.raises(KeyFormatError) as caught:
        check_entity_key(key)
    assert str(caught.value) == (
        f"entity key {key!r} has a space or a control character, which separate the parts of a pipe's key. "
        "Replace it, for instance by '-' or '_'."
    )


def test_a_leading_at_sign_is_kept_for_scopes():
    assert check_entity_key("@JFK", scope=True) == "@JFK"
    with pytest.raises(KeyFormatError) as caught:
        check_entity_key("@JFK")
    assert str(caught.value) == (
        "entity key '@JFK' begins with '@', which is kept for partitions and waves. Drop it."
    )


@pytest.mark.parametrize(
    ("key", "said"),
    [
        ("", "an entity key is empty. Give it at least one character."),
        (5, "entity key 5 has the type int. Give a text."),
        (None, "entity key None has the type NoneType. Give a text."),
        (b"A", "entity key b'A' has the type bytes. Give a text."),
        (
            "é" * MAX_KEY_BYTES,
            f"entity key {'é' * 40!r}... is longer than {MAX_KEY_BYTES} bytes. Shorten it.",
        ),
    ],
)
def test_a_key_is_a_text_of_bounded_length(key, said):
    with pytest.raises(KeyFormatError) as caught:
        check_entity_key(key)
    assert str(caught.value) == said


@settings(deadline=None, max_examples=200)
@given(st.text(max_size=30))
def test_an_accepted_key_never_splits_into_parts(key):
    try:
        check_entity_key(key)
    except KeyFormatError:
        return
    assert key.split() == [key]
    assert key.splitlines() == [key]
    assert key.encode().decode() == key
