"""Connections opened for a moment's work.

Asks:    how many sessions begin a second, how long do they last, and how many transactions does each run?
Unit:    sessions_per_s; transactions_per_session; session_s on average.
Source:  pg_stat_database: sessions, session_time, xact_commit; in the window, else since its counters began.
Blind:   counters younger than half a minute.
Says:    {sessions} sessions began in {counters_age_s} in database {object}, {sessions_per_s}, each for
         {transactions_per_session} transactions in {session_s}.  Each costs a new process, and its caches start empty.
Section: Connection Pool Management
Leads:   a pool in the application, or PgBouncer
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass

from pgrunbook.journey.diagnose.check import Check
from pgrunbook.journey.diagnose.seen import Seen
from pgrunbook.journey.observe.databases import DATABASES, Database
from pgrunbook.model import Blind, Finding, Kind, Severity, Verdict, quote


@dataclass(frozen=True, slots=True, kw_only=True)
class Limits:
    """When new connections are a fault.

    `sessions_per_s`: probes of monitors come every ten seconds at most, and two of them make so many; counters may
    reach back to quieter times.  `sessions` keeps a handful at start-up apart.  A pooled connection lives for minutes
    and runs thousands of transactions; these live for less than `session_s` and run at most `transactions`.
    """

    sessions: int = 300
    sessions_per_s: float = 0.2
    session_s: float = 10.0
    transactions: float = 10.0
    counters_age_s: float = 30.0
    window_sessions: int = 10


def judge(seen: Seen, limits: Limits) -> Iterator[Verdict]:
    """One finding about this database."""
    current = next((database for database in seen.rows(DATABASES) if database.is_current), None)
    if current is None:
        return
    window = seen.window(DATABASES)
    before = next((row for row in window.before if row.name == current.name), None) if window is not None else None
    if window is not None and before is not None and before.sessions <= current.sessions:
        seconds, sessions = window.seconds, current.sessions - before.sessions
        transactions = current.commits + current.rollbacks - before.commits - before.rollbacks
        session_s = (current.session_time_s - before.session_time_s) / max(sessions, 1)
        enough = limits.window_sessions
    else:
        seconds, sessions = current.counters_age_s or 0.0, current.sessions
        transactions, session_s = current.commits + current.rollbacks, current.session_time_s / max(sessions, 1)
        enough = limits.sessions
    if sessions < enough:
        if before is None and seconds < limits.counters_age_s:
            yield Blind(reason=f"the counters of {quote(current.name)} cover {seconds:.0f} s only", cure="Ask later.")
        return
    if (
        sessions / max(seconds, 1.0) >= limits.sessions_per_s
        and session_s <= limits.session_s
        and transactions / sessions <= limits.transactions
    ):
        yield _finding(current, seconds, sessions, transactions, session_s)


def _finding(current: Database, seconds: float, sessions: int, transactions: int, session_s: float) -> Finding:
    return Finding(
        severity=Severity.WARNING,
        kind=Kind.DATABASE,
        object=quote(current.name),
        evidence={
            "sessions": sessions,
            "counters_age_s": round(seconds),
            "sessions_per_s": round(sessions / max(seconds, 1.0), 1),
            "transactions_per_session": round(transactions / sessions, 1),
            "session_s": round(session_s, 3),
            "reset_at": current.reset_at.isoformat(timespec="seconds") if current.reset_at is not None else None,
        },
    )


CHECK = Check(needs=(DATABASES,), judge=judge, limits=Limits())
