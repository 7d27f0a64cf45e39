"""What to consider that is no rewrite: a materialised view, a cache, a kind of index that the operators ask for."""

from __future__ import annotations

from collections.abc import Iterator

from pgrunbook.journey.advise.queries.context import Context
from pgrunbook.journey.advise.queries.relational import is_plain
from pgrunbook.journey.workload.access import Operation
from pgrunbook.model import Advice, Lock
from pgrunbook.model.explanation import Note

AGGREGATED_ROWS_MIN = 50_000.0
AGGREGATED_RATIO = 0.01  # of the rows read, what the aggregate leaves
CACHED_CALLS_MIN = 1000
CACHED_MS_MIN = 1.0
WRITES_PER_CALL_MAX = 0.01
WIDE_KEY_BYTES = 64.0  # an entry of a hash index has 4 bytes of the value, of a B-tree all


def notes(context: Context) -> tuple[Note, ...]:
    """All that apply."""
    return tuple(note for find in (_materialised, _cached, _spatial, _hashed, _hinted) for note in find(context))


def _materialised(context: Context) -> Iterator[Note]:
    root = context.plan.root
    if not context.query.is_read or is_plain(context.query.select or {}) or context.query.asked.parameters:
        return
    read = sum(
        (node.actual.total_rows + node.actual.filter_removed_rows) if node.actual is not None else node.rows
        for node in context.plan.nodes
        if node.is_scan_of_table
    )
    out = root.actual.total_rows if root.actual is not None else root.rows
    if read < AGGREGATED_ROWS_MIN or out > AGGREGATED_RATIO * read:
        return
    yield Note(
        name="materialized_view",
        title="A materialised view, if it is asked often and may be a little old",
        reason=f"About {round(read):,} rows are gathered into {round(out):,} each time.  The view keeps the result;"
        " it is as old as its last refresh, and refreshing runs this statement.",
        advice=(
            Advice(
                title="Keep the result",
                sql=f"CREATE MATERIALIZED VIEW name AS\n{context.query.text};\n-- REFRESH MATERIALIZED VIEW name;",
                undo_sql="DROP MATERIALIZED VIEW name;",
                lock=Lock.ACCESS_SHARE,
                risk="REFRESH … CONCURRENTLY needs a unique index on the view; row security does not pass through it.",
            ),
        ),
    )


def _cached(context: Context) -> Iterator[Note]:
    asked = context.query.asked
    if asked.calls is None or asked.calls < CACHED_CALLS_MIN or (asked.mean_ms or 0.0) < CACHED_MS_MIN:
        return
    oids = {context.oid_of(node) for node in context.plan.nodes if node.is_scan_of_table} - {None}
    activities = [context.activity(oid) for oid in oids if oid is not None]
    writes = sum(a.rows_inserted + a.rows_updated + a.rows_deleted for a in activities if a is not None)
    if not context.query.is_read or writes > WRITES_PER_CALL_MAX * asked.calls:
        return
    yield Note(
        name="cache",
        title="A cache in the application",
        reason=f"It was asked {asked.calls:,} times at {asked.mean_ms:g} ms each, and since the counters began only"
        f" {writes:,} rows of its tables were written: most answers were the same as before.",
    )


def _spatial(context: Context) -> Iterator[Note]:
    for access in context.accesses.accesses:
        table = context.facts.of(access.table_oid)
        for predicate in access.predicates:
            if predicate.operation is not Operation.OVERLAPS or not predicate.key.is_column:
                continue
            has = any(
                index.index.access_method in {"gist", "spgist"} and predicate.key.columns[0] in index.index.columns
                for index in table.indexes
            )
            if not has:
                yield Note(
                    name="gist_index",
                    title=f"A GiST index for {predicate.operator} on {predicate.key.sql}",
                    reason="No B-tree answers overlap, containment and nearness of ranges, geometries and networks.",
                    advice=(
                        Advice(
                            title="Make it",
                            sql=f"CREATE INDEX CONCURRENTLY ON {table.qualified} USING gist ({predicate.key.sql});",
                            lock=Lock.SHARE_UPDATE_EXCLUSIVE,
                            risk="Writes to the column become dearer than with a B-tree.",
                        ),
                    ),
                )


def _hashed(context: Context) -> Iterator[Note]:
    for access in context.accesses.accesses:
        table = context.facts.of(access.table_oid)
        for predicate in access.predicates:
            known = table.statistics.get(predicate.key.columns[0]) if predicate.key.columns else None
            wide = known is not None and known.average_width_bytes >= WIDE_KEY_BYTES
            if predicate.operation is not Operation.EQUAL or not predicate.key.is_column or not wide:
                continue
            if context.indexes_for(table):
                yield Note(
                    name="hash_index",
                    title=f"A hash index on {predicate.key.sql} instead of a B-tree",
                    reason=f"Its values are {known.average_width_bytes if known else 0} bytes wide and only compared"
                    " for equality: a hash index keeps four bytes of each.  It gives no order, no uniqueness and no"
                    " second column.",
                    advice=(
                        Advice(
                            title="Make it",
                            sql=f"CREATE INDEX CONCURRENTLY ON {table.qualified} USING hash ({predicate.key.sql});",
                            lock=Lock.SHARE_UPDATE_EXCLUSIVE,
                        ),
                    ),
                )


def _hinted(context: Context) -> Iterator[Note]:
    """Only where a measured plan stays wrong by far; never written by us."""
    wrong = [
        node
        for node in context.plan.nodes
        if (factor := node.misestimate) is not None and factor >= 100 and not node.is_cut_short
    ]
    if wrong and context.snapshot.server.has_extension("pg_hint_plan"):
        yield Note(
            name="hints",
            title="Hints, when all else has failed",
            reason="pg_hint_plan is installed and could force another plan.  A hint stays when data change; mend the"
            " estimates first (statistics, extended statistics, an index), and write one only where that fails.",
        )
