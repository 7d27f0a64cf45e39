"""Drop an index without blocking its table; the undo makes it again from its captured definition."""

from __future__ import annotations

import re
from dataclasses import dataclass
from typing import ClassVar

from pgrunbook.errors import Refused
from pgrunbook.journey.steps.builds import adopt_build
from pgrunbook.journey.steps.holders import wait_for_holders
from pgrunbook.journey.steps.step import Before, Change, Stage
from pgrunbook.model import Kind, Lock, Server, dotted, literal, quote
from pgrunbook.pg.connect import Session, into

WAIT_BUDGET_S = 60.0

_FIND = """/* pgrunbook: drop_index */
select c.oid::int8 as oid, i.indrelid::int8 as table_oid, pg_catalog.pg_get_indexdef(i.indexrelid) as definition,
       i.indisvalid and i.indisready and i.indislive as is_valid,
       i.indisprimary or i.indisexclusion or i.indisreplident
         or exists (select from pg_catalog.pg_constraint as x where x.conindid = i.indexrelid) as is_needed,
       c.relispartition or c.relkind = 'I' as is_partitioned,
       tn.nspname::text as table_schema, t.relname::text as table_name,
       i.indisclustered as is_clustered,
       s.spcname::text as tablespace,
       pg_catalog.obj_description(c.oid, 'pg_class') as comment,
       array(select pg_catalog.format('%%s %%s', a.attnum, a.attstattarget) from pg_catalog.pg_attribute as a
             where a.attrelid = c.oid and a.attstattarget >= 0 order by a.attnum) as statistics
from pg_catalog.pg_index as i
join pg_catalog.pg_class as c on c.oid = i.indexrelid
join pg_catalog.pg_namespace as n on n.oid = c.relnamespace
join pg_catalog.pg_class as t on t.oid = i.indrelid
join pg_catalog.pg_namespace as tn on tn.oid = t.relnamespace
left join pg_catalog.pg_tablespace as s on s.oid = c.reltablespace
where n.nspname = %(schema)s and c.relname = %(name)s"""


@dataclass(frozen=True, slots=True, kw_only=True)
class _Index:
    """An index, with all of it that a dump of the schema would tell."""

    oid: int
    table_oid: int
    definition: str
    is_valid: bool
    is_needed: bool
    is_partitioned: bool
    table_schema: str
    table_name: str
    is_clustered: bool
    tablespace: str | None
    comment: str | None
    statistics: tuple[str, ...]


