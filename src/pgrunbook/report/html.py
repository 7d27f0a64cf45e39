"""A diagnosis as one page to keep and to share: self-contained, light or dark, on a phone and on paper."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

from pgrunbook import __version__
from pgrunbook.model import Advice, Finding, Lock, ServerRole, Service, Severity
from pgrunbook.model.diagnosis import Diagnosis
from pgrunbook.report.blindness import grouped
from pgrunbook.report.json import as_dict, utc
from pgrunbook.report.markup import Content, Markup, joined, tag
from pgrunbook.report.page import brand, page, tile
from pgrunbook.report.short_ids import FINGERPRINT_SHOWN, short_ids
from pgrunbook.report.words import counted, duration, figure, figures, label, short

IN_FULL_MAX = 80  # findings with all they have to say; the rest is a line each, and in the embedded data
LINES_MAX = 400


def render(diagnosis: Diagnosis) -> str:
    """The page."""
    database = diagnosis.server.database
    return page(
        f"{database}: {verdict(diagnosis)}",
        tag(
            "header",
            brand(),
            tag("h1", database),
            tag("span", server_words(diagnosis), class_="mute"),
            class_="top",
        ),
        tag("p", verdict(diagnosis), class_="verdict"),
        tiles(diagnosis),
        findings(diagnosis),
        blind(diagnosis),
        looked_well(diagnosis),
        muted(diagnosis),
        _footer(diagnosis),
        data=as_dict(diagnosis),
        data_id="diagnosis",
    )


def server_words(diagnosis: Diagnosis) -> str:
    """What the database runs on, and when it was looked at."""
    server = diagnosis.server
    parts = [f"PostgreSQL {server.version}", server.role.value]
    if server.service is not Service.PLAIN:
        parts.append(server.service.value.replace("_", " "))
    return " · ".join((*parts, f"looked at {diagnosis.taken_at:%Y-%m-%d %H:%M} UTC"))


def verdict(diagnosis: Diagnosis) -> str:
    """The answer in a sentence."""
    amounts = [
        f"{diagnosis.count(Severity.CRITICAL)} critical" if diagnosis.count(Severity.CRITICAL) else "",
        counted(diagnosis.count(Severity.WARNING), "warning") if diagnosis.count(Severity.WARNING) else "",
        counted(diagnosis.count(Severity.NOTICE), "notice") if diagnosis.count(Severity.NOTICE) else "",
    ]
    found = ", ".join(amount for amount in amounts if amount)
    unseen = len({one.check for one in diagnosis.blind})
    rest = f" {counted(len(diagnosis.ok), 'check')} looked and found nothing."
    rest += f" {counted(unseen, 'check')} could not look at everything." if unseen else ""
    if not found:
        return ("Nothing to mend" + (" in what could be looked at." if unseen else ".")) + rest
    return f"{found}.{rest}"


def tiles(diagnosis: Diagnosis) -> Markup:
    """The counts."""
    shown = [
        tile(
            "Critical",
            str(diagnosis.count(Severity.CRITICAL)),
            tone="critical" if diagnosis.count(Severity.CRITICAL) else "",
        ),
        tile(
            "Warnings",
            str(diagnosis.count(Severity.WARNING)),
            tone="warning" if diagnosis.count(Severity.WARNING) else "",
        ),
        tile(
            "Notices", str(diagnosis.count(Severity.NOTICE)), tone="notice" if diagnosis.count(Severity.NOTICE) else ""
        ),
        tile("Fine", str(len(diagnosis.ok)), unit="checks", tone="ok" if diagnosis.ok else ""),
        tile(
            "Could not look",
            str(len({b.check for b in diagnosis.blind})),
            unit="checks",
            tone="blind" if diagnosis.blind else "",
        ),
    ]
    return tag("div", shown, class_="tiles")


def findings(diagnosis: Diagnosis, *, heading: str = "Findings") -> Content:
    """A table to see all at once, then each in full."""
    if not diagnosis.findings:
        return None
    ids = short_ids(diagnosis.findings)
    full = diagnosis.findings[:IN_FULL_MAX]
    return [
        tag("h2", heading),
        findings_table(diagnosis.findings, ids, linked=len(full)),
        [_card(finding, ids[finding.fingerprint]) for finding in full],
    ]


def findings_table(found: Sequence[Finding], ids: Mapping[str, str], *, linked: int = 0) -> Markup:
    """One line a finding; the first `linked` lead to their cards."""
    rows = []
    for number, finding in enumerate(found[:LINES_MAX]):
        title: Content = finding.title
        if number < linked:
            title = tag("a", finding.title, href=f"#{finding.fingerprint}")
        rows.append(
            tag(
                "tr",
                tag("td", _severity(finding.severity)),
                tag("td", title, tag("div", tag("code", short(finding.object, 200)), class_="mute small")),
                tag("td", _effect_words(finding), class_="wide"),
                tag("td", ids[finding.fingerprint], class_="n wide mute"),
            )
        )
    head = tag(
        "tr",
        tag("th", "Severity"),
        tag("th", "Finding"),
        tag("th", "Effect of mending", class_="wide"),
        tag("th", "", class_="n wide"),
    )
    hidden = len(found) - len(rows)
    rest = tag("p", f"… and {hidden:,} more, in the data embedded in this page.", class_="mute pad") if hidden else None
    return tag("section", tag("table", tag("thead", head), tag("tbody", rows)), rest, class_="card")


def _severity(severity: Severity) -> Markup:
    return tag("span", severity.value, class_=f"sev {severity.value}")


def _effect_words(finding: Finding) -> Content:
    if finding.effect is None or not figures(finding.effect.figures):
        return None
    return [figures(finding.effect.figures), " ", tag("span", f"({finding.effect.basis.value})", class_="mute")]


def _card(finding: Finding, short_id: str) -> Markup:
    effect = _effect_words(finding)
    why = [
        tag("p", short(finding.detail)) if finding.detail else None,
        tag("p", effect, class_="effect") if effect else None,
        [_remedy(advice, number) for number, advice in enumerate(finding.advice)],
    ]
    return tag(
        "article",
        tag(
            "div",
            _severity(finding.severity),
            tag("h3", finding.title),
            tag("span", short_id, " · ", finding.fingerprint[:FINGERPRINT_SHOWN], class_="id"),
            tag("div", finding.kind.value, " ", tag("code", short(finding.object, 400)), class_="where"),
            class_="head",
        ),
        tag("div", tag("div", why), _evidence(finding), class_="body"),
        class_="card finding",
        id=finding.fingerprint,
    )


def _evidence(finding: Finding) -> Markup:
    pairs: list[Content] = [
        [tag("dt", label(name)), tag("dd", short(figure(name, value), 600))] for name, value in finding.evidence.items()
    ]
    if finding.related:
        pairs.append([tag("dt", "related"), tag("dd", joined(", ", [short(name, 200) for name in finding.related]))])
    pairs.append([tag("dt", "check"), tag("dd", finding.check)])
    if finding.section:
        pairs.append([tag("dt", "runbook"), tag("dd", finding.section)])
    return tag("div", tag("h4", "Evidence"), tag("dl", pairs))


def _remedy(advice: Advice, number: int) -> Markup:
    lock = "no table lock" if advice.lock is Lock.NONE else advice.lock.value.lower()
    terms: list[Content] = [tag("span", "Lock ", tag("b", lock))]
    if advice.risk:
        terms.append(tag("span", "Risk ", tag("b", short(advice.risk))))
    if advice.undo_sql is None:
        terms.append(tag("span", tag("b", "Cannot be undone")))
    heading = ("Remedy: " if number == 0 else "Or: ") + advice.title
    return tag(
        "div",
        tag("p", tag("b", heading)),
        tag("pre", short(advice.sql), class_="sql"),
        tag("div", terms, class_="terms"),
        [tag("h4", "Undo"), tag("pre", short(advice.undo_sql), class_="sql undo")]
        if advice.undo_sql is not None
        else None,
        class_="remedy",
    )


def blind(diagnosis: Diagnosis) -> Content:
    """What could not be looked at, with what would cure it."""
    groups = grouped(diagnosis.blind)
    if not groups:
        return None
    spots = [
        tag(
            "div",
            tag("p", short(group.reason)),
            tag("p", joined(", ", [_subject(*subject) for subject in group.subjects]), class_="mute small"),
            tag("pre", short(group.cure), class_="sql") if group.cure else None,
            class_="blindspot",
        )
        for group in groups
    ]
    return [tag("h2", "Could not be looked at"), tag("section", spots, class_="card")]


def _subject(check: str, objects: Sequence[str]) -> Content:
    if not objects:
        return check
    shown = joined(", ", [tag("code", short(name, 120)) for name in objects[:20]])
    return [check, " on ", shown, f" and {len(objects) - 20:,} more" if len(objects) > 20 else None]


def looked_well(diagnosis: Diagnosis) -> Content:
    """The checks that looked and found nothing."""
    if not diagnosis.ok:
        return None
    chips = tag("ul", [tag("li", name) for name in diagnosis.ok], class_="chips")
    return [tag("h2", "Looked and found nothing"), tag("section", tag("div", chips, class_="pad"), class_="card")]


def muted(diagnosis: Diagnosis) -> Content:
    """Findings that somebody muted."""
    if not diagnosis.muted:
        return None
    rows = [
        tag(
            "tr",
            tag("td", one.finding.title, tag("div", tag("code", short(one.finding.object, 200)), class_="mute small")),
            tag("td", short(one.reason, 400)),
            tag("td", one.until or "without end", class_="n"),
        )
        for one in diagnosis.muted[:LINES_MAX]
    ]
    head = tag("tr", tag("th", "Finding"), tag("th", "Reason"), tag("th", "Until", class_="n"))
    table = tag("table", tag("thead", head), tag("tbody", rows))
    return [tag("h2", "Muted"), tag("section", table, class_="card")]


def _footer(diagnosis: Diagnosis) -> Markup:
    standby = (
        " It is a standby: what only the primary knows is listed above."
        if diagnosis.server.role is ServerRole.STANDBY
        else ""
    )
    return tag(
        "footer",
        tag(
            "p",
            f"pgrunbook {__version__}, as {diagnosis.server.user}, {duration(diagnosis.duration_s)}"
            f" at {utc(diagnosis.taken_at)}. Read-only transactions that gave up instead of waiting for a lock;"
            f" nothing was changed. Sizes are what the last VACUUM or ANALYZE saw.{standby}"
            " Figures are since the counters' last reset unless they name a window."
            " The whole answer rides along in this page as JSON.",
        ),
    )
