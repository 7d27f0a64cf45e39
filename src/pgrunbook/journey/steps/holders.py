"""Who would make a concurrent build or drop wait: asked before it starts, because giving up inside leaves leftovers.

CREATE INDEX CONCURRENTLY waits for every writer of the table and for every older snapshot in the database; DROP INDEX
CONCURRENTLY for everybody who holds any lock on the table.  Without the right to see other sessions nobody is found,
and lock_timeout decides.
"""

from __future__ import annotations

import time
from dataclasses import dataclass

from pgrunbook.errors import Refused
from pgrunbook.pg.connect import Session, into

LONG_S = 0.0  # nobody can tell of one that has just begun whether it will stay; most are gone at the second look
FIRST_POLL_S, POLL_S = 0.02, 0.2

_HOLDERS = """/* pgrunbook: holders */
select distinct coalesce(a.pid, 0)::int4 as pid,
       coalesce(a.usename, '')::text as username,
       coalesce(a.application_name, '') as application,
       coalesce(a.state, 'prepared transaction') as state,
       coalesce(a.xact_start::text, l.virtualtransaction) as since,
       extract(epoch from pg_catalog.clock_timestamp() - a.xact_start)::float8 as age_s
from pg_catalog.pg_stat_activity as a
full join (
  select x.pid, x.virtualtransaction
  from pg_catalog.pg_locks as x
  where x.locktype = 'relation' and x.granted and x.relation = %(table_oid)s::oid
    and x.database = (select d.oid from pg_catalog.pg_database as d where d.datname = pg_catalog.current_database())
    and (%(any_lock)s or x.mode not in ('AccessShareLock', 'RowShareLock'))
) as l on l.pid = a.pid
where (l.virtualtransaction is not null or (a.backend_xmin is not null and %(snapshots)s))
  and (a.pid is null or (
    a.pid <> pg_catalog.pg_backend_pid()
    and a.datname = pg_catalog.current_database()
    and a.backend_type <> 'autovacuum worker'
    and a.xact_start < pg_catalog.clock_timestamp() - pg_catalog.make_interval(secs => %(long_s)s)
  ))
order by 1"""


@dataclass(frozen=True, slots=True, kw_only=True)
class Holder:
    """A transaction that others wait for; pid 0 is a prepared one."""

    pid: int
    username: str
    application: str
    state: str
    since: str
    age_s: float | None

    @property
    def words(self) -> str:
        """Who it is, for a message."""
        if not self.pid:
            return f"prepared transaction {self.since}"
        age = f", open for {self.age_s:.0f} s" if self.age_s is not None else ""
        return f"pid {self.pid} ({self.username}, {self.application or 'no application_name'}, {self.state}{age})"


def holders(conn: Session, table_oid: int, *, any_lock: bool, snapshots: bool) -> tuple[Holder, ...]:
    """The transactions that would be waited for."""
    params = {"table_oid": table_oid, "any_lock": any_lock, "snapshots": snapshots, "long_s": LONG_S}
    with conn.cursor(row_factory=into(Holder)) as cursor:
        return tuple(cursor.execute(_HOLDERS, params).fetchall())


def wait_for_holders(conn: Session, table_oid: int, *, budget_s: float, any_lock: bool, snapshots: bool) -> None:
    """Return when those who hold now are gone; Refused, with their names, when they outstay the budget."""
    deadline = time.monotonic() + budget_s
    first = holders(conn, table_oid, any_lock=any_lock, snapshots=snapshots)
    left = {(holder.pid, holder.since): holder for holder in first}
    pause_s = FIRST_POLL_S
    while left:
        if time.monotonic() > deadline:
            raise Refused(
                f"older transactions hold it up for more than {budget_s:.0f} s:"
                f" {'; '.join(holder.words for holder in left.values())}",
                hint="Wait until they have ended, or end them, then try again.",
            )
        time.sleep(pause_s)
        pause_s = min(pause_s * 2, POLL_S)
        now = holders(conn, table_oid, any_lock=any_lock, snapshots=snapshots)
        left = {key: holder for holder in now if (key := (holder.pid, holder.since)) in left}
