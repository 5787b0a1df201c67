"""A database, on SQLite: what is asked, which rows count, and what errors tell."""

from __future__ import annotations

import os
import sqlite3
import subprocess
import sys
from contextlib import closing
from datetime import UTC, date, datetime, timedelta
from decimal import Decimal
from uuid import UUID

import psutil
import pytest

from pipeline import Flow
from pipeline.errors import RunError, TaskError
from pipeline.testing import run_wave
from tasks.errors import SourceError
from tasks.sources.sql import sql
from tasks.sources.values import plain

DATE = datetime(2013, 6, 25, 13, tzinfo=UTC)
ROWS = [
    ("JFK-LAX", "2013-06-25 12:00:00.000000", 1.5, 1, "AA"),
    ("JFK-LAX", "2013-06-25 13:00:00.000000", 12.5, 3, "AA"),
    ("JFK-BOS", "2013-06-25 13:00:00.000000", -2.0, 4, "B6"),
    ("JFK-SFO", "2013-06-25 13:00:00.000000", None, 0, None),
    ("JFK-LAX", "2013-06-25 14:00:00.000000", 99.0, 9, "AA"),
    (None, "2013-06-25 13:00:00.000000", 5.0, 5, "AA"),
]
QUERY = "select route as entity, mean_delay from delays where route in :entities and hour = :date"


@pytest.fixture
def database(tmp_path) -> str:
    """The path of a database."""
    path = str(tmp_path / "delays.db")
    with closing(sqlite3.connect(path)) as db:
        db.execute(
            "create table delays (route text, hour text, mean_delay real, flights integer, carrier text)"
        )
        db.executemany("insert into delays values (?, ?, ?, ?, ?)", ROWS)
        db.commit()
    return path


@pytest.fixture
def url(database) -> str:
    return f"sqlite:///{database}"


def error(made, *entities: str, kind: type = SourceError) -> str:
    with pytest.raises(kind) as caught:
        made(list(entities or ("JFK-LAX", "JFK-BOS")), DATE)
    return str(caught.value)


def refused(*args, **options) -> str:
    with pytest.raises(TaskError) as caught:
        sql(*args, **options)
    return str(caught.value)


# What is asked, and which rows count


def test_a_query_gives_a_row_an_entity(url):
    made = sql("delays", QUERY, url=url)
    assert made(["JFK-LAX", "JFK-BOS", "JFK-SFO", "JFK-ORD"], DATE) == {
        "JFK-LAX": 12.5,
        "JFK-BOS": -2.0,
        "JFK-SFO": None,  # NULL
        "JFK-ORD": None,  # no row
    }


def test_a_wave_asks_a_query_a_shard(url):
    wave = run_wave(
        Flow("f", [sql("delays", QUERY, url=url)]), ["JFK-LAX", "JFK-BOS", "JFK-ORD"], DATE, shard_size=2
    )
    assert wave.result("delays", "JFK-BOS") == -2.0
    assert wave.errors() == {}


def test_several_columns_give_a_dictionary_or_the_one_that_is_named(url):
    query = QUERY.replace("mean_delay", "mean_delay, flights, carrier")
    assert sql("delays", query, url=url)(["JFK-LAX"], DATE) == {
        "JFK-LAX": {"mean_delay": 12.5, "flights": 3, "carrier": "AA"}
    }
    assert sql("delays", query, url=url, value="flights")(["JFK-LAX"], DATE) == {"JFK-LAX": 3}


def test_the_hour_has_an_end_and_the_query_may_have_parameters_of_its_own(url):
    query = """
        select route, sum(flights) as flights from delays
        where route in :entities and hour >= :date and hour < :end and carrier = :carrier group by route
    """
    made = sql("flights", query, url=url, entity="route", params={"carrier": "AA"})
    assert made(["JFK-LAX", "JFK-BOS"], DATE) == {"JFK-LAX": 3, "JFK-BOS": None}


def test_times_may_be_texts(database):
    with closing(sqlite3.connect(database)) as db:
        db.execute("update delays set hour = replace(substr(hour, 1, 13), ' ', 'T')")
        db.commit()
    made = sql("delays", QUERY, url=f"sqlite:///{database}", date_format="%Y-%m-%dT%H")
    assert made(["JFK-LAX"], DATE) == {"JFK-LAX": 12.5}


def test_without_entities_in_the_query_other_rows_are_left_out(url):
    made = sql("delays", "select route as entity, mean_delay from delays where hour = :date", url=url)
    assert made(["JFK-LAX"], DATE) == {"JFK-LAX": 12.5}


