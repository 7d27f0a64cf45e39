"""Roles: what each may do, how many sessions it has, and what belongs to it."""

from __future__ import annotations

from collections import Counter

from pgrunbook.journey.diagnose.seen import Seen
from pgrunbook.journey.observe.roles import ROLES, Role
from pgrunbook.journey.observe.sessions import SESSIONS
from pgrunbook.model import Value
from pgrunbook.report.table import Column, Table

NEEDS = (ROLES,)
LIKES = (SESSIONS,)

COLUMNS = (
    Column(name="role"),
    Column(name="login"),
    Column(name="rights"),
    Column(name="sessions"),
    Column(name="limit"),
    Column(name="valid_until", title="valid until"),
    Column(name="member_of", title="member of"),
    Column(name="owned_tables", title="owns"),
    Column(name="granted_tables", title="granted"),
)


def table(seen: Seen) -> Table:
    """Those who may log in first; PostgreSQL's own predefined roles are left out."""
    backends = seen.rows_or_none(SESSIONS)
    counts = Counter(backend.role for backend in backends or () if backend.is_client and not backend.is_self)
    roles = sorted(
        (role for role in seen.rows(ROLES) if not role.is_predefined), key=lambda role: (not role.may_login, role.name)
    )
    return Table(
        name="roles",
        columns=COLUMNS,
        rows=tuple(_row(role, counts[role.name] if backends is not None else None) for role in roles),
        notes=("Tables owned and granted are those of this database; grants through groups do not count.",),
        empty="There is no role.",
    )


def _row(role: Role, sessions: int | None) -> tuple[Value, ...]:
    rights = {
        "superuser": role.is_superuser,
        "bypasses RLS": role.bypasses_rls and not role.is_superuser,
        "replication": role.may_replicate and not role.is_superuser,
        "creates roles": role.may_create_roles and not role.is_superuser,
        "creates databases": role.may_create_databases and not role.is_superuser,
    }
    return (
        role.name,
        role.may_login,
        tuple(name for name, has in rights.items() if has) or None,
        sessions if role.may_login else None,
        role.connection_limit if role.connection_limit >= 0 else None,
        role.valid_until.date().isoformat() if role.valid_until is not None else None,
        role.member_of or None,
        role.owned_tables,
        role.granted_tables,
    )
