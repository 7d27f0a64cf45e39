"""A TOAST table that is mostly air or dead.

Asks:    how much of each larger TOAST table is free room or dead chunks?
Unit:    bloat_bytes; bloat_ratio of the TOAST table's bytes, 0..1.
Source:  pg_class of the TOAST table: a chunk holds at most 2 kB, so so many chunks cannot fill so many pages; the rest
         is free.  Dead chunks from the cumulative statistics.
Blind:   on a standby.
Says:    At least {bloat_bytes} of the {size_bytes} in which {object} keeps its long values are free room
         ({bloat_ratio}).
         {dead_chunks} of its {chunks} chunks are dead.
Section: Maintenance Operations
Leads:   vacuum, or VACUUM FULL in a maintenance window
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass

from pgrunbook.journey.diagnose import mending
from pgrunbook.journey.diagnose.autovacuum import NEEDS, Upkeep, settings_of, standby_blind, upkeep
from pgrunbook.journey.diagnose.check import Check
from pgrunbook.journey.diagnose.seen import Seen
from pgrunbook.journey.observe.toast import TOAST, Toast
from pgrunbook.model import Basis, Effect, Finding, Kind, Severity, Verdict

CHUNK_BYTES = 2036  # 1996 bytes of data, the chunk's own columns, headers and line pointer: four fill a page of 8 kB


@dataclass(frozen=True, slots=True, kw_only=True)
class Limits:
    """How much air is a fault: as for tables, more than one update of every value leaves, and worth a rewrite.

    Dead chunks count where autovacuum is late by `trigger_factor` × its trigger and they fill `bytes`.
    """

    ratio: float = 0.55
    bytes: int = 4 * 1024**2
    trigger_factor: float = 1.2


def judge(seen: Seen, limits: Limits) -> Iterator[Verdict]:
    """One finding a table.  Where the table's own rows are overdue, dead_rows says so, and its cure serves."""
    if (blind := standby_blind(seen)) is not None:
        yield blind
        return
    tables = {table.relation.oid: table for table in seen.derived(upkeep)}
    for toast in seen.rows(TOAST):
        table = tables.get(toast.table_oid)
        if table is None:
            continue
        free = round(toast.size_bytes - max(toast.chunks, 0.0) * CHUNK_BYTES) if toast.chunks >= 0 else 0
        if free >= limits.bytes and free > limits.ratio * toast.size_bytes:
            yield _finding(table, toast, free, is_dead=False)
        elif not table.needs_vacuum and _is_overdue(seen, table, toast, limits):
            yield _finding(table, toast, toast.dead_chunks * CHUNK_BYTES, is_dead=True)


def _is_overdue(seen: Seen, table: Upkeep, toast: Toast, limits: Limits) -> bool:
    if toast.dead_chunks * CHUNK_BYTES < limits.bytes:
        return False
    settings = seen.derived(settings_of)
    own = dict(option.partition("=")[::2] for option in table.relation.toast_options)

    def of(name: str) -> float:
        value = own.get(name) or table.relation.option(name)  # a TOAST table without its own options uses its table's
        return float(value) if value is not None else settings[name].number

    trigger = of("autovacuum_vacuum_threshold") + of("autovacuum_vacuum_scale_factor") * max(toast.chunks, 0.0)
    is_much = toast.dead_chunks > limits.ratio * (toast.live_chunks + toast.dead_chunks) / 2
    return is_much and toast.dead_chunks > limits.trigger_factor * trigger


def _finding(table: Upkeep, toast: Toast, wasted_bytes: int, *, is_dead: bool) -> Finding:
    size = max(toast.size_bytes, wasted_bytes)
    vacuum, rewrite = mending.vacuum(table.relation), mending.rewrite(table.relation)
    return Finding(
        severity=Severity.WARNING,
        kind=Kind.TABLE,
        object=table.relation.qualified,
        evidence={
            "size_bytes": size,
            "bloat_bytes": None if is_dead else wasted_bytes,
            "bloat_ratio": None if is_dead else round(wasted_bytes / size, 3),
            "dead_chunks": toast.dead_chunks if is_dead else None,
            "chunks": (toast.live_chunks + toast.dead_chunks) if is_dead else round(max(toast.chunks, 0.0)),
        },
        effect=Effect(basis=Basis.ESTIMATED, figures={"freed_bytes": wasted_bytes}),
        advice=(vacuum,) if is_dead else (rewrite,),
    )


CHECK = Check(needs=(*NEEDS, TOAST), judge=judge, limits=Limits())
