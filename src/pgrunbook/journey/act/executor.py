"""The one who may change this database now: a direct session on the primary that holds the executor's advisory lock.

Emergencies have a lock of their own: whatever plan is being applied, sessions can be stopped meanwhile.

The lock belongs to the session, so it vanishes with it.  A backend whose client was killed goes on with its statement
and keeps the lock until then; when the journal says that it was ours, it is waited for.
"""

from __future__ import annotations

import time
from collections.abc import Callable, Mapping
from dataclasses import dataclass

from pgrunbook.errors import Refused, Unreachable
from pgrunbook.journey.observe.observer import Observer
from pgrunbook.journey.steps.runner import prepare_session
from pgrunbook.model import Server, ServerRole
from pgrunbook.model.plan import TargetPrint
from pgrunbook.pg.connect import Session, into, translated
from pgrunbook.record.history import History
from pgrunbook.record.journal import Hold

KEY = 0x7067_7275_6E62  # "pgrunb"
KEYS: Mapping[Hold, int] = {Hold.EXECUTOR: KEY, Hold.EMERGENCY: KEY + 1}
_WHO: Mapping[Hold, str] = {Hold.EXECUTOR: "executor", Hold.EMERGENCY: "emergency"}
POLL_S = 0.2
LOCK_BUDGET_S = 1.0  # until a step sets its own

_HOLDER = """/* pgrunbook: executor */
select a.pid::int4 as pid, a.backend_start::text as backend_start, a.application_name as application,
       coalesce(a.state, '') as state, a.pid = pg_catalog.pg_backend_pid() as is_me
from pg_catalog.pg_locks as l
join pg_catalog.pg_stat_activity as a on a.pid = l.pid
where l.locktype = 'advisory' and l.granted and l.objsubid = 1
  and l.database = (select d.oid from pg_catalog.pg_database as d where d.datname = pg_catalog.current_database())
  and (l.classid::int8 << 32 | l.objid::int8) = %(key)s"""

# A backend of ours whose client is gone without a word, and that has nothing left to do.
_END_IDLE = """/* pgrunbook: executor */
with orphan as materialized (
  select a.pid from pg_catalog.pg_stat_activity as a
  where a.pid = %(pid)s and a.backend_start = %(backend_start)s::timestamptz and a.state like 'idle%%'
)
select pg_catalog.pg_terminate_backend(o.pid) from orphan as o"""


@dataclass(frozen=True, slots=True, kw_only=True)
class Holder:
    """The session that holds the executor's lock."""

    pid: int
    backend_start: str | None
    application: str | None
    state: str
    is_me: bool


class Executor:
    """A session that may act.  `server` is what it was when the session began."""

    def __init__(self, conn: Session) -> None:
        self.conn = conn
        self.server: Server = Observer(conn).server
        self.target = TargetPrint.of(self.server)
        self._hold = Hold.EXECUTOR

    def guard(self, expected: TargetPrint | None, *, on_standby: bool = False) -> None:
        """Refuse poolers, standbys and targets for which the plan was not made; then make the session our own.

        `on_standby` lets standbys pass, for steps that write nothing in the database.
        """
        if self.server.through_pooler:
            raise Refused(
                "this connection goes through a transaction pooler, where sessions and locks are not ours alone",
                hint="Give the DSN of the server itself (Supabase: the direct connection, port 5432).",
            )
        if self.server.role is ServerRole.STANDBY and not on_standby:
            raise Refused("this server is a standby; it cannot be changed", hint="Give the DSN of the primary.")
        if expected is not None and (differences := expected.differences(self.target)):
            raise Refused(
                f"the plan was made for another target: {'; '.join(differences)}",
                hint="Make a new plan for this target.",
            )
        prepare_session(self.conn, LOCK_BUDGET_S)

    def take_lock(self, history: History, tell: Callable[[str], None], hold: Hold = Hold.EXECUTOR) -> None:
        """Become the only one in this role; wait for a backend of ours whose client died.  Raises Refused."""
        self._hold = hold
        orphans = {(run.backend_pid, run.backend_start) for run in history.runs if run.ended_at is None}
        while not self._try_lock():
            holder = self._holder()
            if holder is None:  # it has just gone
                time.sleep(POLL_S)
                continue
            if (holder.pid, holder.backend_start) not in orphans:
                raise Refused(
                    f"another {_WHO[hold]} is at work in this database: backend {holder.pid} ({holder.application})",
                    hint="Wait until it has finished.",
                )
            self.conn.execute(_END_IDLE, {"pid": holder.pid, "backend_start": holder.backend_start})
            tell(f"waiting for backend {holder.pid}, which goes on for a client that died")
            time.sleep(POLL_S)

    def check(self) -> None:
        """Look before each step whether this session still is the executor.  Raises Refused or Unreachable."""
        with translated("checking the executor's lock"):
            holder = self._holder()
        if holder is None or not holder.is_me:
            raise Refused(f"the {_WHO[self._hold]}'s lock was lost; no further step is taken", hint="Run it again.")

    def identity(self) -> tuple[int, str]:
        """Which backend serves this session, and since when."""
        row = self.conn.execute(
            "select a.pid, a.backend_start::text from pg_catalog.pg_stat_activity as a"
            " where a.pid = pg_catalog.pg_backend_pid()"
        ).fetchone()
        if row is None:
            raise Unreachable("the server does not list our own session")
        return int(row[0]), str(row[1])

    def _try_lock(self) -> bool:
        row = self.conn.execute(
            "select pg_catalog.pg_try_advisory_lock(%(key)s::int8)", {"key": KEYS[self._hold]}
        ).fetchone()
        return row is not None and bool(row[0])

    def _holder(self) -> Holder | None:
        with self.conn.cursor(row_factory=into(Holder)) as cursor:
            return cursor.execute(_HOLDER, {"key": KEYS[self._hold]}).fetchone()
