"""Rewrite a table that is mostly air: VACUUM FULL, or pg_repack while the application works.

VACUUM FULL keeps everybody out for its length, so its lock is asked for with a short timeout and bounded tries: while
it waits, all who come later wait behind it.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import ClassVar

from pgrunbook.errors import Refused
from pgrunbook.journey.observe.disk import free_bytes
from pgrunbook.journey.steps import repack_client
from pgrunbook.journey.steps.analyze import MAY_MAINTAIN, may_not_maintain
from pgrunbook.journey.steps.step import Before, Irreversible, Stage
from pgrunbook.model import Kind, Lock, Server, dotted
from pgrunbook.pg.connect import Session, into
from pgrunbook.report.words import size

ROOM = 1.2  # of table, indexes and TOAST: the copy, and what is sorted for its indexes
FIRST_USER_OID = 16384  # what initdb made has smaller ones
VACUUM, PG_REPACK = "vacuum", "pg_repack"

_SEEN = f"""/* pgrunbook: vacuum_full */
select c.oid::int8 as oid,
       c.relkind::text as relkind,
       c.relpersistence::text as persistence,
       c.reltablespace::int8 as tablespace_oid,
       pg_catalog.pg_relation_filenode(c.oid)::int8 as filenode,
       (
         c.relpages::int8 + coalesce(t.relpages, 0)::int8 + coalesce(
           (
             select pg_catalog.sum(x.relpages::int8) from pg_catalog.pg_index as i
             join pg_catalog.pg_class as x on x.oid = i.indexrelid
             where i.indrelid in (c.oid, c.reltoastrelid)
           ), 0
         )
       )::int8 * pg_catalog.current_setting('block_size')::int8 as size_bytes,
       {MAY_MAINTAIN} as may_maintain
from pg_catalog.pg_class as c
join pg_catalog.pg_namespace as n on n.oid = c.relnamespace
left join pg_catalog.pg_class as t on t.oid = c.reltoastrelid
where n.nspname = %(schema)s and c.relname = %(table)s"""


@dataclass(frozen=True, slots=True, kw_only=True)
class _Table:
    """The table as the catalog has it; its size with indexes and TOAST is what the last VACUUM or ANALYZE saw."""

    oid: int
    relkind: str
    persistence: str
    tablespace_oid: int
    filenode: int | None
    size_bytes: int
    may_maintain: bool


@dataclass(frozen=True, slots=True, kw_only=True)
class VacuumFull(Irreversible):
    """VACUUM (FULL) of one table, or the same by pg_repack (`by`), then an ordinary VACUUM (ANALYZE)."""

    kind: ClassVar[str] = "vacuum_full"
    stage: ClassVar[Stage] = Stage.UPKEEP

    schema: str
    table: str
    by: str = VACUUM

    @property
    def title(self) -> str:
        return f"Rewrite {self.object[1]}" + (" with pg_repack" if self.by == PG_REPACK else "")

    @property
    def object(self) -> tuple[Kind, str]:
        return Kind.TABLE, dotted(self.schema, self.table)

    @property
    def lock(self) -> Lock:
        """Nobody reads or writes meanwhile; with pg_repack only at the moments of its beginning and end."""
        return Lock.ACCESS_EXCLUSIVE

    @property
    def lock_budget_s(self) -> float:
        """Everybody who comes later queues behind it while it waits."""
        return 1.0

    @property
    def risk(self) -> str:
        nobody = "At its beginning and end" if self.by == PG_REPACK else "For as long as it takes"
        return (
            f"{nobody} nobody can read or write the table.  It needs room for a second copy with its indexes,"
            " and writes all of it into the WAL.  There is nothing to undo: no row that anyone can see changes."
        )

    def statements(self) -> tuple[str, ...]:
        if self.by == PG_REPACK:
            words = repack_client.command(self.schema, self.table, wait_s=self.lock_budget_s)
            rewrite = f"-- {' '.join(words[:-1])} --table '{self.object[1]}'"
        else:
            rewrite = f"VACUUM (FULL) {self.object[1]}"
        return rewrite, f"VACUUM (ANALYZE, SKIP_LOCKED) {self.object[1]}"

    def precheck(self, conn: Session, server: Server) -> None:
        """Refuse catalogs, what has no file of its own, and a table for whose copy there is no room."""
        table = self._row(conn)
        is_system = self.schema == "information_schema" or self.schema.startswith("pg_")
        if is_system or table.oid < FIRST_USER_OID:
            raise Refused(f"{self.object[1]} belongs to the system; system tables are never rewritten")
        if table.relkind == "p":
            raise Refused(f"{self.object[1]} is partitioned", hint="Rewrite its partitions one by one.")
        if table.persistence == "t":
            raise Refused(f"{self.object[1]} is a temporary table; it goes with its session")
        if not table.may_maintain:
            raise may_not_maintain(self.object[1])
        if self.by == PG_REPACK and (why := repack_client.why_not(server)) is not None:
            raise Refused(f"{self.title}: {why}", hint="Rewrite it with VACUUM FULL, or install what is missing.")
        if self.by not in {VACUUM, PG_REPACK}:
            raise Refused(f"{self.title}: there is no way of rewriting called {self.by!r}")
        repack_client.wait_for_end(conn, budget_s=0.0)
        self._look_for_room(conn, table)

    def capture(self, conn: Session) -> Before:
        """Which file it has (a rewritten table has another), its size, and what a killed pg_repack left there."""
        table = self._row(conn)
        left = repack_client.leftovers(conn, self.schema, self.table)
        return {
            "filenode": table.filenode,
            "size_bytes": table.size_bytes,
            "free_bytes": free_bytes(conn, table.tablespace_oid),
            "leftovers": left.names if left is not None else (),
        }

    def do(self, conn: Session) -> None:
        """Clear away what a killed pg_repack left, rewrite, and make the visibility map that a rewrite does not.

        The latter must not make us rewrite once more, so it passes by when somebody has the table.
        """
        repack_client.clear_leftovers(conn, self.schema, self.table)
        if self.by == PG_REPACK:
            repack_client.run(conn, self.schema, self.table, wait_s=self.lock_budget_s)
        else:
            conn.execute(self.statements()[0].encode())
        conn.execute(self.statements()[1].encode())

    def mend(self, conn: Session, before: Before) -> None:
        """VACUUM FULL leaves nothing; pg_repack does when it is killed."""
        if repack_client.leftovers(conn, self.schema, self.table) is not None:
            repack_client.clear_leftovers(conn, self.schema, self.table)

    def done(self, conn: Session, before: Before | None = None) -> bool:
        """Whether it has another file than before, and nothing was left.  Without the right VACUUM only warns."""
        if before is None or self._row(conn).filenode == before["filenode"]:
            return False
        return repack_client.leftovers(conn, self.schema, self.table) is None

    def _look_for_room(self, conn: Session, table: _Table) -> None:
        free = free_bytes(conn, table.tablespace_oid)
        needed = round(ROOM * table.size_bytes)
        if free is not None and free < needed:
            raise Refused(
                f"{self.title} needs {size(needed)} for its copy; only {size(free)} are free on its disk",
                hint="Make room first: drop unused indexes, or rewrite a smaller table.",
            )

    def _row(self, conn: Session) -> _Table:
        with conn.cursor(row_factory=into(_Table)) as cursor:
            row = cursor.execute(_SEEN, {"schema": self.schema, "table": self.table}).fetchone()
        if row is None or row.relkind not in {"r", "m", "p"}:
            raise Refused(f"there is no table {self.object[1]}")
        return row


STEP = VacuumFull
