"""Asks for plans: each in a read-only transaction that is rolled back, behind timeouts, as a role that may do little.

In: a connection, one statement's text.  Out: a QueryPlan, or an error of ours that says what the server said.  Nothing
is written: plain EXPLAIN plans (and evaluates stable and immutable functions), ANALYZE runs what its caller has found
to be a pure read, in a transaction in which the server refuses writes.
"""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from typing import Any

import psycopg
from psycopg import pq, sql

from pgrunbook.errors import Refused, RunbookError, ServerError, Unreachable, Unsupported, UsageError
from pgrunbook.journey.observe.plan_tree import plan_of, texts
from pgrunbook.model import Server, literal
from pgrunbook.model.query_plan import QueryPlan
from pgrunbook.pg.connect import Session, first_line

LOCK_TIMEOUT_MS = 500
PLAN_TIMEOUT_S = 10.0
RUN_TIMEOUT_S = 30.0
GENERIC_PLAN_SINCE = 16
READER = "pg_read_all_data"  # may read every table, and nothing else (predefined from 14 on)
WRITER = "pg_write_all_data"  # may write every table, and read none: it plans an INSERT
_NAME = "pgrunbook_explain"
_STRING = re.compile(r"E?'(?:[^']|'')*'")
_CALL = re.compile(r'(?:("(?:[^"]|"")+"|[A-Za-z_][\w$]*)\s*\.\s*)?("(?:[^"]|"")+"|[A-Za-z_][\w$]*)\s*\(')
# Volatile, and yet nothing is changed by calling them.
HARMLESS = frozenset(
    "random random_normal clock_timestamp timeofday gen_random_uuid uuidv4 uuidv7 uuid_generate_v4".split()
)
_VOLATILE = """/* pgrunbook: volatile_functions */
select distinct n.nspname::text, p.proname::text
from pg_catalog.pg_proc as p
join pg_catalog.pg_namespace as n on n.oid = p.pronamespace
where p.provolatile = 'v' and p.proname = any (%(names)s)
order by 1, 2"""
_SEARCH_PATH = """/* pgrunbook: search_path_of */
select pg_catalog.substr(c.setting, 13)
from pg_catalog.pg_db_role_setting as s
cross join lateral pg_catalog.unnest(s.setconfig) as c (setting)
where c.setting like 'search_path=%%'
  and s.setrole in (0, coalesce((select r.oid from pg_catalog.pg_roles as r where r.rolname = %(role)s), 0))
  and s.setdatabase in (0, (select d.oid from pg_catalog.pg_database as d
                            where d.datname = pg_catalog.current_database()))
order by s.setrole = 0, s.setdatabase = 0
limit 1"""
_ROLE = """/* pgrunbook: role */
select r.rolsuper, pg_catalog.pg_has_role(current_user, r.oid, 'member')
from pg_catalog.pg_roles as r where r.rolname = %(role)s"""
_DIGEST = """/* pgrunbook: digest */
select count(*)::int8,
       (coalesce(sum(pg_catalog.hashtextextended(q::text, 1)), 0)::text
        || '/' || coalesce(sum(pg_catalog.hashtextextended(q::text, 2)), 0)::text)
from ("""


@dataclass(frozen=True, slots=True, kw_only=True)
class Identity:
    """As whom statements are planned.  `role` None: as the session's user; `path` None: its search path, too."""

    name: str
    role: str | None = None
    path: str | None = None
    is_superuser: bool = False
    why: str = ""

    @property
    def is_stand_in(self) -> bool:
        """Whether it stands in for a superuser, because nobody named a role."""
        return self.role in {READER, WRITER}


@dataclass(frozen=True, slots=True, kw_only=True)
class Digest:
    """How many rows a statement gave, and a hash that does not depend on their order."""

    rows: int
    hash: str


