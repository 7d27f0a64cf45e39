"""Air in tables and B-tree indexes: measured where pgstattuple may, else estimated."""

from __future__ import annotations

from collections.abc import Iterator

from pgrunbook.journey.diagnose.btree_size import expected_bytes
from pgrunbook.journey.diagnose.column_facts import column_statistics
from pgrunbook.journey.diagnose.heap_size import packed_bytes
from pgrunbook.journey.diagnose.seen import Seen
from pgrunbook.journey.observe.bloat import MEASURED_BLOAT
from pgrunbook.journey.observe.column_statistics import COLUMN_STATISTICS
from pgrunbook.journey.observe.columns import COLUMNS as COLUMN_READING
from pgrunbook.journey.observe.index_density import INDEX_DENSITY
from pgrunbook.journey.observe.indexes import INDEXES, Index
from pgrunbook.journey.observe.relations import RELATIONS
from pgrunbook.journey.observe.table_activity import TABLE_ACTIVITY
from pgrunbook.model import Basis, Value
from pgrunbook.report.table import Column, Table

NEEDS = (RELATIONS, COLUMN_READING, COLUMN_STATISTICS, INDEXES, TABLE_ACTIVITY)
LIKES = (MEASURED_BLOAT, INDEX_DENSITY)
SMALLEST_BYTES = 64 * 1024  # of smaller ones nobody wants to know
DEFAULT_FILLFACTOR = 90

COLUMNS = (
    Column(name="object"),
    Column(name="kind"),
    Column(name="size_bytes", title="size"),
    Column(name="bloat_bytes", title="air"),
    Column(name="bloat_ratio", title="share"),
    Column(name="basis"),
    Column(name="changed_ratio", title="changed since ANALYZE"),
)


def table(seen: Seen) -> Table:
    """Most air first; what cannot be estimated stands last without a figure."""
    rows = [*_tables(seen), *_indexes(seen)]
    rows.sort(key=lambda row: (row[3] is None, -float(row[3]) if isinstance(row[3], int | float) else 0.0, str(row[0])))
    notes = [
        "An estimate rests on ANALYZE's statistics: it is off where much changed since, or where a width is unknown."
    ]
    if seen.rows_or_none(MEASURED_BLOAT) is None:
        notes.append("CREATE EXTENSION pgstattuple; lets it be measured (pg_stat_scan_tables may do so).")
    return Table(
        name="bloat", columns=COLUMNS, rows=tuple(rows), notes=tuple(notes), empty="Nothing is larger than 64 kB."
    )


def _tables(seen: Seen) -> Iterator[tuple[Value, ...]]:
    measured = {row.oid: row for row in seen.rows_or_none(MEASURED_BLOAT) or ()}
    changed = _changed(seen)
    for relation in seen.rows(RELATIONS):
        if not relation.has_storage:
            continue
        found = measured.get(relation.oid)
        size = found.size_bytes if found is not None else relation.size_bytes
        if size < SMALLEST_BYTES:
            continue
        packed = packed_bytes(seen, relation) if found is None else None
        air = found.free_bytes if found is not None else None if packed is None else max(0, round(size - packed))
        rows = max(relation.estimated_rows, 1.0)
        share = round(changed.get(relation.oid, 0) / rows, 3) if relation.estimated_rows >= 0 else None
        yield (
            relation.qualified,
            "table",
            size,
            air,
            _ratio(air, size),
            _basis(air, is_measured=found is not None),
            share,
        )


def _indexes(seen: Seen) -> Iterator[tuple[Value, ...]]:
    measured = {row.oid: row for row in seen.rows_or_none(INDEX_DENSITY) or ()}
    changed = _changed(seen)
    for index in seen.rows(INDEXES):
        if index.access_method != "btree" or index.table_kind == "p" or not index.is_valid:
            continue
        found = measured.get(index.oid)
        size = found.size_bytes if found is not None else index.size_bytes
        if size < SMALLEST_BYTES:
            continue
        air: int | None
        if found is not None:
            full = min(found.leaf_density_ratio / _fillfactor(index), 1.0)
            air = round(size * (1 - full))
        else:
            air = _estimate(index, seen)
        rows = max(index.estimated_rows, 1.0)
        share = round(changed.get(index.table_oid, 0) / rows, 3) if index.estimated_rows >= 0 else None
        yield (
            index.qualified,
            "index",
            size,
            air,
            _ratio(air, size),
            _basis(air, is_measured=found is not None),
            share,
        )


def _estimate(index: Index, seen: Seen) -> int | None:
    known = seen.derived(column_statistics)
    columns = [known.get((index.table_oid, name)) for name in index.columns]
    whole = [column for column in columns if column is not None]
    if len(whole) < len(columns) or index.estimated_rows < 0 or index.predicate_tree is not None:
        return None
    return max(0, round(index.size_bytes - expected_bytes(index, whole, fillfactor=_fillfactor(index))))


def _fillfactor(index: Index) -> float:
    held = [option.partition("=")[2] for option in index.options if option.startswith("fillfactor=")]
    return (float(held[0]) if held else DEFAULT_FILLFACTOR) / 100


def _changed(seen: Seen) -> dict[int, int]:
    return {row.oid: row.modified_rows for row in seen.rows(TABLE_ACTIVITY)}


def _ratio(air: int | None, size: int) -> float | None:
    return round(air / size, 3) if air is not None and size else None


def _basis(air: int | None, *, is_measured: bool) -> str | None:
    if air is None:
        return None
    return (Basis.MEASURED if is_measured else Basis.ESTIMATED).value
