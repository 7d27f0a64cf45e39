"""A query that fetches the same blocks again and again.

Asks:    which statements find few of their blocks in shared buffers, though they have read them before?
Unit:    hit_ratio, 0..1 of the blocks that it touched.
Source:  pg_stat_statements; the size of its tables and their indexes from the catalog, shared_buffers from pg_settings.
         Blocks that are not in shared buffers may still come from the kernel's cache.
Blind:   no pg_stat_statements; without pg_read_all_stats.
Says:    Only {hit_ratio} of the blocks that it needs are in shared buffers; it fetched {read_bytes} in {calls} calls,
         {mean_read_bytes} each.  Waiting for them took {read_wait_ratio} of its time.
         That was in the {window_s} watched.  That was in the {counters_age_s} that its counters cover: {query}
Section: Query Optimization
Leads:   missing_index, table_bloat; shared_buffers
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass

from pgrunbook.journey.diagnose.check import Check
from pgrunbook.journey.diagnose.query_texts import (
    TEXTS,
    TEXTS_LIKE,
    about,
    look_at_plan,
    often_enough,
    query_texts,
    statement_costs,
    unsure,
)
from pgrunbook.journey.diagnose.seen import Seen
from pgrunbook.journey.observe.settings import SETTINGS, by_name
from pgrunbook.journey.workload.costs import BLOCK_BYTES, Cost
from pgrunbook.model import Finding, Kind, Severity, Verdict

SHARED_BUFFERS_DEFAULT = 128 * 1024**2


@dataclass(frozen=True, slots=True, kw_only=True)
class Limits:
    """When a query misses the cache too often.

    `notice_ratio` leaves the runbook's target for the whole server, 95 %, some room; below `warn_ratio` it fetches most
    of what it needs.  `again`: it has fetched its tables so many times over, so it is not that they were cold once.
    `calls`, `blocks`: what runs rarely or reads little (800 kB a call) does no harm.
    """

    notice_ratio: float = 0.9
    warn_ratio: float = 0.5
    again: float = 3.0
    calls: int = 20
    blocks: int = 100


def judge(seen: Seen, limits: Limits) -> Iterator[Verdict]:
    """One finding a statement."""
    yield from unsure(seen)
    costs = seen.derived(statement_costs)
    for cost in costs.toplevel:
        ratio = cost.hit_ratio
        if (
            ratio is not None
            and ratio < limits.notice_ratio
            and cost.calls >= often_enough(costs, limits.calls)
            and cost.read_blocks / cost.calls >= limits.blocks
            and cost.read_blocks >= limits.again * _own_blocks(cost, seen)
        ):
            read_ms = cost.block_read_ms
            yield Finding(
                severity=Severity.WARNING if ratio < limits.warn_ratio else Severity.NOTICE,
                kind=Kind.QUERY,
                object=cost.object,
                evidence=about(
                    cost,
                    costs,
                    seen,
                    hit_ratio=round(ratio, 4),
                    read_bytes=cost.read_blocks * BLOCK_BYTES,
                    mean_read_bytes=round(cost.read_blocks * BLOCK_BYTES / cost.calls),
                    read_wait_ratio=round(min(1.0, read_ms / cost.exec_ms), 4) if read_ms and cost.exec_ms else None,
                ),
                advice=look_at_plan(cost, seen),
            )


def _own_blocks(cost: Cost, seen: Seen) -> float:
    """Blocks of the tables that it names, with their indexes; where they are not known, those of shared buffers."""
    texts = seen.derived(query_texts)
    found = texts.accesses(cost)
    tables = {access.table_oid for access in (found.accesses if found is not None else ())}
    pages = 0
    for table in (texts.facts.of(oid) for oid in tables):
        pages += table.pages + sum(index.index.pages for index in table.indexes)
    if pages and found is not None and not found.unknown:
        return pages
    setting = by_name(seen.rows_or_none(SETTINGS) or ()).get("shared_buffers")
    return max(pages, (setting.number if setting is not None else SHARED_BUFFERS_DEFAULT) / BLOCK_BYTES)


CHECK = Check(needs=TEXTS, likes=TEXTS_LIKE, judge=judge, limits=Limits())
