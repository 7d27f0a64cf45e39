"""Materialised view that the API can read.

Asks:    may an API role read a materialised view of an exposed schema?
Source:  pg_class and access lists.
Says:    {roles} may read {object} by way of the API.  A materialised view has no row security: everybody sees all that
         its owner saw.  Exposed are {exposed_schemas} ({exposed_by}).
Section: Supabase-Specific Optimizations
"""

from __future__ import annotations

from collections.abc import Iterator

from pgrunbook.journey.diagnose.check import Check, NoLimits
from pgrunbook.journey.diagnose.exposure import NEEDS, READING, exposure, is_supabase
from pgrunbook.journey.diagnose.revoking import revoke_relation
from pgrunbook.journey.diagnose.seen import Seen
from pgrunbook.journey.observe.relations import RELATIONS
from pgrunbook.model import Finding, Kind, Severity, Verdict


def judge(seen: Seen, limits: NoLimits) -> Iterator[Verdict]:  # noqa: ARG001 - no thresholds
    """One finding a materialised view."""
    if not is_supabase(seen):
        return
    reach = seen.derived(exposure)
    for view in seen.rows(RELATIONS):
        roles = tuple(reach.reached(view, READING)) if view.kind == "m" and not view.of_extension else ()
        if roles:
            yield Finding(
                severity=Severity.WARNING,
                kind=Kind.VIEW,
                object=view.qualified,
                evidence={"roles": roles, **reach.evidence},
                advice=revoke_relation(reach, view, READING),
            )


CHECK = Check(needs=(RELATIONS, *NEEDS), judge=judge, limits=NoLimits())