def identify(
    conn: Session,
    server: Server,
    *,
    wanted: str | None,
    statement_role: str | None,
    as_superuser: bool,
    is_read: bool = True,
) -> Identity:
    """Whose rights count: the role asked for, else the statement's own, else our user's; never a superuser's unasked.

    Raises UsageError for a role that does not exist, Refused for one that we may not become.
    """
    if as_superuser:
        if not server.is_superuser:
            raise UsageError(f"{server.user} is no superuser", hint="Leave out --as-superuser.")
        return Identity(name=server.user, is_superuser=True, why="asked for with --as-superuser")
    if wanted is not None:
        return _asked_for(conn, server, wanted)
    if statement_role is not None and statement_role != server.user:
        found = _role_of(conn, server, statement_role, why="the statement's own role")
        if found is not None and found.role is not None and not found.is_superuser:
            return found
    if server.is_superuser:
        stand_in = READER if is_read else WRITER
        return Identity(
            name=stand_in,
            role=stand_in,
            why=f"instead of the superuser {server.user}: planning evaluates functions; --role names another",
        )
    return Identity(name=server.user)


def _asked_for(conn: Session, server: Server, role: str) -> Identity:
    found = _role_of(conn, server, role, why="asked for with --role")
    if found is None:
        raise UsageError(f"there is no role {role!r}")
    if found.is_superuser:
        raise Refused(
            f"{role} is a superuser: planning would evaluate functions with all rights",
            hint="Name another role, or say --as-superuser.",
        )
    if found.role is None and role != server.user:
        raise Refused(f"{server.user} may not become {role}", hint=f"Use a member of {role}, or connect as {role}.")
    return found


def _role_of(conn: Session, server: Server, role: str, *, why: str) -> Identity | None:
    """The role; its `role` is None where we need not, or may not, become it.  None: there is no such role."""
    row = conn.execute(_ROLE, {"role": role}).fetchone()
    if row is None:
        return None
    is_superuser, may_become = bool(row[0]), bool(row[1])
    if role == server.user or not may_become:
        return Identity(name=role, why=why, is_superuser=is_superuser)
    path = conn.execute(_SEARCH_PATH, {"role": role}).fetchone()
    return Identity(
        name=role, role=role, path=str(path[0]) if path is not None else None, is_superuser=is_superuser, why=why
    )


