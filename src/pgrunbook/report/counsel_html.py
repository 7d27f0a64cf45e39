"""Advice as one page to keep and to share: self-contained, light or dark, on a phone and on paper."""

from __future__ import annotations

from collections.abc import Iterator

from pgrunbook import __version__
from pgrunbook.model import Advice, Kind
from pgrunbook.model.counsel import Counsel, Ground, Kept, Proposal, Takes
from pgrunbook.report.blindness import grouped
from pgrunbook.report.counsel import TITLES, as_dict, by_area, counts, headline, terms
from pgrunbook.report.json import utc
from pgrunbook.report.markup import Content, Markup, tag
from pgrunbook.report.page import brand, page, tile
from pgrunbook.report.words import duration, figure, label, short

OVERVIEW_MIN = 4
IN_FULL_MAX = 80  # proposals with all they have to say; the rest is a line each, and in the embedded data
OVERVIEW_MAX = 400


def render(counsel: Counsel) -> str:
    """The page."""
    database, title = counsel.server.database, TITLES[counsel.topic]
    numbered = list(enumerate(counsel.proposals[:IN_FULL_MAX], start=1))
    return page(
        f"{database}: {title}",
        tag(
            "header",
            brand(),
            tag("h1", f"{database}: {title}"),
            tag("span", headline(counsel), class_="mute"),
            class_="top",
        ),
        tag("p", f"{counts(counsel)}.", class_="verdict"),
        _tiles(counsel),
        _overview(counsel),
        [
            [tag("h2", area), [_card(one, number) for number, one in numbered if one.area == area]]
            for area, _ in by_area(counsel.proposals[:IN_FULL_MAX])
        ],
        _fragments(counsel),
        _inputs(counsel),
        _kept(counsel),
        _blind(counsel),
        _footer(counsel),
        data=as_dict(counsel),
        data_id="counsel",
    )


def _tiles(counsel: Counsel) -> Markup:
    restarts = sum(one.takes is Takes.RESTART for one in counsel.proposals)
    shown = [
        tile("Proposals", str(len(counsel.proposals)), tone="notice" if counsel.proposals else "ok"),
        tile("By evidence", str(sum(one.ground is Ground.EVIDENCE for one in counsel.proposals))),
        tile("Need a restart", str(restarts), tone="warning" if restarts else ""),
        tile("Kept", str(len(counsel.kept)), tone="ok" if counsel.kept else ""),
        tile("Cannot be told", str(len(counsel.blind)), tone="blind" if counsel.blind else ""),
    ]
    return tag("div", shown, class_="tiles")


def _overview(counsel: Counsel) -> Content:
    """All at once; a few speak for themselves."""
    if len(counsel.proposals) < OVERVIEW_MIN:
        return None
    rows = [
        tag(
            "tr",
            tag("td", tag("a", one.title, href=f"#p{number}") if number <= IN_FULL_MAX else one.title),
            tag("td", short(one.effect, 160), class_="wide"),
            tag("td", one.takes.value, class_="mute"),
        )
        for number, one in enumerate(counsel.proposals[:OVERVIEW_MAX], start=1)
    ]
    head = tag("tr", tag("th", "Proposal"), tag("th", "Effect (estimated)", class_="wide"), tag("th", "Takes effect"))
    table = tag("table", tag("thead", head), tag("tbody", rows))
    return [tag("h2", "At a glance"), tag("section", table, class_="card scroll")]


