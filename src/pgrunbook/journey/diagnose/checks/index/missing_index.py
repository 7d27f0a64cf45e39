"""Statements that read a whole table because no index serves their conditions.

Asks:    which indexes would spare the counted statements most of the rows that they read now?
Unit:    rows_read and rows_after are rows of the table a call, estimated from ANALYZE's statistics.
Source:  pg_stat_statements, parsed; pg_stats, pg_index, and row security policies, which add conditions of their own.
Blind:   no pg_stat_statements; columns that nobody analysed, or whose statistics are hidden from this role; tables
         whose index definitions are locked; statements that cannot be parsed, or name a table that several schemas
         have and their role's search path does not tell apart.
Says:    {object} is searched by {columns}, and no index serves that.  {calls} calls of {statements} took {total_ms},
         {mean_ms} each.  A call reads about {rows_read} of {table_rows} rows; with the index it would read about
         {rows_after}.  The index would take about {index_size_bytes}.
Section: Indexing Strategies
Leads:   create_index
"""

from __future__ import annotations

from collections.abc import Iterator

from pgrunbook.journey.diagnose.check import Check
from pgrunbook.journey.diagnose.index_advice import Taken, taken_names
from pgrunbook.journey.diagnose.proposed_index import advice_for
from pgrunbook.journey.diagnose.query_texts import gathered_facts
from pgrunbook.journey.diagnose.seen import Seen
from pgrunbook.journey.diagnose.trees import TableTree, table_trees
from pgrunbook.journey.diagnose.workload_blind import blind_spots
from pgrunbook.journey.workload.candidates import Chosen, Thresholds
from pgrunbook.journey.workload.reading import LIKES, NEEDS, Reckoned, reckon
from pgrunbook.journey.workload.upkeep import size_bytes
from pgrunbook.model import Basis, Effect, Finding, Kind, Severity, Verdict


def judge(seen: Seen, limits: Thresholds) -> Iterator[Verdict]:
    """One finding an index that is missing; Blind for tables that could not be judged."""
    reckoned = reckon(seen.snapshot, seen.parser, thresholds=limits, facts=seen.derived(gathered_facts))
    trees = seen.derived(table_trees)
    taken = taken_names(seen)
    for chosen in reckoned.choice.chosen:
        tree = trees[chosen.candidate.table_oid]
        if not reckoned.facts.locked & {member.oid for member in tree.members}:
            yield _finding(chosen, tree, reckoned, taken)
    yield from blind_spots(seen, reckoned)


def _finding(chosen: Chosen, tree: TableTree, reckoned: Reckoned, taken: Taken) -> Finding:
    uses = sorted(chosen.uses, key=lambda use: -use.saved_ms)
    asked = {(use.asked.queryids, use.asked.role): use.asked for use in uses}.values()
    calls = sum(each.calls for each in asked)
    total_ms = sum(each.total_ms for each in asked)
    candidate, dearest = chosen.candidate, uses[0]
    return Finding(
        severity=Severity.WARNING,
        kind=Kind.TABLE,
        object=tree.qualified,
        evidence={
            "columns": candidate.columns,
            "method": candidate.method,
            "predicate": candidate.where_sql,
            "queryids": tuple(dict.fromkeys(i for each in asked for i in each.queryids)),
            "statements": "one statement" if len(asked) == 1 else f"{len(asked)} statements",
            "calls": calls,
            "mean_ms": round(total_ms / calls, 3),
            "total_ms": round(total_ms, 1),
            "total_time_ratio": round(total_ms / max(reckoned.workload.total_ms, total_ms), 4),
            "table_rows": round(tree.rows),
            "rows_read": round(dearest.rows_now),
            "rows_returned": round(dearest.asked.rows_per_call, 1),
            "selectivity_ratio": round(dearest.rows_after / max(tree.rows, 1.0), 6),
        },
        effect=Effect(
            basis=Basis.ESTIMATED,
            figures={
                "rows_after": round(dearest.rows_after),
                "saved_ms": round(chosen.saved_ms, 1),
                "write_cost_ms": round(chosen.write_cost_ms, 1),
                "index_size_bytes": size_bytes(candidate, reckoned.facts.of(candidate.table_oid)),
            },
        ),
        advice=(advice_for(candidate, tree, taken),),
    )


CHECK = Check(needs=NEEDS, likes=LIKES, judge=judge, limits=Thresholds())
