"""Settings, roles, extensions and slots that are wrong, and those that only look so."""

from __future__ import annotations

import contextlib
import dataclasses
from collections.abc import Iterator

import psycopg
from tests.exam.case import Decoy, Fault, Staged
from tests.fix.server import FreshDatabase
from tests.fix.story import until

from pgrunbook.lab import start_cluster, start_replica
from pgrunbook.model import Snapshot

GB = 1024**3

ORDERS = (
    "create table orders (id int primary key, total numeric)",
    "insert into orders select g, g from generate_series(1, 3000) as g",
    "analyze orders",
)


@contextlib.contextmanager
def application(db: FreshDatabase) -> Iterator[None]:
    """A role of an application that works here, without a limit."""
    db.role("webshop")
    db.execute("grant select, insert on orders to webshop")
    db.connect_as("webshop")
    yield


@contextlib.contextmanager
def limited_application(db: FreshDatabase) -> Iterator[None]:
    """The same with limits, some at the role, some at the database; an administrator and a monitor without any."""
    db.role("webshop")
    db.role("watcher", member_of="pg_monitor")
    db.execute(
        "grant select, insert on orders to webshop, watcher",
        "alter role webshop set statement_timeout = '20s'",
        f"alter database {db.name} set idle_in_transaction_session_timeout = '1min'",
    )
    db.connect_as("webshop")
    db.connect_as("watcher")
    yield


@contextlib.contextmanager
def unloaded(db: FreshDatabase) -> Iterator[None]:
    db.execute("drop extension if exists pg_stat_statements")
    yield


@contextlib.contextmanager
def standby(db: FreshDatabase) -> Iterator[None]:
    with start_replica(db.cluster, slot="standby_1", settings={"hot_standby_feedback": "on"}):
        yield


@contextlib.contextmanager
def damaged_page(db: FreshDatabase) -> Iterator[None]:
    """A page of a table that the storage changed, and somebody who read it."""
    db.execute("create table t as select i from generate_series(1, 1000) i", "checkpoint")
    with psycopg.connect(db.dsn, autocommit=True) as conn:
        (path,) = conn.execute("select pg_relation_filepath('t')").fetchone() or ("",)
    db.cluster.shutdown()
    with (db.cluster.data_dir / path).open("r+b") as file:
        file.seek(4000)
        file.write(b"damage")
    db.cluster.start()
    with contextlib.suppress(psycopg.errors.DataCorrupted):
        db.execute("select count(*) from t")

    def is_counted() -> bool:
        with psycopg.connect(db.dsn, autocommit=True) as conn:
            return conn.execute("select sum(checksum_failures) > 0 from pg_stat_database").fetchone() == (True,)

    until(is_counted, "the failure is counted")
    yield


@contextlib.contextmanager
def without_checksums(db: FreshDatabase) -> Iterator[Staged]:
    with start_cluster(binaries=db.cluster.binaries, checksums=False) as cluster:
        yield Staged(dsn=cluster.dsn())


def years_old(snapshot: Snapshot) -> Snapshot:
    """The same server, had nobody installed a minor release since its first."""
    major = snapshot.server.major
    old = dataclasses.replace(snapshot.server, version=f"{major}.0", version_num=major * 10_000)
    return dataclasses.replace(snapshot, server=old)


def a_year_old(snapshot: Snapshot) -> Snapshot:
    """The same server, some releases behind."""
    num = snapshot.server.version_num - 4
    old = dataclasses.replace(snapshot.server, version=f"{num // 10_000}.{num % 10_000}", version_num=num)
    return dataclasses.replace(snapshot, server=old)


CASES: list[Fault | Decoy] = [
    Fault(name="a role without limits", check="missing_timeouts", object="webshop", sql=ORDERS, stage=application),
    Decoy(name="roles with limits, and those that need none", sql=ORDERS, stage=limited_application),
    Fault(
        name="a server without fsync",
        check="unsafe_durability",
        object="fsync",
        severity=("critical",),
    ),
    Fault(
        name="torn pages are not mended",
        check="unsafe_durability",
        object="full_page_writes",
        severity=("critical",),
        sql=("alter system set full_page_writes = off", "select pg_reload_conf()", "select pg_sleep(0.2)"),
    ),
    Fault(
        name="a change that waits for a restart",
        check="pending_restart",
        object="max_connections",
        severity=("notice",),
        sql=("alter system set max_connections = 99", "select pg_reload_conf()", "select pg_sleep(0.2)"),
    ),
    Fault(
        name="a line that ALTER SYSTEM overrides",
        check="overridden_setting",
        object="max_wal_size",
        severity=("notice",),
        sql=("alter system set max_wal_size = '512MB'", "select pg_reload_conf()"),
        blindfold="login",
    ),
    Fault(
        name="an extension older than its files",
        check="outdated_extension",
        object="pg_stat_statements",
        sql=("drop extension if exists pg_stat_statements", "create extension pg_stat_statements version '1.8'"),
    ),
    Fault(
        name="nobody counts queries",
        check="no_query_statistics",
        object="pg_stat_statements",
        sql=ORDERS,
        stage=unloaded,
    ),
    Fault(
        name="a slot of a replica that is gone",
        check="inactive_replication_slot",
        object="gone",
        severity=("warning", "critical"),
        sql=("select pg_create_physical_replication_slot('gone', true)", *ORDERS),
    ),
    Fault(
        name="a logical slot that nobody reads",
        check="inactive_replication_slot",
        object="etl",
        severity=("warning", "critical"),
        sql=("select pg_create_logical_replication_slot('etl', 'test_decoding')", *ORDERS),
    ),
    Decoy(name="a standby with feedback that keeps up", sql=ORDERS, stage=standby),
    Decoy(name="an empty database"),
    Fault(
        name="sorts that may take more than the machine has",
        check="memory_settings",
        object="work_mem",
        sql=("alter system set work_mem = '1GB'", "select pg_reload_conf()", "select pg_sleep(0.2)"),
        expect={"memory_bytes": 16 * GB},
    ),
    Fault(
        name="half of the machine and more for shared_buffers",
        check="memory_settings",
        object="shared_buffers",
        expect={"memory_bytes": 48 * 1024**2},
    ),
    Decoy(
        name="a large work_mem on a large machine, and a small one for shared_buffers",
        sql=("alter system set work_mem = '64MB'", "select pg_reload_conf()", "select pg_sleep(0.2)"),
        expect={"memory_bytes": 64 * GB},
    ),
    Fault(
        name="a page that fails its checksum",
        check="checksums",
        object="server",
        severity=("critical",),
        stage=damaged_page,
    ),
    Fault(
        name="no checksums",
        check="checksums",
        object="server",
        severity=("notice",),
        stage=without_checksums,
    ),
    Fault(
        name="a release of years ago (its number changed after reading)",
        check="outdated_minor_version",
        object="server",
        altered=years_old,
    ),
    Fault(
        name="a release of a year ago (its number changed after reading)",
        check="outdated_minor_version",
        object="server",
        severity=("notice", "warning"),
        altered=a_year_old,
    ),
]
