"""Puts the schema of a database onto a throw-away server, and says what could not be brought over."""

from __future__ import annotations

import dataclasses
import os
import re
import subprocess
import tempfile
from collections.abc import Collection, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import psycopg
from psycopg import sql
from psycopg.rows import dict_row

from pgrunbook.errors import ServerError
from pgrunbook.lab.cluster import Cluster
from pgrunbook.lab.schema.dump import Dump, LeftOut, dump_schema
from pgrunbook.lab.schema.stand_ins import make_collations, make_functions, make_roles, make_types
from pgrunbook.pg import sqlfile
from pgrunbook.pg.connect import Session, connect, translated

DATABASE = "copy"
_HERE = Path(__file__).parent
_ENTRY = re.compile(r"(?P<id>\d+); \d+ \d+ (?P<rest>.*)\Z")
# They would act (event triggers fire on what we rehearse, subscriptions and foreign servers connect out) or carry
# passwords (user mappings).
_NEVER = (
    "EVENT TRIGGER",
    "FOREIGN DATA WRAPPER",
    "FOREIGN SERVER",
    "FOREIGN TABLE",
    "PUBLICATION",
    "SERVER",
    "SUBSCRIPTION",
    "USER MAPPING",
)
_FIRST = ("SCHEMA ", "EXTENSION ", "PROCEDURAL LANGUAGE ")  # stand-ins go into these schemas, before all else
_FAILED = re.compile(
    r"from TOC entry \d+; \d+ \d+ (?P<what>.*)\npg_restore: error: could not execute query: (?P<reason>.*)"
)
# It went to the end.  Among the errors may be a setting that a newer pg_restore makes and an older server lacks.
_SURVIVED = "errors ignored on restore"


@dataclass(frozen=True, slots=True, kw_only=True)
class SchemaCopy:
    """A database on a throw-away server.  `user` is the role that the source was read as; it may log in here."""

    cluster: Cluster
    database: str
    user: str
    left_out: tuple[LeftOut, ...]
    stand_ins: tuple[str, ...]

    def dsn(self, user: str | None = None) -> str:
        """How to connect: as the server's superuser unless a role is named."""
        return self.cluster.dsn(self.database, user) if user is not None else self.cluster.dsn(self.database)

    def clone(self, name: str) -> SchemaCopy:
        """A fresh database made from this one, to which nobody may be connected now.  An older one is replaced."""
        with connect(self.cluster.dsn(), station="lab") as admin:
            admin.execute(sql.SQL("drop database if exists {} with (force)").format(sql.Identifier(name)))
            row = admin.execute(
                "select pg_catalog.pg_get_userbyid(d.datdba)::text from pg_catalog.pg_database as d"
                " where d.datname = %(name)s",
                {"name": self.database},
            ).fetchone()
            names = [sql.Identifier(name), sql.Identifier(self.database), sql.Identifier(str(row[0] if row else ""))]
            admin.execute(sql.SQL("create database {} template {} owner {}").format(*names))
        return dataclasses.replace(self, database=name)


def copy_schema(
    conn: Session, cluster: Cluster, *, wanted: Collection[int] = (), own_locale: bool = False
) -> SchemaCopy:
    """Copy the schema of the database of `conn` into a new database of `cluster`.

    With `own_locale` it sorts as the source does, where this machine knows how; else that is among what is left out.
    Raises Refused when a relation whose OID is `wanted` is locked or unreadable; others are then left out.
    """
    dump = dump_schema(conn, wanted=wanted)
    facts = _ask(conn, "database")[0]
    superuser = bool(conn.info.parameter_status("is_superuser") == "on")
    with connect(cluster.dsn(), station="lab") as admin:
        make_roles(admin, _ask(conn, "roles"), user=conn.info.user, is_superuser=superuser)
        sorts_alike = own_locale and _create_database_alike(admin, facts)
        if not sorts_alike:
            _create_database(admin, facts)
    with connect(cluster.dsn(DATABASE), station="lab") as admin:
        offered = {row[0] for row in admin.execute("select name::text from pg_available_extensions").fetchall()}
        missing = sorted(set(facts["extensions"]) - offered)
        restore = _Restore(cluster=cluster, dump=dump, without_extensions=frozenset(missing))
        failed = restore.run(first=True)
        stand_ins = make_collations(admin, _ask(conn, "collations"))
        stand_ins += make_types(admin, _ask(conn, "missing_types", extensions=missing))
        stand_ins += make_functions(admin, _ask(conn, "missing_functions", extensions=missing))
        failed += restore.run(first=False)
    left_out = [LeftOut(what=f"extension {name}", reason="not available on this machine") for name in missing]
    if own_locale and not sorts_alike:
        left_out.append(LeftOut(what=f"collation {facts['lc_collate']}", reason="not known on this machine: C.UTF-8"))
    return SchemaCopy(
        cluster=cluster,
        database=DATABASE,
        user=conn.info.user,
        left_out=(*dump.left_out, *left_out, *failed),
        stand_ins=tuple(stand_ins),
    )


