"""Stand-ins on the copy for what its server lacks: roles, collations, and the types and functions of extensions.

Without them every table that uses one would be lost: a table with `default uuid_generate_v4()`, or a `vector` column.
They have the right names and shapes and do nothing; the copy says what stands in for what.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from typing import Any

import psycopg
from psycopg import sql

from pgrunbook.pg.connect import Session, first_line

_VOLATILITIES = {"i": "immutable", "s": "stable", "v": "volatile"}
_ATTRIBUTES = (
    ("inherits", "inherit", "noinherit"),
    ("creates_roles", "createrole", "nocreaterole"),
    ("creates_databases", "createdb", "nocreatedb"),
    ("bypasses_rls", "bypassrls", "nobypassrls"),
    ("replicates", "replication", "noreplication"),
)


def make_roles(admin: Session, roles: Iterable[Mapping[str, Any]], *, user: str, is_superuser: bool) -> None:
    """Every role of the source without its password; only `user` may log in (the copy is reached by its socket)."""
    own = {row[0] for row in admin.execute("select rolname::text from pg_catalog.pg_roles").fetchall()}
    rows = list(roles)
    for row in rows:
        if row["name"] in own:
            continue
        words = [yes if row[key] else no for key, yes, no in _ATTRIBUTES]
        if row["name"] == user:
            words += ["login", "superuser" if is_superuser else "nosuperuser"]
        name = sql.Identifier(row["name"])
        admin.execute(sql.SQL("create role {} ").format(name) + sql.SQL(" ".join(words)))
    known = own | {row["name"] for row in rows}
    for row in rows:
        groups = [group for group in row["member_of"] if group in known]
        if groups and row["name"] not in own:
            admin.execute(
                sql.SQL("grant {} to {}").format(
                    sql.SQL(", ").join(map(sql.Identifier, groups)), sql.Identifier(row["name"])
                )
            )


def make_collations(admin: Session, collations: Iterable[Mapping[str, Any]]) -> list[str]:
    """A C.UTF-8 collation for each that this machine or this build (no ICU in the wheel) does not know."""
    made = []
    for row in collations:
        name = sql.Identifier(row["schema"], row["name"])
        if _exists(admin, "select %(name)s::regcollation", name.as_string(admin)):
            continue
        admin.execute("set allow_system_table_mods = on")  # pg_catalog is where the source has its own
        statement = sql.SQL("create collation {} (provider = libc, locale = 'C.UTF-8')").format(name)
        if _tried(admin, statement) is None:
            made.append(f"collation {name.as_string(admin)}")
        admin.execute("reset allow_system_table_mods")
    return made


def make_types(admin: Session, types: Iterable[Mapping[str, Any]]) -> list[str]:
    """Types that hold any text; enumerations and domains as they are."""
    made = []
    for row in types:
        name = sql.Identifier(row["schema"], row["name"])
        for statement in _type_statements(row, name):
            if _tried(admin, statement) is not None:
                break
        else:
            made.append(f"type {name.as_string(admin)}")
    return made


def _type_statements(row: Mapping[str, Any], name: sql.Identifier) -> Sequence[sql.Composed]:
    if row["kind"] == "e":
        return (
            sql.SQL("create type {} as enum ({})").format(name, sql.SQL(", ").join(map(sql.Literal, row["labels"]))),
        )
    if row["kind"] == "d":
        return (sql.SQL("create domain {} as {}").format(name, sql.SQL(row["base"])),)
    reads, writes, modifiers = (
        sql.Identifier(row["schema"], f"{row['name'][:50]}_stand_in_{part}") for part in ("in", "out", "mod")
    )
    internal = "language internal immutable strict parallel safe as"
    statements = [
        sql.SQL("create type {}").format(name),
        sql.SQL(f"create function {{}}(cstring) returns {{}} {internal} 'textin'").format(reads, name),
        sql.SQL(f"create function {{}}({{}}) returns cstring {internal} 'textout'").format(writes, name),
    ]
    extra = sql.Composed([])
    if row["takes_modifiers"]:
        # (1536) or (Point,4326): any modifier is taken and none understood; this function ignores its arguments.
        statements.append(
            sql.SQL(f"create function {{}}(cstring[]) returns int4 {internal} 'pg_backend_pid'").format(modifiers)
        )
        extra = sql.SQL(", typmod_in = {}").format(modifiers)
    statements.append(
        sql.SQL("create type {} (input = {}, output = {}, like = pg_catalog.text{})").format(name, reads, writes, extra)
    )
    return statements


def make_functions(admin: Session, functions: Iterable[Mapping[str, Any]]) -> list[str]:
    """Functions that return NULL, or no row."""
    made = []
    for row in functions:
        name = sql.Identifier(row["schema"], row["name"])
        returns = ("setof " if row["returns_set"] else "") + row["returns"]
        body = "select null" + (" where false" if row["returns_set"] else f"::{row['returns']}")
        statement = sql.SQL("create function {}({}) returns {} language sql {} as {}").format(
            name,
            sql.SQL(row["arguments"]),
            sql.SQL(returns),
            sql.SQL(_VOLATILITIES[row["volatility"]]),
            sql.Literal(body),
        )
        if _tried(admin, statement) is None:
            made.append(f"function {name.as_string(admin)}({row['arguments']})")
    return made


def _exists(admin: Session, question: str, name: str) -> bool:
    try:
        admin.execute(question.encode(), {"name": name})
    except (psycopg.errors.UndefinedObject, psycopg.errors.InvalidSchemaName):
        return False
    return True


def _tried(admin: Session, statement: sql.Composed) -> str | None:
    """None when it worked, else the reason; what a failed stand-in costs is seen when the schema is restored."""
    try:
        admin.execute(statement)
    except psycopg.Error as exc:
        return first_line(exc)
    return None
