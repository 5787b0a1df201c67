"""A database, through SQLAlchemy: a query a shard.

    departures = sql(
        "departures",
        "select route as entity, mean_delay from delays where route in :entities and hour = :date",
        url=lambda: os.environ["WAREHOUSE_URL"],
    )

The query gets `:entities` (as a list, for IN), `:date` (the wave's hour, UTC), `:end` (an hour later) and what
`params` holds. It gives a row an entity: the column `entity` and the value, or several columns that become a
dictionary. Each shard opens a connection of its own and closes it, so that idle workers hold none.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import Any, Unpack

import sqlalchemy as sa
from sqlalchemy import exc

from pipeline.errors import RunError, TaskError, listed, near
from pipeline.flows.task import Task
from tasks.errors import SourceError
from tasks.sources.declare import TaskOptions, answered, declare, one_value
from tasks.sources.values import plain

Url = str | sa.URL | Callable[[], str | sa.URL]

MAX_ENTITIES = 1000  # of one query: Oracle takes no longer list
_OURS = ("entities", "date", "end")
_REFUSED = {
    "batch": "a query is always for a batch.",
    "per": "a query gives a row for each entity.",
    "window": "a collection task reads no pipes.",
}


def sql(
    name: str,
    query: str,
    *,
    url: Url,
    entity: str = "entity",
    value: str | None = None,
    params: Mapping[str, Any] | None = None,
    date_format: str | None = None,
    **options: Unpack[TaskOptions],
) -> Task:
    """Build a collection task that asks a database.

    NULL, and an entity without a row, is no observation.

    Args:
        name: The pipe's.
        query: SQL with `:entities`, `:date`, `:end` and the names of `params`.
        url: Where the database is, as SQLAlchemy writes it; or a function that returns it, for one from the
            environment. Its password never gets into messages.
        entity: The column of the entity's key.
        value: The column of the value. By default the only other one, or a dictionary of all others.
        params: Further parameters.
        date_format: strftime's, for a database that holds times as texts; by default they are sent as UTC timestamps.
        **options: Those of `@task`, but `batch`, `per` and `window`.

    Raises:
        TaskError: The declaration cannot work.
        DurationError: A length of time or the rate cannot be read.
    """
    what = f"sql {name!r}"
    params = dict(params or {})
    statement, names = _statement(what, query, params, date_format)
    database = _Database(what, url)
    asked = _Asked(what, database, statement, names, entity, value, params, date_format)

    def call(entity: Sequence[str], date: datetime) -> dict[str, Any]:
        return asked.answer(entity, date)

    return declare("sql", name, call, options, _REFUSED, batch=True)


def _statement(
    what: str, query: str, params: Mapping[str, Any], date_format: str | None
) -> tuple[sa.TextClause, frozenset[str]]:
    """Build the statement, and return the names of its parameters."""
    if not isinstance(query, str) or not query.strip():
        raise TaskError(f"{what}: {query!r} is not a query. Give SQL as text.")
    statement = sa.text(query)
    names = frozenset(statement.compile().params)
    for name in sorted(names - {*_OURS, *params}):
        raise TaskError(
            f"{what}: the query names :{name}, which has no value.{near(name, (*_OURS, *params))} It gets "
            f"{listed(':' + known for known in (*_OURS, *params))}; add others with params=. "
            "A colon that is meant is \\:."
        )
    for name in params:
        if name in _OURS or name not in names:
            why = "is filled in already" if name in _OURS else "is not named in the query"
            raise TaskError(f"{what}: params holds {name!r}, which {why}.")
    times = [
        sa.bindparam(n, type_=None if date_format else sa.DateTime(timezone=True)) for n in ("date", "end")
    ]
    binds = [sa.bindparam("entities", expanding=True), *times]
    return statement.bindparams(*(bind for bind in binds if bind.key in names)), names


@dataclass
class _Database:
    """Where a task's database is. Its engine is made at the first use; it keeps no connections, so forks do no harm."""

    what: str
    url: Url
    _engine: sa.Engine | None = None

    def rows(self, statement: sa.TextClause, params: Sequence[Mapping[str, Any]]) -> Iterator[sa.Row[Any]]:
        """Run a statement with each set of parameters, in one connection, and return all rows."""
        try:
            with self.engine().connect() as connection:
                for given in params:
                    yield from connection.execute(statement, given)
        except exc.SQLAlchemyError as error:
            raise self._error(error) from None

    def engine(self) -> sa.Engine:
        """Return this process' engine. Raises SourceError when the address is not one."""
        if self._engine is None:
            address = self.url() if callable(self.url) else self.url
            try:
                self._engine = sa.create_engine(address, poolclass=sa.NullPool, hide_parameters=True)
            except exc.NoSuchModuleError:
                name = sa.make_url(address).drivername
                raise SourceError(
                    f"{self.what}: no dialect {name!r} is known. Is its package installed?"
                ) from None
            except exc.ArgumentError:
                raise SourceError(
                    f"{self.what}: the URL is not one that SQLAlchemy reads. Write it like "
                    "postgresql+psycopg://user:password@host/database, special characters quoted."
                ) from None
            except ImportError as error:
                raise SourceError(f"{self.what}: the url's driver {error.name!r} is not installed.") from None
        return self._engine

    def _error(self, error: exc.SQLAlchemyError) -> RunError:
        engine = self.engine()
        place = engine.url.set(query={}).render_as_string(hide_password=True)
        text = str(getattr(error, "orig", None) or error).strip()
        password = engine.url.password
        if password:
            text = text.replace(str(password), "***")
        message = f"{self.what}: {place}: {' '.join(text.split())[:500]}"
        # Data that cannot be computed with may be one entity's; all else is everybody's.
        if isinstance(error, exc.DataError | exc.IntegrityError):
            return RunError(message)
        return SourceError(message)


