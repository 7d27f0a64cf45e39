"""What `pgrunbook maintain run` does: look, choose, show, ask, act, and say what became of it; or make a review."""

from __future__ import annotations

from dataclasses import dataclass, replace
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import click

from pgrunbook import config
from pgrunbook.errors import Refused, RunbookError, UsageError
from pgrunbook.journey.diagnose.request import request_from
from pgrunbook.model.plan import RunOutcome
from pgrunbook.pg.connect import describe, resolve_dsn
from pgrunbook.procedures.maintain import activity, working
from pgrunbook.procedures.maintain.arrangements import arrangements
from pgrunbook.procedures.maintain.ledger import last_runs, load
from pgrunbook.procedures.maintain.reviews import WATCHED_S
from pgrunbook.procedures.maintain.selection import Selection
from pgrunbook.procedures.maintain.tasks import Task, task_named
from pgrunbook.procedures.maintain.working import Look, Work
from pgrunbook.record import fold, folder_for, open_steps, read
from pgrunbook.report import changes, maintenance
from pgrunbook.report.json import dumps
from pgrunbook.report.lines import Lines
from pgrunbook.report.words import counted
from pgrunbook.surfaces.cli import consent
from pgrunbook.surfaces.cli.acting import as_dict
from pgrunbook.surfaces.cli.command import Invocation
from pgrunbook.surfaces.cli.exits import Exit
from pgrunbook.surfaces.cli.main import redact
from pgrunbook.surfaces.cli.output import busy, note, text_console, write
from pgrunbook.surfaces.cli.reviewing import back_up, review
from pgrunbook.surfaces.cli.watching import watching
from pgrunbook.surfaces.cli.words_given import is_dsn

_WORST_FIRST = (Exit.BUG, Exit.CHANGED_IN_PART, Exit.UNDONE, Exit.REFUSED, Exit.NOT_OBSERVABLE, Exit.USAGE, Exit.FINE)


@dataclass(frozen=True, slots=True, kw_only=True)
class Wish:
    """The command line."""

    words: tuple[str, ...]
    dsn_flag: str | None
    due: bool
    yes: bool
    dry_run: bool
    force: bool
    by: str
    window_s: float | None
    calendar_file: Path | None
    form: str | None
    output: Path | None


def run(wish: Wish, invocation: Invocation) -> int:
    """Run one task, or all that are due."""
    names = [word for word in wish.words if not is_dsn(word)]
    dsns = [word for word in wish.words if is_dsn(word)]
    if len(dsns) > 1:
        raise UsageError("more than one DSN was given")
    if wish.due and (names or wish.output is not None):
        raise UsageError("--due takes the tasks from the calendar, and keeps reviews in the state folder")
    if not wish.due and len(names) != 1:
        tasks = ", ".join(task.value for task in Task)
        raise UsageError("run which task?" if not names else "run takes one task", hint=f"One of: {tasks}; or --due.")
    tasks_named = [task_named(name) for name in names]
    settings = config.load(flags={"window_s": wish.window_s}, file=invocation.config_file)
    arranged = arrangements(settings, calendar_file=wish.calendar_file)
    dsn = resolve_dsn(dsns[0] if dsns else None, wish.dsn_flag)
    work = Work(
        task=tasks_named[0] if tasks_named else Task.VACUUM,
        arrangements=arranged,
        limits=request_from(settings).limits,
        way=wish.by,
    )
    performing = _Performing(wish=wish, invocation=invocation, settings=settings, dsn=dsn)
    return performing.all_due(work) if wish.due else performing.one(work)


