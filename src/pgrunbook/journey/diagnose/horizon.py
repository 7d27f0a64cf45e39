"""Who holds the oldest snapshot: no VACUUM can remove a row that died after it.

Backends, walsenders (a standby's feedback), replication slots, logical slots (for catalogs) and prepared transactions.
"""

from __future__ import annotations

from dataclasses import dataclass
from datetime import datetime
from enum import StrEnum

from pgrunbook.journey.diagnose.seen import Seen
from pgrunbook.journey.observe.prepared_transactions import PREPARED_TRANSACTIONS
from pgrunbook.journey.observe.replication_slots import REPLICATION_SLOTS
from pgrunbook.journey.observe.sessions import SESSIONS, Backend
from pgrunbook.model import Kind, dotted


class HolderType(StrEnum):
    """What holds a snapshot."""

    BACKEND = "backend"
    STANDBY = "standby feedback"
    SLOT = "replication slot"
    CATALOG_SLOT = "logical slot (catalogs)"
    PREPARED = "prepared transaction"


@dataclass(frozen=True, slots=True, kw_only=True)
class Holder:
    """One holder.  `xid_age` counts the transactions since; `held_s` and `since_at` are None where nobody knows."""

    type: HolderType
    kind: Kind
    object: str
    xid_age: int
    held_s: float | None
    since_at: datetime | None
    database: str | None
    is_active: bool
    backend: Backend | None = None

    def holds_rows_of(self, database: str) -> bool:
        """Whether it keeps dead rows of ordinary tables of this database."""
        if self.type is HolderType.CATALOG_SLOT:
            return False
        return self.database is None or self.database == database


def holders(seen: Seen) -> tuple[Holder, ...]:
    """Everyone who holds a snapshot, the oldest first; what could not be asked is left out."""
    found = [*_sessions(seen), *_slots(seen), *_prepared(seen)]
    return tuple(sorted(found, key=lambda holder: (-holder.xid_age, -(holder.held_s or 0.0), holder.object)))


def _sessions(seen: Seen) -> list[Holder]:
    found = []
    for backend in seen.rows_or_none(SESSIONS) or ():
        ages = [age for age in (backend.xmin_age, backend.xid_age) if age is not None]
        if not ages or backend.is_ours or backend.backend_type in {"autovacuum worker", "parallel worker"}:
            continue
        is_standby = backend.backend_type == "walsender" and backend.database is None
        found.append(
            Holder(
                type=HolderType.STANDBY if is_standby else HolderType.BACKEND,
                kind=Kind.SESSION,
                object=str(backend.pid),
                xid_age=max(ages),
                held_s=backend.transaction_age_s,
                since_at=backend.transaction_started_at,
                database=backend.database,
                is_active=True,
                backend=backend,
            )
        )
    return found


def _slots(seen: Seen) -> list[Holder]:
    found = []
    for slot in seen.rows_or_none(REPLICATION_SLOTS) or ():
        for holder_type, age in ((HolderType.SLOT, slot.xmin_age), (HolderType.CATALOG_SLOT, slot.catalog_xmin_age)):
            if age is not None and not slot.is_lost:
                found.append(
                    Holder(
                        type=holder_type,
                        kind=Kind.SLOT,
                        object=dotted(slot.name),
                        xid_age=age,
                        held_s=slot.inactive_s,
                        since_at=None,
                        database=slot.database if holder_type is HolderType.CATALOG_SLOT else None,
                        is_active=slot.is_active,
                    )
                )
    return found


def _prepared(seen: Seen) -> list[Holder]:
    return [
        Holder(
            type=HolderType.PREPARED,
            kind=Kind.TRANSACTION,
            object=prepared.gid,
            xid_age=prepared.xid_age,
            held_s=prepared.age_s,
            since_at=prepared.prepared_at,
            database=prepared.database,
            is_active=False,
        )
        for prepared in seen.rows_or_none(PREPARED_TRANSACTIONS) or ()
    ]
