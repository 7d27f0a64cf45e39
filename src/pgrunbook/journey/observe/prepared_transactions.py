"""Transactions that were prepared for two-phase commit and neither committed nor rolled back (every role sees them)."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import datetime
from pathlib import Path

from pgrunbook.model import Question


@dataclass(frozen=True, slots=True, kw_only=True)
class PreparedTransaction:
    """One prepared transaction.  `xid_age` counts transactions begun since; `locks` are those that it still holds."""

    gid: str
    database: str
    owner: str
    prepared_at: datetime
    age_s: float
    xid_age: int
    locks: int


PREPARED_TRANSACTIONS = Question(name="prepared_transactions", row=PreparedTransaction, folder=Path(__file__).parent)
