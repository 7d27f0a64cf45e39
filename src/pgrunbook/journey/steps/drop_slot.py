"""Drop a replication slot that nobody reads; what it held back can be removed, and its reader must be built again."""

from __future__ import annotations

from dataclasses import dataclass
from typing import ClassVar

from pgrunbook.errors import Refused
from pgrunbook.journey.steps.step import Before, Irreversible, Stage
from pgrunbook.model import Kind, Server, literal, quote
from pgrunbook.pg.connect import Session

_SLOT = """/* pgrunbook: drop_slot */
select s.active, s.restart_lsn::text, s.confirmed_flush_lsn::text, s.slot_type, s.plugin::text, s.database::text,
       s.xmin::text, s.catalog_xmin::text, s.wal_status, s.temporary, s.two_phase
from pg_catalog.pg_replication_slots as s
where s.slot_name = %(name)s"""

_COLUMNS = (
    "active restart_lsn confirmed_flush_lsn type plugin database xmin catalog_xmin wal_status temporary two_phase"
).split()

# In one statement, so that nobody can come in between; the server itself refuses a slot that became active.
_DROP = """/* pgrunbook: drop_slot */
with still_the_same as materialized (
  select s.slot_name
  from pg_catalog.pg_replication_slots as s
  where s.slot_name = %(name)s and not s.active
    and s.restart_lsn::text is not distinct from %(restart_lsn)s::text
    and s.confirmed_flush_lsn::text is not distinct from %(confirmed_flush_lsn)s::text
)
select pg_catalog.pg_drop_replication_slot(t.slot_name) from still_the_same as t"""


@dataclass(frozen=True, slots=True, kw_only=True)
class DropSlot(Irreversible):
    """`restart_lsn` and `confirmed_flush_lsn` are where it stood when it was found: a slot that moves is in use."""

    kind: ClassVar[str] = "drop_slot"
    stage: ClassVar[Stage] = Stage.RELEASE

    name: str
    restart_lsn: str | None
    confirmed_flush_lsn: str | None = None

    @property
    def title(self) -> str:
        return f"Drop replication slot {quote(self.name)}"

    @property
    def object(self) -> tuple[Kind, str]:
        return Kind.SLOT, quote(self.name)

    @property
    def risk(self) -> str:
        return "No way back: its reader, should it ever return, has to be built anew."

    def statements(self) -> tuple[str, ...]:
        return (f"SELECT pg_drop_replication_slot({literal(self.name)})",)

    def precheck(self, conn: Session, server: Server) -> None:
        """Refuse a slot that is read, or that moved since it was found."""
        row = conn.execute(_SLOT, {"name": self.name}).fetchone()
        if row is None:
            return
        if row[0]:
            raise Refused(f"replication slot {quote(self.name)} is in use; it is not dropped")
        if (row[1], row[2]) != (self.restart_lsn, self.confirmed_flush_lsn):
            raise Refused(
                f"replication slot {quote(self.name)} moved from {self.restart_lsn} to {row[1]}: somebody reads it",
                hint="Diagnose again and look who its reader is.",
            )

    def capture(self, conn: Session) -> Before:
        """Everything that is known of it, for whoever has to build its reader again."""
        row = conn.execute(_SLOT, {"name": self.name}).fetchone()
        return dict(zip(_COLUMNS, row, strict=True)) if row is not None else {}

    def do(self, conn: Session) -> None:
        conn.execute(
            _DROP,
            {
                "name": self.name,
                "restart_lsn": self.restart_lsn,
                "confirmed_flush_lsn": self.confirmed_flush_lsn,
            },
        )

    def done(self, conn: Session, before: Before | None = None) -> bool:
        return conn.execute(_SLOT, {"name": self.name}).fetchone() is None


STEP = DropSlot
