"""The indexes that were ever tried on a twin.  Each is made once, and shown to the planner or hidden from it.

Hidden is `pg_index.indisvalid = false`: the planner then leaves an index aside.  Showing and hiding costs a
millisecond, so that thousands of sets of indexes can be tried, existing ones left out as easily.
"""

from __future__ import annotations

from collections.abc import Collection, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, replace
from typing import Any, Final, TypeVar

import psycopg

from pgrunbook.errors import Unreachable
from pgrunbook.journey.planner.engine import TriedIndex
from pgrunbook.journey.planner.sizes import PAGE_BYTES
from pgrunbook.journey.planner.twin import catalog
from pgrunbook.journey.planner.twin.definition import Definition, parsed
from pgrunbook.journey.planner.twin.files import Files
from pgrunbook.journey.planner.twin.shaping import Shaper
from pgrunbook.pg.connect import Session, first_line

Result = TypeVar("Result")
SMALL_PAGES: Final = 8  # reading so many empty pages costs less than hiding them
_HEAPS: Final = """/* pgrunbook: heaps */
select pg_catalog.pg_relation_filepath(c.oid)::text,
  (pg_catalog.pg_relation_size(c.oid) / %(page)s)::int8
from pg_catalog.pg_partition_tree(%(oid)s::oid::regclass) as p
join pg_catalog.pg_class as c on c.oid = p.relid
where p.isleaf and c.relkind = 'r'
union
select pg_catalog.pg_relation_filepath(c.oid)::text, (pg_catalog.pg_relation_size(c.oid) / %(page)s)::int8
from pg_catalog.pg_class as c where c.oid = %(oid)s::oid and c.relkind in ('r', 'm')"""
_MADE: Final = """/* pgrunbook: made_indexes */
select x.indexrelid::int8, exists (select from pg_catalog.pg_inherits as h where h.inhrelid = x.indexrelid)
from pg_catalog.pg_index as x where x.indexrelid > %(since)s::oid order by x.indexrelid"""
_FAMILY: Final = """/* pgrunbook: index_family */
with recursive family as (
  select %(name)s::regclass::oid as oid
  union all
  select h.inhrelid from pg_catalog.pg_inherits as h join family as f on f.oid = h.inhparent
)
select f.oid::int8 from family as f join pg_catalog.pg_index as x on x.indexrelid = f.oid"""
_SHOW: Final = """/* pgrunbook: show_indexes */
update pg_catalog.pg_index as x set indisvalid = x.indexrelid = any (%(shown)s::oid[])
where x.indexrelid = any (%(changed)s::oid[])"""


@dataclass(frozen=True, slots=True, kw_only=True)
class Tried:
    """One definition's indexes here: itself and, on a partitioned table, those of the partitions."""

    answer: TriedIndex
    oids: tuple[int, ...] = ()


class Shelf:
    """Makes indexes and decides which of them the planner sees."""

    def __init__(self, admin: Session, files: Files, shaper: Shaper) -> None:
        self._admin = admin
        self._files = files
        self._shaper = shaper
        self._tried: dict[str, Tried] = {}
        self._existing: dict[str, tuple[int, ...]] = {}
        self._shown: frozenset[int] = frozenset()  # tried indexes that are visible now
        self._hidden: frozenset[int] = frozenset()  # existing indexes that are not

    def tried(self, statement: str) -> Tried:
        """Make the index of a statement unless it was made before; never raises for a statement that is wrong."""
        definition = parsed(statement)
        if definition is None:
            return _refused(statement, "it is no CREATE INDEX statement")
        found = self._tried.get(definition.key)
        if found is None:
            found = self._tried[definition.key] = self._make(statement, definition)
        return replace(found, answer=replace(found.answer, definition=statement))

    def family(self, name: str) -> tuple[int, ...]:
        """An existing index and its parts on partitions; raises psycopg's error when there is none of that name."""
        found = self._existing.get(name)
        if found is None:
            rows = self._admin.execute(_FAMILY, {"name": name}).fetchall()
            found = self._existing[name] = tuple(int(row[0]) for row in rows)
        return found

    def show(self, shown: Collection[int], *, without: Collection[int] = ()) -> None:
        """Let the planner see these tried indexes, and of the existing ones all but `without`."""
        wanted, hidden = frozenset(shown), frozenset(without)
        changed = (wanted ^ self._shown) | (hidden ^ self._hidden)
        if changed:
            visible = [oid for oid in changed if oid in wanted or (oid in self._hidden and oid not in hidden)]
            self._admin.execute(_SHOW, {"shown": visible, "changed": sorted(changed)})
            self._shown, self._hidden = wanted, hidden

    def _make(self, statement: str, definition: Definition) -> Tried:
        try:
            with self._admin.transaction():
                made = self._created(definition)
                oids = [oid for oid, _ in made]
                descriptions = catalog.indexes(self._admin, oids)
                # hidden before anybody can see them
                self._admin.execute(_SHOW, {"shown": [], "changed": oids})
            pages = self._shaper.shape(descriptions)
        except psycopg.Error as exc:
            if self._admin.closed:
                raise Unreachable(f"the twin's server has ended: {first_line(exc)}") from exc
            return _refused(statement, first_line(exc))
        top = next(index for index in descriptions if index.oid in {oid for oid, is_part in made if not is_part})
        answer = TriedIndex(definition=statement, name=top.name, size_bytes=sum(pages.values()) * PAGE_BYTES)
        return Tried(answer=answer, oids=tuple(oids))

    def _created(self, definition: Definition) -> list[tuple[int, bool]]:
        """Create the index while its table's files are empty, so that nothing is read."""
        row = self._admin.execute(
            "select %(table)s::regclass::oid::int8, (select max(indexrelid) from pg_catalog.pg_index)::int8",
            {"table": definition.table},
        ).fetchone()
        assert row is not None  # noqa: S101 - a select without from gives one row
        oid, last = int(row[0]), int(row[1])
        with self._emptied(oid):
            statement: Any = definition.statement
            self._admin.execute(statement, binary=True)  # the extended protocol takes one statement only
        rows = self._admin.execute(_MADE, {"since": last}).fetchall()
        if not rows:
            raise psycopg.errors.InternalError_("no index was made")
        return [(int(row[0]), bool(row[1])) for row in rows]

    @contextmanager
    def _emptied(self, table_oid: int) -> Iterator[None]:
        """Only the first segment's length counts, once the server has forgotten that it had the others open.

        CREATE INDEX makes it forget (it invalidates the table's cache entry before it reads the table).
        """
        rows = self._admin.execute(_HEAPS, {"oid": table_oid, "page": PAGE_BYTES}).fetchall()
        heaps = [(str(path), int(pages)) for path, pages in rows if pages > SMALL_PAGES]
        for path, _ in heaps:
            self._files.set_first_segment(path, 0)
        try:
            yield
        finally:
            for path, pages in heaps:
                self._files.set_first_segment(path, pages)


def _refused(statement: str, reason: str) -> Tried:
    return Tried(answer=TriedIndex(definition=statement, name="", size_bytes=0, refused=reason))
