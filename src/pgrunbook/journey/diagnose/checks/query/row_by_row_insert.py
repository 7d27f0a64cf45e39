"""Many rows inserted one by one.

Asks:    which INSERTs of a single row are repeated so often, in one transaction or among few other statements, that
         they are one load?
Unit:    calls; call_ratio is their share of all statements that were counted.
Source:  pg_stat_statements, parsed: INSERT … VALUES of one row; pg_stat_database for the transactions; both in the
         window if there is one.  From 17 on the statement's own counters say since when it runs.
Blind:   no pg_stat_statements; texts that cannot be parsed.
Says:    {calls} calls inserted a row each into {table}, in the {window_s} watched.
         {calls} calls inserted a row each into {table}, in the {counters_age_s} that its counters cover.
         That makes {inserts_per_transaction} in each transaction of this database.
         Each call is a round trip, and each commit of its own a flush: {query}
Section: Query Optimization
Leads:   INSERT … SELECT unnest($1, …); COPY
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass

from pgrunbook.journey.diagnose.check import Check
from pgrunbook.journey.diagnose.query_shape import inserted_rows
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
from pgrunbook.journey.diagnose.transactions import transactions
from pgrunbook.journey.observe.databases import DATABASES
from pgrunbook.journey.workload.costs import Cost
from pgrunbook.model import Advice, Finding, Kind, Severity, Verdict, dotted
from pgrunbook.pg.parse import Tree


@dataclass(frozen=True, slots=True, kw_only=True)
class Limits:
    """When single inserts are a load that could go in one batch.

    `calls`: fewer are no load.  One of these must come on top, for an application that stores what its users do has
    single inserts, too, one beside a few other statements: `per_transaction` of them in each transaction of the
    database; or `call_ratio` of all that the application asks.  A warning needs `warn_calls` and either
    `per_transaction`, or `warn_per_s` for as long as they have been counted.
    """

    calls: int = 200
    per_transaction: float = 2.0
    call_ratio: float = 0.3
    warn_calls: int = 5000
    warn_per_s: float = 200.0


def judge(seen: Seen, limits: Limits) -> Iterator[Verdict]:
    """One finding a statement."""
    yield from unsure(seen)
    costs, texts = seen.derived(statement_costs), seen.derived(query_texts)
    inserts = [
        cost
        for cost in costs.costs
        if cost.calls >= often_enough(costs, limits.calls)
        and cost.query.lstrip("( \n\t")[:6].lower() in {"insert", "with", "with r"}
        and cost.rows <= cost.calls
    ]
    for cost in inserts:
        tree = texts.tree(cost)
        if tree is not None and inserted_rows(tree) == 1 and _is_load(cost, seen, limits):
            yield _finding(cost, tree, seen, limits)
    yield from unreadable(seen, inserts)


def _rate_per_s(cost: Cost, seen: Seen) -> float:
    """Calls a second for as long as this statement has been counted."""
    costs = seen.derived(statement_costs)
    seconds = costs.period_s
    if cost.counted_since is not None and cost.is_whole:
        age_s = (seen.at - cost.counted_since).total_seconds()
        seconds = min(age_s, seconds) if seconds is not None else age_s
    return cost.calls / max(seconds, 1.0) if seconds is not None else 0.0


def _is_load(cost: Cost, seen: Seen, limits: Limits) -> bool:
    done = transactions(seen)
    if done is not None and cost.calls >= limits.per_transaction * max(done, 1):
        return True
    return cost.calls >= limits.call_ratio * seen.derived(statement_costs).calls


def _finding(cost: Cost, tree: Tree, seen: Seen, limits: Limits) -> Finding:
    relation = tree["insert_stmt"].get("relation", {})
    table = dotted(*(part for part in (relation.get("schemaname"), relation.get("relname")) if part))
    done = transactions(seen)
    each = cost.calls / max(done, 1) if done is not None else None
    is_heavy = cost.calls >= limits.warn_calls and (
        (each is not None and each >= limits.per_transaction) or _rate_per_s(cost, seen) >= limits.warn_per_s
    )
    return Finding(
        severity=Severity.WARNING if is_heavy else Severity.NOTICE,
        kind=Kind.QUERY,
        object=cost.object,
        related=(table,),
        evidence=about(
            cost,
            seen.derived(statement_costs),
            seen,
            table=table,
            inserts_per_transaction=round(each, 1) if each is not None and each >= limits.per_transaction else None,
            call_ratio=round(cost.calls / max(seen.derived(statement_costs).calls, 1), 4),
        ),
        advice=(_advice(tree, table),),
    )


def _advice(tree: Tree, table: str) -> Advice:
    columns = [dotted(col["res_target"]["name"]) for col in tree["insert_stmt"].get("cols", ())] or ["a", "b"]
    arrays = ", ".join(f"${number}::type[]" for number in range(1, len(columns) + 1))
    return in_application(
        "Insert many rows with one statement",
        "collect rows and send them as arrays, a few hundred at a time:",
        f"INSERT INTO {table} ({', '.join(columns)}) SELECT * FROM unnest({arrays});",
        "or use COPY; with ON CONFLICT DO UPDATE keep one row a key in each batch",
        risk="A batch fails as a whole.",
    )


CHECK = Check(needs=COSTS, likes=(*COSTS_LIKE, DATABASES), judge=judge, limits=Limits())
