"""The planner twin as an engine: tries indexes on the twin and plans queries there."""

from __future__ import annotations

import re
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import AbstractContextManager, contextmanager
from dataclasses import dataclass
from types import TracebackType
from typing import Any, Final, Self

import psycopg
from psycopg import sql
from psycopg.pq import ConnStatus, ExecStatus

from pgrunbook.errors import Unreachable
from pgrunbook.journey.planner.engine import NO_SETTINGS, CannotPlan, Explained, TriedIndex, explained
from pgrunbook.journey.planner.twin.building import TOOLS, Built, build
from pgrunbook.journey.planner.twin.disarm import PLANNER, standing_for
from pgrunbook.journey.planner.twin.samples import Rows, Samples
from pgrunbook.journey.planner.twin.shaping import Shaper
from pgrunbook.journey.planner.twin.shelf import Shelf, Tried
from pgrunbook.lab import Cluster
from pgrunbook.model import Blind, Server
from pgrunbook.pg.connect import Session, connect, first_line

PLAN_LIMIT_MS: Final = 10_000
SAMPLE_ROWS: Final = 10_000
_BEGIN_READING: Final = (
    "begin transaction read only; set local search_path = pg_catalog; set local datestyle = 'ISO';"
    " set local timezone = 'UTC'; set local lock_timeout = 100; set local statement_timeout = 5000"
)
_TYPED_PARAMETER: Final = re.compile(
    r"\b(date|time|timestamp|timestamptz|interval|numeric|inet|cidr|json|jsonb|uuid|bytea|int4range|tstzrange)"
    r"\s+(\$\d+)",
    re.IGNORECASE,
)


def silent(what: str) -> None:
    """Tell nobody."""


def open_twin(source: Session, *, told: Callable[[str], None] = silent, read_rows: bool = False) -> Twin:
    """Build the twin of the database that `source` is connected to (some seconds).  The source is only read.

    With `read_rows` some thousand rows of a table are read when an expression over it is tried; `source` stays open
    then as long as the twin.
    """
    cluster, built = build(source, told=told)
    try:
        return Twin(cluster, built, read=row_reader(source) if read_rows else None)
    except BaseException:
        cluster.stop("immediate")
        raise


def row_reader(source: Session) -> Rows:
    """Reads a sample of a table's rows, columns as text; none where it may not or takes too long."""

    def read(schema: str, table: str, columns: Sequence[str]) -> Sequence[Sequence[str | None]]:
        name = sql.Identifier(schema, table)
        listed = sql.SQL(", ").join(sql.SQL("{}::text").format(sql.Identifier(column)) for column in columns)
        try:
            source.execute(_BEGIN_READING)
            found = source.execute(
                "select greatest(c.reltuples, 1)::float8 from pg_catalog.pg_class as c where c.oid = %s::regclass",
                (name.as_string(source),),
            ).fetchone()
            share = min(100.0, SAMPLE_ROWS * 100 / (found[0] if found else 1))
            query = sql.SQL("select {} from only {} tablesample system ({}) limit {}")
            return source.execute(query.format(listed, name, sql.Literal(share), sql.Literal(SAMPLE_ROWS))).fetchall()
        except psycopg.Error as exc:
            if source.closed:
                raise Unreachable(f"the connection was lost while reading {table}: {first_line(exc)}") from exc
            return ()
        finally:
            if not source.closed:
                source.execute("rollback")

    return read


@contextmanager
def _serving(conn: Session) -> Iterator[None]:
    """Say that the twin's server has ended when it has."""
    try:
        yield
    except psycopg.Error as exc:
        if conn.closed or conn.pgconn.status != ConnStatus.OK:
            raise Unreachable(f"the twin's server has ended: {first_line(exc)}") from exc
        raise


class Twin:
    """The engine `twin`.  `blind` says what could not be read of the source, or brought over."""

    name: Final = "twin"

    def __init__(self, cluster: Cluster, built: Built, *, read: Rows | None = None) -> None:
        self._cluster = cluster
        self.built = built
        self._admin = connect(built.copy.dsn(), station="twin")
        self._admin.execute("set timezone = 'UTC'; set datestyle = 'ISO'")
        self._admin.prepare_threshold = 1  # the same few questions of the catalog for every index that is tried
        self._planner = _Planner(built.copy.dsn(PLANNER))
        self._powerless = connect(built.copy.dsn(PLANNER), station="twin")
        self._powerless.execute(f"set statement_timeout = {PLAN_LIMIT_MS}; set timezone = 'UTC'; set datestyle = 'ISO'")
        samples = Samples(self._admin, self._powerless, read)
        shaper = Shaper(self._admin, built.files, self._planner.rows_where, TOOLS, samples)
        self._shelf = Shelf(self._admin, built.files, shaper)

    @property
    def blind(self) -> tuple[Blind, ...]:
        """What lowers the confidence in what it says."""
        return self.built.blind

    @property
    def source(self) -> Server:
        """The server that it is a twin of."""
        return self.built.source

    def trying(self, indexes: Sequence[str] = (), dropped: Sequence[str] = ()) -> AbstractContextManager[TwinTrial]:
        """Try CREATE INDEX statements, without the existing indexes `dropped`.  One trial at a time."""
        return self._trying(tuple(indexes), tuple(dropped))

    @contextmanager
    def _trying(self, indexes: tuple[str, ...], dropped: tuple[str, ...]) -> Iterator[TwinTrial]:
        with _serving(self._admin):
            tried = [self._shelf.tried(statement) for statement in indexes]
            without = [oid for name in dropped for oid in self._family(name)]
            self._shelf.show([oid for one in tried for oid in one.oids], without=without)
        yield TwinTrial(self._planner, tried)

    def _family(self, name: str) -> tuple[int, ...]:
        try:
            return self._shelf.family(name)
        except psycopg.Error as exc:
            if self._admin.closed:
                raise
            raise CannotPlan(f"the index {name} cannot be left out: {first_line(exc)}") from exc

    def close(self) -> None:
        """Stop the server and remove its files."""
        self._planner.close()
        self._powerless.close()
        self._admin.close()
        self._cluster.stop("immediate")

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, value: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.close()


