"""Index builds that are running: our own, for a progress bar, and those of a client that died, to be waited for.

A backend goes on building when its client is killed.  A second build would only wait for the first, so it is adopted.
"""

from __future__ import annotations

import time
from dataclasses import dataclass

from pgrunbook.errors import Refused
from pgrunbook.pg.connect import Session, into

POLL_S = 0.2
STALLED_S = 60.0  # a build that gets nowhere for so long waits for somebody who does not leave

_BUILDS = """/* pgrunbook: builds */
select p.pid::int4 as pid,
       p.index_relid::int8 as index_oid,
       p.phase as phase,
       p.lockers_done::int8 as lockers_done,
       p.blocks_total::int8 as blocks_total,
       p.blocks_done::int8 as blocks_done,
       p.tuples_total::int8 as tuples_total,
       p.tuples_done::int8 as tuples_done
from pg_catalog.pg_stat_progress_create_index as p
where p.datname = pg_catalog.current_database()
  and (p.relid = %(table_oid)s::oid or p.pid = %(pid)s)
  and p.pid <> pg_catalog.pg_backend_pid()
order by 1"""


@dataclass(frozen=True, slots=True, kw_only=True)
class Build:
    """One running build.  Without the right to see other sessions its figures are None."""

    pid: int
    index_oid: int | None
    phase: str | None
    lockers_done: int | None
    blocks_total: int | None
    blocks_done: int | None
    tuples_total: int | None
    tuples_done: int | None

    @property
    def ratio(self) -> float | None:
        """How much of this phase is done, 0..1."""
        for done, total in ((self.blocks_done, self.blocks_total), (self.tuples_done, self.tuples_total)):
            if done is not None and total:
                return min(done / total, 1.0)
        return None


def builds_on(conn: Session, table_oid: int | None = None, pid: int | None = None) -> tuple[Build, ...]:
    """The builds of others on this table, or of this backend."""
    with conn.cursor(row_factory=into(Build)) as cursor:
        return tuple(cursor.execute(_BUILDS, {"table_oid": table_oid, "pid": pid}).fetchall())


def adopt_build(conn: Session, table_oid: int, index_oid: int) -> None:
    """Return when nobody builds this index any more; Refused when the build is stuck."""
    seen: Build | None = None
    since = time.monotonic()
    while True:
        running = [build for build in builds_on(conn, table_oid) if build.index_oid in {index_oid, None}]
        if not running:
            return
        if running[0] != seen:
            seen, since = running[0], time.monotonic()
        if time.monotonic() - since > STALLED_S:
            raise Refused(
                f"backend {running[0].pid} is building this index and got nowhere for {STALLED_S:.0f} s"
                f" (phase: {running[0].phase})",
                hint="See whom it waits for: select pg_blocking_pids(pid).  End one of them, then try again.",
            )
        time.sleep(POLL_S)
