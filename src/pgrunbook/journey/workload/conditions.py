"""Conditions (WHERE, ON, policies) → predicates of the tables they speak of."""

from __future__ import annotations

from collections.abc import Callable, Iterable
from dataclasses import dataclass, replace
from typing import Any, Protocol

from pgrunbook.journey.workload.access import Branch, Key, Operation, Predicate
from pgrunbook.journey.workload.catalog import Catalog
from pgrunbook.journey.workload.expressions import column_key, constant_of, key_of
from pgrunbook.journey.workload.operators import COMMUTED, VOLATILE, operation_of
from pgrunbook.journey.workload.scope import Derived, Item, Level, Source, own_nodes
from pgrunbook.pg.parse import Tree
from pgrunbook.pg.trees import names

LIST_OF_UNKNOWN_LENGTH = 3  # `= ANY($1)`: how many values we reckon with

Found = list[tuple[Source, Predicate]]


class Subselects(Protocol):
    """What walks a subselect and says which outer things it refers to."""

    def subselect(self, node: Tree, level: Level, *, pulled_up: bool) -> tuple[Level, Derived]:
        """Walk the `subselect` of a sub_link once; its level and its output."""
        ...


@dataclass(frozen=True, slots=True, kw_only=True)
class Side:
    """One side of an operator: what it refers to, and whether it can change within a scan."""

    tree: Tree
    items: frozenset[Item]
    is_unknown: bool
    is_volatile: bool

    @property
    def is_constant(self) -> bool:
        """Whether it has one value for the whole scan."""
        return not self.items and not self.is_unknown and not self.is_volatile


