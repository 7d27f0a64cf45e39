"""Existing indexes as conditions see them: what each key is, and what a partial index asks of a statement."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

from pgrunbook.journey.observe.indexes import Index
from pgrunbook.journey.workload.access import Branch, Key, Predicate
from pgrunbook.journey.workload.catalog import Catalog, Table
from pgrunbook.journey.workload.conditions import Conditions
from pgrunbook.journey.workload.expressions import column_key, key_of
from pgrunbook.journey.workload.scope import Derived, Level, Source
from pgrunbook.pg.parse import ParseFailed, Parser, Tree
from pgrunbook.pg.trees import names


@dataclass(frozen=True, slots=True, kw_only=True)
class IndexFacts:
    """An index with its keys; None where an expression could not be read.

    `predicates` and `alternatives` are what a partial index asks for; `is_read` is false where that is not known.
    """

    index: Index
    keys: tuple[Key | None, ...]
    predicates: tuple[Predicate, ...] = ()
    alternatives: tuple[tuple[Branch, ...], ...] = ()
    is_read: bool = True

    @property
    def is_partial(self) -> bool:
        """Whether it leaves rows out."""
        return self.index.predicate_tree is not None


class IndexReader:
    """Reads definitions; one that cannot be read or parsed leaves None where it stands."""

    def __init__(
        self, catalog: Catalog, definitions: Mapping[int, tuple[str | None, str | None]], parser: Parser
    ) -> None:
        self._catalog = catalog
        self._definitions = definitions
        self._parser = parser

    def read(self, index: Index, table: Table) -> IndexFacts:
        """The index as conditions on `table` see it."""
        predicate, expressions = self._definitions.get(index.oid, (None, None))
        written = iter(self._expressions(expressions, table))
        keys = tuple(column_key(name) if name else next(written, None) for name in index.key_columns)
        if index.predicate_tree is None:
            return IndexFacts(index=index, keys=keys)
        source = self._condition(predicate, table)
        if source is None:
            return IndexFacts(index=index, keys=keys, is_read=False)
        return IndexFacts(
            index=index,
            keys=keys,
            predicates=tuple(source.predicates),
            alternatives=tuple(source.alternatives),
        )

    def _expressions(self, text: str | None, table: Table) -> list[Key | None]:
        if text is None:
            return []
        try:
            tree = self._parser.statement(f"SELECT {text}")
        except ParseFailed:
            return []
        targets = tree.get("select_stmt", {}).get("target_list", ())
        return [key_of(t["res_target"]["val"], table, _bare_column, self._catalog) for t in targets]

    def _condition(self, text: str | None, table: Table) -> Source | None:
        if text is None:
            return None
        try:
            tree = self._parser.expression(text)
        except ParseFailed:
            return None
        source = Source(number=1, table=table)
        level = Level(items={table.relation.name: source})
        Conditions(self._catalog, _NoSubselects()).take(tree, level)
        return source


class _NoSubselects:
    """An index's condition has none."""

    def subselect(self, node: Tree, level: Level, *, pulled_up: bool) -> tuple[Level, Derived]:  # noqa: ARG002
        return Level(parent=level), Derived(number=0)


def _bare_column(node: Tree) -> str | None:
    parts = names(node.get("fields"))
    return parts[-1] if parts else None
