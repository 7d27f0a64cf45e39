"""A table partitioned by time that has run out of partitions, or whose DEFAULT partition takes what fits nowhere.

Asks:    does a partition lie ahead of now, and is the DEFAULT partition of each range empty?
Unit:    ahead_s, how far the newest partition reaches beyond now (negative: it has ended); rows, estimated.
Source:  pg_class.relpartbound; rows from pg_class.reltuples and pg_stat_user_tables.
Says:    The newest partition of {object}, {newest}, ended {behind_s} ago.  The newest partition of {object},
         {last}, ends in {ahead_s}, and none follows it.
         {default} has about {default_rows} rows that fit no other partition.
Section: Maintenance Operations
"""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta

from pgrunbook.journey.diagnose.check import Check
from pgrunbook.journey.diagnose.index_advice import Taken, taken_names
from pgrunbook.journey.diagnose.partition_advice import create_partitions, move_rows
from pgrunbook.journey.diagnose.partition_bounds import Span, Step, is_time, span_of, step_of
from pgrunbook.journey.diagnose.seen import Seen
from pgrunbook.journey.diagnose.trees import TableTree, row_count, table_trees
from pgrunbook.journey.observe.columns import COLUMNS
from pgrunbook.journey.observe.indexes import INDEXES
from pgrunbook.journey.observe.partitions import PARTITIONS, Partition
from pgrunbook.journey.observe.relations import RELATIONS, Relation
from pgrunbook.journey.observe.table_activity import TABLE_ACTIVITY
from pgrunbook.model import Advice, Finding, Kind, Severity, Value, Verdict


@dataclass(frozen=True, slots=True, kw_only=True)
class Limits:
    """The next partition should be there a tenth of a step before it is needed, and two days ahead at most."""

    lead_ratio: float = 0.1
    lead_s: float = 2 * 86400.0


@dataclass(frozen=True, slots=True, kw_only=True)
class Line:
    """The partitions of one partitioned table, in a tree that it may be only a part of."""

    parent: Relation
    tree: TableTree
    parts: tuple[Partition, ...]
    default: Partition | None
    default_rows: float
    spans: tuple[Span, ...]
    step: Step | None

    @property
    def last(self) -> datetime | None:
        """Where the newest partition ends; None if one has no end, or none is by time."""
        ends = [span.high for span in self.spans]
        return None if not ends or None in ends else max(end for end in ends if end is not None)

    @property
    def newest(self) -> str | None:
        """The newest partition's name."""
        named = [(span.high, part.qualified) for part in self.parts if (span := span_of(part)) is not None]
        return max((pair for pair in named if pair[0] is not None), default=(None, None))[1]


def judge(seen: Seen, limits: Limits) -> Iterator[Verdict]:
    """One finding a tree, about the first of its partitioned tables that is in trouble."""
    said: set[str] = set()
    taken = taken_names(seen)
    for line in _lines(seen):
        if line.tree.qualified in said or line.tree.root.of_extension:
            continue
        ahead = _ahead(line, seen.at, limits)
        if ahead is not None or line.default_rows > 0:
            said.add(line.tree.qualified)
            yield _finding(seen, line, ahead, taken)


def _lines(seen: Seen) -> Iterator[Line]:
    trees = seen.derived(table_trees)
    relations = {relation.oid: relation for relation in seen.rows(RELATIONS)}
    activity = {row.oid: row for row in seen.rows_or_none(TABLE_ACTIVITY) or ()}
    groups: dict[int, list[Partition]] = defaultdict(list)
    for part in seen.rows(PARTITIONS):
        if part.strategy != "h" and part.parent_oid in relations:
            groups[part.parent_oid].append(part)
    for parent, parts in groups.items():
        default = next((part for part in parts if part.is_default), None)
        held = _below(default.oid, trees[parent], relations) if default is not None else ()
        spans = tuple(span for part in parts if (span := span_of(part)) is not None)
        yield Line(
            parent=relations[parent],
            tree=trees[parent],
            parts=tuple(parts),
            default=default,
            default_rows=sum(row_count(leaf, activity.get(leaf.oid)) for leaf in held),
            spans=spans,
            step=step_of(spans),
        )


def _below(oid: int, tree: TableTree, relations: Mapping[int, Relation]) -> Sequence[Relation]:
    """The leaves that hang on a partition; the partition itself where it is one."""

    def hangs(leaf: Relation) -> bool:
        above: int | None = leaf.oid
        while above is not None and above != oid:
            above = relations[above].parent_oid if above in relations else None
        return above == oid

    return [leaf for leaf in tree.leaves if hangs(leaf)]


def _ahead(line: Line, now: datetime, limits: Limits) -> timedelta | None:
    """How far the newest partition reaches; None where that is far enough, or nothing is by time."""
    if line.last is None or line.step is None:
        return None
    lead = min(line.step.length * limits.lead_ratio, timedelta(seconds=limits.lead_s))
    return line.last - now if line.last < now + lead else None


def _finding(seen: Seen, line: Line, ahead: timedelta | None, taken: Taken) -> Finding:
    evidence: dict[str, Value] = {"partitions": len(line.parts), "key_column": line.parts[0].key_column}
    if ahead is not None and ahead < timedelta():
        evidence |= {"newest": line.newest, "behind_s": round(-ahead.total_seconds())}
    elif ahead is not None:
        evidence |= {"last": line.newest, "ahead_s": round(ahead.total_seconds())}
    if line.default is not None and line.default_rows > 0:
        evidence |= {"default": line.default.qualified, "default_rows": round(line.default_rows)}
    is_list = ahead is None and line.parts[0].strategy == "l"  # there a DEFAULT may be meant for the rest
    return Finding(
        severity=Severity.NOTICE if is_list else Severity.WARNING,
        kind=Kind.TABLE,
        object=line.tree.qualified,
        related=(line.parent.qualified,) if line.parent.oid != line.tree.root.oid else (),
        evidence=evidence,
        advice=tuple(_advice(seen, line, taken)),
    )


def _advice(seen: Seen, line: Line, taken: Taken) -> Iterator[Advice]:
    """Move what lies in DEFAULT, and make the partitions that are missing, where the step is known."""
    first = line.parts[0]
    if line.step is None or first.key_count != 1 or not is_time(first.key_type):
        return
    if not first.key_column or any(part.kind != "r" for part in line.parts):
        return
    if line.default is not None and line.default_rows > 0:
        columns = [
            column.name for column in seen.rows(COLUMNS) if column.table_oid == line.parent.oid and not column.generated
        ]
        yield move_rows(line.parent, line.default, line.step, columns, low=_some_low(line))
    if line.last is not None and line.last < line.step.after(seen.at):
        yield create_partitions(line.parent, first.key_type, line.last, line.step, now=seen.at, taken=taken)


def _some_low(line: Line) -> datetime:
    """A bound that the others are whole steps away from."""
    return max(span.low for span in line.spans if span.low is not None and span.high is not None)


CHECK = Check(
    needs=(PARTITIONS, RELATIONS, INDEXES, COLUMNS),
    likes=(TABLE_ACTIVITY,),
    judge=judge,
    limits=Limits(),
)
