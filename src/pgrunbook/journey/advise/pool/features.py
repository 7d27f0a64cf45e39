"""What clients do that a transaction pooler breaks: seen in counted statements and in the sessions that are there.

Drivers that prepare by protocol leave no trace on the server; PgBouncer follows them from 1.21 on.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass

from pgrunbook.journey.advise.pool.demand import is_user
from pgrunbook.journey.diagnose.checks.rls.transaction_pooler_misuse import CHECK as MISUSE
from pgrunbook.journey.diagnose.checks.rls.transaction_pooler_misuse import HABITS, Habit, habit_of
from pgrunbook.journey.diagnose.seen import Seen
from pgrunbook.journey.observe.locks import ADVISORY_LOCKS
from pgrunbook.journey.observe.roles import ROLES
from pgrunbook.journey.observe.sessions import SESSIONS
from pgrunbook.journey.observe.statements import STATEMENTS
from pgrunbook.report.words import counted, one_line

FOLLOWS_PREPARED = (1, 21)


@dataclass(frozen=True, slots=True, kw_only=True)
class Feature:
    """One habit of one role, with what shows it."""

    role: str
    database: str | None
    habit: Habit
    evidence: str
    queryid: int | None = None
    calls: int = 0


def features(seen: Seen) -> tuple[Feature, ...]:
    """Every habit that needs a session of its own, once a role and statement."""
    found = [*_in_statements(seen), *_in_sessions(seen)]
    unique = {(feature.role, feature.habit.consequence, feature.evidence): feature for feature in found}
    return tuple(sorted(unique.values(), key=lambda f: (f.role, f.habit.consequence, -f.calls, f.evidence)))


def _in_statements(seen: Seen) -> Iterator[Feature]:
    roles = {role.name: role for role in seen.rows_or_none(ROLES) or ()}
    for statement in seen.rows_or_none(STATEMENTS) or ():
        if statement.is_ours or statement.role is None or not is_user(roles.get(statement.role)):
            continue
        habit = habit_of(statement.query)
        if habit is not None and statement.calls >= (1 if habit.is_rare else MISUSE.limits.calls_min):
            yield Feature(
                role=statement.role,
                database=seen.server.database,
                habit=habit,
                evidence=f"{one_line(statement.query)[:90]} ({counted(statement.calls, 'call')})",
                queryid=statement.queryid,
                calls=statement.calls,
            )


def _in_sessions(seen: Seen) -> Iterator[Feature]:
    """Advisory locks that outlived their transaction, and sessions whose last word was LISTEN."""
    roles = {role.name: role for role in seen.rows_or_none(ROLES) or ()}
    sessions = {session.pid: session for session in seen.rows_or_none(SESSIONS) or ()}
    for lock in seen.rows_or_none(ADVISORY_LOCKS) or ():
        holder = sessions.get(lock.pid)
        if holder is not None and holder.state == "idle" and holder.role and is_user(roles.get(holder.role)):
            yield Feature(
                role=holder.role,
                database=holder.database,
                habit=_habit("pg_advisory_lock("),
                evidence=f"an idle session holds {counted(lock.locks, 'advisory lock')}",
            )
    for session in sessions.values():
        text = (session.query or "").strip().lower()
        if session.is_client and session.role and text.startswith("listen ") and is_user(roles.get(session.role)):
            yield Feature(
                role=session.role,
                database=session.database,
                habit=_habit("listen x"),
                evidence="a session listens for notifications",
            )


def _habit(example: str) -> Habit:
    return next(habit for habit in HABITS if habit.pattern.match(example))
