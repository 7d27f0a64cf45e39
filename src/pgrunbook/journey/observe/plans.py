"""Plans of the statements that take most time: taken on request only (`diagnose --plans`), for each is an EXPLAIN.

In: a connection and the reading of pg_stat_statements.  Out: for each statement its generic plan, as its role; and for
look-ups by equality the plans that the commonest and a rare value of the columns would get.  The values themselves come
from pg_stats and never leave this module: of such plans only shape, costs and row counts are kept.
"""

from __future__ import annotations

import json
import math
import re
import time
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

from pgrunbook.errors import RunbookError, Unreachable
from pgrunbook.journey.observe.explaining import Explainer, Identity, identify
from pgrunbook.journey.observe.statements import STATEMENTS, Statement, first_word
from pgrunbook.model import Question, Reading, Server, Unread
from pgrunbook.pg.connect import Session
from pgrunbook.pg.planned import explainable

STATEMENTS_MAX = 50
BUDGET_S = 30.0
CALLS_MIN = 3
_READS = frozenset({"select", "with", "values", "table"})
_PREPARE = re.compile(r'\s*prepare\s+(?:"[^"]+"|\S+?)\s*(?:\([^)]*\))?\s+as\s+', re.IGNORECASE)
_PARAMETER = re.compile(r"\$(\d+)")
_LIMIT = re.compile(r"\b(limit|fetch\s+(?:first|next))\s+\$\d+(?!\d)", re.IGNORECASE)
PAGE_ROWS = 10  # the LIMIT that we reckon with at least; a hidden one is taken for what calls return
_NAME = r'(?:"(?:[^"]|"")+"|[A-Za-z_][\w$]*)'
_EQUAL = re.compile(
    rf"\(?(?:(?P<alias>{_NAME})\.)?(?P<column>{_NAME})\)?(?:::[\w ]+?(?:\[\])?)?\s=\s(?:\(?\$(?P<number>\d+)\)?|'|\d)"
)
_KEPT = (
    "Node Type",
    "Parent Relationship",
    "Join Type",
    "Strategy",
    "Relation Name",
    "Schema",
    "Alias",
    "Index Name",
    "Startup Cost",
    "Total Cost",
    "Plan Rows",
    "Plan Width",
)
_VALUES = """/* pgrunbook: common_values */
select s.most_common_vals::text::text[], s.most_common_freqs::float8[], s.histogram_bounds::text::text[]
from pg_catalog.pg_stats as s
where s.schemaname = %(schema)s and s.tablename = %(table)s and s.attname = %(column)s
order by s.inherited desc
limit 1"""


@dataclass(frozen=True, slots=True, kw_only=True)
class StatementPlan:
    """One statement, all its entries of one text and role together, with its generic plan as JSON text.

    `planned_as` is whose rights and policies counted.  `plan` is "" where there is none; `trouble` says why.
    `is_prepared`: it was sent by PREPARE.  Figures are cumulative, a call's.
    """

    queryid: int
    role: str | None
    query: str
    parameters: int
    calls: int
    mean_ms: float
    rows_per_call: float
    blocks_per_call: float
    planned_as: str
    is_prepared: bool
    plan: str
    trouble: str


@dataclass(frozen=True, slots=True, kw_only=True)
class ValuePlan:
    """The plan for one set of values: `commonest` of each column, or `rare`.  `share` is the part of rows with all.

    `columns` are those that the parameters are compared with, `tables` their tables (qualified), in the same order.
    """

    queryid: int
    which: str
    columns: tuple[str, ...]
    tables: tuple[str, ...]
    share: float
    plan: str


@dataclass(frozen=True, slots=True)
class Compared:
    """A column that is compared with a parameter (`number` 0: with a constant) for equality."""

    schema: str
    table: str
    column: str
    number: int


