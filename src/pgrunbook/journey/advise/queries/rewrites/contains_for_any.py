"""`x = ANY (column)` → `column @> ARRAY[x]`, the operator that a GIN index on the array answers.

True for the same rows: a NULL on either side makes neither true.  Where only true counts (WHERE, without NOT) that is
enough.
"""

from __future__ import annotations

from collections.abc import Iterator

from pgrunbook.journey.advise.queries.context import Context
from pgrunbook.journey.advise.queries.proposal import Proposal, whole
from pgrunbook.journey.advise.queries.relational import Named, Node, Scope, scopes
from pgrunbook.journey.advise.queries.trial import Trial
from pgrunbook.journey.diagnose.policy_columns import has_gin
from pgrunbook.journey.workload.candidate import Candidate, IndexKey
from pgrunbook.journey.workload.conditions import conjuncts, disjuncts
from pgrunbook.journey.workload.expressions import column_key
from pgrunbook.model import Advice
from pgrunbook.pg.parse import Tree
from pgrunbook.pg.trees import column_refs, names, nodes


def propose(context: Context, trial: Trial) -> Iterator[Proposal]:  # noqa: ARG001 - the signature of all of them
    """One proposal for all such conditions."""
    tree, found = scopes(context)
    columns: list[Named] = []
    for scope in found:
        scope.where([_turned(condition, scope, columns) for condition in scope.conditions])
    if not columns:
        return
    sql, parameters = context.sql(tree), context.query.asked.parameters
    yield Proposal(
        name="contains_for_any",
        title="The array's own operator instead of = ANY",
        sql=sql,
        why="both are true when the array holds the value, and a NULL makes neither true; GIN answers @> only",
        facts=tuple(dict.fromkeys(fact for named in columns for fact in _facts(named))),
        parameters=parameters,
        pair=whole(context.query.text, sql, parameters=parameters),
        needs=tuple(advice for named in columns if (advice := _index(context, named)) is not None),
    )


def _turned(condition: Tree, scope: Scope, columns: list[Named]) -> Node:
    branches = disjuncts(condition)
    if len(branches) > 1:
        args = [
            _joined([_turned(part, scope, columns) for part in conjuncts(branch)], "AND_EXPR") for branch in branches
        ]
        return _joined(args, "OR_EXPR")
    node = condition.get("a_expr", {})
    if node.get("kind") != "AEXPR_OP_ANY" or names(node.get("name")) != ("=",):
        return dict(condition)
    named = scope.column(node.get("rexpr", {}))
    value = node.get("lexpr", {})
    if named is None or not _is_array(named) or not _is_of_its_type(value, named):
        return dict(condition)
    columns.append(named)
    text = scope.context.parser.text(value)
    return dict(scope.context.parser.expression(f"{named.sql} @> ARRAY[{text}]::{named.column.declared_type}"))


def _joined(args: list[Node], operator: str) -> Node:
    return args[0] if len(args) == 1 else {"bool_expr": {"boolop": operator, "args": args}}


def _is_array(named: Named) -> bool:
    return named.column.type_category == "A" and named.column.base_type_oid == named.column.type_oid


def _is_of_its_type(value: Tree, named: Named) -> bool:
    """Whether the value is taken for one of the array's elements as it stands: a text, a parameter, or cast to it."""
    if any(column_refs([value])) or any(kind in {"sub_link", "func_call"} for kind, _ in nodes([value])):
        return False
    if "param_ref" in value or "sval" in value.get("a_const", {}):
        return True
    if "ival" in value.get("a_const", {}):
        return named.column.type_name in {"_int4", "_int8", "_numeric"}
    written = names(value.get("type_cast", {}).get("type_name", {}).get("names"))
    return bool(written) and f"_{written[-1]}" == named.column.type_name


def _facts(named: Named) -> tuple[str, ...]:
    facts = [f"{named.qualified} is {named.column.declared_type}"]
    if named.item.table is not None and has_gin(named.column.name, named.item.table):
        facts.append(f"a GIN index on {named.qualified} answers @>")
    return tuple(facts)


def _index(context: Context, named: Named) -> Advice | None:
    table = named.item.table
    if table is None or has_gin(named.column.name, table):
        return None
    key = IndexKey(key=column_key(named.column.name))
    return context.advice_to_make(Candidate(table_oid=table.table.oid, method="gin", equal=(key,)))
