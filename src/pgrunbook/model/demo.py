"""What the demonstration measured, phase by phase and step by step: the value that its report is drawn from."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import datetime
from enum import StrEnum

from pgrunbook.model.diagnosis import Diagnosis
from pgrunbook.model.verdict import Basis, Lock


class StepOutcome(StrEnum):
    """What became of a step: kept because it helped, kept without a measure of its own, or undone."""

    KEPT = "kept"
    UNMEASURED = "kept, not measured by itself"
    UNDONE = "undone"


@dataclass(frozen=True, slots=True, kw_only=True)
class DemoPhase:
    """One load against one state of the database.  `name` is sick, cured, healthy or thousand; `label` is for people.

    `other_cpu_ratio` is what other processes took of the machine meanwhile; latency is without think time.
    """

    name: str
    label: str
    users: int
    samples: int
    p50_ms: float
    p95_ms: float
    p99_ms: float
    throughput_per_s: float
    failed: int = 0
    other_cpu_ratio: float | None = None
    pooled: bool = False


@dataclass(frozen=True, slots=True, kw_only=True)
class DemoPoint:
    """One interval of the timeline: `t_s` is its end, since the first load began.  No sample: `p95_ms` is None."""

    t_s: float
    phase: str
    p95_ms: float | None
    throughput_per_s: float


@dataclass(frozen=True, slots=True, kw_only=True)
class DemoStep:
    """One step that was applied under load.  `before_ms` and `after_ms` are of the queries that it is for."""

    title: str
    sql: str
    undo_sql: str | None
    lock: Lock
    duration_s: float
    at_s: float
    outcome: StepOutcome
    check: str
    object: str
    before_ms: float | None = None
    after_ms: float | None = None
    basis: Basis = Basis.MEASURED


@dataclass(frozen=True, slots=True, kw_only=True)
class DemoResult:
    """The whole demonstration.  `data_users` is the size of the data set; each phase has its own number of clients."""

    data_users: int
    seed: int
    taken_at: datetime
    duration_s: float
    phases: tuple[DemoPhase, ...]
    timeline: tuple[DemoPoint, ...]
    steps: tuple[DemoStep, ...]
    before: Diagnosis
    after: Diagnosis
    notes: tuple[str, ...] = ()
    kept_dsn: str = ""  # of the server that was left running on request

    def phase(self, name: str) -> DemoPhase | None:
        """The phase of this name, if it was run."""
        return next((phase for phase in self.phases if phase.name == name), None)
