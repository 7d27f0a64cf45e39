"""Switch row security on for a table and, where it has them, its partitions."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import ClassVar

from pgrunbook.errors import Refused
from pgrunbook.journey.steps.step import Before, Change, Stage
from pgrunbook.model import Kind, Lock, Server, dotted
from pgrunbook.pg.connect import Session

_TABLES = """/* pgrunbook: enable_row_security */
select t.name, c.relrowsecurity,
       array(select p.polname::text from pg_catalog.pg_policy as p where p.polrelid = c.oid order by p.polname)
from pg_catalog.unnest(%(tables)s::text[]) as t (name)
join pg_catalog.pg_class as c on c.oid = pg_catalog.to_regclass(t.name) and c.relkind in ('r', 'p')"""


@dataclass(frozen=True, slots=True, kw_only=True)
class _Table:
    name: str
    is_on: bool
    policies: tuple[str, ...]


@dataclass(frozen=True, slots=True, kw_only=True)
class EnableRowSecurity(Change):
    """`partitions` are `schema.name` as PostgreSQL quotes them; each needs its own, for it can be read by itself."""

    kind: ClassVar[str] = "enable_row_security"
    stage: ClassVar[Stage] = Stage.RULE

    schema: str
    table: str
    partitions: tuple[str, ...] = ()

    @property
    def title(self) -> str:
        also = f" and {len(self.partitions)} of its partitions" if self.partitions else ""
        return f"Enable row security on {self.object[1]}{also}"

    @property
    def object(self) -> tuple[Kind, str]:
        return Kind.TABLE, dotted(self.schema, self.table)

    @property
    def lock(self) -> Lock:
        """For milliseconds; but until it is granted, everybody queues behind it."""
        return Lock.ACCESS_EXCLUSIVE

    @property
    def lock_budget_s(self) -> float:
        """Everybody queues behind it for no longer than this at a time."""
        return 0.5

    @property
    def risk(self) -> str:
        return (
            "Without a policy that lets them, nobody but its owner and roles that bypass row security sees or writes"
            " any row."
        )

    def statements(self) -> tuple[str, ...]:
        return tuple(f"ALTER TABLE {name} ENABLE ROW LEVEL SECURITY" for name in self._names)

    def undo_statements(self, before: Before | None = None) -> tuple[str, ...]:
        names = self._names if before is None else _texts(before, "off")
        return tuple(f"ALTER TABLE {name} DISABLE ROW LEVEL SECURITY" for name in names)

    def precheck(self, conn: Session, server: Server) -> None:
        """Refuse when a table is gone."""
        self._tables(conn)

    def capture(self, conn: Session) -> Before:
        """Which of them had none, and the policies that stood by."""
        tables = self._tables(conn)
        return {"off": tuple(table.name for table in tables if not table.is_on), "policies": _policies(tables)}

    def do(self, conn: Session) -> None:
        """Enable it where it is off, on all of them at once."""
        with conn.transaction():
            for table in self._tables(conn):
                if not table.is_on:
                    conn.execute(f"ALTER TABLE {table.name} ENABLE ROW LEVEL SECURITY".encode())

    def undo(self, conn: Session, before: Before) -> None:
        """Disable it where it was off, unless someone has made policies since: these would no longer hold."""
        off = set(_texts(before, "off"))
        with conn.transaction():
            tables = self._tables(conn)
            todo = [table for table in tables if table.name in off and table.is_on]
            if todo and set(_policies(tables)) - set(_texts(before, "policies")):
                raise Refused(
                    f"{self.object[1]} has got policies since; without row security they would not hold",
                    hint="Drop the policies first if everybody shall see every row.",
                )
            for table in todo:
                conn.execute(f"ALTER TABLE {table.name} DISABLE ROW LEVEL SECURITY".encode())

    def done(self, conn: Session, before: Before | None = None) -> bool:
        return all(table.is_on for table in self._tables(conn))

    @property
    def _names(self) -> tuple[str, ...]:
        return (self.object[1], *self.partitions)

    def _tables(self, conn: Session) -> tuple[_Table, ...]:
        rows = conn.execute(_TABLES, {"tables": list(self._names)}).fetchall()
        found = {str(row[0]): _Table(name=str(row[0]), is_on=bool(row[1]), policies=tuple(row[2])) for row in rows}
        missing = [name for name in self._names if name not in found]
        if missing:
            raise Refused(f"there is no table {', '.join(missing)}")
        return tuple(found[name] for name in self._names)


def _policies(tables: Sequence[_Table]) -> tuple[str, ...]:
    return tuple(f"{table.name} {policy}" for table in tables for policy in table.policies)


def _texts(before: Before, name: str) -> tuple[str, ...]:
    held = before[name]
    return tuple(str(item) for item in held) if isinstance(held, tuple) else ()


STEP = EnableRowSecurity
