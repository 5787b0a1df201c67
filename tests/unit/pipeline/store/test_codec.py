from __future__ import annotations

import dataclasses
import enum
import math
import sys
import uuid
from collections import OrderedDict, namedtuple
from datetime import UTC, date, datetime, timedelta
from decimal import Decimal

import numpy as np
import orjson
import pandas as pd
import pytest
from hypothesis import given
from hypothesis import strategies as st

from pipeline.errors import CodecError
from pipeline.flows.entity import Entity
from pipeline.store import codec

Pair = namedtuple("Pair", "a b")


@dataclasses.dataclass
class Point:
    x: int = 1


class Colour(enum.Enum):
    RED = "red"


PLAIN = st.recursive(
    st.none()
    | st.booleans()
    | st.integers(-(2**63), 2**64 - 1)
    | st.floats(allow_nan=False, allow_infinity=False)
    | st.text(),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text(), inner, max_size=3),
    max_leaves=8,
)


def same(a, b):
    """Equal, and of the same types all the way down, so that True is not 1 and 1 is not 1.0."""
    return orjson.dumps(a) == orjson.dumps(b) and a == b


@given(PLAIN)
def test_a_plain_value_comes_back_as_it_went_in(value):
    assert same(codec.decode(codec.encode(value)), value)


@given(st.lists(PLAIN | st.binary()))
def test_many_at_once_are_encoded_and_decoded_as_one_by_one(values):
    encoded, errors = codec.encode_many({f"E{i}": value for i, value in enumerate(values)})
    assert errors == {}
    assert dict(zip(encoded.entities, encoded.blobs, strict=True)) == {
        f"E{i}": codec.encode(value) for i, value in enumerate(values)
    }
    assert codec.decode_many(encoded.blobs) == [codec.decode(blob) for blob in encoded.blobs]


@given(st.lists(PLAIN))
def test_numbers_come_first_with_their_values(values):
    named = {f"E{i}": value for i, value in enumerate(values)}
    encoded, _ = codec.encode_many(named)
    numbers = {entity: value for entity, value in named.items() if codec.is_numeric(value)}
    assert dict(zip(encoded.entities, encoded.numbers, strict=False)) == numbers
    assert sorted(encoded.entities) == sorted(named)


@pytest.mark.parametrize("text", ["\x1e", ',"\x1e",', "\x01", "\x02x", '"', "null", "a,b", "é ✈"])
def test_texts_that_look_like_what_we_put_between_values_do_no_harm(text):
    values = {"A": text, "B": [text, text], "C": {text: text}, "D": 1}
    encoded, errors = codec.encode_many(values)
    assert errors == {}
    assert dict(zip(encoded.entities, codec.decode_many(encoded.blobs), strict=True)) == values


def test_plain_values_are_stored_as_json_and_bytes_behind_a_byte():
    assert codec.encode({"n": 3, "x": [1.5, None]}) == b'{"n":3,"x":[1.5,null]}'
    assert codec.encode(b"{}") == b"\x01{}"


def test_numbers_of_numpy_come_back_as_numbers():
    values = {
        "A": np.float64(0.1),
        "B": np.float32(0.1),
        "C": np.int64(3),
        "D": [np.uint8(4)],
        "E": np.bool_(1),
    }
    encoded, errors = codec.encode_many(values)
    assert errors == {}
    found = dict(zip(encoded.entities, codec.decode_many(encoded.blobs), strict=True))
    assert found == {"A": 0.1, "B": float(np.float32(0.1)), "C": 3, "D": [4], "E": True}
    assert encoded.entities[:3] == ["A", "B", "C"]
    assert same(codec.decode(codec.encode({"n": np.int64(3)})), {"n": 3})


def test_a_shard_of_numpy_floats_is_encoded():
    encoded, errors = codec.encode_many({"A": np.float64(0.1), "B": np.float64(2)})
    assert (list(encoded.blobs), errors) == ([b"0.1", b"2.0"], {})


def test_a_tuple_comes_back_as_a_list_and_subclasses_come_back_plain():
    value = {"pair": (1, 2), Entity("JFK"): OrderedDict(a=Entity("LAX"))}
    found = codec.decode(codec.encode(value))
    assert found == {"pair": [1, 2], "JFK": {"a": "LAX"}}
    assert codec.encode_many({"A": value})[0].blobs == [codec.encode(value)]


