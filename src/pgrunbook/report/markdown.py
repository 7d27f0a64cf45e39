"""A diagnosis as Markdown, for an issue, a pull request or a wiki.  Names and texts of a database cannot break out."""

from __future__ import annotations

import re

from pgrunbook import __version__
from pgrunbook.model import Advice, Finding, Lock
from pgrunbook.model.diagnosis import Diagnosis
from pgrunbook.report.blindness import grouped
from pgrunbook.report.html import server_words, verdict
from pgrunbook.report.json import utc
from pgrunbook.report.short_ids import short_ids
from pgrunbook.report.words import clean, figure, figures, label, short

_SPECIAL = re.compile(r"([\\`*_\[\]<>|~$&@]|(?<=www)\.|:(?=//)|(?:(?<=\A)|(?<=\A\d))(?:[#+=:-]|[.)](?=\s)))")
_TICKS = re.compile(r"`+")


def render(diagnosis: Diagnosis) -> str:
    """The whole diagnosis."""
    parts = [
        f"# {plain(diagnosis.server.database)}: diagnosis",
        plain(verdict(diagnosis)),
        plain(server_words(diagnosis)),
        _overview(diagnosis),
        *(_finding(finding, short_id) for finding, short_id in _with_ids(diagnosis)),
        _blind(diagnosis),
        _fine(diagnosis),
        _muted(diagnosis),
        f"---\npgrunbook {__version__}, {utc(diagnosis.taken_at)}",
    ]
    return "\n\n".join(part for part in parts if part) + "\n"


def plain(text: str) -> str:
    r"""One line of text that is no markup and no link, whatever stands in it.

    >>> print(plain("# a|b\n`x` <i> public.t http://x"))
    \# a\|b \`x\` \<i\> public.t http\://x
    """
    return _SPECIAL.sub(r"\\\1", " ".join(clean(text).split()))


def code(text: str) -> str:
    """One line of code; the fence is longer than any run of backticks in it.

    >>> code("a`b|c")
    '``a`b|c``'
    """
    line = " ".join(clean(text).split())
    fence = "`" * (max((len(run) for run in _TICKS.findall(line)), default=0) + 1)
    pad = " " if line.startswith("`") or line.endswith("`") else ""
    return f"{fence}{pad}{line}{pad}{fence}" if line else ""


def _cell(text: str) -> str:
    """Code in a table, where a bar would end the cell even there."""
    return code(short(text, 200)).replace("|", "\\|")


def block(text: str, language: str = "sql") -> str:
    """A fenced block whose fence its text cannot close."""
    body = clean(text).strip("\n")
    fence = "`" * max(3, max((len(run) for run in _TICKS.findall(body)), default=0) + 1)
    return f"{fence}{language}\n{body}\n{fence}"


def _with_ids(diagnosis: Diagnosis) -> list[tuple[Finding, str]]:
    ids = short_ids(diagnosis.findings)
    return [(finding, ids[finding.fingerprint]) for finding in diagnosis.findings]


def _overview(diagnosis: Diagnosis) -> str:
    if not diagnosis.findings:
        return ""
    rows = [
        f"| {short_id} | {finding.severity.value} | {plain(finding.title)} | {_cell(finding.object)} |"
        for finding, short_id in _with_ids(diagnosis)
    ]
    return "\n".join(["| | Severity | Finding | Object |", "|---|---|---|---|", *rows])


def _finding(finding: Finding, short_id: str) -> str:
    facts = [f"- check: `{finding.check}` · fingerprint: `{finding.fingerprint}`"]
    facts += [f"- {label(name)}: {plain(short(figure(name, value), 600))}" for name, value in finding.evidence.items()]
    if finding.related:
        facts.append("- related: " + ", ".join(code(short(name, 200)) for name in finding.related))
    if finding.effect is not None and figures(finding.effect.figures):
        facts.append(f"- effect ({finding.effect.basis.value}): {plain(figures(finding.effect.figures))}")
    if finding.section:
        facts.append(f"- runbook: {plain(finding.section)}")
    parts = [
        f"## {short_id} {plain(finding.title)}",
        f"**{finding.severity.value}** · {finding.kind.value} {code(short(finding.object, 400))}",
        plain(short(finding.detail)),
        "\n".join(facts),
        *(_advice(advice, number) for number, advice in enumerate(finding.advice)),
    ]
    return "\n\n".join(part for part in parts if part)


def _advice(advice: Advice, number: int) -> str:
    lock = "no table lock" if advice.lock is Lock.NONE else f"lock {advice.lock.value}"
    terms = [lock, plain(advice.risk), "" if advice.reversible else "cannot be undone"]
    parts = [
        f"**{'Remedy' if number == 0 else 'Or'}: {plain(advice.title)}** ({'; '.join(term for term in terms if term)})",
        block(short(advice.sql)),
    ]
    if advice.undo_sql is not None:
        parts += ["Undo:", block(short(advice.undo_sql))]
    return "\n\n".join(parts)


def _blind(diagnosis: Diagnosis) -> str:
    lines = []
    for group in grouped(diagnosis.blind):
        subjects = ", ".join(
            f"`{check}`" + (f" on {', '.join(code(short(name, 120)) for name in objects[:20])}" if objects else "")
            for check, objects in group.subjects
        )
        cure = f" Cure: {code(short(group.cure, 400))}" if group.cure else ""
        lines.append(f"- {plain(short(group.reason))} ({subjects}){cure}")
    return "\n".join(["## Could not be looked at", "", *lines]) if lines else ""


def _fine(diagnosis: Diagnosis) -> str:
    if not diagnosis.ok:
        return ""
    return "## Looked and found nothing\n\n" + ", ".join(f"`{name}`" for name in diagnosis.ok)


def _muted(diagnosis: Diagnosis) -> str:
    if not diagnosis.muted:
        return ""
    rows = [
        f"| {plain(one.finding.title)} | {_cell(one.finding.object)} | {plain(short(one.reason, 400))} |"
        f" {one.until or 'without end'} |"
        for one in diagnosis.muted
    ]
    return "\n".join(["## Muted", "", "| Finding | Object | Reason | Until |", "|---|---|---|---|", *rows])
