"""Role that can log in and that row security does not hold for.

Asks:    which roles can log in and have BYPASSRLS, without being superusers or belonging to the service that runs the
         server?
Source:  pg_roles.
Says:    {object} can log in, and no policy holds for it.
Section: Supabase-Specific Optimizations
"""

from __future__ import annotations

from collections.abc import Iterator

from pgrunbook.journey.diagnose.check import Check, NoLimits
from pgrunbook.journey.diagnose.platform_roles import is_platform_role
from pgrunbook.journey.diagnose.seen import Seen
from pgrunbook.journey.observe.roles import ROLES
from pgrunbook.model import Advice, Finding, Kind, Severity, Verdict, quote

_READS_ALL = "pg_read_all_data"


def judge(seen: Seen, limits: NoLimits) -> Iterator[Verdict]:  # noqa: ARG001 - no thresholds
    """One finding a role; one that reads all data, as a backup must (pg_dump fails under row security), is a notice."""
    for role in seen.rows(ROLES):
        if role.bypasses_rls and role.may_login and not role.is_superuser and not is_platform_role(role, seen.server):
            name = quote(role.name)
            yield Finding(
                severity=Severity.NOTICE if _READS_ALL in role.member_of else Severity.WARNING,
                kind=Kind.ROLE,
                object=name,
                evidence={"owned_tables": role.owned_tables, "granted_tables": role.granted_tables},
                advice=(
                    Advice(
                        title=f"Let policies hold for {name}",
                        sql=f"ALTER ROLE {name} NOBYPASSRLS;",
                        undo_sql=f"ALTER ROLE {name} BYPASSRLS;",
                        risk="It sees no row that no policy gives it, and its pg_dump fails.",
                    ),
                ),
            )


CHECK = Check(needs=(ROLES,), judge=judge, limits=NoLimits())
