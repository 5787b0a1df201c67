"""CSV and Parquet files: which rows count, what becomes of them, and what is wrong with a file."""

from __future__ import annotations

import os
import subprocess
import sys
import time
from datetime import UTC, date, datetime

import pandas as pd
import pytest

from pipeline import Flow
from pipeline.errors import RunError, TaskError
from pipeline.flows.entity import Entity
from pipeline.testing import run_wave
from tasks.errors import SourceError
from tasks.sources import file_reader
from tasks.sources.files import table

DATE = datetime(2013, 6, 25, 13, tzinfo=UTC)
DAY = """\
route,hour,mean_delay,flights,carrier
JFK-LAX,2013-06-25T12:59:59,1.5,1,AA
JFK-LAX,2013-06-25T13:00:00,12.5,3,AA
JFK-BOS,2013-06-25 15:10+02:00,-2,4,B6
JFK-SFO,2013-06-25T13:59:59Z,,0,
JFK-LAX,2013-06-25T14:00:00,99,9,AA
,2013-06-25T13:00:00,5,5,AA
JFK-MIA,,7,7,AA
"""


@pytest.fixture
def day(tmp_path):
    """The file of a day, and the path with a field for it."""
    (tmp_path / "2013-06-25.csv").write_text(DAY)
    return tmp_path / "{date:%Y-%m-%d}.csv"


def delays(path, value="mean_delay", **options):
    return table("delays", path, value, **{"entity": "route", "date": "hour", **options})


def error(made, *entities: str, kind: type = SourceError) -> str:
    with pytest.raises(kind) as caught:
        made(list(entities or ("JFK-LAX", "JFK-BOS")), DATE)
    return str(caught.value)


def refused(*args, **options) -> str:
    with pytest.raises(TaskError) as caught:
        table(*args, **options)
    return str(caught.value)


# Which rows count


def test_a_row_counts_for_the_hour_that_it_lies_in(day):
    made = delays(day)
    assert made(["JFK-LAX", "JFK-BOS", "JFK-SFO", "JFK-ORD", "JFK-MIA"], DATE) == {
        "JFK-LAX": 12.5,
        "JFK-BOS": -2.0,  # in a zone of its own
        "JFK-SFO": None,  # empty
        "JFK-ORD": None,  # no row
        "JFK-MIA": None,  # a row without a time
    }
    assert made(["JFK-LAX"], DATE.replace(hour=14)) == {"JFK-LAX": 99.0}
    assert made(["JFK-LAX"], DATE.replace(hour=20)) == {"JFK-LAX": None}


def test_a_wave_reads_a_file(day):
    wave = run_wave(Flow("f", [delays(day)]), ["JFK-LAX", "JFK-BOS", "JFK-ORD"], DATE, shard_size=2)
    assert wave.result("delays", "JFK-BOS") == -2.0
    assert wave.errors() == {}


def test_several_columns_give_a_dictionary(day):
    assert delays(day, ["mean_delay", "flights"])(["JFK-LAX"], DATE) == {
        "JFK-LAX": {"mean_delay": 12.5, "flights": 3}
    }
    named = delays(day, {"mean": "mean_delay", "by": "carrier"})
    assert named(["JFK-LAX", "JFK-SFO"], DATE) == {
        "JFK-LAX": {"mean": 12.5, "by": "AA"},
        "JFK-SFO": {"mean": None, "by": None},
    }


def test_without_a_column_of_the_time_all_rows_are_about_the_hour(tmp_path):
    (tmp_path / "2013062513-JFK.csv").write_text("entity,y\nJFK-LAX,1\nJFK-BOS,2\n")
    made = table("y", tmp_path / "{date:%Y%m%d%H}-{partition}.csv", "y")
    assert made([Entity("JFK-LAX", {}, "JFK")], DATE) == {"JFK-LAX": 1}


@pytest.mark.parametrize("name", ["day.csv.gz", "day.tsv", "day.data"])
def test_a_file_may_be_packed_or_have_another_form(tmp_path, name):
    path = tmp_path / name
    pd.DataFrame({"route": ["a"], "y": [1.5]}).to_csv(
        path, sep="\t" if "csv" not in name else ",", index=False
    )
    made = table(
        "y",
        path,
        "y",
        entity="route",
        format="csv" if name == "day.data" else None,
        reader=None if "csv" in name else {"sep": "\t"},
    )
    assert made(["a"], DATE) == {"a": 1.5}


