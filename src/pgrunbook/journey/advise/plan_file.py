"""A plan as a file that people review: what each step runs, locks and how it is undone, and for which target.

Only the steps' kinds and parameters are read back; the SQL beside them is for people.  When the two disagree, somebody
edited one of them, and the plan is refused: what was reviewed must be what is run.
"""

from __future__ import annotations

import json
from collections.abc import Mapping
from dataclasses import asdict
from datetime import datetime
from pathlib import Path
from typing import Any

from pgrunbook import __version__
from pgrunbook.errors import Refused, UsageError
from pgrunbook.journey.steps import load as load_step
from pgrunbook.model import StepSpec
from pgrunbook.model.plan import Expected, MeasuredQuery, Plan, PlannedStep, TargetPrint

FORMAT = 1
_MARK = "pgrunbook_plan"


def as_dict(plan: Plan) -> dict[str, Any]:
    """The plan as JSON's values."""
    return {
        _MARK: FORMAT,
        "version": __version__,
        "made_at": plan.made_at.isoformat(),
        "target": asdict(plan.target),
        "steps": [_step(planned) for planned in plan.steps],
    }


def load(path: Path) -> Plan:
    """Read a plan.  Raises UsageError for a file that is none, Refused for one whose SQL is not what its steps do."""
    try:
        content = json.loads(path.read_text(encoding="utf-8", errors="surrogatepass"))
    except OSError as exc:
        raise UsageError(f"cannot read the plan {path}: {exc.strerror or exc}") from exc
    except ValueError as exc:
        raise UsageError(f"{path} is no plan: {exc}", hint="pgrunbook plan -o FILE writes one.") from exc
    if not isinstance(content, dict) or not isinstance(content.get(_MARK), int):
        raise UsageError(f"{path} is no plan of pgrunbook", hint="pgrunbook plan -o FILE writes one.")
    if content[_MARK] > FORMAT:
        raise UsageError(f"{path} was written by a newer pgrunbook ({content.get('version')})", hint="Update this one.")
    try:
        plan = Plan(
            target=TargetPrint(**content["target"]),
            steps=tuple(_step_again(stored) for stored in content["steps"]),
            made_at=datetime.fromisoformat(content["made_at"]),
        )
        said = [tuple(stored["sql"]) for stored in content["steps"]]
    except (KeyError, TypeError, ValueError, AttributeError) as exc:
        raise UsageError(f"{path} is a broken plan: {type(exc).__name__}: {exc}") from exc
    for number, (planned, sql) in enumerate(zip(plan.steps, said, strict=True), start=1):
        if load_step(planned.step).statements() != sql:
            raise Refused(
                f"step {number} of {path} says other SQL than it would run; nothing was changed",
                hint="Leave out whole steps, or make the plan again; single values cannot be edited.",
            )
    return plan


def _step(planned: PlannedStep) -> dict[str, Any]:
    step = load_step(planned.step)
    return {
        "title": step.title,
        "finding": planned.finding,
        "sql": list(step.statements()),
        "undo_sql": list(step.undo_statements()) if step.reversible else [],
        "reversible": step.reversible,
        "lock": step.lock.value,
        "lock_budget_s": step.lock_budget_s,
        "risk": step.risk,
        "expected": {"basis": "estimated", **asdict(planned.expected)} if planned.expected is not None else None,
        "measured": [asdict(query) for query in planned.queries],
        "step": {"kind": planned.step.kind, "params": dict(planned.step.params)},
    }


def _step_again(stored: Mapping[str, Any]) -> PlannedStep:
    spec = stored["step"]
    return PlannedStep(
        step=StepSpec(kind=spec["kind"], params={name: _tuples(value) for name, value in spec["params"].items()}),
        finding=stored["finding"],
        queries=tuple(MeasuredQuery(**query) for query in stored["measured"]),
        expected=_expected_again(stored.get("expected")),
    )


def _expected_again(stored: Mapping[str, Any] | None) -> Expected | None:
    if stored is None:
        return None
    return Expected(duration_s=float(stored["duration_s"]), disk_bytes=int(stored["disk_bytes"]))


def _tuples(value: Any) -> Any:
    return tuple(_tuples(item) for item in value) if isinstance(value, list) else value
