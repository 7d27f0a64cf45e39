"""What an index costs to have: the disk it takes, and the writes that keep it up to date."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Mapping, Sequence
from typing import Final

from pgrunbook.journey.workload.access import Write, Writing
from pgrunbook.journey.workload.candidate import Candidate
from pgrunbook.journey.workload.demand import Asked, Workload
from pgrunbook.journey.workload.facts import Facts, TableFacts
from pgrunbook.journey.workload.selectivity import null_share, rows_per_value, together

# One more row in an index: some microseconds of CPU and WAL (a B-tree insert into cached pages; GIN costs several).
WRITE_COST_MS: Final = 0.01
GIN_WRITE_COST_MS: Final = 0.05
BULK_ROWS: Final = 1000.0  # a statement that writes more rows at a time is a load, which happens once

PAGE_BYTES: Final = 8192
PAGE_FILL: Final = 0.9  # of B-tree leaves, by default
TUPLE_OVERHEAD_BYTES: Final = 12  # an index tuple's header and its line pointer
POINTER_BYTES: Final = 6  # a row's address in a posting list of equal keys
POSTING_MAX_ROWS: Final = 130  # a posting list is split before it is a third of a page
# What a GIN index takes for each byte of its column, measured on QuizMentor's texts and documents.
TRIGRAMS_PER_BYTE: Final = 1.5
LEXEMES_PER_BYTE: Final = 0.3
DOCUMENT_PER_BYTE: Final = 0.2
UNKNOWN_WIDTH_BYTES: Final = 16


Writes = Mapping[int, Sequence[tuple[Asked, Write]]]


def writes_of(workload: Workload, facts: Facts) -> Writes:
    """The writing statements by the root of the table that they write to."""
    found: dict[int, list[tuple[Asked, Write]]] = defaultdict(list)
    for asked in workload.asked:
        for access in asked.accesses.accesses:
            if access.write is not None:
                found[facts.catalog.root(access.table_oid)].append((asked, access.write))
    return found


def write_cost_ms(candidate: Candidate, writes: Writes) -> float:
    """What keeping the index up to date would have cost in the time that the workload was counted."""
    one = WRITE_COST_MS if candidate.method == "btree" else GIN_WRITE_COST_MS
    held = set(candidate.base_columns)
    cost = 0.0
    for asked, write in writes.get(candidate.table_oid, ()):
        if write.kind is Writing.DELETE or (write.kind is Writing.UPDATE and not write.columns & held):
            continue  # VACUUM clears deletes away; an UPDATE of other columns is heap-only or pays for others too
        if asked.rows_per_call <= BULK_ROWS:
            cost += asked.rows * one
    return cost


def size_bytes(candidate: Candidate, table: TableFacts) -> int:
    """About how large the index would be: equal keys share one entry (deduplication, from 13 on)."""
    kept = together([condition.predicate for condition in candidate.where], table) if candidate.where else 1.0
    rows = max(1.0, table.rows * kept)
    widths = [_width(c, table) for key in candidate.keys for c in key.key.columns]
    if candidate.method == "gin":
        per_byte = DOCUMENT_PER_BYTE
        if "trgm" in candidate.keys[0].opclass:
            per_byte = TRIGRAMS_PER_BYTE
        elif candidate.keys[0].key.canonical.startswith("to_tsvector"):
            per_byte = LEXEMES_PER_BYTE
        return _whole_pages(rows * sum(widths) * per_byte)
    width = sum(_aligned(width) for width in widths)
    if candidate.method == "gist":
        return _whole_pages(rows * (width + TUPLE_OVERHEAD_BYTES) / 0.7)
    first = candidate.keys[0].key
    filled = 1 - null_share(first, table)
    equal = rows_per_value(first, table) if len(candidate.keys) == 1 else 1.0
    shared = min(max(equal * filled, 1.0), POSTING_MAX_ROWS)
    per_row = (width + TUPLE_OVERHEAD_BYTES) / shared + (POINTER_BYTES if shared > 1 else 0)
    return _whole_pages(rows * per_row / PAGE_FILL)


def _width(column: str, table: TableFacts) -> int:
    statistics = table.statistics.get(column)
    if statistics is not None:
        return statistics.average_width_bytes
    known = table.table.columns.get(column)
    return known.type_length_bytes if known is not None and known.type_length_bytes > 0 else UNKNOWN_WIDTH_BYTES


def _aligned(width: int) -> int:
    return (width + 7) // 8 * 8


def _whole_pages(size: float) -> int:
    return (int(size) // PAGE_BYTES + 2) * PAGE_BYTES  # a metapage besides