def test_thousands_of_entities_are_asked_for_in_parts(url):
    keys = [f"e{i}" for i in range(2500)] + ["JFK-LAX"]
    answer = sql("delays", QUERY, url=url)(keys, DATE)
    assert len(answer) == 2501
    assert answer["JFK-LAX"] == 12.5


def test_a_key_is_never_part_of_the_query(url):
    key = "x');droptabledelays;--"
    assert sql("delays", QUERY, url=url)([key, "JFK-LAX"], DATE) == {key: None, "JFK-LAX": 12.5}


def test_the_address_may_be_a_function_that_is_asked_when_it_is_needed(url, monkeypatch):
    made = sql("delays", QUERY, url=lambda: os.environ["WAREHOUSE_URL"])
    monkeypatch.setenv("WAREHOUSE_URL", url)
    assert made(["JFK-LAX"], DATE) == {"JFK-LAX": 12.5}


def test_no_connection_stays_open(database, url):
    sql("delays", QUERY, url=url)(["JFK-LAX"], DATE)
    assert database not in {file.path for file in psutil.Process().open_files()}


@pytest.mark.parametrize(
    ("given", "value"),
    [
        (Decimal("1.5"), 1.5),
        (Decimal("NaN"), None),
        (float("nan"), None),
        (date(2013, 6, 25), "2013-06-25"),
        (DATE, "2013-06-25T13:00:00+00:00"),
        (timedelta(minutes=1), 60.0),
        (UUID(int=1), "00000000-0000-0000-0000-000000000001"),
        (memoryview(b"x"), b"x"),
        ({"a": (Decimal(1), None)}, {"a": [1.0, None]}),
        (True, True),
    ],
)
def test_what_databases_give_becomes_plain(given, value):
    assert plain(given) == value
    assert type(plain(given)) is type(value)


# What is wrong


def test_several_rows_fail_their_entity_alone(url):
    made = sql("delays", "select route as entity, mean_delay from delays where route in :entities", url=url)
    answer = made(["JFK-LAX", "JFK-BOS"], DATE)
    assert answer["JFK-BOS"] == -2.0
    assert isinstance(answer["JFK-LAX"], RunError)
    assert str(answer["JFK-LAX"]) == (
        "sql 'delays': the query gave several rows for 'JFK-LAX', and a pipe holds one value. Aggregate them in the "
        "query: group by."
    )


def test_an_answer_for_somebody_else_is_left_out_and_the_others_are_not(url):
    query = (
        "select route as entity, mean_delay from delays where route in :entities union "
        "select 'jfk-lax' as entity, 1.0 as mean_delay"
    )
    made = sql("delays", query, url=url)
    wave = run_wave(Flow("f", [made]), ["JFK-BOS"], DATE)
    assert wave.result("delays", "JFK-BOS") == -2.0
    assert (
        wave.left_out()
        .reasons["jfk-lax"]
        .startswith("sql 'delays': the query answered for 'jfk-lax', which is not one of :entities.")
    )


@pytest.mark.parametrize(
    ("query", "options", "text"),
    [
        (
            "select route, mean_delay from delays where route in :entities",
            {},
            "the query gives no column 'entity'. It gives: mean_delay, route. Name it in the query: select route as "
            "entity.",
        ),
        (
            QUERY,
            {"value": "mean_dleay"},
            "the query gives no column 'mean_dleay'. Did you mean 'mean_delay'? It gives: entity, mean_delay. Name it "
            "in the query: select route as mean_dleay.",
        ),
        (
            "select route as entity from delays where route in :entities",
            {},
            "the query gives the column 'entity' alone. Let it give a value, too.",
        ),
        (
            "select lower(route) as entity, flights from delays where route in :entities",
            {},
            "the query answered for 'jfk-lax', which is not one of :entities. Make it give the keys as they were asked "
            "for; mind upper and lower case.",
        ),
    ],
)
def test_an_answer_that_does_not_fit(url, query, options, text):
    assert error(sql("delays", query, url=url, **options)) == f"sql 'delays': {text}"


def test_an_error_of_the_database_names_it_and_neither_query_nor_keys(url):
    text = error(sql("delays", QUERY.replace("delays", "dleays"), url=url))
    assert text == f"sql 'delays': {url}: no such table: dleays"
    assert "JFK" not in text


def test_a_database_out_of_reach(tmp_path):
    url = f"sqlite:///{tmp_path}/gone/delays.db"
    assert error(sql("delays", QUERY, url=url)) == f"sql 'delays': {url}: unable to open database file"


