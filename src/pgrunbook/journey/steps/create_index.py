"""Build an index while reads and writes go on; an interrupted build is found, adopted or cleared away."""

from __future__ import annotations

import hashlib
import re
from collections.abc import Collection, Sequence
from dataclasses import dataclass
from typing import ClassVar, Self

import psycopg

from pgrunbook.errors import Refused, UsageError
from pgrunbook.journey.steps.builds import adopt_build
from pgrunbook.journey.steps.holders import wait_for_holders
from pgrunbook.journey.steps.standin import stand_in
from pgrunbook.journey.steps.step import Before, Change, Stage
from pgrunbook.model import Kind, Lock, Server, dotted, quote
from pgrunbook.pg.connect import Session, first_line, into

NAME_BYTES = 63
SAFE_FROM = 140_004  # 14.0 to 14.3 could corrupt indexes that were built concurrently
WAIT_BUDGET_S = 60.0

_TABLE = """/* pgrunbook: create_index table */
select c.oid::int8, c.relkind::text
from pg_catalog.pg_class as c join pg_catalog.pg_namespace as n on n.oid = c.relnamespace
where n.nspname = %(schema)s and c.relname = %(table)s"""

_OCCUPANT = """/* pgrunbook: create_index occupant */
select c.oid::int8 as oid, i.indexrelid is not null as is_index, coalesce(i.indrelid, 0)::int8 as table_oid,
       coalesce(i.indisvalid and i.indisready and i.indislive, false) as is_valid,
       exists (select from pg_catalog.pg_constraint as x where x.conindid = c.oid)
         or coalesce(i.indisreplident, false) as is_needed,
       pg_catalog.pg_get_indexdef(i.indexrelid) as definition
from pg_catalog.pg_class as c
join pg_catalog.pg_namespace as n on n.oid = c.relnamespace
left join pg_catalog.pg_index as i on i.indexrelid = c.oid
where n.nspname = %(schema)s and c.relname = %(name)s"""

_OTHERS = """/* pgrunbook: create_index others */
select c.relname::text, pg_catalog.pg_get_indexdef(c.oid)
from pg_catalog.pg_index as i
join pg_catalog.pg_class as c on c.oid = i.indexrelid
join pg_catalog.pg_class as t on t.oid = i.indrelid
join pg_catalog.pg_namespace as n on n.oid = t.relnamespace
where n.nspname = %(schema)s and t.relname = %(table)s
  and i.indisvalid and i.indisready and i.indislive and not c.relispartition
order by c.relname"""


@dataclass(frozen=True, slots=True, kw_only=True)
class Occupant:
    """What carries the index's name now."""

    oid: int
    is_index: bool
    table_oid: int
    is_valid: bool
    is_needed: bool
    definition: str | None


