"""End one session that sits in an open transaction: that very session in that very transaction, or nobody.

Cancelling does nothing to a transaction that is idle, so it is terminated.  Who it is, is asked in the statement that
ends it: pids are used again, and a second look in one transaction would show a cached picture.  What remains are the
microseconds between that look and the signal: a session that commits in them is ended just after its commit.
"""

from __future__ import annotations

from dataclasses import dataclass
from datetime import datetime
from typing import ClassVar, Self

from pgrunbook.errors import Refused, UsageError
from pgrunbook.journey.observe.sessions import Backend
from pgrunbook.journey.steps.step import Before, Irreversible, Stage
from pgrunbook.model import Kind, Server, literal
from pgrunbook.pg.connect import Session

LEAVE_MS = 5000  # how long it may take to leave
NEVER = "^(pg_dump|pg_restore|pg_basebackup|pg_receivewal|pgbackrest|barman|wal-g|pg_repack|patroni|repmgr|pgrunbook/)"

# What makes it that session in that transaction; one that we may not see has NULLs and is never matched.
_SAME = """a.pid = %(pid)s and a.backend_start = %(backend_start)s::timestamptz
    and a.xact_start is not distinct from %(xact_start)s::timestamptz
    and a.query_start is not distinct from %(query_start)s::timestamptz
    and a.state_change is not distinct from %(state_change)s::timestamptz
    and a.state = %(state)s"""

_ALLOWED = f"""a.backend_type = 'client backend' and a.leader_pid is null and a.pid <> pg_catalog.pg_backend_pid()
    and not r.rolsuper and not r.rolreplication
    and a.application_name !~* '{NEVER}'
    and not exists (select from pg_catalog.pg_stat_progress_create_index as p where p.pid = a.pid)
    and not exists (select from pg_catalog.pg_stat_progress_vacuum as p where p.pid = a.pid)
    and not exists (select from pg_catalog.pg_stat_progress_cluster as p where p.pid = a.pid)
    and not exists (select from pg_catalog.pg_stat_progress_copy as p where p.pid = a.pid)"""

_END = f"""/* pgrunbook: end_session */
with victim as materialized (
  select a.pid
  from pg_catalog.pg_stat_activity as a
  join pg_catalog.pg_roles as r on r.oid = a.usesysid
  where {_SAME}
    and {_ALLOWED}
)
select v.pid, pg_catalog.pg_terminate_backend(v.pid, {LEAVE_MS}) from victim as v"""

_LOOK = f"""/* pgrunbook: end_session */
select coalesce({_SAME}, false), coalesce({_ALLOWED}, false),
       a.usename::text, a.application_name, a.state, a.client_addr::text,
       extract(epoch from pg_catalog.clock_timestamp() - a.xact_start)::float8
from pg_catalog.pg_stat_activity as a
left join pg_catalog.pg_roles as r on r.oid = a.usesysid
where a.pid = %(pid)s
  and (a.backend_start = %(backend_start)s::timestamptz or a.backend_start is null)  -- null: we may not see it"""


@dataclass(frozen=True, slots=True, kw_only=True)
class EndSession(Irreversible):
    """Points in time are texts with an offset, as exact as the server has them: ISO 8601 with microseconds."""

    kind: ClassVar[str] = "end_session"
    stage: ClassVar[Stage] = Stage.RELEASE

    pid: int
    backend_start: str
    xact_start: str | None
    query_start: str | None
    state_change: str | None
    state: str = "idle in transaction"

    @classmethod
    def of(cls, backend: Backend) -> Self:
        """That session in the very transaction in which it was seen.  Raises UsageError when we could not see it."""
        if backend.backend_started_at is None or backend.state is None:
            raise UsageError(f"session {backend.pid} cannot be told from another: we may not see it")
        return cls(
            pid=backend.pid,
            backend_start=backend.backend_started_at.isoformat(),
            xact_start=_text(backend.transaction_started_at),
            query_start=_text(backend.query_started_at),
            state_change=_text(backend.state_changed_at),
            state=backend.state,
        )

    @property
    def title(self) -> str:
        return f"End session {self.pid} ({self.state})"

    @property
    def object(self) -> tuple[Kind, str]:
        return Kind.SESSION, str(self.pid)

    @property
    def risk(self) -> str:
        return "No way back: its open transaction is rolled back, and its client gets an error."

    def statements(self) -> tuple[str, ...]:
        return (
            "SELECT pg_terminate_backend(pid) FROM pg_stat_activity"
            f" WHERE pid = {self.pid} AND backend_start = {literal(self.backend_start)}"
            + (f" AND xact_start = {literal(self.xact_start)}" if self.xact_start is not None else "")
            + f" AND state = {literal(self.state)}",
        )

    def precheck(self, conn: Session, server: Server) -> None:
        """Refuse when it went on since, or is one of those that are never ended."""
        row = conn.execute(_LOOK, self._identity).fetchone()
        if row is None:
            return
        if not row[0]:
            raise Refused(
                f"session {self.pid} went on since it was found (now: {row[4] or 'not visible to us'})",
                hint="Diagnose again.  GRANT pg_read_all_stats shows what others do.",
            )
        if not row[1]:
            raise Refused(
                f"session {self.pid} ({row[2]}, {row[3] or 'no application_name'}) is never ended by us",
                hint="Superusers, replication, backups, dumps, index builds and our own sessions are left alone.",
            )

    def capture(self, conn: Session) -> Before:
        """Who it was; never what it ran, for that may hold secrets."""
        row = conn.execute(_LOOK, self._identity).fetchone()
        if row is None:
            return {"gone": True}
        return {"role": row[2], "application": row[3], "state": row[4], "client": row[5], "transaction_age_s": row[6]}

    def do(self, conn: Session) -> None:
        """Raises Refused when it is no longer the same, or does not leave in time."""
        ended = conn.execute(_END, self._identity).fetchone()
        if ended is None and not self.done(conn):
            raise Refused(f"session {self.pid} went on in the meantime; it was left alone", hint="Diagnose again.")
        if ended is not None and not ended[1] and not self.done(conn):
            raise Refused(
                f"session {self.pid} was told to leave but has not within {LEAVE_MS / 1000:g} s",
                hint="It leaves when its current system call ends; look again later.",
            )

    def done(self, conn: Session, before: Before | None = None) -> bool:
        """Whether that session is gone; another with its pid is not it."""
        return conn.execute(_LOOK, self._identity).fetchone() is None

    @property
    def _identity(self) -> dict[str, str | int | None]:
        return {
            "pid": self.pid,
            "backend_start": self.backend_start,
            "xact_start": self.xact_start,
            "query_start": self.query_start,
            "state_change": self.state_change,
            "state": self.state,
        }


def _text(at: datetime | None) -> str | None:
    return at.isoformat() if at is not None else None


STEP = EndSession
