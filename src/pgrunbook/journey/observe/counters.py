"""How far back the cumulative statistics of this database reach, and who else could have done its reading."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import datetime
from pathlib import Path

from pgrunbook.model import Question


@dataclass(frozen=True, slots=True, kw_only=True)
class Counters:
    """One row.  `reset_at` is this database's own reset, if any.

    `kept_since_at` is the oldest reset of the server-wide statistics: a crash resets all of them, and with them the
    counters of every table, without a trace in `reset_at`.
    """

    reset_at: datetime | None
    kept_since_at: datetime | None
    now_at: datetime
    walsenders: int
    physical_slots: int
    is_counting: bool

    @property
    def age_s(self) -> float:
        """Seconds that the counters of tables and indexes cover for certain; 0 when nothing is known."""
        starts = [at for at in (self.reset_at, self.kept_since_at) if at is not None]
        return max(0.0, (self.now_at - max(starts)).total_seconds()) if starts else 0.0

    @property
    def may_have_replicas(self) -> bool:
        """Whether a standby streams from here, or a slot waits for one."""
        return self.walsenders > 0 or self.physical_slots > 0


COUNTERS = Question(name="counters", row=Counters, folder=Path(__file__).parent)
