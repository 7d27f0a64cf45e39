"""What `plan`, `rehearse`, `apply` and `undo` do: show, ask, act, and say what became of it."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path
from typing import Any

import click

from pgrunbook.errors import Refused, UsageError
from pgrunbook.journey.act import apply as act
from pgrunbook.journey.act import undo as take_back
from pgrunbook.journey.advise import plan_file
from pgrunbook.journey.observe import observe
from pgrunbook.journey.observe.settings import quantity
from pgrunbook.journey.rehearse import raise_if_failed
from pgrunbook.journey.verify import QueryVerifier
from pgrunbook.model.plan import RunOutcome, TargetPrint
from pgrunbook.pg.connect import describe, resolve_dsn
from pgrunbook.record import fold, folder_for, open_steps, read
from pgrunbook.record.history import undoable_steps
from pgrunbook.report import changes
from pgrunbook.report.json import dumps, utc
from pgrunbook.report.lines import Lines
from pgrunbook.report.words import counted
from pgrunbook.surfaces.cli import consent
from pgrunbook.surfaces.cli.command import Invocation
from pgrunbook.surfaces.cli.exits import Exit
from pgrunbook.surfaces.cli.output import busy, note, text_console, write, write_file
from pgrunbook.surfaces.cli.planning import Planned, Wanted, make_plan, rest_words, show, try_out
from pgrunbook.surfaces.cli.watching import watching
from pgrunbook.surfaces.cli.words_given import Given, sort_out


def plan(
    invocation: Invocation,
    words: tuple[str, ...],
    *,
    dsn_flag: str | None,
    only: tuple[str, ...],
    output: Path | None,
    source: str = "diagnose",
) -> int:
    """Make a plan, show it, and write it if a file was named."""
    given = sort_out(words)
    if source == "advise" and (given.ids or given.plan or only):
        raise UsageError("--from advise takes what the advisor proposes; ids, --only and a plan choose findings")
    wanted = replace(_wanted(given, dsn_flag, only), from_advice=source == "advise")
    planned = make_plan(wanted, invocation)
    console, drawn = text_console(invocation)
    lines = Lines(console)
    show(lines, planned.plan)
    lines.paragraph(_sum(planned), style="bold")
    if planned.plan.steps:
        lines.paragraph(_bound(planned.plan.target), style="dim")
    if rest_words(planned):
        lines.paragraph(rest_words(planned), style="dim")
    write(drawn.getvalue())
    if output is not None:
        write_file(output, dumps(plan_file.as_dict(planned.plan)))
        note(invocation, f"wrote {output}; next: pgrunbook apply {output}")
    return Exit.FINE


def rehearsal(
    invocation: Invocation,
    words: tuple[str, ...],
    *,
    dsn_flag: str | None,
    only: tuple[str, ...],
    data_limit_bytes: int | None = None,
) -> int:
    """Run the plan's steps and their undo on a copy of the schema.  Changes nothing in the target."""
    given = sort_out(words)
    wanted = _wanted(given, dsn_flag, only)
    planned = make_plan(wanted, invocation)
    if not planned.plan.steps:
        write(_sum(planned))
        return Exit.FINE
    result = try_out(planned.plan, wanted.dsn, invocation, data_limit_bytes=data_limit_bytes)
    if result is None:
        return Exit.NOT_OBSERVABLE
    console, drawn = text_console(invocation)
    changes.rehearsal(Lines(console), result)
    write(drawn.getvalue())
    raise_if_failed(result)
    return Exit.FINE


def apply(
    invocation: Invocation,
    words: tuple[str, ...],
    *,
    dsn_flag: str | None,
    only: tuple[str, ...],
    yes: bool,
    rehearse_first: bool,
    form: str,
) -> int:
    """Do what was planned, after showing it and asking."""
    given = sort_out(words)
    wanted = _wanted(given, dsn_flag, only)
    planned = make_plan(wanted, invocation)
    plan = planned.plan
    left_open = open_steps(fold(read(folder_for(plan.target))))
    console, drawn = text_console(invocation)
    lines = Lines(console)
    if plan.steps:
        show(lines, plan)
        result = try_out(plan, wanted.dsn, invocation) if rehearse_first else None
        if result is not None:
            changes.rehearsal(lines, result)
    lines.paragraph(_sum(planned), style="bold")
    if left_open:
        lines.paragraph(f"Left open by an earlier run, and looked into first: {counted(len(left_open), 'step')}.")
    _show(invocation, drawn.getvalue(), yes=yes)
    if not plan.steps and not left_open:
        return Exit.FINE
    if plan.steps and rehearse_first and result is not None:
        raise_if_failed(result)
    untried = "" if not plan.steps or not rehearse_first or result is not None else " without a rehearsal"
    if untried and yes:
        raise Refused(
            "the plan cannot be rehearsed on this machine, and nobody agreed to go without; nothing was changed",
            hint="Install what the note above names, or agree with --no-rehearse.",
        )
    question = f"Apply {counted(len(plan.steps), 'step')} to {describe(wanted.dsn)}{untried}?"
    consent.ask(question, plan.target.database, yes=yes)
    with watching(invocation) as tell:
        outcome = act(plan.steps, wanted.dsn, verify=QueryVerifier(), progress=tell, target=plan.target)
    return _deliver(invocation, outcome, form)


