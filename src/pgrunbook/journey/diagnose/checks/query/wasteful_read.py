"""A query that reads a lot to return little.

Asks:    which statements touch hundreds of blocks for each row that they return or change?
Unit:    blocks_per_row; a block has 8 kB, read or found in shared buffers.
Source:  pg_stat_statements, parsed: statements that gather rows (count, GROUP BY, DISTINCT …) have to read much to
         return little, and do not count.
Blind:   no pg_stat_statements; texts that cannot be parsed.
Says:    A call reads {touched_bytes} to give {rows_per_call} rows.
         {calls} calls took {mean_ms} each in the {window_s} watched.
         {calls} calls took {mean_ms} each in the {counters_age_s} that its counters cover: {query}
Section: Query Optimization
Leads:   missing_index; EXPLAIN
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass

from pgrunbook.journey.diagnose.check import Check
from pgrunbook.journey.diagnose.query_shape import gathers
from pgrunbook.journey.diagnose.query_texts import (
    TEXTS,
    TEXTS_LIKE,
    about,
    look_at_plan,
    often_enough,
    query_texts,
    statement_costs,
    unreadable,
    unsure,
)
from pgrunbook.journey.diagnose.seen import Seen
from pgrunbook.journey.workload.access import Writing
from pgrunbook.journey.workload.costs import BLOCK_BYTES, Cost
from pgrunbook.model import Finding, Kind, Severity, Verdict


@dataclass(frozen=True, slots=True, kw_only=True)
class Limits:
    """When reading is waste.

    An index leads to a row through three or four blocks.  `blocks_per_row` is far beyond what joins and row versions
    add to that.  `blocks`: 4 MB a call; below it a table is read whole faster than an index is looked into.  `calls`:
    what runs more rarely wastes little.
    """

    blocks_per_row: float = 100.0
    blocks: int = 500
    calls: int = 20


def judge(seen: Seen, limits: Limits) -> Iterator[Verdict]:
    """One finding a statement."""
    yield from unsure(seen)
    costs = seen.derived(statement_costs)
    wasting = [
        cost
        for cost in costs.toplevel
        if cost.calls >= often_enough(costs, limits.calls)
        and cost.blocks_per_call >= limits.blocks
        and cost.blocks_per_call >= limits.blocks_per_row * max(cost.rows_per_call, 1.0)
    ]
    for cost in wasting:
        if _must_not(cost, seen):
            yield Finding(
                severity=Severity.WARNING,
                kind=Kind.QUERY,
                object=cost.object,
                related=_tables(cost, seen),
                evidence=about(
                    cost,
                    costs,
                    seen,
                    rows_per_call=round(cost.rows_per_call, 2),
                    blocks_per_row=round(cost.blocks_per_call / max(cost.rows_per_call, 1.0), 1),
                    touched_bytes=round(cost.blocks_per_call * BLOCK_BYTES),
                ),
                advice=look_at_plan(cost, seen),
            )
    yield from unreadable(seen, wasting)


def _must_not(cost: Cost, seen: Seen) -> bool:
    """Whether nothing in the statement explains that it reads so much: it gathers nothing and looks for something."""
    texts = seen.derived(query_texts)
    tree, found = texts.tree(cost), texts.accesses(cost)
    if tree is None or found is None or gathers(tree):
        return False
    read = [access for access in found.accesses if access.write is None or access.write.kind is not Writing.INSERT]
    return any(access.predicates or access.alternatives or access.limited for access in read)


def _tables(cost: Cost, seen: Seen) -> tuple[str, ...]:
    texts = seen.derived(query_texts)
    found = texts.accesses(cost)
    tables = [texts.facts.of(access.table_oid).qualified for access in (found.accesses if found is not None else ())]
    return tuple(dict.fromkeys(tables))


CHECK = Check(needs=TEXTS, likes=TEXTS_LIKE, judge=judge, limits=Limits())
