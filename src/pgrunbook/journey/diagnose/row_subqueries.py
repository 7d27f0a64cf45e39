"""Sub-selects in policies that depend on the row: which there are, and how to ask them once a statement.

`exists (select from m where m.a = t.b and …)` and `x in (select m.c from m where m.a = t.b and …)` run anew for each
row of t.  `t.b in (select m.a from m where …)` says the same, and is asked once.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from typing import Any

from pgrunbook.journey.diagnose.auth_calls import is_correlated
from pgrunbook.journey.workload.conditions import conjuncts
from pgrunbook.pg.parse import Tree
from pgrunbook.pg.trees import column_refs, names, nodes, range_aliases

_SIMPLE = frozenset({"target_list", "from_clause", "where_clause", "limit_option", "op"})


def row_subselects(tree: Any) -> Iterator[Tree]:
    """The outermost sub-selects that read a table and refer to the row."""
    if isinstance(tree, Mapping):
        for key, value in tree.items():
            if key == "sub_link" and is_correlated(value) and _reads(value):
                yield value
                continue
            yield from row_subselects(value)
    elif isinstance(tree, list | tuple):
        for item in tree:
            yield from row_subselects(item)


def tables_read(sub_link: Tree) -> tuple[str, ...]:
    """The tables that a sub-select names."""
    found = (node.get("relname", "") for kind, node in nodes(sub_link.get("subselect", {})) if kind == "range_var")
    return tuple(dict.fromkeys(name for name in found if name))


def is_planners_choice(sub_link: Tree) -> bool:
    """Whether the planner itself can do it either way, and turning it round would only take one way from it.

    So it is with an EXISTS that compares columns for equality and has no condition of its own: for few rows an index
    of the inner table answers, for many the planner makes a hash of the whole table.
    """
    turned = _turned(sub_link) if sub_link.get("sub_link_type") == "EXISTS_SUBLINK" else None
    return turned is not None and "where_clause" not in turned["sub_link"]["subselect"]["select_stmt"]


def asked_once(tree: Tree) -> Tree | None:
    """The condition with each such sub-select turned round; None where one of them cannot be.

    Only where true is all that counts (under AND and OR): turned round, NULL and false may change places.
    """
    kind, node = next(iter(tree.items()))
    if kind == "bool_expr" and node.get("boolop", "AND_EXPR") != "NOT_EXPR":
        args = [asked_once(arg) for arg in node.get("args", ())]
        return None if any(arg is None for arg in args) else {kind: {**node, "args": args}}
    if kind == "sub_link" and is_correlated(node):
        return tree if is_planners_choice(node) else _turned(node)
    return None if any(True for _ in row_subselects(tree)) else tree


def _reads(sub_link: Tree) -> bool:
    return any(kind == "range_var" for kind, _ in nodes(sub_link.get("subselect", {})))


def _turned(sub_link: Tree) -> Tree | None:
    select = sub_link.get("subselect", {}).get("select_stmt", {})
    if set(select) - _SIMPLE or select.get("op", "SETOP_NONE") != "SETOP_NONE" or "where_clause" not in select:
        return None
    inner = range_aliases(select)
    if any(kind == "sub_link" and is_correlated(node) for kind, node in nodes(select)):
        return None
    if any(kind in {"join_expr", "range_subselect", "range_function"} for kind, _ in nodes(select["from_clause"])):
        return None
    extra = _membership(sub_link, select, inner)
    if extra is None:
        return None
    outer: list[Tree] = []
    target: list[Tree] = []
    rest: list[Tree] = [*extra]
    for part in conjuncts(select["where_clause"]):
        if not _outer_refs(part, inner):
            rest.append(part)
            continue
        pair = _equality(part, inner)
        if pair is None:
            return None
        target.append(pair[0])
        outer.append(pair[1])
    return _in(outer, target, rest, select) if outer else None


def _membership(sub_link: Tree, select: Tree, inner: frozenset[str]) -> list[Tree] | None:
    """For `x in (select c …)` the condition `c = x`, x being the same for all rows; nothing for EXISTS."""
    if sub_link.get("sub_link_type") == "EXISTS_SUBLINK":
        return []
    if sub_link.get("sub_link_type") != "ANY_SUBLINK" or names(sub_link.get("oper_name")) not in {(), ("=",)}:
        return None
    test = sub_link.get("testexpr", {})
    targets = select.get("target_list", ())
    if any(column_refs(test)) or "row_expr" in test or len(targets) != 1:
        return None
    value = targets[0]["res_target"]["val"]
    if _outer_refs(value, inner):
        return None
    return [{"a_expr": {"kind": "AEXPR_OP", "name": [{"string": {"sval": "="}}], "lexpr": value, "rexpr": test}}]


def _equality(part: Tree, inner: frozenset[str]) -> tuple[Tree, Tree] | None:
    """`inner column = outer column`, either way round, as (inner, outer)."""
    node = part.get("a_expr", {})
    if node.get("kind", "AEXPR_OP") != "AEXPR_OP" or names(node.get("name")) != ("=",):
        return None
    left, right = node.get("lexpr", {}), node.get("rexpr", {})
    for here, there in ((left, right), (right, left)):
        is_inner = any(column_refs(here)) and not _outer_refs(here, inner)
        is_outer = any(column_refs(there)) and all(_is_outer(parts, inner) for parts in column_refs(there))
        plain = not any(kind == "sub_link" for kind, _ in (*nodes(here), *nodes(there)))
        if is_inner and is_outer and plain:
            return here, there
    return None


def _in(outer: list[Tree], target: list[Tree], rest: list[Tree], select: Tree) -> Tree:
    chosen: dict[str, Any] = {
        "target_list": [{"res_target": {"val": value}} for value in target],
        "from_clause": select["from_clause"],
        "limit_option": "LIMIT_OPTION_DEFAULT",
        "op": "SETOP_NONE",
    }
    if rest:
        chosen["where_clause"] = rest[0] if len(rest) == 1 else {"bool_expr": {"boolop": "AND_EXPR", "args": rest}}
    test = outer[0] if len(outer) == 1 else {"row_expr": {"args": outer, "row_format": "COERCE_IMPLICIT_CAST"}}
    return {"sub_link": {"sub_link_type": "ANY_SUBLINK", "testexpr": test, "subselect": {"select_stmt": chosen}}}


def _outer_refs(tree: Tree, inner: frozenset[str]) -> bool:
    """Whether the part refers to the row outside; what a nested sub-select calls by its own names does not."""
    own = set(inner)
    for kind, node in nodes(tree):
        if kind == "select_stmt":
            own |= range_aliases(node)
    return any(_is_outer(parts, frozenset(own)) for parts in column_refs(tree))


def _is_outer(parts: tuple[str, ...], inner: frozenset[str]) -> bool:
    return len(parts) > 1 and parts[-2] not in inner