class Conditions:
    """Reads conditions in the scope of a level."""

    def __init__(self, catalog: Catalog, subselects: Subselects) -> None:
        self._catalog = catalog
        self._subselects = subselects

    def take(
        self, tree: Tree | None, level: Level, *, only: Iterable[Source] | None = None, by_policy: bool = False
    ) -> None:
        """Give each table its predicates.  `only`: the tables that the condition can restrict (outer joins).

        PostgreSQL never turns the subselects of a policy into joins: they stay filters.
        """
        if not tree:
            return
        allowed = None if only is None else set(only)
        for conjunct in conjuncts(tree):
            branches = disjuncts(conjunct)
            found = self._atom(conjunct, level, pull_up=not by_policy) if len(branches) == 1 else []
            alternatives = self._alternatives(branches, level) if len(branches) > 1 else []
            for source, predicate in found:
                if allowed is None or source in allowed:
                    source.predicates.append(replace(predicate, by_policy=by_policy))
            for source, group in alternatives:
                if allowed is None or source in allowed:
                    source.alternatives.append(
                        tuple(tuple(replace(p, by_policy=by_policy) for p in branch) for branch in group)
                    )

    def note_columns(self, tree: Any, level: Level) -> None:
        """Remember which columns an expression uses, and walk its subselects."""
        self._side(tree, level)

    def source_key(self, tree: Tree, level: Level) -> tuple[Source, Key] | None:
        """The table and key that an expression is on, when it is on one."""
        side = self._side(tree, level)
        return self._keyed(side, level) if not side.is_unknown else None

    def _alternatives(self, branches: list[Tree], level: Level) -> list[tuple[Source, tuple[Branch, ...]]]:
        """The OR as branches of the one table that every branch speaks of; otherwise as a filter no index answers."""
        found = [
            [pair for part in conjuncts(branch) for pair in self._atom(part, level, pull_up=False)]
            for branch in branches
        ]
        every = [{source for source, _ in pairs} for pairs in found]
        common = set.intersection(*every)
        result: list[tuple[Source, tuple[Branch, ...]]] = []
        for source in common:
            group = tuple(tuple(p for s, p in pairs if s is source) for pairs in found)
            result.append((source, group))
        for source in set.union(*every) - common:
            other = Predicate(key=_unusable("", ()), operation=Operation.OTHER)
            result.append((source, ((other,),)))
        return result

    def _atom(self, tree: Tree, level: Level, *, pull_up: bool = True) -> Found:
        kind, node = _split(tree)
        if kind == "a_expr":
            return self._a_expr(node, tree, level)
        if kind == "null_test":
            is_null = node.get("nulltesttype", "IS_NULL") == "IS_NULL"
            return self._on_key(node.get("arg", {}), level, Operation.IS_NULL if is_null else Operation.NOT_NULL)
        if kind == "boolean_test":
            test = {"IS_TRUE": Operation.IS_TRUE, "IS_FALSE": Operation.IS_FALSE}.get(node.get("booltesttype", ""))
            return self._on_key(node.get("arg", {}), level, test or Operation.OTHER)
        if kind == "column_ref":
            return self._on_key(tree, level, Operation.IS_TRUE)
        if kind == "bool_expr" and node.get("boolop") == "NOT_EXPR":
            inner = node["args"][0]
            if "column_ref" in inner:
                return self._on_key(inner, level, Operation.IS_FALSE)
            if pull_up and "sub_link" in inner and inner["sub_link"].get("sub_link_type") == "EXISTS_SUBLINK":
                return self._exists(inner["sub_link"], level)
        if kind == "sub_link" and pull_up:
            if node.get("sub_link_type") == "EXISTS_SUBLINK":
                return self._exists(node, level)
            if node.get("sub_link_type") == "ANY_SUBLINK" and names(node.get("oper_name"))[-1:] in {(), ("=",)}:
                return self._in_subselect(node, level)
        return self._other(tree, level)

    def _on_key(self, tree: Tree, level: Level, operation: Operation) -> Found:
        keyed = self._keyed(self._side(tree, level), level)
        if keyed is None or operation is Operation.OTHER:
            return self._other(tree, level)
        source, key = keyed
        return [(source, Predicate(key=key, operation=operation))]

    def _a_expr(self, node: Tree, tree: Tree, level: Level) -> Found:
        form = node.get("kind", "AEXPR_OP")
        operator = (names(node.get("name")) or ("",))[-1]
        left, right = node.get("lexpr", {}), node.get("rexpr", {})
        if form in {"AEXPR_OP", "AEXPR_LIKE", "AEXPR_ILIKE"}:
            if "row_expr" in left and "row_expr" in right:
                return self._rows(operator, left["row_expr"], right["row_expr"], tree, level)
            if operator == "=" and (truth := _truth(right)) is not None:  # the planner reads `a = true` as `a`
                return self._on_key(left, level, Operation.IS_TRUE if truth else Operation.IS_FALSE)
            return self._operator(operator, left, right, tree, level)
        if form == "AEXPR_IN" and operator == "=":
            values = len(right.get("list", {}).get("items", ())) or 1
            return self._operator("=", left, right, tree, level, values=values)
        if form == "AEXPR_OP_ANY" and operator in {"=", "~~", "~~*"}:
            return self._any(operator, left, right, tree, level)
        if form == "AEXPR_BETWEEN":
            found = self._operator(">=", left, right, tree, level)
            return [(s, replace(p, operator="between")) if p.operation is Operation.RANGE else (s, p) for s, p in found]
        return self._other(tree, level)

    def _rows(self, operator: str, left: Tree, right: Tree, tree: Tree, level: Level) -> Found:
        """`(a, b) = (1, 2)` is two equalities; of `(a, b) < (1, 2)` the first column bounds a scan."""
        pairs = list(zip(left.get("args", ()), right.get("args", ()), strict=False))
        if operator == "=":
            return [found for a, b in pairs for found in self._operator("=", a, b, tree, level)]
        if operator in {"<", "<=", ">", ">="} and pairs:
            for a, b in pairs[1:]:
                self._side(a, level)
                self._side(b, level)
            return self._operator(operator, *pairs[0], tree, level)
        return self._other(tree, level)

    def _any(self, operator: str, left: Tree, right: Tree, tree: Tree, level: Level) -> Found:
        listed, single = self._side(right, level), self._side(left, level)
        if operator == "=" and single.is_constant:
            keyed = self._keyed(listed, level)
            if keyed is not None:
                return [(keyed[0], Predicate(key=keyed[1], operation=Operation.ELEMENT, operator="= any"))]
        count = len(right.get("a_array_expr", {}).get("elements", ())) or LIST_OF_UNKNOWN_LENGTH
        return self._operator(operator, left, right, tree, level, values=count)

    def _operator(self, operator: str, left: Tree, right: Tree, tree: Tree, level: Level, *, values: int = 1) -> Found:
        first, second = self._side(left, level), self._side(right, level)
        found: Found = []
        for key_side, other_side, name in ((first, second, operator), (second, first, COMMUTED.get(operator, ""))):
            keyed = self._keyed(key_side, level)
            if not name or keyed is None or key_side.items & other_side.items or other_side.is_volatile:
                continue
            source, key = keyed
            operation = operation_of(name, key, source.table, constant_of(other_side.tree))
            if operation is None or (operation is not Operation.EQUAL and not other_side.is_constant):
                continue
            joined, joined_key = self._partner(other_side, level)
            found.append(
                (
                    source,
                    Predicate(
                        key=key,
                        operation=operation,
                        operator=name,
                        constant=constant_of(other_side.tree) if other_side.is_constant else None,
                        joined=joined,
                        joined_key=joined_key,
                        values=values,
                    ),
                )
            )
        return found or self._other(tree, level)

    def _partner(self, side: Side, level: Level) -> tuple[int | None, Key | None]:
        """The number of the thing whose column stands on the other side, and the key there if it is a table's."""
        if side.is_constant:
            return None, None
        if len(side.items) != 1 or side.is_unknown:
            return -1, None
        (item,) = side.items
        if isinstance(item, Source):
            return item.number, key_of(side.tree, item.table, _finder(item, level), self._catalog)
        return item.number, None

    def _exists(self, node: Tree, level: Level) -> Found:
        """The subselect's own conditions say how it is joined; here it is a filter besides."""
        inner, _ = self._subselects.subselect(node, level, pulled_up=True)
        return [
            (item, Predicate(key=_unusable("exists", ()), operation=Operation.OTHER))
            for item in inner.outer
            if isinstance(item, Source) and item in level.sources
        ]

    def _in_subselect(self, node: Tree, level: Level) -> Found:
        """`x IN (SELECT y …)`: both sides as an equality join."""
        inner, output = self._subselects.subselect(node, level, pulled_up=True)
        side = self._side(node.get("testexpr", {}), level)
        target = next(iter(output.columns.values()), None) if len(output.columns) == 1 else None
        keyed = self._keyed(side, level)
        if keyed is None:
            return self._other({"sub_link": node}, level)
        source, key = keyed
        number, target_key = output.number, None
        if target is not None and target.source is not None and target.source in inner.sources:
            target_key = column_key(target.column)
            number = target.source.number
            target.source.predicates.append(
                Predicate(key=target_key, operation=Operation.EQUAL, operator="=", joined=source.number, joined_key=key)
            )
        return [
            (source, Predicate(key=key, operation=Operation.EQUAL, operator="=", joined=number, joined_key=target_key))
        ]

    def _other(self, tree: Tree, level: Level) -> Found:
        side = self._side(tree, level)
        return [
            (item, Predicate(key=_unusable("", _columns(tree, item, level)), operation=Operation.OTHER))
            for item in side.items
            if isinstance(item, Source) and item in level.sources
        ]

    def _keyed(self, side: Side, level: Level) -> tuple[Source, Key] | None:
        """The table (here, or outside of a semijoin) and key of a side that speaks of one table only."""
        if len(side.items) != 1 or side.is_unknown:
            return None
        (item,) = side.items
        reachable = level.sources + (level.parent.sources if level.is_pulled_up and level.parent else [])
        reachable += [
            ref.source
            for derived in level.items.values()
            if isinstance(derived, Derived)
            for ref in derived.columns.values()
            if ref is not None and ref.source is not None
        ]
        if not isinstance(item, Source) or item not in reachable:
            return None
        key = key_of(side.tree, item.table, _finder(item, level), self._catalog)
        return (item, key) if key is not None else None

    def _side(self, tree: Any, level: Level) -> Side:
        items: set[Item] = set()
        unknown = volatile = False
        for kind, node in own_nodes(tree):
            if kind == "column_ref":
                parts = names(node.get("fields"))
                if parts[-1:] == ("*",):
                    _use_all(level, parts)
                    continue
                ref = level.resolve(node)
                item = ref.source or ref.derived
                if item is None:
                    unknown = True
                else:
                    items.add(item)
                if ref.source is not None and ref.column and ref.source.columns is not None:
                    ref.source.columns.add(ref.column)
            elif kind == "sub_link":
                inner, _ = self._subselects.subselect(node, level, pulled_up=False)
                items |= inner.outer
                unknown = unknown or inner.outer_is_unknown
            elif kind == "func_call":
                name = names(node.get("funcname"))[-1]
                volatile = volatile or name in VOLATILE or name in self._catalog.volatile_functions
        return Side(tree=tree, items=frozenset(items), is_unknown=unknown, is_volatile=volatile)