def read_plans(conn: Session, server: Server, readings: Mapping[str, Any]) -> Reading[Any] | Unread:
    """Explain the dearest reading statements, within a budget of time."""
    counted = readings.get(STATEMENTS.name)
    if counted is None or isinstance(counted, Unread):
        return counted if counted is not None else Unread(reason="pg_stat_statements was not asked")
    started = time.monotonic()
    rows = []
    for group in _dearest(counted.rows):
        if time.monotonic() - started > BUDGET_S:
            break
        rows.append(_planned(conn, server, group))
    return _reading(rows, started)


def read_value_plans(conn: Session, server: Server, readings: Mapping[str, Any]) -> Reading[Any] | Unread:
    """For each plan whose parameters all are compared for equality: what common and rare values would get."""
    known = readings.get("plans")
    if known is None or isinstance(known, Unread):
        return known if known is not None else Unread(reason="plans were not read")
    started = time.monotonic()
    rows: list[ValuePlan] = []
    for row in known.rows:
        if row.plan and row.parameters and time.monotonic() - started < BUDGET_S:
            rows += _with_values(conn, server, row)
    return _reading(rows, started)


PLANS = Question(name="plans", row=StatementPlan, folder=Path(__file__).parent, probe=read_plans)
VALUE_PLANS = Question(name="value_plans", row=ValuePlan, folder=Path(__file__).parent, probe=read_value_plans)


def compared_columns(plan: Mapping[str, Any]) -> Iterator[tuple[Compared, ...]]:
    """For each scan of a table, the columns compared for equality together; an OR hides what holds together."""
    told = " ".join(str(plan.get(name, "")) for name in ("Index Cond", "Recheck Cond", "Filter"))
    if "Relation Name" in plan and " OR " not in told:
        found = equal_columns(told, str(plan.get("Alias", plan["Relation Name"])))
        schema, table = str(plan.get("Schema", "")), str(plan["Relation Name"])
        if found:
            yield tuple(Compared(schema, table, column, number) for column, number in found.items())
    for child in plan.get("Plans", ()):
        yield from compared_columns(child)


def equal_columns(condition: str, alias: str) -> dict[str, int]:
    """The columns of one alias that a condition, as EXPLAIN prints it, compares with a value: column → its parameter.

    >>> equal_columns("((t.a = $1) AND ((t.status)::text = $2) AND (u.b = $3) AND (t.c > 5))", "t")
    {'a': 1, 'status': 2}
    """
    return {
        _bare(match["column"]): int(match["number"] or 0)
        for match in _EQUAL.finditer(condition)
        if match["alias"] is None or _bare(match["alias"]) == alias
    }


def with_limit(text: str, rows: int) -> str:
    """The text with a number in the place of a hidden LIMIT, for which the planner would reckon with a tenth of all.

    >>> with_limit("select * from t where a = $1 order by b limit $2 offset $3", 20)
    'select * from t where a = $1 order by b limit 20 offset $2'
    """
    known = _LIMIT.sub(rf"\1 {rows}", text)
    if known == text:
        return text
    places = {number: place for place, number in enumerate(sorted({int(n) for n in _PARAMETER.findall(known)}), 1)}
    return _PARAMETER.sub(lambda match: f"${places[int(match[1])]}", known)


def plan_in(text: str) -> Mapping[str, Any]:
    """The JSON of a plan as it was kept."""
    found: Mapping[str, Any] = json.loads(text)
    return found


def _reading(rows: list[Any], started: float) -> Reading[Any]:
    return Reading(rows=tuple(rows), taken_at=datetime.now(UTC), duration_s=round(time.monotonic() - started, 3))


def _dearest(rows: tuple[Statement, ...]) -> list[list[Statement]]:
    groups: dict[tuple[str, str | None], list[Statement]] = {}
    for row in rows:
        text = _PREPARE.sub("", row.query)
        if row.is_ours or first_word(text) not in _READS or not row.toplevel:
            continue
        groups.setdefault((text, row.role), []).append(row)
    often = [group for group in groups.values() if sum(row.calls for row in group) >= CALLS_MIN]
    return sorted(often, key=lambda group: -sum(row.total_exec_ms for row in group))[:STATEMENTS_MAX]


