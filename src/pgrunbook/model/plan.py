"""What is to be done to which database, and what became of it."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from datetime import datetime
from enum import StrEnum

from pgrunbook.model.server import Server
from pgrunbook.model.verdict import StepSpec, Value


@dataclass(frozen=True, slots=True, kw_only=True)
class TargetPrint:
    """What makes a target this one and no other.  A plan that was made for another is refused."""

    system_identifier: str | None
    database: str
    user: str
    timeline: int | None = None

    @classmethod
    def of(cls, server: Server) -> TargetPrint:
        """The print of a server that was probed."""
        return cls(
            system_identifier=server.system_identifier,
            database=server.database,
            user=server.user,
            timeline=server.timeline,
        )

    def differences(self, other: TargetPrint) -> tuple[str, ...]:
        """What is different, in words; () when it is the same target."""
        pairs = (
            ("system identifier", self.system_identifier, other.system_identifier),
            ("database", self.database, other.database),
            ("role", self.user, other.user),
            ("timeline", self.timeline, other.timeline),
        )
        return tuple(f"{name} {mine} is now {theirs}" for name, mine, theirs in pairs if mine != theirs)


@dataclass(frozen=True, slots=True, kw_only=True)
class MeasuredQuery:
    """A statement that a step should make faster: `$n` stands where its constants were."""

    text: str
    queryid: int | None = None
    role: str | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class Expected:
    """What a step is reckoned to take: estimated, never measured.  `disk_bytes` below 0 are given back."""

    duration_s: float
    disk_bytes: int = 0


@dataclass(frozen=True, slots=True, kw_only=True)
class PlannedStep:
    """One step, the finding that it mends, the queries measured before and after it, and what it should take."""

    step: StepSpec
    finding: str = ""
    queries: tuple[MeasuredQuery, ...] = ()
    expected: Expected | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class Plan:
    """Steps for one target."""

    target: TargetPrint
    steps: tuple[PlannedStep, ...]
    made_at: datetime


@dataclass(frozen=True, slots=True, kw_only=True)
class Judgement:
    """Whether a step did what it promised.  `improved` is None when there was nothing to measure: the step is kept."""

    improved: bool | None
    reason: str
    figures: Mapping[str, Value] = field(default_factory=dict)


class Phase(StrEnum):
    """Where a step is.  Announced when the phase begins."""

    RECONCILE = "reconcile"
    PRECHECK = "precheck"
    CAPTURE = "capture"
    MEASURE_BEFORE = "measure_before"
    INTENT = "intent"
    DO = "do"
    WAIT = "wait"
    WORK = "work"
    RETRY = "retry"
    MEND = "mend"
    DONE = "done"
    MEASURE_AFTER = "measure_after"
    UNDOING = "undoing"
    UNDO = "undo"
    OUTCOME = "outcome"
    END = "end"


@dataclass(frozen=True, slots=True, kw_only=True)
class Progress:
    """One piece of news for a progress display.

    `ratio` is 0..1 within the phase, None when nobody knows.  News of phase WORK comes from another thread.
    """

    phase: Phase
    text: str
    number: int = 0
    total: int = 0
    ratio: float | None = None


class StepState(StrEnum):
    """What became of a step.

    `open` has an intent and no outcome: its process died, and the next run looks in the catalog.
    """

    OPEN = "open"
    KEPT = "kept"
    ALREADY = "already"
    RECONCILED = "reconciled"
    UNDONE = "undone"
    REFUSED = "refused"
    FAILED = "failed"
    IRREVERSIBLE = "irreversible"

    @property
    def stands(self) -> bool:
        """Whether the step's change is in the database."""
        return self in {StepState.KEPT, StepState.RECONCILED, StepState.IRREVERSIBLE}


@dataclass(frozen=True, slots=True, kw_only=True)
class StepOutcome:
    """One step's end: `refused` changed nothing; `failed` left something that the next run mends."""

    step_id: str
    spec: StepSpec
    title: str
    state: StepState
    reason: str = ""
    hint: str = ""
    finding: str = ""
    figures: Mapping[str, Value] = field(default_factory=dict)
    duration_s: float = 0.0
    undo_sql: str | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class RunOutcome:
    """What a run of `apply` or `undo` did, step by step, in the order in which it was done."""

    run_id: str
    kind: str
    started_at: datetime
    ended_at: datetime
    steps: tuple[StepOutcome, ...]
    reconciled: tuple[StepOutcome, ...] = ()

    def count(self, *states: StepState) -> int:
        """How many steps ended so."""
        return sum(step.state in states for step in self.steps)

    @property
    def exit_code(self) -> int:
        """The exit code of the command: 0, 4 (nothing was changed), 5 (undone again) or 6 (changed in part)."""
        failed = self.count(StepState.FAILED) + sum(step.state is StepState.FAILED for step in self.reconciled)
        if failed:
            return 6
        if self.count(StepState.REFUSED):
            changed = StepState.UNDONE if self.kind == "undo" else StepState.KEPT
            return 6 if self.count(changed) else 4
        if self.kind == "apply" and self.count(StepState.UNDONE):
            return 5
        return 0
