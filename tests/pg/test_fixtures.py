"""The test servers themselves: each test starts clean and leaves nothing."""

from __future__ import annotations

import psycopg
import pytest
from tests.fix.replica import wait_for_replay
from tests.fix.server import SETTINGS, FreshDatabase, Servers, clean, satisfies

from pgrunbook.lab import Cluster, Pgbouncer


def one(conn: psycopg.Connection, query: str):
    row = conn.execute(query).fetchone()
    assert row is not None
    return row[0]


def test_every_test_gets_an_empty_database_of_its_major(pg: FreshDatabase) -> None:
    conn = pg.connect()
    assert int(one(conn, "show server_version_num")) // 10000 == pg.major
    assert one(conn, "select current_database()") == pg.name
    assert one(conn, "select count(*) from pg_class where oid >= 16384") == 0


@pytest.mark.pg(">= 15, < 18")
def test_a_mark_selects_majors(pg: FreshDatabase) -> None:
    assert 15 <= pg.major < 18


def test_statement_statistics_can_be_asked(pg: FreshDatabase) -> None:
    pg.execute("create extension pg_stat_statements")
    assert one(pg.connect(), "select count(*) from pg_stat_statements") > 0


def test_whatever_a_test_leaves_is_taken_away(pg: FreshDatabase) -> None:
    pg.role("leftover", options="login createdb")
    pg.execute(
        "create table t (i int)",
        "grant select on t to leftover",
        "alter role leftover set work_mem = '1MB'",
        "alter role postgres set work_mem = '2MB'",
        "alter role all set work_mem = '3MB'",
        "select pg_create_physical_replication_slot('physical')",
        "select pg_create_logical_replication_slot('logical', 'test_decoding')",
        "create database other owner leftover",
        "alter system set work_mem = '5MB'",
    )
    sleeper = pg.connect_as("leftover", autocommit=False)
    sleeper.execute("select 1")
    preparer = pg.connect(autocommit=False)
    preparer.tpc_begin(preparer.xid(1, "stays", "behind"))
    preparer.execute("insert into t values (1)")
    preparer.tpc_prepare()

    clean(pg.cluster)

    with psycopg.connect(pg.cluster.dsn(), autocommit=True) as conn:
        assert one(conn, "select count(*) from pg_prepared_xacts") == 0
        assert one(conn, "select count(*) from pg_replication_slots") == 0
        assert one(conn, "select count(*) from pg_database") == 4
        assert one(conn, "select count(*) from pg_roles where oid >= 16384") == 0
        assert one(conn, "select count(*) from pg_db_role_setting") == 0
        assert one(conn, "show work_mem") == "4MB"


def test_a_server_that_a_test_has_killed_and_changed_is_mended(servers: Servers) -> None:
    with servers.fresh_database(18) as database:
        database.cluster.restart({"work_mem": "9MB"})
        database.cluster.kill()
    with servers.fresh_database(18) as database:
        assert database.cluster.settings == SETTINGS
        assert one(database.connect(), "show work_mem") == "4MB"


def test_a_standby_replays_what_the_primary_commits(server18: FreshDatabase, replica: Cluster) -> None:
    server18.execute("create table t (i int)", "insert into t select generate_series(1, 1000)")
    wait_for_replay(server18.cluster, replica)
    with psycopg.connect(replica.dsn(server18.name), autocommit=True) as conn:
        assert one(conn, "select count(*) from t") == 1000
        with pytest.raises(psycopg.errors.ReadOnlySqlTransaction):
            conn.execute("insert into t values (0)")


def test_a_pooler_hands_one_server_connection_to_two_clients(server18: FreshDatabase, pgbouncer: Pgbouncer) -> None:
    with (
        psycopg.connect(pgbouncer.dsn(server18.name), autocommit=True, prepare_threshold=None) as first,
        psycopg.connect(pgbouncer.dsn(server18.name), autocommit=True, prepare_threshold=None) as second,
    ):
        assert one(first, "select pg_backend_pid()") == one(second, "select pg_backend_pid()")


@pytest.mark.parametrize(
    "spec, matching",
    [(">= 17", [17, 18]), (">= 15, < 18", [15, 16, 17]), ("== 18", [18]), ("!= 18", [14, 15, 16, 17]), ("<= 14", [14])],
)
def test_specifications_compare_majors(spec: str, matching: list[int]) -> None:
    assert [major for major in range(14, 19) if satisfies(major, spec)] == matching
