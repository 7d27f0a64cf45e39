"""Real servers for tests: one a major and test process, started when first asked for; a fresh database for each test.

`pg` runs a test on every major (tests/pg) or on the newest (elsewhere); `@pytest.mark.pg(">= 17")` selects.  `server18`
is one server of major 18.  PGRUNBOOK_TEST_MAJORS=18,15 narrows the choice.  Without servers a test is skipped and says
so; with PGRUNBOOK_REQUIRE_PG=1 it fails, also when one of the majors 14 to 18 is missing.
"""

from __future__ import annotations

import contextlib
import functools
import itertools
import operator
import os
import re
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import psycopg
import pytest
from psycopg import sql

from pgrunbook.errors import Unsupported
from pgrunbook.lab import Binaries, Cluster, available_binaries, start_cluster

SUPPORTED_MAJORS = (14, 15, 16, 17, 18)
TEMPLATE = "pgrb_template"
SETTINGS = {
    "shared_preload_libraries": "pg_stat_statements",
    "wal_level": "logical",
    "max_prepared_transactions": "10",
    "track_io_timing": "on",
    "max_connections": "60",
    "shared_buffers": "32MB",
    "max_wal_size": "256MB",
}
FETCH_HINT = "python tools/fetch_postgres.py brings 14, 16 and 17; apt-get install postgresql-15; pip install .[demo]"
COMPARISONS = {
    ">=": operator.ge,
    "<=": operator.le,
    "==": operator.eq,
    "!=": operator.ne,
    ">": operator.gt,
    "<": operator.lt,
}


class FreshDatabase:
    """A new, empty database for one test, and what the test made beside it: connections and roles."""

    def __init__(self, *, cluster: Cluster, name: str) -> None:
        self.cluster = cluster
        self.name = name
        self.major = cluster.binaries.major
        self._closing = contextlib.ExitStack()

    @property
    def dsn(self) -> str:
        return self.cluster.dsn(self.name)

    def dsn_as(self, role: str, **params: str | int) -> str:
        return self.cluster.dsn(self.name, user=role, **params)

    def connect(self, **kwargs: Any) -> psycopg.Connection[Any]:
        """Return an autocommit connection as superuser; it is closed after the test."""
        return self._connect(self.dsn, **kwargs)

    def connect_as(self, role: str, **kwargs: Any) -> psycopg.Connection[Any]:
        """Return an autocommit connection as `role`; it is closed after the test."""
        return self._connect(self.dsn_as(role), **kwargs)

    def _connect(self, dsn: str, **kwargs: Any) -> psycopg.Connection[Any]:
        conn = psycopg.connect(dsn, **{"autocommit": True, **kwargs})
        self._closing.callback(conn.close)
        return conn

    def execute(self, *statements: str) -> None:
        """Run statements one by one on a short connection of their own."""
        with psycopg.connect(self.dsn, autocommit=True) as conn:
            for statement in statements:
                conn.execute(statement)

    def role(self, name: str, *, options: str = "login", member_of: str = "") -> str:
        """Make a role (options as in CREATE ROLE, granted roles separated by commas); it is dropped after the test."""
        with psycopg.connect(self.dsn, autocommit=True) as conn:
            conn.execute(sql.SQL("create role {} ").format(sql.Identifier(name)) + sql.SQL(options))
            if member_of:
                conn.execute(sql.SQL("grant {} to {}").format(sql.SQL(member_of), sql.Identifier(name)))
        return name

    def close(self) -> None:
        self._closing.close()


class Servers:
    """The clusters of this test process."""

    def __init__(self) -> None:
        self._clusters: dict[int, Cluster] = {}
        self._numbers = itertools.count(1)

    def cluster(self, major: int) -> Cluster:
        if major not in self._clusters:
            cluster = start_cluster(binaries=installed()[major], settings=SETTINGS, prefix="pgrb-test")
            self._clusters[major] = cluster
            _make_template(cluster)
        return self._clusters[major]

    @contextlib.contextmanager
    def fresh_database(self, major: int) -> Iterator[FreshDatabase]:
        cluster = self.cluster(major)
        database = FreshDatabase(cluster=cluster, name=f"test_{next(self._numbers)}")
        with psycopg.connect(cluster.dsn(), autocommit=True) as admin:
            admin.execute(
                sql.SQL("create database {} template {}{}").format(
                    sql.Identifier(database.name),
                    sql.Identifier(TEMPLATE),
                    sql.SQL(" strategy file_copy" if major >= 15 else ""),
                )
            )
        try:
            yield database
        finally:
            database.close()
            clean(cluster)

    def stop(self) -> None:
        for cluster in self._clusters.values():
            cluster.stop("immediate")


@functools.cache
def installed() -> dict[int, Binaries]:
    """The supported majors that are installed here."""
    try:
        return {found.major: found for found in available_binaries() if found.major in SUPPORTED_MAJORS}
    except Unsupported as exc:
        raise pytest.UsageError(f"{exc.message}\n{exc.hint}") from exc


def _make_template(cluster: Cluster) -> None:
    with psycopg.connect(cluster.dsn(), autocommit=True) as conn:
        conn.execute(f"create database {TEMPLATE} with is_template true allow_connections false")


