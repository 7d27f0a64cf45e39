"""How long a step will about take, and how much disk: reckoned from the sizes in the catalog, before anything is tried.

The rates are those of a modest machine with its data in memory or on an SSD; a rehearsal with data measures instead.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from typing import Any, Final, TypeVar

from pgrunbook.journey.observe.indexes import INDEXES, Index
from pgrunbook.journey.observe.relations import RELATIONS
from pgrunbook.journey.steps import load
from pgrunbook.model import NotRead, Question, Snapshot, StepSpec, dotted
from pgrunbook.model.plan import Expected

Row = TypeVar("Row")

# A scan reads some 150 MB/s from an SSD, a build sorts some 300,000 rows/s; orders of magnitude.
SCAN_BYTES_PER_S: Final = 150 * 1024**2
SORT_ROWS_PER_S: Final = 300_000.0
WRITE_BYTES_PER_S: Final = 75 * 1024**2
SAMPLE_BYTES: Final = 30_000 * 8192  # ANALYZE reads 300 pages for each unit of default_statistics_target, 100
ENTRY_BYTES: Final = 12  # an index entry's header and its line pointer
KEY_BYTES: Final = 12  # a key of which nothing is known
FILL_RATIO: Final = 0.9
MOMENT_S: Final = 0.1


@dataclass(frozen=True, slots=True, kw_only=True)
class _Table:
    """A table with its partitions."""

    size_bytes: int = 0
    rows: float = 0.0
    index_bytes: int = 0


@dataclass(frozen=True, slots=True, kw_only=True)
class Sizes:
    """Tables and indexes by their quoted names, as the catalog knew them at the last vacuum or analyze."""

    tables: Mapping[str, _Table] = field(default_factory=dict)
    indexes: Mapping[str, Index] = field(default_factory=dict)

    @classmethod
    def of(cls, snapshot: Snapshot) -> Sizes:
        """From an observation; partitions count with each of their parents."""
        relations = {row.oid: row for row in _rows(snapshot, RELATIONS)}
        indexes = _rows(snapshot, INDEXES)
        held: dict[int, list[float]] = {oid: [0.0, 0.0, 0.0] for oid in relations}
        of_table: dict[int, int] = {}
        for index in indexes:
            of_table[index.table_oid] = of_table.get(index.table_oid, 0) + index.size_bytes
        for relation in relations.values():
            oid: int | None = relation.oid
            while oid is not None and oid in held:
                held[oid][0] += relation.size_bytes if relation.has_storage else 0
                held[oid][1] += max(relation.estimated_rows, 0.0) if relation.has_storage else 0
                held[oid][2] += of_table.get(relation.oid, 0)
                oid = relations[oid].parent_oid
        return cls(
            tables={
                relations[oid].qualified: _Table(size_bytes=round(size), rows=rows, index_bytes=round(index))
                for oid, (size, rows, index) in held.items()
            },
            indexes={index.qualified: index for index in indexes},
        )


def _rows(snapshot: Snapshot, question: Question[Row]) -> tuple[Row, ...]:
    try:
        return snapshot.rows(question)
    except NotRead:
        return ()


def expect(spec: StepSpec, sizes: Sizes) -> Expected | None:
    """What the step is expected to take; None where the catalog says nothing about it."""
    reckon = _RECKON.get(spec.kind)
    if reckon is None:
        return Expected(duration_s=MOMENT_S)
    return reckon(load(spec), sizes)


def _build(step: Any, sizes: Sizes) -> Expected | None:
    table = sizes.tables.get(dotted(step.schema, step.table))
    if table is None:
        return None
    keys = len(step.keys) + len(step.include)
    disk = table.rows * (ENTRY_BYTES + KEY_BYTES * keys) / FILL_RATIO
    seconds = 2 * table.size_bytes / SCAN_BYTES_PER_S + table.rows / SORT_ROWS_PER_S + disk / WRITE_BYTES_PER_S
    return _expected(seconds, disk)


def _reindex(step: Any, sizes: Sizes) -> Expected | None:
    index = sizes.indexes.get(dotted(step.schema, step.name))
    if index is None:
        return None
    table = sizes.tables.get(index.table, _Table())
    rows = max(index.estimated_rows, 0.0)
    seconds = 2 * table.size_bytes / SCAN_BYTES_PER_S + rows / SORT_ROWS_PER_S + index.size_bytes / WRITE_BYTES_PER_S
    return _expected(seconds, index.size_bytes)


def _drop(step: Any, sizes: Sizes) -> Expected | None:
    index = sizes.indexes.get(dotted(step.schema, step.name))
    return _expected(0.0, -index.size_bytes) if index is not None else None


def _sample(step: Any, sizes: Sizes) -> Expected | None:
    table = sizes.tables.get(dotted(step.schema, step.table))
    return _expected(min(table.size_bytes, SAMPLE_BYTES) / SCAN_BYTES_PER_S, 0) if table is not None else None


def _vacuum(step: Any, sizes: Sizes) -> Expected | None:
    table = sizes.tables.get(dotted(step.schema, step.table))
    return _expected((table.size_bytes + table.index_bytes) / SCAN_BYTES_PER_S, 0) if table is not None else None


def _rewrite(step: Any, sizes: Sizes) -> Expected | None:
    """The copy is there beside the old one until the end."""
    table = sizes.tables.get(dotted(step.schema, step.table))
    if table is None:
        return None
    both = table.size_bytes + table.index_bytes
    seconds = table.size_bytes / SCAN_BYTES_PER_S + both / WRITE_BYTES_PER_S + table.rows / SORT_ROWS_PER_S
    return _expected(seconds, both)


def _scan(step: Any, sizes: Sizes) -> Expected | None:
    table = sizes.tables.get(dotted(step.schema, step.table))
    return _expected(table.size_bytes / SCAN_BYTES_PER_S, 0) if table is not None else None


def _expected(seconds: float, disk_bytes: float) -> Expected:
    return Expected(duration_s=round(max(seconds, MOMENT_S), 1), disk_bytes=round(disk_bytes))


_RECKON: Mapping[str, Callable[[Any, Sizes], Expected | None]] = {
    "create_index": _build,
    "create_partitioned_index": _build,
    "reindex": _reindex,
    "drop_index": _drop,
    "drop_invalid_index": _drop,
    "analyze": _sample,
    "create_statistics": _sample,
    "vacuum": _vacuum,
    "vacuum_full": _rewrite,
    "validate_constraint": _scan,
}
