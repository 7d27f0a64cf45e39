"""Roles that belong to the server or to the service that runs it: nobody who uses the database can change them."""

from __future__ import annotations

from pgrunbook.journey.observe.roles import Role
from pgrunbook.model import Server, Service

BOOTSTRAP_OID = 10  # the role that initdb makes; PostgreSQL itself calls it BOOTSTRAP_SUPERUSERID

_OF_SERVICE = {
    Service.SUPABASE: frozenset({"postgres", "pgbouncer", "authenticator", "dashboard_user", "cli_login_postgres"}),
    Service.RDS: frozenset({"rdsadmin", "rdstopmgr", "rdsproxyadmin"}),
    Service.AURORA: frozenset({"rdsadmin", "rdstopmgr", "rdsproxyadmin"}),
    Service.CLOUD_SQL: frozenset({"cloudsqladmin", "cloudsqlagent", "cloudsqlreplica", "cloudsqlimportexport"}),
    Service.AZURE: frozenset({"azuresu", "replication"}),
    Service.NEON: frozenset({"cloud_admin", "neon_superuser", "neondb_owner"}),
    Service.PLAIN: frozenset[str](),
}


def is_platform_role(role: Role, server: Server) -> bool:
    """Whether the service that runs this server made the role and keeps it."""
    if server.service is Service.SUPABASE and role.name.startswith("supabase_"):
        return True
    return role.is_predefined or role.name in _OF_SERVICE[server.service]
