"""Schema public in which everybody may make objects.

Asks:    has PUBLIC, or an API role, the privilege CREATE on schema public?
Source:  pg_namespace's access list.  Before 15 everybody has it by default: a notice, once a role can log in
         beside the owners of tables.
Says:    {grantees} may make objects in schema public: a function or table there can stand in for one that somebody
         else means.
Section: Best Practices Summary
"""

from __future__ import annotations

from collections.abc import Iterator

from pgrunbook.journey.diagnose.check import Check, NoLimits
from pgrunbook.journey.diagnose.platform_roles import is_platform_role
from pgrunbook.journey.diagnose.revoking import grantee_sql
from pgrunbook.journey.diagnose.seen import Seen
from pgrunbook.journey.observe.grants import GRANTS
from pgrunbook.journey.observe.relations import RELATIONS
from pgrunbook.journey.observe.roles import ROLES
from pgrunbook.journey.observe.schemas import SCHEMAS
from pgrunbook.model import Advice, Finding, Kind, Severity, Verdict

SCHEMA = "public"
NOT_BY_DEFAULT_SINCE = 15  # PostgreSQL 15's release notes, E.1.2; pg_upgrade keeps what was
API = frozenset({"anon", "authenticated"})


def judge(seen: Seen, limits: NoLimits) -> Iterator[Verdict]:  # noqa: ARG001 - no thresholds
    """One finding."""
    schema = next((schema for schema in seen.rows(SCHEMAS) if schema.name == SCHEMA), None)
    if schema is None:
        return
    grants = [
        grant
        for grant in seen.rows(GRANTS)
        if grant.kind == "schema"
        and grant.oid == schema.oid
        and "CREATE" in grant.privileges
        and (grant.grantee == "public" or grant.grantee in API)
    ]
    is_default = seen.server.major < NOT_BY_DEFAULT_SINCE and {g.grantee for g in grants} == {"public"}
    if not grants or (is_default and not _others_can_log_in(seen, schema.owner)):
        return
    words = [grantee_sql(grant.grantee) for grant in grants]
    yield Finding(
        severity=Severity.NOTICE if is_default else Severity.WARNING,
        kind=Kind.SCHEMA,
        object=SCHEMA,
        evidence={"grantees": tuple(words), "is_default": is_default},
        advice=(
            Advice(
                title="Let nobody but its owner make objects in schema public",
                sql="\n".join(f"REVOKE CREATE ON SCHEMA {SCHEMA} FROM {word};" for word in words),
                undo_sql="\n".join(f"GRANT CREATE ON SCHEMA {SCHEMA} TO {word};" for word in words),
                risk="Roles that make their tables there need CREATE of their own.",
            ),
        ),
    )


def _others_can_log_in(seen: Seen, owner: str | None) -> bool:
    """Whether a role can log in that could get in the way of somebody else's objects."""
    owners = {relation.owner for relation in seen.rows(RELATIONS) if not relation.of_extension}
    return any(
        role.may_login
        and role.may_connect
        and not role.is_superuser
        and role.name != owner
        and owners - {role.name}
        and not is_platform_role(role, seen.server)
        for role in seen.rows(ROLES)
    )


CHECK = Check(needs=(GRANTS, SCHEMAS, ROLES, RELATIONS), judge=judge, limits=NoLimits())
