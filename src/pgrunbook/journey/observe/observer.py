"""Asks questions: each in its own short read-only transaction that gives up instead of waiting for a lock."""

from __future__ import annotations

import re
import time
from collections.abc import Sequence
from datetime import UTC, datetime
from typing import Any, TypeVar

import psycopg
from psycopg import sql

from pgrunbook.errors import Unreachable
from pgrunbook.journey.observe.memory import collector_resting
from pgrunbook.journey.observe.server import probe
from pgrunbook.model import Question, Reading, Server, ServerRole, Snapshot, Unread
from pgrunbook.pg import sqlfile
from pgrunbook.pg.connect import Session, connect, first_line, into, translated

Row = TypeVar("Row")

LOCK_TIMEOUT_MS = 100  # six of eight known tools hang in the very queue they should explain
STATEMENT_TIMEOUT_MS = 10_000
RELOCK_TRIES = 3  # a lock can appear between looking and reading
VANISHED_TRIES = 3  # and a table can go
HURRIED_TRIES = 10  # a role's own statement_timeout may end what only sets ours

IGNORED_SCHEMAS = (
    "pg_catalog",
    "information_schema",
    "pg_toast",
)  # the one list; SQL also leaves out pg_temp_*

_BEGIN = (
    f"begin transaction read only; set local statement_timeout = {STATEMENT_TIMEOUT_MS};"
    " set local search_path = pg_catalog; set local standard_conforming_strings = on;"
    f" set local lock_timeout = {LOCK_TIMEOUT_MS};"
    " set local idle_in_transaction_session_timeout = 60000; set local jit = off;"
    " set local datestyle = 'ISO'; set local timezone = 'UTC'; set local row_security = on"
)
_MAY_USE = "/* pgrunbook: may_use */ select pg_catalog.has_schema_privilege(%(schema)s::text, 'usage')"
_LOCKED = """/* pgrunbook: locked_relations */
select distinct relation::int8 from pg_catalog.pg_locks
where locktype = 'relation' and mode = 'AccessExclusiveLock' and relation is not null
  and database = (select oid from pg_catalog.pg_database where datname = pg_catalog.current_database())"""

_OTHER_ENCODING = (
    "Most often a database with the encoding SQL_ASCII (SELECT oid, datname FROM pg_database WHERE encoding = 0) has "
    "run statements that are no text in any encoding: SELECT pg_stat_statements_reset(0, OID, 0) forgets them."
)


