"""Foreign key to a column of Supabase's auth schema that is not a primary key.

Asks:    does a foreign key refer to a unique index in schema auth that is no primary key?
Source:  pg_constraint and pg_index.
Says:    {object} refers to {referenced} ({columns}) by a unique index that the service may change or drop: its next
         update of schema auth fails or takes the foreign key along.
Section: Supabase-Specific Optimizations
"""

from __future__ import annotations

from collections.abc import Iterator

from pgrunbook.journey.diagnose.check import Check, NoLimits
from pgrunbook.journey.diagnose.exposure import is_supabase
from pgrunbook.journey.diagnose.seen import Seen
from pgrunbook.journey.observe.constraints import CONSTRAINT_DEFINITIONS, CONSTRAINTS, Constraint
from pgrunbook.journey.observe.indexes import INDEXES
from pgrunbook.model import Advice, Finding, Kind, Lock, Severity, Verdict, quote

SCHEMA = "auth"


def judge(seen: Seen, limits: NoLimits) -> Iterator[Verdict]:  # noqa: ARG001 - no thresholds
    """One finding a foreign key from outside of the schema."""
    if not is_supabase(seen):
        return
    primary = {index.oid for index in seen.rows(INDEXES) if index.is_primary}
    texts = {row.oid: row.definition for row in seen.rows_or_none(CONSTRAINT_DEFINITIONS) or ()}
    for key in seen.rows(CONSTRAINTS):
        if (
            key.is_foreign_key
            and key.referenced_schema == SCHEMA
            and key.schema != SCHEMA
            and key.index_oid not in primary
        ):
            yield Finding(
                severity=Severity.CRITICAL,
                kind=Kind.CONSTRAINT,
                object=key.qualified,
                related=(key.referenced,),
                evidence={"referenced": key.referenced, "columns": key.referenced_columns, "table": key.table},
                advice=(_advice(key, texts.get(key.oid)),),
            )


def _advice(key: Constraint, definition: str | None) -> Advice:
    alter, name = f"ALTER TABLE {key.table}", quote(key.name)
    return Advice(
        title=f"Drop {key.qualified}; refer to the primary key of {key.referenced} instead",
        sql=f"{alter} DROP CONSTRAINT {name};",
        undo_sql=f"{alter} ADD CONSTRAINT {name} {definition};" if definition is not None else None,
        lock=Lock.ACCESS_EXCLUSIVE,
        risk="Until another foreign key stands in its place nobody checks the references.",
    )


CHECK = Check(needs=(CONSTRAINTS, INDEXES), likes=(CONSTRAINT_DEFINITIONS,), judge=judge, limits=NoLimits())
