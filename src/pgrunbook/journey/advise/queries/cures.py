"""Cures that several insights share, as advice whose SQL works as it stands."""

from __future__ import annotations

import hashlib
from collections.abc import Sequence

from pgrunbook.journey.steps import advise
from pgrunbook.journey.steps.analyze import Analyze
from pgrunbook.journey.workload.facts import TableFacts
from pgrunbook.model import Advice, Lock, dotted, quote

NAME_MAX_BYTES = 63
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


def extended_statistics_advice(table: TableFacts, columns: Sequence[str], *, is_expression: bool = False) -> Advice:
    """Let the planner learn how columns depend on each other, or what values an expression has."""
    relation = table.table.relation
    name = dotted(relation.schema, statistics_name(relation.name, columns, is_expression=is_expression))
    parts = list(columns) if is_expression else [quote(column) for column in columns]
    if is_expression:
        listed = ", ".join(part if part.startswith("(") else f"({part})" for part in parts)
        made = f"CREATE STATISTICS {name} ON {listed} FROM {table.qualified};"
    else:
        made = f"CREATE STATISTICS {name} (dependencies, mcv, ndistinct) ON {', '.join(parts)} FROM {table.qualified};"
    return Advice(
        title="Let the planner learn " + ("its values" if is_expression else "how they depend on each other"),
        sql=f"{made}\nANALYZE {table.qualified};",
        undo_sql=f"DROP STATISTICS {name};",
        lock=Lock.SHARE_UPDATE_EXCLUSIVE,
        risk="Each ANALYZE takes a little longer, and so does planning.",
    )


def statistics_name(table: str, columns: Sequence[str], *, is_expression: bool) -> str:
    """A name that says what it is of, within the limit of names."""
    words = "expression" if is_expression else "_".join(columns)
    name = f"{table}_{words}_stats"
    if len(name.encode()) <= NAME_MAX_BYTES:
        return name
    digest = hashlib.sha256(name.encode()).hexdigest()[:8]
    return f"{name.encode()[: NAME_MAX_BYTES - 15].decode(errors='ignore')}_{digest}_stats"


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