def clean(cluster: Cluster) -> None:
    """Take away all that a test left: a stopped server, settings, prepared transactions, slots, databases, roles."""
    if cluster.settings != SETTINGS or cluster.pid is None:
        cluster.shutdown("immediate")
        cluster.settings = dict(SETTINGS)
        cluster.start()
    with psycopg.connect(cluster.dsn(), autocommit=True) as admin:
        for database, gid in admin.execute("select database, gid from pg_prepared_xacts").fetchall():
            with psycopg.connect(cluster.dsn(database), autocommit=True) as conn:
                conn.execute(sql.SQL("rollback prepared {}").format(sql.Literal(gid)))
        admin.execute("select pg_terminate_backend(active_pid, 10000) from pg_replication_slots where active_pid > 0")
        admin.execute("select pg_drop_replication_slot(slot_name) from pg_replication_slots")
        _drop_databases(admin)
        _drop_roles(admin)
        _reset_settings(admin)


def _drop_databases(admin: psycopg.Connection[Any]) -> None:
    """Drop a test's databases; sessions are ended first, and those of the test in other databases too."""
    admin.execute(
        "select pg_terminate_backend(pid, 10000) from pg_stat_activity"
        " where backend_type = 'client backend' and pid <> pg_backend_pid()"
    )
    names = admin.execute(
        "select datname, encoding = 0 from pg_database where datname <> all(%(kept)s)",
        {"kept": ["postgres", "template0", "template1", TEMPLATE]},
    ).fetchall()
    if any(is_bytes for _, is_bytes in names):
        _forget_statements(admin)
    for name, _ in names:
        admin.execute(sql.SQL("alter database {} is_template false").format(sql.Identifier(name)))
        admin.execute(sql.SQL("drop database {} with (force)").format(sql.Identifier(name)))


def _forget_statements(admin: psycopg.Connection[Any]) -> None:
    """Statements of a database without an encoding would stay, and make all counted statements unreadable."""
    admin.execute("create extension if not exists pg_stat_statements")
    admin.execute("select pg_stat_statements_reset()")
    admin.execute("drop extension pg_stat_statements")


def _drop_roles(admin: psycopg.Connection[Any]) -> None:
    names = admin.execute(
        "select rolname from pg_roles where rolname <> 'postgres' and oid >= 16384 order by oid desc"
    ).fetchall()
    for (name,) in names:
        admin.execute(sql.SQL("drop owned by {} cascade").format(sql.Identifier(name)))
    for (name,) in names:
        admin.execute(sql.SQL("drop role {}").format(sql.Identifier(name)))


def _reset_settings(admin: psycopg.Connection[Any]) -> None:
    for (role,) in admin.execute(
        "select coalesce(r.rolname, '') from pg_db_role_setting s left join pg_roles r on r.oid = s.setrole"
    ).fetchall():
        admin.execute(sql.SQL("alter role {} reset all").format(sql.Identifier(role) if role else sql.SQL("all")))
    changed = admin.execute("select 1 from pg_file_settings where sourcefile like '%postgresql.auto.conf'").fetchone()
    if changed is not None:
        admin.execute("alter system reset all")
        admin.execute("select pg_reload_conf()")


def satisfies(major: int, spec: str) -> bool:
    """Judge a mark's specification: comparisons separated by commas, all of which must hold."""
    for part in spec.split(","):
        match = re.fullmatch(r"\s*(>=|<=|==|!=|>|<)\s*(\d+)\s*", part)
        if match is None:
            raise pytest.UsageError(f"pg mark {spec!r}: expected comparisons such as '>= 17' or '>= 15, < 18'")
        if not COMPARISONS[match[1]](major, int(match[2])):
            return False
    return True


def required() -> bool:
    return os.environ.get("PGRUNBOOK_REQUIRE_PG", "") not in {"", "0"}


def wanted_majors() -> tuple[int, ...]:
    """The majors of this run: those named in PGRUNBOOK_TEST_MAJORS, else all supported (if required) or installed."""
    named = os.environ.get("PGRUNBOOK_TEST_MAJORS", "")
    if named:
        return tuple(sorted(int(part) for part in named.split(",") if part.strip()))
    return SUPPORTED_MAJORS if required() else tuple(sorted(installed()))


def unavailable(message: str) -> None:
    """Skip on a laptop, fail where servers are required."""
    if required():
        pytest.fail(f"{message} (PGRUNBOOK_REQUIRE_PG is set). {FETCH_HINT}")
    pytest.skip(f"{message}. {FETCH_HINT}")


def pytest_generate_tests(metafunc: pytest.Metafunc) -> None:
    if "pg" not in metafunc.fixturenames:
        return
    specs = [spec for mark in metafunc.definition.iter_markers("pg") for spec in mark.args]
    majors = [major for major in wanted_majors() if all(satisfies(major, spec) for spec in specs)]
    everywhere = "pg" in Path(metafunc.definition.path).relative_to(metafunc.config.rootpath).parts
    if not specs and not everywhere and majors:
        majors = majors[-1:]
    if majors:
        metafunc.parametrize("pg", majors, indirect=True, ids=[f"pg{major}" for major in majors])
    else:
        metafunc.parametrize("pg", [None], indirect=True, ids=["no-server"])


@pytest.fixture(scope="session")
def servers() -> Iterator[Servers]:
    made = Servers()
    yield made
    made.stop()


@pytest.fixture
def pg(request: pytest.FixtureRequest, servers: Servers) -> Iterator[FreshDatabase]:
    """A fresh database; the test runs once for each major."""
    yield from _lease(servers, request.param)


@pytest.fixture
def server18(servers: Servers) -> Iterator[FreshDatabase]:
    """A fresh database on PostgreSQL 18."""
    yield from _lease(servers, 18)


def _lease(servers: Servers, major: int | None) -> Iterator[FreshDatabase]:
    if major is None:
        unavailable("no PostgreSQL server of a wanted major is installed")
    elif major not in installed():
        unavailable(f"PostgreSQL {major} is not installed")
    else:
        with servers.fresh_database(major) as database:
            yield database
