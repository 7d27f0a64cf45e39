"""An emergency on a terminal, as Markdown and as JSON: every session, what becomes of it, and why."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

from rich.text import Text

from pgrunbook import __version__
from pgrunbook.model.emergency import Action, EmergencyReport, FurtherAct, Picture, SessionView
from pgrunbook.model.plan import StepOutcome, StepState
from pgrunbook.report.json import dumps, utc
from pgrunbook.report.lines import Lines
from pgrunbook.report.markdown import code, plain
from pgrunbook.report.words import clean, counted, duration, one_line

SCHEMA_VERSION = 1
TREE_MAX = 40  # lines
LIST_MAX = 50  # sessions of one list on a terminal
QUERY_MAX_CHARS = 100
DRY = "Dry run: nothing was changed.  With --yes it is done, to the sessions above and no others."
_STYLE = {Action.CANCEL: "bold yellow", Action.END: "bold red", Action.LATER: "yellow", Action.LEAVE: "dim"}
_STATE_STYLE = {"would": "bold", "done": "bold green", "skipped": "yellow", "failed": "bold red"}


def plan(lines: Lines, report: EmergencyReport, *, acting: bool = False) -> None:
    """What was seen, who would be touched and in which order, and why the others not."""
    before = report.before
    lines.heading(f"Emergency {report.procedure}: {_server(report)}")
    lines.paragraph(fullness(before))
    if before.pressure:
        lines.text(Text().append("Under pressure: ", style="bold red").append("; ".join(before.pressure)))
    _tree(lines, before)
    chosen = report.chosen
    _sessions(lines, f"To touch, in this order: {counted(len(chosen), 'session')}", chosen, numbered=True)
    _sessions(lines, "To touch only if they still hold others up then", _with(before, Action.LATER))
    left = _with(before, Action.LEAVE)
    _sessions(lines, "Left alone", [one for one in left if one.role is not None])
    _servants(lines, [one for one in left if one.role is None])
    _further(lines, report.further)
    _notes(lines, report)
    if not acting:
        lines.blank()
        lines.paragraph(DRY if chosen or report.further else "Nothing to do; nothing was changed.", style="bold")


def outcome(lines: Lines, report: EmergencyReport) -> None:
    """What became of each session, what else was done, and how it looks now."""
    if report.outcome is None or report.after is None:
        return
    for step in (*report.outcome.reconciled, *report.outcome.steps):
        lines.text(
            Text()
            .append(f"{step_word(step):<11}", style="bold green" if step.state.stands else "bold yellow")
            .append(one_line(step.title))
        )
        if not step.state.stands and step.reason:
            lines.paragraph(clean(step.reason), indent=11, style="dim")
    _further(lines, [act for act in report.further if act.state != "done" or "on " in act.title])
    lines.blank()
    lines.paragraph(f"before  {fullness(report.before)}")
    lines.paragraph(f"after   {fullness(report.after)}")
    if report.after.pressure:
        lines.paragraph(f"Still under pressure: {'; '.join(report.after.pressure)}", style="bold red")
    if report.remaining:
        lines.paragraph(f"Still there: {', '.join(map(str, report.remaining))}", style="bold red")
    _notes(lines, report)
    undo = any(step.undo_sql for step in report.outcome.steps)
    words = f"run {report.outcome.run_id}" + (f"; its settings: pgrunbook undo {report.outcome.run_id}" if undo else "")
    lines.paragraph(words, style="dim")


def fullness(seen: Picture) -> str:
    """How full the server is, in one line."""
    share = f" ({seen.used / seen.usable * 100:.0f} %)" if seen.usable else ""
    work = f"{seen.active} at work, {seen.waiting} waiting for a lock"
    return f"{seen.used} of {seen.usable} connections taken{share}, {work}"


def step_word(step: StepOutcome) -> str:
    """What became of a session, in a word."""
    if step.state is StepState.ALREADY:
        return "gone before"
    if step.state is StepState.REFUSED:
        return "left"
    return step.state.value if step.spec.kind not in {"cancel_query", "end_session"} else _DONE[step.spec.kind]


_DONE: Mapping[str, str] = {"cancel_query": "cancelled", "end_session": "ended"}


def _server(report: EmergencyReport) -> str:
    server = report.server
    return f"{one_line(server.database)} on PostgreSQL {server.version}, {server.role.value}"


def _with(seen: Picture, action: Action) -> list[SessionView]:
    return [one for one in seen.sessions if one.action is action]


def _tree(lines: Lines, seen: Picture) -> None:
    """Who waits for whom, from the roots; each session once."""
    children: dict[int, list[SessionView]] = {}
    for one in seen.sessions:
        if one.under is not None:
            children.setdefault(one.under, []).append(one)
    if not children:
        return
    known = {one.pid: one for one in seen.sessions}
    below = {one.pid for one in seen.sessions if one.under is not None}
    roots = sorted(set(children) - below, key=lambda pid: (-known[pid].behind if pid in known else 0, pid))
    lines.blank()
    lines.heading("Who waits for whom")
    drawn: list[str] = []
    for root in roots:
        drawn.append(_who(known[root]) if root in known else "a prepared transaction" if root == 0 else f"{root}")
        _branch(drawn, children.get(root, ()), children, "")
    for text in drawn[:TREE_MAX]:
        lines.text(Text(f"  {text}"))
    if len(drawn) > TREE_MAX:
        lines.paragraph(f"  … and {len(drawn) - TREE_MAX:,} more", style="dim")


def _branch(
    drawn: list[str], below: Sequence[SessionView], children: Mapping[int, Sequence[SessionView]], indent: str
) -> None:
    for number, one in enumerate(below, start=1):
        last = number == len(below)
        drawn.append(f"{indent}{'└─ ' if last else '├─ '}{_who(one)}")
        if len(drawn) <= TREE_MAX:
            _branch(drawn, children.get(one.pid, ()), children, indent + ("   " if last else "│  "))


def _name(one: SessionView) -> str:
    parts = [part for part in (one.role, one.application) if part]
    return f"{one.pid} {one_line(' '.join(parts)) or one.backend_type or 'unknown'}"


def _who(one: SessionView) -> str:
    age = one.state_age_s if one.state != "active" else one.query_age_s
    state = f", {one.state}" if one.state is not None else ""
    return f"{_name(one)}{state}" + (f" for {duration(age)}" if state and age is not None else "")


def _servants(lines: Lines, servants: Sequence[SessionView]) -> None:
    """The server's own processes, in one line."""
    if servants:
        names = ", ".join(sorted({one.backend_type or "unknown" for one in servants}))
        lines.paragraph(
            f"{counted(len(servants), 'process', 'processes')} of the server: {names}", indent=4, style="dim"
        )


