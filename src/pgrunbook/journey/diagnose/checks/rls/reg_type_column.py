"""Column of a type that stores OIDs of the catalog, which pg_upgrade refuses.

Asks:    which columns are regproc, regprocedure, regoper, regoperator, regconfig, regdictionary, regnamespace or
         regcollation, or arrays of them?
Source:  pg_attribute; domains by their base type.  regclass, regrole and regtype pass pg_upgrade.
Says:    {object} is {type}: it stores OIDs that are others after an upgrade, and pg_upgrade refuses the database.
Section: Best Practices Summary
"""

from __future__ import annotations

from collections.abc import Iterator

from pgrunbook.journey.diagnose.check import Check, NoLimits
from pgrunbook.journey.diagnose.exposure import MANAGED_SCHEMAS, is_supabase
from pgrunbook.journey.diagnose.seen import Seen
from pgrunbook.journey.observe.columns import COLUMNS, Column
from pgrunbook.journey.observe.relations import RELATIONS
from pgrunbook.model import Advice, Finding, Kind, Lock, Severity, Verdict, quote

# The list that pg_upgrade's check_for_reg_data_type_usage asks for; regclass, regrole and regtype keep their OIDs.
REFUSED = frozenset(
    "regproc regprocedure regoper regoperator regconfig regdictionary regnamespace regcollation".split()
)


def judge(seen: Seen, limits: NoLimits) -> Iterator[Verdict]:  # noqa: ARG001 - no thresholds
    """One finding a column; the columns of partitions are those of their parent."""
    supabase = is_supabase(seen)
    tables = {
        relation.oid
        for relation in seen.rows(RELATIONS)
        if relation.kind in {"r", "p", "m"}
        and not relation.is_partition
        and not relation.of_extension
        and not (supabase and relation.schema in MANAGED_SCHEMAS)
    }
    views = {relation.oid for relation in seen.rows(RELATIONS) if relation.kind == "m"}
    for column in seen.rows(COLUMNS):
        is_array = column.base_type_name.removeprefix("_") in REFUSED and column.base_type_name.startswith("_")
        if column.table_oid in tables and (is_array or column.base_type_name in REFUSED):
            is_simple = column.table_oid not in views and column.generated == "" and column.type_kind != "d"
            yield Finding(
                severity=Severity.WARNING,
                kind=Kind.COLUMN,
                object=column.qualified,
                related=(column.table,),
                evidence={"type": column.declared_type},
                advice=(_advice(column, is_array=is_array),) if is_simple else (),
            )


def _advice(column: Column, *, is_array: bool) -> Advice:
    name, text = quote(column.name), "text[]" if is_array else "text"
    alter = f"ALTER TABLE {column.table} ALTER COLUMN {name} TYPE"
    return Advice(
        title=f"Store names in {column.qualified} instead of OIDs",
        sql=f"{alter} {text} USING {name}::{text};",
        undo_sql=f"{alter} {column.declared_type} USING {name}::{column.declared_type};",
        lock=Lock.ACCESS_EXCLUSIVE,
        risk="It rewrites the table, and nobody can use it meanwhile; names without schema depend on search_path.",
    )


CHECK = Check(needs=(COLUMNS, RELATIONS), judge=judge, limits=NoLimits())