class Observer:
    """One connection that asks questions.  Knows the server it is on."""

    def __init__(self, conn: Session) -> None:
        self._conn = conn
        with translated("asking what server this is"):
            self.server: Server = self._transaction(lambda: probe(conn))

    def _transaction(self, body: Any) -> Any:
        try:
            self._begin()
            return body()
        except KeyboardInterrupt:
            self._leave()
            raise
        finally:
            if not self._conn.closed:
                self._roll_back()

    def _begin(self) -> None:
        """Until our limits are set the role's own hold, and a busy server may need longer to set them: then again."""
        for _ in range(HURRIED_TRIES - 1):
            try:
                self._conn.execute(_BEGIN)
            except psycopg.errors.QueryCanceled:
                self._roll_back()
            else:
                return
        self._conn.execute(_BEGIN)

    def _roll_back(self) -> None:
        """End the transaction.  A role's own time limits are back once it is aborted, and may end the session."""
        try:
            try:
                self._conn.execute("rollback")
            except psycopg.errors.QueryCanceled:
                self._conn.execute("rollback")
        except (psycopg.OperationalError, psycopg.InterfaceError) as exc:
            raise Unreachable(
                f"the connection was lost while observing: {first_line(exc)}",
                hint=f"Give the role {self._conn.info.user} longer time limits, or ask again.",
            ) from exc

    def _leave(self) -> None:
        """Roll back after an interrupt.  Where a command is half sent that fails, and must not hide the interrupt."""
        try:
            self._conn.execute("rollback")
        except psycopg.Error:
            self._conn.close()

    def ask(self, question: Question[Row]) -> Reading[Row] | Unread:
        """The answer to one question, or why there is none.  Raises Unreachable when the connection is lost."""
        refusal = self._refusal(question)
        if refusal is not None:
            return refusal
        text = sqlfile.load(question.folder, question.name).text_for(self.server.major)
        query: Any = text
        if question.extension is not None:
            schema = self.server.extensions[question.extension].schema
            query = sql.SQL(text).format(extension_schema=sql.Identifier(schema))
        try:
            return self._read_what_stands_still(question, query)
        except psycopg.errors.InsufficientPrivilege as exc:
            return Unread(reason=f"not allowed: {first_line(exc)}", cure=self._right_for(question))
        except (psycopg.errors.InternalError_, psycopg.errors.UndefinedTable, psycopg.errors.UndefinedFunction) as exc:
            if question.extension is None and not isinstance(exc, psycopg.errors.InternalError_):
                raise
            return Unread(reason=f"it changed while it was read: {first_line(exc)}", cure="Try again.")
        except (psycopg.errors.QueryCanceled, psycopg.errors.LockNotAvailable) as exc:
            return Unread(reason=f"gave up waiting: {first_line(exc)}", cure="Try again when the server is less busy.")
        except psycopg.errors.ObjectNotInPrerequisiteState as exc:
            return Unread(reason=first_line(exc), cure=question.cure)
        except psycopg.DataError as exc:
            return Unread(reason=f"the server cannot show it: {first_line(exc)}", cure=_OTHER_ENCODING)
        except (psycopg.OperationalError, psycopg.InterfaceError) as exc:
            if self._conn.closed or isinstance(exc, psycopg.InterfaceError):
                raise Unreachable(f"the connection was lost while reading {question.name}: {first_line(exc)}") from exc
            return Unread(reason=first_line(exc))

    def _read_what_stands_still(self, question: Question[Row], query: Any) -> Reading[Row]:
        """Read; when a table was dropped between the listing and the look at it, once more."""
        for attempt in range(VANISHED_TRIES):
            try:
                if question.reads_definitions:
                    return self._read_around_locks(question, query)
                return self._read(question, query, frozenset())
            except psycopg.errors.InternalError_:  # "could not open relation with OID …": it was listed a moment ago
                if attempt == VANISHED_TRIES - 1:
                    raise
        raise AssertionError("unreachable")

    def _right_for(self, question: Question[Any]) -> str:
        """The GRANT that was missing: an extension's views cannot be named without USAGE on its schema."""
        if question.extension is not None:
            schema = self.server.extensions[question.extension].schema
            row = self._transaction(lambda: self._conn.execute(_MAY_USE, {"schema": schema}).fetchone())
            if row is not None and not row[0]:
                grant = sql.SQL("GRANT USAGE ON SCHEMA {} TO {};")
                return grant.format(sql.Identifier(schema), sql.Identifier(self.server.user)).as_string()
        return question.cure or self._grant("pg_monitor")

    def _refusal(self, question: Question[Any]) -> Unread | None:
        if question.extension is not None and not self.server.has_extension(question.extension):
            cure = question.cure or f"CREATE EXTENSION {question.extension};"
            return Unread(reason=f"extension {question.extension} is not installed", cure=cure)
        if question.extension is not None:
            version = self.server.extensions[question.extension].version
            if _numbers(version) < _numbers(question.extension_version):
                return Unread(
                    reason=f"extension {question.extension} {version} is older than {question.extension_version}",
                    cure=f"ALTER EXTENSION {question.extension} UPDATE;",
                )
        if question.needs is not None and not self.server.may(question.needs):
            return Unread(
                reason=f"{self.server.user} is no member of {question.needs}",
                cure=question.cure or self._grant(question.needs),
            )
        if question.primary_only and self.server.role is ServerRole.STANDBY:
            return Unread(reason="this server is a standby; only the primary knows", cure="Ask the primary.")
        return None

    def _grant(self, role: str) -> str:
        return sql.SQL("GRANT {} TO {};").format(sql.Identifier(role), sql.Identifier(self.server.user)).as_string()

    def _read(self, question: Question[Row], query: Any, skip: frozenset[int]) -> Reading[Row]:
        started = time.monotonic()

        def body() -> tuple[Row, ...]:
            params = {"ignored_schemas": list(IGNORED_SCHEMAS), "skip": sorted(skip)}
            with self._conn.cursor(row_factory=into(question.row)) as cursor:
                return tuple(cursor.execute(query, params).fetchall())

        rows = self._transaction(body)
        return Reading(
            rows=rows,
            taken_at=datetime.now(UTC),
            duration_s=round(time.monotonic() - started, 4),
            skipped=skip,
        )

    def _read_around_locks(self, question: Question[Row], query: Any) -> Reading[Row]:
        """Leave out what is locked; when a lock appears in between, look again."""
        skip: frozenset[int] = frozenset()
        for attempt in range(RELOCK_TRIES):
            skip |= self._locked()
            try:
                return self._read(question, query, skip)
            except psycopg.errors.LockNotAvailable:
                if attempt == RELOCK_TRIES - 1:
                    raise
        raise AssertionError("unreachable")

    def _locked(self) -> frozenset[int]:
        return frozenset(self._transaction(lambda: [int(row[0]) for row in self._conn.execute(_LOCKED).fetchall()]))


def _numbers(version: str) -> tuple[int, ...]:
    """An extension's version, comparable: 1.10 is newer than 1.9 (pg_upgrade leaves old ones installed)."""
    return tuple(int(part) for part in re.findall(r"\d+", version))


def observe(dsn_or_conn: str | Session, questions: Sequence[Question[Any]]) -> Snapshot:
    """Ask every question once over one connection."""
    if isinstance(dsn_or_conn, str):
        with connect(dsn_or_conn, station="observe") as conn:
            return observe(conn, questions)
    started = time.monotonic()
    observer = Observer(dsn_or_conn)
    with collector_resting():
        asked = tuple(dict.fromkeys(questions))
        readings: dict[str, Reading[object] | Unread] = {
            question.name: observer.ask(question) for question in asked if question.probe is None
        }
        for question in asked:
            if question.probe is not None:
                readings[question.name] = question.probe(dsn_or_conn, observer.server, readings)
    return Snapshot(
        server=observer.server,
        taken_at=datetime.now(UTC),
        duration_s=round(time.monotonic() - started, 3),
        readings=readings,
    )
