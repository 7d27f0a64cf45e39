"""Who is there: version, role, rights, extensions, managed service."""

from __future__ import annotations

from collections.abc import Collection
from pathlib import Path
from typing import Any

from psycopg.rows import dict_row

from pgrunbook.model import Extension, Server, ServerRole, Service
from pgrunbook.pg import sqlfile
from pgrunbook.pg.connect import Session

_CONTROL = """/* pgrunbook: control */
select (select system_identifier::text from pg_catalog.pg_control_system()) as system_identifier,
       (select timeline_id from pg_catalog.pg_control_checkpoint()) as timeline"""


def probe(conn: Session) -> Server:
    """Ask once what this server is; the connection must be in a transaction."""
    major = conn.info.server_version // 10_000
    text: Any = sqlfile.load(Path(__file__).parent, "server").text_for(major)
    with conn.cursor(row_factory=dict_row) as cursor:
        seen = cursor.execute(text).fetchone() or {}
        control: dict[str, Any] = {"system_identifier": None, "timeline": None}
        if seen["may_read_control"]:
            control = cursor.execute(_CONTROL).fetchone() or control
    return Server(
        database=seen["database"],
        version=seen["version"].split()[0],
        major=major,
        version_num=seen["version_num"],
        role=ServerRole.STANDBY if seen["in_recovery"] else ServerRole.PRIMARY,
        service=_service(seen["telling_roles"], is_aurora=seen["is_aurora"]),
        user=seen["username"],
        is_superuser=seen["is_superuser"],
        memberships=frozenset(seen["memberships"]),
        extensions={
            name: Extension(version=version, schema=schema)
            for name, version, schema in zip(
                seen["extension_names"], seen["extension_versions"], seen["extension_schemas"], strict=True
            )
        },
        system_identifier=control["system_identifier"],
        timeline=control["timeline"],
        encoding=seen["encoding"],
        started_at=seen["started_at"],
        through_pooler=conn.info.backend_pid not in _own_pids(conn),
    )


def _own_pids(conn: Session) -> set[int]:
    """The pid that serves us now.  A pooler announces a pid of its own when we connect."""
    row = conn.execute("/* pgrunbook: own_pid */ select pg_catalog.pg_backend_pid()").fetchone()
    return {int(row[0])} if row else set()


def _service(roles: Collection[str], *, is_aurora: bool) -> Service:
    if {"anon", "authenticated", "service_role"} <= set(roles):
        return Service.SUPABASE
    if is_aurora:
        return Service.AURORA
    for role, service in (
        ("rds_superuser", Service.RDS),
        ("rdsadmin", Service.RDS),
        ("cloudsqlsuperuser", Service.CLOUD_SQL),
        ("azure_pg_admin", Service.AZURE),
        ("neon_superuser", Service.NEON),
    ):
        if role in roles:
            return service
    return Service.PLAIN
