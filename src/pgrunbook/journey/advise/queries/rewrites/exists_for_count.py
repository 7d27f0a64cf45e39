"""SELECT count(*) that is only asked whether there is any row → EXISTS, which stops at the first.

Inside a statement `(SELECT count(*) …) > 0` says so itself.  A statement that is nothing but a count says what it
returns, not what becomes of it: there EXISTS is offered as the answer to another question.
"""

from __future__ import annotations

import copy
from collections.abc import Iterator
from typing import Any

from pgrunbook.journey.advise.queries.context import Context
from pgrunbook.journey.advise.queries.proposal import Proposal, whole
from pgrunbook.journey.advise.queries.relational import GATHERING, Node, Scope, is_steady, not_null, scopes
from pgrunbook.journey.advise.queries.trial import MakePair, Pair, Trial
from pgrunbook.pg.trees import names

_ANY = {(">", 0), (">=", 1), ("<>", 0), ("!=", 0)}
_NONE = {("=", 0), ("<", 1), ("<=", 0)}
_TURNED = {">": "<", ">=": "<=", "<": ">", "<=": ">=", "=": "=", "<>": "<>", "!=": "!="}


def propose(context: Context, trial: Trial) -> Iterator[Proposal]:  # noqa: ARG001 - the signature of all of them
    """Comparisons of a count with nothing, and a statement that only counts."""
    tree, found = scopes(context)
    turner = _Turner(context, found)
    turner.turn(tree)
    facts = turner.facts
    if facts:
        sql, parameters = context.sql(tree), context.query.asked.parameters
        yield Proposal(
            name="exists_for_count",
            title="EXISTS instead of counting",
            sql=sql,
            why="a count is never NULL, and it is more than nothing exactly when there is a row",
            facts=tuple(dict.fromkeys(facts)),
            parameters=parameters,
            pair=whole(context.query.text, sql, parameters=parameters),
        )
        return
    yield from _whole_count(context, tree, found)


class _Turner:
    """Puts EXISTS in the place of comparisons, in a tree that is ours."""

    def __init__(self, context: Context, found: list[Scope]) -> None:
        self._context = context
        self._scopes = {id(scope.select): scope for scope in found}
        self.facts: list[str] = []

    def turn(self, tree: Any) -> None:
        """Every comparison in it."""
        pairs = tree.items() if isinstance(tree, dict) else enumerate(tree) if isinstance(tree, list) else ()
        for key, value in list(pairs):
            made = self._turned(value) if isinstance(value, dict) else None
            if made is not None:
                tree[key] = made
            else:
                self.turn(value)

    def _turned(self, tree: Node) -> Node | None:
        node = tree.get("a_expr")
        if not isinstance(node, dict) or node.get("kind") != "AEXPR_OP":
            return None
        sign = names(node.get("name"))[-1]
        for left, right, meant in (("lexpr", "rexpr", sign), ("rexpr", "lexpr", _TURNED.get(sign, ""))):
            link = node.get(left, {}).get("sub_link", {})
            number = _integer(node.get(right, {}))
            scope = self._scopes.get(id(link.get("subselect", {}).get("select_stmt")))
            is_asked = (meant, number) in _ANY | _NONE and link.get("sub_link_type") == "EXPR_SUBLINK"
            counted = _counted(scope, self._context) if scope is not None and is_asked else None
            if counted is not None:
                self.facts.append(counted[1])
                link = {"sub_link_type": "EXISTS_SUBLINK", "subselect": {"select_stmt": counted[0]}}
                exists: Node = {"sub_link": link}
                is_any = (meant, number) in _ANY
                return exists if is_any else {"bool_expr": {"boolop": "NOT_EXPR", "args": [exists]}}
        return None


def _integer(tree: Node) -> int | None:
    constant = tree.get("a_const", {})
    return int(constant["ival"].get("ival", 0)) if "ival" in constant else None


def _counted(scope: Scope, context: Context) -> tuple[Node, str] | None:
    """The SELECT whose rows are counted, and the fact that each is; None where not every row is."""
    select = scope.select
    targets = select.get("target_list", ())
    if len(targets) != 1 or any(part in select for part in (*GATHERING, "limit_count", "limit_offset", "with_clause")):
        return None
    call = targets[0].get("res_target", {}).get("val", {}).get("func_call", {})
    marks = ("agg_distinct", "agg_filter", "agg_order", "over")
    if names(call.get("funcname"))[-1:] != ("count",) or any(call.get(mark) for mark in marks):
        return None
    if not select.get("from_clause") or not is_steady(select, context):
        return None
    fact = "count(*) counts every row"
    if not call.get("agg_star"):
        named = scope.column(call.get("args", [{}])[0])
        known = not_null(named, context) if named is not None else None
        if known is None:
            return None
        fact = f"{known}, so count() counts every row"
    made = copy.deepcopy(select)
    made.pop("sort_clause", None)
    made["target_list"] = context.parser.statement("SELECT 1")["select_stmt"]["target_list"]
    return made, fact


def _whole_count(context: Context, tree: Node, found: list[Scope]) -> Iterator[Proposal]:
    if not found or found[0].select is not tree.get("select_stmt"):
        return
    counted = _counted(found[0], context)
    if counted is None:
        return
    inner = context.sql({"select_stmt": counted[0]})
    sql, parameters = f"SELECT EXISTS ({inner})", context.query.asked.parameters
    yield Proposal(
        name="exists_for_count",
        title="EXISTS, if all that is asked is whether there is a row",
        sql=sql,
        same="The answer to count > 0, not the count",
        why="EXISTS stops at the first row",
        facts=(counted[1],),
        caveat="where the number itself is used, keep the count.",
        parameters=parameters,
        pair=_pair(context, sql, parameters),
    )


def _pair(context: Context, sql: str, parameters: int) -> MakePair:
    def make(trial: Trial) -> Pair | None:  # noqa: ARG001 - the signature of all of them
        if parameters:
            return None
        return Pair(
            before=f"SELECT c > 0 FROM ({context.query.text}\n) AS counted (c)",
            after=sql,
            note="whether the count is more than 0",
        )

    return make