class Explainer:
    """Plans, runs and compares statements on one session, which it leaves as it found it."""

    def __init__(self, conn: Session, server: Server, identity: Identity) -> None:
        self._conn = conn
        self._major = server.major
        self.identity = identity

    def plan(self, text: str, *, parameters: int = 0, settings: Mapping[str, str] | None = None) -> QueryPlan:
        """The plan of one statement, which is not run; with parameters the plan for any value of them."""
        explained = self._explained(text, parameters, "verbose, settings", settings or {})
        return plan_of(explained, is_generic=parameters > 0, role=self.identity.name)

    def explained(self, text: str, *, parameters: int) -> Mapping[str, Any]:
        """What the server answers, as it is; with parameters for any value of them."""
        return self._explained(text, parameters, "verbose", {})

    def explained_with(self, text: str, values: Sequence[str]) -> Mapping[str, Any]:
        """The same for these values of its parameters."""
        with self._transaction(PLAN_TIMEOUT_S, doing="planning for values"):
            self._conn.execute("set local plan_cache_mode = force_custom_plan")
            self._extended(f"prepare {_NAME} as {text}")
            listed = ", ".join(literal(value) for value in values)
            row = self._one(f"explain (verbose, format json) execute {_NAME} ({listed})")
        found: Mapping[str, Any] = row[0][0]
        return found

    def run(self, text: str, *, timeout_s: float = RUN_TIMEOUT_S) -> QueryPlan:
        """The plan with what happened: the statement is run.  It must be a read, see `changing_calls`."""
        with self._transaction(timeout_s, doing="running the statement"):
            row = self._one(f"explain (analyze, buffers, verbose, settings, format json) {text}")
        return plan_of(row[0][0], role=self.identity.name)

    def volatile_calls(self, text: str, called: Sequence[tuple[str, ...]], *, parameters: int = 0) -> tuple[str, ...]:
        """Volatile functions that running the statement would call, in views and policies, too, as `schema.name`.

        `called` are those that its text names.  What functions call inside themselves cannot be seen.
        """
        explained = self._explained(text, parameters, "verbose", {})
        shown = [call for one in texts(explained) for call in _calls(one)]
        calls = {(parts[-2] if len(parts) > 1 else "", parts[-1]) for parts in called if parts} | set(shown)
        with self._transaction(PLAN_TIMEOUT_S, doing="looking at functions"):
            rows = self._conn.execute(_VOLATILE, {"names": sorted({name for _, name in calls})}).fetchall()
        return tuple(f"{schema}.{name}" for schema, name in rows if (schema, name) in calls or ("", name) in calls)

    def changing_calls(self, text: str, called: Sequence[tuple[str, ...]], *, parameters: int = 0) -> tuple[str, ...]:
        """Those of them by which something could be changed."""
        found = self.volatile_calls(text, called, parameters=parameters)
        return tuple(name for name in found if name.rpartition(".")[2] not in HARMLESS)

    def digest(self, text: str, *, timeout_s: float = RUN_TIMEOUT_S) -> Digest:
        """Run a read and say how many rows it gave, with a hash of them all."""
        with self._transaction(timeout_s, doing="comparing rows"):
            row = self._one(f"{_DIGEST}{text}\n) as q")
        return Digest(rows=int(row[0]), hash=str(row[1]))

    def values(self, text: str, *, timeout_s: float = RUN_TIMEOUT_S) -> tuple[Any, ...] | None:
        """The first row of a read, as text; None when it gives none."""
        with self._transaction(timeout_s, doing="reading a row"):
            row = self._extended(text).fetchone()
        return tuple(row) if row is not None else None

    def parameter_types(self, text: str) -> tuple[str, ...]:
        """What types the server takes the parameters for."""
        with self._transaction(PLAN_TIMEOUT_S, doing="asking for parameter types"):
            self._extended(f"prepare {_NAME} as {text}")
            row = self._conn.execute(
                "select array(select t::text from unnest(parameter_types) as t) from pg_catalog.pg_prepared_statements"
                " where name = %(name)s",
                {"name": _NAME},
            ).fetchone()
        return tuple(row[0]) if row is not None else ()

    def setting(self, name: str) -> str:
        """What a setting is in the transactions that plan."""
        with self._transaction(PLAN_TIMEOUT_S, doing="reading a setting"):
            row = self._conn.execute("select pg_catalog.current_setting(%(name)s)", {"name": name}).fetchone()
        return str(row[0]) if row is not None else ""

    def _explained(self, text: str, parameters: int, options: str, settings: Mapping[str, str]) -> Mapping[str, Any]:
        with self._transaction(PLAN_TIMEOUT_S, doing="planning the statement", settings=settings):
            if parameters == 0:
                row = self._one(f"explain ({options}, format json) {text}")
            elif self._major >= GENERIC_PLAN_SINCE:
                row = self._generic(f"explain (generic_plan, {options}, format json) {text}")
            else:
                self._conn.execute("set local plan_cache_mode = force_generic_plan")
                self._extended(f"prepare {_NAME} as {text}")
                nulls = ", ".join(["null"] * parameters)
                row = self._one(f"explain ({options}, format json) execute {_NAME} ({nulls})")
        found: Mapping[str, Any] = row[0][0]
        return found

    def _generic(self, statement: str) -> Sequence[Any]:
        """GENERIC_PLAN takes its parameters unbound, which only the simple protocol can; that runs many statements.

        So the server parses the text by the extended protocol first, which refuses more than one.
        """
        text = statement.encode("utf-8", "surrogateescape")
        result = self._conn.pgconn.prepare(b"", text)
        if result.status != pq.ExecStatus.COMMAND_OK:
            raise psycopg.errors.error_from_result(result)
        row = self._conn.execute(text).fetchone()
        return row if row is not None else ()

    def _one(self, statement: str) -> Sequence[Any]:
        row = self._extended(statement).fetchone()
        return row if row is not None else ()

    def _extended(self, statement: str) -> psycopg.Cursor[Any]:
        """Run a text that is not ours: the binary format makes it the extended protocol, which takes one statement."""
        cursor = self._conn.cursor(binary=True)
        return cursor.execute(statement.encode("utf-8", "surrogateescape"))

    @contextmanager
    def _transaction(
        self, timeout_s: float, *, doing: str, settings: Mapping[str, str] | None = None
    ) -> Iterator[None]:
        try:
            self._conn.execute(
                f"begin transaction read only; set local lock_timeout = {LOCK_TIMEOUT_MS};"
                f" set local statement_timeout = {round(timeout_s * 1000)};"
                " set local idle_in_transaction_session_timeout = 60000"
            )
            self._dress(settings or {})
            yield
            self._forget()  # behind a transaction pooler only this transaction is sure to be on the same server session
        except psycopg.Error as exc:
            raise self._ours(exc, doing, timeout_s) from exc
        finally:
            self._leave()

    def _dress(self, settings: Mapping[str, str]) -> None:
        pairs = dict(settings)
        if self.identity.path is not None:
            pairs["search_path"] = self.identity.path
        for name, value in pairs.items():
            self._conn.execute(
                "select pg_catalog.set_config(%(name)s, %(value)s, true)", {"name": name, "value": value}
            )
        if self.identity.role is not None:
            self._conn.execute(sql.SQL("set local role {}").format(sql.Identifier(self.identity.role)))

    def _leave(self) -> None:
        if self._conn.closed:
            return
        self._conn.execute("rollback")
        self._forget()

    def _forget(self) -> None:
        """Deallocate what was prepared, which a rollback does not undo."""
        known = self._conn.execute(
            "select from pg_catalog.pg_prepared_statements where name = %(name)s", {"name": _NAME}
        ).fetchone()
        if known is not None:
            self._conn.execute(f"deallocate {_NAME}".encode())

    def _ours(self, exc: psycopg.Error, doing: str, timeout_s: float) -> RunbookError:
        """The driver's error as ours: what is wrong with the statement is the caller's to mend."""
        if self._conn.closed:
            return Unreachable(f"the connection was lost while {doing}: {first_line(exc)}")
        state = exc.sqlstate or ""
        said = first_line(exc)
        hint = (exc.diag.message_hint or "").strip()
        if isinstance(exc, psycopg.errors.InsufficientPrivilege) and self.identity.is_stand_in:
            return Refused(
                f"a superuser's statement is planned as {self.identity.name}, which may not do this: {said}",
                hint="Name the role that runs it with --role, or say --as-superuser.",
            )
        if isinstance(exc, psycopg.errors.InsufficientPrivilege):
            return Unsupported(
                f"{self.identity.name} is not allowed to do this: {said}",
                hint="Name a role that may, with --role; a superuser can say --as-superuser.",
            )
        if isinstance(exc, psycopg.errors.QueryCanceled):
            return ServerError(f"gave up after {timeout_s:g} s while {doing}: {said}", hint="Raise --timeout.")
        if isinstance(exc, psycopg.errors.LockNotAvailable):
            return ServerError(f"a table is locked: {said}", hint="Try again when the lock is gone.")
        if isinstance(exc, psycopg.errors.ReadOnlySqlTransaction):
            return Refused(f"it would write: {said}", hint="Without --analyze it is only planned.")
        if state[:2] in {"42", "0A", "22", "3F", "P0", "26", "21", "2F", "38", "39"}:
            return UsageError(f"the server refuses the statement: {said}", hint=hint or _hint_for(exc))
        return ServerError(f"the server refused while {doing}: {said}")


def _hint_for(exc: psycopg.Error) -> str:
    if isinstance(exc, psycopg.errors.UndefinedTable):
        return "Name its schema, or a role with the right search path by --role."
    if isinstance(exc, psycopg.errors.IndeterminateDatatype | psycopg.errors.AmbiguousParameter):
        return "Give the parameter a type, as in $1::int."
    return ""


def _calls(text: str) -> Iterator[tuple[str, str]]:
    """Schema ("" where none is written) and name of what stands before a parenthesis."""
    for schema, name in _CALL.findall(_STRING.sub("''", text)):
        yield _bare(schema), _bare(name)


def _bare(name: str) -> str:
    return name[1:-1].replace('""', '"') if name.startswith('"') else name