def test_keys_are_texts_as_they_are_written(tmp_path):
    (tmp_path / "y.csv").write_text("entity,y\n007,1\n7,2\nNA,3\n")
    assert table("y", tmp_path / "y.csv", "y")(["007", "7", "NA"], DATE) == {"007": 1, "7": 2, "NA": 3}


def test_cells_without_a_value_are_no_observation(tmp_path):
    (tmp_path / "y.csv").write_text("entity,y\na,NA\nb,\nc,-\nd,NaN\ne,-1\n")
    assert table("y", tmp_path / "y.csv", "y")([*"abcde"], DATE) == {**dict.fromkeys("abcd"), "e": -1}


def test_parquet_keys_that_are_numbers_become_texts(tmp_path):
    path = tmp_path / "y.parquet"
    for keys in ([7, 8], [7, None], ["7", "8"]):
        pd.DataFrame({"entity": keys, "y": [1.5, 2.5]}).to_parquet(path)
        os.utime(path, ns=(time.time_ns(), time.time_ns()))
        assert table("y", path, "y")(["7"], DATE) == {"7": 1.5}


def test_parquet_with_times_and_with_an_index(tmp_path):
    path = tmp_path / "y.parquet"
    frame = pd.DataFrame(
        {
            "entity": ["a", "b", "b"],
            "ds": pd.to_datetime(["2013-06-25 13:30", "2013-06-25 13:00", "2013-06-25 14:00"], utc=True),
            "y": [1, 2, 3],
            "on": [date(2013, 6, 25)] * 3,
        }
    )
    for content in (
        frame,
        frame.set_index(["entity", "ds"]),
        frame.assign(ds=frame["ds"].dt.tz_localize(None)),
    ):
        content.to_parquet(path)
        made = table("y", path, ["y", "on"], date="ds")
        assert made(["a", "b"], DATE) == {
            "a": {"y": 1, "on": "2013-06-25"},
            "b": {"y": 2, "on": "2013-06-25"},
        }


def test_dates_of_another_form_are_read_with_their_format(tmp_path):
    (tmp_path / "y.csv").write_text("entity,ds,y\na,25.06.2013 13:05,1\n")
    assert table("y", tmp_path / "y.csv", "y", date="ds", date_format="%d.%m.%Y %H:%M")(["a"], DATE) == {
        "a": 1
    }
    (tmp_path / "z.csv").write_text("entity,ds,y\na,2013062513,1\nb,,2\n")
    assert table("y", tmp_path / "z.csv", "y", date="ds", date_format="%Y%m%d%H")(["a"], DATE) == {"a": 1}


@pytest.mark.parametrize(("how", "value"), [("sum", 6.0), ("mean", 2.0), ("last", 3.0), ("count", 3)])
def test_several_rows_can_be_aggregated(tmp_path, how, value):
    (tmp_path / "y.csv").write_text("entity,y\na,1\nb,9\na,2\na,3\n")
    assert table("y", tmp_path / "y.csv", "y", aggregate=how)(["a"], DATE) == {"a": value}


# The files that were read are kept


def test_a_file_is_read_again_only_when_it_changed(tmp_path):
    path = tmp_path / "y.csv"
    path.write_text("entity,y\na,1\n")
    made = table("y", path, "y")
    assert made(["a"], DATE) == {"a": 1}
    stamp = path.stat()
    path.write_text("entity,y\na,2\n")
    os.utime(path, ns=(stamp.st_atime_ns, stamp.st_mtime_ns))  # as if nothing had happened
    assert made(["a"], DATE) == {"a": 1}
    os.utime(path, ns=(stamp.st_atime_ns, stamp.st_mtime_ns + 1))
    assert made(["a"], DATE) == {"a": 2}


def test_what_is_kept_is_bounded(tmp_path, monkeypatch):
    monkeypatch.setattr(file_reader, "CACHE_BYTES", 50_000)
    made = table("y", tmp_path / "{date:%H}.csv", "y")
    for hour in range(24):
        rows = "".join(f"e{i},{i}\n" for i in range(100))
        (tmp_path / f"{hour:02}.csv").write_text(f"entity,y\n{rows}")
        assert made(["e7"], DATE.replace(hour=hour)) == {"e7": 7}
        assert 0 < sum(rows.size for _, rows in file_reader._cache._held.values()) <= 50_000


