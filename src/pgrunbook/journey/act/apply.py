"""Takes the steps of a plan one by one: each is checked, journalled, done, measured, and kept or undone."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import UTC, datetime

from pgrunbook.errors import ChangedInPart, Refused
from pgrunbook.journey.act.ending import end_step, outcome_of, undo_step
from pgrunbook.journey.act.order import in_order
from pgrunbook.journey.act.reconcile import identity, reconcile, settled
from pgrunbook.journey.act.run import ActingRun, Tell, acting, silent
from pgrunbook.journey.act.verifier import KeepAll, Verifier
from pgrunbook.journey.steps import Before, Step, load
from pgrunbook.journey.steps.runner import PATIENCE, Patience, clear_away, run_step
from pgrunbook.model.plan import Phase, PlannedStep, RunOutcome, StepOutcome, StepState, TargetPrint
from pgrunbook.record.history import RunStep
from pgrunbook.record.journal import Journal


def apply(
    plan: Sequence[PlannedStep],
    dsn: str,
    *,
    journal: Journal | None = None,
    verify: Verifier | None = None,
    progress: Tell = silent,
    target: TargetPrint | None = None,
    patience: Patience = PATIENCE,
) -> RunOutcome:
    """Do what is planned, in our own order.  Raises Refused when a guard rail forbids the whole run.

    A step that is refused changes nothing and does not stop the others.  One that left something behind stops the
    run; so does a lost connection (ChangedInPart).  Ctrl-C undoes the step at hand, closes the journal and goes on as
    KeyboardInterrupt.  `target` is what the plan was made for; `journal` is by default the database's own.
    """
    steps = [(planned, load(planned.step)) for planned in in_order(plan)]
    verify = verify if verify is not None else KeepAll()
    with acting(
        dsn, kind="apply", journal=journal, target=target, verify=verify, progress=progress, patience=patience
    ) as run:
        run.total = len(steps)
        reconciled, interrupted = reconcile(run, plan)
        before = settled(run)
        ended: list[StepOutcome] = []
        for number, (planned, step) in enumerate(steps, start=1):
            run.number = number
            if (entry := before.get(identity(planned.step))) is not None:
                ended.append(_as_it_ended(entry))
                continue
            taking = Taking(run=run, planned=planned, step=step, earlier=interrupted.get(identity(planned.step)))
            ended.append(taking.take())
            if ended[-1].state is StepState.FAILED or not run.can_write:
                break
        return run.outcome(ended, reconciled)


def _as_it_ended(entry: RunStep) -> StepOutcome:
    """What an interrupted run brought to an end is not done again."""
    state = StepState.UNDONE if entry.state is StepState.UNDONE else StepState.ALREADY
    return outcome_of(entry, state, f"run {entry.run_id}, which was interrupted, came so far: {entry.reason}")


@dataclass(slots=True, kw_only=True)
class Taking:
    """One step being taken.  `entry` is there from the moment its intent is in the journal."""

    run: ActingRun
    planned: PlannedStep
    step: Step
    earlier: RunStep | None = None
    entry: RunStep | None = None

    def take(self) -> StepOutcome:
        """Take the step and bring it to an end.  Raises only what ends the whole run."""
        try:
            return self._take()
        except KeyboardInterrupt:
            self._after_interrupt()
            raise

    def _take(self) -> StepOutcome:
        run = self.run
        try:
            run.executor.check()
            with run.watching(self.step.title):
                ran = run_step(
                    self.step,
                    run.executor.conn,
                    run.executor.server,
                    before=self.earlier.before if self.earlier is not None else None,
                    intent=self._intend,
                    tell=run.tell,
                    patience=run.patience,
                )
        except Refused as refused:
            return self._refused(refused)
        except ChangedInPart as left:
            if run.executor.conn.closed:
                raise
            return outcome_of(self._known(), StepState.FAILED, left.message, hint=left.hint)
        if ran.already:
            return outcome_of(self._draft(ran.before), StepState.ALREADY, "it was done before")
        return end_step(run, self._known(), self.step, kept=StepState.KEPT)

    def _intend(self, before: Before) -> None:
        """Measure, then write down what is about to be done; an interrupted try of it is closed by that."""
        run = self.run
        draft = self._draft(before)
        if self.earlier is None:
            run.tell(Phase.MEASURE_BEFORE, self.step.title)
            draft = self._draft(before, run.verify.measure(run.executor.conn, self.planned))
        self.entry = draft  # before it is written: an interrupt may come in between
        try:
            run.announce(draft)
        except Refused:
            self.entry = None
            raise
        if self.earlier is not None:
            reason = f"it was interrupted, and taken up again as {draft.step_id}"
            run.close_step(outcome_of(self.earlier, StepState.REFUSED, reason))

    def _draft(self, before: Before, measured: Before | None = None) -> RunStep:
        run = self.run
        earlier = self.earlier.measured if self.earlier is not None else {}
        return RunStep(
            step_id=f"{run.run_id}.{run.number}",
            run_id=run.run_id,
            planned=self.planned,
            title=self.step.title,
            statements=self.step.statements(),
            undo_statements=self.step.undo_statements(before or None),
            reversible=self.step.reversible,
            at=datetime.now(UTC),
            before=before,
            measured=measured if measured is not None else earlier,
        )

    def _known(self) -> RunStep:
        return self.entry if self.entry is not None else self._draft({})

    def _refused(self, refused: Refused) -> StepOutcome:
        """Nothing was changed: close the intent, if it was written."""
        outcome = outcome_of(self._known(), StepState.REFUSED, refused.message, hint=refused.hint)
        return self.run.close_step(outcome) if self.entry is not None else outcome

    def _after_interrupt(self) -> None:
        """Ctrl-C: undo the step, or say how it stands when it has no undo.  A second Ctrl-C leaves it open."""
        run, entry = self.run, self.entry
        if entry is None or run.executor.conn.closed:
            return
        if self.step.reversible:
            undo_step(run, entry, self.step, "interrupted by Ctrl-C")
            return
        clear_away(self.step, run.executor.conn, entry.before, tell=run.tell, patience=run.patience)
        is_done = self.step.done(run.executor.conn, entry.before)
        state = StepState.KEPT if is_done else StepState.REFUSED
        run.close_step(outcome_of(entry, state, "interrupted by Ctrl-C"))
