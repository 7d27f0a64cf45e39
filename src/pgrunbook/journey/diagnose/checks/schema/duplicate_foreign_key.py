"""Two foreign keys between the same columns.

Asks:    which foreign keys of one table have the same columns referring to the same columns?
Source:  pg_constraint, compared by column numbers; the order of the columns does not matter.
Says:    {object} does what {related} does: each write to {table} is checked twice.
Section: Best Practices Summary
"""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Iterator

from pgrunbook.journey.diagnose.check import Check, NoLimits
from pgrunbook.journey.diagnose.seen import Seen
from pgrunbook.journey.observe.constraints import CONSTRAINT_DEFINITIONS, CONSTRAINTS, Constraint
from pgrunbook.model import Advice, Finding, Kind, Lock, Severity, Verdict, quote


def judge(seen: Seen, limits: NoLimits) -> Iterator[Verdict]:  # noqa: ARG001 - no thresholds
    """Each copy is one finding; the one that is kept is its `related`."""
    texts = {row.oid: row.definition for row in seen.rows_or_none(CONSTRAINT_DEFINITIONS) or ()}
    groups: dict[object, list[Constraint]] = defaultdict(list)
    for key in seen.rows(CONSTRAINTS):
        if key.is_foreign_key and key.is_local and key.is_enforced:
            pairs = frozenset(zip(key.attnums, key.referenced_attnums, strict=True))
            groups[(key.table_oid, key.referenced_oid, pairs)].append(key)
    for group in groups.values():
        kept, *copies = sorted(group, key=lambda key: (not key.is_validated, key.oid))
        for copy in copies:
            yield _finding(copy, kept, texts.get(copy.oid))


def _finding(copy: Constraint, kept: Constraint, definition: str | None) -> Finding:
    alter = f"ALTER TABLE {copy.table}"
    name = quote(copy.name)
    differs = (copy.on_delete, copy.on_update, copy.is_deferred) != (kept.on_delete, kept.on_update, kept.is_deferred)
    return Finding(
        severity=Severity.WARNING,
        kind=Kind.CONSTRAINT,
        object=copy.qualified,
        related=(kept.qualified,),
        evidence={
            "table": copy.table,
            "columns": copy.columns,
            "referenced": copy.referenced,
            "actions_differ": differs,
        },
        advice=(
            Advice(
                title=f"Drop foreign key {copy.qualified}",
                sql=f"{alter} DROP CONSTRAINT {name};",
                undo_sql=f"{alter} ADD CONSTRAINT {name} {definition};" if definition else None,
                lock=Lock.ACCESS_EXCLUSIVE,
                risk="The two differ in ON DELETE, ON UPDATE or deferral: make sure which one you want."
                if differs
                else "Both tables are locked for a moment.",
            ),
        ),
    )


CHECK = Check(needs=(CONSTRAINTS,), likes=(CONSTRAINT_DEFINITIONS,), judge=judge, limits=NoLimits())
