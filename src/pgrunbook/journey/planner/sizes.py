"""How large a freshly built index would be, from statistics alone, for every access method that PostgreSQL brings.

The layouts are the source's (nbtree.h, itup.h, ginblock.h, hash.h, brin_revmap.c).  A B-tree keeps equal keys together
in posting lists (deduplication, from 13 on), which makes most indexes on columns with few values three times smaller
than their rows suggest.  All results are pages of 8 kB, for that is what the planner reads.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Final

PAGE_BYTES: Final = 8192
PAGE_HEADER_BYTES: Final = 24
LINE_POINTER_BYTES: Final = 4
TUPLE_HEADER_BYTES: Final = 8  # IndexTupleData; with a null bitmap it is twice that, after alignment
TID_BYTES: Final = 6
UNKNOWN_WIDTH_BYTES: Final = 32  # what the planner takes for a variable-length type that nobody has analysed
ALIGNMENTS: Final = {"c": 1, "s": 2, "i": 4, "d": 8}

BTREE_SPECIAL_BYTES: Final = 16
BTREE_FILLFACTOR: Final = 90
BTREE_INNER_FILLFACTOR: Final = 70
POSTING_LIST_BYTES: Final = 808  # _bt_load: a tenth of a page, less the line pointer, aligned

HASH_ITEM_BYTES: Final = 20
HASH_FILLFACTOR: Final = 75
HASH_ONE_PHASE_GROUPS: Final = 10

BRIN_RANGE_PAGES: Final = 128
BRIN_REVMAP_ITEMS: Final = 1360

GIST_FILL: Final = 0.65  # measured after inserts one by one
GIST_SORTED_FILL: Final = 0.9  # operator classes with a sort function are built bottom up

GIN_INLINE_BYTES: Final = 2000  # beyond about a quarter of a page, a key's rows move to a posting tree
GIN_ENTRY_FILL: Final = 0.7
GIN_DATA_FILL: Final = 0.85


@dataclass(frozen=True, slots=True, kw_only=True)
class IndexColumn:
    """One column of an index.

    `length_bytes` and `alignment` are pg_attribute's attlen (-1: variable) and attalign; `width_bytes` pg_stats'
    avg_width.  `n_distinct` is pg_stats' (negative: a share of the rows), None when nobody has analysed the column.
    `common_ratios` are the shares of the commonest values.  `deduplicates` says whether equal values are always the
    same bytes (not so for numeric, floats, jsonb, arrays and nondeterministic collations).
    """

    length_bytes: int
    alignment: str = "i"
    width_bytes: float = UNKNOWN_WIDTH_BYTES
    n_distinct: float | None = None
    null_ratio: float = 0.0
    common_ratios: tuple[float, ...] = ()
    deduplicates: bool = True
    is_included: bool = False

    def distinct_values(self, rows: float) -> float:
        """How many distinct values so many rows hold, NULLs aside; all different where nothing is known."""
        if self.n_distinct is None or self.n_distinct == 0:
            return max(1.0, rows)
        return max(1.0, -self.n_distinct * rows if self.n_distinct < 0 else min(self.n_distinct, rows))


@dataclass(frozen=True, slots=True, kw_only=True)
class Btree:
    """A B-tree's size; `levels` stand above the leaves (0: the root is a leaf)."""

    pages: int
    levels: int


@dataclass(frozen=True, slots=True, kw_only=True)
class Gin:
    """A GIN index's size, as its metapage has it."""

    pages: int
    entry_pages: int
    data_pages: int
    entries: int


@dataclass(frozen=True, slots=True, kw_only=True)
class GinKeys:
    """What a GIN index extracts from one column.

    `key_ratios` are the shares of rows that hold each of the commonest keys.
    """

    items_per_row: float
    entries: float
    key_bytes: float
    key_ratios: tuple[float, ...] = ()


def tuple_bytes(columns: Sequence[IndexColumn]) -> float:
    """Bytes of one index tuple without NULLs, aligned, without its line pointer; an average where widths vary."""
    offset = float(TUPLE_HEADER_BYTES)
    varies = False
    for column in columns:
        if column.length_bytes > 0:
            step = ALIGNMENTS[column.alignment]
            # after a column of varying width, alignment costs half a step on average
            offset = offset + (step - 1) / 2 if varies else math.ceil(offset / step) * step
            offset += column.length_bytes
        else:
            offset += column.width_bytes + (3 if column.width_bytes > 126 else 0)
            varies = True
    return offset + 3.5 if varies else _aligned(offset)


