"""Drop what a failed concurrent build left: an index that is written to but never read."""

from __future__ import annotations

from dataclasses import dataclass
from typing import ClassVar

from pgrunbook.errors import Refused
from pgrunbook.journey.steps.builds import builds_on
from pgrunbook.journey.steps.holders import wait_for_holders
from pgrunbook.journey.steps.step import Before, Irreversible, Stage
from pgrunbook.model import Kind, Lock, Server, dotted
from pgrunbook.pg.connect import Session

WAIT_BUDGET_S = 60.0

_INDEX = """/* pgrunbook: drop_invalid_index */
select c.oid::int8, i.indrelid::int8, i.indisvalid, c.relkind = 'I' or c.relispartition,
       exists (select from pg_catalog.pg_constraint as x where x.conindid = c.oid),
       pg_catalog.pg_get_indexdef(c.oid)
from pg_catalog.pg_index as i
join pg_catalog.pg_class as c on c.oid = i.indexrelid
join pg_catalog.pg_namespace as n on n.oid = c.relnamespace
where n.nspname = %(schema)s and c.relname = %(name)s"""


@dataclass(frozen=True, slots=True, kw_only=True)
class DropInvalidIndex(Irreversible):
    """A dump of the schema is the same before and after: PostgreSQL does not dump invalid indexes."""

    kind: ClassVar[str] = "drop_invalid_index"
    stage: ClassVar[Stage] = Stage.REMOVE

    schema: str
    name: str

    @property
    def title(self) -> str:
        return f"Drop invalid index {self.object[1]}"

    @property
    def object(self) -> tuple[Kind, str]:
        return Kind.INDEX, dotted(self.schema, self.name)

    @property
    def lock(self) -> Lock:
        """Reads and writes go on."""
        return Lock.SHARE_UPDATE_EXCLUSIVE

    @property
    def lock_budget_s(self) -> float:
        """Nobody who reads or writes queues behind its waits."""
        return 15.0

    @property
    def risk(self) -> str:
        return "None for reads: no query can use it.  A unique one stops refusing duplicates."

    def statements(self) -> tuple[str, ...]:
        return (f"DROP INDEX CONCURRENTLY {self.object[1]}",)

    def precheck(self, conn: Session, server: Server) -> None:
        """Refuse a valid index, one that is being built, and one that something stands on."""
        row = self._row(conn)
        if row is None:
            return
        oid, table_oid, is_valid, is_partitioned, is_needed, _ = row
        if is_valid:
            raise Refused(f"{self.object[1]} is valid by now; it is not dropped")
        if is_partitioned:
            raise Refused(
                f"{self.object[1]} is part of a partitioned index",
                hint="It becomes valid when each partition has its index attached.",
            )
        if is_needed:
            raise Refused(f"{self.object[1]} backs a constraint; it is not dropped")
        building = [build for build in builds_on(conn, table_oid) if build.index_oid in {oid, None}]
        if building:
            raise Refused(f"{self.object[1]} is being built by backend {building[0].pid}", hint="Wait for it.")

    def capture(self, conn: Session) -> Before:
        row = self._row(conn)
        return {"definition": row[5] if row is not None else None}

    def do(self, conn: Session) -> None:
        row = self._row(conn)
        if row is not None:
            wait_for_holders(conn, row[1], budget_s=WAIT_BUDGET_S, any_lock=True, snapshots=False)
            conn.execute(self.statements()[0].encode())

    def done(self, conn: Session, before: Before | None = None) -> bool:
        return self._row(conn) is None

    def _row(self, conn: Session) -> tuple[int, int, bool, bool, bool, str] | None:
        row = conn.execute(_INDEX, {"schema": self.schema, "name": self.name}).fetchone()
        return (int(row[0]), int(row[1]), bool(row[2]), bool(row[3]), bool(row[4]), str(row[5])) if row else None


STEP = DropInvalidIndex
