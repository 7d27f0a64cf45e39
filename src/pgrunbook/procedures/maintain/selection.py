"""What a task would do: its steps, each with the reason why this table and not another, and what it leaves out."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field

from pgrunbook.journey.steps import Step, load, spec_of
from pgrunbook.model import Blind
from pgrunbook.model.plan import PlannedStep


@dataclass(frozen=True, slots=True, kw_only=True)
class Chosen:
    """One step, and why."""

    planned: PlannedStep
    reason: str

    @classmethod
    def of(cls, step: Step, reason: str, *, finding: str = "") -> Chosen:
        """A step that was chosen for this reason."""
        return cls(planned=PlannedStep(step=spec_of(step), finding=finding), reason=reason)

    @property
    def step(self) -> Step:
        """The step itself."""
        return load(self.planned.step)


@dataclass(frozen=True, slots=True, kw_only=True)
class LeftOut:
    """What looked like work and is not done, and why."""

    object: str
    reason: str


@dataclass(frozen=True, slots=True, kw_only=True)
class Selection:
    """All that a task would do, most urgent first.  `notes` hold for the whole; `blind` could not be looked at."""

    chosen: tuple[Chosen, ...]
    left_out: tuple[LeftOut, ...] = ()
    notes: tuple[str, ...] = ()
    blind: tuple[Blind, ...] = field(default=())


def limited(
    chosen: Sequence[Chosen],
    left_out: Sequence[LeftOut],
    max_steps: int,
    *,
    blind: tuple[Blind, ...] = (),
    notes: tuple[str, ...] = (),
) -> Selection:
    """The first so many steps; the others are left for the next time, and named."""
    later = [
        LeftOut(object=one.step.object[1], reason=f"{max_steps} a run (max_steps); it comes next time")
        for one in chosen[max_steps:]
    ]
    return Selection(chosen=tuple(chosen[:max_steps]), left_out=(*left_out, *later), notes=notes, blind=blind)
