"""Acts in rounds: look, take a few steps, look again on the same connection, and go on from what is seen then.

For procedures with a short fuse, where the second step depends on what the first one did.  Everything else is as in
`apply`: the guard rails, the journal, one step at a time, an end at the first lost connection.  The lock is another
one: a plan that is being applied holds no emergency up.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from typing import Any

import psycopg

from pgrunbook.errors import ChangedInPart, Refused, RunbookError, ServerError, Unreachable
from pgrunbook.journey.act.apply import Taking
from pgrunbook.journey.act.reconcile import reconcile
from pgrunbook.journey.act.run import ActingRun, Tell, acting, silent
from pgrunbook.journey.act.verifier import KeepAll
from pgrunbook.journey.steps import Step, spec_of
from pgrunbook.journey.steps.runner import PATIENCE, Patience
from pgrunbook.model import Server
from pgrunbook.model.plan import PlannedStep, RunOutcome, StepOutcome, StepState
from pgrunbook.pg.connect import Session, first_line
from pgrunbook.record.history import History, RunStep
from pgrunbook.record.journal import Hold, Journal


class Rounds:
    """A run that goes on from round to round.  `ended` is what became of every step so far."""

    def __init__(self, run: ActingRun, reconciled: list[StepOutcome]) -> None:
        self._run = run
        self._reconciled = reconciled
        self.ended: list[StepOutcome] = []

    @property
    def conn(self) -> Session:
        """The executor's connection, to look with."""
        return self._run.executor.conn

    @property
    def server(self) -> Server:
        """The server as it was when the run began."""
        return self._run.executor.server

    @property
    def run_id(self) -> str:
        """The run's name in the journal."""
        return self._run.run_id

    @property
    def earlier(self) -> History:
        """What the journal knows."""
        return self._run.history()

    def take(self, steps: Sequence[Step]) -> list[StepOutcome]:
        """Take these steps in this order.  A refused one does not stop the others; one that left something does."""
        ended: list[StepOutcome] = []
        run = self._run
        run.total += len(steps)
        for step in steps:
            run.number += 1
            outcome = Taking(run=run, planned=PlannedStep(step=spec_of(step)), step=step).take()
            ended.append(outcome)
            self.ended.append(outcome)
            if outcome.state is StepState.FAILED or not run.can_write:
                break
        return ended

    def note(self, kind: str, **fields: Any) -> None:
        """Write a record of another kind into the journal: what was seen, what was done elsewhere."""
        self._run.journal.append(kind, run=self._run.run_id, **fields)

    def outcome(self) -> RunOutcome:
        """The run so far."""
        return self._run.outcome(list(self.ended), self._reconciled)


@contextmanager
def in_rounds(
    dsn: str,
    *,
    kind: str,
    journal: Journal | None = None,
    progress: Tell = silent,
    patience: Patience = PATIENCE,
) -> Iterator[Rounds]:
    """Begin a run of this kind, on a primary or a standby.

    A kind may have a second word.  Steps that earlier runs of the same first word left open are looked into first;
    those of others are left to `apply`, for a leftover index is no emergency.  What ends the run from within is
    ChangedInPart as soon as a step was begun.
    """
    with acting(
        dsn,
        kind=kind,
        journal=journal,
        target=None,
        verify=KeepAll(),
        progress=progress,
        patience=patience,
        on_standby=True,
        hold=Hold.EMERGENCY,
    ) as run:
        family = kind.split(maxsplit=1)[0]
        mine = {past.run_id for past in run.history().runs if past.kind.split(maxsplit=1)[0] == family}

        def is_mine(entry: RunStep) -> bool:
            return entry.run_id in mine

        reconciled, _ = reconcile(run, (), which=is_mine)
        try:
            yield Rounds(run, reconciled)
        except (Refused, ServerError, psycopg.OperationalError) as exc:
            raise _ended(run, exc) from exc


def _ended(run: ActingRun, exc: Refused | ServerError | psycopg.OperationalError) -> RunbookError:
    """The same error; after a step was begun it must not sound as if nothing had happened."""
    ours = exc if isinstance(exc, RunbookError) else Unreachable(f"the connection was lost: {first_line(exc)}")
    if isinstance(ours, Refused) and not run.intents:
        run.finish("refused")
    if not run.intents:
        return ours
    return ChangedInPart(
        f"{ours.message}; before that, {run.intents} of the run's steps had begun",
        hint="pgrunbook journal says what became of each; look again before going on.",
    )
