"""Gather a table's statistics again; the server's own clock proves that it did not skip the table."""

from __future__ import annotations

import time
from dataclasses import dataclass
from typing import ClassVar

from pgrunbook.errors import Refused
from pgrunbook.journey.steps.step import Before, Irreversible, Stage
from pgrunbook.model import Kind, Lock, Server, dotted
from pgrunbook.pg.connect import Session

NEWS_WAIT_S = 5.0  # before 15 the statistics travel by way of a collector

_SEEN = """/* pgrunbook: analyze */
select c.relkind::text, s.last_analyze::text, pg_catalog.clock_timestamp()::text
from pg_catalog.pg_class as c
join pg_catalog.pg_namespace as n on n.oid = c.relnamespace
left join pg_catalog.pg_stat_all_tables as s on s.relid = c.oid
where n.nspname = %(schema)s and c.relname = %(table)s"""


@dataclass(frozen=True, slots=True, kw_only=True)
class Analyze(Irreversible):
    """ANALYZE of one table."""

    kind: ClassVar[str] = "analyze"
    stage: ClassVar[Stage] = Stage.UPKEEP

    schema: str
    table: str

    @property
    def title(self) -> str:
        return f"Analyze {self.object[1]}"

    @property
    def object(self) -> tuple[Kind, str]:
        return Kind.TABLE, dotted(self.schema, self.table)

    @property
    def lock(self) -> Lock:
        """Reads and writes go on."""
        return Lock.SHARE_UPDATE_EXCLUSIVE

    @property
    def lock_budget_s(self) -> float:
        """Nobody who reads or writes queues behind it; a running autovacuum gives way after deadlock_timeout."""
        return 5.0

    @property
    def risk(self) -> str:
        return "The older statistics cannot be had back; plans may change, as they do after each autovacuum."

    def statements(self) -> tuple[str, ...]:
        return (f"ANALYZE {self.object[1]}",)

    def precheck(self, conn: Session, server: Server) -> None:
        self._row(conn)

    def capture(self, conn: Session) -> Before:
        _, last, _ = self._row(conn)
        return {"last_analyze": last}

    def do(self, conn: Session) -> None:
        conn.execute(self.statements()[0].encode())

    def done(self, conn: Session, before: Before | None = None) -> bool:
        """Whether last_analyze moved: without the privilege ANALYZE only warns, and succeeds."""
        if before is None:
            return False
        deadline = time.monotonic() + NEWS_WAIT_S
        while True:
            if self._row(conn)[1] != before["last_analyze"]:
                return True
            if time.monotonic() > deadline:
                return False
            time.sleep(0.1)

    def _row(self, conn: Session) -> tuple[str, str | None, str]:
        row = conn.execute(_SEEN, {"schema": self.schema, "table": self.table}).fetchone()
        if row is None or row[0] not in {"r", "m", "p"}:
            raise Refused(f"there is no table {self.object[1]}")
        return str(row[0]), row[1], str(row[2])


STEP = Analyze
