"""Build an index anew while reads and writes go on; what an interrupted rebuild left is cleared away."""

from __future__ import annotations

import re
from dataclasses import dataclass
from typing import ClassVar

from pgrunbook.errors import Refused
from pgrunbook.journey.steps.builds import adopt_build, builds_on
from pgrunbook.journey.steps.create_index import NAME_BYTES, SAFE_FROM
from pgrunbook.journey.steps.holders import wait_for_holders
from pgrunbook.journey.steps.step import Before, Irreversible, Stage
from pgrunbook.model import Kind, Lock, Server, dotted
from pgrunbook.pg.connect import Session, into

WAIT_BUDGET_S = 60.0

_INDEXES = """/* pgrunbook: reindex */
select c.oid::int8 as oid, c.relname::text as name, i.indrelid::int8 as table_oid,
       i.indisvalid and i.indisready as is_valid, i.indisexclusion as is_exclusion, c.relkind::text as relkind,
       pg_catalog.pg_relation_filenode(c.oid)::int8 as filenode
from pg_catalog.pg_index as i
join pg_catalog.pg_class as c on c.oid = i.indexrelid
join pg_catalog.pg_namespace as n on n.oid = c.relnamespace
where n.nspname = %(schema)s and i.indrelid = (
  select j.indrelid from pg_catalog.pg_index as j
  join pg_catalog.pg_class as d on d.oid = j.indexrelid
  join pg_catalog.pg_namespace as m on m.oid = d.relnamespace
  where m.nspname = %(schema)s and d.relname = %(name)s
)
order by c.oid"""


@dataclass(frozen=True, slots=True, kw_only=True)
class _Index:
    """One index of the table."""

    oid: int
    name: str
    table_oid: int
    is_valid: bool
    is_exclusion: bool
    relkind: str
    filenode: int | None


@dataclass(frozen=True, slots=True, kw_only=True)
class Reindex(Irreversible):
    """REINDEX INDEX CONCURRENTLY of one index, also of one that is invalid."""

    kind: ClassVar[str] = "reindex"
    stage: ClassVar[Stage] = Stage.BUILD

    schema: str
    name: str

    @property
    def title(self) -> str:
        return f"Rebuild index {self.object[1]}"

    @property
    def object(self) -> tuple[Kind, str]:
        return Kind.INDEX, dotted(self.schema, self.name)

    @property
    def lock(self) -> Lock:
        """Reads and writes go on; other schema changes and VACUUM of this table wait."""
        return Lock.SHARE_UPDATE_EXCLUSIVE

    @property
    def lock_budget_s(self) -> float:
        """Nobody who reads or writes queues behind its waits."""
        return 15.0

    @property
    def risk(self) -> str:
        return "It needs disk space for a second copy.  There is nothing to undo: the definition stays the same."

    def statements(self) -> tuple[str, ...]:
        return (f"REINDEX INDEX CONCURRENTLY {self.object[1]}",)

    def precheck(self, conn: Session, server: Server) -> None:
        """Refuse what cannot be rebuilt concurrently, and servers that could corrupt it."""
        if server.version_num < SAFE_FROM:
            raise Refused(
                f"PostgreSQL {server.version} can corrupt an index that is rebuilt concurrently",
                hint="Update to 14.4 or newer first.",
            )
        index = self._index(conn)
        if index is None:
            raise Refused(f"there is no index {self.object[1]}")
        if index.is_exclusion:
            raise Refused(
                f"{self.object[1]} backs an exclusion constraint; it cannot be rebuilt concurrently",
                hint="REINDEX it in a maintenance window.",
            )
        if index.relkind == "I":
            raise Refused(f"{self.object[1]} is partitioned", hint="Rebuild the index of each partition.")
        if self.schema in {"pg_catalog", "pg_toast"}:
            raise Refused(f"{self.object[1]} belongs to the system; it cannot be rebuilt concurrently")

    def capture(self, conn: Session) -> Before:
        """Which index it is now (a rebuilt one has another file), and the leftovers that were there before us."""
        index = self._index(conn)
        leftovers = tuple(item.name for item in self._leftovers(conn))
        return {"filenode": index.filenode if index is not None else None, "leftovers": leftovers}

    def do(self, conn: Session) -> None:
        """Wait for a rebuild that is running, clear away leftovers, then rebuild."""
        self._settle(conn)
        index = self._index(conn)
        if index is not None:
            wait_for_holders(conn, index.table_oid, budget_s=WAIT_BUDGET_S, any_lock=True, snapshots=True)
        conn.execute(self.statements()[0].encode())

    def mend(self, conn: Session, before: Before) -> None:
        """Drop the unfinished copy, or the old one that was already replaced."""
        self._settle(conn)

    def done(self, conn: Session, before: Before | None = None) -> bool:
        """Whether it has another file than before, is valid, and nothing was left."""
        if before is None:
            return False
        index = self._index(conn)
        is_new = index is not None and index.is_valid and index.filenode != before["filenode"]
        return is_new and not self._leftovers(conn)

    def _settle(self, conn: Session) -> None:
        index = self._index(conn)
        if index is None:
            return
        for build in builds_on(conn, index.table_oid):
            if build.index_oid is not None and build.index_oid in {item.oid for item in self._leftovers(conn)}:
                adopt_build(conn, index.table_oid, build.index_oid)
        for leftover in self._leftovers(conn):
            conn.execute(f"DROP INDEX CONCURRENTLY {dotted(self.schema, leftover.name)}".encode())

    def _index(self, conn: Session) -> _Index | None:
        return next((index for index in self._all(conn) if index.name == self.name), None)

    def _leftovers(self, conn: Session) -> list[_Index]:
        """`_ccnew` is a copy that was not finished, `_ccold` one that was replaced: both invalid."""
        return [index for index in self._all(conn) if not index.is_valid and _is_leftover(index.name, self.name)]

    def _all(self, conn: Session) -> list[_Index]:
        with conn.cursor(row_factory=into(_Index)) as cursor:
            return cursor.execute(_INDEXES, {"schema": self.schema, "name": self.name}).fetchall()


def _is_leftover(name: str, of: str) -> bool:
    """Whether PostgreSQL made this name for a rebuild of `of`: cut to fit, with a number when it was taken.

    >>> _is_leftover("i_ccnew", "i"), _is_leftover("i_ccold1", "i"), _is_leftover("i_ccnew", "other")
    (True, True, False)
    """
    match = re.fullmatch(r"(.*)_cc(?:new|old)\d*", name, re.DOTALL)
    if match is None:
        return False
    is_whole = len(of.encode("utf-8", "surrogateescape")) <= NAME_BYTES - len("_ccnew99")
    return match[1] == of if is_whole else of.startswith(match[1])


STEP = Reindex
