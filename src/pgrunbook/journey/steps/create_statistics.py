"""Tell the planner that columns depend on each other (CREATE STATISTICS), and gather what it needs to know of them."""

from __future__ import annotations

import time
from collections.abc import Sequence
from dataclasses import dataclass
from typing import ClassVar

import psycopg

from pgrunbook.errors import Refused, UsageError
from pgrunbook.journey.steps.analyze import MAY_MAINTAIN, NEWS_WAIT_S, may_not_maintain
from pgrunbook.journey.steps.create_index import NAME_BYTES, index_name
from pgrunbook.journey.steps.standin import stand_in
from pgrunbook.journey.steps.step import Before, Change, Stage
from pgrunbook.model import Kind, Lock, Server, dotted, quote
from pgrunbook.pg.connect import Session, first_line, into

KINDS = ("ndistinct", "dependencies", "mcv")

_TABLE = f"""/* pgrunbook: create_statistics table */
select c.relkind::text, s.last_analyze::text, {MAY_MAINTAIN}
from pg_catalog.pg_class as c
join pg_catalog.pg_namespace as n on n.oid = c.relnamespace
left join pg_catalog.pg_stat_all_tables as s on s.relid = c.oid
where n.nspname = %(schema)s and c.relname = %(table)s"""

_STATISTICS = """/* pgrunbook: create_statistics */
select tn.nspname::text as table_schema, t.relname::text as table_name,
       pg_catalog.pg_get_statisticsobjdef_columns(s.oid) as columns,
       array(select k::text from pg_catalog.unnest(s.stxkind) as k order by k) as kinds,
       exists (select from pg_catalog.pg_stats_ext as x
               where x.statistics_schemaname = n.nspname and x.statistics_name = s.stxname
                 and (x.n_distinct is not null or x.dependencies is not null or x.most_common_vals is not null))
         or exists (select from pg_catalog.pg_stats_ext_exprs as y
                    where y.statistics_schemaname = n.nspname and y.statistics_name = s.stxname
                      and y.null_frac is not null) as has_figures
from pg_catalog.pg_statistic_ext as s
join pg_catalog.pg_namespace as n on n.oid = s.stxnamespace
join pg_catalog.pg_class as t on t.oid = s.stxrelid
join pg_catalog.pg_namespace as tn on tn.oid = t.relnamespace
where s.stxname = %(name)s
  and case when %(schema)s = 'pg_temp' then n.oid = pg_catalog.pg_my_temp_schema() else n.nspname = %(schema)s end"""


@dataclass(frozen=True, slots=True, kw_only=True)
class _Statistics:
    """What carries the name now.  `has_figures`: ANALYZE has filled it, and we may see that."""

    table_schema: str
    table_name: str
    columns: str
    kinds: tuple[str, ...]
    has_figures: bool


