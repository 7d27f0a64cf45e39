"""Cancel what one session runs: that very statement, or none.

The session stays, and its client gets an error for the statement.  A backend that writes to a client who does not
read, or sits in a system call, may take its time: then the step says so, and ending the session is the next.
"""

from __future__ import annotations

import time
from dataclasses import dataclass
from typing import ClassVar

from pgrunbook.errors import Refused
from pgrunbook.journey.steps.session_guard import OnSession, guarded
from pgrunbook.journey.steps.step import Before, Stage
from pgrunbook.pg.connect import Session

CANCEL = guarded("pg_catalog.pg_cancel_backend(v.pid)", "cancel_query")
NEWS_WAIT_S = 2.0  # a signal travels by itself; who asks at once may be too early
POLL_S = 0.05


@dataclass(frozen=True, slots=True, kw_only=True)
class CancelQuery(OnSession):
    """Cancel one statement and wait up to `wait_s` for it to end."""

    kind: ClassVar[str] = "cancel_query"
    stage: ClassVar[Stage] = Stage.RELEASE

    state: str = "active"
    wait_s: float = 5.0

    @property
    def title(self) -> str:
        return f"Cancel the query of session {self.pid}"

    @property
    def risk(self) -> str:
        return "No way back: the statement fails, and with it its transaction; the session stays."

    def statements(self) -> tuple[str, ...]:
        return (self.as_typed("pg_cancel_backend"),)

    def do(self, conn: Session) -> None:
        """Raises Refused when it runs on: it was signalled, but has not reacted yet."""
        signalled = conn.execute(CANCEL, self.identity).fetchone()
        if signalled is None and not self.done(conn):
            raise Refused(f"session {self.pid} may not be touched; it was left alone", hint="Look again.")
        if signalled is not None and not self._over_within(conn, self.wait_s):
            raise Refused(
                f"session {self.pid} was told to stop but still ran {self.wait_s:g} s later",
                hint="It reads the signal when its current system call ends; ending the session is the next resort.",
            )

    def done(self, conn: Session, before: Before | None = None) -> bool:
        """Whether that statement is over.  One that we may not see is not known to be."""
        return self._over_within(conn, NEWS_WAIT_S if before is not None else 0.0)

    def _over_within(self, conn: Session, budget_s: float) -> bool:
        deadline = time.monotonic() + budget_s
        while True:
            seen = self.look(conn)
            if seen is None or (not seen.is_same and seen.state is not None):
                return True
            if time.monotonic() >= deadline:
                return False
            time.sleep(POLL_S)


STEP = CancelQuery
