"""How many bytes a table's rows need when they are packed: from column widths, alignment and fillfactor."""

from __future__ import annotations

import math
from collections.abc import Mapping

from pgrunbook.journey.diagnose.column_facts import column_statistics
from pgrunbook.journey.diagnose.seen import Seen
from pgrunbook.journey.observe.columns import COLUMNS, Column
from pgrunbook.journey.observe.relations import Relation

PAGE_BYTES = 8192
PAGE_HEADER_BYTES = 24
ROW_HEADER_BYTES = 23
LINE_POINTER_BYTES = 4
SHORT_VALUE_BYTES = 127  # longer values of variable length start at a multiple of four


def columns_of(seen: Seen) -> Mapping[int, tuple[Column, ...]]:
    """The columns of each table in the order in which they are stored."""
    found: dict[int, list[Column]] = {}
    for column in seen.rows(COLUMNS):
        found.setdefault(column.table_oid, []).append(column)
    return {oid: tuple(sorted(columns, key=lambda column: column.attnum)) for oid, columns in found.items()}


def packed_bytes(seen: Seen, relation: Relation) -> float | None:
    """What the rows that were last counted need; None where a column's width is not known.

    A dropped column may still lie in old rows, and nobody knows how wide: None as well.
    """
    columns = seen.derived(columns_of).get(relation.oid, ())
    if not columns or columns[-1].attnum != len(columns) or relation.estimated_rows < 0:
        return None
    known, offset, has_nulls = seen.derived(column_statistics), 0.0, False
    for column in columns:
        statistics = known.get((relation.oid, column.name))
        if statistics is None:
            return None
        share = 1.0 - statistics.null_ratio
        has_nulls |= statistics.null_ratio > 0
        if share > 0:
            offset = _aligned(offset, _alignment(column, statistics.average_width_bytes))
            offset += share * statistics.average_width_bytes
    header = _aligned(ROW_HEADER_BYTES + (math.ceil(len(columns) / 8) if has_nulls else 0), 8)
    row_bytes = header + _aligned(offset, 8) + LINE_POINTER_BYTES
    fill = float(relation.option("fillfactor") or 100) / 100
    rows_a_page = max(1.0, math.floor((PAGE_BYTES - PAGE_HEADER_BYTES) * fill / row_bytes))
    return math.ceil(relation.estimated_rows / rows_a_page) * PAGE_BYTES


def _alignment(column: Column, width_bytes: int) -> int:
    if column.type_length_bytes > 0:
        if column.base_type_name in {"uuid", "name", "macaddr", "macaddr8", "bool", "char"}:
            return 4 if column.base_type_name in {"macaddr", "macaddr8"} else 1
        return min(8, column.type_length_bytes) if column.type_length_bytes in {1, 2, 4, 8} else 8
    return 1 if width_bytes < SHORT_VALUE_BYTES else 4


def _aligned(offset: float, to: int) -> float:
    return math.ceil(offset / to) * to
