"""How many server connections the clients of each role and database really use at one time.

From counts of the sessions over the look, and from the time that the database says its sessions were at work: what is
at work or idle within a transaction holds a connection, all the rest only keeps one.
"""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass

from pgrunbook.journey.advise.span import Span, span_of
from pgrunbook.journey.diagnose.seen import Seen
from pgrunbook.journey.observe.databases import DATABASES, Database
from pgrunbook.journey.observe.roles import ROLES, Role
from pgrunbook.journey.observe.session_tally import SESSION_TALLY, SessionTally

UNLIKELY = 2.33  # deviations above the mean: one moment in a hundred has more
QUESTIONS_ABOUT = 30  # that we ask between two readings of the counters, each a transaction
_WATCHERS = frozenset({"pg_monitor", "pg_read_all_stats"})
_COUNTED = ("commits", "rollbacks", "active_time_s", "idle_in_transaction_time_s", "session_time_s", "sessions")


@dataclass(frozen=True, slots=True, kw_only=True)
class Demand:
    """One role in one database.  Means and maxima are over `samples` counts of its sessions."""

    database: str
    role: str
    samples: int
    sessions_max: int
    busy_mean: float
    busy_max: int
    active_mean: float
    waiting_max: int
    unseen: int
    longest_transaction_s: float | None

    @property
    def name(self) -> str:
        """As it is spoken of."""
        return f"{self.role} in {self.database}"

    @property
    def needed(self) -> int:
        """Connections that are enough in ninety-nine moments of a hundred, and for what was seen.

        Arrivals by chance: as many deviations (the root of the mean) above the mean.
        """
        by_chance = math.ceil(self.busy_mean + UNLIKELY * math.sqrt(self.busy_mean))
        return max(2, self.busy_max, by_chance)


def demands(seen: Seen) -> tuple[Demand, ...]:
    """Every role and database with application sessions, the busiest first."""
    return _demands(seen, is_application=True)


def others(seen: Seen) -> tuple[Demand, ...]:
    """Administrators, watchers and copiers: they go past a pooler and need connections, too."""
    return _demands(seen, is_application=False)


def _demands(seen: Seen, *, is_application: bool) -> tuple[Demand, ...]:
    rows = seen.rows(SESSION_TALLY)
    roles = {role.name: role for role in seen.rows_or_none(ROLES) or ()}
    moments = len({row.sampled_at for row in rows})
    pairs: dict[tuple[str, str], list[SessionTally]] = {}
    for row in rows:
        pairs.setdefault((row.database, row.role), []).append(row)
    found = [
        _demand(database, role, tallies, moments)
        for (database, role), tallies in pairs.items()
        if is_user(roles.get(role)) == is_application
    ]
    return tuple(sorted(found, key=lambda demand: (-demand.busy_mean, -demand.sessions_max, demand.name)))


def is_user(role: Role | None) -> bool:
    """Whether its sessions are an application's: no superuser, no copier, no watcher."""
    if role is None:
        return True
    return not (role.is_superuser or role.may_replicate or _WATCHERS & set(role.member_of))


def _demand(database: str, role: str, tallies: Sequence[SessionTally], moments: int) -> Demand:
    return Demand(
        database=database,
        role=role,
        samples=moments,
        sessions_max=max(tally.sessions for tally in tallies),
        busy_mean=sum(tally.busy for tally in tallies) / moments,
        busy_max=max(tally.busy for tally in tallies),
        active_mean=sum(tally.active for tally in tallies) / moments,
        waiting_max=max(tally.waiting for tally in tallies),
        unseen=max(tally.unseen for tally in tallies),
        longest_transaction_s=max(
            (tally.longest_transaction_s for tally in tallies if tally.longest_transaction_s is not None), default=None
        ),
    )


@dataclass(frozen=True, slots=True, kw_only=True)
class Transactions:
    """What this database's sessions did: on average, over a span.  `own` of its transactions were about ours."""

    span: Span
    own: int = 0

    @property
    def busy(self) -> float:
        """Sessions that held a connection for a transaction, on average."""
        return self.span.per_s("active_time_s") + self.span.per_s("idle_in_transaction_time_s")

    @property
    def active(self) -> float:
        """Sessions at work, on average."""
        return self.span.per_s("active_time_s")

    @property
    def per_s(self) -> float | None:
        """Transactions a second; None where most of them were our own."""
        done = self.span["commits"] + self.span["rollbacks"] - self.own
        return done / self.span.seconds if done > self.own and self.span.seconds > 0 else None

    @property
    def mean_s(self) -> float | None:
        """How long a transaction holds its connection; None where nobody knows."""
        return self.busy / self.per_s if self.per_s else None

    @property
    def hold_ratio(self) -> float:
        """Connections held for each one at work: 1 where nobody idles within a transaction."""
        return max(1.0, self.busy / self.active) if self.active > 0.01 else 1.0


def transactions(seen: Seen) -> Transactions | None:
    """Of the current database; None where the counters cannot tell."""

    def figures(rows: Sequence[Database]) -> Mapping[str, float]:
        return {name: sum(float(getattr(row, name)) for row in rows if row.is_current) for name in _COUNTED}

    def age_s(rows: Sequence[Database]) -> float | None:
        return next((row.counters_age_s for row in rows if row.is_current), None)

    span = span_of(seen, DATABASES, figures, age_s)
    if span is None:
        return None
    samples = len({tally.sampled_at for tally in seen.rows_or_none(SESSION_TALLY) or ()})
    return Transactions(span=span, own=samples + QUESTIONS_ABOUT if span.is_window else 0)
