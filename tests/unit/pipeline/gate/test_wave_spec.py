"""What a wave was submitted as, and its shards, come back from Redis as they were."""

from __future__ import annotations

from dataclasses import replace

import pytest
from hypothesis import given

from pipeline.gate.shards import Shard
from pipeline.gate.wave_spec import WaveSpec
from tests.support.graphs import waves


@given(waves())
def test_a_wave_is_read_as_it_was_written(spec):
    spec = replace(spec, base="main", state="shops", expiry=3600.0, fused=(0,), commit="abc", backfill=True)
    assert WaveSpec.load(spec.id, spec.dump()) == spec


@pytest.mark.parametrize("features", [None, ({"city": "Rome", "size": 3}, {})])
def test_a_shard_is_read_as_it_was_written(features):
    shard = Shard("Rome", ("a", "b"), features)
    found = Shard.load(shard.dump())
    assert found == shard
    assert [dict(entity.features) for entity in found.entities()] == list(features or ({}, {}))
    assert {entity.partition_name for entity in found.entities()} == {"Rome"}
