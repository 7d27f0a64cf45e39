"""A diagnosis for a terminal: worst first, four lines a finding, the counts and the next command last.

What, why, effect, do.  Readable at 80 columns and without colour; whatever came from the database is cleaned first.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Mapping, Sequence

from rich.console import Console
from rich.text import Text

from pgrunbook.model import Advice, Blind, Finding, ServerRole, Service, Severity
from pgrunbook.model.diagnosis import Diagnosis
from pgrunbook.report.blindness import BlindGroup, grouped
from pgrunbook.report.lines import Lines
from pgrunbook.report.short_ids import FINGERPRINT_SHOWN, short_ids
from pgrunbook.report.words import clean, counted, duration, figures, one_line, short

SHOWN_IN_FULL = 8  # findings or groups of them; the rest is one line, --all shows it
ALIKE_MIN = 3  # findings of one check are told together
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
    draw = Lines(console)
    draw.text(header(diagnosis))
    draw.blank()
    ids = short_ids(diagnosis.findings)
    groups = _alike(diagnosis.findings, at_least=len(diagnosis.findings) + 1 if show_all else ALIKE_MIN)
    shown = groups if show_all else groups[:SHOWN_IN_FULL]
    for group in shown:
        _finding(draw, group[0], ids[group[0].fingerprint], whole=show_all)
        if len(group) > 1:
            _others(draw, group[1:], ids)
        draw.blank()
    _rest(draw, [finding for group in groups[len(shown) :] for finding in group])
    _blind(draw, diagnosis.blind, whole=show_all)
    _muted(draw, diagnosis, whole=show_all)
    if not diagnosis.findings and diagnosis.ok:
        limit = " in what could be looked at" if diagnosis.blind else ""
        draw.text(Text(f"Nothing to mend{limit}.", style="bold green"))
        draw.blank()
    for line in _last(diagnosis, target, exit_code, console.width):
        draw.text(line)


def _alike(findings: Sequence[Finding], *, at_least: int) -> list[list[Finding]]:
    """Findings of one check and severity together when there are that many, each other one by itself."""
    amounts = Counter((finding.check, finding.severity) for finding in findings)
    groups: dict[object, list[Finding]] = {}
    for number, finding in enumerate(findings):
        likeness = (finding.check, finding.severity)
        groups.setdefault(likeness if amounts[likeness] >= at_least else number, []).append(finding)
    return list(groups.values())


def _others(draw: Lines, findings: Sequence[Finding], ids: Mapping[str, str]) -> None:
    """The rest of a group on two lines, and how to mend all of it."""
    names = ", ".join(f"{ids[one.fingerprint]} {one_line(short(one.object, 100))}" for one in findings)
    _labelled(draw, "also", Text(f"{len(findings)} more: {names}", style="cyan"), max_lines=2)
    if all(any(advice.step is not None for advice in one.advice) for one in findings):
        text = Text().append(f"pgrunbook apply --only {findings[0].check}", style="green")
        _labelled(draw, "all", text.append(f"  # {len(findings) + 1} steps", style="dim"))


def _labelled(draw: Lines, label: str, text: Text, *, max_lines: int | None = None) -> None:
    """A line such as `effect  saves 16 kB`."""
    first = Text(" " * INDENT) + Text(label, style="dim")
    draw.text(text, indent=INDENT + LABEL, first=first, max_lines=max_lines)


def header(diagnosis: Diagnosis) -> Text:
    """Which database, which server, how it was looked at."""
    server = diagnosis.server
    parts = [f"PostgreSQL {clean(server.version)}", server.role.value]
    if server.role is ServerRole.STANDBY:
        parts[-1] = "standby, read only"
    if server.service is not Service.PLAIN:
        parts.append(server.service.value.replace("_", " "))
    parts.append(f"as {one_line(server.user)}")
    findings = (*diagnosis.findings, *(one.finding for one in diagnosis.muted))
    asked = len(diagnosis.ok) + len({f.check for f in findings} | {b.check for b in diagnosis.blind})
    text = Text().append(one_line(server.database), style="bold")
    text.append(" · " + " · ".join(parts))
    text.append(f"  {counted(asked, 'check')}, {duration(diagnosis.duration_s)}", style="dim")
    return text


def _finding(draw: Lines, finding: Finding, short_id: str, *, whole: bool) -> None:
    style = STYLES[finding.severity]
    what = Text()
    what.append(f"{short_id}  {one_line(finding.title)}", style="bold")
    what.append("  " + one_line(finding.object), style="cyan")
    draw.text(what, indent=INDENT, first=Text(WORDS[finding.severity], style=style))
    if finding.detail:
        draw.text(Text(clean(short(finding.detail))), indent=INDENT, max_lines=None if whole else WHY_MAX_LINES)
    if finding.effect is not None and figures(finding.effect.figures):
        effect = Text(short(figures(finding.effect.figures)))
        effect.append(f" ({finding.effect.basis.value})", style="dim")
        _labelled(draw, "effect", effect)
    for number, advice in enumerate(finding.advice if whole else finding.advice[:1]):
        _advice(draw, finding, advice, label="do" if number == 0 else "or", whole=whole)


def _advice(draw: Lines, finding: Finding, advice: Advice, *, label: str, whole: bool) -> None:
    if advice.step is not None and label == "do":
        text = Text().append(f"pgrunbook apply {finding.fingerprint[:FINGERPRINT_SHOWN]}", style="green")
        text.append(f"  # {_terms(advice)}", style="dim")
        _labelled(draw, label, text)
        if not whole:
            return
        label = "sql"
    statements = clean(short(advice.sql)).strip().splitlines() or [clean(advice.title)]
    for number, statement in enumerate(statements if whole else statements[:1]):
        text = Text().append(statement, style="green")
        if not whole and len(statements) > 1:
            text.append(f"  # and {counted(len(statements) - 1, 'line')} more: --all", style="dim")
        _labelled(draw, label if number == 0 else "", text, max_lines=None if whole else 2)
    if whole:
        _small_print(draw, advice)


def _small_print(draw: Lines, advice: Advice) -> None:
    for name, words in (("lock", advice.lock.value.lower()), ("risk", advice.risk)):
        if words:
            _labelled(draw, name, Text(clean(short(words)), style="dim"))
    undo = clean(short(advice.undo_sql or "")).strip().splitlines() or ["cannot be undone"]
    for number, statement in enumerate(undo):
        _labelled(draw, "undo" if number == 0 else "", Text(statement, style="dim"))


def _terms(advice: Advice) -> str:
    lock = "no table lock" if advice.lock.value == "NONE" else advice.lock.value.lower()
    return f"{lock}; {'undo recorded' if advice.reversible else 'no undo'}"


def _rest(draw: Lines, findings: Sequence[Finding]) -> None:
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
    draw.text(text, indent=INDENT, first=Text("   +"))
    draw.blank()


def _blind(draw: Lines, blind: Sequence[Blind], *, whole: bool) -> None:
    groups = grouped(blind)
    if not groups:
        return
    draw.text(Text("Could not be looked at", style="bold magenta"))
    for group in groups:
        draw.text(Text(clean(short(group.reason))), indent=INDENT, max_lines=None if whole else 2)
        _labelled(draw, "checks", Text(_subjects(group), style="dim"), max_lines=None if whole else 2)
        if group.cure:
            _labelled(draw, "cure", Text(clean(short(group.cure)), style="green"))
    draw.blank()


def _subjects(group: BlindGroup) -> str:
    return ", ".join(
        check if not objects else f"{check} on {', '.join(map(one_line, objects))}" for check, objects in group.subjects
    )


def _muted(draw: Lines, diagnosis: Diagnosis, *, whole: bool) -> None:
    if not whole or not diagnosis.muted:
        return
    draw.text(Text("Muted", style="bold"))
    for muted in diagnosis.muted:
        text = Text(f"{muted.finding.check} on {one_line(muted.finding.object)}: {clean(muted.reason)}")
        text.append(f" (until {muted.until})" if muted.until else " (without end)", style="dim")
        draw.text(text, indent=INDENT)
    draw.blank()


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
    following = Text().append("next: ", style="dim").append(command, style="bold")
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
