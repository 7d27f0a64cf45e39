"""A sequence that nears the end of what its column can hold.

Asks:    how much of its range has each sequence used up, the range being the smaller of its own and its column's?
Unit:    used_ratio, 0..1.
Source:  pg_sequence, pg_depend, pg_attrdef; pg_sequence_last_value.
Blind:   sequences that we may not read, or that are locked.
Says:    {sequence} has reached {last_value} of {limit}, the most that {object} ({column_type}) can take from it
         ({used_ratio}).  After that every insert fails.
Section: Alerting Thresholds
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from dataclasses import dataclass, replace

from pgrunbook.journey.diagnose.check import Check
from pgrunbook.journey.diagnose.seen import Seen
from pgrunbook.journey.observe.relations import RELATIONS
from pgrunbook.journey.observe.sequences import SEQUENCE_VALUES, SEQUENCES, Sequence
from pgrunbook.journey.steps import Before, advise
from pgrunbook.journey.steps.alter_sequence_type import AlterSequenceType
from pgrunbook.model import Advice, Blind, Finding, Kind, Lock, Severity, Verdict, quote

RANGES = {
    "smallint": (-(2**15), 2**15 - 1),
    "integer": (-(2**31), 2**31 - 1),
    "bigint": (-(2**63), 2**63 - 1),
}


@dataclass(frozen=True, slots=True, kw_only=True)
class Limits:
    """A column's type is changed by rewriting the table: that wants weeks of warning, and less is an emergency."""

    warn_ratio: float = 0.75
    critical_ratio: float = 0.9


def judge(seen: Seen, limits: Limits) -> Iterator[Verdict]:
    """One finding a column; a partitioned table's column speaks for those of its partitions."""
    reading = seen.reading(SEQUENCE_VALUES)
    values = {row.oid: row for row in reading.rows}
    extension = {relation.oid for relation in seen.rows(RELATIONS) if relation.of_extension}
    hidden: list[str] = []
    for sequence in _once(seen.rows(SEQUENCES)):
        if sequence.table_oid in extension or _turns_round(sequence):
            continue
        value = values.get(sequence.oid)
        if value is not None and value.is_readable:
            if value.last_value is not None:
                yield from _judged(sequence, value.last_value, limits)
        elif value is not None:
            hidden.append(sequence.qualified)
        elif sequence.oid in reading.skipped or _limit(sequence) < RANGES["bigint"][1]:
            yield _unseen(sequence)
    if hidden:
        yield _hidden(list(dict.fromkeys(hidden)), seen.server.user)


def _once(rows: Iterable[Sequence]) -> Iterator[Sequence]:
    """Each sequence with each column, but not with the partitions of a table that stands here itself."""
    rows = tuple(rows)
    fed = {(row.oid, row.column_name) for row in rows if not row.is_partition}
    said: set[tuple[int, str]] = set()
    for row in rows:
        if not row.is_partition:
            yield row
        elif (row.oid, row.column_name) not in fed and (row.oid, row.column_name) not in said:
            said.add((row.oid, row.column_name))
            yield row


def _turns_round(sequence: Sequence) -> bool:
    """Whether it starts anew instead of failing, before its column is full."""
    low, high = RANGES.get(sequence.column_type, RANGES["bigint"])
    return sequence.cycles and low <= sequence.min_value and sequence.max_value <= high


def _limit(sequence: Sequence) -> int:
    """The last value that fits, in the direction that it counts."""
    low, high = RANGES.get(sequence.column_type, RANGES["bigint"])
    return min(sequence.max_value, high) if sequence.increment > 0 else max(sequence.min_value, low)


