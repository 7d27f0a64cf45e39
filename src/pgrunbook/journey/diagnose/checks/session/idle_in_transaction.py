"""A session that sits idle inside an open transaction.

Asks:    which sessions have begun a transaction and then sent nothing for a while (aborted ones, too)?
Unit:    idle_s since the last statement ended, by the server's clock.
Source:  pg_stat_activity: state, state_change, xact_start, backend_xmin, backend_xid; pg_blocking_pids().
Blind:   sessions of other roles without pg_read_all_stats.
Says:    Session {object} of role {role} has been idle for {idle_s} in a transaction that is {transaction_age_s} old.
         It calls itself {application}.  Its last statement was: {query}.  It blocks {blocked_sessions} other sessions.
         It keeps VACUUM from removing rows that died in the last {held_transactions} transactions.
Section: Emergency Procedures
Leads:   end_session, set_role_setting
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass

from pgrunbook.journey.diagnose import mending
from pgrunbook.journey.diagnose.check import Check
from pgrunbook.journey.diagnose.seen import Seen
from pgrunbook.journey.diagnose.sessions import blocked_by, hidden_blind, is_tool, who
from pgrunbook.journey.observe.locks import BLOCKING, Waiter
from pgrunbook.journey.observe.sessions import SESSIONS, Backend
from pgrunbook.model import Finding, Kind, Severity, Verdict


@dataclass(frozen=True, slots=True, kw_only=True)
class Limits:
    """How long an open transaction may idle.

    A healthy one idles for a round trip and some code of the application: milliseconds.  `idle_s` is half of the ten
    seconds after which the runbook's own idle_in_transaction_session_timeout would end it, and fifty times its target
    for a P95.  `blocking_s` holds where others wait for it, and where it is aborted: nothing but a rollback can follow.
    """

    idle_s: float = 5.0
    blocking_s: float = 1.0


def judge(seen: Seen, limits: Limits) -> Iterator[Verdict]:
    """One finding a session; its victims are `related`."""
    if (blind := hidden_blind(seen)) is not None:
        yield blind
    victims = blocked_by(seen)
    for backend in seen.rows(SESSIONS):
        if not backend.is_client or not backend.is_in_transaction or backend.is_ours or is_tool(backend):
            continue
        waiting = victims.get(backend.pid, ())
        is_urgent = bool(waiting) or (backend.state or "").endswith("(aborted)")
        if (backend.state_age_s or 0.0) >= (limits.blocking_s if is_urgent else limits.idle_s):
            yield _finding(backend, waiting)


def _finding(backend: Backend, waiting: tuple[Waiter, ...]) -> Finding:
    held = [age for age in (backend.xmin_age, backend.xid_age) if age]
    return Finding(
        severity=Severity.WARNING,
        kind=Kind.SESSION,
        object=str(backend.pid),
        related=tuple(str(waiter.pid) for waiter in waiting),
        evidence={
            **who(backend),
            "idle_s": round(backend.state_age_s or 0.0, 1),
            "transaction_age_s": round(backend.transaction_age_s or 0.0, 1),
            "blocked_sessions": len(waiting) or None,
            "held_transactions": max(held) if held else None,
            "has_written": backend.xid_age is not None,
        },
        advice=(mending.end_session(backend),),
    )


CHECK = Check(needs=(SESSIONS,), likes=(BLOCKING,), judge=judge, limits=Limits())
