"""From a database to what a task would do, and to what became of it.

`look` observes once for the outlook and the task; `select` chooses the steps; `carry_out` hands them to journey.act and
writes the task's beginning and end into the same journal.
"""

from __future__ import annotations

import os
from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from pgrunbook.errors import Refused, RunbookError, UsageError
from pgrunbook.journey.act import apply
from pgrunbook.journey.act.run import Tell, silent
from pgrunbook.journey.diagnose.seen import Seen
from pgrunbook.journey.observe import observe
from pgrunbook.journey.observe.databases import DATABASES
from pgrunbook.journey.observe.disk import free_bytes
from pgrunbook.journey.observe.host import HostWatch
from pgrunbook.journey.steps.runner import PATIENCE, Patience
from pgrunbook.model import NotRead, Question, Snapshot
from pgrunbook.model.plan import Progress, RunOutcome, StepState, TargetPrint
from pgrunbook.pg.connect import Session, connect, translated
from pgrunbook.pg.parse import Parser
from pgrunbook.procedures.maintain import bloated_indexes, changed_tables, hot_tables, ledger, outlook, rewrites
from pgrunbook.procedures.maintain.arrangements import Arrangements
from pgrunbook.procedures.maintain.gauge import Gauge
from pgrunbook.procedures.maintain.ledger import End
from pgrunbook.procedures.maintain.outlook import Outlook
from pgrunbook.procedures.maintain.selection import Selection
from pgrunbook.procedures.maintain.tasks import Task
from pgrunbook.record import Journal, folder_for
from pgrunbook.record.journal import state_home

_QUESTIONS: Mapping[Task, tuple[Question[Any], ...]] = {
    Task.VACUUM: (*hot_tables.NEEDS, *hot_tables.LIKES),
    Task.STATISTICS: (*changed_tables.NEEDS, *changed_tables.LIKES),
    Task.REINDEX: (*bloated_indexes.NEEDS, *bloated_indexes.LIKES),
    Task.VACUUM_FULL: (*rewrites.NEEDS, *rewrites.LIKES),
}
OUTLOOK_QUESTIONS = (*outlook.NEEDS, *outlook.LIKES, DATABASES)


@dataclass(frozen=True, slots=True, kw_only=True)
class Work:
    """What is wished: a task with its arrangements.  `limits` are the checks' thresholds, `way` how to rewrite."""

    task: Task
    arrangements: Arrangements
    limits: Mapping[str, Mapping[str, Any]] = field(default_factory=dict)
    way: str = "auto"


@dataclass(frozen=True, slots=True, kw_only=True)
class Look:
    """One observation, and what our own machine tells of the server's, if it is the same."""

    snapshot: Snapshot
    outlook: Outlook
    free_bytes: int | None = None

    @property
    def target(self) -> TargetPrint:
        """The database that was looked at."""
        return TargetPrint.of(self.snapshot.server)


def look(dsn: str, arrangements: Arrangements, task: Task | None = None) -> Look:
    """Observe a database for the outlook, and for what a task needs."""
    with connect(dsn, station="maintain") as conn:
        return look_over(conn, arrangements, task)


def look_over(conn: Session, arrangements: Arrangements, task: Task | None = None) -> Look:
    """The same over a connection that is there already."""
    snapshot = observe(conn, (*OUTLOOK_QUESTIONS, *(_QUESTIONS.get(task, ()) if task is not None else ())))
    with translated("looking at the server's machine"):
        free = free_bytes(conn)
    with Parser() as parser:
        seen = Seen(snapshot=snapshot, parser=parser)
        view = outlook.outlook(seen, arrangements, cores=_cores(conn))
    return Look(snapshot=snapshot, outlook=view, free_bytes=free)


def select(work: Work, seen_by: Look) -> Selection:
    """What the task would do.  Raises Refused where something that it needs could not be read."""
    most = work.arrangements.max_steps
    with Parser() as parser:
        seen = Seen(snapshot=seen_by.snapshot, parser=parser)
        try:
            match work.task:
                case Task.VACUUM:
                    return hot_tables.choose(seen, most)
                case Task.STATISTICS:
                    return changed_tables.choose(seen, most)
                case Task.REINDEX:
                    return bloated_indexes.choose(seen, most, limits=work.limits, free_bytes=seen_by.free_bytes)
                case Task.VACUUM_FULL:
                    return rewrites.choose(
                        seen,
                        most,
                        limits=work.limits,
                        low=work.arrangements.low_traffic,
                        free_bytes=seen_by.free_bytes,
                        way=work.way,
                    )
        except NotRead as exc:
            raise Refused(f"{work.task}: it could not be looked at: {exc.unread.reason}", hint=exc.unread.cure) from exc
    raise UsageError(f"{work.task} changes nothing; it has no steps")


def carry_out(
    work: Work,
    selection: Selection,
    dsn: str,
    *,
    target: TargetPrint,
    insist: bool = False,
    progress: Tell = silent,
    patience: Patience = PATIENCE,
    journal: Journal | None = None,
) -> RunOutcome:
    """Take the steps, one after the other; none is begun when the time is up or the database came under pressure.

    Raises what `apply` raises; the journal then says how the task ended, too.
    """

    def forbidden(conn: Session) -> str:
        if stop_file().exists():
            return f"the file {stop_file()} forbids it"
        if insist:
            return ""
        return "; ".join(sign.words for sign in look_over(conn, work.arrangements).outlook.forbidding)

    def tell(news: Progress) -> None:
        gauge.tell(news)
        progress(news)

    gauge = Gauge(longest_s=work.arrangements.longest_s, forbidden=forbidden)
    with journal if journal is not None else Journal(folder_for(target)) as written:
        key = ledger.begin(written, work.task)
        try:
            outcome = apply(
                [chosen.planned for chosen in selection.chosen],
                dsn,
                journal=written,
                verify=gauge,
                progress=tell,
                target=target,
                patience=patience,
            )
        except KeyboardInterrupt:
            ledger.finish(written, key, End.INTERRUPTED)
            raise
        except RunbookError as exc:
            end = End.REFUSED if isinstance(exc, Refused) else End.FAILED
            ledger.finish(written, key, end, reason=exc.message)
            raise
        ledger.finish(written, key, end_of(outcome), figures=_figures(outcome))
    return outcome


def stop_file() -> Path:
    """While this file is there, nothing is begun, whoever insists: the same file that stops emergencies."""
    return state_home() / "stop"


def refuse_if_stopped() -> None:
    """Raise Refused while the stop file is there."""
    if stop_file().exists():
        raise Refused(f"the file {stop_file()} forbids it", hint="Remove it when acting is allowed again.")


def end_of(outcome: RunOutcome) -> End:
    """How the task ended, by what became of its steps."""
    if outcome.count(StepState.FAILED):
        return End.FAILED
    refused = outcome.count(StepState.REFUSED)
    if not refused:
        return End.DONE
    return End.IN_PART if refused < len(outcome.steps) else End.REFUSED


def _figures(outcome: RunOutcome) -> dict[str, int | str]:
    states = [step.state for step in outcome.steps]
    return {"run": outcome.run_id} | {state.value: states.count(state) for state in StepState if state in states}


def _cores(conn: Session) -> int | None:
    """The processors of our own machine, if the server runs on it."""
    return os.cpu_count() if HostWatch.beside(conn) is not None else None
