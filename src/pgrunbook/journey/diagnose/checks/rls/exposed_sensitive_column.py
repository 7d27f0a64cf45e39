"""Secret or personal data that everybody can read by way of the API.

Asks:    may an API role read a column whose name tells of a password, key, token, or number of a person or card, in a
         table of an exposed schema without row security?
Source:  pg_attribute names, split into words; pg_class; access lists.
Says:    {roles} may read {object} in every row, and its name says {word}.
         Exposed are {exposed_schemas} ({exposed_by}).
Section: Supabase-Specific Optimizations
Leads:   enable_row_security
"""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Iterator, Mapping, Sequence

from pgrunbook.journey.diagnose.check import Check, NoLimits
from pgrunbook.journey.diagnose.exposure import NEEDS, Exposure, exposure, is_supabase
from pgrunbook.journey.diagnose.revoking import grantee_sql
from pgrunbook.journey.diagnose.seen import Seen
from pgrunbook.journey.diagnose.sensitive_names import sensitive_word
from pgrunbook.journey.observe.columns import COLUMNS, Column
from pgrunbook.journey.observe.relations import RELATIONS, Relation
from pgrunbook.journey.steps import advise
from pgrunbook.journey.steps.enable_row_security import EnableRowSecurity
from pgrunbook.model import Advice, Finding, Kind, Severity, Verdict, quote


def judge(seen: Seen, limits: NoLimits) -> Iterator[Verdict]:  # noqa: ARG001 - no thresholds
    """One finding a column; the columns of partitions are those of their parent."""
    if not is_supabase(seen):
        return
    reach = seen.derived(exposure)
    tables = {
        relation.oid: relation
        for relation in seen.rows(RELATIONS)
        if relation.kind in {"r", "p"}
        and not relation.row_security
        and not relation.is_partition
        and not relation.of_extension
        and relation.schema in reach.schemas
    }
    columns: dict[int, list[Column]] = defaultdict(list)
    for column in seen.rows(COLUMNS):
        if column.table_oid in tables:
            columns[column.table_oid].append(column)
    for oid, of_table in columns.items():
        table = tables[oid]
        words = {column.name: word for column in of_table if (word := sensitive_word(column)) is not None}
        shown = {name: roles for name in words if (roles := reach.reads_column(table, name))}
        for name, roles in shown.items():
            yield Finding(
                severity=Severity.CRITICAL,
                kind=Kind.COLUMN,
                object=f"{table.qualified}.{quote(name)}",
                related=(table.qualified,),
                evidence={"roles": roles, "word": words[name], **reach.evidence},
                advice=(
                    *_hide(reach, table, of_table, shown),
                    advise(EnableRowSecurity(schema=table.schema, table=table.name)),
                ),
            )


def _hide(
    reach: Exposure, table: Relation, columns: Sequence[Column], secret: Mapping[str, object]
) -> tuple[Advice, ...]:
    """Read privileges on all columns but the secret ones; nothing where ownership or a predefined role gives them."""
    if not reach.is_by_grants(table):
        return ()
    forth: list[str] = []
    back: list[str] = []
    open_columns = ", ".join(quote(column.name) for column in columns if column.name not in secret)
    for grant in reach.grants("relation", table.oid):
        if "SELECT" in grant.privileges:
            who = grantee_sql(grant.grantee)
            option = " WITH GRANT OPTION" if "SELECT" in grant.grantable else ""
            forth.append(f"REVOKE SELECT ON TABLE {table.qualified} FROM {who};")
            if open_columns:
                forth.append(f"GRANT SELECT ({open_columns}) ON TABLE {table.qualified} TO {who}{option};")
                back.append(f"REVOKE SELECT ({open_columns}) ON TABLE {table.qualified} FROM {who};")
            back.append(f"GRANT SELECT ON TABLE {table.qualified} TO {who}{option};")
    for grant in reach.grants("column", table.oid):
        if "SELECT" in grant.privileges:
            what = f"SELECT ({quote(grant.column_name)}) ON TABLE {table.qualified}"
            who = grantee_sql(grant.grantee)
            if grant.column_name in secret:
                forth.append(f"REVOKE {what} FROM {who};")
            option = " WITH GRANT OPTION" if "SELECT" in grant.grantable else ""
            back.append(f"GRANT {what} TO {who}{option};")
    hidden = ", ".join(quote(name) for name in secret)
    return (
        Advice(
            title=f"Let the API read {table.qualified} without {hidden}",
            sql="\n".join(forth),
            undo_sql="\n".join(back),
            risk="Clients that ask for all columns (select=*) fail until they name the ones they want.",
        ),
    )


CHECK = Check(needs=(RELATIONS, COLUMNS, *NEEDS), judge=judge, limits=NoLimits())
