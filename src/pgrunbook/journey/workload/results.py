"""What stands between a FROM's rows and what a SELECT returns: grouping, DISTINCT, ORDER BY, LIMIT."""

from __future__ import annotations

from collections.abc import Iterable
from typing import Any

from pgrunbook.journey.workload.access import Key, OrderKey
from pgrunbook.journey.workload.conditions import Conditions
from pgrunbook.journey.workload.scope import Level, Source, own_nodes
from pgrunbook.pg.parse import Tree
from pgrunbook.pg.trees import names

_AGGREGATES = frozenset(
    """
    count sum avg min max array_agg string_agg json_agg jsonb_agg json_object_agg jsonb_object_agg bool_and bool_or
    every bit_and bit_or bit_xor stddev stddev_pop stddev_samp variance var_pop var_samp corr covar_pop covar_samp
    regr_slope regr_intercept percentile_cont percentile_disc mode xmlagg range_agg range_intersect_agg any_value
    """.split()
)
_MARKS = ("agg_star", "agg_distinct", "agg_filter", "agg_within_group", "agg_order")
_EXTREMES = frozenset({"min", "max"})


class Results:
    """Notes on each table of a level what is asked of its rows after the conditions."""

    def __init__(self, conditions: Conditions) -> None:
        self._conditions = conditions

    def note(self, node: Tree, level: Level, *, is_top: bool) -> None:
        """Order, limit, groups, columns; whether the rows of a lone table are the statement's rows."""
        for part in ("target_list", "having_clause", "sort_clause", "group_clause", "distinct_clause", "window_clause"):
            self._conditions.note_columns(node.get(part, []), level)
        limited = "limit_count" in node
        sources = level.sources
        is_sole = len(level.items) == 1 and len(sources) == 1
        passes = self.passes_through(node)
        for source in sources:
            source.limited = limited
            source.has_offset = "limit_offset" in node
            source.is_sole = is_sole
            source.is_result = is_top and is_sole and passes
        if _is_plain(node):
            self._note_order(self._sorted(node, level), level)
        elif not node.get("group_clause"):
            self._note_extreme(node, level)
        self._note_groups(node, level)

    def passes_through(self, node: Tree) -> bool:
        """Whether every row that meets the conditions comes out, once, as it is."""
        return _is_plain(node) and not any(part in node for part in ("limit_count", "limit_offset", "window_clause"))

    def _sorted(self, node: Tree, level: Level) -> list[tuple[Source, OrderKey] | None]:
        targets = [target.get("res_target", {}) for target in node.get("target_list", ())]
        return [self._order_key(item["sort_by"], targets, level) for item in node.get("sort_clause", ())]

    def _order_key(self, sort: Tree, targets: list[Tree], level: Level) -> tuple[Source, OrderKey] | None:
        tree = _meant(sort.get("node", {}), targets)
        descending = sort.get("sortby_dir") == "SORTBY_DESC"
        nulls = sort.get("sortby_nulls", "SORTBY_NULLS_DEFAULT")
        first = descending if nulls == "SORTBY_NULLS_DEFAULT" else nulls == "SORTBY_NULLS_FIRST"
        distance = tree.get("a_expr", {})
        is_distance = names(distance.get("name"))[-1:] in {("<->",), ("<=>",), ("<#>",)}
        if is_distance:
            keyed = self._conditions.source_key(distance.get("lexpr", {}), level) or self._conditions.source_key(
                distance.get("rexpr", {}), level
            )
        else:
            keyed = self._conditions.source_key(tree, level)
        if keyed is None:
            return None
        return keyed[0], OrderKey(key=keyed[1], descending=descending, nulls_first=first, nearest=is_distance)

    def _note_order(self, found: Iterable[tuple[Source, OrderKey] | None], level: Level) -> None:
        keys: list[OrderKey] = []
        owner: Source | None = None
        for item in found:
            if item is None or (owner is not None and item[0] is not owner):
                return
            owner = item[0]
            keys.append(item[1])
        if owner is not None and owner in level.sources:
            owner.order = tuple(dict.fromkeys(keys))

    def _note_extreme(self, node: Tree, level: Level) -> None:
        """`SELECT max(x) FROM t` is an ORDER BY x DESC LIMIT 1."""
        targets = node.get("target_list", ())
        calls = [target.get("res_target", {}).get("val", {}).get("func_call") for target in targets]
        if len(calls) != 1 or calls[0] is None or "having_clause" in node:
            return
        (call,) = calls
        name = names(call.get("funcname"))[-1]
        args = call.get("args", ())
        if name not in _EXTREMES or len(args) != 1 or "agg_filter" in call:
            return
        keyed = self._conditions.source_key(args[0], level)
        if keyed is not None and keyed[0] in level.sources:
            keyed[0].order = (OrderKey(key=keyed[1], descending=name == "max", nulls_first=False),)
            keyed[0].limited = True

    def _note_groups(self, node: Tree, level: Level) -> None:
        targets = [target.get("res_target", {}) for target in node.get("target_list", ())]
        groups: dict[Source, list[Key]] = {}
        for item in node.get("group_clause", ()):
            keyed = self._conditions.source_key(_meant(item, targets), level)
            if keyed is not None:
                groups.setdefault(keyed[0], []).append(keyed[1])
        for source, keys in groups.items():
            source.groups = tuple(keys)


def _is_plain(node: Tree) -> bool:
    """No grouping, aggregate, DISTINCT or set-returning function of its own."""
    if any(part in node for part in ("group_clause", "having_clause", "distinct_clause")):
        return False
    parts = [node.get("target_list", []), node.get("sort_clause", [])]
    return not any(kind == "func_call" and _gathers(call) for kind, call in own_nodes(parts))


def _gathers(call: Tree) -> bool:
    """Whether a call makes one row of many, or looks at other rows."""
    name = names(call.get("funcname"))[-1]
    if "over" in call:
        return True
    return name in _AGGREGATES or name in {"unnest", "generate_series"} or any(call.get(mark) for mark in _MARKS)


def _meant(tree: Tree, targets: list[Tree]) -> Tree:
    """The expression that ORDER BY 1, ORDER BY alias or GROUP BY 1 means."""
    constant: Any = tree.get("a_const")
    if constant is not None and "ival" in constant:
        place = constant["ival"].get("ival", 0) - 1
        return targets[place].get("val", tree) if 0 <= place < len(targets) else tree
    if "column_ref" in tree:
        parts = names(tree["column_ref"].get("fields"))
        if len(parts) == 1:
            return next((t["val"] for t in targets if t.get("name") == parts[0] and "val" in t), tree)
    return tree
