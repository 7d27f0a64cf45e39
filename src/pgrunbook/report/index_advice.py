"""An index advisor's answer as lines for people, as JSON, and as SQL to run."""

from __future__ import annotations

import json
from collections.abc import Iterator
from dataclasses import asdict, replace
from typing import Any

from pgrunbook.model.advice import DroppedIndex, HelpedQuery, IndexAdvice, PlannerReport, ProposedIndex
from pgrunbook.model.verdict import Advice
from pgrunbook.report.json import advice_dict
from pgrunbook.report.words import clean, counted, duration, size

SHOWN_CHARS = 90
SHOWN_QUERIES = 5
SHOWN_DECLINED = 12
SHOWN_BLIND = 10
NO_WORKLOAD = "There is no statement to advise for: none was counted often enough.  Or give some: --workload FILE.sql"
NO_ROOM = "A budget of 0 bytes has room for no index."
NOTHING = "Nothing is worth it: no index that was thought of spares enough."


def render_json(advice: IndexAdvice) -> str:
    """One object; `planner` is null where statistics alone reckoned."""
    return json.dumps({"schema_version": 1, **_plain(advice)}, ensure_ascii=False, indent=2)


def _plain(advice: IndexAdvice) -> dict[str, Any]:
    plain = asdict(replace(advice, proposed=(), dropped=()))
    proposed = [_plain_index(index) for index in advice.proposed]
    dropped = [_plain_drop(index) for index in advice.dropped]
    return {**plain, "size_bytes": advice.size_bytes, "proposed": proposed, "dropped": dropped}


def _plain_advice(advice: Advice) -> dict[str, Any]:
    step = advice.step
    return {
        **advice_dict(advice),
        "step": {"kind": step.kind, "params": dict(step.params)} if step is not None else None,
    }


def _plain_drop(index: DroppedIndex) -> dict[str, Any]:
    return {
        "table": index.table,
        "name": index.name,
        "why": index.why,
        "reason": index.reason,
        "because_of": index.because_of or None,
        **_plain_advice(index.advice),
        "size_bytes": index.size_bytes,
        "scans": index.scans,
    }


def _plain_index(index: ProposedIndex) -> dict[str, Any]:
    return {
        "table": index.table,
        "name": index.name,
        "method": index.method,
        "columns": list(index.columns),
        "predicate": index.predicate,
        **_plain_advice(index.advice),
        "size_bytes": index.size_bytes,
        "saved_ms": index.saved_ms,
        "write_cost_ms": index.write_cost_ms,
        "reason": index.reason,
        "superseded": list(index.superseded),
        "queries": [asdict(query) for query in index.queries],
    }


def render_sql(advice: IndexAdvice) -> str:
    """The statements in the order of what they are worth; comments say why."""
    lines = [f"-- {line}" for line in _summary(advice)]
    for index in advice.proposed:
        lines += ["", f"-- {clean(index.table)}: {clean(index.reason)}; about {size(index.size_bytes)}"]
        lines += [f"-- {_short(query.text)}: {_change(query)}" for query in index.queries[:SHOWN_QUERIES]]
        lines.append(index.advice.sql)
    for gone in advice.dropped:
        lines += ["", f"-- {clean(gone.table)}, {gone.why}: {_on_one_line(gone.reason)}; frees {size(gone.size_bytes)}"]
        lines += [f"-- undo: {_on_one_line(line)}" for line in (gone.advice.undo_sql or "").splitlines()]
        lines.append(gone.advice.sql)
    return "\n".join(lines) + "\n"


def render_text(advice: IndexAdvice) -> str:
    """Lines for people."""
    return "\n".join(clean(line) for line in _lines(advice))


