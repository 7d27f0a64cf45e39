"""Foreign table that the API can reach.

Asks:    has an API role a privilege on a foreign table of an exposed schema?
Source:  pg_class and access lists.
Says:    {roles} may {privileges} in {object} by way of the API.  A foreign table has no row security: everybody gets
         what the user mapping gets.  Exposed are {exposed_schemas} ({exposed_by}).
Section: Supabase-Specific Optimizations
"""

from __future__ import annotations

from collections.abc import Iterator

from pgrunbook.journey.diagnose.check import Check, NoLimits
from pgrunbook.journey.diagnose.exposure import NEEDS, TOUCHING, exposure, is_supabase
from pgrunbook.journey.diagnose.revoking import revoke_relation
from pgrunbook.journey.diagnose.seen import Seen
from pgrunbook.journey.diagnose.trees import table_trees
from pgrunbook.journey.observe.relations import RELATIONS
from pgrunbook.model import Finding, Kind, Severity, Verdict


def judge(seen: Seen, limits: NoLimits) -> Iterator[Verdict]:  # noqa: ARG001 - no thresholds
    """One finding a foreign table; one that is a partition can be named by itself, too."""
    if not is_supabase(seen):
        return
    reach, trees = seen.derived(exposure), seen.derived(table_trees)
    for table in seen.rows(RELATIONS):
        held = reach.reached(table) if table.kind == "f" and not table.of_extension else {}
        if held:
            yield Finding(
                severity=Severity.WARNING,
                kind=Kind.TABLE,
                object=table.qualified,
                related=(trees[table.oid].qualified,) if table.is_partition else (),
                evidence={
                    "roles": tuple(held),
                    "privileges": tuple(sorted({p for privileges in held.values() for p in privileges})),
                    **reach.evidence,
                },
                advice=revoke_relation(reach, table, TOUCHING),
            )


CHECK = Check(needs=(RELATIONS, *NEEDS), judge=judge, limits=NoLimits())
