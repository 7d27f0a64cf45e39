"""What became of a plan's steps where nothing can break."""

from __future__ import annotations

from dataclasses import dataclass
from enum import StrEnum

from pgrunbook.model.verdict import Lock, StepSpec


class RehearsalState(StrEnum):
    """`not_rehearsable` is no pass: the step is about something that no copy of a schema holds."""

    PASSED = "passed"
    FAILED = "failed"
    NOT_REHEARSABLE = "not_rehearsable"


@dataclass(frozen=True, slots=True, kw_only=True)
class RehearsedStep:
    """One step on the copy.

    `lock` is what the step says.  `lock_seen` is what was caught in pg_locks, None when the step was too quick for us.
    `duration_on_empty_s` says nothing about the target: the copy's tables hold no rows.  With rows, `duration_s` and
    `disk_bytes` (more than before, or less) are measured on this machine; `cost_ratio` is estimated: what the planner
    reckons for the step's queries after it, as a share of before.
    """

    spec: StepSpec
    title: str
    state: RehearsalState
    lock: Lock
    reason: str = ""
    hint: str = ""
    lock_seen: Lock | None = None
    duration_on_empty_s: float | None = None
    undo_checked: bool = False
    duration_s: float | None = None
    disk_bytes: int | None = None
    cost_ratio: float | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class Rehearsal:
    """All steps, on which server, and what of the target's schema was not there.

    `left_out` says what could not be copied and why, `stand_ins` what was replaced by something that does nothing,
    `cloned_tables` which came with their rows.
    """

    steps: tuple[RehearsedStep, ...]
    target_version: str
    scratch_version: str | None
    duration_s: float
    left_out: tuple[str, ...] = ()
    stand_ins: tuple[str, ...] = ()
    cloned_tables: tuple[str, ...] = ()
    cloned_bytes: int = 0

    def count(self, state: RehearsalState) -> int:
        """How many steps ended so."""
        return sum(step.state is state for step in self.steps)

    @property
    def failed(self) -> tuple[RehearsedStep, ...]:
        """The steps that must not be applied."""
        return tuple(step for step in self.steps if step.state is RehearsalState.FAILED)
