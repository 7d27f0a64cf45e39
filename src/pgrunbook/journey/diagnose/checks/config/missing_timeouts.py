"""An application's role without time limits.

Asks:    which login roles that work with this database's tables have no statement_timeout, or no
         idle_in_transaction_session_timeout (transaction_timeout serves for both, from 17)?
Unit:    values as set; 0 means no limit.
Source:  pg_db_role_setting in the server's own order (role in database, role, database, all roles), then pg_settings.
Says:    Role {object} ({sessions} sessions now) has no {missing}, and nothing above it sets one.  One runaway query or
         forgotten transaction can hold everybody up.
         {roles} roles work in database {object} without {missing}.
Section: Supabase-Specific Optimizations
Leads:   set_role_setting, set_database_setting
"""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping
from dataclasses import dataclass

from pgrunbook.journey.diagnose import mending
from pgrunbook.journey.diagnose.autovacuum import settings_of
from pgrunbook.journey.diagnose.check import Check
from pgrunbook.journey.diagnose.seen import Seen
from pgrunbook.journey.observe.roles import ROLES, Role
from pgrunbook.journey.observe.sessions import SESSIONS
from pgrunbook.journey.observe.settings import ROLE_SETTINGS, SETTINGS, quantity
from pgrunbook.model import Advice, Finding, Kind, Service, Severity, Verdict, quote

STATEMENT = "statement_timeout"
IDLE = "idle_in_transaction_session_timeout"
TRANSACTION = "transaction_timeout"

# Roles that the makers of a managed service log in with; their time limits are not the customer's.
_SERVICE_ROLES = re.compile(
    r"(supabase_|pgsodium|pgtle|rds|cloudsql|azure|neon_|cloud_admin|pgbouncer\Z|dashboard_user\Z)"
)


@dataclass(frozen=True, slots=True, kw_only=True)
class Limits:
    """What is advised, and from how many roles on it is a matter of the database.

    Half a minute is the runbook's emergency limit for statements; the gateways before an application give up by then,
    too.  It serves for idle transactions as well: the runbook's ten seconds would end one that waits for a slow mail
    server.  More than `roles` roles (one a tenant, say) are one finding about the database.
    """

    statement_timeout: str = "30s"
    idle_timeout: str = "30s"
    roles: int = 10


def judge(seen: Seen, limits: Limits) -> Iterator[Verdict]:
    """One finding a role, or one for the database when there are many."""
    missing = {role.name: gap for role in _application_roles(seen) if (gap := _missing(seen, role))}
    if len(missing) > limits.roles:
        yield _database_finding(seen, missing, limits)
        return
    for name, gap in missing.items():
        yield _role_finding(seen, name, gap, limits)


def _application_roles(seen: Seen) -> Iterator[Role]:
    """Login roles that are connected here, or own tables here, or may read or write some; no administrators."""
    roles = {role.name: role for role in seen.rows(ROLES)}
    here = {
        backend.role
        for backend in seen.rows(SESSIONS)
        if backend.database == seen.server.database and backend.is_client and not backend.is_ours
    }
    for role in roles.values():
        if not role.may_login or not role.may_connect or _is_administrator(role, roles, seen):
            continue
        groups = _groups(role, roles) if role.inherits else {role.name}
        has_tables = any(roles[name].owned_tables or roles[name].granted_tables for name in groups if name in roles)
        if role.name in here or has_tables or "pg_write_all_data" in groups:
            yield role


def _is_administrator(role: Role, roles: Mapping[str, Role], seen: Seen) -> bool:
    groups = _groups(role, roles)
    if role.is_superuser or role.may_replicate or any(roles[name].is_superuser for name in groups if name in roles):
        return True
    if groups & {"pg_monitor", "pg_read_all_stats", "pg_maintain", "pg_checkpoint", "pg_signal_backend"}:
        return True
    if _SERVICE_ROLES.match(role.name) is not None:
        return True
    return seen.server.service is not Service.PLAIN and role.name == "postgres"


def _groups(role: Role, roles: Mapping[str, Role]) -> set[str]:
    """The role itself and all that it belongs to, at whatever remove."""
    found, todo = {role.name}, [role]
    while todo:
        for name in todo.pop().member_of:
            if name not in found:
                found.add(name)
                if name in roles:
                    todo.append(roles[name])
    return found


def _missing(seen: Seen, role: Role) -> tuple[str, ...]:
    if _effective(seen, role.name, TRANSACTION):
        return ()
    return tuple(name for name in (STATEMENT, IDLE) if not _effective(seen, role.name, name))


def _given(seen: Seen) -> Mapping[str, Mapping[tuple[str | None, str | None], str]]:
    """What was given to which role in which database, by setting."""
    found: dict[str, dict[tuple[str | None, str | None], str]] = {}
    for row in seen.rows(ROLE_SETTINGS):
        found.setdefault(row.name, {})[row.role, row.database] = row.value
    return found


def _effective(seen: Seen, role: str, name: str) -> bool:
    """Whether a new session of the role in this database would have the limit."""
    database = seen.server.database
    given = seen.derived(_given).get(name, {})
    for place in ((role, database), (role, None), (None, database), (None, None)):
        if place in given:
            return bool(quantity(given[place], "ms"))
    setting = seen.derived(settings_of).get(name)
    if setting is None:
        return False
    user = seen.server.user
    if (user, database) in given or (user, None) in given:  # our own role's value hides the server's
        return False
    return bool(quantity(setting.reset_value or setting.value, setting.unit))


def _values(gap: tuple[str, ...], limits: Limits) -> dict[str, str]:
    return {name: limits.statement_timeout if name == STATEMENT else limits.idle_timeout for name in gap}


def _severity(gap: tuple[str, ...]) -> Severity:
    """A statement without end is worse than a transaction that idles: only the former burns the machine."""
    return Severity.WARNING if STATEMENT in gap else Severity.NOTICE


def _before(seen: Seen, gap: tuple[str, ...], role: str | None, database: str | None) -> dict[str, str | None]:
    given = seen.derived(_given)
    return {name: given.get(name, {}).get((role, database)) for name in gap}


def _role_finding(seen: Seen, name: str, gap: tuple[str, ...], limits: Limits) -> Finding:
    sessions = sum(
        backend.role == name and backend.database == seen.server.database and backend.is_client
        for backend in seen.rows(SESSIONS)
    )
    advice: Advice = mending.set_role_settings(name, _values(gap, limits), _before(seen, gap, name, None))
    return Finding(
        severity=_severity(gap),
        kind=Kind.ROLE,
        object=quote(name),
        evidence={"missing": gap, "sessions": sessions},
        advice=(advice,),
    )


def _database_finding(seen: Seen, missing: Mapping[str, tuple[str, ...]], limits: Limits) -> Finding:
    gap = tuple(name for name in (STATEMENT, IDLE) if any(name in found for found in missing.values()))
    database = seen.server.database
    advice = mending.set_database_settings(database, _values(gap, limits), _before(seen, gap, None, database))
    return Finding(
        severity=_severity(gap),
        kind=Kind.DATABASE,
        object=quote(database),
        related=tuple(quote(name) for name in sorted(missing))[:20],
        evidence={"missing": gap, "roles": len(missing)},
        advice=(advice,),
    )


CHECK = Check(needs=(ROLES, ROLE_SETTINGS, SETTINGS, SESSIONS), judge=judge, limits=Limits())
