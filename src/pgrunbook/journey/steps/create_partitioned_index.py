"""Index a partitioned table while writes go on: each partition's concurrently, then one at the root that adopts them.

CREATE INDEX on a partitioned table cannot be concurrent, but where each partition has an equal index it builds nothing:
it attaches them under a lock of milliseconds.  It is one statement, so it is there as a whole or not at all.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import ClassVar

from pgrunbook.errors import Refused, UsageError
from pgrunbook.journey.steps.create_index import NAME_BYTES, SAFE_FROM, CreateIndex, index_name
from pgrunbook.journey.steps.drop_index import concurrently
from pgrunbook.journey.steps.step import Before, Change, Stage
from pgrunbook.model import Kind, Lock, Server, dotted, quote
from pgrunbook.pg.connect import Session

BUILD_BUDGET_S = 15.0  # nobody who reads or writes queues behind a concurrent build

_LEAVES = """/* pgrunbook: create_partitioned_index */
select n.nspname::text, c.relname::text
from pg_catalog.pg_partition_tree(%(oid)s::oid::regclass) as p
join pg_catalog.pg_class as c on c.oid = p.relid
join pg_catalog.pg_namespace as n on n.oid = c.relnamespace
where p.isleaf and c.relkind = 'r'
order by n.nspname, c.relname"""


@dataclass(frozen=True, slots=True, kw_only=True)
class CreatePartitionedIndex(Change):
    """Like CreateIndex, for the root of a partition tree.

    `leaf_schemas` and `leaf_tables` are its partitions when the advice was given, for the plan to show; what is done is
    done to those that are there then.
    """

    kind: ClassVar[str] = "create_partitioned_index"
    stage: ClassVar[Stage] = Stage.BUILD

    schema: str
    table: str
    keys: tuple[str, ...]
    name: str | None = None
    method: str = "btree"
    unique: bool = False
    include: tuple[str, ...] = ()
    where: str | None = None
    leaf_schemas: tuple[str, ...] = ()
    leaf_tables: tuple[str, ...] = ()

    @property
    def index(self) -> str:
        """The name of the index at the root."""
        return self._root.index

    @property
    def title(self) -> str:
        return f"Create partitioned index {self.object[1]}"

    @property
    def object(self) -> tuple[Kind, str]:
        return Kind.INDEX, dotted(self.schema, self.index)

    @property
    def lock(self) -> Lock:
        """While the root's adopts the others, for milliseconds, nobody writes; until it is granted, writers queue."""
        return Lock.SHARE

    @property
    def lock_budget_s(self) -> float:
        """Writers queue behind the last statement for no longer than this at a time."""
        return 1.0

    @property
    def risk(self) -> str:
        return (
            "It reads all partitions, takes disk space, and makes each write a little dearer.  Its undo locks the table"
            " and its partitions for a moment."
        )

    def statements(self) -> tuple[str, ...]:
        leaves = zip(self.leaf_schemas, self.leaf_tables, strict=True)
        built = [statement for leaf in leaves for statement in self._leaf(*leaf).statements()]
        return (*built, self._at_the_root)

    def undo_statements(self, before: Before | None = None) -> tuple[str, ...]:
        again = _texts(before, "definitions") if before is not None else ()
        return (f"DROP INDEX {self.object[1]}", *(concurrently(definition) for definition in again))

    def precheck(self, conn: Session, server: Server) -> None:
        """Refuse servers, tables and names on which it would go wrong."""
        if server.version_num < SAFE_FROM:
            raise Refused(
                f"PostgreSQL {server.version} can corrupt an index that is built concurrently",
                hint="Update to 14.4 or newer first.",
            )
        if len(self.index.encode("utf-8", "surrogateescape")) > NAME_BYTES:
            raise UsageError(f"the name {quote(self.index)} is longer than {NAME_BYTES} bytes")
        oid, relkind = self._root.relation(conn)
        if relkind != "p":
            raise Refused(f"{dotted(self.schema, self.table)} is not partitioned", hint="Use the step create_index.")
        occupant = self._root.occupant(conn)
        if occupant is None:
            return
        if not self._root.is_ours(conn, occupant, oid):
            raise Refused(
                f"the name {self.object[1]} is taken by something else", hint="Choose another name for the index."
            )
        if not occupant.is_valid:
            raise Refused(
                f"{self.object[1]} is there, but not on every partition",
                hint="Build the missing ones and attach them, or drop it first.",
            )

    def capture(self, conn: Session) -> Before:
        """Equal indexes that partitions have already: the root's adopts them, and dropping it would drop them too."""
        occupant = self._root.occupant(conn)
        equal = [(leaf, item) for leaf in self._leaves(conn) for item in leaf.equal_indexes(conn)]
        return {
            "existed": occupant is not None,
            "names": tuple(dotted(leaf.schema, name) for leaf, (name, _) in equal),
            "definitions": tuple(definition for _, (_, definition) in equal),
        }

    def do(self, conn: Session) -> None:
        """Build what is missing, then adopt."""
        if self.done(conn):
            return
        for leaf in self._leaves(conn):
            if not leaf.equal_indexes(conn):
                _set_budget(conn, BUILD_BUDGET_S)
                leaf.do(conn)
        _set_budget(conn, self.lock_budget_s)
        conn.execute(self._at_the_root.encode())

    def mend(self, conn: Session, before: Before) -> None:
        """Drop what was built for partitions and not adopted."""
        if self._root.occupant(conn) is not None:
            return
        had = set(_texts(before, "names"))
        for leaf in self._leaves(conn):
            if dotted(leaf.schema, leaf.index) not in had:
                leaf.undo(conn, {"existed": False})

    def undo(self, conn: Session, before: Before) -> None:
        """Drop it with its parts, and build again what partitions had by themselves."""
        occupant = self._root.occupant(conn)
        if before["existed"]:
            return
        if occupant is not None:
            if not self._root.is_ours(conn, occupant, self._root.relation(conn)[0]):
                raise Refused(f"{self.object[1]} has another definition by now; someone else made it")
            if occupant.is_needed:
                raise Refused(f"a constraint stands on {self.object[1]} by now; it is not dropped")
            conn.execute(self.undo_statements()[0].encode())
        _set_budget(conn, BUILD_BUDGET_S)
        for name, definition in zip(_texts(before, "names"), _texts(before, "definitions"), strict=True):
            is_valid = _is_valid(conn, name)
            if is_valid is False:  # an undo that was cut short
                conn.execute(f"DROP INDEX CONCURRENTLY {name}".encode())
            if not is_valid:
                conn.execute(concurrently(definition).encode())
        self.mend(conn, before)

    def done(self, conn: Session, before: Before | None = None) -> bool:
        occupant = self._root.occupant(conn)
        if occupant is None or not occupant.is_valid:
            return False
        return self._root.is_ours(conn, occupant, self._root.relation(conn)[0])

    @property
    def _root(self) -> CreateIndex:
        return self._like(self.schema, self.table, self.name)

    def _leaf(self, schema: str, table: str) -> CreateIndex:
        return self._like(schema, table, index_name(table, [self.index], special=self.index))

    def _like(self, schema: str, table: str, name: str | None) -> CreateIndex:
        return CreateIndex(
            schema=schema,
            table=table,
            keys=self.keys,
            name=name,
            method=self.method,
            unique=self.unique,
            include=self.include,
            where=self.where,
        )

    @property
    def _at_the_root(self) -> str:
        return self._root.statement("", dotted(self.schema, self.table))

    def _leaves(self, conn: Session) -> list[CreateIndex]:
        oid, _ = self._root.relation(conn)
        return [self._leaf(str(row[0]), str(row[1])) for row in conn.execute(_LEAVES, {"oid": oid}).fetchall()]


def _set_budget(conn: Session, budget_s: float) -> None:
    conn.execute("select pg_catalog.set_config('lock_timeout', %(ms)s, false)", {"ms": f"{round(budget_s * 1000)}ms"})


def _is_valid(conn: Session, qualified: str) -> bool | None:
    """None when there is no such index."""
    row = conn.execute(
        "select i.indisvalid from pg_catalog.pg_index as i where i.indexrelid = pg_catalog.to_regclass(%(name)s)",
        {"name": qualified},
    ).fetchone()
    return bool(row[0]) if row is not None else None


def _texts(before: Before, name: str) -> tuple[str, ...]:
    held = before[name]
    return tuple(str(item) for item in held) if isinstance(held, tuple) else ()


STEP = CreatePartitionedIndex
