"""A join that neither adds nor removes rows, and of which no column is asked → left out.

LEFT JOIN to a unique key gives each row once.  An inner join along a foreign key that is never NULL finds exactly one
row.  The planner sees the first by itself, the second never.
"""

from __future__ import annotations

from collections.abc import Iterator

from pgrunbook.journey.advise.queries.context import Context
from pgrunbook.journey.advise.queries.proposal import Proposal, whole
from pgrunbook.journey.advise.queries.relational import (
    Item,
    Named,
    Node,
    Scope,
    foreign_keys,
    not_null,
    scopes,
    unique_keys,
)
from pgrunbook.journey.advise.queries.trial import Trial
from pgrunbook.journey.workload.conditions import conjuncts
from pgrunbook.pg.trees import column_refs, names, nodes


def propose(context: Context, trial: Trial) -> Iterator[Proposal]:  # noqa: ARG001 - the signature of all of them
    """One proposal for all joins of the statement that can go."""
    tree, found = scopes(context)
    facts: list[str] = []
    for scope in found:
        if scope.is_known and "locking_clause" not in scope.select:
            while (removed := _remove_one(scope, context)) is not None:
                facts += removed
    if not facts:
        return
    sql, parameters = context.sql(tree), context.query.asked.parameters
    yield Proposal(
        name="join_elimination",
        title="Leave out a join that changes nothing",
        sql=sql,
        why="each row finds at most one partner there, none is lost for want of one, and nothing of it is asked",
        facts=tuple(dict.fromkeys(facts)),
        parameters=parameters,
        pair=whole(context.query.text, sql, parameters=parameters),
    )


def _remove_one(scope: Scope, context: Context) -> list[str] | None:
    """Take one join out of FROM; the facts that allow it, None when there is none."""
    items = scope.select.get("from_clause", [])
    for place, tree in enumerate(items):
        removed = _in_tree(tree, scope, context)
        if removed is not None:
            items[place] = removed[0]
            gone = removed[2]
            scope.items = [item for item in scope.items if item is not gone]
            scope.where([*scope.conditions, *removed[3]])
            return removed[1]
    return None


_Removed = tuple[Node, list[str], Item, list[Node]]


def _in_tree(tree: Node, scope: Scope, context: Context) -> _Removed | None:
    node = tree.get("join_expr")
    if node is None or "alias" in node or node.get("is_natural") or "using_clause" in node:
        return None
    here = _this_join(node, scope, context)
    if here is not None:
        return here
    for side in ("larg", "rarg"):
        deeper = _in_tree(node.get(side, {}), scope, context)
        if deeper is not None:
            node[side] = deeper[0]
            return tree, *deeper[1:]
    return None


def _this_join(node: Node, scope: Scope, context: Context) -> _Removed | None:
    form = node.get("jointype", "JOIN_INNER")
    right = node.get("rarg", {}).get("range_var")
    if right is None or form not in {"JOIN_INNER", "JOIN_LEFT"}:
        return None
    alias = right.get("alias", {}).get("aliasname", right.get("relname", ""))
    item = next((one for one in scope.items if one.alias == alias), None)
    if item is None or item.table is None or _is_asked(scope, item, node):
        return None
    pairs = _pairs(node, scope, item)
    if not pairs:
        return None
    seen = Item(item.alias, item.table, is_nullable=False, is_only=item.is_only)
    for key in unique_keys(seen, context):
        if set(key.columns) != {theirs.column.name for _, theirs in pairs}:
            continue
        if form == "JOIN_LEFT":
            return node["larg"], [key.fact, f"no column of {alias} is asked for"], item, []
        found = _along_foreign_key(pairs, item, context)
        if found is not None:
            return node["larg"], [key.fact, *found[0], f"no column of {alias} is asked for"], item, found[1]
    return None


def _pairs(node: Node, scope: Scope, item: Item) -> list[tuple[Named, Named]]:
    """What is compared for equality: (column elsewhere, column of the item); [] where ON says more than that."""
    found = []
    for condition in conjuncts(node.get("quals", {})) if "quals" in node else []:
        expression = condition.get("a_expr", {})
        if expression.get("kind") != "AEXPR_OP" or names(expression.get("name")) != ("=",):
            return []
        sides = [scope.column(expression.get(side, {})) for side in ("lexpr", "rexpr")]
        theirs = [one for one in sides if one is not None and one.item is item]
        ours = [one for one in sides if one is not None and one.item is not item]
        if len(theirs) != 1 or len(ours) != 1 or ours[0].column.base_type_oid != theirs[0].column.base_type_oid:
            return []
        found.append((ours[0], theirs[0]))
    return found


def _along_foreign_key(
    pairs: list[tuple[Named, Named]], item: Item, context: Context
) -> tuple[list[str], list[Node]] | None:
    """The facts that each row finds its partner; a key that may be NULL finds none, which a condition says instead."""
    ours = pairs[0][0].item
    wanted = {(mine.column.name, theirs.column.name) for mine, theirs in pairs}
    table = item.table
    if table is None or any(mine.item is not ours for mine, _ in pairs) or _is_secured(item, context):
        return None
    for key in foreign_keys(ours, context):
        if key.referenced_oid != table.table.oid or item.is_only:
            continue
        if set(zip(key.columns, key.referenced_columns, strict=True)) != wanted:
            continue
        facts = [f"{key.qualified} is a valid foreign key to {table.qualified}"]
        conditions: list[Node] = []
        for mine, _ in pairs:
            fact = not_null(mine, context)
            if fact is not None:
                facts.append(fact)
            else:
                facts.append(f"{mine.qualified} may be NULL, which finds no partner: IS NOT NULL says so")
                conditions.append(dict(context.parser.expression(f"{mine.sql} IS NOT NULL")))
        return facts, conditions
    return None


def _is_secured(item: Item, context: Context) -> bool:
    """Whether row security may hide partners, so that the join does remove rows."""
    if item.table is None:
        return True
    relation = item.table.table.relation
    return relation.row_security and not context.identity.is_superuser


def _is_asked(scope: Scope, item: Item, join: Node) -> bool:
    """Whether anything but this join's own ON speaks of the item."""
    rest = {key: value for key, value in scope.select.items() if key != "from_clause"}
    others = [
        node["quals"]
        for kind, node in nodes(scope.select.get("from_clause", []))
        if kind == "join_expr" and node is not join and "quals" in node
    ]
    subqueries = [
        node
        for kind, node in nodes(scope.select.get("from_clause", []))
        if kind in {"range_subselect", "range_function"}
    ]
    columns = item.table.table.columns if item.table is not None else {}
    for parts in column_refs([rest, others, subqueries]):
        if "*" in parts and (len(parts) == 1 or parts[-2] == item.alias):
            return True
        if len(parts) > 1 and parts[-2] == item.alias:
            return True
        if len(parts) == 1 and (parts[0] in columns or parts[0] == item.alias):
            return True
    return False
