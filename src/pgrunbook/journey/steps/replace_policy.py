"""Rewrite the expressions of a row security policy; what they said before is kept exactly."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import ClassVar

import psycopg

from pgrunbook.errors import Refused
from pgrunbook.journey.steps.standin import stand_in
from pgrunbook.journey.steps.step import Before, Change, Stage
from pgrunbook.model import Kind, Lock, Server, dotted, quote
from pgrunbook.pg.connect import Session, first_line

_POLICY = """/* pgrunbook: replace_policy */
select case p.polcmd when 'r' then 'SELECT' when 'a' then 'INSERT' when 'w' then 'UPDATE' when 'd' then 'DELETE'
         else 'ALL' end,
       pg_catalog.pg_get_expr(p.polqual, p.polrelid), pg_catalog.pg_get_expr(p.polwithcheck, p.polrelid)
from pg_catalog.pg_policy as p
join pg_catalog.pg_class as c on c.oid = p.polrelid
join pg_catalog.pg_namespace as n on n.oid = c.relnamespace
where c.relname = %(table)s and p.polname = %(name)s"""

Clauses = Mapping[str, str]  # "using" and "check", those that there are


@dataclass(frozen=True, slots=True, kw_only=True)
class ReplacePolicy(Change):
    """`using` and `check` are the new expressions, None to leave a clause as it is.

    `old_using` and `old_check` are what the advice saw: when the policy says something else by now, it is refused,
    because a rewrite of an older condition would open what someone has closed since.
    """

    kind: ClassVar[str] = "replace_policy"
    stage: ClassVar[Stage] = Stage.RULE

    schema: str
    table: str
    name: str
    using: str | None = None
    check: str | None = None
    old_using: str | None = None
    old_check: str | None = None

    @property
    def title(self) -> str:
        return f"Rewrite policy {self.object[1]}"

    @property
    def object(self) -> tuple[Kind, str]:
        return Kind.POLICY, dotted(self.schema, self.table, self.name)

    @property
    def lock(self) -> Lock:
        """For milliseconds; but until it is granted, everybody queues behind it."""
        return Lock.ACCESS_EXCLUSIVE

    @property
    def lock_budget_s(self) -> float:
        """Everybody queues behind it for no longer than this at a time."""
        return 0.5

    @property
    def risk(self) -> str:
        return "It decides who sees which rows: compare the two expressions before you agree."

    def statements(self) -> tuple[str, ...]:
        return (self._alter(_clauses(self.using, self.check)),)

    def undo_statements(self, before: Before | None = None) -> tuple[str, ...]:
        held = _clauses(self.old_using, self.old_check) if before is None else _held(before)
        touched = {name: held[name] for name in _clauses(self.using, self.check) if name in held}
        return (self._alter(touched),) if touched else ()

    def precheck(self, conn: Session, server: Server) -> None:
        """Refuse when the policy is gone, was changed, or lacks a clause: ALTER POLICY cannot take one away again."""
        command, here = self._policy(conn)
        for name in _clauses(self.using, self.check):
            if name not in here:
                raise Refused(f"policy {self.object[1]} has no {name.upper()} clause; it could not be taken back")
        seen = _clauses(self.old_using, self.old_check)
        if seen and self._as_printed(conn, command, seen) != {name: here.get(name) for name in seen}:
            raise Refused(
                f"policy {self.object[1]} was changed since the advice was given", hint="Diagnose again, then apply."
            )

    def capture(self, conn: Session) -> Before:
        _, here = self._policy(conn)
        return {"using": here.get("using"), "check": here.get("check")}

    def do(self, conn: Session) -> None:
        conn.execute(self.statements()[0].encode("utf-8", "surrogateescape"))

    def undo(self, conn: Session, before: Before) -> None:
        """Put the captured expressions back, unless someone changed the policy since."""
        command, _ = self._policy(conn)
        ours = self._as_printed(conn, command, _clauses(self.using, self.check))
        held = {name: _held(before)[name] for name in ours}
        with conn.transaction():
            conn.execute(f"LOCK TABLE {dotted(self.schema, self.table)} IN ACCESS EXCLUSIVE MODE".encode())
            here = {name: self._policy(conn)[1].get(name) for name in ours}
            if here == held:
                return
            if here != ours:
                raise Refused(f"policy {self.object[1]} was changed by someone else since")
            for statement in self.undo_statements(before):
                conn.execute(statement.encode("utf-8", "surrogateescape"))

    def done(self, conn: Session, before: Before | None = None) -> bool:
        command, here = self._policy(conn)
        wanted = _clauses(self.using, self.check)
        return self._as_printed(conn, command, wanted) == {name: here.get(name) for name in wanted}

    def _alter(self, clauses: Clauses) -> str:
        return f"ALTER POLICY {quote(self.name)} ON {dotted(self.schema, self.table)}{_sql(clauses)}"

    def _policy(self, conn: Session, schema: str | None = None) -> tuple[str, dict[str, str]]:
        """The policy's command and clauses; `schema` is another condition on pg_namespace for the stand-in."""
        where = schema if schema is not None else "n.nspname = %(schema)s"
        names = {"schema": self.schema, "table": self.table, "name": self.name}
        row = conn.execute(f"{_POLICY} and {where}".encode(), names).fetchone()
        if row is None:
            raise Refused(f"there is no policy {self.object[1]}")
        return str(row[0]), _clauses(row[1], row[2])

    def _as_printed(self, conn: Session, command: str, clauses: Clauses) -> dict[str, str]:
        """These expressions as the server prints them, so that they can be compared with the catalog's."""
        try:
            with stand_in(conn, self.schema, self.table) as table:
                made = f"CREATE POLICY {quote(self.name)} ON {table} FOR {command}{_sql(clauses)}"
                conn.execute(made.encode("utf-8", "surrogateescape"))
                return self._policy(conn, "n.oid = pg_catalog.pg_my_temp_schema()")[1]
        except (psycopg.ProgrammingError, psycopg.DataError) as exc:
            raise Refused(f"the server does not accept the expression of {self.object[1]}: {first_line(exc)}") from exc


def _clauses(using: str | None, check: str | None) -> dict[str, str]:
    return {name: text for name, text in (("using", using), ("check", check)) if text is not None}


def _held(before: Before) -> dict[str, str]:
    using, check = before["using"], before["check"]
    return _clauses(str(using) if using is not None else None, str(check) if check is not None else None)


def _sql(clauses: Clauses) -> str:
    words = {"using": "USING", "check": "WITH CHECK"}
    return "".join(f" {words[name]} ({text})" for name, text in clauses.items())


STEP = ReplacePolicy
