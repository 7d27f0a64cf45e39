"""An explanation as JSON and Markdown, and the words that all its forms share."""

from __future__ import annotations

import dataclasses
from collections.abc import Iterator
from typing import Any

from pgrunbook import __version__
from pgrunbook.model import Advice, Lock
from pgrunbook.model.explanation import Asked, Comparison, Explanation, Insight, Note, Rewrite, Weight
from pgrunbook.model.query_plan import Actual, PlanNode, QueryPlan
from pgrunbook.report import json
from pgrunbook.report.markdown import block, code, plain
from pgrunbook.report.words import counted, duration, number, short, size

SCHEMA_VERSION = 1
BLOCK_BYTES = 8192
FILTER_MAX_CHARS = 160


def render_json(found: Explanation) -> str:
    """JSON text."""
    return json.dumps(as_dict(found))


def as_dict(found: Explanation) -> dict[str, Any]:
    """The explanation as one JSON object."""
    server = found.server
    return {
        "schema_version": SCHEMA_VERSION,
        "tool": "pgrunbook",
        "version": __version__,
        "taken_at": json.utc(found.taken_at),
        "server": {
            "database": server.database,
            "version": server.version,
            "major": server.major,
            "role": server.role.value,
            "service": server.service.value,
        },
        "statement": _asked(found.asked),
        "planned_as": found.as_whom,
        "plan": _plan(found.plan),
        "insights": [_insight(one) for one in found.insights],
        "rewrites": [_rewrite(one) for one in found.rewrites],
        "notes": [_note(one) for one in found.notes],
        "blind": [{"object": b.object, "reason": b.reason, "cure": b.cure} for b in found.blind],
    }


def _asked(asked: Asked) -> dict[str, Any]:
    values = dataclasses.asdict(asked)
    return {**values, "queryid": str(asked.queryid) if asked.queryid is not None else None}


def _plan(plan: QueryPlan) -> dict[str, Any]:
    return {
        "basis": plan.basis.value,
        "is_generic": plan.is_generic,
        "cost": plan.root.total_cost,
        "planning_ms": plan.planning_ms,
        "execution_ms": plan.execution_ms,
        "jit_ms": plan.jit.total_ms if plan.jit is not None else None,
        "settings": dict(plan.settings),
        "tree": _node(plan, plan.root),
    }


def _node(plan: QueryPlan, node: PlanNode) -> dict[str, Any]:
    shown = {
        "number": node.number,
        "node": node.kind,
        "relation": node.relation,
        "alias": node.alias,
        "index": node.index,
        "join": node.join,
        "strategy": node.strategy,
        "relationship": node.relationship,
        "subplan": node.subplan,
        "cte": node.cte,
        "function": node.function,
        "startup_cost": node.startup_cost,
        "total_cost": node.total_cost,
        "self_cost": round(node.self_cost, 2),
        "rows_estimated": node.rows,
        "width_bytes": node.width_bytes,
        "share": {
            "self": round(plan.share(node), 4),
            "inclusive": round(plan.inclusive_share(node), 4),
            "of": "time" if plan.is_measured else "cost",
        },
        "index_cond": node.index_cond,
        "recheck_cond": node.recheck_cond,
        "filter": node.filter,
        "join_filter": node.join_filter,
        "join_cond": node.join_cond,
        "sort_keys": list(node.sort_keys),
        "group_keys": list(node.group_keys),
        "workers_planned": node.workers_planned or None,
        "actual": _actual(node.actual) if node.actual is not None else None,
        "misestimate": round(node.misestimate, 3) if node.misestimate is not None else None,
        "memory": dataclasses.asdict(node.memory) if node.memory is not None else None,
        "blocks": dataclasses.asdict(node.blocks) if node.blocks is not None else None,
        "self_blocks": dataclasses.asdict(node.self_blocks) if node.self_blocks is not None else None,
        "children": [_node(plan, child) for child in node.children],
    }
    always = {"children", "total_cost", "startup_cost", "self_cost", "rows_estimated", "number"}
    return {name: value for name, value in shown.items() if name in always or value not in ("", None, [])}


def _actual(actual: Actual) -> dict[str, Any]:
    return {name: round(value, 3) for name, value in dataclasses.asdict(actual).items()}


def _insight(one: Insight) -> dict[str, Any]:
    return {
        "name": one.name,
        "title": one.title,
        "detail": one.detail,
        "nodes": list(one.nodes),
        "share": one.share,
        "evidence": {name: json.plain_value(value) for name, value in one.evidence.items()},
        "cures": [json.advice_dict(advice) for advice in one.cures],
    }