def _create_database_alike(admin: Session, facts: Mapping[str, Any]) -> bool:
    """With the source's own locale; False where this machine does not know it (or has no ICU)."""
    provider = sql.SQL("locale_provider libc lc_collate {} lc_ctype {}")
    if facts["provider"] == "b":
        provider = sql.SQL("locale_provider builtin builtin_locale {} lc_collate 'C' lc_ctype 'C'")
        locales = [facts["locale"]]
    elif facts["provider"] == "c":
        locales = [facts["lc_collate"], facts["lc_ctype"]]
    else:
        return False
    statement = sql.SQL("create database {} template template0 encoding {} owner {} ").format(
        sql.Identifier(DATABASE), sql.Literal(facts["encoding"]), sql.Identifier(facts["owner"])
    )
    try:
        admin.execute(statement + provider.format(*map(sql.Literal, locales)))
    except (psycopg.errors.WrongObjectType, psycopg.errors.InvalidParameterValue, psycopg.errors.FeatureNotSupported):
        return False
    return True


def _create_database(admin: Session, facts: Mapping[str, Any]) -> None:
    """In the source's encoding.  Its locale may not exist here; C.UTF-8 sorts otherwise but plans alike."""
    locale = "C.UTF-8" if facts["encoding"] == "UTF8" else "C"
    admin.execute(
        sql.SQL("create database {} template template0 encoding {} locale {} owner {}").format(
            sql.Identifier(DATABASE),
            sql.Literal(facts["encoding"]),
            sql.Literal(locale),
            sql.Identifier(facts["owner"]),
        )
    )


class _Restore:
    """pg_restore of a chosen part of the archive, statement by statement; what fails is reported, not fatal."""

    def __init__(self, *, cluster: Cluster, dump: Dump, without_extensions: frozenset[str]) -> None:
        self._cluster = cluster
        self._dump = dump
        self._without = without_extensions
        beside = dump.program.with_name("pg_restore")
        self._program = beside if beside.is_file() else cluster.binaries.tool("pg_restore")
        listing = self._pg_restore("--list").stdout.decode("utf-8", "replace")
        self._entries = [match for line in listing.splitlines() if (match := _ENTRY.match(line))]

    def run(self, *, first: bool) -> list[LeftOut]:
        chosen = [e["id"] for e in self._entries if self._is_wanted(e["rest"]) and self._is_first(e["rest"]) is first]
        with tempfile.NamedTemporaryFile("w", encoding="utf-8", suffix=".list") as listed:
            listed.write("".join(f"{number};\n" for number in chosen))
            listed.flush()
            done = self._pg_restore(f"--use-list={listed.name}", f"--dbname={self._cluster.dsn(DATABASE)}")
        said = done.stderr.decode("utf-8", "replace")
        failed = [_failure(match) for match in _FAILED.finditer(said)]
        if done.returncode != 0 and _SURVIVED not in said:
            raise ServerError(f"the schema could not be restored on the scratch server: {said.strip()[-1000:]}")
        return failed

    def _pg_restore(self, *options: str) -> subprocess.CompletedProcess[bytes]:
        return _run([str(self._program), "--no-password", "--no-tablespaces", *options], self._dump.archive)

    @staticmethod
    def _is_first(rest: str) -> bool:
        return rest.startswith(_FIRST)

    def _is_wanted(self, rest: str) -> bool:
        kind = re.sub(r"\A(?:ACL|COMMENT|SECURITY LABEL) \S+ ", "", rest)
        if kind.startswith(tuple(f"{word} " for word in _NEVER)):
            return False
        extension = re.match(r"EXTENSION - (?P<name>.*?) *\Z|EXTENSION (?P<about>.*) \S*\Z", kind)
        if extension is None:
            return True
        return (extension["name"] or extension["about"]).strip('"') not in self._without


def plain_dump(copy: SchemaCopy) -> str:
    """The schema of the copy as pg_dump prints it, without what differs from run to run."""
    program = copy.cluster.binaries.tool("pg_dump")
    done = _run([str(program), "--schema-only", "--no-password", f"--dbname={copy.dsn()}"], b"")
    if done.returncode != 0:
        said = done.stderr.decode("utf-8", "replace").strip()
        raise ServerError(f"pg_dump of the scratch server failed (exit {done.returncode}): {said[-1000:]}")
    lines = done.stdout.decode("utf-8", "surrogateescape").splitlines(keepends=True)
    return "".join(line for line in lines if not line.startswith(("\\restrict ", "\\unrestrict ")))


def _run(argv: list[str], stdin: bytes) -> subprocess.CompletedProcess[bytes]:
    env = {name: value for name, value in os.environ.items() if not name.startswith("PG")}
    return subprocess.run(argv, input=stdin, capture_output=True, env={**env, "LC_ALL": "C.UTF-8"}, check=False)


def _failure(match: re.Match[str]) -> LeftOut:
    return LeftOut(what=match["what"], reason=match["reason"].removeprefix("ERROR:").strip())


def _ask(conn: Session, name: str, **params: object) -> list[dict[str, Any]]:
    text: Any = sqlfile.load(_HERE, name).text_for(conn.info.server_version // 10_000)
    with translated("reading the schema"), conn.cursor(row_factory=dict_row) as cursor:
        return cursor.execute(text, params).fetchall()
