"""An explanation as one self-contained page, with the explanation's JSON riding along."""

from __future__ import annotations

from pgrunbook.model import Advice
from pgrunbook.model.explanation import Explanation, Rewrite
from pgrunbook.model.query_plan import PlanNode, QueryPlan
from pgrunbook.report.explanation import (
    as_dict,
    basis_words,
    comparison_words,
    counter_words,
    node_conditions,
    node_figures,
    node_title,
    verdict,
    weight_words,
)
from pgrunbook.report.markup import Content, Markup, tag
from pgrunbook.report.page import brand, page
from pgrunbook.report.words import short


def render(found: Explanation) -> str:
    """The page."""
    asked = found.asked
    return page(
        f"Explained: {asked.source}",
        tag("header", brand(), tag("h1", f"Explained: {asked.source}"), _server(found), class_="top"),
        tag("pre", short(asked.text), class_="sql"),
        tag("p", f"{basis_words(found.plan)}. Planned as {found.as_whom}. {counter_words(asked)}"),
        tag("h2", "Plan"),
        tag("div", tag("div", _tree(found.plan, found.plan.root), class_="pad"), class_="card"),
        _section("What the plan shows", [_insight(found, number) for number in range(len(found.insights))]),
        _section("Other ways to say it", [_rewrite(one) for one in found.rewrites]),
        _section(
            "To consider",
            [
                tag("article", tag("h3", one.title), tag("p", one.reason), [_advice(a) for a in one.advice])
                for one in found.notes
            ],
        ),
        _section(
            "Could not be looked at",
            [
                tag("p", f"{one.object}: {one.reason} ", tag("code", one.cure) if one.cure else None)
                for one in found.blind
            ],
        ),
        data=as_dict(found),
        data_id="explanation",
    )


def _server(found: Explanation) -> Markup:
    return tag("span", f"{found.server.database} · PostgreSQL {found.server.version}", class_="mute")


def _section(title: str, content: list[Markup]) -> Markup | None:
    return (
        tag("section", tag("h2", title), [tag("div", tag("div", one, class_="pad"), class_="card") for one in content])
        if content
        else None
    )


def _tree(plan: QueryPlan, node: PlanNode) -> Markup:
    """A node and what is below it; the hottest have a bar."""
    figures = " · ".join(node_figures(plan, node))
    conditions: Content = [
        tag("div", tag("span", f"{label}: ", class_="mute small"), tag("code", text))
        for label, text in node_conditions(node)
    ]
    head = tag(
        "summary",
        tag("b", f"{node.number}. {node_title(node)}"),
        f" {figures} ",
        tag("meter", value=round(plan.share(node), 3), min=0, max=1, title="its own part of the whole"),
    )
    below = [_tree(plan, child) for child in node.children]
    return tag("details", head, tag("div", conditions, below, style="margin-left: 22px"), open=True)


def _insight(found: Explanation, number: int) -> Markup:
    one = found.insights[number]
    share = f" ({one.share * 100:.0f} %)" if one.share is not None else ""
    nodes = f"node {', '.join(map(str, one.nodes))}" if one.nodes else ""
    return tag(
        "article",
        tag("h3", f"{one.title}{share} ", tag("small", nodes) if nodes else None),
        tag("p", short(one.detail)),
        [_advice(advice) for advice in one.cures],
    )


def _advice(advice: Advice) -> Markup:
    return tag(
        "div",
        tag("p", tag("b", advice.title), f" {advice.risk}" if advice.risk else None),
        tag("pre", short(advice.sql), class_="sql"),
    )


def _rewrite(one: Rewrite) -> Markup:
    compared = comparison_words(one)
    return tag(
        "article",
        tag("h3", f"{one.title}: {verdict(one)}"),
        tag("p", f"{weight_words(one)}. {one.same}: {one.why}"),
        tag("ul", [tag("li", fact) for fact in one.facts]) if one.facts else None,
        tag("p", f"But: {one.caveat}") if one.caveat else None,
        tag("pre", short(one.sql), class_="sql"),
        tag("p", compared) if compared else None,
        [_advice(advice) for advice in one.needs],
    )
