"""Statement that leaves something in a session, sent through a transaction pooler.

Asks:    where clients come through a pooler: do counted statements set session settings, take session-level advisory
         locks, LISTEN, PREPARE by SQL, or make temporary tables that outlive their transaction?
Unit:    calls since the statement's counters began.
Source:  pg_stat_statements; that there is a pooler from our own connection, or from sessions that bear a pooler's name.
Blind:   where there is a pooler and pg_stat_statements cannot be read.  Statements that a driver prepares by protocol
         leave no trace on the server.
Says:    {statement} ran {calls} times as {role}, and there is a pooler ({pooler}).  In transaction mode the next
         transaction gets another session: {consequence}.  {instead}
Section: Connection Pool Management
"""

from __future__ import annotations

import re
from collections.abc import Iterator
from dataclasses import dataclass

from pgrunbook.journey.diagnose.check import Check
from pgrunbook.journey.diagnose.seen import Seen
from pgrunbook.journey.observe.roles import ROLES
from pgrunbook.journey.observe.sessions import SESSIONS
from pgrunbook.journey.observe.statements import STATEMENTS, Statement
from pgrunbook.model import Finding, Kind, Severity, Verdict

_POOLERS = re.compile(r"supavisor|pgbouncer|pgcat|odyssey|pgdog", re.IGNORECASE)
# Settings that PgBouncer follows by itself, client by client (its manual, track_extra_parameters).
_FOLLOWED = (
    "client_encoding|datestyle|timezone|time zone|standard_conforming_strings|application_name|intervalstyle|names"
)
_COMMENT = re.compile(r"/\*.*?\*/|--[^\n]*", re.DOTALL)


@dataclass(frozen=True, slots=True, kw_only=True)
class Limits:
    """A person or a migration sets something now and then, past the pooler; an application does it often."""

    calls_min: int = 10


@dataclass(frozen=True, slots=True, kw_only=True)
class Habit:
    """A kind of statement, what becomes of it, and what to do instead.  `is_rare`: one call is enough to tell."""

    pattern: re.Pattern[str]
    consequence: str
    instead: str
    is_rare: bool = False


HABITS = (
    Habit(
        pattern=re.compile(
            rf"set\s+(?:session\s+)?(?!local\b|transaction\b|constraints\b|session\b|(?:{_FOLLOWED})\b)"
        ),
        consequence="the setting holds for whoever gets the session next, and no longer for this client",
        instead="SET LOCAL in the transaction, or ALTER ROLE … SET.",
    ),
    Habit(
        pattern=re.compile(r".*\bpg_(?:try_)?advisory_lock(?:_shared)?\s*\(", re.DOTALL),
        consequence="the lock stays with the session, two clients may both hold it, and the unlock may miss it",
        instead="pg_advisory_xact_lock, which ends with the transaction.",
        is_rare=True,
    ),
    Habit(
        pattern=re.compile(r"listen\b"),
        consequence="notifications reach whoever has the session, or nobody",
        instead="LISTEN over a connection of its own, past the pooler.",
        is_rare=True,
    ),
    Habit(
        pattern=re.compile(r"prepare\b(?!\s+transaction)"),
        consequence="EXECUTE finds no such statement, or another client's",
        instead="let the driver prepare (PgBouncer from 1.21 on follows that), or do not prepare.",
        is_rare=True,
    ),
    Habit(
        pattern=re.compile(
            r"create\s+(?:local\s+|global\s+)?temp(?:orary)?\s+table\b(?!.*\bon\s+commit\s+drop)", re.DOTALL
        ),
        consequence="the table stays with the session, where another client meets it and this one does not",
        instead="CREATE TEMP TABLE … ON COMMIT DROP.",
    ),
)


def judge(seen: Seen, limits: Limits) -> Iterator[Verdict]:
    """One finding a statement; where no pooler is to be seen nothing is misuse."""
    pooler = _pooler(seen)
    if pooler is None:
        return
    administrators = {role.name for role in seen.rows(ROLES) if role.is_superuser} - {seen.server.user}
    for statement in seen.rows(STATEMENTS):
        if statement.is_ours or statement.role in administrators:
            continue
        habit = habit_of(statement.query)
        if habit is not None and statement.calls >= (1 if habit.is_rare else limits.calls_min):
            yield _finding(statement, habit, pooler)


def habit_of(query: str) -> Habit | None:
    """The habit that a statement shows, if any."""
    text = _COMMENT.sub(" ", query).strip().lower()
    return next((habit for habit in HABITS if habit.pattern.match(text)), None)


def _pooler(seen: Seen) -> str | None:
    """How we know of a pooler."""
    if seen.server.through_pooler:
        return "this connection came through one"
    named = {s.application for s in seen.rows(SESSIONS) if s.application and _POOLERS.search(s.application)}
    return f"sessions call themselves {', '.join(sorted(named))}" if named else None


def _finding(statement: Statement, habit: Habit, pooler: str) -> Finding:
    return Finding(
        severity=Severity.WARNING,
        kind=Kind.QUERY,
        object=str(statement.queryid),
        evidence={
            "statement": statement.query[:200],
            "role": statement.role,
            "calls": statement.calls,
            "pooler": pooler,
            "consequence": habit.consequence,
            "instead": habit.instead,
        },
    )


CHECK = Check(needs=(SESSIONS, ROLES), likes=(STATEMENTS,), judge=judge, limits=Limits())
