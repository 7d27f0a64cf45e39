"""An advisory lock that an idle session still holds.

Asks:    which sessions sit idle, outside any transaction, and hold advisory locks?
Unit:    idle_s by the server's clock; locks held.
Source:  pg_locks, pg_stat_activity, pg_blocking_pids().
Blind:   sessions of other roles without pg_read_all_stats.
Says:    Session {object} of role {role} has been idle for {idle_s} and still holds {locks} advisory locks ({keys}).
         {blocked_sessions} sessions wait for them.  It calls itself {application}.
         In a pooled connection the next borrower holds them without knowing.
Section: Connection Pool Management
Leads:   end_session
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass

from pgrunbook.journey.diagnose import mending
from pgrunbook.journey.diagnose.check import Check
from pgrunbook.journey.diagnose.seen import Seen
from pgrunbook.journey.diagnose.sessions import backends, blocked_by, hidden_blind, who
from pgrunbook.journey.observe.locks import ADVISORY_LOCKS, BLOCKING, AdvisoryLocks, Waiter
from pgrunbook.journey.observe.sessions import SESSIONS, Backend
from pgrunbook.model import Finding, Kind, Severity, Verdict


@dataclass(frozen=True, slots=True, kw_only=True)
class Limits:
    """How long an idle session may hold a session-level advisory lock.

    A job under such a lock runs statements, and one that elects a leader by it asks every few seconds whether its
    connection still stands: `idle_s` without any statement looks forgotten.  Where others wait, `blocking_s` is enough
    (deadlock_timeout's default).  An election that keeps silent on purpose is to be muted.
    """

    idle_s: float = 10.0
    blocking_s: float = 1.0


def judge(seen: Seen, limits: Limits) -> Iterator[Verdict]:
    """One finding a session.  Inside an open transaction it is idle_in_transaction that tells."""
    if (blind := hidden_blind(seen)) is not None:
        yield blind
    sessions, victims = backends(seen), blocked_by(seen)
    for held in seen.rows(ADVISORY_LOCKS):
        backend = sessions.get(held.pid)
        if backend is None or not backend.is_client or backend.is_ours or backend.state != "idle":
            continue
        waiting = victims.get(held.pid, ())
        if (backend.state_age_s or 0.0) >= (limits.blocking_s if waiting else limits.idle_s):
            yield _finding(held, backend, waiting)


def _finding(held: AdvisoryLocks, backend: Backend, waiting: tuple[Waiter, ...]) -> Finding:
    return Finding(
        severity=Severity.WARNING,
        kind=Kind.SESSION,
        object=str(held.pid),
        related=tuple(str(waiter.pid) for waiter in waiting),
        evidence={
            **who(backend),
            "idle_s": round(backend.state_age_s or 0.0, 1),
            "locks": held.locks,
            "keys": held.keys,
            "blocked_sessions": len(waiting) or None,
        },
        advice=(mending.end_session(backend),),
    )


CHECK = Check(needs=(ADVISORY_LOCKS, SESSIONS), likes=(BLOCKING,), judge=judge, limits=Limits())
