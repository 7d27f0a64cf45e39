"""What acting needs from verifying: figures before, figures after, and a judgement on the two."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Protocol, TypeAlias

from pgrunbook.model import Value
from pgrunbook.model.plan import Judgement, PlannedStep
from pgrunbook.pg.connect import Session

Figures: TypeAlias = Mapping[str, Value]  # they are journalled, so that a judgement survives a crash


class Verifier(Protocol):
    """Measures what a step should improve.

    It may raise Refused (before: the step is not begun; after: the step is undone, because nothing proves it).
    It must leave the session as it found it.
    """

    def measure(self, conn: Session, planned: PlannedStep) -> Figures:
        """Figures of the planned step's queries; {} when there is nothing to measure."""
        ...

    def judge(self, planned: PlannedStep, before: Figures, after: Figures) -> Judgement:
        """Whether the step did what it promised."""
        ...


class KeepAll:
    """Measures nothing and keeps every step that the catalog shows."""

    def measure(self, conn: Session, planned: PlannedStep) -> Figures:  # noqa: ARG002 - nothing to measure
        """Nothing."""
        return {}

    def judge(self, planned: PlannedStep, before: Figures, after: Figures) -> Judgement:  # noqa: ARG002 - no figures
        """Kept."""
        return Judgement(improved=None, reason="the catalog shows it; nothing was measured")
