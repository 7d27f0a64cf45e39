"""Walks a statement's parse tree and collects what it asks of each table."""

from __future__ import annotations

import copy
from collections.abc import Callable, Iterable, Mapping
from typing import Any

from pgrunbook.journey.workload.access import Access, Accesses, Write, Writing
from pgrunbook.journey.workload.catalog import Catalog, Table
from pgrunbook.journey.workload.conditions import Conditions
from pgrunbook.journey.workload.results import Results
from pgrunbook.journey.workload.scope import Derived, Item, Level, Ref, Source, count_references
from pgrunbook.pg.parse import Tree
from pgrunbook.pg.trees import names

PolicyOf = Callable[[Table], Iterable[Tree]]
_WRAPPED = ("declare_cursor_stmt", "create_table_as_stmt", "explain_stmt", "copy_stmt", "prepare_stmt")


def accesses_of(statement: Tree, catalog: Catalog, policy_of: PolicyOf = lambda _: ()) -> Accesses:
    """What one statement asks.  `policy_of` gives the row security conditions that apply to whoever runs it."""
    walker = _Walker(statement, catalog, policy_of)
    walker.statement(statement, Level(), is_top=True)
    return Accesses(
        accesses=tuple(_frozen(source) for source in walker.sources),
        unknown=tuple(dict.fromkeys(walker.unknown)),
        small=frozenset(walker.small),
    )


def _frozen(source: Source) -> Access:
    return Access(
        number=source.number,
        table_oid=source.table.oid,
        predicates=tuple(dict.fromkeys(source.predicates)),
        alternatives=tuple(dict.fromkeys(source.alternatives)),
        order=source.order,
        limited=source.limited,
        has_offset=source.has_offset,
        groups=source.groups,
        columns_used=None if source.columns is None else frozenset(source.columns),
        is_sole=source.is_sole,
        is_result=source.is_result,
        is_secured=source.is_secured,
        write=source.write,
    )


