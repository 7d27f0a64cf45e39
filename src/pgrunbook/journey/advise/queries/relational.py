"""What a SELECT's names mean and what the catalog promises of them; the ground that every rewrite stands on.

Cautious: where a name could mean something else (a view, a function's column, a CTE), it means nothing.
"""

from __future__ import annotations

import copy
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field
from typing import Any

from pgrunbook.journey.advise.queries.context import Context
from pgrunbook.journey.observe.columns import Column
from pgrunbook.journey.observe.constraints import CONSTRAINTS, Constraint
from pgrunbook.journey.observe.indexes import Index
from pgrunbook.journey.observe.inheritance import INHERITANCE
from pgrunbook.journey.observe.triggers import TRIGGERS
from pgrunbook.journey.workload.conditions import conjuncts
from pgrunbook.journey.workload.facts import TableFacts
from pgrunbook.journey.workload.scope import own_nodes
from pgrunbook.model import quote
from pgrunbook.pg.parse import Tree
from pgrunbook.pg.trees import names, nodes

Node = dict[str, Any]  # a part of a tree that is ours to change

GATHERING = ("group_clause", "having_clause", "distinct_clause", "window_clause")


@dataclass(frozen=True, slots=True)
class Item:
    """Something in FROM: a table, or (`table` None) anything else.  `is_nullable`: an outer join may make it NULL."""

    alias: str
    table: TableFacts | None
    is_nullable: bool = False
    is_only: bool = False


@dataclass(frozen=True, slots=True)
class Named:
    """A column of a table in FROM."""

    item: Item
    column: Column

    @property
    def sql(self) -> str:
        """`alias.column`, which nothing further in can capture but an item of the same alias."""
        return f"{quote(self.item.alias)}.{quote(self.column.name)}"

    @property
    def qualified(self) -> str:
        """`schema.table.column`."""
        return self.column.qualified


@dataclass(slots=True)
class Scope:
    """One SELECT with what its FROM holds."""

    select: Node
    context: Context
    parent: Scope | None = None
    items: list[Item] = field(default_factory=list)

    @property
    def is_known(self) -> bool:
        """Whether everything in FROM is a table."""
        return all(item.table is not None for item in self.items)

    @property
    def only(self) -> Item | None:
        """The table, where FROM holds nothing else."""
        return self.items[0] if len(self.items) == 1 and self.items[0].table is not None else None

    def column(self, tree: Tree) -> Named | None:
        """What a column reference means on this level; None for anything else, and where it is not sure."""
        reference = tree.get("column_ref")
        parts = names(reference.get("fields")) if reference is not None else ()
        if not parts or "*" in parts or len(parts) > 2:
            return None
        if len(parts) == 1:
            if not self.is_known:
                return None
            having = [item for item in self.items if item.table is not None and parts[0] in item.table.table.columns]
        else:
            having = [item for item in self.items if item.alias == parts[0]]
        if len(having) != 1 or having[0].table is None:
            return None
        column = having[0].table.table.columns.get(parts[-1])
        return Named(having[0], column) if column is not None else None

    def outer_column(self, tree: Tree) -> Named | None:
        """The same on this level or further out."""
        level: Scope | None = self
        while level is not None:
            found = level.column(tree)
            if found is not None:
                return found
            if not level.is_known:
                return None
            level = level.parent
        return None

    @property
    def conditions(self) -> list[Node]:
        """The parts of WHERE that all must hold."""
        where = self.select.get("where_clause")
        return conjuncts(where) if where is not None else []  # type: ignore[return-value]  # trees are dicts

    def where(self, conditions: Sequence[Tree]) -> None:
        """Put these in the place of WHERE."""
        self.select.pop("where_clause", None)
        if len(conditions) == 1:
            self.select["where_clause"] = conditions[0]
        elif conditions:
            self.select["where_clause"] = {"bool_expr": {"boolop": "AND_EXPR", "args": list(conditions)}}


def scopes(context: Context) -> tuple[Node, list[Scope]]:
    """A copy of the statement's tree that may be changed, and every SELECT in it, outermost first."""
    tree: Node = copy.deepcopy(dict(context.query.tree))
    found: list[Scope] = []
    top = tree.get("select_stmt")
    if top is None:
        inner = next(iter(tree.values())).get("select_stmt", {})
        top = inner.get("select_stmt") if "select_stmt" in inner else None
    if top is not None:
        _visit(top, None, frozenset(), context, found)
    return tree, found


