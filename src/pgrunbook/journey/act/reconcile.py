"""Finds out what became of the steps whose process died, and brings each to an end; none is blindly repeated."""

from __future__ import annotations

import json
from collections.abc import Callable, Iterable, Mapping, Sequence

from pgrunbook.errors import Refused
from pgrunbook.journey.act.ending import end_step, outcome_of, undo_step
from pgrunbook.journey.act.run import ActingRun
from pgrunbook.journey.steps import Step, load
from pgrunbook.journey.steps.runner import clear_away, prepare_session
from pgrunbook.model import StepSpec
from pgrunbook.model.plan import Phase, PlannedStep, StepOutcome, StepState
from pgrunbook.record.history import RunStep, open_steps
from pgrunbook.record.journal import Hold

GOES_ON_S = 3600.0  # an older run is history: its vacuum says nothing about today


def reconcile(
    run: ActingRun, plan: Sequence[PlannedStep], *, which: Callable[[RunStep], bool] = lambda _: True
) -> tuple[list[StepOutcome], Mapping[str, RunStep]]:
    """What became of each open step; and those that the plan holds again, to be taken up where they were left.

    An undo that was begun is finished.  A step that the catalog shows is judged as it would have been.  One that it
    does not show is taken up again when it is planned, else cleared away.  `which` leaves steps to a later run.
    Those of the other role (`Hold`) are left alone while somebody writes in it: they may be at work on them.
    """
    history = run.history()
    other = Hold.EMERGENCY if run.journal.hold is Hold.EXECUTOR else Hold.EXECUTOR
    theirs = history.written_as(other)
    left = [entry for entry in open_steps(history) if which(entry)]
    mine = [entry for entry in left if not {entry.run_id, entry.undone_by} & theirs]
    if len(mine) == len(left):
        return _reconcile(run, plan, mine)
    with run.journal.also(other) as nobody_there:
        return _reconcile(run, plan, left if nobody_there else mine)


def _reconcile(
    run: ActingRun, plan: Sequence[PlannedStep], entries: Iterable[RunStep]
) -> tuple[list[StepOutcome], Mapping[str, RunStep]]:
    planned = {identity(step.step) for step in plan}
    ended: list[StepOutcome] = []
    again: dict[str, RunStep] = {}
    for entry in entries:
        run.tell(Phase.RECONCILE, entry.title)
        step = load(entry.planned.step)
        key = identity(entry.planned.step)
        if entry.undoing is not None:
            ended.append(_finish_undo(run, entry, step, entry.undoing))
        elif _is_done(run, entry, step):
            ended.append(end_step(run, entry, step, kept=StepState.RECONCILED))
        elif key in planned and key not in again:
            again[key] = entry
        else:
            ended.append(_clear_away(run, entry, step))
    return ended, again


def settled(run: ActingRun) -> Mapping[str, RunStep]:
    """The steps, by identity, that interrupted runs brought to an end just before this one, which goes on with them.

    What was undone is not tried again, and a vacuum is not repeated; what the catalog can tell is asked there.
    """
    history = run.history()
    going_on: set[str] = {run.run_id}
    for earlier in reversed(history.runs):
        if earlier.run_id == run.run_id or earlier.hold is not run.journal.hold:
            continue
        if earlier.ended_at is not None or earlier.kind != run.kind:
            break
        going_on.add(earlier.run_id)
    return {
        identity(entry.planned.step): entry
        for entry in history.steps
        if entry.run_id in going_on
        and entry.state in {StepState.KEPT, StepState.RECONCILED, StepState.UNDONE}
        and entry.ended_at is not None
        and (run.started_at - entry.ended_at).total_seconds() < GOES_ON_S
        and (not entry.reversible or entry.state is StepState.UNDONE)
    }


def identity(spec: StepSpec) -> str:
    """Equal for equal steps."""
    return json.dumps([spec.kind, dict(spec.params)], sort_keys=True)


def _is_done(run: ActingRun, entry: RunStep, step: Step) -> bool:
    prepare_session(run.executor.conn, step.lock_budget_s)
    try:
        return step.done(run.executor.conn, entry.before)
    except Refused:  # what it was about is gone
        return False


def _finish_undo(run: ActingRun, entry: RunStep, step: Step, reason: str) -> StepOutcome:
    outcome = undo_step(run, entry, step, reason)
    if outcome.state is StepState.FAILED:  # refused twice: it stands, and a person must look
        run.close_step(outcome_of(entry, StepState.KEPT, outcome.reason))
    return outcome


def _clear_away(run: ActingRun, entry: RunStep, step: Step) -> StepOutcome:
    try:
        clear_away(step, run.executor.conn, entry.before, tell=run.tell, patience=run.patience)
    except Refused as refused:
        return outcome_of(
            entry, StepState.FAILED, f"it was interrupted; clearing it away was refused: {refused.message}"
        )
    return run.close_step(
        outcome_of(entry, StepState.REFUSED, "it was interrupted before it was done; nothing is left")
    )
