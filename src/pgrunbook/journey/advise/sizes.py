"""How large an index would be on disk: B-trees with equal keys stored once (deduplication), checked on existing ones.

The figures are those of PostgreSQL's own build (nbtsort.c): leaves filled to 90 %, posting lists of at most 812 bytes.
What equal keys spare cannot be told for several columns together; they are taken as independent.
"""

from __future__ import annotations

import math
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from statistics import median
from typing import Final

from pgrunbook.journey.workload.candidate import Candidate, IndexKey
from pgrunbook.journey.workload.expressions import column_key
from pgrunbook.journey.workload.facts import Facts, TableFacts
from pgrunbook.journey.workload.selectivity import together
from pgrunbook.journey.workload.upkeep import size_bytes

PAGE_BYTES: Final = 8192
LEAF_BYTES: Final = 8192 - 24 - 16 - 819  # page header, special space, what fillfactor 90 leaves free
POSTING_BYTES: Final = 812
POINTER_BYTES: Final = 6
TUPLE_BYTES: Final = 8
LINE_BYTES: Final = 4
INNER_FILL: Final = 0.7
UNKNOWN_WIDTH_BYTES: Final = 16
BRIN_RANGE_PAGES: Final = 128
# Types whose equal values may look different, so that PostgreSQL does not store them once.
_NOT_SHARED = frozenset("numeric float4 float8 jsonb json".split())
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
            return PAGE_BYTES * (3 + math.ceil(table.pages / BRIN_RANGE_PAGES * 32 / PAGE_BYTES))
        if candidate.method != "btree":
            return size_bytes(candidate, table)
        bare = btree_bytes(candidate, table)
        return max(2, round(bare * self.calibration.factor / PAGE_BYTES)) * PAGE_BYTES


def btree_bytes(candidate: Candidate, table: TableFacts) -> int:
    """What CREATE INDEX would make of a B-tree."""
    kept = together([condition.predicate for condition in candidate.where], table) if candidate.where else 1.0
    rows = max(1.0, table.rows * kept)
    names = [name for key in candidate.keys for name in key.key.columns] + list(candidate.include)
    tuple_bytes = TUPLE_BYTES + aligned(keys_bytes(names, table), 8)
    leaves = _leaves(candidate, table, rows, tuple_bytes)
    pages, level = leaves, leaves
    fan_out = max(2.0, LEAF_BYTES * INNER_FILL / (tuple_bytes + LINE_BYTES))
    while level > 1:
        level = math.ceil(level / fan_out)
        pages += level
    return (pages + 1) * PAGE_BYTES


def _leaves(candidate: Candidate, table: TableFacts, rows: float, tuple_bytes: int) -> int:
    if candidate.include or not all(_is_shared(key, table) for key in candidate.keys):
        used = rows * (tuple_bytes + LINE_BYTES)
    else:
        used = sum(_group_bytes(r, n, tuple_bytes) for r, n in groups(candidate.keys, table, rows))
    return max(1, math.ceil(used / (LEAF_BYTES - tuple_bytes - LINE_BYTES)))


def _is_shared(key: IndexKey, table: TableFacts) -> bool:
    if not key.key.is_column:
        return False
    column = table.table.columns.get(key.key.columns[0])
    return column is None or column.base_type_name not in _NOT_SHARED


def groups(keys: Sequence[IndexKey], table: TableFacts, rows: float) -> list[tuple[float, float]]:
    """Groups of equal keys as (rows of one, how many): commonest values, NULLs and the rest."""
    if len(keys) > 1:
        distinct = _together_distinct(keys, table, rows)
        return [(rows / distinct, distinct)]
    known = table.statistics.get(keys[0].key.columns[0])
    if known is None:
        return [(1.0, rows)]
    shares = [*known.most_common_freqs]
    if known.null_ratio > 0:
        shares.append(known.null_ratio)
    rest = max(0.0, 1 - sum(shares))
    distinct = max(1.0, min(known.distinct_values(table.rows), rows) - len(known.most_common_freqs))
    found = [(rows * each, 1.0) for each in shares if rows * each >= 1]
    return [*found, (max(1.0, rows * rest / distinct), min(distinct, rows * rest))] if rest > 0 else found


def _together_distinct(keys: Sequence[IndexKey], table: TableFacts, rows: float) -> float:
    product = 1.0
    for key in keys:
        known = table.statistics.get(key.key.columns[0])
        values = rows if known is None else min(known.distinct_values(table.rows), rows)
        if values >= 0.95 * rows:
            return rows
        product *= max(1.0, values)
        if product > 1e15:
            return rows
    return max(1.0, product * -math.expm1(-rows / product))


def _group_bytes(rows: float, count: float, tuple_bytes: int) -> float:
    """What `count` groups of so many equal keys take.  Group sizes scatter about their mean, as counts do."""
    if rows <= 1.02:
        return count * rows * (tuple_bytes + LINE_BYTES)
    if rows < 20:
        single = 1 / rows * (tuple_bytes + LINE_BYTES) + (1 - 1 / rows) * POINTER_BYTES
        return count * (rows * single + 4)  # alignment takes four bytes on average
    a_list = (POSTING_BYTES - tuple_bytes) // POINTER_BYTES
    lists = math.ceil(rows / a_list)
    return count * (lists * (tuple_bytes + LINE_BYTES + 4) + rows * POINTER_BYTES)


def keys_bytes(names: Sequence[str], table: TableFacts) -> int:
    """The bytes of the values one after the other, each at a multiple of its alignment."""
    at = 0
    for name in names:
        length, alignment = _stored(name, table)
        at = aligned(at, alignment) + length
    return at


def _stored(name: str, table: TableFacts) -> tuple[int, int]:
    column = table.table.columns.get(name)
    fixed = column.type_length_bytes if column is not None else -1
    if fixed > 0:
        return fixed, fixed if fixed in {2, 4, 8} else 1
    known = table.statistics.get(name)
    return (known.average_width_bytes if known is not None else UNKNOWN_WIDTH_BYTES), 1


def aligned(size: int, to: int) -> int:
    """The next multiple of `to`."""
    return (size + to - 1) // to * to


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
            keys = tuple(IndexKey(key=column_key(name)) for name in index.key_columns)
            model = btree_bytes(Candidate(table_oid=oid, tail=keys, include=index.included_columns), table)
            ratios.append(index.pages * PAGE_BYTES / model)
    if not ratios:
        return Calibration()
    low, high = CALIBRATION_RANGE
    factor = min(high, max(low, median(ratios)))
    error = median(abs(ratio / factor - 1) for ratio in ratios)
    return Calibration(factor=factor, error_ratio=error, indexes=len(ratios))
