"""A stable function of nothing but constants in WHERE, called once a row → `(SELECT f())`, an InitPlan, called once.

`auth.uid()`, `current_setting('app.user')` and their kin.  The value of a stable function is the same for the whole
statement, so that asking once is asking always.
"""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

from pgrunbook.journey.advise.queries.context import Context
from pgrunbook.journey.advise.queries.proposal import Proposal, whole
from pgrunbook.journey.advise.queries.relational import Node, scopes
from pgrunbook.journey.advise.queries.trial import Trial
from pgrunbook.journey.observe.functions import FUNCTIONS, Function
from pgrunbook.pg.trees import column_refs, names, nodes

_BUILT_IN_STABLE = frozenset({"current_setting"})


def propose(context: Context, trial: Trial) -> Iterator[Proposal]:  # noqa: ARG001 - the signature of all of them
    """One proposal for all such calls in the statement's own WHERE clauses."""
    functions = [f for f in context.optional(FUNCTIONS) if f.kind == "f"]
    tree, found = scopes(context)
    facts: list[str] = []
    for scope in found:
        scope.where([_wrapped(condition, functions, facts) for condition in scope.conditions])
    if not facts:
        return
    sql, parameters = context.sql(tree), context.query.asked.parameters
    yield Proposal(
        name="once_for_row_call",
        title="Ask the function once, not once a row",
        sql=sql,
        why="a sub-select that refers to no column is an InitPlan: evaluated once a statement, before the rows",
        facts=tuple(dict.fromkeys(facts)),
        parameters=parameters,
        pair=whole(context.query.text, sql, parameters=parameters),
    )


def _wrapped(tree: Any, functions: list[Function], facts: list[str]) -> Any:
    if isinstance(tree, list):
        return [_wrapped(item, functions, facts) for item in tree]
    if not isinstance(tree, dict):
        return tree
    if "sub_link" in tree:
        return tree  # its own WHERE is a scope of its own; as a value it is an InitPlan already, or correlated
    call = tree.get("func_call")
    if isinstance(call, dict):
        fact = _stable(call, functions)
        if fact is not None:
            facts.append(fact)
            return _once(tree)
    return {key: _wrapped(value, functions, facts) for key, value in tree.items()}


def _stable(call: Node, functions: list[Function]) -> str | None:
    """The fact that a call's value does not change within the statement; None where it may, or depends on the row."""
    if any(column_refs([call])) or any(kind in {"sub_link", "param_ref"} for kind, _ in nodes([call])):
        return None
    if any(
        call.get(mark) for mark in ("over", "agg_star", "agg_filter", "agg_order", "agg_within_group", "agg_distinct")
    ):
        return None
    inner = [names(node.get("funcname")) for kind, node in nodes([{"func_call": call}]) if kind == "func_call"]
    said = [_volatility(parts, functions) for parts in inner]
    if any(fact is None for fact in said):
        return None
    return "; ".join(dict.fromkeys(fact for fact in said if fact))


def _volatility(parts: tuple[str, ...], functions: list[Function]) -> str | None:
    *schema, name = parts
    if name in _BUILT_IN_STABLE and schema in ([], ["pg_catalog"]):
        return f"{name}() is STABLE"
    meant = [f for f in functions if f.name == name and schema in ([], [f.schema])]
    if not meant or any(f.volatility != "s" or f.returns_set for f in meant):
        return None
    return f"{meant[0].qualified}() is STABLE"


def _once(tree: Node) -> Node:
    select: Node = {
        "target_list": [{"res_target": {"val": tree}}],
        "limit_option": "LIMIT_OPTION_DEFAULT",
        "op": "SETOP_NONE",
    }
    return {"sub_link": {"sub_link_type": "EXPR_SUBLINK", "subselect": {"select_stmt": select}}}
