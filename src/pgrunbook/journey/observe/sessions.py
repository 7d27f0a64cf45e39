"""Who is connected and what each session does, by the server's own clock.

Every role sees that a session exists; what it does is shown only to pg_read_all_stats and to the session's own role.
"""

from __future__ import annotations

from dataclasses import dataclass
from datetime import datetime
from pathlib import Path

from pgrunbook.model import Question


@dataclass(frozen=True, slots=True, kw_only=True)
class Backend:
    """One row of pg_stat_activity.  `backend_type` None means that we may not see what it does.

    `query` is its latest statement without comments, and with `?` for every constant: texts in there can hold
    passwords.  Ages of xids count transactions, not seconds.  `client` is an address, or `local` for a socket.
    """

    pid: int
    is_self: bool
    backend_type: str | None
    database: str | None
    role: str | None
    application: str | None
    client: str | None
    state: str | None
    backend_started_at: datetime | None
    transaction_started_at: datetime | None
    query_started_at: datetime | None
    state_changed_at: datetime | None
    backend_age_s: float | None
    transaction_age_s: float | None
    query_age_s: float | None
    state_age_s: float | None
    wait_event_type: str | None
    wait_event: str | None
    xid_age: int | None
    xmin_age: int | None
    leader_pid: int | None
    query_id: int | None
    query: str | None

    @property
    def is_visible(self) -> bool:
        """Whether we may see what it does."""
        return self.backend_type is not None

    @property
    def is_client(self) -> bool:
        """A client's own backend: no parallel worker, walsender, autovacuum worker or other servant of the server."""
        if self.backend_type is None:
            return self.role is not None and self.database is not None
        return self.backend_type == "client backend"

    @property
    def is_ours(self) -> bool:
        """A session of pgrunbook."""
        return self.is_self or (self.application or "").startswith("pgrunbook/")

    @property
    def is_in_transaction(self) -> bool:
        """Idle inside an open transaction, whole or aborted."""
        return self.state in {"idle in transaction", "idle in transaction (aborted)"}


SESSIONS = Question(name="sessions", row=Backend, folder=Path(__file__).parent)