def test_the_password_is_not_shown(tmp_path):
    address = "sqlite+pysqlite://user:s3cr3t-word@host/x?key=s3cr3t-key"
    text = error(sql("delays", QUERY, url=address))
    assert "s3cr3t" not in text
    assert text.startswith("sql 'delays': ")


def test_the_password_is_taken_out_of_what_a_driver_says(tmp_path):
    # A driver that repeats the address that it was given.
    (tmp_path / "loud_driver.py").write_text(
        "from sqlite3 import *\n"
        "def connect(*args, **kwargs):\n"
        "    raise OperationalError('cannot log in with s3cr3t-word')\n"
    )
    code = """
import sys, warnings
from datetime import datetime, UTC
from sqlalchemy.dialects import registry
from sqlalchemy.dialects.sqlite.pysqlite import SQLiteDialect_pysqlite
class Loud(SQLiteDialect_pysqlite):
    supports_statement_cache = True
    @classmethod
    def import_dbapi(cls):
        import loud_driver
        return loud_driver
    def create_connect_args(self, url):
        return [], {}
sys.modules["loud"] = sys.modules["__main__"]
registry.register("loud", "loud", "Loud")
from tasks.sources.sql import sql
try:
    made = sql("delays", "select 1 as entity, 2 as y", url="loud://user:s3cr3t-word@host/db?sslkey=abc")
    made(["a"], datetime.now(UTC))
except Exception as error:
    print(error)
"""
    said = subprocess.check_output(
        [sys.executable, "-c", code], text=True, env={**os.environ, "PYTHONPATH": f"{os.getcwd()}:{tmp_path}"}
    )
    assert said == "sql 'delays': loud://user:***@host/db: cannot log in with ***\n"


@pytest.mark.parametrize(
    ("address", "text"),
    [
        (
            "user:s3cr3t@host",
            "the URL is not one that SQLAlchemy reads. Write it like postgresql+psycopg://user:password@host/database, "
            "special characters quoted.",
        ),
        ("nosql://user:s3cr3t@host/db", "no dialect 'nosql' is known. Is its package installed?"),
        ("mssql+pymssql://user:s3cr3t@host/db", "the url's driver 'pymssql' is not installed."),
    ],
)
def test_an_address_that_cannot_be_used(address, text):
    assert error(sql("delays", QUERY, url=address)) == f"sql 'delays': {text}"


# The declaration


def test_it_is_a_collection_task_with_the_options_of_a_task():
    made = sql("delays", QUERY, url="sqlite://", time_limit="5m", ttl="60d", queue="db", rate="1/s")
    assert (made.name, made.batch, made.queue, made.inputs) == ("delays", True, "db", ())
    assert (made.time_limit, made.ttl, made.rate) == (300.0, 60 * 86400.0, 1.0)


@pytest.mark.parametrize(
    ("query", "options", "text"),
    [
        (" ", {}, "sql 'delays': ' ' is not a query. Give SQL as text."),
        (
            "select :entitys",
            {},
            "sql 'delays': the query names :entitys, which has no value. Did you mean 'entities'? It gets :date, :end, "
            ":entities; add others with params=. A colon that is meant is \\:.",
        ),
        (QUERY, {"params": {"x": 1}}, "sql 'delays': params holds 'x', which is not named in the query."),
        (QUERY, {"params": {"date": 1}}, "sql 'delays': params holds 'date', which is filled in already."),
        (QUERY, {"batch": True}, "sql 'delays' takes no batch: a query is always for a batch."),
        (QUERY, {"per": "wave"}, "sql 'delays' takes no per: a query gives a row for each entity."),
        (QUERY, {"window": {}}, "sql 'delays' takes no window: a collection task reads no pipes."),
    ],
)
def test_a_wrong_declaration_is_refused(query, options, text):
    assert refused("delays", query, url="sqlite://", **options) == text


def test_a_colon_that_is_meant_is_escaped(url):
    made = sql(
        "x", r"select route as entity, 'a\:b' as y from delays where route in :entities group by 1", url=url
    )
    assert made(["JFK-LAX"], DATE) == {"JFK-LAX": "a:b"}


def test_without_sqlalchemy_the_import_says_which_extra_brings_it():
    code = "import sys; sys.modules['sqlalchemy'] = None; from tasks import sql"
    ran = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=False)
    assert ran.stderr.splitlines()[-1] == (
        "pipeline.errors.MissingExtra: tasks.sql needs sqlalchemy. Install it: pip install 'celery-waves[tasks]'."
    )