@dataclass(frozen=True, slots=True, kw_only=True)
class DropIndex(Change):
    """`definition` is the CREATE INDEX statement as seen when the advice was given; the undo uses the captured one."""

    kind: ClassVar[str] = "drop_index"
    stage: ClassVar[Stage] = Stage.REMOVE

    schema: str
    name: str
    definition: str | None = None

    @property
    def title(self) -> str:
        return f"Drop index {self.object[1]}"

    @property
    def object(self) -> tuple[Kind, str]:
        return Kind.INDEX, dotted(self.schema, self.name)

    @property
    def lock(self) -> Lock:
        """DROP INDEX CONCURRENTLY lets reads and writes go on."""
        return Lock.SHARE_UPDATE_EXCLUSIVE

    @property
    def lock_budget_s(self) -> float:
        """It waits for older transactions by lock, too; nobody who reads or writes queues behind it."""
        return 15.0

    @property
    def risk(self) -> str:
        return "A query that nobody has run since the counters began may need it."

    def statements(self) -> tuple[str, ...]:
        return (f"DROP INDEX CONCURRENTLY {self.object[1]}",)

    def undo_statements(self, before: Before | None = None) -> tuple[str, ...]:
        """The captured definition, made concurrent, and what else belonged to the index."""
        if before is None:
            return (concurrently(self.definition),) if self.definition is not None else ()
        if before["definition"] is None or not before["valid"]:
            return ()
        return (concurrently(str(before["definition"])), *self._belongings(before))

    def precheck(self, conn: Session, server: Server) -> None:
        """Refuse what a constraint, replica identity or partition tree stands on, and what is another index by now."""
        index = self._find(conn)
        if index is None:
            return
        if index.is_needed:
            raise Refused(f"{self.object[1]} backs a constraint or is the replica identity; it is not dropped")
        if self.definition is not None and index.definition != self.definition:
            raise Refused(f"{self.object[1]} is another index than the advice saw", hint="Diagnose again, then apply.")
        if index.is_partitioned:
            raise Refused(
                f"{self.object[1]} is part of a partitioned index and cannot be dropped concurrently",
                hint="Drop the index of the partitioned parent in a maintenance window.",
            )

    def capture(self, conn: Session) -> Before:
        """The definition, whether it was valid, and its belongings."""
        index = self._find(conn)
        if index is None:
            return {"definition": None, "valid": None}
        return {
            "definition": index.definition,
            "valid": index.is_valid,
            "table_schema": index.table_schema,
            "table": index.table_name,
            "clustered": index.is_clustered,
            "tablespace": index.tablespace,
            "comment": index.comment,
            "statistics": index.statistics,
        }

    def do(self, conn: Session) -> None:
        """Drop it if it is still there (a drop that was cut short leaves it invalid)."""
        index = self._find(conn)
        if index is not None:
            wait_for_holders(conn, index.table_oid, budget_s=WAIT_BUDGET_S, any_lock=True, snapshots=False)
            self._drop(conn)

    def mend(self, conn: Session, before: Before) -> None:
        """A drop that was cut short leaves the index invalid: build it again."""
        index = self._find(conn)
        if index is not None and not index.is_valid and before["valid"]:
            self.undo(conn, before)

    def undo(self, conn: Session, before: Before) -> None:
        """Make it again, unless something else of that name stands there now.  What was invalid is not missed."""
        if before["definition"] is None or not before["valid"]:
            return
        index = self._adopted(conn)
        if index is not None and index.definition != before["definition"]:
            raise Refused(f"{self.object[1]} exists with another definition; it was made by someone else since")
        if index is not None and not index.is_valid:
            wait_for_holders(conn, index.table_oid, budget_s=WAIT_BUDGET_S, any_lock=True, snapshots=True)
            self._drop(conn)
            index = None
        if index is None:
            self._rebuild(conn, before)
        for statement in self._belongings(before):
            conn.execute(statement.encode())

    def done(self, conn: Session, before: Before | None = None) -> bool:
        return self._find(conn) is None

    def _adopted(self, conn: Session) -> _Index | None:
        """The index, after a rebuild that a dead client began has come to its end."""
        index = self._find(conn)
        if index is None or index.is_valid:
            return index
        adopt_build(conn, index.table_oid, index.oid)
        return self._find(conn)

    def _rebuild(self, conn: Session, before: Before) -> None:
        """In the tablespace where it was; pg_get_indexdef does not name it."""
        tablespace = before.get("tablespace")
        conn.execute(
            "select pg_catalog.set_config('default_tablespace', %(name)s, false)",
            {"name": str(tablespace) if tablespace is not None else ""},
        )
        try:
            conn.execute(concurrently(str(before["definition"])).encode())
        finally:
            if not conn.closed:
                conn.execute("reset default_tablespace")

    def _belongings(self, before: Before) -> tuple[str, ...]:
        """Comment, statistics targets and CLUSTER mark."""
        statements: list[str] = []
        if before.get("comment") is not None:
            statements.append(f"COMMENT ON INDEX {self.object[1]} IS {literal(str(before['comment']))}")
        targets = before.get("statistics")
        for target in targets if isinstance(targets, tuple) else ():
            number, value = str(target).split()
            statements.append(f"ALTER INDEX {self.object[1]} ALTER COLUMN {number} SET STATISTICS {value}")
        if before.get("clustered"):
            table = dotted(str(before["table_schema"]), str(before["table"]))
            statements.append(f"ALTER TABLE {table} CLUSTER ON {quote(self.name)}")
        return tuple(statements)

    def _drop(self, conn: Session) -> None:
        conn.execute(self.statements()[0].encode())

    def _find(self, conn: Session) -> _Index | None:
        with conn.cursor(row_factory=into(_Index)) as cursor:
            return cursor.execute(_FIND, {"schema": self.schema, "name": self.name}).fetchone()


def concurrently(definition: str) -> str:
    """A definition from pg_get_indexdef, to be built while writes go on.

    >>> concurrently("CREATE UNIQUE INDEX i ON public.t USING btree (a)")
    'CREATE UNIQUE INDEX CONCURRENTLY i ON public.t USING btree (a)'
    """
    return re.sub(r"\ACREATE (UNIQUE )?INDEX (?!CONCURRENTLY)", r"CREATE \1INDEX CONCURRENTLY ", definition)


STEP = DropIndex
