"""Advice on a terminal: what it was reckoned with, what to change, what to keep, what cannot be told."""

from __future__ import annotations

import itertools

from rich.console import Console
from rich.text import Text

from pgrunbook.model import Advice, Kind
from pgrunbook.model.counsel import Counsel, Ground, Kept, Proposal, Takes
from pgrunbook.report.blindness import grouped
from pgrunbook.report.counsel import by_area, change_words, counts, headline, terms
from pgrunbook.report.lines import Lines
from pgrunbook.report.words import clean, duration, one_line, short

INDENT = 5
LABEL = 8
SQL_MAX_LINES = 30
AREA_MAX = 12  # the most urgent stand first
_TAKES = {
    Takes.AT_ONCE: "green",
    Takes.RELOAD: "green",
    Takes.NEW_SESSIONS: "green",
    Takes.CONFIGURATION: "cyan",
    Takes.RESTART: "bold yellow",
}


def render(counsel: Counsel, console: Console, *, target: str = "") -> None:
    """Draw it.  `target` is what the user gave as DSN, without its password, for the command shown."""
    draw = Lines(console)
    head = Text(one_line(counsel.server.database), style="bold")
    head.append(f" · {headline(counsel)}", style="not bold")
    head.append(f"  {duration(counsel.duration_s)}", style="not bold dim")
    draw.text(head)
    draw.blank()
    _inputs(draw, counsel)
    numbers = itertools.count(1)
    for area, found in by_area(counsel.proposals):
        draw.heading(clean(area))
        for one in found[:AREA_MAX]:
            _proposal(draw, one, next(numbers))
            draw.blank()
        if len(found) > AREA_MAX:
            more = f"and {len(found) - AREA_MAX:,} more: --format sql, html or json has them all"
            draw.text(Text(more, style="dim"), indent=INDENT, first=Text("  +"))
            draw.blank()
    if not counsel.proposals:
        draw.text(Text("Nothing to change in what could be looked at.", style="bold green"))
        draw.blank()
    _kept(draw, counsel)
    _blind(draw, counsel)
    for note in counsel.notes:
        draw.text(Text(clean(note), style="dim"), indent=2)
    if counsel.notes:
        draw.blank()
    for fragment in counsel.fragments:
        draw.heading(one_line(fragment.name))
        for line in clean(fragment.text).splitlines():
            # not wrapped: a second line of a comment would be a setting
            draw.console.print(Text(line, style="dim" if line.startswith(";") else "green"), soft_wrap=True)
        draw.blank()
    _last(draw, counsel, target)


def _inputs(draw: Lines, counsel: Counsel) -> None:
    if not counsel.inputs:
        return
    draw.heading("Reckoned with")
    names = max(len(one.name) for one in counsel.inputs) + 2
    values = max(len(one.value) for one in counsel.inputs) + 2
    for one in counsel.inputs:
        first = Text(" " * INDENT + one.name.ljust(names), style="dim")
        value = Text(one_line(one.value).ljust(values), style="yellow" if one.value == "unknown" else "bold")
        value.append(clean(one.source), style="not bold dim")
        draw.text(value, indent=INDENT + names, first=first)
    draw.blank()


def _proposal(draw: Lines, one: Proposal, number: int) -> None:
    title = Text(one_line(one.title), style="bold")
    draw.text(title, indent=INDENT, first=Text(f"{number:>3}", style="dim"))
    if change_words(one):
        was, arrow, then = change_words(one).partition(" → ")
        if one.kind is Kind.POLICY and arrow and one.advice:
            _labelled(draw, "now", Text(was), max_lines=4)  # what it will be stands in the SQL below
        else:
            _labelled(draw, "change", Text(was).append(arrow, style="dim").append(then, style="bold cyan"), max_lines=2)
    _labelled(draw, "why", Text(clean(short(one.reason))))
    if one.effect:
        _labelled(draw, "effect", Text(clean(one.effect)).append(" (estimated)", style="dim"))
    takes, *rest = terms(one)
    words = Text().append(takes, style=_TAKES[one.takes]).append(f" · {' · '.join(rest[:-1])}", style="dim")
    words.append(f" · {rest[-1]}", style="dim" if one.ground is Ground.EVIDENCE else "dim yellow")
    _labelled(draw, "terms", words)
    for place, advice in enumerate(one.advice):
        _advice(draw, advice, "do" if place == 0 else "or")


def _advice(draw: Lines, advice: Advice, label: str) -> None:
    lines = clean(short(advice.sql)).strip().splitlines()
    for place, line in enumerate(lines[:SQL_MAX_LINES]):
        _labelled(draw, label if place == 0 else "", Text(line, style="dim" if line.startswith("--") else "green"))
    if len(lines) > SQL_MAX_LINES:
        _labelled(draw, "", Text(f"-- and {len(lines) - SQL_MAX_LINES} lines more: --format sql", style="dim"))
    undo = clean(short(advice.undo_sql or "")).strip().splitlines() or ["cannot be undone"]
    for place, line in enumerate(undo[:SQL_MAX_LINES]):
        _labelled(draw, "undo" if place == 0 else "", Text(line, style="dim"))
    if advice.risk:
        _labelled(draw, "risk", Text(clean(short(advice.risk)), style="dim"))


def _labelled(draw: Lines, label: str, text: Text, *, max_lines: int | None = None) -> None:
    first = Text(" " * INDENT) + Text(label, style="dim")
    draw.text(text, indent=INDENT + LABEL, first=first, max_lines=max_lines)


def _kept(draw: Lines, counsel: Counsel) -> None:
    if not counsel.kept:
        return
    draw.heading("Kept as it is")
    for _, found in by_area(counsel.kept):
        for one in found:
            _kept_line(draw, one)
    draw.blank()


def _kept_line(draw: Lines, one: Kept) -> None:
    text = Text(one_line(one.object))
    text.append(f"  {one_line(short(one.value, 160))}", style="cyan")
    text.append(f"  {clean(one.reason)}", style="dim")
    draw.text(text, indent=INDENT, first=Text("   ·", style="green"), max_lines=3)


def _blind(draw: Lines, counsel: Counsel) -> None:
    groups = grouped(counsel.blind)
    if not groups:
        return
    draw.text(Text("Cannot be told", style="bold magenta"))
    for group in groups:
        draw.text(Text(clean(short(group.reason))), indent=INDENT, first=Text("  ?", style="magenta"), max_lines=3)
        if group.cure:
            draw.text(Text(clean(short(group.cure)), style="green"), indent=INDENT, max_lines=2)
    draw.blank()


def _last(draw: Lines, counsel: Counsel, target: str) -> None:
    last = Text(counts(counsel), style="bold")
    if counsel.steps:
        where = f" {target}" if target else ""
        following = Text().append("next: ", style="dim")
        following.append(f"pgrunbook advise {counsel.topic} --plan plan.json{where}", style="bold")
        if last.cell_len + following.cell_len + 4 <= draw.width:
            draw.text(Text().append_text(last).append("    ").append_text(following))
            return
        draw.text(last)
        draw.text(following)
        return
    draw.text(last)
