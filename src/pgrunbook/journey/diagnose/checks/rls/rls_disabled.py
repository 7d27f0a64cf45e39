"""Table that the API reaches without row security.

Asks:    does an API role hold a privilege on a table of an exposed schema, or on a column of it, while row security is
         off there, or on a partition that can be named by itself?
Source:  pg_class and access lists; pgrst.db_schemas of role authenticator for the exposed schemas, or the default.
Says:    Whoever has the address of the API may {privileges} every row of {object}, as {roles}: row security is off.
         So are {partitions} of its partitions.  Exposed are {exposed_schemas} ({exposed_by}).
Section: Supabase-Specific Optimizations
Leads:   enable_row_security
"""

from __future__ import annotations

from collections.abc import Iterator

from pgrunbook.journey.diagnose.check import Check, NoLimits
from pgrunbook.journey.diagnose.exposure import NEEDS, TOUCHING, exposure, is_supabase
from pgrunbook.journey.diagnose.queues import is_queue, queue_tables
from pgrunbook.journey.diagnose.revoking import revoke_relation
from pgrunbook.journey.diagnose.seen import Seen
from pgrunbook.journey.diagnose.trees import TableTree, table_trees
from pgrunbook.journey.observe.columns import COLUMNS
from pgrunbook.journey.observe.policy_outlines import POLICY_OUTLINES
from pgrunbook.journey.observe.relations import RELATIONS, Relation
from pgrunbook.journey.steps import advise
from pgrunbook.journey.steps.enable_row_security import EnableRowSecurity
from pgrunbook.model import Finding, Kind, Severity, Verdict


def judge(seen: Seen, limits: NoLimits) -> Iterator[Verdict]:  # noqa: ARG001 - no thresholds
    """One finding a partition tree; tables with policies are policy_without_rls, queues exposed_queue."""
    if not is_supabase(seen):
        return
    reach = seen.derived(exposure)
    ruled = {outline.table_oid for outline in seen.rows(POLICY_OUTLINES)}
    queues = seen.derived(queue_tables)
    for tree in {tree.root.oid: tree for tree in seen.derived(table_trees).values()}.values():
        bare = [
            member
            for member in tree.members
            if member.kind in {"r", "p"}
            and not member.row_security
            and not member.of_extension
            and not is_queue(member, queues)
            and reach.reached(member)
        ]
        if bare and not any(not member.row_security and member.oid in ruled for member in tree.members):
            yield _finding(seen, tree, sorted(bare, key=lambda m: (m.oid != tree.root.oid, m.qualified)))


def _finding(seen: Seen, tree: TableTree, bare: list[Relation]) -> Finding:
    reach = seen.derived(exposure)
    held = [reach.reached(member) for member in bare]
    first, *others = bare
    step = EnableRowSecurity(
        schema=first.schema, table=first.name, partitions=tuple(member.qualified for member in others)
    )
    partitions = sum(member.oid != tree.root.oid for member in bare)
    return Finding(
        severity=Severity.CRITICAL,
        kind=Kind.TABLE,
        object=tree.qualified,
        related=tuple(member.qualified for member in bare if member.oid != tree.root.oid),
        evidence={
            "privileges": tuple(sorted({p for each in held for privileges in each.values() for p in privileges})),
            "roles": tuple(sorted({role for each in held for role in each})),
            "partitions": partitions or None,
            "rows": round(tree.rows),
            **reach.evidence,
        },
        advice=(
            advise(step),
            *(
                revoke_relation(reach, first, TOUCHING, risk="The API cannot use the table any more.")
                if not others
                else ()
            ),
        ),
    )


CHECK = Check(needs=(RELATIONS, POLICY_OUTLINES, COLUMNS, *NEEDS), judge=judge, limits=NoLimits())
