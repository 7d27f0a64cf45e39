"""Columns that depend on each other, are searched together, and whose dependence the planner does not know.

Asks:    do statements compare columns of one table together whose values go together?
Unit:    factor, how many times more rows share both values of a row than independence says.
Source:  the conditions in EXPLAIN of the dearest statements; a sample of 30,000 rows of the table, counted in pairs of
         different rows; pg_statistic_ext.
Blind:   no pg_stat_statements; tables that we may not read, or that are locked; statements that could not be planned.
Says:    {factor} times more rows share both values than the planner expects, who multiplies their shares: a row's
         values find about {expected_rows} rows.  Counted on {sampled_rows} sampled rows.
Section: Query Optimization
Leads:   CREATE STATISTICS (dependencies, mcv)
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass

from pgrunbook.journey.diagnose.check import Check
from pgrunbook.journey.diagnose.planned import unplanned
from pgrunbook.journey.diagnose.seen import Seen
from pgrunbook.journey.diagnose.statistics_advice import statistics_advice
from pgrunbook.journey.observe.columns import COLUMNS
from pgrunbook.journey.observe.correlations import CORRELATIONS, Correlation
from pgrunbook.journey.observe.extended_statistics import EXTENDED_STATISTICS
from pgrunbook.journey.observe.plans import PLANS
from pgrunbook.journey.observe.relations import RELATIONS, Relation
from pgrunbook.journey.observe.statements import STATEMENTS
from pgrunbook.model import Blind, Finding, Kind, Severity, Verdict, dotted


@dataclass(frozen=True, slots=True, kw_only=True)
class Limits:
    """When a dependence matters.

    `factor`: less seldom changes a plan.  `expected_rows`: a wrong number of few rows is harmless.
    `matches`: pairs of sampled rows that agree in both columns, below which chance makes a factor.
    `calls`: what runs more rarely is no workload.
    """

    factor: float = 10.0
    expected_rows: float = 100.0
    matches: float = 200.0
    calls: int = 5


def judge(seen: Seen, limits: Limits) -> Iterator[Verdict]:
    """One finding a table and set of columns that hang together."""
    tables = {(row.schema, row.name): row for row in seen.rows(RELATIONS)}
    groups: dict[int, list[Correlation]] = {}
    for row in seen.rows(CORRELATIONS):
        table = tables.get((row.schema, row.table))
        if table is None or row.calls < limits.calls:
            continue
        if row.trouble:
            yield Blind(
                object=table.qualified,
                reason=f"its rows could not be sampled: {row.trouble}",
                cure=f"GRANT SELECT ON {table.qualified} TO {dotted(seen.server.user)};",
            )
        elif _depends(row, limits) and not _is_known(seen, table, row.columns):
            groups.setdefault(table.oid, []).append(row)
    for oid, rows in groups.items():
        table = next(row for row in tables.values() if row.oid == oid)
        for part in _together(rows):
            yield _finding(seen, table, part)
    yield from unplanned(seen)


def _depends(row: Correlation, limits: Limits) -> bool:
    return row.factor >= limits.factor and row.expected_rows >= limits.expected_rows and row.matches >= limits.matches


def _is_known(seen: Seen, table: Relation, columns: Sequence[str]) -> bool:
    """Whether a statistics object holds both columns, and what tells of rows that share values."""
    return any(
        one.table_oid == table.oid and set(columns) <= set(one.columns) and {"f", "m"} & set(one.kinds)
        for one in seen.rows(EXTENDED_STATISTICS)
    )


def _together(rows: Sequence[Correlation]) -> Iterator[tuple[Correlation, ...]]:
    """Pairs that share a column belong together."""
    left = list(rows)
    while left:
        part = [left.pop(0)]
        columns = set(part[0].columns)
        while more := [row for row in left if set(row.columns) & columns]:
            part += more
            columns |= {column for row in more for column in row.columns}
            left = [row for row in left if row not in more]
        yield tuple(part)


def _finding(seen: Seen, table: Relation, part: tuple[Correlation, ...]) -> Finding:
    order = {row.name: row.attnum for row in seen.rows(COLUMNS) if row.table_oid == table.oid}
    columns = tuple(sorted({c for row in part for c in row.columns}, key=lambda c: order.get(c, 0)))
    worst = max(part, key=lambda row: row.factor)
    return Finding(
        severity=Severity.WARNING,
        kind=Kind.TABLE,
        object=table.qualified,
        evidence={
            "columns": columns,
            "factor": round(worst.factor),
            "expected_rows": round(worst.expected_rows),
            "sampled_rows": worst.sampled_rows,
            "queryids": tuple(dict.fromkeys(str(row.queryid) for row in part)),
            "calls": max(row.calls for row in part),
            "total_ms": round(max(row.total_ms for row in part), 1),
        },
        advice=(statistics_advice(table, columns),),
    )


CHECK = Check(
    needs=(STATEMENTS, PLANS, CORRELATIONS, EXTENDED_STATISTICS, RELATIONS, COLUMNS), judge=judge, limits=Limits()
)
