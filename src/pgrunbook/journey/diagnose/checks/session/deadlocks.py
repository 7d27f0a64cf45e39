"""Transactions that waited for each other until the server rolled one back.

Asks:    how many deadlocks a day does this database see?
Unit:    deadlocks_per_day since the counters began; in the window, those within it.
Source:  pg_stat_database.deadlocks.
Says:    {deadlocks} deadlocks in {counters_age_s}, {deadlocks_per_day} a day: each was an error to somebody.
         The server's log names both statements.
Section: Monitoring and Diagnostics
Leads:   lock rows in one order everywhere; shorter transactions; a retry for error 40P01
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass

from pgrunbook.journey.diagnose.check import Check
from pgrunbook.journey.diagnose.seen import Seen
from pgrunbook.journey.observe.databases import DATABASES
from pgrunbook.model import Finding, Kind, Severity, Verdict, quote

DAY_S = 86400.0


@dataclass(frozen=True, slots=True, kw_only=True)
class Limits:
    """One a day: each is a failed request, and where there is one there is an order of locks to mend.

    Counters younger than a day count as a day, so that it is never reckoned up from a minute.
    """

    per_day: float = 1.0


def judge(seen: Seen, limits: Limits) -> Iterator[Verdict]:
    """One finding about this database; a deadlock inside the window is always one."""
    current = next((database for database in seen.rows(DATABASES) if database.is_current), None)
    if current is None:
        return
    window = seen.window(DATABASES)
    before = next((row for row in window.before if row.name == current.name), None) if window is not None else None
    recent = current.deadlocks - before.deadlocks if before is not None else 0
    age_s = current.counters_age_s or DAY_S
    per_day = current.deadlocks / max(age_s / DAY_S, 1.0)
    if recent > 0 or (current.deadlocks and per_day >= limits.per_day):
        yield Finding(
            severity=Severity.WARNING,
            kind=Kind.DATABASE,
            object=quote(current.name),
            evidence={
                "deadlocks": current.deadlocks,
                "deadlocks_in_window": recent if before is not None else None,
                "counters_age_s": round(age_s),
                "deadlocks_per_day": round(per_day, 2),
                "reset_at": current.reset_at.isoformat(timespec="seconds") if current.reset_at is not None else None,
            },
        )


CHECK = Check(needs=(DATABASES,), judge=judge, limits=Limits())
