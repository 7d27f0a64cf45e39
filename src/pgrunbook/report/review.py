"""A review: facts, tables and findings of one subject, as Markdown or as one page.  No name breaks out of it."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import datetime

from pgrunbook import __version__
from pgrunbook.model import Server
from pgrunbook.model.diagnosis import Diagnosis
from pgrunbook.report import html, json, markdown
from pgrunbook.report.markdown import plain
from pgrunbook.report.markup import Content, Markup, tag
from pgrunbook.report.page import brand, page
from pgrunbook.report.table import Table, cell, cells, is_text, limited, notes, without_empty_columns

READABLE_ROWS = 25


@dataclass(frozen=True, slots=True, kw_only=True)
class Review:
    """What was looked at.  `facts` are sentences, each with since when it holds."""

    title: str
    server: Server
    taken_at: datetime
    facts: tuple[str, ...]
    tables: tuple[tuple[str, Table], ...]
    diagnosis: Diagnosis


def render_markdown(review: Review) -> str:
    """For a wiki or an issue."""
    found = markdown.render(review.diagnosis).partition("\n\n")[2]  # without its own heading
    parts = [
        f"# {plain(review.server.database)}: {plain(review.title)}",
        f"{json.utc(review.taken_at)}, PostgreSQL {plain(review.server.version)}",
        "\n".join(f"- {plain(fact)}" for fact in review.facts),
        *(_markdown_table(heading, table) for heading, table in review.tables),
        "## Findings",
        found,
    ]
    return "\n\n".join(part for part in parts if part)


def _markdown_table(heading: str, table: Table) -> str:
    shown = without_empty_columns(limited(table, READABLE_ROWS))
    head = [plain(column.heading) for column in shown.columns]
    marks = ["---" if is_text(shown, place) else "--:" for place in range(len(shown.columns))]
    rows = [[plain(cell(column, value)) for column, value in cells(shown, row)] for row in shown.rows]
    lines = [f"| {' | '.join(row)} |" for row in (head, marks, *rows)] if rows else [plain(table.empty)]
    return "\n\n".join([f"## {plain(heading)}", "\n".join(lines), *(plain(note) for note in notes(shown))])


def render_html(review: Review) -> str:
    """One page to keep."""
    database = review.server.database
    return page(
        f"{database}: {review.title}",
        tag(
            "header",
            brand(),
            tag("h1", f"{database}: {review.title}"),
            tag("span", html.server_words(review.diagnosis), class_="mute"),
            class_="top",
        ),
        tag("ul", [tag("li", fact) for fact in review.facts]) if review.facts else None,
        [_html_table(heading, table) for heading, table in review.tables],
        html.findings(review.diagnosis),
        html.blind(review.diagnosis),
        html.looked_well(review.diagnosis),
        tag("footer", f"pgrunbook {__version__}, {json.utc(review.taken_at)}"),
    )


def _html_table(heading: str, table: Table) -> Content:
    shown = without_empty_columns(limited(table, READABLE_ROWS))
    if not shown.rows:
        return [tag("h2", heading), tag("p", table.empty, class_="empty")]
    kinds = ["" if is_text(shown, place) else "n" for place in range(len(shown.columns))]
    head = [tag("th", column.heading, class_=kind) for column, kind in zip(shown.columns, kinds, strict=True)]
    rows = [
        tag("tr", [tag("td", cell(c, v), class_=kind) for (c, v), kind in zip(cells(shown, row), kinds, strict=True)])
        for row in shown.rows
    ]
    body: Markup = tag("table", tag("thead", tag("tr", head)), tag("tbody", rows))
    return [
        tag("h2", heading),
        tag("section", tag("div", body, class_="scroll"), class_="card"),
        [tag("p", note, class_="mute small") for note in notes(shown)],
    ]
