"""What every registry of states does. Inherit, and give the fixture `make` that builds it from a clock."""

from __future__ import annotations

import math
import re
from datetime import UTC, datetime

import pytest

from pipeline.errors import CodecError, KeyFormatError, UnknownName
from pipeline.flows.state import State
from tests.contracts import Clock

HOUR = 3600.0
NOW = datetime(2013, 6, 25, tzinfo=UTC)


class Unwritable:
    """A value of which no text can be made."""

    def __str__(self) -> str:
        raise RuntimeError("cannot be written")


def no_source():
    raise RuntimeError("the source is down")


class RegistryContract:
    @pytest.fixture
    def make(self):
        raise NotImplementedError

    @pytest.fixture
    def clock(self):
        return Clock(1.4e9)

    @pytest.fixture
    def states(self, make, clock):
        return make(clock)

    @pytest.fixture
    def routes(self, states):
        return states.bind(State("routes", partition_by="origin", ttl="7d"))

    @pytest.fixture
    def shops(self, states):
        return states.bind("shops")

    # -- entities and features

    def test_an_entity_is_added_with_its_features(self, routes):
        routes.add("JFK-LAX", origin="JFK", miles=2475, tags=["long", None])
        assert routes.features("JFK-LAX") == {"origin": "JFK", "miles": 2475, "tags": ["long", None]}
        assert routes.entities() == ["JFK-LAX"]
        assert "JFK-LAX" in routes
        assert "JFK-SFO" not in routes
        assert len(routes) == 1

    def test_features_that_are_given_again_replace_all(self, routes):
        routes.add("JFK-LAX", origin="JFK", miles=2475)
        routes.add("JFK-LAX", origin="LGA")
        assert routes.features("JFK-LAX") == {"origin": "LGA"}

    def test_an_entity_added_without_features_keeps_those_that_it_has(self, routes, shops):
        routes.add("JFK-LAX", origin="JFK")
        routes.add("JFK-LAX")
        routes.update(["JFK-LAX"])
        assert routes.features("JFK-LAX") == {"origin": "JFK"}
        shops.add("S1")
        assert shops.features("S1") == {}

    def test_many_are_added_at_once_as_a_mapping_or_as_keys(self, shops):
        shops.update({f"S{i:04}": {"n": i} for i in range(2345)})
        shops.update(["S9999", "S0007"])
        assert len(shops) == 2346
        assert shops.features("S2344") == {"n": 2344}
        assert shops.entities() == [*(f"S{i:04}" for i in range(2345)), "S9999"]
        assert shops.touch(*shops.entities()) == set()
        assert shops.remove(*shops.entities()) == 2346
        assert shops.entities() == []

    def test_entities_are_removed(self, routes):
        routes.update({key: {"origin": "JFK"} for key in "ABC"})
        assert routes.remove("A", "C", "X") == 2
        assert routes.remove() == 0
        assert routes.entities() == ["B"]
        assert routes.touch("A") == {"A"}

    def test_states_are_kept_apart(self, routes, shops):
        routes.add("A", origin="JFK")
        shops.add("B")
        assert (routes.entities(), shops.entities()) == (["A"], ["B"])

    def test_an_unknown_entity_is_answered_with_near_ones(self, routes):
        routes.add("JFK-LAX", origin="JFK")
        with pytest.raises(UnknownName, match=r"state 'routes' holds no entity 'JFK-LAZ'\..* 'JFK-LAX'\?"):
            routes.features("JFK-LAZ")
        with pytest.raises(UnknownName, match="no entity 'nothing'"):
            routes.seen("nothing")

    def test_an_empty_state_is_empty(self, routes):
        assert routes.entities() == []
        assert routes.snapshot() == []
        assert routes.partitions() == {}
        assert len(routes) == 0

    # -- expiry

    def test_an_entity_that_is_not_seen_for_the_ttl_drops_out(self, routes, clock):
        routes.update({key: {"origin": "JFK"} for key in "ABC"})
        clock.advance(4 * 24 * HOUR)
        assert routes.touch("B", "X") == {"X"}
        routes.add("C", origin="LGA")
        clock.advance(3 * 24 * HOUR + 1)
        assert [(p, keys) for p, keys, _ in routes.snapshot()] == [("JFK", ["B"]), ("LGA", ["C"])]
        assert "A" not in routes
        with pytest.raises(UnknownName):
            routes.features("A")
        assert routes.seen("B") == datetime.fromtimestamp(clock() - 3 * 24 * HOUR - 1, UTC)

    def test_what_has_dropped_out_is_not_touched_but_can_be_added_again(self, routes, clock):
        routes.add("A", origin="JFK")
        clock.advance(7 * 24 * HOUR)
        assert routes.touch("A") == {"A"}
        with pytest.raises(KeyFormatError, match="lacks the feature 'origin'"):
            routes.add("A")
        routes.add("A", origin="LGA")
        assert routes.partitions() == {"LGA": 1}

    def test_many_drop_out_at_once(self, routes, clock):
        routes.update({f"E{i}": {"origin": "JFK"} for i in range(2345)})
        clock.advance(8 * 24 * HOUR)
        assert len(routes) == 0
        assert routes.entities() == []

    def test_without_a_ttl_an_entity_stays(self, shops, clock):
        shops.add("S1")
        clock.advance(1e9)
        assert shops.entities() == ["S1"]

    # -- partitions and snapshots

    def test_a_snapshot_is_sorted_and_partitioned_by_the_feature(self, routes):
        routes.update({"b": {"origin": "LGA"}, "c": {"origin": "JFK", "n": 1}, "a": {"origin": "JFK"}})
        assert routes.snapshot() == [
            ("JFK", ["a", "c"], {"a": {"origin": "JFK"}, "c": {"origin": "JFK", "n": 1}}),
            ("LGA", ["b"], {"b": {"origin": "LGA"}}),
        ]
        assert routes.partitions() == {"JFK": 2, "LGA": 1}

    def test_a_state_without_partitions_has_one(self, shops):
        shops.update({"S2": {}, "S1": {"n": 1}})
        assert shops.snapshot() == [("default", ["S1", "S2"], {"S1": {"n": 1}})]

    def test_a_number_can_name_a_partition(self, states):
        zones = states.bind(State("zones", partition_by="zone"))
        zones.update({"A": {"zone": 10}, "B": {"zone": 2}})
        assert zones.partitions() == {"10": 1, "2": 1}

    def test_entities_stored_before_the_state_was_partitioned_are_named(self, states, shops):
        shops.update({"S1": {"city": "Bern"}, "S2": {"region": "x"}})
        found = states.bind(State("shops", partition_by="region"))
        assert [(p, keys) for p, keys, _ in found.snapshot()] == [("x", ["S2"])]
        assert found.left_out.reasons["S1"].startswith("entity 'S1' lacks the feature 'region'")

    # -- bad input

    @pytest.mark.parametrize(
        ("key", "text"),
        [
            ("JFK LAX", "'JFK LAX' has a space"),
            ("a\nb", r"'a\\nb' has a space"),
            ("", "is empty"),
            ("@all", "'@all' begins with '@'"),
            ("x" * 201, "longer than 200 bytes"),
            (7, "7 has the type int"),
        ],
    )
    def test_a_key_that_no_pipe_can_carry_is_left_out_and_alone_refused(self, shops, key, text):
        shops.update({"good": {}, key: {}})
        (why,) = shops.left_out.reasons.values()
        assert re.search(text, why)
        assert shops.touch("good", key, "new") == {"new"}
        for call in (shops.touch, shops.add, lambda one: shops.update([one])):
            with pytest.raises(KeyFormatError, match=text):
                call(key)
        assert shops.entities() == ["good"]

    def test_an_entity_without_its_partition_is_left_out_and_alone_refused(self, routes):
        routes.update({"A": {"origin": "JFK"}, "B": {"miles": 3}})
        assert routes.left_out.lines() == [
            "B: entity 'B' lacks the feature 'origin', by which state 'routes' is partitioned. Give it: add('B', "
            "origin=...)."
        ]
        assert routes.entities() == ["A"]
        routes.remove("A")
        with pytest.raises(
            KeyFormatError, match=r"'origin' of entity 'A' names its partition: .*'New York' has a"
        ):
            routes.add("A", origin="New York")
        with pytest.raises(KeyFormatError, match="'origin' of entity 'A' is 'all'"):
            routes.add("A", origin="all")
        assert routes.entities() == []

    def test_features_that_cannot_be_stored_are_named(self, shops):
        with pytest.raises(
            CodecError, match=r"features of entity 'S1' of state 'shops': the value\['at'\] is of type date"
        ):
            shops.add("S1", at=datetime(2013, 6, 25, tzinfo=UTC))
        with pytest.raises(KeyFormatError, match="features of entity 'S1' are of type str"):
            shops.update({"S1": "Bern"})
        with pytest.raises(KeyFormatError, match=r"'S1' is one text. Give a list of entities: \['S1'\]"):
            shops.update("S1")

    # -- sources

    def test_a_source_fills_the_state(self, states):
        found = {"A": {"origin": "JFK"}, "B": {"origin": "LGA"}}
        routes = states.bind(State("routes", partition_by="origin", source=lambda: found))
        assert routes.fill() == 2
        assert routes.partitions() == {"JFK": 1, "LGA": 1}

    def test_a_source_of_keys_alone_sees_entities_again(self, states, clock):
        shops = states.bind(State("shops", ttl="2h", source=lambda: iter(["S1", "S2"])))
        shops.add("S1", city="Bern")
        clock.advance(1.5 * HOUR)
        assert shops.fill() == 2
        clock.advance(HOUR)
        assert shops.snapshot() == [("default", ["S1", "S2"], {"S1": {"city": "Bern"}})]

    def test_without_a_source_there_is_nothing_to_fill(self, shops):
        assert shops.fill() == 0

    @pytest.mark.parametrize(
        ("key", "features", "text"),
        [
            ("", {}, "is empty"),
            ("a b", {"origin": "JFK"}, "has a space"),
            ("a\x00b", {"origin": "JFK"}, "a control character"),
            ("\ud800", {"origin": "JFK"}, "a control character"),
            ("@JFK", {"origin": "JFK"}, "begins with '@'"),
            ("x" * 300, {"origin": "JFK"}, "longer than 200 bytes"),
            (None, {"origin": "JFK"}, "has the type NoneType"),
            (("A", "B"), {"origin": "JFK"}, "has the type tuple"),
            (b"A", {"origin": "JFK"}, "has the type bytes"),
            ("C", None, "of type NoneType"),
            ("C", "JFK", "of type str"),
            ("C", {}, "lacks the feature 'origin'"),
            ("C", {"origin": None}, "lacks the feature 'origin'"),
            ("C", {"origin": "New York"}, "has a space"),
            ("C", {"origin": "all"}, "kept for the whole wave"),
            ("C", {"origin": ""}, "is empty"),
            ("C", {"origin": Unwritable()}, "RuntimeError: cannot be written"),
            ("C", {"origin": "JFK", "n": math.nan}, "is nan"),
            ("C", {"origin": "JFK", "n": 2**70}, "more than 64 bits"),
            ("C", {"origin": "JFK", "n": {1}}, "of type set"),
            ("C", {"origin": "JFK", "n": NOW}, "of type datetime"),
            ("C", {"origin": "JFK", 5: 1}, "the key 5"),
            ("C", {"origin": "JFK", "n": "\ud800"}, "cannot be written as JSON"),
            ("C", {"origin": "JFK", "n": "x" * 2_000_000}, "2,000"),
        ],
    )
    def test_one_bad_entity_of_a_source_is_left_out_and_the_others_stay(
        self, states, clock, key, features, text
    ):
        given: dict = {"A": {"origin": "JFK"}, key: features, "B": {"origin": "LGA"}}
        routes = states.bind(State("routes", partition_by="origin", ttl="2h", source=lambda: given))
        for _ in range(3):
            assert routes.fill() == 2
            clock.advance(1.5 * HOUR)
        assert routes.partitions() == {"JFK": 1, "LGA": 1}, "with a ttl it does not drop the others"
        assert routes.left_out.count == 1
        (line,) = routes.left_out.lines()
        assert text in line
        assert len(line) < 450
        assert states.left_out("routes").lines() == [line]
        del given[key]
        routes.fill()
        assert not states.left_out("routes")

    def test_what_a_source_gave_before_it_raised_counts(self, states, clock):
        def source():
            yield "S1"
            yield "S 2"
            raise RuntimeError("the source is down")

        shops = states.bind(State("shops", ttl="2h", source=source))
        shops.update(["S0", "S1"])
        clock.advance(1.5 * HOUR)
        with pytest.raises(RuntimeError, match="the source is down"):
            shops.fill()
        assert shops.entities() == ["S0", "S1"]
        clock.advance(HOUR)
        assert shops.entities() == ["S1"], "seen again by the half that it gave"
        assert list(states.left_out("shops").reasons) == ["S 2", "(the rest of its source)"]
        assert states.left_out("shops").lines()[1] == (
            "(the rest of its source): RuntimeError: the source is down"
        )

    def test_a_source_of_bad_entities_alone_is_an_error(self, states):
        shops = states.bind(State("shops", source=lambda: ["S 1", 5]))
        with pytest.raises(KeyFormatError, match="'S 1' has a space"):
            shops.fill()
        assert states.left_out("shops").count == 2

    @pytest.mark.parametrize(
        "blob", [b"\xff\xfe", b"", b"[1]", b"5", b'{"origin":', b"\x02arrow", b"\x01raw"]
    )
    def test_a_stored_entity_that_cannot_be_read_is_left_out_and_named(self, states, routes, blob):
        routes.update({"A": {"origin": "JFK"}, "C": {"origin": "LGA"}})
        states._put("routes", {"B": blob, "B C": b'{"origin":"JFK"}'})
        assert [(p, keys) for p, keys, _ in routes.snapshot()] == [("JFK", ["A"]), ("LGA", ["C"])]
        assert sorted(routes.left_out.reasons) == ["B", "B C"]
        assert routes.entities() == ["A", "C"]
        assert states.features_of("routes", ["A", "B", "C"]) == [{"origin": "JFK"}, {}, {"origin": "LGA"}]
        assert sorted(states.keys("routes")) == ["A", "B", "C"]
        with pytest.raises(UnknownName, match="no entity 'X'"):
            routes.features("X")

    def test_what_a_source_raises_says_of_which_state_it_was(self, states):
        shops = states.bind(State("shops", source=no_source))
        with pytest.raises(RuntimeError, match="the source is down") as raised:
            shops.fill()
        assert shops.left_out.lines() == ["(the rest of its source): RuntimeError: the source is down"]
        assert "state 'shops'" in raised.value.__notes__[0]

    # -- all states

    def test_the_states_that_hold_entities_are_known(self, states, routes, shops):
        assert states.names() == []
        routes.add("A", origin="JFK")
        shops.add("S1")
        assert states.names() == ["routes", "shops"]
        shops.clear()
        assert states.names() == ["routes"]
        assert shops.entities() == []

    def test_an_unknown_state_is_answered_with_near_ones(self, states, routes):
        routes.add("A", origin="JFK")
        assert states.check("routes") == "routes"
        assert states.check("declared", ["declared"]) == "declared"
        with pytest.raises(
            UnknownName, match=r"no state 'route'. Did you mean 'routes'\? Known: declared, routes."
        ):
            states.check("route", ["declared"])
