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

# What the server itself asks before it warns and skips the table.
MAY_MAINTAIN = """pg_catalog.pg_has_role(c.relowner, 'usage')
         or exists (select from pg_catalog.pg_database as d where d.datname = pg_catalog.current_database()
                    and pg_catalog.pg_has_role(d.datdba, 'usage'))
         or case when pg_catalog.current_setting('server_version_num')::int4 >= 170000
                 then pg_catalog.has_table_privilege(c.oid, 'maintain') end"""

_SEEN = f"""/* pgrunbook: analyze */
select c.relkind::text, s.last_analyze::text, {MAY_MAINTAIN}
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
        if not self._row(conn)[1]:
            raise may_not_maintain(self.object[1])

    def capture(self, conn: Session) -> Before:
        return {"last_analyze": self._row(conn)[0]}

    def do(self, conn: Session) -> None:
        conn.execute(self.statements()[0].encode())

    def done(self, conn: Session, before: Before | None = None) -> bool:
        """Whether last_analyze moved: without the privilege ANALYZE only warns, and succeeds."""
        if before is None:
            return False
        deadline = time.monotonic() + NEWS_WAIT_S
        while True:
            last = self._row(conn)[0]
            if last is not None and last != before["last_analyze"]:  # a crash of the server forgets it
                return True
            if time.monotonic() > deadline:
                return False
            time.sleep(0.1)

    def _row(self, conn: Session) -> tuple[str | None, bool]:
        """When it was last analyzed by hand, and whether we may."""
        row = conn.execute(_SEEN, {"schema": self.schema, "table": self.table}).fetchone()
        if row is None or row[0] not in {"r", "m", "p"}:
            raise Refused(f"there is no table {self.object[1]}")
        return row[1], bool(row[2])


def may_not_maintain(table: str) -> Refused:
    """The server would only warn, and report success."""
    return Refused(f"not allowed to maintain {table}", hint="Use its owner, or from 17 on: GRANT MAINTAIN.")


STEP = Analyze
