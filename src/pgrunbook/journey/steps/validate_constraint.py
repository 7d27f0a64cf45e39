"""Have the rows from before a constraint checked while reads and writes go on; the undo makes it NOT VALID again."""

from __future__ import annotations

from dataclasses import dataclass
from typing import ClassVar

from pgrunbook.errors import Refused
from pgrunbook.journey.steps.step import Before, Change, Stage
from pgrunbook.model import Kind, Lock, Server, dotted, literal, quote
from pgrunbook.pg.connect import Session, into

_NOT_VALID = " NOT VALID"

_CONSTRAINT = """/* pgrunbook: validate_constraint */
select c.oid::int8 as oid, c.convalidated as is_valid, pg_catalog.pg_get_constraintdef(c.oid) as definition,
       c.conparentid <> 0 or not c.conislocal as is_inherited,
       pg_catalog.obj_description(c.oid, 'pg_constraint') as comment
from pg_catalog.pg_constraint as c
left join pg_catalog.pg_class as r on r.oid = c.conrelid
left join pg_catalog.pg_type as t on t.oid = c.contypid
join pg_catalog.pg_namespace as n on n.oid = coalesce(r.relnamespace, t.typnamespace)
where n.nspname = %(schema)s and c.conname = %(name)s
  and case when %(is_domain)s then t.typname = %(table)s else r.relname = %(table)s end"""


@dataclass(frozen=True, slots=True, kw_only=True)
class _Constraint:
    """The constraint as it is now."""

    oid: int
    is_valid: bool
    definition: str
    is_inherited: bool
    comment: str | None


@dataclass(frozen=True, slots=True, kw_only=True)
class ValidateConstraint(Change):
    """`table` is a table's name, or a domain's with `is_domain`.

    `definition` is what the advice saw, with its NOT VALID; it is what the undo shown beforehand adds again.
    """

    kind: ClassVar[str] = "validate_constraint"
    stage: ClassVar[Stage] = Stage.RULE

    schema: str
    table: str
    name: str
    definition: str | None = None
    is_domain: bool = False

    @property
    def title(self) -> str:
        return f"Validate constraint {self.object[1]}"

    @property
    def object(self) -> tuple[Kind, str]:
        return Kind.CONSTRAINT, dotted(self.schema, self.table, self.name)

    @property
    def lock(self) -> Lock:
        """Reads and writes go on, also on a table that a foreign key refers to; a domain's tables take no writes."""
        return Lock.SHARE if self.is_domain else Lock.SHARE_UPDATE_EXCLUSIVE

    @property
    def lock_budget_s(self) -> float:
        """Nobody who reads or writes queues behind it, but behind a domain's lock writers do."""
        return 1.0 if self.is_domain else 5.0

    @property
    def risk(self) -> str:
        return (
            "It reads the whole table, and fails if a row breaks the constraint: mend such rows first.  Its undo drops"
            " the constraint and adds it again, under ACCESS EXCLUSIVE for a moment."
        )

    def statements(self) -> tuple[str, ...]:
        return (f"{self._alter} VALIDATE CONSTRAINT {quote(self.name)}",)

    def undo_statements(self, before: Before | None = None) -> tuple[str, ...]:
        definition = self.definition if before is None else before["definition"]
        if definition is None or not str(definition).endswith(_NOT_VALID):
            return ()
        name = quote(self.name)
        again = [f"{self._alter} DROP CONSTRAINT {name}", f"{self._alter} ADD CONSTRAINT {name} {definition}"]
        comment = before.get("comment") if before is not None else None
        if comment is not None:
            what = "DOMAIN " if self.is_domain else ""
            owner = dotted(self.schema, self.table)
            again.append(f"COMMENT ON CONSTRAINT {name} ON {what}{owner} IS {literal(str(comment))}")
        return tuple(again)

    def precheck(self, conn: Session, server: Server) -> None:
        """Refuse one that is gone, is another by now, or belongs to a parent."""
        constraint = self._known(conn)
        if self.definition is not None and constraint.definition not in {self.definition, _valid(self.definition)}:
            raise Refused(f"{self.object[1]} is another constraint than the advice saw", hint="Diagnose again.")
        if constraint.is_inherited:
            raise Refused(f"{self.object[1]} comes from a parent table", hint="Validate it there.")

    def capture(self, conn: Session) -> Before:
        constraint = self._known(conn)
        return {"definition": constraint.definition, "comment": constraint.comment}

    def do(self, conn: Session) -> None:
        conn.execute(self.statements()[0].encode("utf-8", "surrogateescape"))

    def undo(self, conn: Session, before: Before) -> None:
        """Drop it and add it again as it was, at once, unless someone changed it since."""
        was = str(before["definition"])
        with conn.transaction():
            constraint = self._find(conn)
            if constraint is not None and constraint.definition == was:
                return
            if constraint is None or constraint.definition != _valid(was):
                raise Refused(f"{self.object[1]} is gone or another constraint by now; someone changed it since")
            for statement in self.undo_statements(before):
                conn.execute(statement.encode("utf-8", "surrogateescape"))

    def done(self, conn: Session, before: Before | None = None) -> bool:
        return self._known(conn).is_valid

    @property
    def _alter(self) -> str:
        return f"ALTER {'DOMAIN' if self.is_domain else 'TABLE'} {dotted(self.schema, self.table)}"

    def _known(self, conn: Session) -> _Constraint:
        constraint = self._find(conn)
        if constraint is None:
            raise Refused(f"there is no constraint {self.object[1]}")
        return constraint

    def _find(self, conn: Session) -> _Constraint | None:
        place = {"schema": self.schema, "table": self.table, "name": self.name, "is_domain": self.is_domain}
        with conn.cursor(row_factory=into(_Constraint)) as cursor:
            return cursor.execute(_CONSTRAINT, place).fetchone()


def _valid(definition: str) -> str:
    return definition.removesuffix(_NOT_VALID)


STEP = ValidateConstraint