def _visit(select: Node, parent: Scope | None, ctes: frozenset[str], context: Context, found: list[Scope]) -> None:
    clause = select.get("with_clause", {})
    named = frozenset(item["common_table_expr"]["ctename"] for item in clause.get("ctes", ()))
    known = ctes | named
    for item in clause.get("ctes", ()):
        inner = item["common_table_expr"].get("ctequery", {}).get("select_stmt")
        if inner is not None:
            _visit(inner, parent, known, context, found)
    if select.get("op", "SETOP_NONE") != "SETOP_NONE":
        for arm in ("larg", "rarg"):
            _visit(select.get(arm, {}), parent, known, context, found)
        return
    if "values_lists" in select:
        return
    scope = Scope(select=select, context=context, parent=parent)
    found.append(scope)
    for item in select.get("from_clause", ()):
        _add(item, scope, known, nullable=False, found=found)
    for kind, node in list(own_nodes(select)):
        if kind == "sub_link" and "select_stmt" in node.get("subselect", {}) and _is_own(select, node):
            _visit(node["subselect"]["select_stmt"], scope, known, context, found)


def _is_own(select: Node, sub_link: Tree) -> bool:
    """Whether the sub-select stands in this SELECT's expressions, not inside a CTE or a subquery in FROM."""
    rest = {key: value for key, value in select.items() if key not in {"with_clause", "from_clause"}}
    joins = [
        node["quals"] for kind, node in nodes(select.get("from_clause", [])) if kind == "join_expr" and "quals" in node
    ]
    return any(node is sub_link for _, node in own_nodes([rest, joins]))


def _add(tree: Node, scope: Scope, ctes: frozenset[str], *, nullable: bool, found: list[Scope]) -> None:
    kind, node = next(iter(tree.items()))
    if kind == "join_expr":
        form = node.get("jointype", "JOIN_INNER")
        _add(node["larg"], scope, ctes, nullable=nullable or form in {"JOIN_RIGHT", "JOIN_FULL"}, found=found)
        _add(node["rarg"], scope, ctes, nullable=nullable or form in {"JOIN_LEFT", "JOIN_FULL"}, found=found)
        if "alias" in node:
            scope.items.append(Item(node["alias"].get("aliasname", ""), None))
        return
    alias = node.get("alias", {}).get("aliasname", node.get("relname", ""))
    if kind == "range_var" and not node.get("alias", {}).get("colnames"):
        schema, name = node.get("schemaname", ""), node.get("relname", "")
        table = None if not schema and name in ctes else scope.context.catalog.find(schema, name)
        facts = scope.context.facts.of(table.oid) if table is not None else None
        if facts is not None and table is not None and facts.table.oid != table.oid:
            facts = None  # a partition by name: its own facts are not gathered
        scope.items.append(Item(alias, facts, nullable, not node.get("inh", False)))
        return
    scope.items.append(Item(alias, None, nullable))
    if kind == "range_subselect" and "select_stmt" in node.get("subquery", {}):
        parent = scope if node.get("lateral") else scope.parent
        _visit(node["subquery"]["select_stmt"], parent, ctes, scope.context, found)


def is_plain(select: Tree) -> bool:
    """Whether each row that meets the conditions comes out once, as it is, in a list that may be ordered and cut."""
    if any(part in select for part in GATHERING) or select.get("op", "SETOP_NONE") != "SETOP_NONE":
        return False
    if "values_lists" in select or "locking_clause" in select or "into_clause" in select:
        return False
    return not any(_gathers(node) for kind, node in own_nodes(select.get("target_list", [])) if kind == "func_call")


_SET_RETURNING = frozenset({"unnest", "generate_series", "generate_subscripts", "regexp_matches", "json_each"})
_AGGREGATES = frozenset(
    """
    count sum avg min max array_agg string_agg json_agg jsonb_agg json_object_agg jsonb_object_agg bool_and bool_or
    every bit_and bit_or bit_xor stddev stddev_pop stddev_samp variance var_pop var_samp corr covar_pop covar_samp
    percentile_cont percentile_disc mode xmlagg range_agg range_intersect_agg any_value
    """.split()
)
_MARKS = ("agg_star", "agg_distinct", "agg_filter", "agg_within_group", "agg_order", "over")


def _gathers(call: Tree) -> bool:
    name = names(call.get("funcname"))[-1:]
    is_known = bool(name) and name[0] in _AGGREGATES | _SET_RETURNING
    return is_known or any(call.get(mark) for mark in _MARKS)