@dataclass(frozen=True, slots=True, kw_only=True)
class CreateIndex(Change):
    """`keys` and `include` are SQL: quoted columns, or expressions in parentheses, with options such as DESC.

    `name` is made from table and keys when it is not given, the same each time.  `on_columns` quotes plain columns.
    """

    kind: ClassVar[str] = "create_index"
    stage: ClassVar[Stage] = Stage.BUILD

    schema: str
    table: str
    keys: tuple[str, ...]
    name: str | None = None
    method: str = "btree"
    unique: bool = False
    include: tuple[str, ...] = ()
    where: str | None = None

    @classmethod
    def on_columns(cls, schema: str, table: str, columns: Sequence[str], *, taken: Collection[str] = ()) -> Self:
        """A B-tree on plain columns.  `taken` are names of relations in the schema."""
        keys = tuple(quote(column) for column in columns)
        return cls(schema=schema, table=table, keys=keys, name=index_name(table, keys, taken=taken))

    @property
    def index(self) -> str:
        """The index's name."""
        if self.name is not None:
            return self.name
        special = f"{self.method} {self.unique} {self.include} {self.where}"
        return index_name(self.table, self.keys, special="" if special == "btree False () None" else special)

    @property
    def title(self) -> str:
        return f"Create index {self.object[1]}"

    @property
    def object(self) -> tuple[Kind, str]:
        return Kind.INDEX, dotted(self.schema, self.index)

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
        return "It reads the whole table, takes disk space, and makes each write to the table a little dearer."

    def statements(self) -> tuple[str, ...]:
        built = self.statement("CONCURRENTLY ", dotted(self.schema, self.table))
        return (built, f"ANALYZE {dotted(self.schema, self.table)}") if self._has_expression else (built,)

    def undo_statements(self, before: Before | None = None) -> tuple[str, ...]:
        return (f"DROP INDEX CONCURRENTLY {self.object[1]}",)

    def precheck(self, conn: Session, server: Server) -> None:
        """Refuse servers, tables and names on which it would go wrong."""
        if server.version_num < SAFE_FROM:
            raise Refused(
                f"PostgreSQL {server.version} can corrupt an index that is built concurrently",
                hint="Update to 14.4 or newer first.",
            )
        if len(self.index.encode("utf-8", "surrogateescape")) > NAME_BYTES:
            raise UsageError(f"the name {quote(self.index)} is longer than {NAME_BYTES} bytes")
        table_oid, relkind = self.relation(conn)
        if relkind == "p":
            raise Refused(
                f"{dotted(self.schema, self.table)} is partitioned; an index on it cannot be built concurrently",
                hint="Use the step create_partitioned_index: it builds each partition's, then one that adopts them.",
            )
        if relkind not in {"r", "m"} or self.schema == "pg_catalog":
            raise Refused(f"{dotted(self.schema, self.table)} is not a table that can be indexed")
        occupant = self.occupant(conn)
        if occupant is not None and not self.is_ours(conn, occupant, table_oid):
            raise Refused(
                f"the name {self.object[1]} is taken by something else", hint="Choose another name for the index."
            )

    def capture(self, conn: Session) -> Before:
        occupant = self.occupant(conn)
        return {"existed": occupant is not None and occupant.is_valid}

    def do(self, conn: Session) -> None:
        """Wait for a build of it that is running, clear away an invalid leftover, then build."""
        table_oid, _ = self.relation(conn)
        self._adopt(conn, table_oid)
        occupant = self.occupant(conn)
        if occupant is None or not occupant.is_valid:
            wait_for_holders(conn, table_oid, budget_s=WAIT_BUDGET_S, any_lock=occupant is not None, snapshots=True)
            if occupant is not None:
                self._drop_if_ours(conn, occupant, table_oid)
            conn.execute(self.statements()[0].encode())
        for statement in self.statements()[1:]:
            conn.execute(statement.encode())

    def mend(self, conn: Session, before: Before) -> None:
        """Drop an invalid leftover of a build that was cut short."""
        if before["existed"] or self.occupant(conn) is None:
            return
        table_oid, _ = self.relation(conn)
        self._adopt(conn, table_oid)
        occupant = self.occupant(conn)
        if occupant is not None and not occupant.is_valid:
            self._drop_if_ours(conn, occupant, table_oid)

    def undo(self, conn: Session, before: Before) -> None:
        """Drop it, unless it is another index by now or something stands on it."""
        if before["existed"] or self.occupant(conn) is None:
            return
        table_oid, _ = self.relation(conn)
        self._adopt(conn, table_oid)
        occupant = self.occupant(conn)
        if occupant is None:
            return
        if occupant.is_needed:
            raise Refused(f"a constraint or the replica identity stands on {self.object[1]} by now; it is not dropped")
        if occupant.is_valid:
            wait_for_holders(conn, table_oid, budget_s=WAIT_BUDGET_S, any_lock=True, snapshots=False)
        self._drop_if_ours(conn, occupant, table_oid)

    def done(self, conn: Session, before: Before | None = None) -> bool:
        occupant = self.occupant(conn)
        if occupant is None or not occupant.is_valid:
            return False
        return self.is_ours(conn, occupant, self.relation(conn)[0])

    @property
    def _has_expression(self) -> bool:
        """An index on an expression has statistics only after ANALYZE."""
        return any(key.startswith("(") for key in self.keys)

    def statement(self, concurrently: str, table: str) -> str:
        keys = ", ".join(self.keys)
        include = f" INCLUDE ({', '.join(self.include)})" if self.include else ""
        where = f" WHERE {self.where}" if self.where is not None else ""
        unique = "UNIQUE " if self.unique else ""
        return (
            f"CREATE {unique}INDEX {concurrently}{quote(self.index)} ON {table}"
            f" USING {quote(self.method)} ({keys}){include}{where}"
        )

    @property
    def _place(self) -> dict[str, str]:
        return {"schema": self.schema, "table": self.table, "name": self.index}

    def relation(self, conn: Session) -> tuple[int, str]:
        row = conn.execute(_TABLE, {"schema": self.schema, "table": self.table}).fetchone()
        if row is None:
            raise Refused(f"the table {dotted(self.schema, self.table)} does not exist")
        return int(row[0]), str(row[1])

    def occupant(self, conn: Session) -> Occupant | None:
        with conn.cursor(row_factory=into(Occupant)) as cursor:
            return cursor.execute(_OCCUPANT, {"schema": self.schema, "name": self.index}).fetchone()

    def _adopt(self, conn: Session, table_oid: int) -> None:
        occupant = self.occupant(conn)
        if occupant is not None and not occupant.is_valid:
            adopt_build(conn, table_oid, occupant.oid)

    def _drop_if_ours(self, conn: Session, occupant: Occupant, table_oid: int) -> None:
        if not self.is_ours(conn, occupant, table_oid):
            raise Refused(f"{self.object[1]} has another definition by now; someone else made it")
        conn.execute(self.undo_statements()[0].encode())

    def is_ours(self, conn: Session, occupant: Occupant, table_oid: int) -> bool:
        """Whether what carries our name is the index that we would build, valid or not, partitioned or not."""
        if not occupant.is_index or occupant.table_oid != table_oid or occupant.definition is None:
            return False
        theirs = _tail(occupant.definition, self.index, dotted(self.schema, self.table), unique=self.unique)
        return theirs is not None and theirs == self._own_tail(conn)

    def equal_indexes(self, conn: Session) -> tuple[tuple[str, str], ...]:
        """Name and definition of each valid index of the table that is the same but perhaps for its name.

        Parts of a partitioned index are left out.
        """
        own = self._own_tail(conn)
        named = [(str(name), str(text)) for name, text in conn.execute(_OTHERS, self._place).fetchall()]
        table = dotted(self.schema, self.table)
        return tuple((name, text) for name, text in named if _tail(text, name, table, unique=self.unique) == own)

    def _own_tail(self, conn: Session) -> str | None:
        try:
            with stand_in(conn, self.schema, self.table) as table:
                conn.execute(self.statement("", table).encode())
                row = conn.execute(
                    "select pg_catalog.pg_get_indexdef(c.oid), c.relnamespace::pg_catalog.regnamespace::text"
                    " from pg_catalog.pg_class as c"
                    " where c.relnamespace = pg_catalog.pg_my_temp_schema() and c.relname = %(name)s",
                    {"name": self.index},
                ).fetchone()
        except psycopg.ProgrammingError as exc:
            raise Refused(f"the server does not accept the definition of {self.object[1]}: {first_line(exc)}") from exc
        if row is None:
            return None
        places = ("pg_temp", str(row[1]))  # before 15 the schema is printed by its real name
        tails = (_tail(str(row[0]), self.index, f"{place}.{quote(self.table)}", unique=self.unique) for place in places)
        return next((tail for tail in tails if tail is not None), None)


