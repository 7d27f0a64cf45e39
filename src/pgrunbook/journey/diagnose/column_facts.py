"""What ANALYZE knows of a column, table trees as a whole; and what to say where it is hidden or was never learnt."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field

from pgrunbook.journey.diagnose.seen import Seen
from pgrunbook.journey.diagnose.trees import TableTree, table_trees
from pgrunbook.journey.observe.column_statistics import COLUMN_STATISTICS, ColumnStatistics
from pgrunbook.journey.observe.columns import COLUMNS, Column
from pgrunbook.model import Blind, quote


def column_statistics(seen: Seen) -> Mapping[tuple[int, str], ColumnStatistics]:
    """Statistics by table and column; those over a whole tree win over those of its root alone."""
    return {
        (row.table_oid, row.name): row for row in sorted(seen.rows(COLUMN_STATISTICS), key=lambda row: row.is_inherited)
    }


def columns_by_name(seen: Seen) -> Mapping[tuple[int, str], Column]:
    """Columns by table and name."""
    return {(row.table_oid, row.name): row for row in seen.rows(COLUMNS)}


@dataclass(slots=True, kw_only=True)
class ColumnFacts:
    """Looks columns up and remembers which could not be: `blind` says so, once for all of them."""

    seen: Seen
    _hidden: dict[str, TableTree] = field(default_factory=dict)
    _unknown: dict[str, TableTree] = field(default_factory=dict)

    def of(self, tree: TableTree, name: str) -> ColumnStatistics | None:
        """The statistics of a column of the tree's root; None when there are none."""
        found = self.seen.derived(column_statistics).get((tree.root.oid, name))
        if found is not None:
            return found
        column = self.seen.derived(columns_by_name).get((tree.root.oid, name))
        if column is None:
            return None
        (self._unknown if column.statistics_readable else self._hidden)[tree.qualified] = tree
        return None

    def of_leaf(self, oid: int, name: str) -> ColumnStatistics | None:
        """The statistics of a column of one table that holds rows itself, be it a partition."""
        found = self.seen.derived(column_statistics).get((oid, name))
        return found if found is not None else self.of(self.seen.derived(table_trees)[oid], name)

    def blind(self) -> Iterator[Blind]:
        """What could not be looked at, and the commands that would cure it."""
        if self._hidden:
            yield _blind("pg_stats hides their columns from us", list(self._hidden), self._grant())
        if self._unknown:
            names = list(self._unknown)
            yield _blind("nobody has analysed them", names, "\n".join(f"ANALYZE {name};" for name in names[:20]))

    def _grant(self) -> str:
        user = quote(self.seen.server.user)
        if any(tree.root.readable for tree in self._hidden.values()):
            return f"ALTER ROLE {user} BYPASSRLS;"  # SELECT is there, row security hides the statistics
        if len(self._hidden) == 1:
            return f"GRANT SELECT ON {next(iter(self._hidden))} TO {user};"
        return f"GRANT pg_read_all_data TO {user};"


def _blind(what: str, names: Sequence[str], cure: str) -> Blind:
    if len(names) == 1:
        return Blind(object=names[0], reason=f"no column statistics: {what}", cure=cure)
    some = ", ".join(names[:3]) + (" …" if len(names) > 3 else "")
    return Blind(reason=f"no column statistics of {len(names)} tables ({some}): {what}", cure=cure)
