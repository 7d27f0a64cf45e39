"""An explanation on a terminal: the plan as a tree, then what it shows, what to do, and other ways to say it."""

from __future__ import annotations

from rich.console import Console
from rich.text import Text

from pgrunbook.model import Advice, Lock
from pgrunbook.model.explanation import Explanation, Insight, Note, Rewrite
from pgrunbook.model.query_plan import PlanNode, QueryPlan
from pgrunbook.report.explanation import (
    basis_words,
    comparison_words,
    counter_words,
    node_conditions,
    node_figures,
    node_title,
    verdict,
    weight_words,
)
from pgrunbook.report.lines import Lines
from pgrunbook.report.words import clean, one_line, short

HOT = 0.3  # of the whole: drawn in red
WARM = 0.1
INDENT = 4
SQL_MAX_LINES = 24


def render(found: Explanation, console: Console) -> None:
    """Draw it."""
    draw = Lines(console)
    server = found.server
    head = Text(one_line(found.asked.source), style="bold")
    head.append(f" · {one_line(server.database)} · PostgreSQL {clean(server.version)}", style="not bold")
    draw.text(head)
    draw.text(Text(one_line(short(" ".join(found.asked.text.split()), 600)), style="cyan"), max_lines=4)
    draw.paragraph(clean(f"planned as {found.as_whom}"), style="dim")
    if counter_words(found.asked):
        draw.paragraph(clean(f"counted: {counter_words(found.asked)}"), style="dim")
    draw.paragraph(basis_words(found.plan), style="dim")
    draw.blank()
    for node in found.plan.nodes:
        _node(draw, found.plan, node)
    _insights(draw, found.insights)
    _rewrites(draw, found.rewrites)
    _notes(draw, found.notes)
    if found.blind:
        draw.blank()
        draw.heading("Could not be looked at")
        for blind in found.blind:
            draw.paragraph(clean(f"{blind.object}: {blind.reason}  {blind.cure}"), indent=INDENT)


def _style(share: float) -> str:
    return "bold red" if share >= HOT else "yellow" if share >= WARM else "dim"


def _node(draw: Lines, plan: QueryPlan, node: PlanNode) -> None:
    indent = min(2 * node.depth, draw.width // 2)
    text = Text(clean(node_title(node)), style="bold")
    share, *rest = node_figures(plan, node)
    text.append(f"  {share}", style=f"not bold {_style(plan.share(node))}")
    for figure in rest:
        text.append(f" · {figure}", style="not bold")
    draw.text(text, indent=indent + 5, first=Text(f"{node.number:>3} " + " " * indent, style="dim"))
    for label, condition in node_conditions(node):
        draw.text(Text(clean(f"{label}: {condition}"), style="dim"), indent=indent + 7, max_lines=2)


def _insights(draw: Lines, found: tuple[Insight, ...]) -> None:
    draw.blank()
    draw.heading("What the plan shows" if found else "The plan shows nothing to mend.")
    for one in found:
        share = f"{one.share * 100:>3.0f} %" if one.share is not None else "     "
        text = Text(clean(one.title), style="bold")
        if one.nodes:
            text.append(f"  node {', '.join(map(str, one.nodes))}", style="not bold dim")
        draw.text(text, indent=8, first=Text(f" {share}", style=_style(one.share or 0.0)))
        draw.text(Text(clean(short(one.detail, 800))), indent=8)
        for advice in one.cures:
            _advice(draw, advice, indent=8)


def _advice(draw: Lines, advice: Advice, *, indent: int) -> None:
    lock = "" if advice.lock is Lock.NONE else f"  lock {advice.lock.value}"
    draw.text(Text(clean(f"→ {advice.title}{lock}"), style="green"), indent=indent)
    _sql(draw, advice.sql, indent=indent + 2)
    if advice.risk:
        draw.text(Text(clean(advice.risk), style="dim"), indent=indent + 2)


def _sql(draw: Lines, sql: str, *, indent: int) -> None:
    for line in clean(short(sql, 2000)).split("\n")[:SQL_MAX_LINES]:
        draw.text(Text(line, style="cyan"), indent=indent)


def _rewrites(draw: Lines, found: tuple[Rewrite, ...]) -> None:
    if not found:
        return
    draw.blank()
    draw.heading("Other ways to say it")
    for one in found:
        style = {True: "bold green", False: "dim", None: "yellow"}[one.helps]
        text = Text(clean(one.title), style="bold")
        text.append(f"  {verdict(one)}: {weight_words(one)}", style=f"not bold {style.removeprefix('bold ')}")
        draw.text(text, indent=INDENT, first=Text("  + " if one.helps else "  · ", style=style))
        draw.text(Text(clean(f"{one.same}: {one.why}")), indent=INDENT)
        for fact in one.facts:
            draw.text(Text(clean(fact), style="dim"), indent=INDENT + 2, first=Text("    - ", style="dim"))
        if one.caveat:
            draw.text(Text(clean(f"But: {one.caveat}"), style="yellow"), indent=INDENT)
        _sql(draw, one.sql, indent=INDENT + 2)
        if comparison_words(one):
            is_bad = one.comparison is not None and not one.comparison.is_equal
            draw.text(Text(clean(comparison_words(one)), style="bold red" if is_bad else "dim"), indent=INDENT)
        for advice in one.needs:
            _advice(draw, advice, indent=INDENT)


def _notes(draw: Lines, found: tuple[Note, ...]) -> None:
    if not found:
        return
    draw.blank()
    draw.heading("To consider")
    for one in found:
        draw.text(Text(clean(one.title), style="bold"), indent=INDENT)
        draw.text(Text(clean(one.reason)), indent=INDENT)
        for advice in one.advice:
            _advice(draw, advice, indent=INDENT)
