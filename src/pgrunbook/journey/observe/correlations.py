"""How columns that statements compare together depend on each other, from a sample of rows: on request only.

In: the plans.  Out: for each pair how many times commoner the combination of a row's two values is than their single
shares say.  Counted over pairs of different rows, so that a sample of mostly different values does not look dependent.
"""

from __future__ import annotations

import itertools
import time
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import psycopg
from psycopg import sql

from pgrunbook.errors import Unreachable
from pgrunbook.journey.observe.plans import PLANS, StatementPlan, compared_columns, plan_in
from pgrunbook.model import Question, Reading, Server, Unread, dotted
from pgrunbook.pg.connect import Session, first_line

SAMPLE_ROWS = 30_000
SMALL_PAGES = 20_000  # up to 160 MB single rows are sampled, which reads all of it; beyond that, whole pages
PAIRS_MAX = 40
BUDGET_S = 20.0  # for all of them
COLUMNS_MAX = 4  # of one condition
_BEGIN = (
    "begin transaction read only; set local search_path = pg_catalog; set local lock_timeout = 100;"
    " set local statement_timeout = 3000;"
    " set local idle_in_transaction_session_timeout = 60000; set local max_parallel_workers_per_gather = 0"
)
_SIZE = """/* pgrunbook: size_of */
select greatest(c.reltuples, 0)::float8, c.relpages::int8, c.relkind::text
from pg_catalog.pg_class as c join pg_catalog.pg_namespace as n on n.oid = c.relnamespace
where n.nspname = %(schema)s and c.relname = %(table)s"""
_PAIR = """/* pgrunbook: correlations */
with sample as materialized (
  select {first}::text as a, {second}::text as b from {table} tablesample {method} ({percent}) repeatable (1)
  where {first} is not null and {second} is not null limit {rows}
), whole as (select count(*)::float8 as n from sample),
both_ as (select a, b, count(*)::float8 as c from sample group by a, b),
as_ as (select a, count(*)::float8 as c from sample group by a),
bs as (select b, count(*)::float8 as c from sample group by b)
select (select n from whole)::int8,
       coalesce(sum(both_.c * (both_.c - 1)), 0)::float8,
       coalesce(sum(both_.c * (as_.c - 1) * (bs.c - 1)), 0)::float8
from both_ join as_ using (a) join bs using (b)"""


@dataclass(frozen=True, slots=True, kw_only=True)
class Correlation:
    """Two columns of one table that a statement compares for equality together.

    `factor` is how many times more rows share both values of a row than independence says; `matches` how many pairs of
    sampled rows agree in both, which is what it rests on.  `expected_rows` is how many rows of the table one row's two
    values find.  `trouble` says why nothing was counted.
    """

    schema: str
    table: str
    columns: tuple[str, ...]
    queryid: int
    calls: int
    total_ms: float
    sampled_rows: int
    matches: float
    factor: float
    expected_rows: float
    trouble: str


def read_correlations(conn: Session, server: Server, readings: Mapping[str, Any]) -> Reading[Any] | Unread:  # noqa: ARG001 - the signature of all of them
    """Sample the tables of pairs, dearest statements first."""
    known = readings.get(PLANS.name)
    if known is None or isinstance(known, Unread):
        return known if known is not None else Unread(reason="plans were not read")
    started = time.monotonic()
    rows: list[Correlation] = []
    seen: set[tuple[str, str, tuple[str, ...]]] = set()
    for row in known.rows:
        for schema, table, columns in _pairs(row):
            in_time = len(seen) < PAIRS_MAX and time.monotonic() - started < BUDGET_S
            if (schema, table, columns) not in seen and in_time:
                seen.add((schema, table, columns))
                rows.append(_counted(conn, row, schema, table, columns))
    return Reading(rows=tuple(rows), taken_at=datetime.now(UTC), duration_s=round(time.monotonic() - started, 3))


CORRELATIONS = Question(name="correlations", row=Correlation, folder=Path(__file__).parent, probe=read_correlations)


def _pairs(row: StatementPlan) -> Iterator[tuple[str, str, tuple[str, ...]]]:
    if not row.plan:
        return
    for together in compared_columns(plan_in(row.plan)["Plan"]):
        names = sorted({one.column for one in together})[:COLUMNS_MAX]
        for pair in itertools.combinations(names, 2):
            yield together[0].schema, together[0].table, pair


def _counted(conn: Session, row: StatementPlan, schema: str, table: str, columns: tuple[str, ...]) -> Correlation:
    sampled, matches, independent, rows, trouble = 0, 0.0, 0.0, 0.0, ""
    try:
        conn.execute(_BEGIN)
        size = conn.execute(_SIZE, {"schema": schema, "table": table}).fetchone()
        if size is not None and size[0] > 0:
            rows = float(size[0])
            found = conn.execute(_sample(schema, table, columns, rows, int(size[1]))).fetchone()
            if found is not None:
                sampled, matches, independent = int(found[0]), float(found[1]), float(found[2])
        else:
            trouble = f"{dotted(schema, table)} was never analysed"
    except psycopg.Error as exc:
        if conn.closed:
            raise Unreachable(f"the connection was lost while sampling: {first_line(exc)}") from exc
        trouble = first_line(exc)
    finally:
        if not conn.closed:
            conn.execute("rollback")
    return Correlation(
        schema=schema,
        table=table,
        columns=columns,
        queryid=row.queryid,
        calls=row.calls,
        total_ms=row.calls * row.mean_ms,
        sampled_rows=sampled,
        matches=matches / 2,
        factor=matches * max(sampled - 1, 1) / independent if independent else 0.0,
        expected_rows=rows * matches / (sampled * (sampled - 1)) if sampled > 1 else 0.0,
        trouble=trouble,
    )


def _sample(schema: str, table: str, columns: tuple[str, ...], rows: float, pages: int) -> sql.Composed:
    percent = min(100.0, max(0.001, 120.0 * SAMPLE_ROWS / rows))
    return sql.SQL(_PAIR).format(
        first=sql.Identifier(columns[0]),
        second=sql.Identifier(columns[1]),
        table=sql.Identifier(schema, table),
        method=sql.SQL("bernoulli" if pages <= SMALL_PAGES else "system"),
        percent=sql.Literal(percent),
        rows=sql.Literal(SAMPLE_ROWS),
    )