def _planned(conn: Session, server: Server, group: list[Statement]) -> StatementPlan:
    first = max(group, key=lambda row: row.total_exec_ms)
    calls = sum(row.calls for row in group)
    text = explainable(_PREPARE.sub("", first.query)).strip().rstrip(";")
    text = with_limit(text, max(PAGE_ROWS, math.ceil(sum(row.rows for row in group) / calls)))
    parameters = max((int(number) for number in _PARAMETER.findall(text)), default=0)
    plan, trouble, identity = "", "", Identity(name=server.user)
    try:
        identity = identify(conn, server, wanted=None, statement_role=first.role, as_superuser=False)
        explained = Explainer(conn, server, identity).explained(text, parameters=parameters)
        plan = json.dumps(explained, separators=(",", ":"))
    except Unreachable:
        raise
    except RunbookError as exc:
        trouble = exc.message
    return StatementPlan(
        queryid=first.queryid,
        role=first.role,
        query=text,
        parameters=parameters,
        calls=calls,
        mean_ms=sum(row.total_exec_ms for row in group) / calls,
        rows_per_call=sum(row.rows for row in group) / calls,
        blocks_per_call=sum(row.shared_hit_blocks + row.shared_read_blocks for row in group) / calls,
        planned_as=identity.name,
        is_prepared=_PREPARE.match(first.query) is not None,
        plan=plan,
        trouble=trouble,
    )


def _with_values(conn: Session, server: Server, row: StatementPlan) -> Iterator[ValuePlan]:
    by_number: dict[int, Compared] = {}
    for together in compared_columns(plan_in(row.plan)["Plan"]):
        by_number.update({one.number: one for one in together if one.number})
    if set(by_number) != set(range(1, row.parameters + 1)):
        return
    columns = [by_number[number] for number in range(1, row.parameters + 1)]
    known = [_values_of(conn, column) for column in columns]
    if not all(known):
        return
    identity = identify(conn, server, wanted=None, statement_role=row.role, as_superuser=False)
    explainer = Explainer(conn, server, identity)
    for which in ("commonest", "rare"):
        chosen = [values[which] for values in known]
        share = 1.0
        for _, part in chosen:
            share *= part
        try:
            explained = explainer.explained_with(row.query, [value for value, _ in chosen])
        except Unreachable:
            raise
        except RunbookError:
            return
        yield ValuePlan(
            queryid=row.queryid,
            which=which,
            columns=tuple(column.column for column in columns),
            tables=tuple(f"{column.schema}.{column.table}" for column in columns),
            share=share,
            plan=json.dumps({"Plan": _shape(explained["Plan"])}, separators=(",", ":")),
        )


def _values_of(conn: Session, column: Compared) -> dict[str, tuple[str, float]]:
    """The commonest value and a rare one, each with its share of the rows; {} where statistics tell of no skew."""
    parameters = {"schema": column.schema, "table": column.table, "column": column.column}
    found = conn.execute(_VALUES, parameters).fetchone()
    if found is None or not found[0]:
        return {}
    common, shares, bounds = found
    rest = max(0.0, 1.0 - sum(shares))
    rare = (common[-1], float(shares[-1]))
    if bounds and rest > 0:
        rare = (bounds[len(bounds) // 2], min(float(shares[-1]), rest / max(len(bounds) - 1, 1)))
    return {"commonest": (common[0], float(shares[0])), "rare": rare}


def _shape(node: Mapping[str, Any]) -> dict[str, Any]:
    """Of a plan with values, what holds none."""
    kept = {name: node[name] for name in _KEPT if name in node}
    if node.get("Plans"):
        kept["Plans"] = [_shape(child) for child in node["Plans"]]
    return kept


def _bare(name: str) -> str:
    return name[1:-1].replace('""', '"') if name.startswith('"') else name
