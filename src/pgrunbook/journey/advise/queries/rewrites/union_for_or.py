"""OR over different columns → UNION ALL, a branch each, so that each can use its own index.

A row for which several branches hold must come once: each branch leaves out what one before it has given, with
`(…) IS NOT TRUE`, which is right for NULLs and duplicates, too, so that nothing need be unique.
"""

from __future__ import annotations

import copy
from collections.abc import Iterator
from dataclasses import dataclass

from pgrunbook.journey.advise.queries.context import Context
from pgrunbook.journey.advise.queries.proposal import Proposal, whole
from pgrunbook.journey.advise.queries.relational import Node, Scope, is_plain, is_steady, scopes
from pgrunbook.journey.advise.queries.trial import Trial
from pgrunbook.journey.workload.conditions import disjuncts
from pgrunbook.model import quote
from pgrunbook.pg.parse import Tree
from pgrunbook.pg.trees import column_refs, names, nodes

MAX_BRANCHES = 4


def propose(context: Context, trial: Trial) -> Iterator[Proposal]:  # noqa: ARG001 - the signature of all of them
    """One proposal, for the first such OR of the statement's own WHERE."""
    tree, found = scopes(context)
    if not found or found[0].select is not tree.get("select_stmt") or found[0].select.get("with_clause"):
        return
    scope = found[0]
    select = scope.select
    counts = _is_count(select)
    if not (is_plain(select) or counts) or not is_steady(select, context) or not scope.is_known:
        return
    hidden = None if counts or _can_order(select) else _hidden_keys(select)
    if select.get("limit_option") == "LIMIT_OPTION_WITH_TIES" or (not counts and not _can_order(select) and not hidden):
        return
    for place, condition in enumerate(scope.conditions):
        branches = disjuncts(condition)
        if 2 <= len(branches) <= MAX_BRANCHES and _differ(branches):
            yield _proposal(context, scope, place, _Form(counts=counts, hidden=hidden))
            return


@dataclass(frozen=True, slots=True, kw_only=True)
class _Form:
    """What stands around the branches: a count, or (`hidden`) a SELECT that leaves out what only ORDER BY needs.

    `hidden` is the names of the result, and the order's expressions.
    """

    counts: bool
    hidden: tuple[tuple[str, ...], tuple[Tree, ...]] | None = None


def _proposal(context: Context, scope: Scope, place: int, form: _Form) -> Proposal:
    sql = _united(context, scope, place, form)
    parameters = context.query.asked.parameters
    return Proposal(
        name="union_for_or",
        title="A statement for each branch of the OR, put together",
        sql=sql,
        why="each row for which the OR is true makes exactly one branch true that is not left out before;"
        " a condition that is NULL counts as not true on both sides",
        facts=(
            "no function in it is volatile, so each condition has the same value wherever it is asked",
            "IS NOT TRUE takes out what an earlier branch has given: no key is needed to take out duplicates",
        ),
        caveat="rows that tie at the LIMIT may be others, as they may be today."
        if "limit_count" in scope.select
        else "",
        parameters=parameters,
        pair=whole(context.query.text, sql, parameters=parameters),
    )


def _is_count(select: Node) -> bool:
    targets = select.get("target_list", ())
    if len(targets) != 1 or any(
        p in select for p in ("group_clause", "having_clause", "distinct_clause", "limit_count")
    ):
        return False
    call = targets[0].get("res_target", {}).get("val", {}).get("func_call", {})
    return names(call.get("funcname"))[-1:] == ("count",) and bool(call.get("agg_star")) and "over" not in call


def _differ(branches: list[Tree]) -> bool:
    """Whether no column stands in all branches, and each has one (an OR on one column is a list)."""
    columns = [{parts[-1] for parts in column_refs([branch])} for branch in branches]
    return all(columns) and not set.intersection(*columns) and not any(_has_subselect(b) for b in branches)


def _has_subselect(tree: Tree) -> bool:
    """Whether it reads rows of its own (a function asked once in a sub-select reads none)."""
    return any(kind == "select_stmt" and "from_clause" in node for kind, node in nodes([tree]))


def _can_order(select: Node) -> bool:
    """UNION is ordered by names of its result only: each key must be a plain column of the select list."""
    shown = set()
    for target in select.get("target_list", ()):
        value = target.get("res_target", {})
        parts = names(value.get("val", {}).get("column_ref", {}).get("fields"))
        if parts[-1:] == ("*",):
            shown.add("*")
        shown.add(value.get("name") or (parts[-1] if parts else ""))
    for item in select.get("sort_clause", ()):
        parts = names(item["sort_by"].get("node", {}).get("column_ref", {}).get("fields"))
        if not parts or len(parts) > 1 or not ({parts[-1], "*"} & shown):
            return False
    return True


def _hidden_keys(select: Node) -> tuple[tuple[str, ...], tuple[Tree, ...]] | None:
    """The names of the result and what it is ordered by, where each column has a name of its own."""
    shown = []
    for target in select.get("target_list", ()):
        value = target.get("res_target", {})
        parts = names(value.get("val", {}).get("column_ref", {}).get("fields"))
        shown.append(value.get("name") or (parts[-1] if parts else ""))
    keys = [item["sort_by"].get("node", {}) for item in select.get("sort_clause", ())]
    is_meant_elsewhere = any("a_const" in key or len(_parts(key)) == 1 for key in keys)
    if is_meant_elsewhere or not all(shown) or "*" in shown or len(set(shown)) != len(shown):
        return None
    return tuple(shown), tuple(keys)


def _parts(key: Tree) -> tuple[str, ...]:
    return names(key.get("column_ref", {}).get("fields"))


def _united(context: Context, scope: Scope, place: int, form: _Form) -> str:
    branches, parts = disjuncts(scope.conditions[place]), []
    for number, branch in enumerate(branches):
        made = copy.deepcopy(scope.select)
        for ending in ("sort_clause", "limit_count", "limit_offset"):
            made.pop(ending, None)
        made["limit_option"] = "LIMIT_OPTION_DEFAULT"
        before = [{"boolean_test": {"arg": earlier, "booltesttype": "IS_NOT_TRUE"}} for earlier in branches[:number]]
        rest = [c for other, c in enumerate(scope.conditions) if other != place]
        Scope(select=made, context=context).where([*rest, branch, *before])
        for key_number, key in enumerate(form.hidden[1] if form.hidden else (), 1):
            made["target_list"].append({"res_target": {"name": f"order_{key_number}", "val": key}})
        if form.counts:
            made["target_list"] = context.parser.statement("SELECT 1")["select_stmt"]["target_list"]
        parts.append(context.sql({"select_stmt": made}))
    union = " UNION ALL ".join(f"({part})" for part in parts)
    if form.counts:
        return f"SELECT count(*) FROM ({union}) AS branches"
    text = union
    if form.hidden is not None:
        text = f"SELECT {', '.join(quote(name) for name in form.hidden[0])} FROM ({union}) AS branches"
    united: Node = copy.deepcopy(dict(context.parser.statement(text)["select_stmt"]))
    for ending in ("sort_clause", "limit_count", "limit_offset", "limit_option"):
        if ending in scope.select:
            united[ending] = copy.deepcopy(scope.select[ending])
    for number, item in enumerate(united.get("sort_clause", ()) if form.hidden is not None else (), 1):
        item["sort_by"]["node"] = context.parser.expression(f"order_{number}")
    return context.sql({"select_stmt": united})
