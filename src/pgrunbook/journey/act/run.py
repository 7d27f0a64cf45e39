"""One run on one target: opens the door and the journal, writes down who came, and tells where it is."""

from __future__ import annotations

import secrets
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import asdict, dataclass, field
from datetime import UTC, datetime
from pathlib import Path
from typing import TypeAlias

import pgrunbook
from pgrunbook.errors import ChangedInPart, Refused
from pgrunbook.journey.act.executor import Executor
from pgrunbook.journey.act.verifier import Verifier
from pgrunbook.journey.act.watching import Watching
from pgrunbook.journey.steps.runner import PATIENCE, Patience
from pgrunbook.model import Server, ServerRole
from pgrunbook.model.plan import Phase, Progress, RunOutcome, StepOutcome, TargetPrint
from pgrunbook.pg.connect import connect
from pgrunbook.record.history import History, RunStep, fold, write_intent, write_outcome
from pgrunbook.record.journal import Hold, Journal, folder_for

Tell: TypeAlias = Callable[[Progress], None]


def silent(progress: Progress) -> None:
    """Tell nobody."""


@dataclass(slots=True, kw_only=True)
class ActingRun:
    """What every step of a run needs.  `number` and `total` are for the progress display."""

    dsn: str
    executor: Executor
    journal: Journal
    kind: str
    verify: Verifier
    progress: Tell
    patience: Patience = PATIENCE
    number: int = 0
    total: int = 0
    intents: int = 0
    can_write: bool = True
    run_id: str = field(default_factory=lambda: f"{datetime.now(UTC):%Y%m%d-%H%M%S}-{secrets.token_hex(2)}")
    started_at: datetime = field(default_factory=lambda: datetime.now(UTC))

    def tell(self, phase: Phase, text: str) -> None:
        """Announce that a phase begins."""
        self.progress(Progress(phase=phase, text=text, number=self.number, total=self.total))

    def watching(self, title: str) -> Watching:
        """Tell, from another thread, how far the server has come while a step works."""

        def tell(text: str, ratio: float | None) -> None:
            news = Progress(
                phase=Phase.WORK, text=f"{title}: {text}", number=self.number, total=self.total, ratio=ratio
            )
            self.progress(news)

        return Watching(self.dsn, self.executor.conn.info.backend_pid, tell)

    def history(self) -> History:
        """What the journal says now."""
        return fold(self.journal.records())

    def announce(self, entry: RunStep) -> None:
        """Write down what is about to be done.  Raises Refused, and then no further step is taken."""
        self.tell(Phase.INTENT, entry.title)
        try:
            write_intent(self.journal, entry)
        except Refused:
            self.can_write = False
            raise
        self.intents += 1

    def close_step(self, outcome: StepOutcome) -> StepOutcome:
        """Write down what became of a step.  Raises ChangedInPart when that cannot be written."""
        self.tell(Phase.OUTCOME, f"{outcome.title}: {outcome.state}")
        try:
            write_outcome(self.journal, self.run_id, outcome)
        except Refused as exc:
            raise ChangedInPart(
                f"{outcome.title} is {outcome.state}, but that could not be written down: {exc.message}",
                hint="Make room for the journal, then run apply again: it looks in the catalog.",
            ) from exc
        return outcome

    def begin(self) -> None:
        """Write down who acts on what."""
        pid, since = self.executor.identity()
        self.journal.append(
            "run_started",
            run=self.run_id,
            kind=self.kind,
            target=asdict(self.executor.target),
            tool=pgrunbook.__version__,
            hold=self.journal.hold.value,
            backend_pid=pid,
            backend_start=since,
        )

    def finish(self, end: str) -> None:
        """Write down how the run ended."""
        try:
            self.journal.append("run_ended", run=self.run_id, end=end)
        except Refused as exc:
            if not self.intents:
                raise
            raise ChangedInPart(
                f"the run has {end}, but its end could not be written down: {exc.message}", hint=exc.hint
            ) from exc

    def outcome(self, steps: list[StepOutcome], reconciled: list[StepOutcome]) -> RunOutcome:
        """The run's result."""
        return RunOutcome(
            run_id=self.run_id,
            kind=self.kind,
            started_at=self.started_at,
            ended_at=datetime.now(UTC),
            steps=tuple(steps),
            reconciled=tuple(reconciled),
        )


def journal_folder(server: Server) -> Path:
    """Where the journal of a database is, on its primary or on a standby."""
    folder = folder_for(TargetPrint.of(server))
    return folder / "standby" if server.role is ServerRole.STANDBY else folder


@contextmanager
def acting(
    dsn: str,
    *,
    kind: str,
    journal: Journal | None,
    target: TargetPrint | None,
    verify: Verifier,
    progress: Tell,
    patience: Patience = PATIENCE,
    on_standby: bool = False,
    hold: Hold = Hold.EXECUTOR,
) -> Iterator[ActingRun]:
    """Pass the guard rails, take the journal and the executor's lock, and write down that a run began.

    The journal is taken first: who has it knows that no other process of ours is alive in the same role (`hold`).  With
    `on_standby` a standby is let in, which has a journal of its own: it shares its system identifier with the primary.
    """
    with connect(dsn, station="act") as conn:
        executor = Executor(conn)
        executor.guard(target, on_standby=on_standby)
        journal = journal if journal is not None else Journal(journal_folder(executor.server), hold)
        is_ours = not journal.is_open
        if is_ours:
            journal.open()
        try:
            run = ActingRun(
                dsn=dsn,
                executor=executor,
                journal=journal,
                kind=kind,
                verify=verify,
                progress=progress,
                patience=patience,
            )
            executor.take_lock(run.history(), lambda text: run.tell(Phase.WAIT, text), journal.hold)
            run.begin()
            try:
                yield run
            except KeyboardInterrupt:
                run.finish("interrupted")
                raise
            run.tell(Phase.END, "finished")
            run.finish("finished")
        finally:
            if is_ours:
                journal.close()
