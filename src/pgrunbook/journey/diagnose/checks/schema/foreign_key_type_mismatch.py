"""A foreign key between columns of different types.

Asks:    do the columns of each foreign key have the types of the columns they refer to?
Source:  pg_constraint, pg_attribute; domains by their base type, text and varchar as one.
Says:    {columns} of {table} ({types}) refer to {referenced_columns} of {referenced} ({referenced_types}).  Joins must
         convert, and the narrower type runs out first.
Section: Best Practices Summary
"""

from __future__ import annotations

from collections.abc import Iterator

from pgrunbook.journey.diagnose.check import Check, NoLimits
from pgrunbook.journey.diagnose.seen import Seen
from pgrunbook.journey.observe.constraints import CONSTRAINTS, Constraint
from pgrunbook.model import Advice, Finding, Kind, Lock, Severity, Verdict, quote

SAME = {"character varying": "text"}
"""Types whose values are the same bytes, compared by the same operators."""


def judge(seen: Seen, limits: NoLimits) -> Iterator[Verdict]:  # noqa: ARG001 - no thresholds
    """One finding a foreign key as declared."""
    for key in seen.rows(CONSTRAINTS):
        if key.is_foreign_key and _plain(key.base_types) != _plain(key.referenced_base_types):
            yield Finding(
                severity=Severity.WARNING,
                kind=Kind.CONSTRAINT,
                object=key.qualified,
                related=(key.referenced,),
                evidence={
                    "table": key.table,
                    "columns": key.columns,
                    "types": key.types,
                    "referenced": key.referenced,
                    "referenced_columns": key.referenced_columns,
                    "referenced_types": key.referenced_types,
                },
                advice=(_advice(key),),
            )


def _plain(types: tuple[str, ...]) -> tuple[str, ...]:
    return tuple(SAME.get(name, name) for name in types)


def _advice(key: Constraint) -> Advice:
    """Give the referring columns the types of what they refer to: every value is there already, so it fits."""
    differing = [
        (column, ours, theirs)
        for column, ours, theirs, base, other in zip(
            key.columns,
            key.types,
            key.referenced_types,
            _plain(key.base_types),
            _plain(key.referenced_base_types),
            strict=True,
        )
        if base != other
    ]
    forth = ", ".join(_alter(column, theirs) for column, ours, theirs in differing)
    back = ", ".join(_alter(column, ours) for column, ours, theirs in differing)
    return Advice(
        title=f"Give {key.table} the types of {key.referenced}",
        sql=f"ALTER TABLE {key.table} {forth};",
        undo_sql=f"ALTER TABLE {key.table} {back};",
        lock=Lock.ACCESS_EXCLUSIVE,
        risk="It rewrites the table and its indexes, and nobody can use it meanwhile.  Views on the columns stand"
        " in the way.",
    )


def _alter(column: str, new: str) -> str:
    return f"ALTER COLUMN {quote(column)} TYPE {new} USING {quote(column)}::{new}"


CHECK = Check(needs=(CONSTRAINTS,), judge=judge, limits=NoLimits())