def _sessions(lines: Lines, title: str, sessions: Sequence[SessionView], *, numbered: bool = False) -> None:
    if not sessions and not numbered:
        return
    lines.blank()
    lines.heading(title)
    for number, one in enumerate(sessions[:LIST_MAX], start=1):
        place = f"{number:>3} " if numbered else "    "
        text = Text().append(
            f"{one.action.value:<7}" if one.action is not Action.LEAVE else "", style=_STYLE[one.action]
        )
        told = one.state is not None and one.reason.startswith(one.state)
        text.append(_name(one) if told else _who(one))
        text.append(f": {clean(one.reason)}", style="dim" if one.action is Action.LEAVE else "")
        lines.text(text, indent=4, first=Text(place, style="dim"))
        if one.query and one.action is not Action.LEAVE:
            lines.text(Text(one_line(one.query)[:QUERY_MAX_CHARS], style="green"), indent=11, max_lines=1)
    if len(sessions) > LIST_MAX:
        rest = len(sessions) - LIST_MAX
        lines.paragraph(f"… and {rest:,} more; --format json or markdown lists them all", indent=4, style="dim")


def _further(lines: Lines, acts: Sequence[FurtherAct]) -> None:
    if not acts:
        return
    lines.blank()
    for act in acts:
        text = Text().append(f"{act.state:<8}", style=_STATE_STYLE.get(act.state, "")).append(one_line(act.title))
        text.append(f": {clean(act.reason)}" if act.reason else "", style="dim")
        lines.text(text, indent=11, first=Text("   "))


