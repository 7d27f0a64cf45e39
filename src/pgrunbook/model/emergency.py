"""What an emergency procedure sees, would do and has done, session by session."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from datetime import datetime
from enum import StrEnum

from pgrunbook.model.plan import RunOutcome
from pgrunbook.model.server import Server
from pgrunbook.model.verdict import Value


class Action(StrEnum):
    """What becomes of a session: `later` is touched only if it still blocks others when its own blocker is gone."""

    CANCEL = "cancel"
    END = "end"
    LATER = "later"
    LEAVE = "leave"


@dataclass(frozen=True, slots=True, kw_only=True)
class SessionView:
    """One session, what becomes of it, and why.

    `waits_for` are the first of those it waits for, `under` the one below whom it is drawn; `behind` counts those who
    wait for it, directly or in line.
    """

    pid: int
    action: Action
    reason: str
    backend_started_at: datetime | None
    backend_type: str | None
    database: str | None
    role: str | None
    application: str | None
    client: str | None
    state: str | None
    query_age_s: float | None
    transaction_age_s: float | None
    state_age_s: float | None
    waits_for: tuple[int, ...] = ()
    under: int | None = None
    behind: int = 0
    query: str | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class Picture:
    """The server at one time: how full it is, and whatever puts it under pressure, in words."""

    taken_at: datetime
    used: int
    usable: int
    active: int
    waiting: int
    pressure: tuple[str, ...]
    sessions: tuple[SessionView, ...]


@dataclass(frozen=True, slots=True, kw_only=True)
class FurtherAct:
    """What a procedure does beside touching sessions.  `state` is `would`, `done`, `skipped` or `failed`."""

    title: str
    state: str
    reason: str = ""


@dataclass(frozen=True, slots=True, kw_only=True)
class EmergencyReport:
    """A dry run (`outcome` and `after` are None), or what was done.

    `remaining` are the sessions that were to be touched and still are as they were.
    """

    procedure: str
    server: Server
    limits: Mapping[str, Value]
    before: Picture
    further: tuple[FurtherAct, ...] = ()
    notes: tuple[str, ...] = ()
    outcome: RunOutcome | None = None
    after: Picture | None = None
    remaining: tuple[int, ...] = field(default_factory=tuple)

    @property
    def chosen(self) -> tuple[SessionView, ...]:
        """The sessions that are touched at once, in their order."""
        return tuple(one for one in self.before.sessions if one.action in {Action.CANCEL, Action.END})

    @property
    def exit_code(self) -> int:
        """0 when all that was chosen is settled, 4 when nothing could be changed, 6 when something is left."""
        if self.outcome is None:
            return 0
        failed = bool(self.remaining) or any(act.state == "failed" for act in self.further)
        if not failed:
            return 0
        changed = any(step.state.stands for step in self.outcome.steps)
        return 6 if changed or any(act.state == "done" for act in self.further) else 4
