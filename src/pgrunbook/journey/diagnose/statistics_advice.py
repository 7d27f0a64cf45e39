"""Advice to let the planner learn how columns depend on each other."""

from __future__ import annotations

import hashlib
from collections.abc import Sequence

from pgrunbook.journey.observe.relations import Relation
from pgrunbook.model import Advice, Lock, dotted, quote

NAME_MAX_BYTES = 63


def statistics_advice(table: Relation, columns: Sequence[str]) -> Advice:
    """Make a statistics object of all kinds on these columns, and fill it."""
    name = dotted(table.schema, statistics_name(table.name, "_".join(columns)))
    listed = ", ".join(quote(column) for column in columns)
    return Advice(
        title="Let the planner learn how they depend on each other",
        sql=f"CREATE STATISTICS {name} (ndistinct, dependencies, mcv) ON {listed} FROM {table.qualified};\n"
        f"ANALYZE {table.qualified};",
        undo_sql=f"DROP STATISTICS {name};",
        lock=Lock.SHARE_UPDATE_EXCLUSIVE,
        risk="Each ANALYZE takes a little longer, and so does planning.",
    )


def expression_statistics_advice(table: Relation, expressions: Sequence[str]) -> Advice:
    """The same on expressions, of which nothing is known otherwise."""
    name = dotted(table.schema, statistics_name(table.name, "expression"))
    listed = ", ".join(part if part.startswith("(") else f"({part})" for part in expressions)
    return Advice(
        title="Let the planner learn its values",
        sql=f"CREATE STATISTICS {name} ON {listed} FROM {table.qualified};\nANALYZE {table.qualified};",
        undo_sql=f"DROP STATISTICS {name};",
        lock=Lock.SHARE_UPDATE_EXCLUSIVE,
        risk="Each ANALYZE takes a little longer, and so does planning.",
    )


def statistics_name(table: str, words: str) -> str:
    """A name that says what it is of, within the limit of names."""
    name = f"{table}_{words}_stats"
    if len(name.encode()) <= NAME_MAX_BYTES:
        return name
    digest = hashlib.sha256(name.encode()).hexdigest()[:8]
    return f"{name.encode()[: NAME_MAX_BYTES - 15].decode(errors='ignore')}_{digest}_stats"