def _rewrite(one: Rewrite) -> dict[str, Any]:
    return {
        "name": one.name,
        "title": one.title,
        "sql": one.sql,
        "same": one.same,
        "why": one.why,
        "facts": list(one.facts),
        "caveat": one.caveat or None,
        "helps": one.helps,
        "before": _weight(one.before),
        "after": _weight(one.after),
        "unplanned": one.unplanned or None,
        "comparison": dataclasses.asdict(one.comparison) if one.comparison is not None else None,
        "not_compared": one.not_compared or None,
        "needs": [json.advice_dict(advice) for advice in one.needs],
    }


def _weight(weight: Weight | None) -> dict[str, Any] | None:
    return None if weight is None else {**dataclasses.asdict(weight), "basis": weight.basis.value}


def _note(one: Note) -> dict[str, Any]:
    return {
        "name": one.name,
        "title": one.title,
        "reason": one.reason,
        "advice": [json.advice_dict(advice) for advice in one.advice],
    }


def node_title(node: PlanNode) -> str:
    """What a node is and what it works on."""
    parts = [node.kind]
    if node.join and node.join != "Inner":
        parts.append(f"({node.join})")
    if node.kind == "Aggregate" and node.strategy:
        parts.append(f"({node.strategy})")
    if node.index:
        parts.append(f"using {node.index}")
    if node.relation:
        parts.append(f"on {node.relation}")
        if node.alias and not node.relation.endswith(node.alias):
            parts.append(node.alias)
    elif node.cte or node.function:
        parts.append(f"on {node.cte or node.function}")
    if node.subplan:
        parts.append(f"[{node.subplan}]")
    return " ".join(parts)


def node_figures(plan: QueryPlan, node: PlanNode) -> Iterator[str]:
    """Share, rows planned and actual, loops, rows removed, spills, blocks."""
    own, whole = plan.share(node), plan.inclusive_share(node)
    yield f"{whole * 100:.0f} %" if not node.children else f"{whole * 100:.0f} % (self {own * 100:.0f} %)"
    actual = node.actual
    if actual is None:
        yield f"rows ≈ {number(node.rows)}"
        yield f"cost {number(node.total_cost)}"
        return
    if actual.loops == 0:
        yield "never run"
        return
    yield f"{duration(actual.inclusive_ms / 1000)}"
    factor = node.misestimate or 1.0
    off = f" (×{factor:,.0f})" if factor >= 2 else f" (÷{1 / factor:,.0f})" if factor <= 0.5 else ""
    yield f"rows ≈ {number(node.rows)} → {number(actual.loop_rows)}{off}"
    if actual.loops > 1:
        yield f"{number(actual.loops)} loops"
    for removed, by in (
        (actual.filter_removed_rows, "filter"),
        (actual.join_filter_removed_rows, "join filter"),
        (actual.recheck_removed_rows, "recheck"),
    ):
        if removed:
            yield f"{number(round(removed))} removed by {by}"
    if node.memory is not None and node.memory.spilled:
        if node.memory.disk_bytes:
            yield f"{size(node.memory.disk_bytes)} on disk"
        if node.memory.batches > 1:
            yield f"{node.memory.batches} batches"
    if actual.lossy_blocks:
        yield f"{number(actual.lossy_blocks)} lossy blocks"
    blocks = node.self_blocks
    if blocks is not None and blocks.shared:
        yield f"{size(blocks.shared * BLOCK_BYTES)} of blocks" + (
            f", {size(blocks.shared_read * BLOCK_BYTES)} read" if blocks.shared_read else ""
        )


def node_conditions(node: PlanNode) -> Iterator[tuple[str, str]]:
    """What it asks of its rows."""
    for label, text in (
        ("index condition", node.index_cond),
        ("condition", node.join_cond),
        ("filter", node.filter),
        ("join filter", node.join_filter),
        ("sort by", ", ".join(node.sort_keys)),
        ("group by", ", ".join(node.group_keys)),
    ):
        if text:
            yield label, short(text, FILTER_MAX_CHARS)


def basis_words(plan: QueryPlan) -> str:
    """Whether it was measured, and in how long a time."""
    if plan.is_measured and plan.execution_ms is not None:
        planning = f", planned in {duration((plan.planning_ms or 0.0) / 1000)}"
        return f"measured: ran in {duration(plan.execution_ms / 1000)}{planning}; shares are of the time"
    generic = " for any value of its parameters" if plan.is_generic else ""
    return f"estimated: planned{generic}, not run; cost {number(plan.root.total_cost)}; shares are of the cost"


