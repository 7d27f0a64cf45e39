"""A B-tree that is mostly air.

Asks:    how much of each larger B-tree is free space that only a rebuild gives back?
Unit:    share of the index that is wasted, 0..1.
Source:  pgstatindex (pgstattuple) where it is installed and allowed, else an estimate from pg_class and pg_stats that
         knows deduplication and fillfactor.
Blind:   without pgstattuple, where statistics are stale, hidden or missing: a wrong estimate is worse than none.
Says:    About {wasted_bytes} of the {size_bytes} of {object} are free space ({wasted_ratio}, {basis}).  A rebuild gives
         them back.
Section: Maintenance Operations
Leads:   reindex
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass

from pgrunbook.journey.diagnose.btree_size import expected_bytes
from pgrunbook.journey.diagnose.check import Check
from pgrunbook.journey.diagnose.column_facts import ColumnFacts
from pgrunbook.journey.diagnose.seen import Seen
from pgrunbook.journey.diagnose.trees import table_trees
from pgrunbook.journey.observe.column_statistics import COLUMN_STATISTICS
from pgrunbook.journey.observe.columns import COLUMNS
from pgrunbook.journey.observe.index_density import INDEX_DENSITY, IndexDensity
from pgrunbook.journey.observe.indexes import INDEXES, Index
from pgrunbook.journey.observe.relations import RELATIONS
from pgrunbook.journey.observe.table_activity import TABLE_ACTIVITY, TableActivity
from pgrunbook.model import Advice, Basis, Blind, Effect, Finding, Kind, Lock, Severity, Verdict

DEFAULT_FILLFACTOR = 90


@dataclass(frozen=True, slots=True, kw_only=True)
class Limits:
    """Random inserts leave a healthy B-tree a third empty (ln 2 = 69 % full), so half is where a rebuild pays.

    An estimate is some points off even with fresh statistics and needs more.  Statistics are stale when
    `stale_ratio` of the rows changed since ANALYZE.  Below `small_bytes` there is nothing to gain.  An index
    on an expression is suspect above `plump_bytes_per_row`: a full page holds a key of 40 bytes at that rate.
    """

    measured_ratio: float = 0.5
    estimated_ratio: float = 0.6
    wasted_bytes: int = 1 << 19
    small_bytes: int = 1 << 19
    stale_ratio: float = 0.2
    plump_bytes_per_row: int = 60


def judge(seen: Seen, limits: Limits) -> Iterator[Verdict]:
    """One finding an index that holds rows; each partition's own is rebuilt on its own, so each is counted."""
    measured = {row.oid: row for row in seen.rows_or_none(INDEX_DENSITY) or ()}
    activity = {row.oid: row for row in seen.rows(TABLE_ACTIVITY)}
    facts, stale = ColumnFacts(seen=seen), list[str]()
    for index in seen.rows(INDEXES):
        if not _is_candidate(index, limits):
            continue
        if index.oid in measured:
            yield from _measured(index, measured[index.oid], limits)
        elif _is_stale(index, activity, limits):
            stale.append(index.qualified)
        else:
            yield from _estimated(seen, index, facts, limits)
    yield from facts.blind()
    if stale:
        yield Blind(
            object=stale[0] if len(stale) == 1 else None,
            reason=f"statistics are too old to estimate the size of {', '.join(stale[:3])}"
            + (" …" if len(stale) > 3 else ""),
            cure="ANALYZE the table, or measure: CREATE EXTENSION pgstattuple;",
        )


def _is_candidate(index: Index, limits: Limits) -> bool:
    return (
        index.is_valid
        and index.access_method == "btree"
        and index.table_kind != "p"
        and index.size_bytes >= limits.small_bytes
        and not index.of_extension
    )


def _is_stale(index: Index, activity: Mapping[int, TableActivity], limits: Limits) -> bool:
    row = activity.get(index.table_oid)
    return row is None or row.modified_rows > limits.stale_ratio * max(index.estimated_rows, 1.0)


def _fillfactor(index: Index) -> float:
    held = [option.partition("=")[2] for option in index.options if option.startswith("fillfactor=")]
    return (float(held[0]) if held else DEFAULT_FILLFACTOR) / 100


def _measured(index: Index, seen_pages: IndexDensity, limits: Limits) -> Iterator[Finding]:
    pages = seen_pages.leaf_pages + seen_pages.internal_pages + seen_pages.empty_pages + 1
    page_bytes = seen_pages.size_bytes / pages if pages else 0
    full = min(seen_pages.leaf_density_ratio / _fillfactor(index), 1.0)
    wasted = round((seen_pages.leaf_pages * (1 - full) + seen_pages.empty_pages) * page_bytes)
    if wasted >= limits.wasted_bytes and wasted >= limits.measured_ratio * seen_pages.size_bytes:
        yield _finding(index, wasted, seen_pages.size_bytes, Basis.MEASURED)


def _estimated(seen: Seen, index: Index, facts: ColumnFacts, limits: Limits) -> Iterator[Verdict]:
    table = seen.derived(table_trees).get(index.table_oid)
    if table is None or index.estimated_rows < 0:
        return
    if not all(index.columns):  # the width of an expression is not among the statistics of columns
        if index.size_bytes > limits.plump_bytes_per_row * index.estimated_rows:
            yield Blind(
                object=index.qualified,
                reason="the size of an index on an expression cannot be estimated",
                cure="CREATE EXTENSION pgstattuple;",
            )
        return
    known = [facts.of_leaf(index.table_oid, name) for name in index.columns]
    columns = [one for one in known if one is not None]
    if len(columns) < len(known):
        return
    expected = expected_bytes(index, columns, fillfactor=_fillfactor(index))
    wasted = round(index.size_bytes - expected)
    if wasted >= limits.wasted_bytes and wasted >= limits.estimated_ratio * index.size_bytes:
        yield _finding(index, wasted, index.size_bytes, Basis.ESTIMATED)


def _finding(index: Index, wasted_bytes: int, size_bytes: int, basis: Basis) -> Finding:
    return Finding(
        severity=Severity.WARNING,
        kind=Kind.INDEX,
        object=index.qualified,
        related=(index.table,),
        evidence={
            "table": index.table,
            "size_bytes": size_bytes,
            "wasted_ratio": round(wasted_bytes / size_bytes, 3),
            "rows": round(max(index.estimated_rows, 0.0)),
            "basis": basis.value,
        },
        effect=Effect(basis=basis, figures={"wasted_bytes": wasted_bytes}),
        advice=(
            Advice(
                title=f"Rebuild index {index.qualified}",
                sql=f"REINDEX INDEX CONCURRENTLY {index.qualified};",
                lock=Lock.SHARE_UPDATE_EXCLUSIVE,
                risk="It needs room for a second copy, and waits for transactions that are older than itself.",
            ),
        ),
    )


CHECK = Check(
    needs=(INDEXES, RELATIONS, TABLE_ACTIVITY),
    likes=(INDEX_DENSITY, COLUMNS, COLUMN_STATISTICS),
    judge=judge,
    limits=Limits(),
)
