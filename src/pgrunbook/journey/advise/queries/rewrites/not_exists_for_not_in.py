"""NOT IN (SELECT …) → NOT EXISTS, and IN (SELECT …) → EXISTS where the planner could not make a join of it.

NOT IN is NULL, not true, as soon as one value is NULL on either side; NOT EXISTS is not.  So both sides must be known
never to be NULL.  IN and EXISTS are true for the same rows, and where only true counts (WHERE, without NOT above) that
is enough.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass

from pgrunbook.journey.advise.queries.context import Context
from pgrunbook.journey.advise.queries.proposal import Proposal, whole
from pgrunbook.journey.advise.queries.relational import Named, Node, Scope, is_plain, is_steady, not_null, scopes
from pgrunbook.journey.advise.queries.trial import Trial
from pgrunbook.journey.workload.conditions import conjuncts
from pgrunbook.pg.trees import names

_INTEGERS = frozenset({"int2", "int4", "int8"})  # compared by value, whatever their width
_SIMPLE = frozenset({"target_list", "from_clause", "where_clause", "limit_option", "op"})


@dataclass(frozen=True, slots=True)
class _Turned:
    condition: Node
    facts: tuple[str, ...]


def propose(context: Context, trial: Trial) -> Iterator[Proposal]:  # noqa: ARG001 - the signature of all of them
    """One proposal for every NOT IN together, one for IN."""
    for negated in (True, False):
        if not negated and not _has_subplan(context):
            continue
        tree, found = scopes(context)
        by_select = {id(scope.select): scope for scope in found}
        facts: list[str] = []
        for scope in found:
            changed = []
            for condition in scope.conditions:
                turned = _turn(condition, scope, by_select, context, negated=negated)
                changed.append(turned.condition if turned is not None else condition)
                facts += turned.facts if turned is not None else ()
            if facts:
                scope.where(changed)
        if facts:
            yield _proposal(context, tree, tuple(dict.fromkeys(facts)), negated=negated)


def _proposal(context: Context, tree: Node, facts: tuple[str, ...], *, negated: bool) -> Proposal:
    sql, parameters = context.sql(tree), context.query.asked.parameters
    return Proposal(
        name="not_exists_for_not_in" if negated else "exists_for_in",
        title="NOT EXISTS instead of NOT IN" if negated else "EXISTS instead of IN",
        sql=sql,
        why="no value on either side can be NULL, so both are true for the same rows; NOT EXISTS can be an anti-join"
        if negated
        else "both are true for the same rows, and in WHERE only true counts",
        facts=facts,
        parameters=parameters,
        pair=whole(context.query.text, sql, parameters=parameters),
    )


def _has_subplan(context: Context) -> bool:
    return any(node.relationship == "SubPlan" for node in context.plan.nodes)


def _turn(
    condition: Node, scope: Scope, by_select: dict[int, Scope], context: Context, *, negated: bool
) -> _Turned | None:
    link = condition
    if negated:
        inverse = condition.get("bool_expr", {})
        if inverse.get("boolop") != "NOT_EXPR":
            return None
        link = inverse["args"][0]
    elif condition.get("bool_expr", {}).get("boolop") == "OR_EXPR":
        return _turn_branches(condition, scope, by_select, context)
    node = link.get("sub_link")
    if node is None or node.get("sub_link_type") != "ANY_SUBLINK" or names(node.get("oper_name")) not in {(), ("=",)}:
        return None
    inner = by_select.get(id(node["subselect"].get("select_stmt")))
    outer = scope.column(node.get("testexpr", {}))
    if inner is None or outer is None or not _is_simple(inner, context):
        return None
    value = inner.select["target_list"][0]["res_target"]["val"]
    found = inner.column(value)
    if found is None or any(item.alias == outer.item.alias for item in inner.items):
        return None
    kinds = {outer.column.base_type_name, found.column.base_type_name}
    if len(kinds) > 1 and not kinds <= _INTEGERS:
        return None
    facts = _facts(outer, found, inner, context) if negated else (f"{found.sql} = {outer.sql} stands in WHERE",)
    if facts is None:
        return None
    inner.where([*inner.conditions, context.parser.expression(f"{found.sql} = {outer.sql}")])
    inner.select["target_list"] = context.parser.statement("SELECT 1")["select_stmt"]["target_list"]
    exists: Node = {"sub_link": {"sub_link_type": "EXISTS_SUBLINK", "subselect": {"select_stmt": inner.select}}}
    if negated:
        exists = {"bool_expr": {"boolop": "NOT_EXPR", "args": [exists]}}
    return _Turned(exists, facts)


def _turn_branches(condition: Node, scope: Scope, by_select: dict[int, Scope], context: Context) -> _Turned | None:
    """Under OR the planner makes no join of IN."""
    args: list[Node] = []
    facts: list[str] = []
    for branch in condition["bool_expr"]["args"]:
        parts = []
        for part in conjuncts(branch):
            turned = _turn(dict(part), scope, by_select, context, negated=False)
            parts.append(turned.condition if turned is not None else dict(part))
            facts += turned.facts if turned is not None else ()
        args.append(parts[0] if len(parts) == 1 else {"bool_expr": {"boolop": "AND_EXPR", "args": parts}})
    return _Turned({"bool_expr": {"boolop": "OR_EXPR", "args": args}}, tuple(facts)) if facts else None


def _is_simple(inner: Scope, context: Context) -> bool:
    select = inner.select
    return (
        not set(select) - _SIMPLE
        and len(select.get("target_list", ())) == 1
        and bool(select.get("from_clause"))
        and is_plain(select)
        and is_steady(select, context)
        and inner.is_known
    )


def _facts(outer: Named, found: Named, inner: Scope, context: Context) -> tuple[str, ...] | None:
    left = not_null(outer, context)
    right = not_null(found, context)
    if right is None and any(_excludes_null(condition, found, inner) for condition in inner.conditions):
        right = f"{found.sql} IS NOT NULL stands in the sub-select's own WHERE"
    return (left, right) if left is not None and right is not None else None


def _excludes_null(condition: Node, found: Named, inner: Scope) -> bool:
    test = condition.get("null_test", {})
    if test.get("nulltesttype") != "IS_NOT_NULL":
        return False
    named = inner.column(test.get("arg", {}))
    return named is not None and named.sql == found.sql
