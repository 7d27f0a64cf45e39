"""What kind of statement a parse tree is: what limits it, whether it gathers rows, how many rows it inserts."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any, Final

from pgrunbook.pg.parse import Tree
from pgrunbook.pg.trees import names, nodes

_AGGREGATES: Final = frozenset(
    """
    count sum avg min max array_agg string_agg json_agg jsonb_agg json_object_agg jsonb_object_agg bool_and bool_or
    every bit_and bit_or bit_xor stddev stddev_pop stddev_samp variance var_pop var_samp corr covar_pop covar_samp
    regr_slope regr_intercept percentile_cont percentile_disc mode xmlagg range_agg range_intersect_agg any_value
    """.split()
)
_GATHERING: Final = ("group_clause", "having_clause", "distinct_clause", "window_clause")


def top_select(tree: Tree) -> Tree | None:
    """The SELECT that a statement is; None when it is something else, or a list of VALUES."""
    node: Tree | None = tree.get("select_stmt")
    return node if node is not None and "values_lists" not in node else None


def selects(tree: Tree) -> Iterator[Tree]:
    """Every SELECT in a statement."""
    for kind, node in nodes(tree):
        if kind == "select_stmt" or (kind in {"larg", "rarg"} and "target_list" in node):
            yield node


def gathers(tree: Tree) -> bool:
    """Whether anything in it makes one row of many: GROUP BY, DISTINCT, an aggregate, a window, a set operation."""
    for node in selects(tree):
        if any(part in node for part in _GATHERING) or node.get("op", "SETOP_NONE") != "SETOP_NONE":
            return True
    return any(kind == "func_call" and _is_aggregate(node) for kind, node in nodes(tree))


def _is_aggregate(call: Tree) -> bool:
    is_marked = any(call.get(mark) for mark in ("agg_star", "agg_filter", "agg_within_group", "agg_order", "over"))
    return is_marked or names(call.get("funcname"))[-1:] in {(name,) for name in _AGGREGATES}


def has_limit(node: Tree) -> bool:
    """Whether a SELECT ends with LIMIT or FETCH FIRST (LIMIT ALL and LIMIT NULL are none)."""
    return "limit_count" in node and not _is_null(node["limit_count"])


def has_offset(node: Tree) -> bool:
    """Whether a SELECT skips rows, as far as its text shows (OFFSET 0 skips none)."""
    offset: Any = node.get("limit_offset")
    if offset is None or _is_null(offset):
        return False
    constant = offset.get("a_const")
    return constant is None or "ival" not in constant or constant["ival"].get("ival", 0) != 0


def _is_null(tree: Tree) -> bool:
    return bool(tree.get("a_const", {}).get("isnull"))


def inserted_rows(tree: Tree) -> int | None:
    """How many rows an INSERT … VALUES writes; None when it is no such statement."""
    insert = tree.get("insert_stmt")
    if insert is None:
        return None
    values = insert.get("select_stmt", {}).get("select_stmt", {}).get("values_lists")
    return len(values) if values is not None else None
