"""A table that is mostly air.

Asks:    how much of each larger table is free room that only new rows of its own can use?
Unit:    bloat_ratio of the table's bytes, 0..1.
Source:  pgstattuple_approx where it is installed and allowed; else an estimate from pg_class and the widths in
         pg_stats.
Blind:   without a measurement, where statistics are stale, hidden or missing, or a column was dropped: measured by
         others, an estimate on stale statistics is off by up to 82 points.
Says:    About {bloat_bytes} of the {size_bytes} of {object} are free room ({bloat_ratio}, {basis}).  Every scan reads
         it.
         A rewrite gives it back; ordinary VACUUM keeps it for new rows of the same table.
Section: Maintenance Operations
Leads:   VACUUM FULL or pg_repack in a maintenance window
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass

from pgrunbook.journey.diagnose import mending
from pgrunbook.journey.diagnose.autovacuum import NEEDS, Upkeep, standby_blind, upkeep
from pgrunbook.journey.diagnose.check import Check
from pgrunbook.journey.diagnose.column_facts import ColumnFacts
from pgrunbook.journey.diagnose.heap_size import columns_of, packed_bytes
from pgrunbook.journey.diagnose.seen import Seen
from pgrunbook.journey.diagnose.trees import table_trees
from pgrunbook.journey.observe.bloat import MEASURED_BLOAT
from pgrunbook.journey.observe.column_statistics import COLUMN_STATISTICS
from pgrunbook.journey.observe.columns import COLUMNS
from pgrunbook.model import Basis, Blind, Effect, Finding, Kind, Severity, Verdict


@dataclass(frozen=True, slots=True, kw_only=True)
class Limits:
    """How much air is a fault.

    One update of every row leaves half a table free, and the next one uses it again: more than `ratio` means that it
    happened several times over, or that most rows are gone for good.  `bytes` are five hundred pages for every scan.
    Statistics are stale when `stale_ratio` of the rows changed since ANALYZE.
    """

    ratio: float = 0.55
    bytes: int = 4 * 1024**2
    stale_ratio: float = 0.2


def judge(seen: Seen, limits: Limits) -> Iterator[Verdict]:
    """One finding a table that holds rows; partitions are rewritten one by one, so each is counted."""
    if (blind := standby_blind(seen)) is not None:
        yield blind
        return
    measured = {row.oid: row for row in seen.rows_or_none(MEASURED_BLOAT) or ()}
    facts, trees, stale = ColumnFacts(seen=seen), seen.derived(table_trees), list[str]()
    for table in seen.derived(upkeep):
        relation = table.relation
        seen_size = measured.get(relation.oid)
        if seen_size is not None:
            free = seen_size.free_bytes
            if free >= limits.bytes and free > limits.ratio * seen_size.size_bytes:
                yield _finding(table, seen_size.size_bytes, free, Basis.MEASURED)
            continue
        if relation.size_bytes < limits.bytes:
            continue
        if _is_stale(table, limits):
            stale.append(relation.qualified)
            continue
        packed = packed_bytes(seen, relation)
        if packed is None:
            for column in seen.derived(columns_of).get(relation.oid, ()):
                facts.of(trees[relation.oid], column.name)
            continue
        free = round(relation.size_bytes - packed)
        if free >= limits.bytes and free > limits.ratio * relation.size_bytes:
            yield _finding(table, relation.size_bytes, free, Basis.ESTIMATED)
    yield from facts.blind()
    if stale:
        yield _stale_blind(stale)


def _is_stale(table: Upkeep, limits: Limits) -> bool:
    """Whether the number of rows that the estimate rests on is out of date."""
    rows = max(table.relation.estimated_rows, 1.0)
    return table.relation.estimated_rows < 0 or table.activity.modified_rows > limits.stale_ratio * rows


def _stale_blind(names: list[str]) -> Blind:
    some = ", ".join(names[:3]) + (" …" if len(names) > 3 else "")
    return Blind(
        object=names[0] if len(names) == 1 else None,
        reason=f"too much changed since ANALYZE to estimate the bloat of {some}",
        cure="\n".join(f"VACUUM (ANALYZE) {name};" for name in names[:20]),
    )


def _finding(table: Upkeep, size_bytes: int, free_bytes: int, basis: Basis) -> Finding:
    return Finding(
        severity=Severity.WARNING,
        kind=Kind.TABLE,
        object=table.relation.qualified,
        evidence={
            "size_bytes": size_bytes,
            "bloat_bytes": free_bytes,
            "bloat_ratio": round(free_bytes / size_bytes, 3),
            "basis": basis.value,
            "rows": round(table.rows),
        },
        effect=Effect(basis=basis, figures={"freed_bytes": free_bytes}),
        advice=(mending.rewrite(table.relation),),
    )


CHECK = Check(
    needs=(*NEEDS, COLUMNS, COLUMN_STATISTICS),
    likes=(MEASURED_BLOAT,),
    judge=judge,
    limits=Limits(),
)