def _judged(sequence: Sequence, last_value: int, limits: Limits) -> Iterator[Finding]:
    limit = _limit(sequence)
    first = sequence.min_value if sequence.increment > 0 else sequence.max_value
    start = max(first, 0) if sequence.increment > 0 else min(first, 0)
    span = abs(limit - start)
    used_ratio = min(abs(last_value - start) / span, 1.0) if span else 1.0
    if (last_value - start) * sequence.increment < 0 or used_ratio < limits.warn_ratio:
        return
    feeds = bool(sequence.column_name)
    yield Finding(
        severity=Severity.CRITICAL if used_ratio >= limits.critical_ratio else Severity.WARNING,
        kind=Kind.COLUMN if feeds else Kind.TABLE,
        object=sequence.column if feeds else sequence.qualified,
        related=(sequence.qualified,),
        evidence={
            "sequence": sequence.qualified,
            "last_value": last_value,
            "limit": limit,
            "used_ratio": round(used_ratio, 4),
            "left": abs(limit - last_value) // abs(sequence.increment),
            "column_type": sequence.column_type or sequence.type_name,
        },
        advice=tuple(_advice(sequence)),
    )


def _advice(sequence: Sequence) -> Iterator[Advice]:
    """Widen the column to bigint, and the sequence where it is what gives out; only the latter is a step of ours."""
    low, high = RANGES["bigint"]
    if sequence.column_type in {"", "bigint"} and sequence.type_name != "bigint" and _is_the_types(sequence):
        step = AlterSequenceType(schema=sequence.schema, name=sequence.name, descending=sequence.increment < 0)
        was: Before = {
            "type_name": sequence.type_name, "min_value": sequence.min_value, "max_value": sequence.max_value,
        }  # fmt: skip
        yield replace(advise(step), undo_sql="\n".join(f"{statement};" for statement in step.undo_statements(was)))
        return
    statements: list[str] = []
    undo: list[str] = []
    if sequence.column_type in {"smallint", "integer"}:
        change = f"ALTER TABLE {sequence.table} ALTER COLUMN {quote(sequence.column_name)} TYPE"
        statements.append(f"{change} bigint;")
        undo.append(f"{change} {sequence.column_type};")
    own = f"ALTER SEQUENCE {sequence.qualified}"
    if sequence.type_name != "bigint" or sequence.max_value < high:
        bound = "MAXVALUE" if sequence.increment > 0 else "MINVALUE"
        held = sequence.max_value if sequence.increment > 0 else sequence.min_value
        statements.append(f"{own} AS bigint NO {bound};")
        undo.insert(0, f"{own} AS {sequence.type_name} {bound} {held};")
    if statements and low < high:
        yield Advice(
            title=f"Widen {sequence.column if sequence.column_name else sequence.qualified} to bigint",
            sql="\n".join(statements),
            undo_sql="\n".join(undo),
            lock=Lock.ACCESS_EXCLUSIVE,
            risk="It rewrites the table and its indexes, and nobody can use it meanwhile.  Views on the column stand in"
            " the way; columns that refer to it should be widened too.",
        )


def _is_the_types(sequence: Sequence) -> bool:
    """Whether its bound is its type's own; another one somebody chose."""
    low, high = RANGES[sequence.type_name]
    return sequence.max_value == high if sequence.increment > 0 else sequence.min_value == low


def _unseen(sequence: Sequence) -> Blind:
    return Blind(
        object=sequence.qualified,
        reason="its value was not asked: it is locked, or there are too many sequences",
        cure=f"SELECT last_value FROM {sequence.qualified};",
    )


def _hidden(names: list[str], user: str) -> Blind:
    if len(names) == 1:
        cure = f"GRANT SELECT ON SEQUENCE {names[0]} TO {quote(user)};"
    else:
        cure = f"GRANT pg_read_all_data TO {quote(user)};"
    some = ", ".join(names[:3]) + (" …" if len(names) > 3 else "")
    return Blind(
        object=names[0] if len(names) == 1 else None,
        reason=f"{user} may not read the value of {len(names)} sequence{'s' if len(names) > 1 else ''}: {some}",
        cure=cure,
    )


CHECK = Check(needs=(SEQUENCES, SEQUENCE_VALUES, RELATIONS), judge=judge, limits=Limits())
