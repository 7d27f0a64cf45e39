"""The order in which steps are taken, whatever order they were found in."""

from __future__ import annotations

from collections.abc import Sequence

from pgrunbook.journey.steps import kinds
from pgrunbook.journey.steps.step import Stage
from pgrunbook.model.plan import PlannedStep


def in_order(plan: Sequence[PlannedStep]) -> tuple[PlannedStep, ...]:
    """By stage: first what holds old snapshots, last what is dropped; the same step only once."""
    once: list[PlannedStep] = []
    for planned in plan:
        if all(planned.step != other.step for other in once):
            once.append(planned)
    return tuple(sorted(once, key=_stage))


def _stage(planned: PlannedStep) -> Stage:
    step = kinds().get(planned.step.kind)
    return step.stage if step is not None else Stage.REMOVE