@dataclass(frozen=True)
class _Asked:
    """What is asked of a database for the entities of a shard."""

    what: str
    database: _Database
    statement: sa.TextClause
    names: frozenset[str]
    entity: str
    value: str | None
    params: Mapping[str, Any]
    date_format: str | None

    def answer(self, entity: Sequence[str], date: datetime) -> dict[str, Any]:
        """Ask for some entities at an hour. Raises SourceError."""
        wanted = {str(key) for key in entity}
        found: dict[str, Any] = {}
        foreign: dict[str, SourceError] = {}
        for row in self.database.rows(self.statement, self._parts(entity, date)):
            values = dict(row._mapping)
            self._check_columns(values)
            key = values.pop(self.entity)
            if key is None:
                continue
            key = str(key).strip() if str(key) not in wanted else str(key)  # CHAR(n) is padded
            if key in wanted:
                found[key] = self._twice(key) if key in found else one_value(self.what, self._value, values)
            elif "entities" in self.names:
                foreign[key] = SourceError(
                    f"{self.what}: the query answered for {key!r}, which is not one of :entities. Make it give the "
                    "keys as they were asked for; mind upper and lower case."
                )
        if foreign and not found:
            raise next(iter(foreign.values()))
        return answered(found, entity) | foreign

    def _parts(self, entity: Sequence[str], date: datetime) -> list[dict[str, Any]]:
        """Return the parameters of each query."""
        size = MAX_ENTITIES if "entities" in self.names else len(entity)
        return [
            {
                name: value
                for name, value in self._all(entity[i : i + size], date).items()
                if name in self.names
            }
            for i in range(0, len(entity), size)
        ]

    def _all(self, entity: Sequence[str], date: datetime) -> dict[str, Any]:
        end = date + timedelta(hours=1)
        times = [t.strftime(self.date_format) if self.date_format else t for t in (date, end)]
        return {"entities": [str(key) for key in entity], "date": times[0], "end": times[1], **self.params}

    def _check_columns(self, values: Mapping[str, Any]) -> None:
        for column in (self.entity, self.value):
            if column is not None and column not in values:
                raise SourceError(
                    f"{self.what}: the query gives no column {column!r}.{near(column, values)} "
                    f"It gives: {listed(values)}. Name it in the query: select route as {column}."
                )
        if len(values) < 2:
            raise SourceError(
                f"{self.what}: the query gives the column {self.entity!r} alone. Let it give a value, too."
            )

    def _value(self, values: Mapping[str, Any]) -> Any:
        if self.value is not None:
            return plain(values[self.value])
        return plain(values if len(values) > 1 else next(iter(values.values())))

    def _twice(self, key: str) -> RunError:
        return RunError(
            f"{self.what}: the query gave several rows for {key!r}, and a pipe holds one value. Aggregate them in the "
            "query: group by."
        )
