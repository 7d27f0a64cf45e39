"""End one session: that very session in that very statement or idle transaction, or nobody.

Cancelling does nothing to a transaction that is idle, so it is terminated.  An active one is cancelled first
(cancel_query) and ended only when that was not enough.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import ClassVar

from pgrunbook.errors import Refused
from pgrunbook.journey.steps.session_guard import OnSession, guarded
from pgrunbook.journey.steps.step import Before, Stage
from pgrunbook.pg.connect import Session

LEAVE_MS = 5000  # how long it may take to leave
END = guarded(f"pg_catalog.pg_terminate_backend(v.pid, {LEAVE_MS})", "end_session")


@dataclass(frozen=True, slots=True, kw_only=True)
class EndSession(OnSession):
    """Terminate one session, which rolls back what it had not committed."""

    kind: ClassVar[str] = "end_session"
    stage: ClassVar[Stage] = Stage.RELEASE

    @property
    def title(self) -> str:
        return f"End session {self.pid} ({self.state})"

    @property
    def risk(self) -> str:
        if self.state == "idle":
            return "No way back: its client gets an error, and loses its temporary tables and prepared statements."
        return "No way back: its open transaction is rolled back, and its client gets an error."

    def statements(self) -> tuple[str, ...]:
        return (self.as_typed("pg_terminate_backend"),)

    def do(self, conn: Session) -> None:
        """Raises Refused when it is no longer the same, or does not leave in time."""
        ended = conn.execute(END, self.identity).fetchone()
        if ended is None and not self.done(conn):
            raise Refused(f"session {self.pid} went on in the meantime; it was left alone", hint="Look again.")
        if ended is not None and not ended[1] and not self.done(conn):
            raise Refused(
                f"session {self.pid} was told to leave but has not within {LEAVE_MS / 1000:g} s",
                hint="It leaves when its current system call ends; look again later.",
            )

    def done(self, conn: Session, before: Before | None = None) -> bool:
        """Whether that session is gone; another with its pid is not it."""
        return self.look(conn) is None


STEP = EndSession
