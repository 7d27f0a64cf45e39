"""Policies that do not hold, because row security is off.

Asks:    has a table policies while row security is not enabled on it?
Source:  pg_policy and pg_class.
Says:    {object} has {policies} policies, and none of them holds: row security is off.
Section: Supabase-Specific Optimizations
Leads:   enable_row_security
"""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Iterator

from pgrunbook.journey.diagnose.check import Check, NoLimits
from pgrunbook.journey.diagnose.exposure import NEEDS, exposure
from pgrunbook.journey.diagnose.seen import Seen
from pgrunbook.journey.diagnose.trees import table_trees
from pgrunbook.journey.observe.policy_outlines import POLICY_OUTLINES
from pgrunbook.journey.observe.relations import RELATIONS
from pgrunbook.journey.steps import advise
from pgrunbook.journey.steps.enable_row_security import EnableRowSecurity
from pgrunbook.model import Finding, Kind, Severity, Verdict


def judge(seen: Seen, limits: NoLimits) -> Iterator[Verdict]:  # noqa: ARG001 - no thresholds
    """One finding a table; the advice protects partitions that the API can name by themselves, too."""
    reach, trees = seen.derived(exposure), seen.derived(table_trees)
    policies: dict[int, list[str]] = defaultdict(list)
    for outline in seen.rows(POLICY_OUTLINES):
        policies[outline.table_oid].append(outline.name)
    for table in seen.rows(RELATIONS):
        if table.oid not in policies or table.row_security:
            continue
        bare = [
            member
            for member in trees[table.oid].members
            if member.oid != table.oid
            and member.kind in {"r", "p"}
            and not member.row_security
            and member.oid not in policies
            and reach.reached(member)
        ]
        step = EnableRowSecurity(
            schema=table.schema, table=table.name, partitions=tuple(member.qualified for member in bare)
        )
        yield Finding(
            severity=Severity.CRITICAL,
            kind=Kind.TABLE,
            object=table.qualified,
            evidence={
                "policies": len(policies[table.oid]),
                "policy_names": tuple(policies[table.oid]),
                "roles": tuple(reach.reached(table)) or None,
            },
            advice=(advise(step),),
        )


CHECK = Check(needs=(POLICY_OUTLINES, RELATIONS, *NEEDS), judge=judge, limits=NoLimits())
