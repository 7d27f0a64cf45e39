"""Several permissive policies that say one thing together.

Asks:    has a table several permissive policies for the same command and the same roles, so that one with their
         conditions joined by OR means exactly the same?
Source:  pg_policy.
Says:    {policies} of {object} hold for {commands} by {roles}: any of them lets a row through, so that none of them
         tells by itself who may do what, and each row may be tested against all.
Section: Supabase-Specific Optimizations
"""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Iterator

from pgrunbook.journey.diagnose.check import Check, NoLimits
from pgrunbook.journey.diagnose.policy_merging import merge
from pgrunbook.journey.diagnose.seen import Seen
from pgrunbook.journey.observe.policies import POLICIES, Policy
from pgrunbook.journey.observe.policy_outlines import POLICY_OUTLINES, PolicyOutline
from pgrunbook.journey.observe.relations import RELATIONS, Relation
from pgrunbook.journey.observe.roles import ROLES
from pgrunbook.model import Finding, Kind, Severity, Verdict

Group = tuple[str, tuple[str, ...]]  # a command and the roles


def judge(seen: Seen, limits: NoLimits) -> Iterator[Verdict]:  # noqa: ARG001 - no thresholds
    """One finding a table.  Policies that differ in command or roles are left alone: merging them would widen one."""
    exempt = {role.name for role in seen.rows(ROLES) if role.bypasses_rls or role.is_superuser}
    groups: dict[int, dict[Group, list[PolicyOutline]]] = defaultdict(lambda: defaultdict(list))
    for outline in seen.rows(POLICY_OUTLINES):
        if outline.is_permissive and not set(outline.roles) <= exempt:
            groups[outline.table_oid][outline.command, outline.roles].append(outline)
    texts = {policy.oid: policy for policy in seen.rows_or_none(POLICIES) or ()}
    for table in seen.rows(RELATIONS):
        several = {key: found for key, found in groups.get(table.oid, {}).items() if len(found) > 1}
        if table.row_security and several:
            yield _finding(table, several, texts)


def _finding(table: Relation, several: dict[Group, list[PolicyOutline]], texts: dict[int, Policy]) -> Finding:
    outlines = [outline for group in several.values() for outline in group]
    known = [[texts[outline.oid] for outline in group if outline.oid in texts] for group in several.values()]
    is_complete = sum(map(len, known)) == len(outlines)
    return Finding(
        severity=Severity.WARNING,
        kind=Kind.TABLE,
        object=table.qualified,
        related=tuple(outline.qualified for outline in outlines),
        evidence={
            "policies": tuple(outline.name for outline in outlines),
            "commands": tuple(sorted({command for command, _ in several})),
            "roles": tuple(sorted({role for _, roles in several for role in roles})),
        },
        advice=(merge(table, known),) if is_complete else (),
    )


CHECK = Check(needs=(POLICY_OUTLINES, RELATIONS, ROLES), likes=(POLICIES,), judge=judge, limits=NoLimits())
