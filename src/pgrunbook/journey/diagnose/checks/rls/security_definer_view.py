"""View that reads with its owner's rights and so passes by row security.

Asks:    can an API role reach a view without security_invoker that reads tables whose row security its owner is exempt
         from, or tables of another owner that the API may not read itself?
Source:  pg_class options, pg_depend of the views' rules, followed through views inside views; access lists.
Says:    {roles} read {tables} through {object} with the rights of {owner}: row security does not hold there.  It is
         reached through {reached_by}.  A view is like that unless it is made WITH (security_invoker = true).
Section: Supabase-Specific Optimizations
"""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Iterator, Mapping

from pgrunbook.journey.diagnose.check import Check, NoLimits
from pgrunbook.journey.diagnose.exposure import TOUCHING, Exposure, exposure, is_supabase
from pgrunbook.journey.diagnose.revoking import revoke_relation
from pgrunbook.journey.diagnose.seen import Seen
from pgrunbook.journey.diagnose.view_reach import NEEDS, ReadThrough, reads_through_views, shows_users
from pgrunbook.journey.observe.relations import Relation
from pgrunbook.journey.observe.roles import ROLES, Role
from pgrunbook.model import Advice, Finding, Kind, Lock, Severity, Verdict

INVOKER_SINCE = 15  # security_invoker: PostgreSQL 15's release notes, E.1.3.2


def judge(seen: Seen, limits: NoLimits) -> Iterator[Verdict]:  # noqa: ARG001 - no thresholds
    """One finding a view that would have to be changed; what shows auth.users is exposed_auth_users."""
    if not is_supabase(seen):
        return
    reach = seen.derived(exposure)
    roles = {role.name: role for role in seen.rows(ROLES)}
    passing: dict[int, list[ReadThrough]] = defaultdict(list)
    for read in seen.derived(reads_through_views):
        if read.as_owner and read.through.kind == "v" and not shows_users(read) and _passes(read, roles, reach):
            passing[read.through.oid].append(read)
    for reads in passing.values():
        view = reads[0].through
        first = next((read.view for read in reads if read.view.oid == view.oid), reads[0].view)
        yield Finding(
            severity=Severity.CRITICAL,
            kind=Kind.VIEW,
            object=view.qualified,
            related=tuple(sorted({read.source.qualified for read in reads})),
            evidence={
                "tables": tuple(sorted({read.source.qualified for read in reads})),
                "owner": view.owner,
                "roles": tuple(sorted({role for read in reads for role in reach.reached(read.view)})),
                "reached_by": first.qualified if first.oid != view.oid else None,
                **reach.evidence,
            },
            advice=_advice(seen, view, first, reads),
        )


def _passes(read: ReadThrough, roles: Mapping[str, Role], reach: Exposure) -> bool:
    view, table = read.through, read.source
    if table.row_security:
        owner = roles.get(view.owner or "")
        exempt = owner is None or owner.is_superuser or owner.bypasses_rls
        return exempt or (view.owner == table.owner and not table.force_row_security)
    return view.owner != table.owner and not reach.holds(table)


def _advice(seen: Seen, view: Relation, first: Relation, reads: list[ReadThrough]) -> tuple[Advice, ...]:
    reach = seen.derived(exposure)
    if seen.server.major < INVOKER_SINCE:
        return revoke_relation(
            reach,
            first,
            TOUCHING,
            risk="The API cannot use the view any more; before 15 a view cannot ask as its caller.",
        )
    was = view.option("security_invoker")
    alter = f"ALTER VIEW {view.qualified}"
    unread = sorted({read.source.qualified for read in reads if not reach.holds(read.source)})
    return (
        Advice(
            title=f"Let {view.qualified} ask with its caller's rights",
            sql=f"{alter} SET (security_invoker = true);",
            undo_sql=f"{alter} RESET (security_invoker);"
            if was is None
            else f"{alter} SET (security_invoker = {was});",
            lock=Lock.ACCESS_EXCLUSIVE,
            risk="Callers see only the rows that policies give them"
            + (f", and fail until they may read {', '.join(unread)}." if unread else "."),
        ),
    )


CHECK = Check(needs=(ROLES, *NEEDS), judge=judge, limits=NoLimits())
