"""How a step that was done ends: measured, judged, kept or undone, and written down."""

from __future__ import annotations

from collections.abc import Mapping
from datetime import UTC, datetime

from pgrunbook.errors import Refused
from pgrunbook.journey.act.run import ActingRun
from pgrunbook.journey.steps import Step
from pgrunbook.journey.steps.runner import take_back
from pgrunbook.model import Value
from pgrunbook.model.plan import Judgement, Phase, StepOutcome, StepState
from pgrunbook.record.history import RunStep, write_undoing


def outcome_of(
    entry: RunStep,
    state: StepState,
    reason: str,
    *,
    figures: Mapping[str, Value] | None = None,
    hint: str = "",
    since: datetime | None = None,
) -> StepOutcome:
    """The outcome of a journalled step.  `since` is when this run began with it."""
    return StepOutcome(
        step_id=entry.step_id,
        spec=entry.planned.step,
        title=entry.title,
        state=state,
        reason=reason,
        hint=hint,
        finding=entry.planned.finding,
        figures=figures if figures is not None else {},
        duration_s=round((datetime.now(UTC) - since).total_seconds(), 3) if since is not None else 0.0,
        undo_sql=sql_text(entry.undo_statements) if entry.reversible and state.stands else None,
    )


def sql_text(statements: tuple[str, ...]) -> str | None:
    """Statements as a person would paste them."""
    return "\n".join(f"{statement};" for statement in statements) if statements else None


def judge(run: ActingRun, entry: RunStep) -> Judgement:
    """Measure again and compare; what can no longer be measured is not proven."""
    run.tell(Phase.MEASURE_AFTER, entry.title)
    try:
        after = run.verify.measure(run.executor.conn, entry.planned)
    except Refused as refused:
        return Judgement(improved=False, reason=f"it could not be measured again: {refused.message}")
    return run.verify.judge(entry.planned, entry.measured, after)


def end_step(run: ActingRun, entry: RunStep, step: Step, *, kept: StepState) -> StepOutcome:
    """Keep what is done if it proves itself, else undo it; then write it down."""
    judgement = judge(run, entry)
    since = entry.at if kept is StepState.KEPT else None
    if judgement.improved is False and step.reversible:
        return undo_step(run, entry, step, judgement.reason, judgement.figures)
    return run.close_step(outcome_of(entry, kept, judgement.reason, figures=judgement.figures, since=since))


def undo_step(
    run: ActingRun, entry: RunStep, step: Step, reason: str, figures: Mapping[str, Value] | None = None
) -> StepOutcome:
    """Announce the undo, undo, and write it down.  Refused leaves it announced: the next run goes on with it."""
    since = datetime.now(UTC)
    run.tell(Phase.UNDOING, entry.title)
    write_undoing(run.journal, run.run_id, entry.step_id, reason)
    try:
        take_back(step, run.executor.conn, entry.before, tell=run.tell, patience=run.patience)
    except Refused as refused:
        why = f"{reason}; the undo was refused: {refused.message}"
        return outcome_of(entry, StepState.FAILED, why, figures=figures, hint=refused.hint)
    return run.close_step(outcome_of(entry, StepState.UNDONE, reason, figures=figures, since=since))
