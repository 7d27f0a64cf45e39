"""Which statements cost the most."""

from __future__ import annotations

from pgrunbook.journey.diagnose.query_texts import shown, statement_costs
from pgrunbook.journey.diagnose.seen import Seen
from pgrunbook.journey.observe.statements import STATEMENTS, STATEMENTS_INFO
from pgrunbook.journey.workload.costs import BLOCK_BYTES, Cost, Costs
from pgrunbook.model import Value
from pgrunbook.report.table import Column, Table
from pgrunbook.report.words import duration

NEEDS = (STATEMENTS,)
LIKES = (STATEMENTS_INFO,)

COLUMNS = (
    Column(name="queryid"),
    Column(name="calls"),
    Column(name="total_ms", title="total"),
    Column(name="time_ratio", title="share"),
    Column(name="mean_ms", title="mean"),
    Column(name="p95_ms", title="P95 est."),
    Column(name="rows_per_call", title="rows/call"),
    Column(name="read_bytes", title="read"),
    Column(name="hit_ratio", title="hits"),
    Column(name="temp_bytes", title="temp"),
    Column(name="roles"),
    Column(name="query", is_long=True),
)


def table(seen: Seen) -> Table:
    """Dearest first, without our own and utility statements."""
    costs = seen.derived(statement_costs)
    return Table(
        name="queries",
        columns=COLUMNS,
        rows=tuple(_row(cost, costs) for cost in costs.toplevel),
        notes=(counted_words(costs), "P95 is estimated from mean and standard deviation."),
        empty="No statement of the application has been counted.",
    )


def _row(cost: Cost, costs: Costs) -> tuple[Value, ...]:
    return (
        str(cost.queryid),
        cost.calls,
        round(cost.exec_ms, 3),
        round(cost.exec_ms / costs.exec_ms, 4) if costs.exec_ms else None,
        round(cost.mean_ms, 3),
        round(cost.p95_ms, 3),
        round(cost.rows_per_call, 2),
        cost.read_blocks * BLOCK_BYTES,
        round(cost.hit_ratio, 4) if cost.hit_ratio is not None else None,
        cost.temp_written_blocks * BLOCK_BYTES,
        cost.roles,
        shown(cost.query),
    )


def counted_words(costs: Costs) -> str:
    """Since when, or how long, statements were counted."""
    if costs.is_window:
        words = f"Counted in a window of {duration(costs.period_s or 0.0)}."
        return f"{words}  {costs.unsure} statements could not be compared." if costs.unsure else words
    since = f"for {duration(costs.period_s)}" if costs.period_s is not None else "for an unknown time"
    evicted = f"; rare ones were thrown out {costs.evictions} times for room" if costs.evictions else ""
    return f"Cumulative: counted {since}{evicted}.  --window 10 shows what runs now."
