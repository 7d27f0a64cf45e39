"""Indexes with their sizes and how often they are read."""

from __future__ import annotations

from pgrunbook.journey.diagnose.index_advice import definitions, tail_of
from pgrunbook.journey.diagnose.seen import Seen
from pgrunbook.journey.diagnose.trees import IndexTree, index_trees, roots
from pgrunbook.journey.observe.counters import COUNTERS
from pgrunbook.journey.observe.indexes import INDEX_DEFINITIONS, INDEX_USAGE, INDEXES, Index
from pgrunbook.model import Value
from pgrunbook.report.table import Column, Table
from pgrunbook.report.words import duration

NEEDS = (INDEXES, INDEX_USAGE)
LIKES = (INDEX_DEFINITIONS, COUNTERS)

COLUMNS = (
    Column(name="index"),
    Column(name="table"),
    Column(name="kind"),
    Column(name="size_bytes", title="size"),
    Column(name="rows"),
    Column(name="scans"),
    Column(name="scan_age_s", title="last scan ago"),
    Column(name="definition", is_long=True),
)


def table(seen: Seen) -> Table:
    """Largest first; the parts of a partitioned index are added up."""
    texts = definitions(seen)
    trees = sorted(roots(seen.derived(index_trees).values()), key=lambda tree: (-tree.size_bytes, tree.root.qualified))
    counters = seen.rows_or_none(COUNTERS)
    since = f"Scans are counted for {duration(counters[0].age_s)}.  " if counters else ""
    return Table(
        name="indexes",
        columns=COLUMNS,
        rows=tuple(_row(tree, texts.get(tree.root.oid), seen) for tree in trees),
        notes=(f"{since}Sizes are what the last VACUUM or ANALYZE saw.",),
        empty="There is no index.",
    )


def _row(tree: IndexTree, definition: str | None, seen: Seen) -> tuple[Value, ...]:
    index = tree.root
    age_s = max(0, round((seen.at - tree.last_scan_at).total_seconds())) if tree.last_scan_at is not None else None
    return (
        index.qualified,
        index.table,
        _kind(index),
        tree.size_bytes,
        round(sum(max(member.estimated_rows, 0.0) for member in tree.members)),
        tree.scans,
        age_s,
        tail_of(index, definition) if definition is not None else None,
    )


def _kind(index: Index) -> str:
    """What it is there for, or what is wrong with it."""
    if not index.is_valid:
        return "invalid"
    if index.is_primary:
        return "primary key"
    if index.is_exclusion:
        return "exclusion"
    return "unique" if index.is_unique else "plain"