def _notes(lines: Lines, report: EmergencyReport) -> None:
    for note in report.notes:
        lines.blank()
        lines.paragraph(clean(note))


def render_markdown(report: EmergencyReport) -> str:
    """The whole report, to be kept with the papers of the incident."""
    parts = [
        f"# Emergency {plain(report.procedure)}: {plain(_server(report))}",
        f"{utc(report.before.taken_at)}: {plain(fullness(report.before))}.",
        _table("To touch", report.chosen),
        _table("To touch only if they still hold others up then", _with(report.before, Action.LATER)),
        _table("Left alone", _with(report.before, Action.LEAVE)),
        *[f"- {plain(act.title)}: {act.state}. {plain(act.reason)}".rstrip() for act in report.further],
        *[plain(note) for note in report.notes],
    ]
    if report.outcome is not None and report.after is not None:
        done = [f"- {plain(step.title)}: {step_word(step)}" for step in report.outcome.steps]
        parts += ["## What was done", "\n".join(done) or "Nobody had to be touched."]
        parts += [f"After: {plain(fullness(report.after))}.", f"Run {code(report.outcome.run_id)}."]
    else:
        parts.append(plain(DRY))
    parts.append(f"---\npgrunbook {__version__}")
    return "\n\n".join(part for part in parts if part) + "\n"


def _table(title: str, sessions: Sequence[SessionView]) -> str:
    if not sessions:
        return ""
    rows = [f"| {one.pid} | {plain(_who(one))} | {one.action.value} | {plain(one.reason)} |" for one in sessions]
    return "\n".join([f"## {title}", "", "| pid | who | action | why |", "| --- | --- | --- | --- |", *rows])


def render_json(report: EmergencyReport) -> str:
    """The whole report as one object."""
    return dumps(as_dict(report))


def as_dict(report: EmergencyReport) -> dict[str, Any]:
    """The report as plain values."""
    return {
        "schema_version": SCHEMA_VERSION,
        "tool": "pgrunbook",
        "version": __version__,
        "procedure": report.procedure,
        "dry_run": report.outcome is None,
        "server": {
            "database": report.server.database,
            "version": report.server.version,
            "role": report.server.role.value,
        },
        "limits": {name: list(v) if isinstance(v, tuple) else v for name, v in report.limits.items()},
        "before": _picture(report.before),
        "further": [{"title": act.title, "state": act.state, "reason": act.reason} for act in report.further],
        "notes": list(report.notes),
        "run": report.outcome.run_id if report.outcome is not None else None,
        "steps": [_step(step) for step in report.outcome.steps] if report.outcome is not None else [],
        "after": _picture(report.after) if report.after is not None else None,
        "remaining": list(report.remaining),
        "exit_code": report.exit_code,
    }


def _step(step: StepOutcome) -> dict[str, Any]:
    pid = step.spec.params.get("pid")
    return {
        "step": step.step_id,
        "kind": step.spec.kind,
        "pid": pid,
        "title": step.title,
        "state": step.state.value,
        "reason": step.reason,
        "undo_sql": step.undo_sql,
    }


def _picture(seen: Picture) -> dict[str, Any]:
    return {
        "taken_at": utc(seen.taken_at),
        "used": seen.used,
        "usable": seen.usable,
        "active": seen.active,
        "waiting": seen.waiting,
        "pressure": list(seen.pressure),
        "sessions": [_session(one) for one in seen.sessions],
    }


def _session(one: SessionView) -> dict[str, Any]:
    return {
        "pid": one.pid,
        "action": one.action.value,
        "reason": one.reason,
        "backend_start": utc(one.backend_started_at) if one.backend_started_at is not None else None,
        "type": one.backend_type,
        "database": one.database,
        "role": one.role,
        "application": one.application,
        "client": one.client,
        "state": one.state,
        "query_age_s": one.query_age_s,
        "transaction_age_s": one.transaction_age_s,
        "state_age_s": one.state_age_s,
        "waits_for": list(one.waits_for),
        "behind": one.behind,
        "query": one.query,
    }
