"""The runbook's load capacity formula with this server's own inputs: a rule of thumb, and called one."""

from __future__ import annotations

from pgrunbook.journey.diagnose.health.metrics import clients, hit_ratio, usable_connections
from pgrunbook.journey.diagnose.query_texts import statement_costs
from pgrunbook.journey.diagnose.seen import Seen
from pgrunbook.model import NotRead
from pgrunbook.model.health import Capacity
from pgrunbook.report.words import counted, duration


def capacity(seen: Seen) -> Capacity:
    """Connections available, queries that each sends a second now, and the share of blocks found in the cache."""
    sources: list[str] = []
    connections = rate = ratio = None
    try:
        connections = usable_connections(seen)
        sources.append(f"connections: max_connections without its reserved part, {connections}")
    except NotRead as exc:
        sources.append(f"connections: unknown, {exc.unread.reason}")
    try:
        rate, words = _rate(seen)
        sources.append(f"queries per connection and second: {words}")
    except NotRead as exc:
        sources.append(f"queries per connection and second: unknown, {exc.unread.reason}")
    try:
        ratio, words = hit_ratio(seen)
        sources.append(f"cache hit ratio: {words if ratio is not None else 'unknown, ' + words}")
    except NotRead as exc:
        sources.append(f"cache hit ratio: unknown, {exc.unread.reason}")
    return Capacity(
        connections=connections,
        queries_per_connection_per_s=round(rate, 3) if rate is not None else None,
        hit_ratio=round(ratio, 4) if ratio is not None else None,
        sources=tuple(sources),
    )


def _rate(seen: Seen) -> tuple[float | None, str]:
    """What the connections that are there send now: a measure of demand, not of what they could send."""
    costs, sessions = seen.derived(statement_costs), clients(seen)
    if not costs.is_window or not costs.period_s:
        return None, "unknown without a window (--window 10)"
    if not sessions or not costs.calls:
        return None, f"unknown, no client sent anything in {duration(costs.period_s)}"
    each = costs.calls / costs.period_s / sessions
    return each, (
        f"{counted(costs.calls, 'statement')} in {duration(costs.period_s)} by {counted(sessions, 'client session')};"
        " what they send now, not what they could"
    )
