"""Vacuum and analyze one table; the server's own clock proves that it did not skip the table."""

from __future__ import annotations

import time
from dataclasses import dataclass
from typing import ClassVar

from pgrunbook.errors import Refused
from pgrunbook.journey.steps.analyze import MAY_MAINTAIN, may_not_maintain
from pgrunbook.journey.steps.step import Before, Irreversible, Stage
from pgrunbook.model import Kind, Lock, Server, dotted
from pgrunbook.pg.connect import Session

NEWS_WAIT_S = 5.0  # before 15 the statistics travel by way of a collector

_SEEN = f"""/* pgrunbook: vacuum */
select c.relkind::text, s.last_vacuum::text, coalesce(s.n_dead_tup, 0)::int8, {MAY_MAINTAIN}
from pg_catalog.pg_class as c
join pg_catalog.pg_namespace as n on n.oid = c.relnamespace
left join pg_catalog.pg_stat_all_tables as s on s.relid = c.oid
where n.nspname = %(schema)s and c.relname = %(table)s"""

_LEAVES = """/* pgrunbook: vacuum leaves */
select coalesce(min(s.last_vacuum)::text, ''), count(*) filter (where s.last_vacuum is null)::int8,
       coalesce(sum(s.n_dead_tup), 0)::int8
from pg_catalog.pg_class as c
join pg_catalog.pg_namespace as n on n.oid = c.relnamespace
cross join lateral pg_catalog.pg_partition_tree(c.oid) as p
join pg_catalog.pg_stat_all_tables as s on s.relid = p.relid
where n.nspname = %(schema)s and c.relname = %(table)s and p.isleaf"""


@dataclass(frozen=True, slots=True, kw_only=True)
class Vacuum(Irreversible):
    """VACUUM (ANALYZE) of one table, a partitioned one with its partitions.

    `truncate` gives an empty end of the file back to the system, under a short ACCESS EXCLUSIVE lock.
    """

    kind: ClassVar[str] = "vacuum"
    stage: ClassVar[Stage] = Stage.UPKEEP

    schema: str
    table: str
    truncate: bool = False

    @property
    def title(self) -> str:
        return f"Vacuum {self.object[1]}"

    @property
    def object(self) -> tuple[Kind, str]:
        return Kind.TABLE, dotted(self.schema, self.table)

    @property
    def lock(self) -> Lock:
        """Reads and writes go on, but for the moment in which the end of the file is given back."""
        return Lock.ACCESS_EXCLUSIVE if self.truncate else Lock.SHARE_UPDATE_EXCLUSIVE

    @property
    def lock_budget_s(self) -> float:
        """Nobody who reads or writes queues behind it; a running autovacuum gives way after deadlock_timeout."""
        return 5.0

    @property
    def risk(self) -> str:
        return "It reads the table and writes WAL.  There is nothing to undo: no row that anyone can see changes."

    def statements(self) -> tuple[str, ...]:
        options = "ANALYZE" if self.truncate else "ANALYZE, TRUNCATE false"
        return (f"VACUUM ({options}) {self.object[1]}",)

    def precheck(self, conn: Session, server: Server) -> None:
        if not self._row(conn)[2]:
            raise may_not_maintain(self.object[1])

    def capture(self, conn: Session) -> Before:
        last, dead_rows, _ = self._row(conn)
        return {"last_vacuum": last, "dead_rows": dead_rows}

    def do(self, conn: Session) -> None:
        conn.execute(self.statements()[0].encode())

    def done(self, conn: Session, before: Before | None = None) -> bool:
        """Whether last_vacuum moved: without the privilege VACUUM only warns, and succeeds."""
        if before is None:
            return False
        deadline = time.monotonic() + NEWS_WAIT_S
        while True:
            last, _, _ = self._row(conn)
            if last is not None and last != before["last_vacuum"]:
                return True
            if time.monotonic() > deadline:
                return False
            time.sleep(0.1)

    def _row(self, conn: Session) -> tuple[str | None, int, bool]:
        """Last vacuum by hand (of a partitioned table: its oldest leaf), dead rows, and whether we may vacuum it."""
        names = {"schema": self.schema, "table": self.table}
        row = conn.execute(_SEEN, names).fetchone()
        if row is None or row[0] not in {"r", "m", "p"}:
            raise Refused(f"there is no table {self.object[1]}")
        if row[0] != "p":
            return row[1], int(row[2]), bool(row[3])
        leaves = conn.execute(_LEAVES, names).fetchone()
        if leaves is None or leaves[1]:
            return None, int(leaves[2]) if leaves else 0, bool(row[3])
        return str(leaves[0]), int(leaves[2]), bool(row[3])


STEP = Vacuum