class TwinTrial:
    """A set of indexes that the planner sees while its context lasts."""

    def __init__(self, planner: _Planner, tried: Sequence[Tried]) -> None:
        self._planner = planner
        self._tried = tried

    @property
    def indexes(self) -> tuple[TriedIndex, ...]:
        """What was asked for, in the order given."""
        return tuple(one.answer for one in self._tried)

    def explain(self, query: str, *, role: str | None = None, settings: Mapping[str, str] = NO_SETTINGS) -> Explained:
        """Plan one statement, which may hold $1 and so on; raises CannotPlan."""
        return self._planner.explain(query, role=role, settings=settings)


@dataclass(frozen=True, slots=True, kw_only=True)
class _Statement:
    """A query that the server has parsed as one statement."""

    text: str
    has_parameters: bool


class _Planner:
    """A session of the role without powers, which explains."""

    def __init__(self, dsn: str) -> None:
        self._conn = connect(dsn, station="twin")
        self._conn.execute(
            f"set default_transaction_read_only = on; set statement_timeout = {PLAN_LIMIT_MS};"
            " set client_min_messages = error"
        )
        self._known: dict[str, _Statement] = {}

    def close(self) -> None:
        self._conn.close()

    def explain(self, query: str, *, role: str | None, settings: Mapping[str, str]) -> Explained:
        with _serving(self._conn):
            statement = self._statement(query)
        asked = f"EXPLAIN (FORMAT JSON{', GENERIC_PLAN' if statement.has_parameters else ''}) {statement.text}"
        if role is None and not settings:
            return explained(self._answer(asked))
        with self._as(role, settings):
            return explained(self._answer(asked))

    def rows_where(self, table: str, predicate: str) -> float:
        """How many rows of a table the planner thinks fulfil a condition."""
        return explained(self._answer(f"EXPLAIN (FORMAT JSON) SELECT FROM ONLY {table} WHERE {predicate}")).rows

    def _answer(self, asked: str) -> Mapping[str, Any]:
        try:
            row = self._conn.execute(asked.encode()).fetchone()
        except psycopg.Error as exc:
            raise self._cannot(exc) from exc
        assert row is not None  # noqa: S101 - EXPLAIN answers with one row
        plan: Mapping[str, Any] = row[0][0]["Plan"]
        return plan

    def _statement(self, query: str) -> _Statement:
        """Have the server parse it once: a text of two statements would not only be explained."""
        found = self._known.get(query)
        if found is not None:
            return found
        text = _TYPED_PARAMETER.sub(r"\2::\1", query.strip().rstrip(";"))
        with self._conn.lock:
            parsed = self._conn.pgconn.prepare(b"", text.encode())
            if parsed.status != ExecStatus.COMMAND_OK:
                if self._conn.pgconn.status != ConnStatus.OK:
                    raise Unreachable(f"the twin's server has ended: {_message(parsed.error_message)}")
                raise CannotPlan(f"the planner refuses this query: {_message(parsed.error_message)}")
            described = self._conn.pgconn.describe_prepared(b"")
        statement = _Statement(text=text, has_parameters=described.nparams > 0)
        self._known[query] = statement
        return statement

    @contextmanager
    def _as(self, role: str | None, settings: Mapping[str, str]) -> Iterator[None]:
        try:
            with self._conn.transaction(force_rollback=True):
                if role is not None:
                    self._conn.execute(sql.SQL("set local role {}").format(sql.Identifier(standing_for(role))))
                for name, value in settings.items():
                    self._conn.execute("select pg_catalog.set_config(%s, %s, true)", (name, value))
                yield
        except psycopg.Error as exc:
            raise self._cannot(exc) from exc

    def _cannot(self, exc: psycopg.Error) -> Exception:
        if self._conn.closed:
            return Unreachable(f"the twin's server has ended: {first_line(exc)}")
        return CannotPlan(f"the planner refuses this query: {first_line(exc)}")


def _message(said: bytes) -> str:
    text = said.decode("utf-8", "replace")
    return next((line.partition("ERROR:")[2].strip() or line for line in text.splitlines() if line.strip()), "")