def counter_words(asked: Asked) -> str:
    """What the server has counted of it."""
    if asked.calls is None:
        return ""
    return (
        f"{counted(asked.calls, 'call')}, {asked.mean_ms or 0:g} ms, {asked.rows_per_call or 0:g} rows and"
        f" {asked.blocks_per_call or 0:g} blocks each" + (f", as {asked.role}" if asked.role else "")
    )


def weight_words(one: Rewrite) -> str:
    """What it costs before and after, and of what kind the figures are."""
    if one.before is None or one.after is None:
        return f"not planned: {one.unplanned}" if one.unplanned else "not planned"
    if one.before.ms is not None and one.after.ms is not None:
        return f"measured, one run each: {duration(one.before.ms / 1000)} → {duration(one.after.ms / 1000)}"
    return f"estimated cost {number(one.before.cost)} → {number(one.after.cost)}"


def comparison_words(one: Rewrite) -> str:
    """What comparing rows showed."""
    found: Comparison | None = one.comparison
    if found is None:
        return f"rows were not compared: {one.not_compared}" if one.not_compared else ""
    same = "the same" if found.is_equal else "NOT the same"
    note = f" ({found.note})" if found.note else ""
    rows = f"{found.before_rows:,} and {found.after_rows:,} rows"
    return f"{rows}, {same}, on the data of now{note}: evidence, no proof"


def verdict(one: Rewrite) -> str:
    """Whether it helps."""
    if one.helps is None:
        return "cheaper only with what it needs" if one.needs and one.after is not None else "not weighed"
    return "cheaper" if one.helps else "no cheaper"


def render_markdown(found: Explanation) -> str:
    """The explanation for a wiki or an issue."""
    plan = found.plan
    lines = []
    for node in plan.nodes:
        figures = " · ".join(node_figures(plan, node))
        lines.append(f"{'  ' * node.depth}{node.number}. {node_title(node)}  [{figures}]")
        lines += [f"{'  ' * node.depth}     {label}: {text}" for label, text in node_conditions(node)]
    parts = [
        f"# Explained: {plain(found.asked.source)}",
        block(short(found.asked.text)),
        f"{plain(basis_words(plan))}. Planned as {plain(found.as_whom)}. {plain(counter_words(found.asked))}".strip(),
        "## Plan",
        block("\n".join(lines), "text"),
        *(_markdown_insights(found)),
        *(_markdown_rewrites(found)),
        *(_markdown_notes(found)),
        *(_markdown_blind(found)),
        f"---\npgrunbook {__version__}, {json.utc(found.taken_at)}",
    ]
    return "\n\n".join(part for part in parts if part) + "\n"


def _markdown_insights(found: Explanation) -> Iterator[str]:
    if found.insights:
        yield "## What the plan shows"
    for one in found.insights:
        share = f" ({one.share * 100:.0f} %)" if one.share is not None else ""
        nodes = f" — node {', '.join(map(str, one.nodes))}" if one.nodes else ""
        yield f"### {plain(one.title)}{share}{nodes}\n\n{plain(short(one.detail))}"
        yield from (_markdown_advice(advice) for advice in one.cures)


def _markdown_advice(advice: Advice) -> str:
    lock = "no table lock" if advice.lock is Lock.NONE else f"lock {advice.lock.value}"
    risk = f"; {plain(advice.risk)}" if advice.risk else ""
    return f"**{plain(advice.title)}** ({lock}{risk})\n\n{block(short(advice.sql))}"


def _markdown_rewrites(found: Explanation) -> Iterator[str]:
    if found.rewrites:
        yield "## Other ways to say it"
    for one in found.rewrites:
        facts = "\n".join(f"- {plain(fact)}" for fact in one.facts)
        caveat = f"But: {plain(one.caveat)}" if one.caveat else ""
        compared = plain(comparison_words(one))
        yield "\n\n".join(
            part
            for part in (
                f"### {plain(one.title)} — {verdict(one)}",
                f"{plain(weight_words(one))}. {plain(one.same)}: {plain(one.why)}",
                facts,
                caveat,
                block(short(one.sql)),
                compared,
                *(_markdown_advice(advice) for advice in one.needs),
            )
            if part
        )


def _markdown_notes(found: Explanation) -> Iterator[str]:
    if found.notes:
        yield "## To consider"
    for one in found.notes:
        yield f"### {plain(one.title)}\n\n{plain(one.reason)}"
        yield from (_markdown_advice(advice) for advice in one.advice)


def _markdown_blind(found: Explanation) -> Iterator[str]:
    if found.blind:
        yield "## Could not be looked at\n\n" + "\n".join(
            f"- {plain(b.object or '')}: {plain(b.reason)}" + (f" Cure: {code(b.cure)}" if b.cure else "")
            for b in found.blind
        )
