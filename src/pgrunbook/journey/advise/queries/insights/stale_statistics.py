"""Tables whose statistics are old, or that nobody has ever analysed."""

from __future__ import annotations

from collections.abc import Iterator

from pgrunbook.journey.advise.queries.context import Context, insight
from pgrunbook.journey.advise.queries.cures import analyze_advice
from pgrunbook.journey.observe.table_activity import TableActivity
from pgrunbook.model.explanation import Insight
from pgrunbook.model.query_plan import PlanNode

CHANGED_ROWS_MIN = 1000
CHANGED_RATIO = 0.2  # autovacuum analyses at a tenth; at twice that it does not keep up, or is off
SAYS = "{table}: {words}.  The planner reckons with what it last saw."


def find(context: Context) -> Iterator[Insight]:
    """One insight a table."""
    said: set[str] = set()
    for node in context.plan.nodes:
        if not node.is_scan_of_table or node.relation in said:
            continue
        words = staleness(context, node)
        table = context.table_of(node)
        if words and table is not None:
            said.add(node.relation)
            activity = context.activity(context.oid_of(node) or 0)
            yield insight(
                "stale_statistics",
                f"Old statistics of {node.relation}",
                SAYS,
                node,
                plan=context.plan,
                share=context.plan.inclusive_share(node),
                cures=(analyze_advice(table),),
                table=node.relation,
                words=words,
                changed_rows=activity.modified_rows if activity is not None else None,
            )


def staleness(context: Context, node: PlanNode) -> str:
    """Why the statistics of the table that a node reads are old; "" when they are not, or nobody can tell."""
    oid = context.oid_of(node)
    activity = context.activity(oid) if oid is not None else None
    table = context.table_of(node)
    if activity is None or table is None or oid is None:
        return ""
    rows = max(float(activity.live_rows), 1.0)
    if activity.last_analyze_at is None and activity.last_autoanalyze_at is None:
        has_any = bool(table.statistics) or bool(table.hidden(table.table.columns))
        if rows >= CHANGED_ROWS_MIN and not has_any:
            return f"it has never been analysed and holds about {round(rows):,} rows"
        return ""
    if _only_loaded(activity, sum(max(0.0, member.estimated_rows) for member in table.members)):
        return ""
    if activity.modified_rows >= max(CHANGED_ROWS_MIN, CHANGED_RATIO * rows):
        return f"{activity.modified_rows:,} rows changed since it was analysed, of about {round(rows):,}"
    return ""


def _only_loaded(activity: TableActivity, analysed_rows: float) -> bool:
    """Whether all changes are inserts that ANALYZE has seen: its own session's counters arrive after it has run."""
    only_inserts = activity.rows_updated == 0 and activity.rows_deleted == 0
    return only_inserts and abs(analysed_rows - activity.rows_inserted) <= 0.1 * max(activity.rows_inserted, 1)
