"""Who receives this server's WAL, and how far each has come, as this server sees it (a primary or a cascading standby).

Positions are bytes since the beginning of the WAL, so that they can be compared and subtracted.
"""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

from pgrunbook.model import Question


@dataclass(frozen=True, slots=True, kw_only=True)
class Receiver:
    """One walsender and its client.  `end_position` is how far the WAL goes that could be sent to it.

    Programs that only store WAL (pg_receivewal, pg_basebackup) replay nothing: `is_replaying` is false for them.
    `replay_lag_s` is measured by the server; it stays for a while after the client has caught up, and grows while
    replay is stuck.  The client reports at least every wal_receiver_status_interval (10 s): `reply_age_s`.
    """

    pid: int
    application_name: str
    client_address: str | None
    slot: str | None
    is_logical: bool
    state: str | None
    sync_state: str | None
    is_replaying: bool
    end_position: int | None
    sent_position: int | None
    flushed_position: int | None
    replayed_position: int | None
    replay_lag_s: float | None
    reply_age_s: float | None
    connected_s: float | None

    @property
    def is_standby(self) -> bool:
        """Whether it is a server that replays our WAL, or has just come and said nothing; no subscriber, no copy."""
        has_just_come = self.reply_age_s is None and self.state != "backup"
        return (self.is_replaying or has_just_come) and not self.is_logical

    @property
    def lag_bytes(self) -> int | None:
        """The WAL that it has not replayed (or, where it replays nothing, that was not sent to it)."""
        reached = self.replayed_position if self.is_replaying else self.sent_position
        return None if self.end_position is None or reached is None else max(0, self.end_position - reached)


REPLICATION = Question(
    name="replication", row=Receiver, folder=Path(__file__).parent, needs="pg_read_all_stats", counters=True
)
