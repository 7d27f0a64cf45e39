"""A condition that wraps an indexed column, so that its index cannot be used.

Asks:    which statements compare a function or a cast of a column whose plain value is indexed, and therefore read the
         table whole?
Unit:    touched_bytes a call.
Source:  pg_stat_statements, parsed; pg_index; the types of both sides of a join, for PostgreSQL casts the narrower one.
         An index on that very expression makes it fine.
Blind:   no pg_stat_statements; texts that cannot be parsed; tables whose index definitions are locked.
Says:    The condition {condition} keeps index {index} of {table} from being used;
         the index holds the plain {columns}.
         A call reads {touched_bytes} of the table's {table_bytes} to give {rows_per_call} rows.
         {calls} calls took {mean_ms} each in the {window_s} watched.
         {calls} calls took {mean_ms} each in the {counters_age_s} that its counters cover: {query}
Section: Query Optimization
Leads:   a condition on the plain column; an index on the expression
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass

from pgrunbook.journey.diagnose.check import Check
from pgrunbook.journey.diagnose.index_advice import taken_names
from pgrunbook.journey.diagnose.narrowing import rows_led_to
from pgrunbook.journey.diagnose.query_texts import (
    TEXTS,
    TEXTS_LIKE,
    about,
    in_application,
    often_enough,
    query_texts,
    statement_costs,
    unreadable,
    unsure,
)
from pgrunbook.journey.diagnose.seen import Seen
from pgrunbook.journey.diagnose.wrapped_columns import Wrapped, wrapped_columns
from pgrunbook.journey.steps import advise
from pgrunbook.journey.steps.create_index import CreateIndex, index_name
from pgrunbook.journey.workload.costs import BLOCK_BYTES, Cost
from pgrunbook.model import Advice, Blind, Finding, Kind, Severity, Verdict

UNKNOWN_ROWS_PER_BLOCK = 100.0
BLOCKS_A_ROW = 4.0  # through an index, joins and visibility included


@dataclass(frozen=True, slots=True, kw_only=True)
class Limits:
    """When a lost index matters.

    `rows`: smaller tables are read whole anyway.  `read_ratio`: of the table (or of an index that holds the column) a
    call must touch that much; else another condition leads to the rows.  `returned_ratio`: who wants more of the table
    than this is served best by reading it whole.  `calls`: what runs more rarely is no workload.
    """

    rows: int = 1000
    read_ratio: float = 0.2
    returned_ratio: float = 0.1
    calls: int = 10


def judge(seen: Seen, limits: Limits) -> Iterator[Verdict]:
    """One finding a statement."""
    yield from unsure(seen)
    costs, texts = seen.derived(statement_costs), seen.derived(query_texts)
    looked_at = [cost for cost in costs.costs if cost.calls >= often_enough(costs, limits.calls)]
    read = [cost for cost in looked_at if cost.blocks_per_call >= limits.rows / UNKNOWN_ROWS_PER_BLOCK]
    for cost in read:
        tree, accesses = texts.tree(cost), texts.accesses(cost)
        if tree is None or accesses is None:
            continue
        found = [w for w in wrapped_columns(accesses, tree, texts.facts) if _matters(cost, w, limits)]
        locked = next((w for w in found if w.table.table.oid in texts.facts.locked), None)
        if locked is not None:
            yield Blind(
                object=cost.object,
                reason=f"the index definitions of {locked.table.qualified} are locked: one may hold the expression",
                cure="Try again when the lock is gone.",
            )
        elif found:
            yield _finding(cost, found, seen)
    yield from unreadable(seen, read)


def _matters(cost: Cost, wrapped: Wrapped, limits: Limits) -> bool:
    table, used = wrapped.table, wrapped.access.columns_used
    if not wrapped.is_narrow or table.rows < limits.rows or cost.rows_per_call > limits.returned_ratio * table.rows:
        return False
    whole = [
        index.index.pages
        for index in table.indexes
        if used is not None and used <= set(index.index.columns) and index.index.pages > 0 and not index.is_partial
    ]
    led_to = rows_led_to(wrapped.access, table)
    if led_to <= limits.returned_ratio * table.rows and cost.blocks_per_call <= BLOCKS_A_ROW * led_to:
        return False  # by another condition
    pages = min([table.scan_pages, *whole]) if table.scan_pages else table.rows / UNKNOWN_ROWS_PER_BLOCK
    return cost.blocks_per_call >= limits.read_ratio * pages


def _finding(cost: Cost, found: list[Wrapped], seen: Seen) -> Finding:
    first = found[0]
    table = first.table
    mine = [wrapped for wrapped in found if wrapped.table is table]
    return Finding(
        severity=Severity.WARNING,
        kind=Kind.QUERY,
        object=cost.object,
        related=(table.qualified, first.index.index.qualified),
        evidence=about(
            cost,
            seen.derived(statement_costs),
            seen,
            table=table.qualified,
            columns=tuple(dict.fromkeys(wrapped.column for wrapped in mine)),
            condition=first.condition,
            index=first.index.index.qualified,
            table_rows=round(table.rows),
            table_bytes=table.pages * BLOCK_BYTES or None,
            touched_bytes=round(cost.blocks_per_call * BLOCK_BYTES),
            rows_per_call=round(cost.rows_per_call, 1),
        ),
        advice=tuple(_advice(first, seen)),
    )


def _advice(wrapped: Wrapped, seen: Seen) -> Iterator[Advice]:
    """Compare the plain column; or give the expression an index of its own where PostgreSQL takes it."""
    key, column = wrapped.key, wrapped.column
    if key is None:
        yield in_application(
            "Let both sides have one type",
            f"{wrapped.condition}: PostgreSQL casts {column}, and its index holds the values as they are.",
            f"Cast the other side to the type of {column}, or change its column to that type.",
        )
        return
    yield in_application(f"Compare the plain column {column}", *_rewriting(key.canonical, column))
    root = wrapped.table.table.relation
    if not key.refusal and key.is_known and root.kind == "r":
        name = index_name(root.name, [key.sql], special="", taken=taken_names(seen).setdefault(root.schema, set()))
        yield advise(CreateIndex(schema=root.schema, table=root.name, name=name, keys=(key.sql,)))


def _rewriting(canonical: str, column: str) -> list[str]:
    """How the condition can be written so that the index serves it."""
    if canonical.startswith(("cast(", "date(", "date_trunc(", "date_part(", "extract(", "to_char(")):
        return [
            f"instead of the day (month, year) of {column} compare {column} with where it begins and ends:",
            f"WHERE {column} >= first_moment AND {column} < first_moment_after",
        ]
    if canonical.startswith(("lower(", "upper(")):
        return [
            f"store {column} in one case and compare it as it is, or give the expression an index of its own:",
            f"WHERE {column} = value_in_the_stored_case",
        ]
    return [f"move everything but {column} to the other side of the comparison:", f"WHERE {column} = …"]


CHECK = Check(needs=TEXTS, likes=TEXTS_LIKE, judge=judge, limits=Limits())
