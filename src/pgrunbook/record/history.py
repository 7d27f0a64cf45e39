"""What the journal's records mean: runs, their steps, what became of each, and the steps that nobody finished."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field, replace
from datetime import datetime
from typing import Any

from pgrunbook.model.plan import MeasuredQuery, PlannedStep, StepOutcome, StepState, TargetPrint
from pgrunbook.model.verdict import StepSpec, Value
from pgrunbook.record.journal import Hold, Journal, Record


@dataclass(frozen=True, slots=True, kw_only=True)
class RunStep:
    """One step as the journal knows it.

    `before` is the state that was captured, `measured` what was measured before it, `undoing` why an undo was begun,
    and `undone_by` the run that began it.  An intent or an undo without outcome makes it open.
    """

    step_id: str
    run_id: str
    planned: PlannedStep
    title: str
    statements: tuple[str, ...]
    reversible: bool
    at: datetime
    before: Mapping[str, Value] = field(default_factory=dict)
    measured: Mapping[str, Value] = field(default_factory=dict)
    state: StepState = StepState.OPEN
    undoing: str | None = None
    undone_by: str = ""
    reason: str = ""
    figures: Mapping[str, Value] = field(default_factory=dict)
    undo_statements: tuple[str, ...] = ()
    ended_at: datetime | None = None

    @property
    def is_open(self) -> bool:
        """Whether nobody wrote down what became of it."""
        return self.state is StepState.OPEN or self.undoing is not None


@dataclass(frozen=True, slots=True, kw_only=True)
class Run:
    """One run of `apply` or `undo`.  `ended_at` is None when its process died, or is still at work.

    `hold` is the role in which it wrote; `notes` are what it saw or did beside its steps, in words.
    """

    run_id: str
    kind: str
    target: TargetPrint
    tool: str
    at: datetime
    hold: Hold = Hold.EXECUTOR
    backend_pid: int | None = None
    backend_start: str | None = None
    ended_at: datetime | None = None
    end: str = ""
    notes: tuple[str, ...] = ()


@dataclass(frozen=True, slots=True, kw_only=True)
class History:
    """All runs and all steps, oldest first."""

    runs: tuple[Run, ...]
    steps: tuple[RunStep, ...]

    def steps_of(self, run_id: str) -> tuple[RunStep, ...]:
        """The steps that this run began."""
        return tuple(step for step in self.steps if step.run_id == run_id)

    def written_as(self, hold: Hold) -> frozenset[str]:
        """The runs that wrote in this role."""
        return frozenset(run.run_id for run in self.runs if run.hold is hold)


def fold(records: Iterable[Record]) -> History:
    """Read records in their order; later ones overrule earlier ones."""
    runs: dict[str, Run] = {}
    steps: dict[str, RunStep] = {}
    for record in records:
        at = datetime.fromisoformat(record["at"])
        match record["type"]:
            case "run_started":
                runs[record["run"]] = _run(record, at)
            case "run_ended" if record["run"] in runs:
                runs[record["run"]] = replace(runs[record["run"]], ended_at=at, end=record["end"])
            case "situation" | "pooler" if record["run"] in runs:
                run = runs[record["run"]]
                runs[record["run"]] = replace(run, notes=(*run.notes, record["text"]))
            case "intent":
                steps[record["step"]] = _step(record, at)
            case "undoing" if record["step"] in steps:
                steps[record["step"]] = replace(
                    steps[record["step"]], undoing=record["reason"], undone_by=record["run"]
                )
            case "outcome" if record["step"] in steps:
                steps[record["step"]] = _ended(steps[record["step"]], record, at)
    return History(runs=tuple(runs.values()), steps=tuple(steps.values()))


def open_steps(history: History) -> tuple[RunStep, ...]:
    """The steps whose process died before it wrote what became of them, newest first."""
    return tuple(step for step in reversed(history.steps) if step.is_open)


def undoable_steps(history: History, what: str) -> tuple[RunStep, ...]:
    """The steps that stand, newest first: of a run, of one step id, or of `all`."""
    return tuple(
        step for step in reversed(history.steps) if step.state.stands and (what in {"all", step.run_id, step.step_id})
    )


def write_intent(journal: Journal, step: RunStep) -> None:
    """What is about to be done, with all that an undo next week needs."""
    journal.append(
        "intent",
        run=step.run_id,
        step=step.step_id,
        kind=step.planned.step.kind,
        params=dict(step.planned.step.params),
        finding=step.planned.finding,
        queries=[{"text": q.text, "queryid": q.queryid, "role": q.role} for q in step.planned.queries],
        title=step.title,
        statements=step.statements,
        undo_statements=step.undo_statements,
        reversible=step.reversible,
        before=dict(step.before),
        measured=dict(step.measured),
    )


def write_undoing(journal: Journal, run_id: str, step_id: str, reason: str) -> None:
    """That a step is about to be undone, and why."""
    journal.append("undoing", run=run_id, step=step_id, reason=reason)


def write_outcome(journal: Journal, run_id: str, outcome: StepOutcome) -> None:
    """What became of a step, written by the run that found out."""
    journal.append(
        "outcome",
        run=run_id,
        step=outcome.step_id,
        state=outcome.state.value,
        reason=outcome.reason,
        figures=dict(outcome.figures),
        duration_s=outcome.duration_s,
    )


def _run(record: Record, at: datetime) -> Run:
    target = record["target"]
    return Run(
        run_id=record["run"],
        kind=record["kind"],
        target=TargetPrint(**target),
        tool=record["tool"],
        at=at,
        hold=Hold(record.get("hold", Hold.EXECUTOR)),
        backend_pid=record["backend_pid"],
        backend_start=record["backend_start"],
    )


def _step(record: Record, at: datetime) -> RunStep:
    return RunStep(
        step_id=record["step"],
        run_id=record["run"],
        planned=PlannedStep(
            step=StepSpec(kind=record["kind"], params=_values(record["params"])),
            finding=record["finding"],
            queries=tuple(MeasuredQuery(**query) for query in record["queries"]),
        ),
        title=record["title"],
        statements=tuple(record["statements"]),
        undo_statements=tuple(record["undo_statements"]),
        reversible=record["reversible"],
        at=at,
        before=_values(record["before"]),
        measured=_values(record["measured"]),
    )


def _ended(step: RunStep, record: Record, at: datetime) -> RunStep:
    return replace(
        step,
        state=StepState(record["state"]),
        undoing=None,
        reason=record["reason"],
        figures=_values(record["figures"]),
        ended_at=at,
    )


def _values(read: Mapping[str, Any]) -> dict[str, Value]:
    """JSON's lists are tuples in our values."""
    return {name: _tuples(value) for name, value in read.items()}


def _tuples(value: Any) -> Any:
    return tuple(_tuples(item) for item in value) if isinstance(value, list) else value
