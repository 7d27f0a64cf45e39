"""Row security without any policy: those with privileges get nothing, and no error.

Asks:    has a table row security but no policy, although roles that it applies to hold privileges there?
Source:  pg_class, pg_policy and access lists.
Says:    {roles} may use {object}, but see and change no row of it: row security is on and there is no policy.
Section: Supabase-Specific Optimizations
"""

from __future__ import annotations

from collections.abc import Iterator

from pgrunbook.journey.diagnose.check import Check, NoLimits
from pgrunbook.journey.diagnose.exposure import (
    MANAGED_SCHEMAS,
    NEEDS,
    TOUCHING,
    exposure,
    is_supabase,
    touching_grantees,
)
from pgrunbook.journey.diagnose.revoking import revoke_relation
from pgrunbook.journey.diagnose.seen import Seen
from pgrunbook.journey.observe.policy_outlines import POLICY_OUTLINES
from pgrunbook.journey.observe.relations import RELATIONS
from pgrunbook.journey.observe.roles import ROLES
from pgrunbook.model import Finding, Kind, Severity, Verdict


def judge(seen: Seen, limits: NoLimits) -> Iterator[Verdict]:  # noqa: ARG001 - no thresholds
    """One finding a table; partitions are reached through their root and want no policies of their own."""
    reach, supabase = seen.derived(exposure), is_supabase(seen)
    exempt = {role.name for role in seen.rows(ROLES) if role.bypasses_rls or role.is_superuser}
    grantees = seen.derived(touching_grantees)
    ruled = {outline.table_oid for outline in seen.rows(POLICY_OUTLINES)}
    for table in seen.rows(RELATIONS):
        if (
            not table.row_security
            or table.oid in ruled
            or table.is_partition
            or table.of_extension
            or (supabase and table.schema in MANAGED_SCHEMAS)
        ):
            continue
        granted = tuple(name for name in grantees.get(table.oid, ()) if name not in exempt)
        roles = tuple(reach.reached(table)) if supabase else granted
        if roles:
            yield Finding(
                severity=Severity.NOTICE,
                kind=Kind.TABLE,
                object=table.qualified,
                evidence={"roles": roles},
                advice=revoke_relation(reach, table, TOUCHING, risk="Clients get an error instead of an empty answer.")
                if supabase
                else (),
            )


CHECK = Check(needs=(RELATIONS, POLICY_OUTLINES, ROLES, *NEEDS), judge=judge, limits=NoLimits())
