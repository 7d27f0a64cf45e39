"""The planner's cost of normalised statements: generic plans, in a read-only transaction that never waits for long.

`$n` stands where constants were, so the plan is the one for any value: the text is prepared and an execution explained
(EXPLAIN (GENERIC_PLAN), from 16 on, needs the simple protocol, which would run a second statement hidden in the text).
Each statement is explained as the role that runs it, where we may become it: only so do its policies count, and
functions that the planner evaluates do not run with our rights.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import psycopg
from psycopg import sql

from pgrunbook.errors import Unreachable
from pgrunbook.model.plan import MeasuredQuery
from pgrunbook.pg.connect import Session, first_line
from pgrunbook.pg.parse import ParseFailed, Parser
from pgrunbook.pg.planned import NotPlanned, planned

_BEGIN = (
    "begin transaction read only; set local lock_timeout = 500; set local statement_timeout = 5000;"
    " set local plan_cache_mode = force_generic_plan"
)
_NAME = "pgrunbook_estimate"
_SEARCH_PATH = """/* pgrunbook: search_path_of */
select coalesce(
  (select pg_catalog.substr(c.setting, 13)
   from pg_catalog.pg_db_role_setting as s
   cross join lateral pg_catalog.unnest(s.setconfig) as c (setting)
   where c.setting like 'search_path=%%'
     and s.setrole in (0, coalesce((select r.oid from pg_catalog.pg_roles as r where r.rolname = %(role)s), 0))
     and s.setdatabase in (0, (select d.oid from pg_catalog.pg_database as d
                               where d.datname = pg_catalog.current_database()))
   order by s.setrole = 0, s.setdatabase = 0
   limit 1),
  (select p.boot_val from pg_catalog.pg_settings as p where p.name = 'search_path'))"""


class NoEstimate(Exception):
    """The planner could not be asked about one statement; the message says why."""


class Estimator:
    """Asks for costs on one session, which it leaves as it found it."""

    def __init__(self, conn: Session, parser: Parser, *, schema: str) -> None:
        self._conn = conn
        self._parser = parser
        self._schema = schema  # the step's own: its tables are found even where no search_path is known

    def cost(self, query: MeasuredQuery, *, as_role: bool) -> float:
        """The total cost of the statement's generic plan.

        Raises NoEstimate; with `as_role` also when we may not become the statement's role.
        """
        text, parameters = self._checked(query.text)
        try:
            self._conn.execute(_BEGIN)
            self._become(query.role, as_role=as_role)
            return self._explain(text, parameters)
        except psycopg.Error as exc:
            if self._conn.closed:
                raise Unreachable(f"the connection was lost while explaining: {first_line(exc)}") from exc
            raise NoEstimate(first_line(exc)) from exc
        finally:
            self._leave()

    def _checked(self, text: str) -> tuple[str, int]:
        """The text, if it is one planned statement, and how many parameters it has."""
        try:
            ready = planned(text, self._parser)
        except ParseFailed as exc:
            raise NoEstimate(f"its text cannot be parsed: {exc}") from exc
        except NotPlanned as exc:
            raise NoEstimate(str(exc)) from exc
        return ready.text, ready.parameters

    def _become(self, role: str | None, *, as_role: bool) -> None:
        row = self._conn.execute(_SEARCH_PATH, {"role": role}).fetchone()
        path = str(row[0]) if row else "public"
        wide = f"{path}, {sql.Identifier(self._schema).as_string(self._conn)}"
        self._conn.execute("select pg_catalog.set_config('search_path', %(path)s, true)", {"path": wide})
        if role is None or role == self._conn.info.user:
            return
        may = self._conn.execute(
            "select pg_catalog.pg_has_role(current_user, r.oid, 'member') from pg_catalog.pg_roles as r"
            " where r.rolname = %(role)s",
            {"role": role},
        ).fetchone()
        if may is not None and may[0]:
            self._conn.execute(sql.SQL("set local role {}").format(sql.Identifier(role)))
        elif as_role:
            raise NoEstimate(f"{self._conn.info.user} may not become {role}, whose policies count")

    def _explain(self, text: str, parameters: int) -> float:
        self._extended(f"prepare {_NAME} as {text}")
        values = f"({', '.join(['null'] * parameters)})" if parameters else ""
        row = self._extended(f"explain (format json) execute {_NAME}{values}").fetchone()
        if row is None:
            raise NoEstimate("EXPLAIN said nothing")
        plans: Sequence[Any] = row[0]
        return float(plans[0]["Plan"]["Total Cost"])

    def _extended(self, statement: str) -> psycopg.Cursor[Any]:
        """Run a text that is not ours: the binary format makes it the extended protocol, which takes one statement."""
        return self._conn.execute(statement.encode("utf-8", "surrogateescape"), binary=True)

    def _leave(self) -> None:
        if self._conn.closed:
            return
        self._conn.execute("rollback")
        known = self._conn.execute(
            "select from pg_catalog.pg_prepared_statements where name = %(name)s", {"name": _NAME}
        ).fetchone()
        if known is not None:
            self._conn.execute(f"deallocate {_NAME}".encode())
