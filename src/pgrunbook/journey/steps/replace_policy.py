"""Give a row-level security policy another expression; its roles and command stay.  The undo restores the old text."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, ClassVar

from pgrunbook.errors import Refused
from pgrunbook.journey.steps.step import Before
from pgrunbook.model import Kind, Lock, Server, dotted, quote
from pgrunbook.pg.connect import Session
from pgrunbook.pg.parse import ParseFailed, Parser

_FIND = """/* pgrunbook: replace_policy */
select pg_catalog.pg_get_expr(p.polqual, p.polrelid), pg_catalog.pg_get_expr(p.polwithcheck, p.polrelid)
from pg_catalog.pg_policy as p
join pg_catalog.pg_class as c on c.oid = p.polrelid
join pg_catalog.pg_namespace as n on n.oid = c.relnamespace
where n.nspname = %(schema)s and c.relname = %(table)s and p.polname = %(name)s"""


@dataclass(frozen=True, slots=True, kw_only=True)
class ReplacePolicy:
    """`using` and `check` are the new expressions, None where the policy has none.

    `old_using` and `old_check` are what the advice was given on: a policy that reads otherwise is refused.
    """

    kind: ClassVar[str] = "replace_policy"

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
        return Lock.ACCESS_EXCLUSIVE

    @property
    def lock_budget_s(self) -> float:
        return 1.0

    @property
    def reversible(self) -> bool:
        return True

    @property
    def risk(self) -> str:
        return "Takes an ACCESS EXCLUSIVE lock for a moment; behind lock_timeout nobody waits longer than that."

    def statements(self) -> tuple[str, ...]:
        return (self._alter(self.using, self.check),)

    def undo_statements(self, before: Before | None = None) -> tuple[str, ...]:
        using, check = (before["using"], before["check"]) if before else (self.old_using, self.old_check)
        return (self._alter(_text(using), _text(check)),) if using or check else ()

    def precheck(self, conn: Session, server: Server) -> None:
        now = self._now(conn)
        if now is None:
            raise Refused(f"policy {self.object[1]} does not exist", hint="Diagnose again: the schema has changed.")
        if self.old_using is None and self.old_check is None:
            return
        if now != (self.old_using, self.old_check) and not self._is_ours(conn):
            raise Refused(
                f"policy {self.object[1]} is not what the advice was given on", hint="Diagnose again: it has changed."
            )

    def capture(self, conn: Session) -> Before:
        using, check = self._now(conn) or (None, None)
        return {"using": using, "check": check}

    def do(self, conn: Session) -> None:
        conn.execute(self.statements()[0].encode())

    def undo(self, conn: Session, before: Before) -> None:
        if self._now(conn) is None:
            raise Refused(f"policy {self.object[1]} does not exist any more; its old text is in the journal")
        for statement in self.undo_statements(before):
            conn.execute(statement.encode())

    def done(self, conn: Session) -> bool:
        return self._is_ours(conn)

    def _alter(self, using: str | None, check: str | None) -> str:
        clauses = (f" USING ({using})" if using else "") + (f" WITH CHECK ({check})" if check else "")
        return f"ALTER POLICY {quote(self.name)} ON {dotted(self.schema, self.table)}{clauses}"

    def _now(self, conn: Session) -> tuple[str | None, str | None] | None:
        place = {"schema": self.schema, "table": self.table, "name": self.name}
        found = conn.execute(_FIND, place).fetchone()
        return (found[0], found[1]) if found else None

    def _is_ours(self, conn: Session) -> bool:
        """Whether the policy reads as we wrote it, however the server prints that."""
        now = self._now(conn)
        if now is None:
            return False
        with Parser() as parser:
            return all(_same(parser, a, b) for a, b in zip(now, (self.using, self.check), strict=True))


def _same(parser: Parser, left: str | None, right: str | None) -> bool:
    if left is None or right is None or left == right:
        return left == right
    try:
        return bool(_bare(parser.expression(left)) == _bare(parser.expression(right)))
    except ParseFailed:
        return False


def _bare(tree: Any) -> Any:
    """The tree without what the server adds when it prints: locations, output names, casts of constants."""
    if isinstance(tree, list | tuple):
        return [_bare(item) for item in tree]
    if not isinstance(tree, Mapping):
        return tree
    if "type_cast" in tree and "a_const" in tree["type_cast"].get("arg", {}):
        return _bare(tree["type_cast"]["arg"])
    return {
        key: _bare({name: part for name, part in value.items() if name != "name"} if key == "res_target" else value)
        for key, value in tree.items()
        if key != "location"
    }


def _text(value: object) -> str | None:
    return str(value) if value else None


STEP = ReplacePolicy
