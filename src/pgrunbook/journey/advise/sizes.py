"""How large an index would be on disk: the planner engines' model, corrected by what it says of existing indexes.

The engine `twin` gives its indexes these sizes as well.  HypoPG's own figures leave out that B-trees store equal keys
once, so that real indexes take a third to a half of them.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from statistics import median
from typing import Final

from pgrunbook.journey.planner.sizes import PAGE_BYTES, UNKNOWN_WIDTH_BYTES, IndexColumn, brin_pages, btree
from pgrunbook.journey.workload.candidate import Candidate
from pgrunbook.journey.workload.facts import Facts, TableFacts
from pgrunbook.journey.workload.selectivity import together
from pgrunbook.journey.workload.upkeep import size_bytes

# Types whose equal values may look different, so that PostgreSQL does not store them once.
_NOT_SHARED = frozenset("numeric float4 float8 jsonb json".split())
_ALIGNMENTS = {8: "d", 4: "i", 2: "s"}
CALIBRATED_PAGES_MIN: Final = 64
CALIBRATION_RANGE: Final = (0.8, 1.25)  # beyond it the existing indexes are bloated, or the statistics are wrong


@dataclass(frozen=True, slots=True, kw_only=True)
class Calibration:
    """What the model says of existing indexes: `factor` mends its estimates, `error_ratio` is the median error then."""

    factor: float = 1.0
    error_ratio: float | None = None
    indexes: int = 0


class Sizes:
    """The model, corrected by what it says of the indexes that exist."""

    def __init__(self, facts: Facts, tables: Iterable[int]) -> None:
        self._facts = facts
        self.calibration = calibrated(facts, tables)

    def of(self, candidate: Candidate) -> int:
        """Bytes on disk, in whole pages."""
        table = self._facts.of(candidate.table_oid)
        if candidate.method == "brin":
            return PAGE_BYTES * brin_pages(table.pages, _columns(candidate, table))
        if candidate.method != "btree":
            return size_bytes(candidate, table)
        pages = btree_pages(candidate, table)
        return max(2, round(pages * self.calibration.factor)) * PAGE_BYTES


def btree_pages(candidate: Candidate, table: TableFacts) -> int:
    """What CREATE INDEX would make of a B-tree."""
    kept = together([condition.predicate for condition in candidate.where], table) if candidate.where else 1.0
    return btree(max(1.0, table.rows * kept), _columns(candidate, table)).pages


def _columns(candidate: Candidate, table: TableFacts) -> Sequence[IndexColumn]:
    keys = [
        _column(key.key.columns[0], table) if key.key.is_column else IndexColumn(length_bytes=-1, deduplicates=False)
        for key in candidate.keys
    ]
    return [*keys, *(_column(name, table, is_included=True) for name in candidate.include)]


def _column(name: str, table: TableFacts, *, is_included: bool = False) -> IndexColumn:
    column, known = table.table.columns.get(name), table.statistics.get(name)
    length = column.type_length_bytes if column is not None else -1
    return IndexColumn(
        length_bytes=length,
        alignment=_ALIGNMENTS.get(length, "c"),
        width_bytes=known.average_width_bytes if known is not None else UNKNOWN_WIDTH_BYTES,
        n_distinct=known.n_distinct if known is not None else None,
        null_ratio=known.null_ratio if known is not None else 0.0,
        common_ratios=known.most_common_freqs if known is not None else (),
        deduplicates=column is not None and column.base_type_name not in _NOT_SHARED,
        is_included=is_included,
    )


def calibrated(facts: Facts, tables: Iterable[int]) -> Calibration:
    """Compare the model with the whole B-trees of these tables that are large enough."""
    ratios = []
    for oid in dict.fromkeys(facts.catalog.root(oid) for oid in tables if oid in facts.catalog.tables):
        table = facts.of(oid)
        if table.table.relation.kind == "p":
            continue
        for each in table.indexes:
            index = each.index
            is_plain = index.access_method == "btree" and not each.is_partial and all(index.key_columns)
            if not is_plain or not index.is_valid or index.pages < CALIBRATED_PAGES_MIN or table.rows < 1:
                continue
            columns = [_column(name, table) for name in index.key_columns]
            columns += [_column(name, table, is_included=True) for name in index.included_columns]
            ratios.append(index.pages / btree(table.rows, columns, is_unique=index.is_unique).pages)
    if not ratios:
        return Calibration()
    low, high = CALIBRATION_RANGE
    factor = min(high, max(low, median(ratios)))
    error = median(abs(ratio / factor - 1) for ratio in ratios)
    return Calibration(factor=factor, error_ratio=error, indexes=len(ratios))
