from __future__ import annotations

import pytest

from pipeline.errors import DefinitionError, DurationError, KeyFormatError
from pipeline.flows.entity import Entity, check_entity_key
from pipeline.flows.state import State


@pytest.mark.parametrize("name", ["", "two words", "a/b", "routes:x", "-x", 7, None])
def test_a_name_that_no_key_can_hold_is_refused(name):
    with pytest.raises(DefinitionError, match=r"state name .* cannot be part of a key"):
        State(name)


def test_bad_options_are_named():
    with pytest.raises(DefinitionError, match="state 'routes': partition_by=3 is not a name"):
        State("routes", partition_by=3)
    with pytest.raises(DefinitionError, match=r"state 'routes': source=\['A'\] cannot be called"):
        State("routes", source=["A"])
    with pytest.raises(DurationError, match="state 'routes': ttl 'soon'"):
        State("routes", ttl="soon")


def test_a_ttl_is_in_seconds():
    assert State("routes", ttl="7d").ttl_seconds == 7 * 86400
    assert State("routes").ttl_seconds is None


def test_a_state_is_a_value():
    assert State("routes", "origin") == State("routes", partition_by="origin") != State("routes")


def test_the_partition_is_the_text_of_the_feature():
    assert State("zones", "zone").partition_of("A", {"zone": 10}) == "10"
    assert State("zones").partition_of("A", {}) == "default"


def test_an_entity_is_its_key_and_knows_its_features():
    entity = Entity("JFK-LAX", {"origin": "JFK"}, "JFK")
    assert {entity: 1} == {"JFK-LAX": 1}
    assert (entity.features["origin"], entity.partition_name) == ("JFK", "JFK")


@pytest.mark.parametrize("key", ["JFK-LAX", "a/b:c", "späte_Flüge", "日本", "x" * 200, "[*]?"])
def test_keys_may_hold_whatever_prints(key):
    assert check_entity_key(key) == key


@pytest.mark.parametrize(
    "key", ["a b", " a", "a\tb", "a\n", "a\u00a0b", "a\u2003b", "a\x00", "a\u200bb", "\ud800"]
)
def test_keys_hold_no_space_and_nothing_that_does_not_print(key):
    with pytest.raises(KeyFormatError, match="has a space or a control character"):
        check_entity_key(key)


def test_keys_of_scopes_are_told_apart():
    assert check_entity_key("@all", scope=True) == "@all"
    with pytest.raises(KeyFormatError, match="'@all' begins with '@'"):
        check_entity_key("@all")
    with pytest.raises(KeyFormatError, match="longer than 200 bytes"):
        check_entity_key("é" * 101)
