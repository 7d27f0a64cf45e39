"""View that shows auth.users to the API.

Asks:    can an API role read auth.users by way of a view or materialised view of an exposed schema?
Source:  pg_depend of the views' rules, followed through views inside views; access lists.
Says:    {roles} may read {object}, which shows rows of auth.users to everybody who has the address of the API.  It does
         so by way of {through}.  Exposed are {exposed_schemas} ({exposed_by}).
Section: Supabase-Specific Optimizations
"""

from __future__ import annotations

from collections.abc import Iterator

from pgrunbook.journey.diagnose.check import Check, NoLimits
from pgrunbook.journey.diagnose.exposure import READING, exposure, is_supabase
from pgrunbook.journey.diagnose.revoking import revoke_relation
from pgrunbook.journey.diagnose.seen import Seen
from pgrunbook.journey.diagnose.view_reach import NEEDS, reads_through_views, shows_users
from pgrunbook.model import Finding, Kind, Severity, Verdict


def judge(seen: Seen, limits: NoLimits) -> Iterator[Verdict]:  # noqa: ARG001 - no thresholds
    """One finding an exposed view."""
    if not is_supabase(seen):
        return
    reach = seen.derived(exposure)
    shown = {read.view.oid: read for read in seen.derived(reads_through_views) if shows_users(read)}
    for read in shown.values():
        roles = tuple(reach.reached(read.view, READING))
        if roles:
            yield Finding(
                severity=Severity.CRITICAL,
                kind=Kind.VIEW,
                object=read.view.qualified,
                related=("auth.users",),
                evidence={
                    "roles": roles,
                    "through": read.through.qualified if read.through.oid != read.view.oid else None,
                    **reach.evidence,
                },
                advice=revoke_relation(reach, read.view, READING),
            )


CHECK = Check(needs=NEEDS, judge=judge, limits=NoLimits())
