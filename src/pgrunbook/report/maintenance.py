"""Maintenance for a terminal: what a task would do and why, what speaks against it now, and the calendar."""

from __future__ import annotations

from collections.abc import Sequence

from rich.text import Text

from pgrunbook.model import Lock
from pgrunbook.report.changes import Change
from pgrunbook.report.lines import Lines
from pgrunbook.report.words import clean, duration, one_line

INDENT = 5
LABEL = 8
LEFT_OUT_SHOWN = 10


def steps(lines: Lines, chosen: Sequence[tuple[Change, str]]) -> None:
    """Each step with its reason; what they share (lock, risk) stands once below."""
    for number, (step, reason) in enumerate(chosen, start=1):
        lines.text(Text(one_line(step.title), style="bold"), indent=INDENT, first=Text(f"{number:>3}", style="dim"))
        labelled(lines, "why", reason)
        for statement in step.statements():
            labelled(lines, "sql", statement if statement.startswith("--") else f"{statement};", style="green")
    lines.blank()
    for lock, budget_s, risk in dict.fromkeys((step.lock, step.lock_budget_s, step.risk) for step, _ in chosen):
        words = "no table lock" if lock is Lock.NONE else lock.value.lower()
        labelled(lines, "lock", f"{words}, waited for at most {duration(budget_s)} a try")
        if risk:
            labelled(lines, "risk", risk)
    if chosen:
        lines.blank()


def left_out(lines: Lines, pairs: Sequence[tuple[str, str]]) -> None:
    """What looked like work and is not done."""
    for name, reason in pairs[:LEFT_OUT_SHOWN]:
        lines.paragraph(f"{one_line(name)}: {clean(reason)}", indent=INDENT, first="  -  ", first_style="dim")
    if len(pairs) > LEFT_OUT_SHOWN:
        lines.paragraph(f"… and {len(pairs) - LEFT_OUT_SHOWN} more", indent=INDENT, style="dim")
    if pairs:
        lines.blank()


def signs(lines: Lines, found: Sequence[tuple[str, str, bool]]) -> None:
    """What speaks against maintenance now: kind, words, and whether it forbids it."""
    for kind, words, forbids in found:
        head = Text("  !  " if forbids else "  -  ", style="bold red" if forbids else "yellow")
        lines.text(Text().append(f"{kind}: ", style="bold").append(clean(words)), indent=INDENT, first=head)


def labelled(lines: Lines, label: str, words: str, *, style: str = "") -> None:
    """A word in the margin and text beside it."""
    first = Text(" " * INDENT).append(label, style="dim")
    lines.text(Text(clean(words), style=style), indent=INDENT + LABEL, first=first)