def undo(
    invocation: Invocation, words: tuple[str, ...], *, dsn_flag: str | None, everything: bool, yes: bool, form: str
) -> int:
    """Take steps back, newest first, after showing them and asking."""
    given = sort_out(words)
    if given.plan is not None or len(given.ids) > 1 or (everything and given.ids):
        raise UsageError("undo takes one run, one step, or --all")
    if not everything and not given.ids:
        raise UsageError("undo what? a run, a step, or --all", hint="pgrunbook journal lists runs and steps.")
    what = "all" if everything else given.ids[0]
    dsn = resolve_dsn(given.dsn, dsn_flag)
    with busy(invocation, "looking …"):
        target = TargetPrint.of(observe(dsn, ()).server)
    history = fold(read(folder_for(target)))
    known = {step.run_id for step in history.steps} | {step.step_id for step in history.steps}
    if not everything and what not in known:
        raise UsageError(f"the journal knows no run or step {what!r}", hint="pgrunbook journal lists them.")
    standing = undoable_steps(history, what)
    console, drawn = text_console(invocation)
    lines = Lines(console)
    changes.to_undo(lines, standing)
    lines.paragraph(f"{counted(len(standing), 'step')} to undo." if standing else "Nothing to undo.", style="bold")
    _show(invocation, drawn.getvalue(), yes=yes)
    if not standing and not open_steps(history):
        return Exit.FINE
    consent.ask(f"Undo {counted(len(standing), 'step')} in {describe(dsn)}?", target.database, yes=yes)
    with watching(invocation) as tell:
        outcome = take_back(what, dsn, progress=tell, target=target)
    return _deliver(invocation, outcome, form)


def size_given(text: str) -> int:
    """Bytes, from a size in PostgreSQL's units.  Raises UsageError."""
    found = quantity(text, "B")
    if found is None or found <= 0:
        raise UsageError(f"{text!r} is not a size", hint="Give one such as 500MB or 10GB.")
    return round(found)


def _wanted(given: Given, dsn_flag: str | None, only: tuple[str, ...]) -> Wanted:
    names = tuple(part.strip() for value in only for part in value.split(",") if part.strip())
    if given.plan is not None and names:
        raise UsageError("--only chooses findings; a plan holds its steps already")
    return Wanted(dsn=resolve_dsn(given.dsn, dsn_flag), plan=given.plan, ids=given.ids, only=names)


def _sum(planned: Planned) -> str:
    amount = len(planned.plan.steps)
    done = f"{', '.join(planned.settled)}: dealt with by an earlier run." if planned.settled else ""
    if not amount:
        return done or "Nothing to do: no finding here has a step that pgrunbook takes by itself."
    return f"{counted(amount, 'step')} for database {planned.plan.target.database}.  {done}".rstrip()


def _bound(target: TargetPrint) -> str:
    """What the plan is for, and for nothing else."""
    system = target.system_identifier or "unidentified"
    timeline = f", timeline {target.timeline}" if target.timeline is not None else ""
    return f"Bound to system {system}{timeline}, database {target.database}, role {target.user}."


def _show(invocation: Invocation, text: str, *, yes: bool) -> None:
    """What will be done, on stderr; --quiet hides it only from those who agreed beforehand."""
    if not (invocation.quiet and yes):
        click.echo(text.rstrip("\n"), err=True)


def _deliver(invocation: Invocation, outcome: RunOutcome, form: str) -> int:
    if form == "json":
        write(dumps(as_dict(outcome)))
    else:
        console, drawn = text_console(invocation)
        changes.outcome(Lines(console), outcome)
        write(drawn.getvalue())
    return outcome.exit_code


def as_dict(outcome: RunOutcome) -> dict[str, Any]:
    """What became of each step, as JSON's values."""
    return {
        "run": outcome.run_id,
        "kind": outcome.kind,
        "started_at": utc(outcome.started_at),
        "ended_at": utc(outcome.ended_at),
        "exit_code": outcome.exit_code,
        "steps": [
            {
                "step": step.step_id,
                "title": step.title,
                "state": step.state.value,
                "reason": step.reason,
                "hint": step.hint,
                "finding": step.finding,
                "figures": dict(step.figures),
                "duration_s": step.duration_s,
                "undo_sql": step.undo_sql,
                "earlier_run": step in outcome.reconciled,
            }
            for step in (*outcome.reconciled, *outcome.steps)
        ],
    }
