"""A diagnosis for a terminal: worst first, four lines a finding, the counts and the next command last.

What, why, effect, do.  Readable at 80 columns and without colour; whatever came from the database is cleaned first.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Sequence

from rich.console import Console
from rich.text import Text

from pgrunbook.model import Advice, Blind, Finding, ServerRole, Service, Severity
from pgrunbook.model.diagnosis import Diagnosis
from pgrunbook.report.blindness import BlindGroup, grouped
from pgrunbook.report.short_ids import FINGERPRINT_SHOWN, short_ids
from pgrunbook.report.words import clean, counted, duration, figures

SHOWN_IN_FULL = 8  # findings; the rest is one line, --all shows it
WHY_MAX_LINES = 3
INDENT = 6
LABEL = 8
STYLES = {Severity.CRITICAL: "bold red", Severity.WARNING: "bold yellow", Severity.NOTICE: "bold blue"}
WORDS = {Severity.CRITICAL: "CRIT", Severity.WARNING: "WARN", Severity.NOTICE: "NOTE"}


def render(
    diagnosis: Diagnosis,
    console: Console,
    *,
    show_all: bool = False,
    target: str = "",
    exit_code: int | None = None,
) -> None:
    """Draw the diagnosis.  `target` is what the user gave as DSN, without its password, for the commands shown."""
    draw = _Drawing(console)
    draw.line(header(diagnosis))
    draw.line(Text())
    shown = diagnosis.findings if show_all else diagnosis.findings[:SHOWN_IN_FULL]
    ids = short_ids(diagnosis.findings)
    for finding in shown:
        _finding(draw, finding, ids[finding.fingerprint], whole=show_all)
    _rest(draw, diagnosis.findings[len(shown) :])
    _blind(draw, diagnosis.blind, whole=show_all)
    _muted(draw, diagnosis, whole=show_all)
    if not diagnosis.findings and diagnosis.ok:
        draw.line(Text("Nothing to mend.", style="bold green"))
        draw.line(Text())
    for line in _last(diagnosis, target, exit_code, console.width):
        draw.line(line)


class _Drawing:
    """Writes lines of text, wrapped with a hanging indent; never a trailing space."""

    def __init__(self, console: Console) -> None:
        self.console = console

    def line(self, text: Text, *, indent: int = 0, first: Text | None = None, max_lines: int | None = None) -> None:
        """One paragraph; `first` stands in the indent of its first line."""
        width = max(20, self.console.width - indent)
        lines = list(text.wrap(self.console, width, tab_size=4))
        if max_lines is not None and len(lines) > max_lines:
            lines = lines[:max_lines]
            lines[-1].truncate(width - 2)
            lines[-1].rstrip()
            lines[-1].append(" …")
        for number, piece in enumerate(lines or [Text()]):
            piece.rstrip()
            head = first.copy() if first is not None and number == 0 else Text()
            if piece.plain:
                head.pad_right(max(0, indent - head.cell_len))
            self.console.print(head + piece, soft_wrap=True)

    def labelled(self, label: str, text: Text, *, max_lines: int | None = None) -> None:
        """A line such as `effect  saves 16 kB`."""
        first = Text(" " * INDENT) + Text(label, style="dim")
        self.line(text, indent=INDENT + LABEL, first=first, max_lines=max_lines)


def header(diagnosis: Diagnosis) -> Text:
    """Which database, which server, how it was looked at."""
    server = diagnosis.server
    parts = [f"PostgreSQL {clean(server.version)}", server.role.value]
    if server.role is ServerRole.STANDBY:
        parts[-1] = "standby, read only"
    if server.service is not Service.PLAIN:
        parts.append(server.service.value.replace("_", " "))
    parts.append(f"as {clean(server.user)}")
    asked = len(diagnosis.ok) + len({f.check for f in diagnosis.findings} | {b.check for b in diagnosis.blind})
    text = Text(clean(server.database), style="bold")
    text.append(" · " + " · ".join(parts), style="not bold")
    text.append(f"  {counted(asked, 'check')}, {duration(diagnosis.duration_s)}", style="not bold dim")
    return text


def _finding(draw: _Drawing, finding: Finding, short_id: str, *, whole: bool) -> None:
    style = STYLES[finding.severity]
    what = Text(f"{short_id}  ", style="bold")
    what.append(clean(finding.title))
    what.append("  " + clean(finding.object), style="not bold cyan")
    draw.line(what, indent=INDENT, first=Text(WORDS[finding.severity], style=style))
    if finding.detail:
        draw.line(Text(clean(finding.detail)), indent=INDENT, max_lines=None if whole else WHY_MAX_LINES)
    if finding.effect is not None and figures(finding.effect.figures):
        effect = Text(figures(finding.effect.figures))
        effect.append(f" ({finding.effect.basis.value})", style="dim")
        draw.labelled("effect", effect)
    for number, advice in enumerate(finding.advice if whole else finding.advice[:1]):
        _advice(draw, finding, advice, label="do" if number == 0 else "or", whole=whole)
    draw.line(Text())


def _advice(draw: _Drawing, finding: Finding, advice: Advice, *, label: str, whole: bool) -> None:
    if advice.step is not None and label == "do":
        text = Text(f"pgrunbook apply {finding.fingerprint[:FINGERPRINT_SHOWN]}", style="green")
        text.append(f"  # {_terms(advice)}", style="not bold dim")
        draw.labelled(label, text)
        if not whole:
            return
        label = "sql"
    statements = clean(advice.sql).strip().splitlines() or [clean(advice.title)]
    for number, statement in enumerate(statements if whole else statements[:1]):
        text = Text(statement, style="green")
        if not whole and len(statements) > 1:
            text.append(f"  # and {counted(len(statements) - 1, 'line')} more: --all", style="not bold dim")
        draw.labelled(label if number == 0 else "", text, max_lines=None if whole else 2)
    if whole:
        _small_print(draw, advice)


def _small_print(draw: _Drawing, advice: Advice) -> None:
    for name, words in (("lock", advice.lock.value.lower()), ("risk", advice.risk)):
        if words:
            draw.labelled(name, Text(clean(words), style="dim"))
    undo = clean(advice.undo_sql or "").strip().splitlines() or ["cannot be undone"]
    for number, statement in enumerate(undo):
        draw.labelled("undo" if number == 0 else "", Text(statement, style="dim"))


def _terms(advice: Advice) -> str:
    lock = "no table lock" if advice.lock.value == "NONE" else advice.lock.value.lower()
    return f"{lock}; {'undo recorded' if advice.reversible else 'no undo'}"


def _rest(draw: _Drawing, findings: Sequence[Finding]) -> None:
    if not findings:
        return
    amounts = [
        counted(amount, severity.value) if severity is not Severity.CRITICAL else f"{amount} critical"
        for severity in Severity
        if (amount := sum(f.severity is severity for f in findings))
    ]
    checks = Counter(f.check for f in findings)
    named = ", ".join(name if amount == 1 else f"{name} ×{amount}" for name, amount in checks.most_common())
    text = Text(f"{', '.join(amounts)}: {named}")
    text.append("   --all shows them", style="dim")
    draw.line(text, indent=INDENT, first=Text("   +"))
    draw.line(Text())


def _blind(draw: _Drawing, blind: Sequence[Blind], *, whole: bool) -> None:
    groups = grouped(blind)
    if not groups:
        return
    draw.line(Text("Could not be looked at", style="bold magenta"))
    for group in groups:
        draw.line(Text(clean(group.reason)), indent=INDENT, max_lines=None if whole else 2)
        draw.labelled("checks", Text(_subjects(group), style="dim"), max_lines=None if whole else 2)
        if group.cure:
            draw.labelled("cure", Text(clean(group.cure), style="green"))
    draw.line(Text())


def _subjects(group: BlindGroup) -> str:
    return ", ".join(
        check if not objects else f"{check} on {', '.join(map(clean, objects))}" for check, objects in group.subjects
    )


def _muted(draw: _Drawing, diagnosis: Diagnosis, *, whole: bool) -> None:
    if not whole or not diagnosis.muted:
        return
    draw.line(Text("Muted", style="bold"))
    for muted in diagnosis.muted:
        text = Text(f"{muted.finding.check} on {clean(muted.finding.object)}: {clean(muted.reason)}")
        text.append(f" (until {muted.until})" if muted.until else " (without end)", style="dim")
        draw.line(text, indent=INDENT)
    draw.line(Text())


def _last(diagnosis: Diagnosis, target: str, exit_code: int | None, width: int) -> list[Text]:
    counts = Text()
    for amount, words, style in (
        (len(diagnosis.ok), f"{len(diagnosis.ok)} ok", "green"),
        (diagnosis.count(Severity.NOTICE), counted(diagnosis.count(Severity.NOTICE), "notice"), "blue"),
        (diagnosis.count(Severity.WARNING), counted(diagnosis.count(Severity.WARNING), "warning"), "yellow"),
        (diagnosis.count(Severity.CRITICAL), f"{diagnosis.count(Severity.CRITICAL)} critical", "bold red"),
        (len(diagnosis.blind), f"{len({b.check for b in diagnosis.blind})} blind", "magenta"),
        (len(diagnosis.muted), f"{len(diagnosis.muted)} muted", "dim"),
    ):
        if amount:
            counts.append(("  " if counts.plain else "") + words, style=style)
    if exit_code is not None:
        counts.append(f"  exit {exit_code}", style="dim")
    command = next_command(diagnosis, target)
    if not command:
        return [counts]
    following = Text("next: ", style="dim")
    following.append(command, style="not dim bold")
    if counts.cell_len + 4 + following.cell_len <= width:
        return [counts + Text("    ") + following]
    return [counts, following]


def next_command(diagnosis: Diagnosis, target: str = "") -> str:
    """What to type next: mend the worst finding that we can mend, or look at what is hidden."""
    where = f" {target}" if target else ""
    for finding in diagnosis.findings:
        if any(advice.step is not None for advice in finding.advice):
            return f"pgrunbook apply {finding.fingerprint[:FINGERPRINT_SHOWN]}{where}"
    if diagnosis.findings:
        return f"pgrunbook diagnose --all{where}"
    return ""
