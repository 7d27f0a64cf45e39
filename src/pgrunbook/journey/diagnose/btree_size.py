"""How large a freshly built B-tree would be: tuple sizes of the source (nbtree.h, itup.h), with deduplication."""

from __future__ import annotations

import math
from collections.abc import Sequence

from pgrunbook.journey.observe.column_statistics import ColumnStatistics
from pgrunbook.journey.observe.indexes import Index

PAGE_BYTES = 8192 - 24 - 16  # page header, B-tree's special space
LINE_POINTER_BYTES = 4
TUPLE_HEADER_BYTES = 8
TID_BYTES = 6
POSTING_LIMIT_BYTES = 1350  # a posting list is split when it would fill about a sixth of a page


def expected_bytes(index: Index, columns: Sequence[ColumnStatistics], *, fillfactor: float) -> float:
    """Bytes of the leaf pages and what stands above them.

    Where it cannot know it assumes the larger size, so that an index never looks more bloated than it is: several
    columns are taken as independent, which leaves fewer equal keys to deduplicate.
    """
    rows = max(index.estimated_rows, 0.0)
    width = sum(column.average_width_bytes * (1 - column.null_ratio) for column in columns)
    tuple_bytes = _aligned(TUPLE_HEADER_BYTES + width) + LINE_POINTER_BYTES
    distinct = min(rows, math.prod(column.distinct_values(rows) for column in columns))
    total = rows * tuple_bytes
    if not index.is_unique and index.key_count == len(index.attnums) and _deduplicates(index):
        postings = distinct + rows * TID_BYTES / POSTING_LIMIT_BYTES
        total = min(total, rows * TID_BYTES + postings * tuple_bytes)
    pages = math.ceil(total / (PAGE_BYTES * fillfactor))
    return (pages * 1.01 + 2) * (PAGE_BYTES + 40)


def _deduplicates(index: Index) -> bool:
    return not any(option in {"deduplicate_items=off", "deduplicate_items=false"} for option in index.options)


def _aligned(size: float) -> float:
    """To MAXALIGN, eight bytes; the average of many tuples, so rounded up as each of them is."""
    return math.ceil(size / 8) * 8
