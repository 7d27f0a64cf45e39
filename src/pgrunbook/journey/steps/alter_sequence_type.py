"""Give a sequence a wider type, so that it does not run out; the undo gives it its old type and bounds again.

The column that it feeds must be wide enough already: widening that rewrites the table, which we do not do by ourselves.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import ClassVar

from pgrunbook.errors import Refused, UsageError
from pgrunbook.journey.steps.step import Before, Change, Stage
from pgrunbook.model import Kind, Lock, Server, dotted
from pgrunbook.pg.connect import Session, into

TYPES = ("smallint", "integer", "bigint")

_SEQUENCE = """/* pgrunbook: alter_sequence_type */
select pg_catalog.format_type(s.seqtypid, null) as type_name, s.seqmin::int8 as min_value, s.seqmax::int8 as max_value,
       s.seqincrement > 0 as is_ascending,
       coalesce((
         select pg_catalog.format_type(a.atttypid, null)
         from pg_catalog.pg_depend as d
         join pg_catalog.pg_attribute as a on a.attrelid = d.refobjid and a.attnum = d.refobjsubid
         where d.classid = 'pg_catalog.pg_class'::regclass and d.objid = c.oid and d.deptype in ('a', 'i')
           and d.refclassid = 'pg_catalog.pg_class'::regclass and d.refobjsubid > 0
         limit 1), '') as column_type
from pg_catalog.pg_sequence as s
join pg_catalog.pg_class as c on c.oid = s.seqrelid
join pg_catalog.pg_namespace as n on n.oid = c.relnamespace
where n.nspname = %(schema)s and c.relname = %(name)s"""


@dataclass(frozen=True, slots=True, kw_only=True)
class _Sequence:
    """A sequence's type and bounds, and the type of the column that owns it."""

    type_name: str
    min_value: int
    max_value: int
    is_ascending: bool
    column_type: str


@dataclass(frozen=True, slots=True, kw_only=True)
class AlterSequenceType(Change):
    """Up to the type's own limit in the direction in which it counts; the other bound stays."""

    kind: ClassVar[str] = "alter_sequence_type"
    stage: ClassVar[Stage] = Stage.RULE

    schema: str
    name: str
    type_name: str = "bigint"
    descending: bool = False

    @property
    def title(self) -> str:
        return f"Widen sequence {dotted(self.schema, self.name)} to {self.type_name}"

    @property
    def object(self) -> tuple[Kind, str]:
        return Kind.TABLE, dotted(self.schema, self.name)

    @property
    def lock(self) -> Lock:
        """On the sequence alone, for milliseconds; whoever wants its next value waits."""
        return Lock.SHARE_ROW_EXCLUSIVE

    @property
    def lock_budget_s(self) -> float:
        """Inserts queue behind it for no longer than this at a time."""
        return 0.5

    @property
    def risk(self) -> str:
        return "Programs that read its values into 32 bits overflow later.  No way back once it is past the old limit."

    def statements(self) -> tuple[str, ...]:
        bound = "MINVALUE" if self.descending else "MAXVALUE"
        return (f"ALTER SEQUENCE {self.object[1]} AS {self.type_name} NO {bound}",)

    def undo_statements(self, before: Before | None = None) -> tuple[str, ...]:
        if before is None:
            return ()
        bounds = f"MINVALUE {before['min_value']} MAXVALUE {before['max_value']}"
        return (f"ALTER SEQUENCE {self.object[1]} AS {before['type_name']} {bounds}",)

    def precheck(self, conn: Session, server: Server) -> None:
        """Refuse what is no sequence, a narrower type, and a column that could not hold the values."""
        if self.type_name not in TYPES:
            raise UsageError(f"{self.type_name!r} is not a type of sequences: {', '.join(TYPES)}")
        sequence = self._known(conn)
        if sequence.is_ascending is self.descending:
            raise Refused(f"{self.object[1]} counts in the other direction by now")
        if TYPES.index(sequence.type_name) > TYPES.index(self.type_name):
            raise Refused(f"{self.object[1]} is of type {sequence.type_name} already, which is wider")
        if sequence.column_type in TYPES and TYPES.index(sequence.column_type) < TYPES.index(self.type_name):
            raise Refused(
                f"the column of {self.object[1]} is of type {sequence.column_type}: it would not hold more",
                hint="Widen the column first, in a maintenance window: its table is rewritten.",
            )

    def capture(self, conn: Session) -> Before:
        sequence = self._known(conn)
        return {
            "type_name": sequence.type_name,
            "min_value": sequence.min_value,
            "max_value": sequence.max_value,
        }

    def do(self, conn: Session) -> None:
        if not self.done(conn):
            conn.execute(self.statements()[0].encode("utf-8", "surrogateescape"))

    def undo(self, conn: Session, before: Before) -> None:
        """Restore type and bounds, unless someone changed them since; past the old limit the server refuses."""
        sequence = self._known(conn)
        now = {
            "type_name": sequence.type_name,
            "min_value": sequence.min_value,
            "max_value": sequence.max_value,
        }
        if now == dict(before):
            return
        if not self._is_ours(sequence):
            raise Refused(f"{self.object[1]} has another type or other bounds by now; someone changed them since")
        conn.execute(self.undo_statements(before)[0].encode("utf-8", "surrogateescape"))

    def done(self, conn: Session, before: Before | None = None) -> bool:
        return self._is_ours(self._known(conn))

    def _is_ours(self, sequence: _Sequence) -> bool:
        bits = {"smallint": 15, "integer": 31, "bigint": 63}[self.type_name]
        far = sequence.min_value == -(2**bits) if self.descending else sequence.max_value == 2**bits - 1
        return sequence.type_name == self.type_name and far

    def _known(self, conn: Session) -> _Sequence:
        with conn.cursor(row_factory=into(_Sequence)) as cursor:
            found = cursor.execute(_SEQUENCE, {"schema": self.schema, "name": self.name}).fetchone()
        if found is None:
            raise Refused(f"there is no sequence {self.object[1]}")
        return found


STEP = AlterSequenceType
