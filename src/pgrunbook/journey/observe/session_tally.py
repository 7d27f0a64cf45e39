"""How many sessions of each role are in each database and what they do, cheap enough to be asked every second.

Asked once it is one sample; `sampled_at` tells the samples of a longer look apart.  What a session does is shown only
to pg_read_all_stats and to its own role: the others count in `unseen`.
"""

from __future__ import annotations

from dataclasses import dataclass
from datetime import datetime
from pathlib import Path

from pgrunbook.model import Question


@dataclass(frozen=True, slots=True, kw_only=True)
class SessionTally:
    """Client sessions of one role in one database at one time; `waiting` are those active ones that wait for a lock.

    `longest_transaction_s` is the age of the oldest transaction among them, None where none is open.
    """

    sampled_at: datetime
    database: str
    role: str
    sessions: int
    active: int
    in_transaction: int
    idle: int
    waiting: int
    unseen: int
    longest_transaction_s: float | None

    @property
    def busy(self) -> int:
        """Sessions that hold a server connection for a transaction: at work, or idle within one."""
        return self.active + self.in_transaction


@dataclass(frozen=True, slots=True, kw_only=True)
class TempTables:
    """One row: temporary tables of this database, and in how many sessions' schemas they lie."""

    tables: int
    schemas: int


_HERE = Path(__file__).parent
SESSION_TALLY = Question(name="session_tally", row=SessionTally, folder=_HERE)
TEMP_TABLES = Question(name="temp_tables", row=TempTables, folder=_HERE)
