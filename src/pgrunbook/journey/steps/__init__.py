"""The changes we know how to make, one file each, named for what it does.  The same objects are rehearsed and applied.

Stands before diagnose so that a finding can carry the very step that mends it: what is printed is what is run.
"""

from __future__ import annotations

import importlib
import pkgutil
from functools import cache
from typing import Any

from pgrunbook.errors import UsageError
from pgrunbook.journey.steps.step import Before, Stage, Step, params_of, spec_of
from pgrunbook.model import Advice, StepSpec
from pgrunbook.model.misfit import misfit

__all__ = ["Before", "Stage", "Step", "advise", "kinds", "load", "spec_of"]


@cache
def kinds() -> dict[str, Any]:
    """Every step class by kind.  A module in this folder that defines STEP is a step; there is no other list."""
    found: dict[str, Any] = {}
    for module in pkgutil.iter_modules(__path__):
        step = getattr(importlib.import_module(f"{__name__}.{module.name}"), "STEP", None)
        if step is not None:
            found[module.name] = step
    return found


def load(spec: StepSpec) -> Step:
    """Make the step again from its data.  Raises UsageError for a kind or values that this version does not know."""
    try:
        step, params = kinds()[spec.kind], params_of(spec)
    except (KeyError, TypeError) as exc:
        raise UsageError(f"this version of pgrunbook cannot read a step of kind {spec.kind!r}") from exc
    if wrong := misfit(step, params):
        raise UsageError(f"this version of pgrunbook cannot read a step of kind {spec.kind!r}: {wrong}")
    made: Step = step(**params)
    return made


def advise(step: Step, *, title: str = "") -> Advice:
    """Advice that carries a step: its SQL is the step's own."""
    undo = step.undo_statements()
    return Advice(
        title=title or step.title,
        sql="\n".join(f"{statement};" for statement in step.statements()),
        undo_sql="\n".join(f"{statement};" for statement in undo) if step.reversible and undo else None,
        lock=step.lock,
        risk=step.risk,
        step=spec_of(step),
    )