def test_a_file_that_is_larger_than_what_is_kept_is_read_all_the_same(tmp_path, monkeypatch):
    monkeypatch.setattr(file_reader, "CACHE_BYTES", 10)
    (tmp_path / "y.csv").write_text("entity,y\na,1\n")
    made = table("y", tmp_path / "y.csv", "y")
    assert [made(["a"], DATE) for _ in range(2)] == [{"a": 1}] * 2
    assert not file_reader._cache._held


# What is wrong with a file


def test_a_file_that_is_not_there(tmp_path):
    assert error(delays(tmp_path / "{date:%Y-%m-%d}.csv")) == (
        f"table 'delays': there is no file {tmp_path}/2013-06-25.csv. Put it there, or say absent_ok=True if that "
        "means no observation."
    )
    assert delays(tmp_path / "x.csv", absent_ok=True)(["JFK-LAX"], DATE) == {"JFK-LAX": None}


@pytest.mark.parametrize(("column", "near"), [("mean_dleay", "mean_delay"), ("fligths", "flights")])
@pytest.mark.parametrize("kind", ["csv", "parquet"])
def test_a_column_that_is_not_there(tmp_path, column, near, kind):
    path = tmp_path / f"day.{kind}"
    frame = pd.DataFrame({"route": ["a"], "hour": ["2013-06-25T13"], "mean_delay": [1], "flights": [1]})
    frame.to_csv(path, index=False) if kind == "csv" else frame.to_parquet(path)
    assert error(delays(path, column)) == (
        f"table 'delays': {path} has no column {column!r}. Did you mean {near!r}? It has: flights, hour, "
        "mean_delay, route."
    )


@pytest.mark.parametrize(
    ("name", "content", "text"),
    [
        ("day.csv", b"", "cannot be read as csv: No columns to parse from file."),
        (
            "day.csv",
            b'route,hour,mean_delay\n"a,1',
            "cannot be read as csv: Error tokenizing data. C error: EOF inside",
        ),
        (
            "day.csv",
            b"route,hour,mean_delay\n\xff\xfe,1,2\n",
            "cannot be read as csv: 'utf-8' codec can't decode byte",
        ),
        ("day.parquet", b"PAR1 and nothing else", "cannot be read as parquet: Parquet magic bytes not found"),
        ("day.csv.gz", b"not packed", "cannot be read as csv: Not a gzipped file"),
    ],
)
def test_a_file_that_cannot_be_read(tmp_path, name, content, text):
    path = tmp_path / name
    path.write_bytes(content)
    assert error(delays(path)).startswith(f"table 'delays': {path} {text}")


def test_one_row_with_a_bad_date_fails_its_entity_alone(tmp_path):
    path = tmp_path / "day.csv"
    path.write_text(DAY + "JFK-SEA,yesterday,8,8,AA\n")
    found = delays(path)(["JFK-LAX", "JFK-BOS", "JFK-SEA"], DATE)
    assert (found["JFK-LAX"], found["JFK-BOS"]) == (12.5, -2)
    assert str(found["JFK-SEA"]) == (
        f"table 'delays': the column 'hour' of {path} holds what is not a date in row 8, of 'JFK-SEA': 'yesterday'."
    )


def test_a_line_with_a_field_too_many_stops_nobody(tmp_path):
    path = tmp_path / "day.csv"
    path.write_text(DAY + "JFK-SEA,2013-06-25T13:00:00,8,8,AA,too many\n")
    assert delays(path)(["JFK-LAX", "JFK-BOS"], DATE) == {"JFK-LAX": 12.5, "JFK-BOS": -2}


def test_a_folder_is_no_file(tmp_path):
    (tmp_path / "day.csv").mkdir()
    assert error(delays(tmp_path / "day.csv")) == (
        f"table 'delays': {tmp_path}/day.csv cannot be read as csv: Is a directory."
    )


