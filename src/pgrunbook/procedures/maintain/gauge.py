"""Measures each step of maintenance, and stops taking steps when the time is up or the database came under pressure.

Figures come from the catalog as the step itself left them (pages, dead rows); nothing opens the relation.
"""

from __future__ import annotations

import time
from collections.abc import Callable
from dataclasses import dataclass, field

from pgrunbook.errors import Refused
from pgrunbook.journey.act.verifier import Figures
from pgrunbook.model import Value
from pgrunbook.model.plan import Judgement, Phase, PlannedStep, Progress
from pgrunbook.pg.connect import Session, translated
from pgrunbook.report.words import counted, duration, size

_SIZE = """/* pgrunbook: gauge */
select (
         (
           c.relpages::int8 + coalesce(t.relpages, 0)::int8 + coalesce(
             (
               select pg_catalog.sum(x.relpages::int8) from pg_catalog.pg_index as i
               join pg_catalog.pg_class as x on x.oid = i.indexrelid
               where i.indrelid in (c.oid, c.reltoastrelid)
             ), 0
           )
         ) * pg_catalog.current_setting('block_size')::int8
       )::int8,
       s.n_dead_tup::int8,
       s.n_mod_since_analyze::int8
from pg_catalog.pg_class as c
join pg_catalog.pg_namespace as n on n.oid = c.relnamespace
left join pg_catalog.pg_class as t on t.oid = c.reltoastrelid
left join pg_catalog.pg_stat_all_tables as s on s.relid = c.oid
where n.nspname = %(schema)s and c.relname = %(name)s"""


@dataclass(slots=True, kw_only=True)
class Gauge:
    """A verifier that keeps every step.  `forbidden` says why no further step may be begun, or nothing."""

    longest_s: float
    forbidden: Callable[[Session], str] = lambda _: ""
    started: float = field(default_factory=time.monotonic)
    is_before: bool = False

    def tell(self, news: Progress) -> None:
        """Hear of the run's phases: only before a step may it be refused."""
        if news.phase in {Phase.MEASURE_BEFORE, Phase.MEASURE_AFTER}:
            self.is_before = news.phase is Phase.MEASURE_BEFORE

    def measure(self, conn: Session, planned: PlannedStep) -> Figures:
        """Size with indexes and TOAST, dead and changed rows.  Raises Refused before a step that may not be begun."""
        if self.is_before:
            self._may_begin(conn)
        params = planned.step.params
        names = {"schema": params.get("schema"), "name": params.get("table") or params.get("name")}
        with translated("measuring"):
            row = conn.execute(_SIZE, names).fetchone()
        if row is None:
            return {}
        found = dict(zip(("size_bytes", "dead_rows", "changed_rows"), row, strict=True))
        return {name: int(value) for name, value in found.items() if value is not None}

    def judge(self, planned: PlannedStep, before: Figures, after: Figures) -> Judgement:
        """Kept, with what it brought."""
        parts: list[str] = []
        figures: dict[str, Value] = {}
        for name, kinds in _SHOWN.items():
            was, now = before.get(name), after.get(name)
            if planned.step.kind in kinds and isinstance(was, int) and isinstance(now, int) and was + now:
                parts.append(_WORDS[name](was, now))
                stem, _, unit = name.rpartition("_")
                figures |= {f"{stem}_before_{unit}": was, f"{stem}_after_{unit}": now}
        return Judgement(improved=None, reason=", ".join(parts) or "the catalog shows it", figures=figures)

    def _may_begin(self, conn: Session) -> None:
        spent = time.monotonic() - self.started
        if spent > self.longest_s:
            raise Refused(
                f"the run has lasted {duration(spent)}; no further step is begun after {duration(self.longest_s)}",
                hint="The next run goes on; [maintain] longest_s sets the time.",
            )
        if why := self.forbidden(conn):
            raise Refused(f"no further step is begun: {why}", hint="The next run goes on; --force insists.")


_SHOWN = {
    "size_bytes": ("reindex", "vacuum_full"),
    "dead_rows": ("vacuum", "vacuum_full"),
    "changed_rows": ("analyze",),
}
_WORDS: dict[str, Callable[[int, int], str]] = {
    "size_bytes": lambda was, now: f"{size(was)} → {size(now)}",
    "dead_rows": lambda was, now: f"{counted(was, 'dead row')} → {now:,}",
    "changed_rows": lambda was, now: f"{counted(was, 'changed row')} → {now:,}",
}