class _Walker:
    def __init__(self, statement: Tree, catalog: Catalog, policy_of: PolicyOf) -> None:
        self._whole = statement
        self._catalog = catalog
        self._policy_of = policy_of
        self._conditions = Conditions(catalog, self)
        self._results = Results(self._conditions)
        self._walked: dict[int, tuple[Level, Derived]] = {}
        self._under_policy: list[int] = []
        self._kept: list[Tree] = []  # trees are known by their identity, so they must not go away
        self._count = 0
        self.sources: list[Source] = []
        self.unknown: list[str] = []
        self.small: set[int] = set()

    def statement(self, tree: Tree, level: Level, *, is_top: bool) -> Derived:
        """One statement in its own level."""
        for kind, node in tree.items():
            if kind == "select_stmt":
                return self._select(node, level, is_top=is_top)
            if kind == "insert_stmt":
                self._insert(node, level)
            elif kind == "update_stmt":
                self._update(node, level)
            elif kind == "delete_stmt":
                self._delete(node, level)
            elif kind == "merge_stmt":
                self._merge(node, level)
            elif kind in _WRAPPED and "query" in node:
                return self.statement(node["query"], level, is_top=is_top)
        return self._opaque()

    def subselect(self, node: Tree, level: Level, *, pulled_up: bool) -> tuple[Level, Derived]:
        """Walk a sub_link's subselect once; see Conditions."""
        if id(node) not in self._walked:
            inner = Level(parent=level, is_pulled_up=pulled_up)
            output = self.statement(node.get("subselect", {}), inner, is_top=False)
            self._walked[id(node)] = (inner, output)
        return self._walked[id(node)]

    def _select(self, node: Tree, level: Level, *, is_top: bool) -> Derived:
        self._with(node, level)
        if node.get("op", "SETOP_NONE") != "SETOP_NONE":
            for arm in ("larg", "rarg"):
                self._select(node.get(arm, {}), Level(parent=level), is_top=False)
            return self._opaque(is_small=_has_limit(node))
        if "values_lists" in node:
            self._conditions.note_columns(node["values_lists"], level)
            return self._opaque(is_small=True)
        self._from(node.get("from_clause", ()), level)
        self._conditions.take(node.get("where_clause"), level)
        self._results.note(node, level, is_top=is_top)
        return self._output(node, level)

    def _output(self, node: Tree, level: Level) -> Derived:
        """What a SELECT shows to whoever selects from it; plain columns lead through where rows are not changed."""
        passes = self._results.passes_through(node)
        derived = self._opaque(is_small=_has_limit(node))
        derived.is_open = False
        for target in node.get("target_list", ()):
            value = target.get("res_target", {})
            reference = value.get("val", {}).get("column_ref")
            parts = names(reference.get("fields")) if reference else ()
            if parts[-1:] == ("*",):
                _spread(level, parts, derived, passes=passes)
                continue
            ref = level.resolve(reference) if reference else None
            name = value.get("name") or (parts[-1] if parts else f"?{len(derived.columns)}")
            is_table = ref is not None and ref.source is not None and bool(ref.column)
            derived.columns[name] = ref if passes and is_table else None
        return derived

    def _with(self, node: Tree, level: Level) -> None:
        clause = node.get("with_clause", {})
        for item in clause.get("ctes", ()):
            cte = item["common_table_expr"]
            name, query = cte["ctename"], cte["ctequery"]
            is_select = "select_stmt" in query
            recurs = bool(clause.get("recursive")) and count_references(query, name) > 0
            is_once = count_references(self._whole, name) == 1 and not cte.get("aliascolnames")
            if is_select and is_once and not recurs and cte.get("ctematerialized") != "CTEMaterializeAlways":
                level.ctes[name] = query
                continue
            inner = Level(parent=level)
            if recurs:
                inner.ctes[name] = self._opaque(is_small=True)
            output = self.statement(query, inner, is_top=False)
            output.columns = {}
            output.is_open = True
            level.ctes[name] = output

    def _from(self, items: Iterable[Tree], level: Level) -> list[Item]:
        return [found for item in items for found in self._from_item(item, level)]

    def _from_item(self, tree: Tree, level: Level) -> list[Item]:
        for kind, node in tree.items():
            if kind == "join_expr":
                return self._join(node, level)
            if kind == "range_var":
                return [self._relation(node, level)]
            alias = node.get("alias", {}).get("aliasname", f"?{self._count}")
            if kind == "range_subselect":
                inner = Level(parent=level if node.get("lateral") else level.parent, ctes=dict(level.ctes))
                output = self.statement(node.get("subquery", {}), inner, is_top=False)
                level.outer |= {item for item in inner.outer if item not in level.items.values()}
                if node.get("alias", {}).get("colnames"):
                    output = self._opaque(is_small=output.number in self.small)
                level.add(alias, output)
                return [output]
            if kind == "range_table_sample":
                return self._from_item(node.get("relation", {}), level)
            self._conditions.note_columns(node, level)
            function = self._opaque(is_small=True)
            level.add(alias, function)
            return [function]
        return []

    def _join(self, node: Tree, level: Level) -> list[Item]:
        left = self._from_item(node.get("larg", {}), level)
        right = self._from_item(node.get("rarg", {}), level)
        form = node.get("jointype", "JOIN_INNER")
        restricted = {"JOIN_LEFT": right, "JOIN_RIGHT": left, "JOIN_FULL": []}.get(form, left + right)
        only = [item for item in restricted if isinstance(item, Source)]
        self._conditions.take(node.get("quals"), level, only=only)
        for name in names(node.get("using_clause")):
            self._using(name, left, right, level, only)
        return left + right

    def _using(self, name: str, left: list[Item], right: list[Item], level: Level, only: list[Source]) -> None:
        sides = [
            next((alias for alias, i in level.items.items() if i in side and i.has(name)), None)
            for side in (left, right)
        ]
        level.merged.add(name)
        if sides[0] is not None and sides[1] is not None:
            refs = [{"column_ref": {"fields": [{"string": {"sval": p}} for p in (side, name)]}} for side in sides]
            equal = {
                "a_expr": {"kind": "AEXPR_OP", "name": [{"string": {"sval": "="}}], "lexpr": refs[0], "rexpr": refs[1]}
            }
            self._conditions.take(equal, level, only=only)

    def _relation(self, node: Tree, level: Level) -> Item:
        schema, name = node.get("schemaname", ""), node["relname"]
        alias = node.get("alias", {}).get("aliasname", name)
        cte = level.cte(name) if not schema else None
        if isinstance(cte, Derived):
            level.add(alias, cte)
            return cte
        if cte is not None:
            inner = Level(parent=level.parent, ctes=dict(level.ctes))
            inner.ctes.pop(name, None)
            derived = self.statement(cte, inner, is_top=False)
            level.define(name, derived)
            level.add(alias, derived)
            return derived
        table = self._catalog.find(schema, name)
        if table is None:
            self.unknown.append(f"{schema}.{name}" if schema else name)
            opaque = self._opaque()
            level.add(alias, opaque)
            return opaque
        source = self._source(table)
        level.add(alias, source)
        self._secure(source)
        return source

    def _source(self, table: Table) -> Source:
        self._count += 1
        source = Source(number=self._count, table=table)
        self.sources.append(source)
        return source

    def _opaque(self, *, is_small: bool = False) -> Derived:
        self._count += 1
        if is_small:
            self.small.add(self._count)
        return Derived(number=self._count)

    def _secure(self, source: Source) -> None:
        """Add the table's row security as conditions that come before the statement's own."""
        if source.table.oid in self._under_policy:
            return
        expressions = tuple(self._policy_of(source.table))
        if not expressions:
            return
        source.is_secured = True
        self._under_policy.append(source.table.oid)
        alone = Level(items={source.table.relation.name: source})
        for expression in copy.deepcopy(expressions):  # subselects are walked once a tree, and this is another place
            self._kept.append(expression)
            self._conditions.take(expression, alone, by_policy=True)
        self._under_policy.pop()

    def _target(self, node: Tree, level: Level, kind: Writing, columns: Iterable[str] = ()) -> Source | None:
        item = self._relation(node.get("relation", {"relname": ""}), level)
        if not isinstance(item, Source):
            return None
        item.write = Write(kind=kind, columns=frozenset(columns))
        return item

    def _insert(self, node: Tree, level: Level) -> None:
        self._with(node, level)
        conflict = node.get("on_conflict_clause", {})
        relation = node.get("relation", {})
        table = self._catalog.find(relation.get("schemaname", ""), relation.get("relname", ""))
        if table is not None:
            target = self._source(table)
            target.write = Write(kind=Writing.INSERT, columns=frozenset(_set_columns(conflict)))
        if "select_stmt" in node:
            self.statement(node["select_stmt"], Level(parent=level), is_top=False)

    def _update(self, node: Tree, level: Level) -> None:
        self._with(node, level)
        target = self._target(node, level, Writing.UPDATE, _set_columns(node))
        others = self._from(node.get("from_clause", ()), level)
        self._conditions.take(node.get("where_clause"), level)
        self._conditions.note_columns(node.get("target_list", []), level)
        if target is not None:
            target.is_sole = target.is_result = not others

    def _delete(self, node: Tree, level: Level) -> None:
        self._with(node, level)
        target = self._target(node, level, Writing.DELETE)
        others = self._from(node.get("using_clause", ()), level)
        self._conditions.take(node.get("where_clause"), level)
        if target is not None:
            target.is_sole = target.is_result = not others

    def _merge(self, node: Tree, level: Level) -> None:
        self._with(node, level)
        columns = [
            c
            for clause in node.get("merge_when_clauses", ())
            for c in _set_columns(clause.get("merge_when_clause", {}))
        ]
        self._target(node, level, Writing.UPDATE, columns)
        self._from([node.get("source_relation", {})], level)
        self._conditions.take(node.get("join_condition"), level)


def _set_columns(node: Mapping[str, Any]) -> list[str]:
    return [target.get("res_target", {}).get("name", "") for target in node.get("target_list", ())]


def _has_limit(node: Tree) -> bool:
    return "limit_count" in node


def _spread(level: Level, parts: tuple[str, ...], derived: Derived, *, passes: bool) -> None:
    """`*` or `t.*`: every column of the tables meant."""
    for name, item in level.items.items():
        if len(parts) > 1 and name != parts[-2]:
            continue
        if isinstance(item, Source):
            for column in item.table.columns:
                derived.columns.setdefault(column, Ref(source=item, column=column) if passes else None)
        else:
            for column, ref in item.columns.items():
                derived.columns.setdefault(column, ref if passes else None)
            derived.is_open = derived.is_open or item.is_open