def btree(
    rows: float,
    columns: Sequence[IndexColumn],
    *,
    fillfactor: int = BTREE_FILLFACTOR,
    is_unique: bool = False,
    deduplicates: bool = True,
    distinct: float | None = None,
) -> Btree:
    """A B-tree of so many rows.  `distinct` is the number of different keys where that is known better."""
    size = tuple_bytes(columns)
    usable = PAGE_BYTES - PAGE_HEADER_BYTES - BTREE_SPECIAL_BYTES - LINE_POINTER_BYTES
    capacity = usable - PAGE_BYTES * (100 - fillfactor) // 100
    item = size + LINE_POINTER_BYTES
    is_even = size == _aligned(size)
    plain = rows / max(1.0, capacity // item if is_even else capacity / item - 0.5)
    leaves = plain
    keys = [column for column in columns if not column.is_included]
    shared = deduplicates and not is_unique and len(keys) == len(columns) and all(c.deduplicates for c in keys)
    if shared and rows >= 1:
        groups = _groups(rows, keys, distinct)
        leaves = min(plain, sum(_posting_bytes(equal, size) * many for equal, many in groups) / (capacity - item / 2))
    level_pages = max(1, math.ceil(leaves))
    pages, levels = 1 + level_pages, 0
    fanout = _fanout(keys)
    while level_pages > 1:
        level_pages = math.ceil(level_pages / fanout)
        pages += level_pages
        levels += 1
    return Btree(pages=pages, levels=levels)


def btree_levels(pages: int, columns: Sequence[IndexColumn]) -> int:
    """How many levels stand above the leaves of a B-tree of so many pages."""
    fanout = _fanout([column for column in columns if not column.is_included])
    level_pages, levels = max(1, math.floor((pages - 1) / (1 + 1 / fanout))), 0
    while level_pages > 1:
        level_pages = math.ceil(level_pages / fanout)
        levels += 1
    return levels


def _fanout(keys: Sequence[IndexColumn]) -> float:
    """How many pages an inner page leads to."""
    usable = PAGE_BYTES - PAGE_HEADER_BYTES - BTREE_SPECIAL_BYTES - PAGE_BYTES * (100 - BTREE_INNER_FILLFACTOR) / 100
    return max(2.0, usable / (tuple_bytes(keys) + LINE_POINTER_BYTES))


def _groups(rows: float, keys: Sequence[IndexColumn], distinct: float | None) -> list[tuple[float, float]]:
    """How many rows share a key, and how many such keys there are."""
    if len(keys) == 1:
        only = keys[0]
        groups = [(ratio * rows, 1.0) for ratio in only.common_ratios]
        if only.null_ratio > 0:
            groups.append((only.null_ratio * rows, 1.0))
        rest = rows * max(0.0, 1 - sum(only.common_ratios) - only.null_ratio)
        different = distinct if distinct is not None else only.distinct_values(rows)
        others = max(1.0, different - len(only.common_ratios))
        return [(equal, many) for equal, many in [*groups, (rest / others, others)] if equal > 0]
    combined = distinct if distinct is not None else combinations(rows, keys)
    return [(rows / combined, combined)]


def combinations(rows: float, keys: Sequence[IndexColumn]) -> float:
    """How many different combinations the columns have among so many rows, if they are independent of each other."""
    possible = 1.0
    for key in keys:
        distinct = key.distinct_values(rows) + (1 if key.null_ratio > 0 else 0)
        if distinct >= rows * 0.999 or possible > rows * 100:
            return max(1.0, rows)
        possible *= distinct
    return max(1.0, min(rows, possible * -math.expm1(-rows / possible)))


def _posting_bytes(equal: float, size: float) -> float:
    """Bytes that the rows of one key take on leaves, line pointers included; `equal` may be an average below 1."""
    item = size + LINE_POINTER_BYTES
    if equal <= 1.0:
        return item * equal
    if equal < 12:
        return sum(share * _list_bytes(count, size) for count, share in _spread(equal))
    return _list_bytes(equal, size)


def _list_bytes(equal: float, size: float) -> float:
    if equal < 2:
        return size + LINE_POINTER_BYTES
    most = max(2, int((POSTING_LIST_BYTES - size) // TID_BYTES))
    full, rest = divmod(equal, most)
    total = full * (_aligned(size + most * TID_BYTES) + LINE_POINTER_BYTES)
    if rest >= 1:
        total += (_aligned(size + rest * TID_BYTES) if rest >= 2 else size) + LINE_POINTER_BYTES
    return total


def _spread(mean: float) -> list[tuple[int, float]]:
    """How the number of equal rows scatters about its mean: a Poisson distribution without the zero."""
    rate = mean
    for _ in range(30):
        rate = mean * -math.expm1(-rate)
    shares = []
    share = rate * math.exp(-rate) / -math.expm1(-rate)
    for count in range(1, 60):
        shares.append((count, share))
        share *= rate / (count + 1)
    return shares


def hash_pages(rows: float, columns: Sequence[IndexColumn]) -> int:
    """A hash index: its buckets grow in quarters of a power of two; equal values overflow."""
    per_bucket = PAGE_BYTES * HASH_FILLFACTOR // 100 // HASH_ITEM_BYTES
    buckets = max(2, math.ceil(rows / per_bucket))
    group = max(1, (buckets - 1).bit_length())
    if group < HASH_ONE_PHASE_GROUPS:
        total = 1 << group
    else:
        quarter = (1 << (group - 1)) // 4
        total = (1 << (group - 1)) + math.ceil((buckets - (1 << (group - 1))) / quarter) * quarter
    per_page = (PAGE_BYTES - PAGE_HEADER_BYTES - 16) // HASH_ITEM_BYTES
    crowded = [ratio * rows for column in columns[:1] for ratio in column.common_ratios]
    overflow = sum(math.floor(count / per_page) for count in crowded)
    return total + overflow + 2


def brin_pages(heap_pages: int, columns: Sequence[IndexColumn], *, range_pages: int = BRIN_RANGE_PAGES) -> int:
    """A BRIN index: metapage, revmap, and one summary (least and greatest value) a range."""
    ranges = max(1, math.ceil(heap_pages / range_pages))
    width = sum(2 * (c.length_bytes if c.length_bytes > 0 else c.width_bytes) for c in columns)
    summary = _aligned(8 + width) + LINE_POINTER_BYTES
    return 1 + brin_revmap_pages(heap_pages, range_pages=range_pages) + math.ceil(ranges * summary / 8152)


def brin_revmap_pages(heap_pages: int, *, range_pages: int = BRIN_RANGE_PAGES) -> int:
    """Pages of the map from ranges to summaries, which the planner reckons with."""
    return max(1, math.ceil(max(1, math.ceil(heap_pages / range_pages)) / BRIN_REVMAP_ITEMS))


def gist_pages(rows: float, columns: Sequence[IndexColumn], *, is_sorted: bool = False) -> int:
    """A GiST or SP-GiST index."""
    item = tuple_bytes(columns) + LINE_POINTER_BYTES
    fill = GIST_SORTED_FILL if is_sorted else GIST_FILL
    return 1 + math.ceil(rows * item / (8152 * fill) * 1.02)


def gin(rows: float, columns: Sequence[GinKeys], *, heap_pages: int) -> Gin:
    """A GIN index without a pending list: a B-tree of keys, each with its rows inline or in a tree of its own."""
    rows_per_page = max(1.0, rows / max(1, heap_pages))
    entry_bytes = data_pages = entries = 0.0
    for column in columns:
        items = rows * column.items_per_row
        many = max(1.0, min(column.entries, items))
        common = column.key_ratios[: int(many)]
        rest = max(0.0, items - sum(common) * rows)
        groups = [(ratio, 1.0) for ratio in common]
        if many > len(common):
            groups.append((rest / (many - len(common)) / max(rows, 1.0), many - len(common)))
        entry = TUPLE_HEADER_BYTES + LINE_POINTER_BYTES + _aligned(column.key_bytes + 1)
        for ratio, count in groups:
            posting = max(1.0, ratio * rows) * _bytes_per_row(ratio * rows_per_page)
            inline = posting < GIN_INLINE_BYTES
            entry_bytes += count * (entry + (posting if inline else 0))
            data_pages += 0 if inline else count * max(1.0, posting / (8152 * GIN_DATA_FILL))
        entries += many
    entry_pages = math.ceil(entry_bytes / (8152 * GIN_ENTRY_FILL)) + 1
    leaves = math.ceil(data_pages)
    return Gin(pages=1 + entry_pages + leaves, entry_pages=entry_pages, data_pages=leaves, entries=round(entries))


def _bytes_per_row(rows_per_page: float) -> float:
    """Posting lists hold the distance to the next row in seven bits a byte; a page counts as 2,048 rows."""
    if rows_per_page >= 1:
        return 1 + min(1.0, 1 / rows_per_page)
    return min(6, max(2, math.ceil(math.log2(2048 / max(rows_per_page, 1e-9)) / 7)))


def size_bytes(
    method: str,
    rows: float,
    columns: Sequence[IndexColumn],
    *,
    heap_pages: int = 0,
    is_unique: bool = False,
    fillfactor: int = BTREE_FILLFACTOR,
    distinct: float | None = None,
    gin_keys: Sequence[GinKeys] = (),
) -> int:
    """Bytes of an index of this access method; an unknown method is taken for a plain list of its tuples."""
    if method == "btree":
        pages = btree(rows, columns, is_unique=is_unique, fillfactor=fillfactor, distinct=distinct).pages
    elif method == "hash":
        pages = hash_pages(rows, columns)
    elif method == "brin":
        pages = brin_pages(heap_pages, columns)
    elif method == "gin":
        pages = gin(rows, gin_keys or [usual_keys(rows, c) for c in columns], heap_pages=heap_pages).pages
    else:
        pages = gist_pages(rows, columns)
    return pages * PAGE_BYTES


def usual_keys(rows: float, column: IndexColumn) -> GinKeys:
    """Where nothing is known of the keys: one of seven bytes for every eleven bytes of the column."""
    items = max(1.0, column.width_bytes / 11)
    return GinKeys(items_per_row=items, entries=max(1000.0, rows / 100), key_bytes=7)


def _aligned(size: float) -> int:
    """To MAXALIGN, eight bytes."""
    return math.ceil(size / 8) * 8