def is_steady(tree: Any, context: Context) -> bool:
    """Whether evaluating it more or less often changes nothing: no volatile function is called, not even by a view."""
    return not context.is_veiled and not calls_volatile(tree, context)


def calls_volatile(tree: Any, context: Context) -> bool:
    """Whether its own text calls a volatile function."""
    called = {names(node.get("funcname"))[-1] for kind, node in nodes([tree]) if kind == "func_call"}
    return bool(called & context.volatile)


def not_null(named: Named, context: Context) -> str | None:
    """The fact that a column is never NULL where it stands; None where it may be.

    A NOT NULL that was never validated (from 18 on) promises nothing of the rows that were there before; children may
    have dropped it, or never had it; and nobody holds a foreign table to it.
    """
    constraints, table = context.known(CONSTRAINTS), named.item.table
    if named.item.is_nullable or not named.column.not_null or constraints is None or table is None:
        return None
    if table.table.relation.kind == "f" or (has_children(table, context) and not named.item.is_only):
        return None
    doubtful = any(
        row.kind == "n"
        and row.table_oid == named.column.table_oid
        and not row.is_validated
        and named.column.name in row.columns
        for row in constraints
    )
    return None if doubtful else f"{named.qualified} is NOT NULL"


@dataclass(frozen=True, slots=True)
class UniqueKey:
    """Columns whose values together occur once in a table, and the fact that says so."""

    columns: tuple[str, ...]
    fact: str
    index: Index


def unique_keys(item: Item, context: Context) -> list[UniqueKey]:
    """Every key of which a unique index on all rows promises that each value occurs once and is never NULL."""
    table = item.table
    if table is None or item.is_nullable or (has_children(table, context) and not item.is_only):
        return []
    found = []
    for facts in table.indexes:
        index = facts.index
        if index.table_oid != table.table.oid or not index.is_unique or facts.is_partial or index.is_exclusion:
            continue
        columns = index.key_columns
        usable = index.is_valid and index.is_immediate and index.access_method == "btree"
        if not usable or any(not name for name in columns) or not _compares_as_columns_do(index, table):
            continue
        facts_of = [not_null(Named(item, table.table.columns[c]), context) for c in columns if c in table.table.columns]
        if len(facts_of) != len(columns) or any(fact is None for fact in facts_of):
            continue
        what = "PRIMARY KEY" if index.is_primary else "UNIQUE"
        listed = ", ".join(quote(c) for c in columns)
        found.append(UniqueKey(columns, f"{table.qualified} ({listed}) is {what}, and NOT NULL ({index.name})", index))
    return sorted(found, key=lambda key: (not key.index.is_primary, len(key.columns)))


def _compares_as_columns_do(index: Index, table: TableFacts) -> bool:
    """Whether what is different for the index is different for `=` and ORDER BY of its columns, too."""
    known = [table.table.columns.get(name) for name in index.key_columns]
    collations = all(c is not None and c.collation_oid == o for c, o in zip(known, index.collation_oids, strict=False))
    return collations and all(index.opclass_is_default[: index.key_count])


def has_children(table: TableFacts, context: Context) -> bool:
    """Whether other tables inherit from it: its unique indexes say nothing of their rows."""
    rows = context.known(INHERITANCE)
    return rows is None or any(row.parent_oid == table.table.oid for row in rows)


def foreign_keys(item: Item, context: Context) -> list[Constraint]:
    """Foreign keys of a table that hold for each row at each moment: valid, enforced, and never switched off."""
    table, constraints, triggers = item.table, context.known(CONSTRAINTS), context.known(TRIGGERS)
    if table is None or item.is_nullable or constraints is None or triggers is None or has_children(table, context):
        return []
    switched_off = {(t.table_oid, t.constraint_name) for t in triggers if t.is_internal and t.enabled != "O"}
    return [
        row
        for row in constraints
        if row.is_foreign_key
        and row.table_oid == table.table.oid
        and row.is_validated
        and row.is_enforced
        and not row.is_deferrable
        and not {(row.table_oid, row.name), (row.referenced_oid, row.name)} & switched_off
    ]


def expression_nodes(scope: Scope) -> Iterator[tuple[str, Tree]]:
    """Every node of the SELECT's expressions with all that is inside of sub-selects, FROM's joins included."""
    yield from nodes([scope.select])
