"""A prepared transaction that nobody finishes.

Asks:    which transactions were prepared for two-phase commit and neither committed nor rolled back?
Unit:    age_s since PREPARE; held_transactions begun since.
Source:  pg_prepared_xacts, pg_locks.
Says:    {object} was prepared {age_s} ago in database {database} by {owner} and holds {locks} locks.
         It survives restarts, and keeps VACUUM from removing rows that died in the last {held_transactions}
         transactions.
Section: Maintenance Operations
Leads:   ROLLBACK PREPARED or COMMIT PREPARED
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass

from pgrunbook.journey.diagnose import mending
from pgrunbook.journey.diagnose.check import Check
from pgrunbook.journey.diagnose.seen import Seen
from pgrunbook.journey.observe.prepared_transactions import PREPARED_TRANSACTIONS
from pgrunbook.model import Finding, Kind, Severity, Verdict


@dataclass(frozen=True, slots=True, kw_only=True)
class Limits:
    """The second phase follows the first within milliseconds: it is one message of the coordinator.

    A second is a hundred times that; a coordinator that was restarted takes longer, and is worth a look.
    """

    age_s: float = 1.0


def judge(seen: Seen, limits: Limits) -> Iterator[Verdict]:
    """One finding a transaction, of every database."""
    for prepared in seen.rows(PREPARED_TRANSACTIONS):
        if prepared.age_s >= limits.age_s:
            yield Finding(
                severity=Severity.WARNING,
                kind=Kind.TRANSACTION,
                object=prepared.gid,
                evidence={
                    "age_s": round(prepared.age_s, 1),
                    "database": prepared.database,
                    "owner": prepared.owner,
                    "locks": prepared.locks,
                    "held_transactions": prepared.xid_age,
                },
                advice=(mending.roll_back(prepared.gid),),
            )


CHECK = Check(needs=(PREPARED_TRANSACTIONS,), judge=judge, limits=Limits())
