"""Role that can log in and may do everything.

Asks:    which superusers can log in, beside the one that the server was made with and those of the service
         that runs it?
Source:  pg_roles.
Says:    {object} can log in and is a superuser: no privilege and no row security holds for it, and it can run programs
         on the server.
Section: Best Practices Summary
"""

from __future__ import annotations

from collections.abc import Iterator

from pgrunbook.journey.diagnose.check import Check, NoLimits
from pgrunbook.journey.diagnose.platform_roles import BOOTSTRAP_OID, is_platform_role
from pgrunbook.journey.diagnose.seen import Seen
from pgrunbook.journey.observe.roles import ROLES
from pgrunbook.model import Advice, Finding, Kind, Severity, Verdict, quote


def judge(seen: Seen, limits: NoLimits) -> Iterator[Verdict]:  # noqa: ARG001 - no thresholds
    """One finding a role."""
    for role in seen.rows(ROLES):
        if (
            role.is_superuser
            and role.may_login
            and role.oid != BOOTSTRAP_OID
            and not is_platform_role(role, seen.server)
        ):
            name = quote(role.name)
            yield Finding(
                severity=Severity.WARNING,
                kind=Kind.ROLE,
                object=name,
                evidence={"owned_tables": role.owned_tables, "valid_until": _date(role.valid_until)},
                advice=(
                    Advice(
                        title=f"Take superuser rights from {name}",
                        sql=f"ALTER ROLE {name} NOSUPERUSER;",
                        undo_sql=f"ALTER ROLE {name} SUPERUSER;",
                        risk="It loses every right that nobody granted to it: grant what it needs first.",
                    ),
                ),
            )


def _date(at: object) -> str | None:
    return str(at) if at is not None else None


CHECK = Check(needs=(ROLES,), judge=judge, limits=NoLimits())
