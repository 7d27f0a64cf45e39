"""Who waits for whom, and who holds advisory locks, from the lock table (every role may see it).

pg_blocking_pids() briefly stops all changes to the lock table, so it is asked only for sessions that wait, and for the
500 that have waited longest.
"""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

from pgrunbook.model import Question, dotted


@dataclass(frozen=True, slots=True, kw_only=True)
class Waiter:
    """A session that waits for a lock.  `blocked_by` holds pids; 0 stands for a prepared transaction.

    `prepared_gids` names prepared transactions that hold the same lock.  The relation is known when the lock is one on
    a relation of this database; a wait for a row is a wait for the transaction that changed it.
    """

    pid: int
    blocked_by: tuple[int, ...]
    prepared_gids: tuple[str, ...]
    lock_type: str
    mode: str
    schema: str | None
    name: str | None
    waiting_s: float | None

    @property
    def relation(self) -> str | None:
        """`schema.name` of the relation waited for."""
        return dotted(self.schema, self.name) if self.schema is not None and self.name is not None else None


@dataclass(frozen=True, slots=True, kw_only=True)
class AdvisoryLocks:
    """The advisory locks that one session holds: how many, and the first five keys (one bigint, or two integers)."""

    pid: int
    database: str | None
    locks: int
    keys: tuple[str, ...]


_HERE = Path(__file__).parent
BLOCKING = Question(name="blocking", row=Waiter, folder=_HERE)
ADVISORY_LOCKS = Question(name="advisory_locks", row=AdvisoryLocks, folder=_HERE)
