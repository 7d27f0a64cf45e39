"""pg_stat_statements as readings: every version of the extension, no passwords, our own work recognisable."""

from __future__ import annotations

import psycopg
import pytest
from tests.fix.server import FreshDatabase

from pgrunbook.journey.observe import observe
from pgrunbook.journey.observe.statements import STATEMENTS, STATEMENTS_INFO, Statement
from pgrunbook.model import Snapshot, Unread


def statements(snapshot: Snapshot) -> tuple[Statement, ...]:
    return snapshot.rows(STATEMENTS)


def test_every_version_of_the_extension_is_read(pg: FreshDatabase) -> None:
    """pg_upgrade leaves an old version behind; its view has other columns."""
    conn = pg.connect()
    versions = conn.execute(
        "select version from pg_available_extension_versions where name = 'pg_stat_statements' order by 1"
    ).fetchall()
    wanted = [version for (version,) in versions if int(version.split(".")[1]) >= 8]
    assert "1.8" in wanted
    for version in wanted:
        conn.execute(f"create extension pg_stat_statements version '{version}'")
        conn.execute("select count(*) from pg_class")
        snapshot = observe(pg.dsn, [STATEMENTS, STATEMENTS_INFO])
        counted = [row for row in statements(snapshot) if row.query == "select count(*) from pg_class"]
        assert [(row.role, row.calls > 0, row.first_word) for row in counted] == [("postgres", True, "select")]
        assert type(counted[0].total_exec_ms) is float
        assert type(counted[0].wal_bytes) is int
        info = snapshot.readings["statements_info"]
        if version == "1.8":
            assert isinstance(info, Unread)
            assert info.cure == "ALTER EXTENSION pg_stat_statements UPDATE;"
        else:
            assert snapshot.rows(STATEMENTS_INFO)[0].max_statements >= 100
        conn.execute("drop extension pg_stat_statements")


def test_the_extension_may_live_in_any_schema(pg: FreshDatabase) -> None:
    pg.execute('create schema "we""ird"', 'create extension pg_stat_statements schema "we""ird"')
    assert statements(observe(pg.dsn, [STATEMENTS]))


def test_statements_of_other_databases_are_left_out(pg: FreshDatabase) -> None:
    pg.execute("create extension pg_stat_statements")
    with psycopg.connect(pg.cluster.dsn(), autocommit=True) as other:
        other.execute("select 'elsewhere' as only_in_the_other_database")
    assert not [row for row in statements(observe(pg.dsn, [STATEMENTS])) if "only_in_the_other" in row.query]


@pytest.mark.pg("!= 15, != 16, != 17")
def test_a_text_of_another_database_that_is_no_text_makes_it_unread_and_says_what_to_do(pg: FreshDatabase) -> None:
    pg.execute(
        "create extension pg_stat_statements",
        "create database bytes encoding 'SQL_ASCII' locale 'C' template template0",
    )
    with psycopg.connect(pg.cluster.dsn("bytes"), autocommit=True, client_encoding="sql_ascii") as conn:
        conn.execute(b'select 1 as "\xff"')
    unread = observe(pg.dsn, [STATEMENTS]).readings["statements"]
    assert isinstance(unread, Unread)
    assert "invalid byte sequence" in unread.reason
    (oid, _) = pg.connect().execute("SELECT oid, datname FROM pg_database WHERE encoding = 0").fetchone() or (0, "")
    assert "SELECT oid, datname FROM pg_database WHERE encoding = 0" in unread.cure
    pg.execute(f"SELECT pg_stat_statements_reset(0, {oid}, 0)")
    assert statements(observe(pg.dsn, [STATEMENTS]))


def test_a_statement_that_may_hold_a_password_is_hidden(pg: FreshDatabase) -> None:
    pg.execute(
        "create extension pg_stat_statements",
        "create table people (password text)",
        "select * from people where password = 'secret-1'",
        "create role somebody password 'secret-2'",
        "alter role somebody PASSWORD '33'",
        "do $x$ begin perform 'password secret-4'; end $x$",
    )
    rows = statements(observe(pg.dsn, [STATEMENTS]))
    texts = [row.query for row in rows]
    assert not [text for text in texts if "secret-" in text or "'33'" in text]
    assert "select * from people where password = $1" in texts
    assert "<hidden: it may hold a password>" in texts


def test_our_own_work_and_utility_statements_are_recognised(pg: FreshDatabase) -> None:
    pg.execute("create extension pg_stat_statements", "create table t (i int)", "(select i from t)")
    observe(pg.dsn, [STATEMENTS])
    rows = statements(observe(pg.dsn, [STATEMENTS]))
    theirs = [row.query for row in rows if not row.is_ours and not row.is_utility]
    assert theirs == ["(select i from t)"]
    assert any(row.is_utility and row.first_word == "begin" for row in rows)


def test_a_text_that_is_too_long_is_cut_where_the_parser_refuses_it(pg: FreshDatabase) -> None:
    long = "select " + ", ".join(f"1 as a_column_with_quite_a_long_name_{number}" for number in range(1000))
    pg.execute("create extension pg_stat_statements", long)
    cut = [row for row in statements(observe(pg.dsn, [STATEMENTS])) if row.query.startswith("select $1 as a_col")]
    assert [len(row.query) for row in cut] == [32_769]


def test_without_the_right_to_see_all_it_says_so(pg: FreshDatabase) -> None:
    pg.execute("create extension pg_stat_statements")
    role = pg.role("reader")
    unread = observe(pg.dsn_as(role), [STATEMENTS]).readings["statements"]
    assert isinstance(unread, Unread)
    assert unread.cure == 'GRANT "pg_read_all_stats" TO "reader";'
    monitor = pg.role("monitor", member_of="pg_monitor")
    assert statements(observe(pg.dsn_as(monitor), [STATEMENTS]))
