"""Set or reset a table's storage parameters, most often those of autovacuum; the undo restores the exact list."""

from __future__ import annotations

import re
from collections.abc import Sequence
from dataclasses import dataclass
from typing import ClassVar

from pgrunbook.errors import Refused, UsageError
from pgrunbook.journey.steps.step import Before, Change, Stage
from pgrunbook.model import Kind, Lock, Server, dotted, literal
from pgrunbook.pg.connect import Session

_OPTION_NAME = re.compile(r"(toast\.)?[a-z_]+\Z")

_OPTIONS = """/* pgrunbook: set_autovacuum */
select c.relkind::text,
       coalesce(c.reloptions, array[]::text[]) || coalesce(
         array(select 'toast.' || o.option from pg_catalog.unnest(t.reloptions) with ordinality as o (option, place)
               order by o.place), array[]::text[])
from pg_catalog.pg_class as c
join pg_catalog.pg_namespace as n on n.oid = c.relnamespace
left join pg_catalog.pg_class as t on t.oid = c.reltoastrelid
where n.nspname = %(schema)s and c.relname = %(table)s"""


@dataclass(frozen=True, slots=True, kw_only=True)
class SetAutovacuum(Change):
    """`options` are texts such as `autovacuum_enabled=true`, those of the TOAST table `toast.autovacuum_enabled=…`.

    `reset` are names of options to take away.
    """

    kind: ClassVar[str] = "set_autovacuum"
    stage: ClassVar[Stage] = Stage.SETTING

    schema: str
    table: str
    options: tuple[str, ...] = ()
    reset: tuple[str, ...] = ()

    @property
    def title(self) -> str:
        changes = [*(f"set {option}" for option in self.options), *(f"reset {name}" for name in self.reset)]
        return f"Change storage of {self.object[1]}: {', '.join(changes)}"

    @property
    def object(self) -> tuple[Kind, str]:
        return Kind.TABLE, dotted(self.schema, self.table)

    @property
    def lock(self) -> Lock:
        """Reads and writes go on."""
        return Lock.SHARE_UPDATE_EXCLUSIVE

    @property
    def lock_budget_s(self) -> float:
        """Nobody who reads or writes queues behind it."""
        return 5.0

    def statements(self) -> tuple[str, ...]:
        return self._alter(self.reset, self.options)

    def undo_statements(self, before: Before | None = None) -> tuple[str, ...]:
        if before is None:
            return ()
        held = _pairs(_texts(before))
        back = [f"{name}={value}" for name, value in held.items() if name in self._touched]
        return self._alter([name for name in self._touched if name not in held], back)

    def precheck(self, conn: Session, server: Server) -> None:
        for name in self._touched:
            if not _OPTION_NAME.match(name):
                raise UsageError(f"{name!r} is not the name of a storage parameter")
        if self._read(conn)[0] == "p":
            raise Refused(
                f"{self.object[1]} is partitioned and has no storage parameters of its own",
                hint="Set them on each partition.",
            )

    def capture(self, conn: Session) -> Before:
        return {"options": self._read(conn)[1]}

    def do(self, conn: Session) -> None:
        self._run(conn, self.statements())

    def undo(self, conn: Session, before: Before) -> None:
        """Restore what was touched; the whole list in its old order, when nobody changed anything else since."""
        was = _texts(before)
        now = self._read(conn)[1]
        if now == was:
            return
        left, held, here = _pairs(self.options), _pairs(was), _pairs(now)
        for name in self._touched:
            if here.get(name) not in {left.get(name), held.get(name)}:
                raise Refused(f"{name} of {self.object[1]} is {here.get(name, 'not set')} by now; someone changed it")
        with conn.transaction():
            self._run(conn, self.undo_statements(before))
            restored = self._read(conn)[1]
            if restored != was and sorted(restored) == sorted(was):
                self._run(conn, self._alter(list(_pairs(restored)), was))

    def done(self, conn: Session, before: Before | None = None) -> bool:
        here = _pairs(self._read(conn)[1])
        wanted = _pairs(self.options)
        return all(here.get(name) == wanted.get(name) for name in self._touched)

    @property
    def _touched(self) -> tuple[str, ...]:
        return (*_pairs(self.options), *self.reset)

    def _alter(self, reset: Sequence[str], options: Sequence[str]) -> tuple[str, ...]:
        parts = [f"RESET ({', '.join(reset)})"] if reset else []
        if options:
            pairs = ", ".join(f"{name} = {literal(value)}" for name, value in _pairs(options).items())
            parts.append(f"SET ({pairs})")
        return (f"ALTER TABLE {self.object[1]} {', '.join(parts)}",) if parts else ()

    def _run(self, conn: Session, statements: Sequence[str]) -> None:
        for statement in statements:
            conn.execute(statement.encode())

    def _read(self, conn: Session) -> tuple[str, tuple[str, ...]]:
        row = conn.execute(_OPTIONS, {"schema": self.schema, "table": self.table}).fetchone()
        if row is None or row[0] not in {"r", "m", "p"}:
            raise Refused(f"there is no table {self.object[1]}")
        return str(row[0]), tuple(row[1])


def _texts(before: Before) -> tuple[str, ...]:
    held = before["options"]
    return tuple(str(option) for option in held) if isinstance(held, tuple) else ()


def _pairs(options: Sequence[str]) -> dict[str, str]:
    """Options as the catalog writes them, by name."""
    return {name: value for name, _, value in (option.partition("=") for option in options)}


STEP = SetAutovacuum
