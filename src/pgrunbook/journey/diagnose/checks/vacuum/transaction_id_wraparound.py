"""Transaction numbers that run out.

Asks:    how many transactions old is the oldest unfrozen row of each database, and of each table here?
Unit:    age in transactions; the server stops writing at about 2,147 million.
Source:  age(datfrozenxid), age(relfrozenxid) against autovacuum_freeze_max_age.
Says:    The oldest rows of {object} are {age_transactions} transactions old; autovacuum should have frozen them at
         {freeze_max_age}.  After {left_transactions} more the server refuses to write.  {held_by} keeps them.
Section: Maintenance Operations
Leads:   vacuum
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass

from pgrunbook.journey.diagnose import wraparound
from pgrunbook.journey.diagnose.check import Check
from pgrunbook.journey.diagnose.seen import Seen
from pgrunbook.journey.observe.databases import DATABASES
from pgrunbook.journey.observe.prepared_transactions import PREPARED_TRANSACTIONS
from pgrunbook.journey.observe.relations import RELATIONS
from pgrunbook.journey.observe.replication_slots import REPLICATION_SLOTS
from pgrunbook.journey.observe.sessions import SESSIONS
from pgrunbook.journey.observe.settings import SETTINGS
from pgrunbook.model import Verdict


@dataclass(frozen=True, slots=True, kw_only=True)
class Limits:
    """Degrees.  At autovacuum_freeze_max_age the server freezes by force, so a multiple says that it cannot keep up.

    `overdue_factor` leaves a large table's freeze the time of as many transactions again.  `warn_ratio` and
    `critical_ratio` are shares of the 2^31 that there are: half, and three quarters (where vacuum_failsafe_age, 1.6
    billion, drops everything else to freeze).
    """

    overdue_factor: float = 2.0
    warn_ratio: float = 0.5
    critical_ratio: float = 0.75


def judge(seen: Seen, limits: Limits) -> Iterator[Verdict]:
    """The tables that are to blame where they are few, else their database; other databases as a whole."""
    yield from wraparound.judge(
        seen,
        wraparound.Clock(
            setting="autovacuum_freeze_max_age",
            overdue_factor=limits.overdue_factor,
            warn_ratio=limits.warn_ratio,
            critical_ratio=limits.critical_ratio,
            of_database=lambda database: database.frozen_xid_age,
            of_catalogs=lambda database: database.catalog_xid_age,
            of_relation=lambda relation: relation.frozen_xid_age,
        ),
    )


CHECK = Check(
    needs=(DATABASES, RELATIONS, SETTINGS),
    likes=(SESSIONS, REPLICATION_SLOTS, PREPARED_TRANSACTIONS),
    judge=judge,
    limits=Limits(),
)
