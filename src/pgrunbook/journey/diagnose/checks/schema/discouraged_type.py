"""A column of a type that PostgreSQL's own community advises against.

Asks:    which columns are timestamp without time zone, money, or char(n)?
Source:  pg_attribute; domains by their base type.
Says:    {object} is {type}: {reason}.
Section: Best Practices Summary
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass

from pgrunbook.journey.diagnose.check import Check, NoLimits
from pgrunbook.journey.diagnose.seen import Seen
from pgrunbook.journey.observe.columns import COLUMNS, Column
from pgrunbook.journey.observe.partitions import PARTITIONS
from pgrunbook.journey.observe.relations import RELATIONS
from pgrunbook.model import Advice, Finding, Kind, Lock, Severity, Verdict, quote


@dataclass(frozen=True, slots=True, kw_only=True)
class Better:
    """Why not, what instead, and how values go there and back (`{c}` is the column)."""

    reason: str
    instead: str
    forth: str
    back: str


BETTER = {
    "timestamp": Better(
        reason="it holds a clock's face, not a moment, and means another one in each time zone",
        instead="timestamp with time zone",
        forth="{c} AT TIME ZONE 'UTC'",
        back="{c} AT TIME ZONE 'UTC'",
    ),
    "money": Better(
        reason="its currency and its fractions depend on lc_monetary",
        instead="numeric",
        forth="{c}::numeric",
        back="{c}::money",
    ),
    "bpchar": Better(
        reason="it is padded with blanks, takes more room than text and is no faster",
        instead="text",
        forth="{c}::text",
        back="{c}",
    ),
}


def judge(seen: Seen, limits: NoLimits) -> Iterator[Verdict]:  # noqa: ARG001 - no thresholds
    """One finding a column; the columns of partitions are those of their parent."""
    tables = {
        relation.oid: relation
        for relation in seen.rows(RELATIONS)
        if relation.kind in {"r", "p"} and not relation.is_partition and not relation.of_extension
    }
    keys = {(part.parent_oid, part.key_column) for part in seen.rows_or_none(PARTITIONS) or ()}
    for column in seen.rows(COLUMNS):
        better = BETTER.get(column.base_type_name)
        if better is not None and column.table_oid in tables:
            stays = (column.table_oid, column.name) in keys or column.type_kind == "d" or column.generated != ""
            yield Finding(
                severity=Severity.NOTICE,
                kind=Kind.COLUMN,
                object=column.qualified,
                related=(column.table,),
                evidence={"type": column.declared_type, "reason": better.reason, "instead": better.instead},
                advice=() if stays else (_advice(column, better),),
            )


def _advice(column: Column, better: Better) -> Advice:
    name = quote(column.name)
    alter = f"ALTER TABLE {column.table} ALTER COLUMN {name} TYPE"
    return Advice(
        title=f"Make {column.qualified} {better.instead}",
        sql=f"{alter} {better.instead} USING {better.forth.format(c=name)};",
        undo_sql=f"{alter} {column.declared_type} USING {better.back.format(c=name)};",
        lock=Lock.ACCESS_EXCLUSIVE,
        risk="It rewrites the table, and nobody can use it meanwhile."
        + ("  Say UTC only if that is what the values are." if better.instead.startswith("timestamp") else ""),
    )


CHECK = Check(needs=(COLUMNS, RELATIONS), likes=(PARTITIONS,), judge=judge, limits=NoLimits())
