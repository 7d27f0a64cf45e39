"""Numbers of row-sharing transactions (multixacts) that run out.

Asks:    how old is the oldest multixact of each database, and of each table here?
Unit:    age in multixacts; the server stops making new ones at about 2,147 million.
Source:  mxid_age(datminmxid), mxid_age(relminmxid) against autovacuum_multixact_freeze_max_age.
Says:    The oldest multixacts of {object} are {age_transactions} old; autovacuum should have removed them at
         {freeze_max_age}.  After {left_transactions} more the server refuses to lock rows jointly.
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
from pgrunbook.journey.observe.relations import RELATIONS
from pgrunbook.journey.observe.settings import SETTINGS
from pgrunbook.model import Verdict


@dataclass(frozen=True, slots=True, kw_only=True)
class Limits:
    """Degrees, as for transaction_id_wraparound (its reasons hold here, too)."""

    overdue_factor: float = 2.0
    warn_ratio: float = 0.5
    critical_ratio: float = 0.75


def judge(seen: Seen, limits: Limits) -> Iterator[Verdict]:
    """The tables that are to blame where they are few, else their database; other databases as a whole."""
    yield from wraparound.judge(
        seen,
        wraparound.Clock(
            setting="autovacuum_multixact_freeze_max_age",
            overdue_factor=limits.overdue_factor,
            warn_ratio=limits.warn_ratio,
            critical_ratio=limits.critical_ratio,
            of_database=lambda database: database.min_mxid_age,
            of_catalogs=lambda database: database.catalog_mxid_age,
            of_relation=lambda relation: relation.min_mxid_age,
        ),
    )


CHECK = Check(needs=(DATABASES, RELATIONS, SETTINGS), judge=judge, limits=Limits())
