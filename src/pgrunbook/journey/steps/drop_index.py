"""Drop an index without blocking its table; the undo makes it again from its captured definition."""

from __future__ import annotations

import re
from dataclasses import dataclass
from typing import ClassVar

from pgrunbook.errors import Refused
from pgrunbook.journey.steps.step import Before, Stage
from pgrunbook.model import Kind, Lock, Server, dotted
from pgrunbook.pg.connect import Session

_FIND = """/* pgrunbook: drop_index */
select pg_catalog.pg_get_indexdef(i.indexrelid) as definition, i.indisvalid,
       i.indisprimary or i.indisexclusion or i.indisreplident
         or exists (select from pg_catalog.pg_constraint as x where x.conindid = i.indexrelid) as is_needed,
       c.relispartition or c.relkind = 'I' as is_partitioned
from pg_catalog.pg_index as i
join pg_catalog.pg_class as c on c.oid = i.indexrelid
join pg_catalog.pg_namespace as n on n.oid = c.relnamespace
where n.nspname = %(schema)s and c.relname = %(name)s"""


@dataclass(frozen=True, slots=True, kw_only=True)
class DropIndex:
    """`definition` is the CREATE INDEX statement as seen when the advice was given; the undo uses the captured one."""

    kind: ClassVar[str] = "drop_index"
    stage: ClassVar[Stage] = Stage.REMOVE

    schema: str
    name: str
    definition: str | None = None

    @property
    def title(self) -> str:
        """What it does, in words."""
        return f"Drop index {self.object[1]}"

    @property
    def object(self) -> tuple[Kind, str]:
        """The index."""
        return Kind.INDEX, dotted(self.schema, self.name)

    @property
    def lock(self) -> Lock:
        """DROP INDEX CONCURRENTLY lets reads and writes go on."""
        return Lock.SHARE_UPDATE_EXCLUSIVE

    @property
    def lock_budget_s(self) -> float:
        """It waits for older transactions by lock, too."""
        return 5.0

    @property
    def reversible(self) -> bool:
        """The undo builds the index again, which takes as long as the first time."""
        return True

    @property
    def risk(self) -> str:
        """What may go wrong."""
        return "A query that nobody has run since the counters began may need it."

    def statements(self) -> tuple[str, ...]:
        """The statement that `do` runs."""
        return (f"DROP INDEX CONCURRENTLY {self.object[1]}",)

    def undo_statements(self, before: Before | None = None) -> tuple[str, ...]:
        """The captured definition, made concurrent."""
        definition = before["definition"] if before is not None else self.definition
        return (concurrently(str(definition)),) if definition else ()

    def precheck(self, conn: Session, server: Server) -> None:
        """Refuse what a constraint, replica identity or partition tree stands on."""
        row = self._row(conn)
        if row is None:
            return
        if row[2]:
            raise Refused(f"{self.object[1]} backs a constraint or is the replica identity; it is not dropped")
        if row[3]:
            raise Refused(
                f"{self.object[1]} is part of a partitioned index and cannot be dropped concurrently",
                hint="Drop the index of the partitioned parent in a maintenance window.",
            )

    def capture(self, conn: Session) -> Before:
        """The definition, and whether it was valid."""
        row = self._row(conn)
        return {"definition": row[0] if row else None, "valid": row[1] if row else None}

    def do(self, conn: Session) -> None:
        """Drop it if it is still there (a drop that was cut short leaves it invalid)."""
        if self._row(conn) is not None:
            conn.execute(self.statements()[0].encode())

    def undo(self, conn: Session, before: Before) -> None:
        """Make it again, unless something of that name stands there now."""
        row = self._row(conn)
        if row is not None and row[0] == before["definition"] and row[1]:
            return
        if row is not None and row[1]:
            raise Refused(f"{self.object[1]} exists with another definition; it was made by someone else since")
        if row is not None:
            conn.execute(self.statements()[0].encode())
        for statement in self.undo_statements(before):
            conn.execute(statement.encode())

    def mend(self, conn: Session, before: Before) -> None:
        """A drop that was cut short leaves the index invalid: build it again."""
        row = self._row(conn)
        if row is not None and not row[1] and before["valid"]:
            self.undo(conn, before)

    def done(self, conn: Session, before: Before | None = None) -> bool:
        """Whether it is gone."""
        return self._row(conn) is None

    def _row(self, conn: Session) -> tuple[str, bool, bool, bool] | None:
        found = conn.execute(_FIND, {"schema": self.schema, "name": self.name}).fetchone()
        return (str(found[0]), bool(found[1]), bool(found[2]), bool(found[3])) if found else None


def concurrently(definition: str) -> str:
    """A definition from pg_get_indexdef, to be built while writes go on.

    >>> concurrently("CREATE UNIQUE INDEX i ON public.t USING btree (a)")
    'CREATE UNIQUE INDEX CONCURRENTLY i ON public.t USING btree (a)'
    """
    return re.sub(r"\ACREATE (UNIQUE )?INDEX (?!CONCURRENTLY)", r"CREATE \1INDEX CONCURRENTLY ", definition)


STEP = DropIndex