def _lines(advice: IndexAdvice) -> Iterator[str]:
    yield from _summary(advice)
    for number, index in enumerate(advice.proposed, 1):
        yield ""
        yield from _index(number, index)
    if advice.dropped:
        freed = sum(gone.size_bytes for gone in advice.dropped)
        yield ""
        yield f"To drop ({len(advice.dropped)}, {size(freed)}; no statement gets 5 % dearer by it):"
        for gone in advice.dropped:
            yield from _gone(gone)
    if advice.planner is not None and advice.planner.worsened:
        yield ""
        yield "Dearer than before:"
        yield from (f"  {_short(query.text)}: {_change(query)}" for query in advice.planner.worsened)
    if advice.declined:
        yield ""
        yield f"Declined ({len(advice.declined)}):"
        for declined in advice.declined[:SHOWN_DECLINED]:
            yield f"  {declined.table} ({', '.join(declined.columns)}): {declined.reason}"
        yield from _more(len(advice.declined), SHOWN_DECLINED)
    if advice.blind:
        yield ""
        yield f"Not known ({len(advice.blind)}):"
        for blind in advice.blind[:SHOWN_BLIND]:
            cure = f"  {blind.cure}" if blind.cure else ""
            yield f"  {blind.object + ': ' if blind.object else ''}{blind.reason}{cure}"
        yield from _more(len(advice.blind), SHOWN_BLIND)


def _more(count: int, shown: int) -> Iterator[str]:
    if count > shown:
        yield f"  and {count - shown} more (--format json lists all)"


def _summary(advice: IndexAdvice) -> Iterator[str]:
    planner = advice.planner
    if planner is not None and not planner.statements:
        yield NO_WORKLOAD
    elif advice.budget_bytes == 0:
        yield NO_ROOM
    elif not advice.proposed:
        yield NOTHING
    else:
        budget = f" of {size(advice.budget_bytes)}" if advice.budget_bytes is not None else ""
        yield f"{counted(len(advice.proposed), 'index', 'indexes')}, about {size(advice.size_bytes)}{budget} in all."
    if planner is None:
        yield "Reckoned from ANALYZE's statistics and counters; no planner was asked."
        if advice.engine_reason:
            yield f"({advice.engine_reason})"
        return
    yield f"{_total(planner)} ({counted(planner.statements, 'statement')}; {planner.whatif_calls} what-if plans)."
    yield f"Planned by {advice.engine}; confidence {planner.confidence}: {planner.confidence_reason}."
    if advice.engine_reason:
        yield f"({advice.engine_reason})"
    if planner.size_error_ratio is not None:
        yield f"Sizes of existing indexes are met within {planner.size_error_ratio:.0%} (median)."


def _total(planner: PlannerReport) -> str:
    before, after = planner.total_before, planner.total_after
    share = f"{after / before:.1%} of it" if before > 0 else "unchanged"
    if planner.unit == "ms":
        return f"Counted time {duration(before / 1000)} → {duration(after / 1000)} as costs change: {share}"
    return f"Cost in all {before:,.0f} → {after:,.0f}: {share}"


def _index(number: int, index: ProposedIndex) -> Iterator[str]:
    yield f"{number}. {index.table}: {index.name}, about {size(index.size_bytes)}"
    for line in index.advice.sql.splitlines():
        yield f"     {line}"
    yield f"   {index.reason}"
    for query in index.queries[:SHOWN_QUERIES]:
        yield f"   helps {_short(query.text)}"
        yield f"         {_change(query)}"
    if len(index.queries) > SHOWN_QUERIES:
        yield f"   and {len(index.queries) - SHOWN_QUERIES} statements more"
    if index.write_cost_ms > 0:
        yield f"   keeping it up to date would have taken about {duration(index.write_cost_ms / 1000)}"
    if index.superseded:
        yield f"   serves what these serve: {', '.join(index.superseded)}"


def _gone(index: DroppedIndex) -> Iterator[str]:
    yield f"  {index.name} on {index.table}, {size(index.size_bytes)}, {index.why}: {index.reason}"
    yield from (f"     {line}" for line in index.advice.sql.splitlines())
    yield from (f"     undo: {line}" for line in (index.advice.undo_sql or "not known").splitlines())


def _change(query: HelpedQuery) -> str:
    calls = f", {counted(query.calls, 'call')}" if query.queryid is not None else ""
    return f"cost {query.cost_before:,.0f} → {query.cost_after:,.0f}{calls}"


def _on_one_line(text: str) -> str:
    return clean(" ".join(text.split()))


def _short(text: str) -> str:
    line = clean(" ".join(text.split()))
    return line if len(line) <= SHOWN_CHARS else line[: SHOWN_CHARS - 1] + "…"
