"""Takes every power from what was copied: functions of the source may run here while something is planned.

The planner evaluates immutable functions of constants.  They come from somebody's database and must not do on this
machine what superusers may (COPY TO PROGRAM): queries are planned by a role without powers, in a session of its own,
no role of the source is a superuser here, and nothing copied belongs to one.
"""

from __future__ import annotations

from typing import Final

from psycopg import sql

from pgrunbook.lab.template import SUPERUSER
from pgrunbook.pg.connect import Session

PLANNER: Final = "pgrunbook_planner"
OWNER: Final = "pgrunbook_owner"
_POWERS: Final = ("pg_execute_server_program", "pg_read_server_files", "pg_write_server_files")
_OWNED: Final = (
    ("pg_class", "relowner"),
    ("pg_proc", "proowner"),
    ("pg_namespace", "nspowner"),
    ("pg_type", "typowner"),
    ("pg_operator", "oprowner"),
)


def standing_for(role: str) -> str:
    """The role to plan as: the source may have one named as this server's superuser, and it has no powers here."""
    return OWNER if role == SUPERUSER else role


def disarm(admin: Session, *, user: str, passes_row_security: bool) -> None:
    """Make the role that plans.  It sees and may what `user` does, and may read and write every table besides."""
    admin.execute(sql.SQL("create role {} nologin bypassrls").format(sql.Identifier(OWNER)))
    admin.execute(
        sql.SQL("create role {} login {}").format(
            sql.Identifier(PLANNER), sql.SQL("bypassrls" if passes_row_security else "nobypassrls")
        )
    )
    admin.execute(
        sql.SQL("grant pg_read_all_data, pg_write_all_data to {}, {}").format(
            sql.Identifier(PLANNER), sql.Identifier(OWNER)
        )
    )
    admin.execute(
        sql.SQL("grant {} to {} with inherit false, set true").format(sql.Identifier(OWNER), sql.Identifier(PLANNER))
    )
    rows = admin.execute("select rolname::text, rolsuper from pg_catalog.pg_roles where oid >= 16384").fetchall()
    for name, is_superuser in rows:
        if name in (PLANNER, OWNER):
            continue
        role = sql.Identifier(name)
        if is_superuser:
            admin.execute(sql.SQL("alter role {} nosuperuser bypassrls").format(role))
            admin.execute(sql.SQL("grant pg_read_all_data, pg_write_all_data to {}").format(role))
        inherits = sql.SQL("true" if name == user else "false")
        grant = sql.SQL("grant {} to {} with inherit {}, set true")
        admin.execute(grant.format(role, sql.Identifier(PLANNER), inherits))
    for power in _POWERS:
        members = admin.execute(
            "select pg_catalog.pg_get_userbyid(m.member)::text from pg_catalog.pg_auth_members as m"
            " where m.roleid = %(power)s::regrole",
            {"power": power},
        ).fetchall()
        for (member,) in members:
            admin.execute(sql.SQL("revoke {} from {}").format(sql.Identifier(power), sql.Identifier(member)))


def give_away(admin: Session) -> None:
    """Give what belongs to this server's superuser (whose name many sources share) to a role without powers."""
    for catalog, owner in _OWNED:
        admin.execute(
            sql.SQL(
                "update pg_catalog.{} set {} = {}::regrole where oid >= 16384 and {} = {}::regrole"
                " and not exists (select from pg_catalog.pg_depend as d where d.classid = {}::regclass"
                " and d.objid = {}.oid and d.deptype = 'e')"
            ).format(
                sql.Identifier(catalog),
                sql.Identifier(owner),
                sql.Literal(OWNER),
                sql.Identifier(owner),
                sql.Literal(SUPERUSER),
                sql.Literal(f"pg_catalog.{catalog}"),
                sql.Identifier(catalog),
            )
        )
