"""A query that gives the application everything.

Asks:    which reading statements without LIMIT return thousands of rows a call?
Unit:    rows_per_call, on average.
Source:  pg_stat_statements: rows and calls; the text is parsed for its LIMIT.  COPY, cursors and what writes do not
         count.
Blind:   no pg_stat_statements; texts that cannot be parsed.
Says:    Each call returns {rows_per_call} rows, and nothing limits them.
         It was called {calls} times in the {window_s} watched.
         It was called {calls} times in the {counters_age_s} that its counters cover: {query}
Section: Query Optimization
Leads:   LIMIT with keyset pagination; a cursor; aggregation in the database
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass

from pgrunbook.journey.diagnose.check import Check
from pgrunbook.journey.diagnose.query_shape import has_limit, top_select
from pgrunbook.journey.diagnose.query_texts import (
    COSTS,
    COSTS_LIKE,
    about,
    in_application,
    often_enough,
    query_texts,
    statement_costs,
    unreadable,
    unsure,
)
from pgrunbook.journey.diagnose.seen import Seen
from pgrunbook.model import Finding, Kind, Severity, Verdict


@dataclass(frozen=True, slots=True, kw_only=True)
class Limits:
    """When a result is too large.

    `rows`: nobody reads so many on a page, and they take tens of milliseconds to send.  `calls`: an export now and then
    is meant to be whole.
    """

    rows: int = 10_000
    calls: int = 5


def judge(seen: Seen, limits: Limits) -> Iterator[Verdict]:
    """One finding a statement."""
    yield from unsure(seen)
    costs, texts = seen.derived(statement_costs), seen.derived(query_texts)
    large = [
        cost
        for cost in costs.toplevel
        if cost.rows_per_call >= limits.rows and cost.calls >= often_enough(costs, limits.calls)
    ]
    for cost in large:
        tree = texts.tree(cost)
        select = top_select(tree) if tree is not None else None
        if select is not None and not has_limit(select):
            yield Finding(
                severity=Severity.NOTICE,
                kind=Kind.QUERY,
                object=cost.object,
                evidence=about(cost, costs, seen, rows_per_call=round(cost.rows_per_call, 1)),
                advice=(
                    in_application(
                        "Ask for a page at a time",
                        "ORDER BY a unique key, add LIMIT, and continue after the last row seen:",
                        "WHERE (created_at, id) < (last_at, last_id) ORDER BY created_at DESC, id DESC LIMIT 100",
                        "For an export use COPY or a cursor, which need no memory for the whole.",
                    ),
                ),
            )
    yield from unreadable(seen, large)


CHECK = Check(needs=COSTS, likes=COSTS_LIKE, judge=judge, limits=Limits())