def _tail(definition: str, index: str, table: str, *, unique: bool) -> str | None:
    """What follows the table's name in a printed definition; None when the part before it is another."""
    for only in ("", "ONLY "):  # so is a partitioned index printed
        head = f"CREATE {'UNIQUE ' if unique else ''}INDEX {quote(index)} ON {only}{table} "
        if definition.startswith(head):
            return definition[len(head) :]
    return None


def index_name(table: str, keys: Sequence[str], *, special: str = "", taken: Collection[str] = ()) -> str:
    """A name of at most 63 bytes, like PostgreSQL's own, with a hash where the plain one would say too little.

    >>> index_name("orders", ["customer_id"]), index_name("orders", ["customer_id"], taken=["orders_customer_id_idx"])
    ('orders_customer_id_idx', 'orders_customer_id_idx1')
    """
    stem = "_".join((table, *(key.strip('"') for key in keys)))
    if special or not _is_plain(stem) or len(f"{stem}_idx".encode("utf-8", "replace")) > NAME_BYTES - 2:
        digest = hashlib.sha256(repr((table, tuple(keys), special)).encode("utf-8", "replace")).hexdigest()[:8]
        words = re.sub(r"\W+", "_", stem)
        stem = f"{_cut(words, NAME_BYTES - len(f'_{digest}_idx99'))}_{digest}"
    names = [f"{stem}_idx", *(f"{stem}_idx{number}" for number in range(1, 100))]
    return next((name for name in names if name not in taken), names[0])


def _is_plain(text: str) -> bool:
    return re.fullmatch(r"\w+", text) is not None


def _cut(text: str, limit_bytes: int) -> str:
    """The longest beginning that fits, never half a character."""
    return text.encode("utf-8", "replace")[:limit_bytes].decode("utf-8", "ignore").rstrip("_")


STEP = CreateIndex
