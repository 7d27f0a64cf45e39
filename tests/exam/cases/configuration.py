"""Settings, roles, extensions and slots that are wrong, and those that only look so."""

from __future__ import annotations

import contextlib
from collections.abc import Iterator

from tests.exam.case import Decoy, Fault
from tests.fix.server import FreshDatabase

from pgrunbook.lab import start_replica

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
]
