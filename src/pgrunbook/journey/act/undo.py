"""Takes steps back, newest first, with the state that was journalled before each."""

from __future__ import annotations

from pgrunbook.errors import UsageError
from pgrunbook.journey.act.ending import outcome_of, undo_step
from pgrunbook.journey.act.reconcile import reconcile
from pgrunbook.journey.act.run import ActingRun, Tell, acting, silent
from pgrunbook.journey.act.verifier import KeepAll
from pgrunbook.journey.steps import load
from pgrunbook.journey.steps.runner import PATIENCE, Patience
from pgrunbook.model.plan import RunOutcome, StepOutcome, StepState, TargetPrint
from pgrunbook.record.history import RunStep, undoable_steps
from pgrunbook.record.journal import Journal


def undo(
    what: str,
    dsn: str,
    *,
    journal: Journal | None = None,
    progress: Tell = silent,
    target: TargetPrint | None = None,
    patience: Patience = PATIENCE,
) -> RunOutcome:
    """Undo a run, one step (by its id), or `all`.

    What someone else changed since is refused and stands; what has no undo is listed as irreversible.  Raises
    UsageError when the journal knows no such run or step.
    """
    with acting(
        dsn, kind="undo", journal=journal, target=target, verify=KeepAll(), progress=progress, patience=patience
    ) as run:
        reconciled, _ = reconcile(run, ())
        history = run.history()
        known = {"all"} | {step.run_id for step in history.steps} | {step.step_id for step in history.steps}
        if what not in known and what not in {past.run_id for past in history.runs}:
            raise UsageError(f"the journal knows no run or step {what!r}", hint="pgrunbook journal lists them.")
        steps = undoable_steps(history, what)
        run.total = len(steps)
        ended: list[StepOutcome] = []
        for number, entry in enumerate(steps, start=1):
            run.number = number
            ended.append(_undo_one(run, entry))
        return run.outcome(ended, reconciled)


def _undo_one(run: ActingRun, entry: RunStep) -> StepOutcome:
    step = load(entry.planned.step)
    if not step.reversible:
        return outcome_of(entry, StepState.IRREVERSIBLE, "it has no undo")
    run.executor.check()
    outcome = undo_step(run, entry, step, "undone on request")
    if outcome.state is not StepState.FAILED:
        return outcome
    run.close_step(outcome_of(entry, StepState.KEPT, outcome.reason))
    return outcome_of(entry, StepState.REFUSED, outcome.reason, hint=outcome.hint)
