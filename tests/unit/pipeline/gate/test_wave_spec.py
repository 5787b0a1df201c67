"""What a wave was submitted as, and its shards, come back from Redis as they were."""

from __future__ import annotations

from dataclasses import replace

import orjson
import pytest
from hypothesis import given

from pipeline.errors import UnreadableError
from pipeline.gate.shards import Shard
from pipeline.gate.wave_spec import WaveSpec
from tests.support.graphs import waves


@given(waves())
def test_a_wave_is_read_as_it_was_written(spec):
    spec = replace(spec, base="main", state="shops", expiry=3600.0, fused=(0,), commit="abc", backfill=True)
    assert WaveSpec.load(spec.id, spec.dump()) == spec


def with_more(data):
    """What code of a later time might write: a field more in each part."""
    values = orjson.loads(data) | {"more": 1}
    values["plan"] |= {"more": 1, "steps": [[*step, 1] for step in values["plan"]["steps"]]}
    return orjson.dumps(values)


@given(waves())
def test_fields_that_this_code_does_not_know_are_ignored(spec):
    assert WaveSpec.load(spec.id, with_more(spec.dump())) == spec


@pytest.mark.parametrize(
    ("form", "text"),
    [
        ({"form": 2}, "wave 'w' has form 2, and this process reads up to form 1. Start one of the code that"),
        ({}, "wave 'w' does not say its form: it is damaged, or of 0.1.0."),
    ],
)
def test_a_form_that_this_code_does_not_read_is_named(form, text):
    with pytest.raises(UnreadableError, match=text):
        WaveSpec.load("w", orjson.dumps(form))


@pytest.mark.parametrize("features", [None, ({"city": "Rome", "size": 3}, {})])
def test_a_shard_is_read_as_it_was_written(features):
    shard = Shard("Rome", ("a", "b"), features)
    found = Shard.load(shard.dump())
    assert found == shard
    assert [dict(entity.features) for entity in found.entities()] == list(features or ({}, {}))
    assert {entity.partition_name for entity in found.entities()} == {"Rome"}