def _card(one: Proposal, number: int) -> Markup:
    why: list[Content] = []
    if one.kind is Kind.POLICY and one.current and one.proposed:
        why += [tag("h4", "Now"), tag("pre", short(one.current), class_="sql undo")]
        why += [tag("h4", "Better"), tag("pre", short(one.proposed), class_="sql")]
    elif one.current or one.proposed:
        why.append(tag("p", one.current, " → " if one.current and one.proposed else None, tag("b", one.proposed)))
    why.append(tag("p", short(one.reason)))
    if one.effect:
        why.append(tag("p", one.effect, tag("span", " (estimated)", class_="mute"), class_="effect"))
    why += [_remedy(advice, place) for place, advice in enumerate(one.advice)]
    pill = tag("span", one.takes.value, class_=f"sev {'warning' if one.takes is Takes.RESTART else 'ok'}")
    return tag(
        "section",
        tag(
            "div",
            pill,
            tag("h3", one.title),
            tag("span", f"by {one.ground.value} · {number}", class_="id"),
            tag("div", tag("code", short(one.object, 400)), class_="where"),
            class_="head",
        ),
        tag("div", tag("div", why), _evidence(one), class_="body"),
        class_="card finding",
        id=f"p{number}",
    )


def _evidence(one: Proposal) -> Markup:
    pairs = [
        [tag("dt", label(name)), tag("dd", short(figure(name, value), 300))]
        for name, value in one.evidence.items()
        if value is not None and value != ()
    ]
    _, lock, _ = terms(one)
    pairs.append([tag("dt", "lock"), tag("dd", lock.removeprefix("lock "))])
    return tag("div", tag("h4", "Evidence"), tag("dl", pairs))


def _remedy(advice: Advice, place: int) -> Markup:
    facts: list[Content] = [tag("span", "Risk ", tag("b", short(advice.risk)))] if advice.risk else []
    if advice.undo_sql is None:
        facts.append(tag("span", tag("b", "Cannot be undone")))
    return tag(
        "div",
        tag("p", tag("b", f"Or: {advice.title}")) if place else None,
        tag("pre", short(advice.sql), class_="sql"),
        tag("div", facts, class_="terms") if facts else None,
        [tag("h4", "Undo"), tag("pre", short(advice.undo_sql), class_="sql undo")] if advice.undo_sql else None,
        class_="remedy",
    )


def _fragments(counsel: Counsel) -> Iterator[Markup]:
    for one in counsel.fragments:
        yield tag("h2", one.name)
        yield tag("section", tag("div", tag("pre", one.text, class_="sql"), class_="pad"), class_="card")


def _inputs(counsel: Counsel) -> Content:
    if not counsel.inputs:
        return None
    rows = [
        tag("tr", tag("td", one.name), tag("td", tag("b", one.value)), tag("td", one.source, class_="mute"))
        for one in counsel.inputs
    ]
    return [tag("h2", "Reckoned with"), tag("section", tag("table", tag("tbody", rows)), class_="card")]


def _kept(counsel: Counsel) -> Content:
    if not counsel.kept:
        return None
    head = tag("tr", tag("th", ""), tag("th", "Now"), tag("th", "Why"))
    table = tag("table", tag("thead", head), tag("tbody", [_kept_row(one) for one in counsel.kept]))
    return [tag("h2", "Kept as it is"), tag("section", table, class_="card scroll")]


def _kept_row(one: Kept) -> Markup:
    return tag(
        "tr",
        tag("td", tag("code", short(one.object, 200))),
        tag("td", short(one.value, 200)),
        tag("td", one.reason, class_="mute"),
    )


def _blind(counsel: Counsel) -> Content:
    groups = grouped(counsel.blind)
    if not groups:
        return None
    spots = [
        tag(
            "div",
            tag("p", short(group.reason)),
            tag("pre", short(group.cure), class_="sql") if group.cure else None,
            class_="blindspot",
        )
        for group in groups
    ]
    return [tag("h2", "Cannot be told"), tag("section", spots, class_="card")]


def _footer(counsel: Counsel) -> Markup:
    notes = " ".join(counsel.notes)
    return tag(
        "footer",
        tag("p", notes) if notes else None,
        tag(
            "p",
            f"pgrunbook {__version__}, as {counsel.server.user}, {duration(counsel.duration_s)} at"
            f" {utc(counsel.taken_at)}. Effects are estimated; nothing was changed. The whole answer rides along in"
            " this page as JSON.",
        ),
    )