@pytest.mark.parametrize(
    ("cell", "text"),
    [
        ("yesterday", "holds what is not a date: "),
        ("1372165200", "holds numbers such as 1372165200, and a date is a text or a timestamp. "),
    ],
)
def test_a_column_of_the_time_that_holds_none(tmp_path, cell, text):
    path = tmp_path / "day.csv"
    path.write_text(f"route,hour,mean_delay\na,{cell},1\n")
    message = error(delays(path))
    assert message.startswith(f"table 'delays': the column 'hour' of {path} {text}")
    assert "Say how " in message
    assert "date_format='" in message


def test_several_rows_fail_their_entity_alone(tmp_path):
    path = tmp_path / "day.csv"
    path.write_text(
        "route,hour,mean_delay\na,2013-06-25T13:00,1\na,2013-06-25T13:30,2\nb,2013-06-25T13:00,3\n"
    )
    answer = delays(path)(["a", "b"], DATE)
    assert answer["b"] == 3
    assert isinstance(answer["a"], RunError)
    assert str(answer["a"]) == (
        f"table 'delays': {path} has several rows for 'a' in this hour, and a pipe holds one value. Say what becomes "
        "of them: aggregate='mean'."
    )


def test_an_aggregate_that_cannot_be_taken(day):
    assert error(delays(day, "carrier", aggregate="mean")).startswith(
        "table 'delays': aggregate='mean' cannot be taken of carrier: "
    )


def test_a_partition_names_no_other_folder(tmp_path):
    made = table("y", tmp_path / "{partition}.csv", "y")
    with pytest.raises(RunError) as caught:
        made([Entity("a", {}, "../secret")], DATE)
    assert str(caught.value) == (
        "table 'y': the path gets '../secret' for a field, which is not part of a file's name."
    )


# The declaration


def test_it_is_a_collection_task_with_the_options_of_a_task():
    made = table("y", "y.csv", "y", time_limit="5m", ttl="60d", queue="files", rate="1/s")
    assert (made.name, made.batch, made.queue, made.inputs) == ("y", True, "files", ())
    assert (made.time_limit, made.ttl, made.rate) == (300.0, 60 * 86400.0, 1.0)


@pytest.mark.parametrize(
    ("options", "text"),
    [
        (
            {"path": "day"},
            "table 'y': the ending of 'day' tells no format. Say it: format='csv' or 'parquet'.",
        ),
        ({"format": "xlsx"}, "table 'y': format='xlsx' is unknown. Use 'csv' or 'parquet'."),
        (
            {"path": "s3://bucket/day.csv"},
            "table 'y': 's3://bucket/day.csv' is not a local path. Fetch the file first, or use http_json.",
        ),
        (
            {"path": "{entity}.csv"},
            "table 'y': the path '{entity}.csv' names {entity}, which is unknown there. It may name: date, end, "
            "partition.",
        ),
        (
            {"value": []},
            "table 'y': value=[] names no columns. Write value='mean_delay' or a list of columns.",
        ),
        (
            {"aggregate": "avg"},
            "table 'y': aggregate='avg' is unknown. Use one of: count, first, last, max, mean, median, min, sum.",
        ),
        (
            {"path": "day.parquet", "reader": {"sep": ";"}},
            "table 'y': reader={'sep': ';'} is for CSV, and 'day.parquet' is parquet. Remove it.",
        ),
        ({"batch": True}, "table 'y' takes no batch: a file is always read for a batch."),
        ({"per": "wave"}, "table 'y' takes no per: a file has rows for each entity."),
        ({"window": {}}, "table 'y' takes no window: a collection task reads no pipes."),
    ],
)
def test_a_wrong_declaration_is_refused(options, text):
    assert refused("y", **{"path": "day.csv", "value": "y", **options}) == text


def test_declaring_one_does_not_load_pandas():
    code = "import sys; from tasks.sources.files import table; table('y', 'y.csv', 'y'); print('pandas' in sys.modules)"
    assert subprocess.check_output([sys.executable, "-c", code], text=True) == "False\n"


def test_without_pandas_the_import_says_which_extra_brings_it(tmp_path):
    code = """
import importlib.util as util, sys
find = util.find_spec
util.find_spec = lambda name, *args: None if name == "pandas" else find(name, *args)
from tasks import table
"""
    ran = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=False)
    assert ran.stderr.splitlines()[-1] == (
        "pipeline.errors.MissingExtra: tasks.table needs pandas. Install it: pip install 'celery-waves[tasks]'."
    )
