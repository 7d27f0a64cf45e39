"""Cures that several insights share, as advice whose SQL works as it stands."""

from __future__ import annotations

from pgrunbook.journey.steps import advise
from pgrunbook.journey.steps.analyze import Analyze
from pgrunbook.journey.workload.facts import TableFacts
from pgrunbook.model import Advice, Lock, quote

FINE_TARGET = 1000


def analyze_advice(table: TableFacts) -> Advice:
    """Gather the table's statistics again."""
    relation = table.table.relation
    return advise(Analyze(schema=relation.schema, table=relation.name))


def vacuum_advice(table: str) -> Advice:
    """Mark pages all-visible again."""
    return Advice(
        title=f"Vacuum {table}",
        sql=f"VACUUM {table};",
        lock=Lock.SHARE_UPDATE_EXCLUSIVE,
        risk="Reads the whole table once; autovacuum more often keeps it so.",
    )


def target_advice(table: TableFacts, column: str) -> Advice:
    """Keep more common values and finer histograms of a column."""
    return Advice(
        title=f"Keep finer statistics of {column}",
        sql=f"ALTER TABLE {table.qualified} ALTER COLUMN {quote(column)} SET STATISTICS {FINE_TARGET};\n"
        f"ANALYZE {table.qualified};",
        undo_sql=f"ALTER TABLE {table.qualified} ALTER COLUMN {quote(column)} SET STATISTICS -1;",
        lock=Lock.SHARE_UPDATE_EXCLUSIVE,
        risk="ANALYZE reads more rows, and planning more values.",
    )
