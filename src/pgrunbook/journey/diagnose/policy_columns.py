"""Which columns a policy searches by, and whether an index answers the operator it searches with.

A condition of row security may use an index as any other, but its sub-selects are never joined: they stay filters.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from typing import Any

from pgrunbook.journey.diagnose.policies import ParsedPolicy
from pgrunbook.journey.diagnose.seen import Seen
from pgrunbook.journey.workload.access import Access, Operation, Predicate
from pgrunbook.journey.workload.estimate import branch_access
from pgrunbook.journey.workload.facts import Facts, TableFacts
from pgrunbook.journey.workload.paths import path_of
from pgrunbook.journey.workload.walk import accesses_of
from pgrunbook.model import quote
from pgrunbook.pg.parse import Parser, Tree
from pgrunbook.pg.trees import names, nodes

_BTREE = frozenset({Operation.EQUAL, Operation.RANGE})
_SEARCHING = _BTREE | {Operation.PREFIX, Operation.CONTAINS, Operation.SEARCH, Operation.OVERLAPS, Operation.ELEMENT}


@dataclass(frozen=True, slots=True, kw_only=True)
class Unserved:
    """A table that the policy searches by a key, and no index that answers."""

    table: TableFacts
    predicate: Predicate


def facts_of(seen: Seen) -> Facts:
    """What is known of tables and their indexes."""
    return Facts(seen.snapshot, seen.parser)


def unserved(seen: Seen, each: ParsedPolicy, *, rows_min: float, share_max: float) -> Iterator[Unserved]:
    """What keeps the policy, or a sub-select in it, from finding its rows by index, in tables of so many rows."""
    facts = seen.derived(facts_of)
    using = each.using
    if using is None or each.policy.table_oid not in facts.catalog.tables:
        return
    oid, own = each.policy.table_oid, facts.of(each.policy.table_oid)
    root = own.table.oid
    if own.rows < rows_min and not any(kind == "sub_link" for kind, _ in nodes(using)):
        return
    found = accesses_of(_all_rows_of(each), facts.catalog, lambda table: (using,) if table.oid == oid else ())
    for access in found.accesses:
        table = facts.of(access.table_oid)
        if table.rows >= rows_min and table.table.oid not in {0, *(facts.locked)}:
            yield from _of_access(access, table, share_max, is_own=table.table.oid == root)


def _all_rows_of(each: ParsedPolicy) -> Tree:
    """The tree of `SELECT 1 FROM table`."""
    table = {"schemaname": each.policy.schema, "relname": each.policy.table_name, "inh": True, "relpersistence": "p"}
    one = {"res_target": {"val": {"a_const": {"ival": {"ival": 1}}}}}
    return {
        "select_stmt": {
            "target_list": [one],
            "from_clause": [{"range_var": table}],
            "limit_option": "LIMIT_OPTION_DEFAULT",
            "op": "SETOP_NONE",
        }
    }


def _of_access(access: Access, table: TableFacts, share_max: float, *, is_own: bool) -> Iterator[Unserved]:
    if any(all(_is_served(branch_access(access, b), table, share_max) for b in group) for group in access.alternatives):
        return
    if _is_served(access, table, share_max):
        return
    best = _best(access, table, share_max)
    if best is not None:
        yield Unserved(table=table, predicate=best)
        return
    for group in access.alternatives if is_own else ():
        branches = [branch_access(access, branch) for branch in group]
        missing = [_best(b, table, share_max) for b in branches if not _is_served(b, table, share_max)]
        if all(missing):  # else some branch reads the whole table whatever the others have
            yield from (Unserved(table=table, predicate=p) for p in missing if p is not None)
            return


def _bounded(access: Access, table: TableFacts) -> frozenset[Predicate]:
    """The conditions on values that some index answers."""
    return frozenset(
        p
        for index in table.indexes
        for p in path_of(index, access, table.table, {}).bounded
        if p.joined is None and p.operation in _SEARCHING
    )


def _is_served(access: Access, table: TableFacts, share_max: float) -> bool:
    """Whether an index leaves few rows; a range may leave nearly all."""
    return any(p.operation is not Operation.RANGE and _share(p, table) <= share_max for p in _bounded(access, table))


def _best(access: Access, table: TableFacts, share_max: float) -> Predicate | None:
    """The condition that would leave fewest rows, on a plain column, and that no index answers."""
    bounded = _bounded(access, table)
    usable = [
        p
        for p in access.predicates
        if p not in bounded
        and p.operation in _SEARCHING
        and p.joined is None
        and p.key.is_column
        and _share(p, table) <= share_max
        and not (p.operation is Operation.RANGE and bounded)
    ]
    return min(usable, key=lambda p: (p.operation is Operation.RANGE, _share(p, table)), default=None)


def _share(predicate: Predicate, table: TableFacts) -> float:
    """The part of the rows that one value has, where statistics tell; 0 where they do not."""
    statistics = table.statistics.get(predicate.key.columns[0])
    if statistics is None or predicate.operation is not Operation.EQUAL:
        return 0.0
    return predicate.values / statistics.distinct_values(table.rows)


def has_gin(column: str, table: TableFacts) -> bool:
    """Whether a GIN index answers `column @> array[…]`."""
    return any(
        f.index.access_method == "gin"
        and f.index.is_valid
        and not f.is_partial
        and any(
            name == column and opclass == "array_ops"
            for name, opclass in zip(f.index.columns, f.index.opclasses, strict=False)
        )
        for f in table.indexes
    )


def contains_instead(tree: Any, column: str, array_type: str, parser: Parser) -> Any:
    """The condition with `x = any (column)` said as `column @> array[x]`, where only true counts."""
    if not isinstance(tree, Mapping) or len(tree) != 1:
        return tree
    kind, node = next(iter(tree.items()))
    if kind == "bool_expr" and node.get("boolop", "AND_EXPR") != "NOT_EXPR":
        args = [contains_instead(arg, column, array_type, parser) for arg in node.get("args", ())]
        return {kind: {**node, "args": args}}
    if kind == "a_expr" and node.get("kind") == "AEXPR_OP_ANY" and names(node.get("name")) == ("=",):
        listed = node.get("rexpr", {}).get("column_ref", {})
        if names(listed.get("fields"))[-1:] == (column,):
            value = parser.text(node["lexpr"])
            turned: Tree = parser.expression(f"{quote(column)} @> (ARRAY[{value}])::{array_type}")
            return turned
    return tree
