"""Which statements a step is judged by: those that its finding names, else all that touch its table."""

from __future__ import annotations

import contextlib
from collections.abc import Iterable, Sequence
from dataclasses import dataclass

from pgrunbook.journey.observe.statements import Statement
from pgrunbook.journey.steps import Step
from pgrunbook.model.plan import MeasuredQuery, PlannedStep
from pgrunbook.pg.connect import Session
from pgrunbook.pg.parse import ParseFailed, Parser
from pgrunbook.pg.trees import nodes

MAX_QUERIES = 20  # the costliest; more would only dilute the answer and lengthen the measurement

_SUBJECT = """/* pgrunbook: roles_under_policies */
select r.rolname::text
from pg_catalog.pg_roles as r
cross join pg_catalog.pg_class as c
join pg_catalog.pg_namespace as n on n.oid = c.relnamespace
where n.nspname = %(schema)s and c.relname = %(table)s
  and not r.rolsuper and not r.rolbypassrls
  and (c.relforcerowsecurity or not pg_catalog.pg_has_role(r.oid, c.relowner, 'usage'))"""

_FAMILY = """/* pgrunbook: table_of */
with recursive family as (
  select coalesce(i.indrelid, c.oid) as oid
  from pg_catalog.pg_class as c
  join pg_catalog.pg_namespace as n on n.oid = c.relnamespace
  left join pg_catalog.pg_index as i on i.indexrelid = c.oid
  where n.nspname = %(schema)s and c.relname = %(name)s
  union
  select h.inhparent
  from family as f
  join pg_catalog.pg_inherits as h on h.inhrelid = f.oid
)
select n.nspname::text, c.relname::text
from family as f
join pg_catalog.pg_class as c on c.oid = f.oid
join pg_catalog.pg_namespace as n on n.oid = c.relnamespace"""


@dataclass(frozen=True, slots=True, kw_only=True)
class Chosen:
    """The statements, and whether the plan promised them something or they merely touch the table."""

    queries: tuple[MeasuredQuery, ...]
    promised: bool


def choose(
    conn: Session, planned: PlannedStep, step: Step, statements: Iterable[Statement] | None, parser: Parser
) -> Chosen:
    """The plan's own queries, with ids and texts from pg_stat_statements; else the costliest on the table."""
    known = [row for row in statements or () if not row.is_ours and not row.is_utility]
    if planned.queries:
        return Chosen(queries=tuple(_completed(query, known) for query in planned.queries), promised=True)
    touching = _touching(conn, step, known, parser)
    return Chosen(
        queries=tuple(MeasuredQuery(text=row.query, queryid=row.queryid, role=row.role) for row in touching),
        promised=False,
    )


def _completed(query: MeasuredQuery, known: Sequence[Statement]) -> MeasuredQuery:
    """By id if the plan has it, else by text."""
    for row in known:
        if query.role not in {None, row.role}:
            continue
        if row.queryid == query.queryid or (query.queryid is None and row.query == query.text):
            return MeasuredQuery(text=query.text or row.query, queryid=row.queryid, role=query.role or row.role)
    return query


def _touching(conn: Session, step: Step, known: Sequence[Statement], parser: Parser) -> list[Statement]:
    schema, name = _table_or_index(step, parser)
    family = {(str(s), str(n)) for s, n in conn.execute(_FAMILY, {"schema": schema, "name": name}).fetchall()}
    subject: set[str] | None = None
    if step.kind == "replace_policy":
        rows = conn.execute(_SUBJECT, {"schema": schema, "table": name}).fetchall()
        subject = {str(row[0]) for row in rows}
    found: dict[int, Statement] = {}
    for row in sorted(known, key=lambda row: -row.total_exec_ms):
        if len(found) == MAX_QUERIES:
            break
        if row.queryid in found or (subject is not None and row.role not in subject):
            continue
        if any(name in row.query for _, name in family) and _names_any(row.query, family, parser):
            found[row.queryid] = row
    return list(found.values())


def _table_or_index(step: Step, parser: Parser) -> tuple[str | None, str | None]:
    """What leads to the step's table.  An index that is to be dropped does not once it is gone: its definition does."""
    schema, table = getattr(step, "schema", None), getattr(step, "table", None)
    definition = getattr(step, "definition", None)
    if table is None and definition is not None:
        with contextlib.suppress(ParseFailed):
            relation = parser.statement(definition)["index_stmt"]["relation"]
            return relation.get("schemaname", schema), relation["relname"]
    return schema, table or getattr(step, "name", None)


def _names_any(text: str, family: set[tuple[str, str]], parser: Parser) -> bool:
    """Whether the statement names one of these tables; a name without a schema is taken for ours."""
    try:
        trees = parser.statements(text)
    except ParseFailed:
        return False
    for tree in trees:
        for kind, node in nodes(tree):
            if kind in {"range_var", "relation"} and any(
                node.get("relname") == name and node.get("schemaname", schema) == schema for schema, name in family
            ):
                return True
    return False