@dataclass(frozen=True, slots=True, kw_only=True)
class _Performing:
    """One call of the command."""

    wish: Wish
    invocation: Invocation
    settings: config.Config
    dsn: str

    def all_due(self, work: Work) -> int:
        """Each task that is due, one after the other; one that fails does not keep the others from their turn."""
        with busy(self.invocation, "looking …"):
            seen = working.look(self.dsn, work.arrangements)
        target = seen.target
        activity.note_down(folder_for(target), seen.snapshot)
        due = work.arrangements.schedule.due(datetime.now(UTC), last_runs(load(folder_for(target))))
        codes: set[int] = set()
        for entry, slot in due:
            note(self.invocation, f"{entry.task}: due since {slot.starts_at:%Y-%m-%d %H:%M} UTC ({entry.rule.text})")
            try:
                codes.add(self.one(replace(work, task=entry.task)))
            except RunbookError as exc:
                _complain(f"{entry.task}: {exc.message}", exc.hint)
                codes.add(exc.exit_code)
        if not due:
            note(self.invocation, "nothing is due")
        return next((int(code) for code in _WORST_FIRST if code in codes), int(Exit.FINE))

    def one(self, work: Work) -> int:
        """One task."""
        if work.task.is_review:
            request = request_from(self.settings)
            if work.task is Task.CAPACITY and self.wish.window_s is None and not request.window_s:
                request = replace(request, window_s=WATCHED_S)
            return review(
                self.invocation,
                work.task,
                request,
                self.dsn,
                form=self.wish.form,
                output=self.wish.output,
                keep=self.wish.due,
                dry_run=self.wish.dry_run,
            )
        if self.wish.output is not None or self.wish.form in {"markdown", "html"}:
            raise UsageError(f"{work.task} writes no report", hint="Reviews do: slow-queries, indexes, capacity.")
        if not self.wish.dry_run:
            working.refuse_if_stopped()
        with busy(self.invocation, "looking …"):
            seen = working.look(self.dsn, work.arrangements, work.task)
        self._refuse_poolers(seen)
        self._refuse_bad_times(work, seen)
        if work.task is Task.BACKUP:
            yes, dry_run = self.wish.yes, self.wish.dry_run
            return back_up(self.invocation, work.arrangements, self.dsn, seen.target, yes=yes, dry_run=dry_run)
        return self._change(work, seen)

    def _refuse_poolers(self, seen: Look) -> None:
        if seen.snapshot.server.through_pooler:
            raise Refused(
                "this connection goes through a transaction pooler, where sessions and locks are not ours alone",
                hint="Give the DSN of the server itself (Supabase: the direct connection, port 5432).",
            )

    def _refuse_bad_times(self, work: Work, seen: Look) -> None:
        forbidding = seen.outlook.forbidding
        if not forbidding or (self.wish.force and not seen.outlook.is_standby):
            return
        if self.wish.dry_run:
            note(self.invocation, f"it would be refused now: {'; '.join(sign.words for sign in forbidding)}")
            return
        raise Refused(
            f"{work.task} is not begun now: {'; '.join(sign.words for sign in forbidding)}; nothing was changed",
            hint="Wait (pgrunbook maintain window says for what), or insist with --force.",
        )

    def _change(self, work: Work, seen: Look) -> int:
        selection = working.select(work, seen)
        left_open = open_steps(fold(read(folder_for(seen.target))))
        self._show(work, seen, selection, len(left_open))
        if self.wish.dry_run:
            return Exit.FINE
        amount = len(selection.chosen)
        if amount or left_open:
            question = f"{work.task}: run {counted(amount, 'step')} on {describe(self.dsn)}?"
            consent.ask(question, seen.target.database, yes=self.wish.yes)
        with watching(self.invocation) as tell:
            outcome = working.carry_out(
                work, selection, self.dsn, target=seen.target, insist=self.wish.force, progress=tell
            )
        self._deliver(work.task, outcome)
        return outcome.exit_code

    def _show(self, work: Work, seen: Look, selection: Selection, left_open: int) -> None:
        """What would be done, on stderr; --quiet hides it only from those who agreed beforehand."""
        if self.invocation.quiet and self.wish.yes:
            return
        console, drawn = text_console(self.invocation)
        lines = Lines(console)
        maintenance.steps(lines, [(chosen.step, chosen.reason) for chosen in selection.chosen])
        if selection.left_out:
            lines.paragraph("Left out:", style="dim")
        maintenance.left_out(lines, [(one.object, one.reason) for one in selection.left_out])
        maintenance.signs(lines, [(sign.hindrance, sign.words, sign.forbids) for sign in seen.outlook.signs])
        for one in (*selection.blind, *seen.outlook.blind):
            lines.paragraph(f"not seen: {one.reason}  {one.cure}".rstrip(), style="dim")
        for words in selection.notes:
            lines.paragraph(words, style="dim")
        amount = counted(len(selection.chosen), "step") if selection.chosen else "nothing to do"
        lines.paragraph(f"{work.task}: {amount} in database {seen.target.database}.", style="bold")
        if left_open:
            lines.paragraph(f"Left open by an earlier run, and looked into first: {counted(left_open, 'step')}.")
        click.echo(drawn.getvalue().rstrip("\n"), err=True)

    def _deliver(self, task: Task, outcome: RunOutcome) -> None:
        if self.wish.form == "json":
            found: dict[str, Any] = {"task": task.value, **as_dict(outcome)}
            write(dumps(found))
            return
        console, drawn = text_console(self.invocation)
        changes.outcome(Lines(console), outcome)
        write(drawn.getvalue())


def _complain(message: str, hint: str) -> None:
    """Say what failed; the next task has its turn nevertheless."""
    click.echo(click.style("error: ", fg="red", bold=True) + redact(message), err=True)
    if hint:
        click.echo(click.style("hint: ", fg="cyan") + redact(hint), err=True)