def conjuncts(tree: Tree) -> list[Tree]:
    """The parts of an AND, nested ones too; the condition itself elsewhere."""
    return _parts(tree, "AND_EXPR")


def disjuncts(tree: Tree) -> list[Tree]:
    """The parts of an OR, nested ones too; the condition itself elsewhere."""
    return _parts(tree, "OR_EXPR")


def _parts(tree: Tree, operator: str) -> list[Tree]:
    node = tree.get("bool_expr")
    if node is None or node.get("boolop", "AND_EXPR") != operator:
        return [tree]
    return [part for arg in node.get("args", ()) for part in _parts(arg, operator)]


def _split(tree: Tree) -> tuple[str, Any]:
    for kind, node in tree.items():
        return kind, node
    return "", {}


def _finder(source: Source, level: Level) -> Callable[[Tree], str | None]:
    def find(node: Tree) -> str | None:
        ref = level.resolve(node)
        return ref.column if ref.source is source and ref.column else None

    return find


def _columns(tree: Tree, item: Item, level: Level) -> tuple[str, ...]:
    if not isinstance(item, Source):
        return ()
    find = _finder(item, level)
    found = (find(node) for kind, node in own_nodes(tree) if kind == "column_ref")
    return tuple(dict.fromkeys(name for name in found if name))


def _use_all(level: Level, parts: tuple[str, ...]) -> None:
    for name, item in level.items.items():
        if isinstance(item, Source) and (len(parts) == 1 or name == parts[-2]):
            item.columns = None


def _unusable(text: str, columns: tuple[str, ...]) -> Key:
    return Key(sql="", canonical=f"?{text}", columns=columns, is_column=False, refusal="no index answers it")


def _truth(tree: Tree) -> bool | None:
    """What a constant TRUE or FALSE says; None for anything else."""
    constant = tree.get("a_const", {})
    return bool(constant["boolval"].get("boolval", False)) if "boolval" in constant else None
