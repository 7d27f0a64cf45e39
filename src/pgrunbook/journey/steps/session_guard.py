"""Who may be signalled: one session, known by six marks, and never one of those that nobody should stop.

Look and signal are one statement: pids are used again, and a second look within a transaction would show a cached
picture.  Judging takes some 0.2 ms, so within the statement the cached picture is thrown away and the session is
looked at once more, right before the signal.  What remains is the time from there until the session obeys (tests/pg:
`make exam-races` measures it): a session that goes on in it is hit at what it does then.

`IDENTITY` makes it that session in that statement; `NEVER` names why a session is left alone.  What is shown before
and what is guarded in the moment of the signal are the same expressions.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import Any, Self

from pgrunbook.errors import Refused, UsageError
from pgrunbook.journey.observe.sessions import Backend
from pgrunbook.journey.steps.step import Before, Irreversible
from pgrunbook.model import Kind, Server, literal, quote
from pgrunbook.pg.connect import Session

SIGNAL_ROLE = "pg_signal_backend"
STATS_ROLE = "pg_read_all_stats"

# One that we may not see has NULLs and is never matched.
IDENTITY: Mapping[str, str] = {
    "pid": "a.pid = %(pid)s",
    "backend_start": "a.backend_start = %(backend_start)s::timestamptz",
    "xact_start": "a.xact_start is not distinct from %(xact_start)s::timestamptz",
    "query_start": "a.query_start is not distinct from %(query_start)s::timestamptz",
    "state_change": "a.state_change is not distinct from %(state_change)s::timestamptz",
    "state": "a.state = %(state)s",
}

# Programs that copy or maintain, by the name that they give themselves (which anyone can do, and a pooler hides).
TOOLS = (
    "^(pg_dump|pg_dumpall|pg_restore|pg_basebackup|pg_receivewal|pg_recvlogical|pg_amcheck|pgbackrest|barman|wal-g"
    "|pg_repack|pg_squeeze|patroni|repmgr|vacuumdb|reindexdb)"
)
_TWO_PHASE = r"^\s*(/\*.*?\*/\s*)*(prepare\s+transaction|commit\s+prepared|rollback\s+prepared)\M"


def _progress(view: str) -> str:
    return f"exists (select from pg_catalog.pg_stat_progress_{view} as p where p.pid = a.pid)"


# Why a session is never touched: the name of the reason, and when it holds; the first that holds is told.
NEVER: Mapping[str, str] = {
    "self": "a.pid = pg_catalog.pg_backend_pid()",
    "hidden": "a.backend_type is null",
    "no_client": "a.backend_type <> 'client backend'",
    "parallel_worker": "a.leader_pid is not null",
    "no_role": "r.oid is null",
    "superuser": "r.rolsuper",
    "replication": "r.rolreplication",
    "pgrunbook": "a.application_name like 'pgrunbook/%%'",
    "tool": f"a.application_name ~* '{TOOLS}'",
    "index_build": _progress("create_index"),
    "vacuum": _progress("vacuum"),
    "analyze": _progress("analyze"),
    "cluster": _progress("cluster"),
    "copy": _progress("copy"),
    "base_backup": _progress("basebackup"),
    "spared_role": "a.usename = any(%(spared_roles)s::name[])",
    "spared_application": "a.application_name ilike any(%(spared_applications)s::text[])",
    "two_phase": f"d.encoding is not distinct from h.encoding and a.query ~* '{_TWO_PHASE}'",
}
WORDS: Mapping[str, str] = {
    "self": "this very session",
    "hidden": "what it does is hidden from us",
    "no_client": "no client's session",
    "parallel_worker": "a parallel worker; its leader decides",
    "no_role": "its role is gone",
    "superuser": "a superuser",
    "replication": "a role for replication",
    "pgrunbook": "a session of pgrunbook",
    "tool": "a backup or maintenance program",
    "index_build": "builds an index",
    "vacuum": "vacuums",
    "analyze": "analyzes",
    "cluster": "rewrites a table",
    "copy": "copies data",
    "base_backup": "takes a base backup",
    "spared_role": "its role is spared by the configuration",
    "spared_application": "its application is spared by the configuration",
    "two_phase": "works on a prepared transaction",
}

REASON = "case " + " ".join(f"when {condition} then '{name}'" for name, condition in NEVER.items()) + " end"
_FROM = """pg_catalog.pg_stat_activity as a
left join pg_catalog.pg_roles as r on r.oid = a.usesysid
left join pg_catalog.pg_database as d on d.oid = a.datid
cross join (
  select x.encoding from pg_catalog.pg_database as x where x.datname = pg_catalog.current_database()
) as h"""

_LOOK = f"""/* pgrunbook: session_guard */
select coalesce({" and ".join(IDENTITY.values())}, false), {REASON},
       a.usename::text, a.application_name, a.state, pg_catalog.host(a.client_addr),
       extract(epoch from pg_catalog.clock_timestamp() - a.xact_start)::float8
from {_FROM}
where a.pid = %(pid)s
  and (a.backend_start = %(backend_start)s::timestamptz or a.backend_start is null)  -- null: we may not see it"""

_ALL = f"""/* pgrunbook: session_guard all */
select a.pid::int4, {REASON},
       pg_catalog.pg_has_role(a.usesysid, 'usage') or pg_catalog.pg_has_role('{SIGNAL_ROLE}', 'usage')
from {_FROM}"""


def guarded(signal: str, name: str, identity: Sequence[str] = tuple(IDENTITY)) -> str:
    """The statement that signals that very session, or nobody.  `signal` calls a function on `v.pid`.

    `identity` are the marks by which it is known: all of them, but for tests that show what each is good for.
    """
    same = "\n    and ".join(IDENTITY[mark] for mark in identity)
    return f"""/* pgrunbook: {name} */