@dataclass(frozen=True, slots=True, kw_only=True)
class CreateStatistics(Change):
    """`keys` are SQL: quoted columns, or expressions in parentheses.  `kinds`: none named means all."""

    kind: ClassVar[str] = "create_statistics"
    stage: ClassVar[Stage] = Stage.UPKEEP

    schema: str
    table: str
    keys: tuple[str, ...]
    kinds: tuple[str, ...] = ()
    name: str | None = None

    @property
    def statistics(self) -> str:
        """The name of the statistics object."""
        return self.name if self.name is not None else statistics_name(self.table, self.keys, self.kinds)

    @property
    def title(self) -> str:
        return f"Create statistics {self._qualified} on {dotted(self.schema, self.table)}"

    @property
    def object(self) -> tuple[Kind, str]:
        return Kind.TABLE, dotted(self.schema, self.table)

    @property
    def lock(self) -> Lock:
        """Reads and writes go on."""
        return Lock.SHARE_UPDATE_EXCLUSIVE

    @property
    def lock_budget_s(self) -> float:
        """Nobody who reads or writes queues behind it; a running autovacuum gives way after deadlock_timeout."""
        return 5.0

    @property
    def risk(self) -> str:
        return "Plans may change, as they do after each autovacuum; ANALYZE takes a little longer from now on."

    def statements(self) -> tuple[str, ...]:
        return (self._create(self._qualified, self.object[1]), f"ANALYZE {self.object[1]}")

    def undo_statements(self, before: Before | None = None) -> tuple[str, ...]:
        return (f"DROP STATISTICS {self._qualified}",)

    def precheck(self, conn: Session, server: Server) -> None:
        """Refuse names that are taken or too long, kinds that do not exist, and a table that is not ours."""
        if len(self.statistics.encode("utf-8", "surrogateescape")) > NAME_BYTES:
            raise UsageError(f"the name {quote(self.statistics)} is longer than {NAME_BYTES} bytes")
        unknown = [kind for kind in self.kinds if kind not in KINDS]
        if unknown:
            raise UsageError(f"{unknown[0]!r} is not a kind of statistics: {', '.join(KINDS)}")
        if not self._row(conn)[1]:
            raise may_not_maintain(self.object[1])
        found = self._find(conn)
        if found is not None and not self._is_ours(conn, found):
            raise Refused(f"the name {self._qualified} is taken by other statistics", hint="Choose another name.")

    def capture(self, conn: Session) -> Before:
        return {"existed": self._find(conn) is not None, "last_analyze": self._row(conn)[0]}

    def do(self, conn: Session) -> None:
        """Make it, if it is not there, then gather."""
        if self._find(conn) is None:
            conn.execute(self.statements()[0].encode("utf-8", "surrogateescape"))
        conn.execute(self.statements()[1].encode("utf-8", "surrogateescape"))

    def mend(self, conn: Session, before: Before) -> None:
        """Drop it when it was made and the gathering failed."""
        found = self._find(conn)
        if found is not None and not found.has_figures:
            self.undo(conn, before)

    def undo(self, conn: Session, before: Before) -> None:
        """Drop it, unless it is another by now."""
        found = self._find(conn)
        if before["existed"] or found is None:
            return
        if not self._is_ours(conn, found):
            raise Refused(f"{self._qualified} has another definition by now; someone else made it")
        conn.execute(self.undo_statements()[0].encode("utf-8", "surrogateescape"))

    def done(self, conn: Session, before: Before | None = None) -> bool:
        """Whether it is there and filled; where its figures are hidden from us, whether there was an ANALYZE since."""
        found = self._find(conn)
        if found is None or not self._is_ours(conn, found):
            return False
        return found.has_figures or (before is not None and self._was_analyzed(conn, before))

    def _was_analyzed(self, conn: Session, before: Before) -> bool:
        deadline = time.monotonic() + NEWS_WAIT_S
        while True:
            last = self._row(conn)[0]
            if last is not None and last != before["last_analyze"]:
                return True
            if time.monotonic() > deadline:
                return False
            time.sleep(0.1)

    @property
    def _qualified(self) -> str:
        return dotted(self.schema, self.statistics)

    def _create(self, name: str, table: str) -> str:
        kinds = f" ({', '.join(self.kinds)})" if self.kinds else ""
        return f"CREATE STATISTICS {name}{kinds} ON {', '.join(self.keys)} FROM {table}"

    def _find(self, conn: Session, schema: str | None = None) -> _Statistics | None:
        place = {"schema": schema if schema is not None else self.schema, "name": self.statistics}
        with conn.cursor(row_factory=into(_Statistics)) as cursor:
            return cursor.execute(_STATISTICS, place).fetchone()

    def _is_ours(self, conn: Session, found: _Statistics) -> bool:
        """Whether it is what we would make: the same columns and kinds of the same table, as the server prints them."""
        if (found.table_schema, found.table_name) != (self.schema, self.table):
            return False
        try:
            with stand_in(conn, self.schema, self.table) as table:
                made = self._create(f"pg_temp.{quote(self.statistics)}", table)
                conn.execute(made.encode("utf-8", "surrogateescape"))
                own = self._find(conn, "pg_temp")
        except psycopg.ProgrammingError as exc:
            raise Refused(f"the server does not accept the definition of {self._qualified}: {first_line(exc)}") from exc
        return own is not None and (own.columns, own.kinds) == (found.columns, found.kinds)

    def _row(self, conn: Session) -> tuple[str | None, bool]:
        """When the table was last analyzed by hand, and whether we may."""
        row = conn.execute(_TABLE, {"schema": self.schema, "table": self.table}).fetchone()
        if row is None or row[0] not in {"r", "m", "p"}:
            raise Refused(f"there is no table {self.object[1]}")
        return row[1], bool(row[2])


def statistics_name(table: str, keys: Sequence[str], kinds: Sequence[str] = ()) -> str:
    """A name of at most 63 bytes, like PostgreSQL's own.

    >>> statistics_name("orders", ["city", "zip"])
    'orders_city_zip_stat'
    """
    name = index_name(table, keys, special=" ".join(kinds))
    return f"{name.removesuffix('_idx')}_stat"


STEP = CreateStatistics