REFUSED = {
    "nan": (math.nan, r"the value is nan, which JSON has no form for\. Return None"),
    "inf": (-math.inf, "the value is -inf"),
    "nan of numpy": (np.float64("nan"), "the value is nan"),
    "deep nan": ({"a": [1, {"b": math.nan}]}, r"the value\['a'\]\[1\]\['b'\] is nan"),
    "nan beside a null": ([None, math.nan], r"the value\[1\] is nan"),
    "datetime": (
        {"at": datetime(2013, 6, 25, tzinfo=UTC)},
        r"the value\['at'\] is of type datetime.*\.isoformat\(\)",
    ),
    "date": (date(2013, 6, 25), r"the value is of type date.*\.isoformat\(\)"),
    "timedelta": (timedelta(1), r"\.total_seconds\(\)"),
    "dataclass": (Point(), r"the value is of type Point.*dataclasses\.asdict"),
    "named tuple": (Pair(1, 2), "the value is of type Pair"),
    "set": ([{1}], r"the value\[0\] is of type set.*sorted"),
    "enum": ({"c": Colour.RED}, r"the value\['c'\] is of type Colour"),
    "uuid": (uuid.UUID(int=1), "the value is of type UUID"),
    "decimal": (Decimal(1), "the value is of type Decimal.*A pipe holds numbers"),
    "number as a key": ({"a": {1: 2}}, r"the value\['a'\] has the key 1, which would come back as text"),
    "large integer": (2**64, "more than 64 bits"),
    "small integer": ([-(2**63) - 1], r"the value\[0\] is an integer of more than 64 bits"),
    "array": (np.zeros(2), r"the value is of type ndarray.*\.tolist\(\)"),
    "date of numpy": (np.datetime64("2013-06-25"), "the value is of type datetime64"),
    "complex": (1j, "the value is of type complex"),
    "object": (object(), "the value is of type object"),
    "bytes within": ({"raw": b"x"}, r"the value\['raw'\] is of type bytes.*whole value"),
    "frame within": ([pd.DataFrame()], r"the value\[0\] is of type DataFrame.*whole value"),
    "half a character": ("\ud800", "cannot be written as JSON: .*surrogates"),
}


@pytest.mark.parametrize("kind", REFUSED)
def test_what_would_not_come_back_is_refused_with_what_to_do(kind):
    value, text = REFUSED[kind]
    with pytest.raises(CodecError, match=text):
        codec.encode(value)


@pytest.mark.parametrize("kind", REFUSED)
def test_one_bad_value_does_not_stop_the_others(kind):
    encoded, errors = codec.encode_many({"A": 1, "B": REFUSED[kind][0], "C": {"n": None}})
    assert list(errors) == ["B"]
    assert list(zip(encoded.entities, encoded.blobs, strict=True)) == [("A", b"1"), ("C", b'{"n":null}')]


def test_a_value_within_itself_is_refused():
    value = []
    value.append(value)
    with pytest.raises(CodecError, match="nested too deep"):
        codec.encode(value)


def test_a_size_is_kept_to():
    assert codec.encode("x" * 8, limit=10) == b'"xxxxxxxx"'
    with pytest.raises(CodecError, match="takes 11 bytes and 10 are allowed"):
        codec.encode("x" * 9, limit=10)
    encoded, errors = codec.encode_many({"A": "x" * 9, "B": 2}, limit=10)
    assert (encoded.entities, list(errors)) == (["B"], ["A"])


def test_bytes_that_no_codec_wrote_are_an_error():
    for blobs in ([b"1", b"2,3"], [b"nonsense"], [b""]):
        with pytest.raises(CodecError, match="are not the value of a pipe"):
            codec.decode_many(blobs)


@pytest.mark.parametrize(
    ("value", "numeric"),
    [
        *((number, True) for number in (1, 0.0, np.int8(1), np.float32(1))),
        *((other, False) for other in (True, np.bool_(1), None, "1", [1])),
    ],
)
def test_numbers_are_numeric_and_booleans_are_not(value, numeric):
    assert codec.is_numeric(value) is numeric


FRAMES = {
    "hours": pd.DataFrame(
        {"mean": [1.5, math.nan]}, index=pd.date_range("2013-06-25", periods=2, freq="h", tz="UTC")
    ),
    "types": pd.DataFrame(
        {
            "i": np.array([1, 2], "int32"),
            "s": ["a", None],
            "c": pd.Categorical(["x", "y"]),
            "b": [True, False],
        }
    ),
    "numbered columns": pd.DataFrame([[1, 2], [3, 4]]),
    "two levels": pd.DataFrame(
        {"y": [1.0]}, index=pd.MultiIndex.from_tuples([("A", 1)], names=["id", "lead"])
    ),
    "empty": pd.DataFrame({"y": pd.Series([], dtype="float64")}),
    "series": pd.Series([1.0, 2.0], index=["a", "b"], name="delay"),
    "series without a name": pd.Series([1, 2]),
    "series with a number as its name": pd.Series(["x"], name=3),
}


@pytest.mark.parametrize("kind", FRAMES)
def test_frames_come_back_whole(kind):
    value = FRAMES[kind]
    blob = codec.encode(value)
    assert blob[:1] == b"\x02"
    same_as = pd.testing.assert_frame_equal if value.ndim == 2 else pd.testing.assert_series_equal
    same_as(codec.decode(blob), value, check_exact=True, check_freq=False)


@pytest.mark.parametrize(
    "value",
    [
        pd.DataFrame({"mixed": [1, "a"]}),
        pd.DataFrame([[1, 2]], columns=["same", "same"]),
        pd.DataFrame({"nested": [(1, 2), (3, 4)]}),
    ],
    ids=["mixed", "same names", "nested"],
)
def test_a_frame_that_would_come_back_changed_is_refused(value):
    with pytest.raises(CodecError, match="the value is a DataFrame that would not come back as it is"):
        codec.encode(value)


def test_a_shard_of_frames_is_encoded():
    encoded, errors = codec.encode_many({"A": FRAMES["hours"], "B": b"x", "C": FRAMES["empty"]})
    assert errors == {}
    assert encoded.entities == ["A", "B", "C"]


def test_without_pyarrow_the_error_says_what_to_install(monkeypatch):
    monkeypatch.setitem(sys.modules, "pyarrow", None)
    with pytest.raises(CodecError, match=r"needs pyarrow\. Install it: pip install 'celery-waves\[arrow\]'"):
        codec.encode(FRAMES["hours"])