with allowed as materialized (
  select a.pid
  from {_FROM}
  where {same}
    and {REASON} is null
), fresh as materialized (
  select c.pid, pg_catalog.pg_stat_clear_snapshot()::text as cleared from allowed as c
)
select v.pid, {signal}
from fresh as v
cross join lateral pg_catalog.pg_stat_get_activity(case when v.cleared is not null then v.pid end) as a
where {same}"""


@dataclass(frozen=True, slots=True, kw_only=True)
class Leave:
    """What the guard says of one session: why it is never touched (a key of NEVER), and whether we may signal it."""

    never: str | None
    may_signal: bool


def protections(
    conn: Session, *, spared_roles: Sequence[str], spared_applications: Sequence[str]
) -> Mapping[int, Leave]:
    """What the guard would say of each session now, by pid."""
    params = {"spared_roles": list(spared_roles), "spared_applications": patterns(spared_applications)}
    rows = conn.execute(_ALL, params).fetchall()
    return {int(pid): Leave(never=never, may_signal=bool(may)) for pid, never, may in rows}


def patterns(applications: Sequence[str]) -> list[str]:
    r"""Names as LIKE wants them; `*` stands for anything.

    >>> patterns(["etl*", "50%_job"])
    ['etl%', '50\\%\\_job']
    """
    escaped = (name.replace("\\", "\\\\").replace("%", "\\%").replace("_", "\\_") for name in applications)
    return [name.replace("*", "%") for name in escaped]


@dataclass(frozen=True, slots=True, kw_only=True)
class Look:
    """What is seen of the session that a step is about."""

    is_same: bool
    never: str | None
    role: str | None
    application: str | None
    state: str | None
    client: str | None
    transaction_age_s: float | None


@dataclass(frozen=True, slots=True, kw_only=True)
class OnSession(Irreversible):
    """A step on one session.

    Points in time are texts with an offset, as exact as the server has them: ISO 8601 with microseconds.
    """

    pid: int
    backend_start: str
    xact_start: str | None
    query_start: str | None
    state_change: str | None
    state: str = "idle in transaction"
    spared_roles: tuple[str, ...] = ()
    spared_applications: tuple[str, ...] = ()

    @classmethod
    def of(cls, backend: Backend, **more: Any) -> Self:
        """That session in the very statement in which it was seen.  Raises UsageError when we could not see it."""
        if backend.backend_started_at is None or backend.state is None:
            raise UsageError(f"session {backend.pid} cannot be told from another: we may not see it")
        return cls(
            pid=backend.pid,
            backend_start=backend.backend_started_at.isoformat(),
            xact_start=_text(backend.transaction_started_at),
            query_start=_text(backend.query_started_at),
            state_change=_text(backend.state_changed_at),
            state=backend.state,
            **more,
        )

    @property
    def object(self) -> tuple[Kind, str]:
        return Kind.SESSION, str(self.pid)

    @property
    def identity(self) -> dict[str, Any]:
        """The parameters of the guard."""
        return {
            "pid": self.pid,
            "backend_start": self.backend_start,
            "xact_start": self.xact_start,
            "query_start": self.query_start,
            "state_change": self.state_change,
            "state": self.state,
            "spared_roles": list(self.spared_roles),
            "spared_applications": patterns(self.spared_applications),
        }

    def look(self, conn: Session) -> Look | None:
        """The session as it is now; None when it is gone (another with its pid is not it)."""
        row = conn.execute(_LOOK, self.identity).fetchone()
        if row is None:
            return None
        names = ("is_same", "never", "role", "application", "state", "client", "transaction_age_s")
        return Look(**dict(zip(names, row, strict=True)))

    def precheck(self, conn: Session, server: Server) -> None:
        """Refuse when it went on since, is one of those that are never touched, or may not be signalled by us."""
        seen = self.look(conn)
        if seen is None:
            return
        if not seen.is_same:
            raise Refused(
                f"session {self.pid} went on since it was found (now: {seen.state or 'not visible to us'})",
                hint=f"Look again.  GRANT {STATS_ROLE} TO {quote(server.user)} shows what others do.",
            )
        if seen.never is not None:
            raise Refused(
                f"session {self.pid} ({seen.role}, {seen.application or 'no application_name'}) is never ended by us:"
                f" {WORDS[seen.never]}",
                hint="Superusers, replication, backups, dumps, index builds and our own sessions are left alone.",
            )
        if not protections(conn, spared_roles=(), spared_applications=())[self.pid].may_signal:
            raise Refused(
                f"{server.user} may not signal sessions of {seen.role}",
                hint=f"GRANT {SIGNAL_ROLE} TO {quote(server.user)};",
            )

    def capture(self, conn: Session) -> Before:
        """Who it was; never what it ran, for that may hold secrets."""
        seen = self.look(conn)
        if seen is None:
            return {"gone": True}
        return {
            "role": seen.role,
            "application": seen.application,
            "state": seen.state,
            "client": seen.client,
            "transaction_age_s": seen.transaction_age_s,
        }

    def as_typed(self, function: str) -> str:
        """The guard in short, as a person would type it."""
        marks = {"backend_start": self.backend_start, "xact_start": self.xact_start, "query_start": self.query_start}
        same = [f"{name} = {literal(value)}" for name, value in marks.items() if value is not None]
        where = " AND ".join([f"pid = {self.pid}", *same, f"state = {literal(self.state)}"])
        return f"SELECT {function}(pid) FROM pg_stat_activity WHERE {where}"


def _text(at: datetime | None) -> str | None:
    return at.isoformat() if at is not None else None
