"""A plan as a file that people review: what each step runs, locks and how it is undone, and for which target.

Only the steps' kinds and parameters are read back; SQL, undo and lock beside them are for people.  When the two
disagree, somebody edited one of them, and the plan is refused: what was reviewed must be what is run.
"""

from __future__ import annotations

import json
from collections.abc import Mapping
from dataclasses import asdict
from datetime import datetime
from pathlib import Path
from typing import Any, TypeVar

from pgrunbook import __version__
from pgrunbook.errors import Refused, UsageError
from pgrunbook.journey.steps import load as load_step
from pgrunbook.model import StepSpec
from pgrunbook.model.misfit import misfit
from pgrunbook.model.plan import Expected, MeasuredQuery, Plan, PlannedStep, TargetPrint

FORMAT = 1
_MARK = "pgrunbook_plan"
_FIELDS = (_MARK, "version", "made_at", "target", "steps")
_BINDING = {"sql": "SQL", "undo_sql": "undo", "reversible": "undo", "lock": "locks", "lock_budget_s": "locks"}
Row = TypeVar("Row")


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
    except (ValueError, RecursionError) as exc:
        raise UsageError(f"{path} is no plan: {exc}", hint="pgrunbook plan -o FILE writes one.") from exc
    if not isinstance(content, dict) or not isinstance(content.get(_MARK), int):
        raise UsageError(f"{path} is no plan of pgrunbook", hint="pgrunbook plan -o FILE writes one.")
    if content[_MARK] > FORMAT:
        raise UsageError(f"{path} was written by a newer pgrunbook ({content.get('version')})", hint="Update this one.")
    if unknown := sorted(content.keys() - set(_FIELDS)):
        raise UsageError(f"{path} holds {unknown[0]!r}, which no plan does")
    try:
        plan = Plan(
            target=_fitting(TargetPrint, content["target"]),
            steps=tuple(_step_again(stored) for stored in content["steps"]),
            made_at=datetime.fromisoformat(content["made_at"]),
        )
        said: list[Mapping[str, Any]] = [{**stored} for stored in content["steps"]]
    except (KeyError, TypeError, ValueError, AttributeError) as exc:
        raise UsageError(f"{path} is a broken plan: {type(exc).__name__}: {exc}") from exc
    for number, (planned, stored) in enumerate(zip(plan.steps, said, strict=True), start=1):
        would = _step(planned)
        if unknown := sorted(stored.keys() - would.keys()):
            raise UsageError(f"step {number} of {path} holds {unknown[0]!r}, which no plan does")
        if differing := [name for name in _BINDING if name not in stored or stored[name] != would[name]]:
            raise Refused(
                f"step {number} of {path} says other {_BINDING[differing[0]]} than it would run; nothing was changed",
                hint="Leave out whole steps, or make the plan again; single values cannot be edited.",
            )
    return plan


def _fitting(row: type[Row], values: Mapping[str, Any]) -> Row:
    if wrong := misfit(row, values):
        raise ValueError(f"{row.__name__}: {wrong}")
    return row(**values)


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
        queries=tuple(_fitting(MeasuredQuery, query) for query in stored["measured"]),
        expected=_expected_again(stored.get("expected")),
    )


def _expected_again(stored: Mapping[str, Any] | None) -> Expected | None:
    if stored is None:
        return None
    return Expected(duration_s=float(stored["duration_s"]), disk_bytes=int(stored["disk_bytes"]))


def _tuples(value: Any) -> Any:
    return tuple(_tuples(item) for item in value) if isinstance(value, list) else value
