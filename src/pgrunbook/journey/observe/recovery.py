"""How far a standby has come, whom it follows and whether somebody told it to wait, as it sees that itself.

Positions are bytes since the beginning of the WAL, so that they can be compared and subtracted.
"""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

from pgrunbook.model import Question


@dataclass(frozen=True, slots=True, kw_only=True)
class Recovery:
    """One row, also on a primary (where everything about replay is None).

    `last_transaction_age_s` is how long ago the last replayed transaction was committed on the primary: it grows
    without end while the primary is idle.  `follows_primary` says whether primary_conninfo is set (None: we may not
    know).  `startup_waits_for` is what the process that replays waits for, where we may see it.
    """

    is_standby: bool
    received_position: int | None
    replayed_position: int | None
    pause_state: str | None
    last_transaction_age_s: float | None
    follows_primary: bool | None
    min_apply_delay_s: float | None
    receiver_timeout_s: float | None
    startup_waits_for: str | None

    @property
    def is_paused(self) -> bool:
        """Whether somebody paused replay (or asked for it)."""
        return self.pause_state in {"paused", "pause requested"}


@dataclass(frozen=True, slots=True, kw_only=True)
class WalReceiver:
    """The process that streams WAL from the primary; no row where none runs.

    `sender_end_position` is the end of the sender's WAL as it last said, and `sender_end_age_s` how long ago it moved,
    with the difference of both clocks taken out.
    """

    status: str | None
    sender_host: str | None
    sender_port: int | None
    slot: str | None
    sender_end_position: int | None
    sender_end_age_s: float | None
    silence_s: float | None


_HERE = Path(__file__).parent
RECOVERY = Question(name="recovery", row=Recovery, folder=_HERE, counters=True)
WAL_RECEIVER = Question(name="wal_receiver", row=WalReceiver, folder=_HERE, needs="pg_read_all_stats")
