"""Sessions, locks, settings, roles, slots and databases, read on every major by whoever may look."""

from __future__ import annotations

from datetime import datetime
from typing import Any

import psycopg
import pytest
from tests.fix.readings import check_types
from tests.fix.server import FreshDatabase

from pgrunbook.journey.observe import observe
from pgrunbook.journey.observe.bloat import MEASURED_BLOAT
from pgrunbook.journey.observe.databases import DATABASES
from pgrunbook.journey.observe.extensions import AVAILABLE_EXTENSIONS
from pgrunbook.journey.observe.locks import ADVISORY_LOCKS, BLOCKING
from pgrunbook.journey.observe.prepared_transactions import PREPARED_TRANSACTIONS
from pgrunbook.journey.observe.replication_slots import REPLICATION_SLOTS
from pgrunbook.journey.observe.roles import ROLES
from pgrunbook.journey.observe.sessions import SESSIONS
from pgrunbook.journey.observe.settings import FILE_SETTINGS, ROLE_SETTINGS, SETTINGS
from pgrunbook.journey.observe.toast import TOAST
from pgrunbook.journey.observe.vacuum_progress import VACUUM_PROGRESS
from pgrunbook.lab import Cluster
from pgrunbook.model import Question, Unread

QUESTIONS: tuple[Question[Any], ...] = (
    SESSIONS,
    BLOCKING,
    ADVISORY_LOCKS,
    PREPARED_TRANSACTIONS,
    SETTINGS,
    ROLE_SETTINGS,
    FILE_SETTINGS,
    ROLES,
    REPLICATION_SLOTS,
    DATABASES,
    AVAILABLE_EXTENSIONS,
    VACUUM_PROGRESS,
    TOAST,
    MEASURED_BLOAT,
)


def test_rows_have_the_types_that_they_say(pg: FreshDatabase) -> None:
    """Every question yields at least one row here, but for running vacuums, which come and go."""
    pg.execute(
        "create schema tools",
        "create extension pgstattuple schema tools",
        "create table t (id int primary key, v text)",
        "alter table t alter v set storage external",
        "insert into t select i, repeat('x', 3000) from generate_series(1, 3000) i",
        "create table air (id int, pad text)",
        "insert into air select i, repeat('y', 100) from generate_series(1, 60000) i",
        "delete from air where id % 5 > 0",
        "vacuum (analyze, truncate false) air",
        "vacuum analyze t",
        "select pg_create_physical_replication_slot('p', true)",
        "select pg_create_logical_replication_slot('l', 'test_decoding')",
        f"alter database {pg.name} set work_mem = '5MB'",
        "begin; update t set v = 'y' where id = 1; prepare transaction 'left'",
    )
    holder = pg.connect()
    holder.execute("select pg_advisory_lock(1)")
    waiter = pg.connect(autocommit=False)
    waiter.execute("set local lock_timeout = '20s'")
    waiter.pgconn.send_query(b"update t set v = 'z' where id = 1")
    with psycopg.connect(pg.dsn, autocommit=True) as conn:
        while conn.execute("select 1 from pg_locks where not granted").fetchone() is None:
            pass
    snapshot = observe(pg.dsn, QUESTIONS)
    for question in QUESTIONS:
        reading = snapshot.readings[question.name]
        assert not isinstance(reading, Unread), reading
        assert reading.rows or question is VACUUM_PROGRESS, question.name
        check_types(question, reading.rows)
    (blocked,) = snapshot.rows(BLOCKING)
    assert (blocked.pid, blocked.blocked_by, blocked.prepared_gids) == (waiter.info.backend_pid, (0,), ("left",))
    assert snapshot.rows(PREPARED_TRANSACTIONS)[0].locks >= 2


@pytest.mark.parametrize("member_of", ["", "pg_monitor"])
def test_a_role_that_may_see_little_gets_rows_or_a_reason(pg: FreshDatabase, member_of: str) -> None:
    pg.role("looker", member_of=member_of)
    other = pg.connect()
    other.execute("select 'secret'")
    snapshot = observe(pg.dsn_as("looker"), QUESTIONS)
    for question in QUESTIONS:
        reading = snapshot.readings[question.name]
        if isinstance(reading, Unread):
            assert question in {FILE_SETTINGS, MEASURED_BLOAT}
            assert reading.reason
        else:
            check_types(question, reading.rows)
    seen = next(backend for backend in snapshot.rows(SESSIONS) if backend.pid == other.info.backend_pid)
    assert seen.is_client
    assert seen.is_visible == bool(member_of)
    assert seen.query == ("select ?" if member_of else None)


def test_a_standby_answers_too(server18: FreshDatabase, replica: Cluster) -> None:
    snapshot = observe(replica.dsn(server18.name), QUESTIONS)
    for question in QUESTIONS:
        reading = snapshot.readings[question.name]
        if isinstance(reading, Unread):
            assert question is MEASURED_BLOAT  # the extension is not installed
        else:
            check_types(question, reading.rows)


@pytest.mark.parametrize(
    "text, shown",
    [
        ("select 'secret'", "select ?"),
        ("select E'it\\'s secret', 1", "select ?, ?"),
        ("/* don't */ select 'secret'", "select ?"),
        ("-- don't\nselect 'secret'", "select ?"),
        ("select $$secret$$ , 1", "select ?"),
        ("select $a$ secret $$ secret$a$", "select ?"),
        (
            "select \"o'clock\" from (select 'secret' as \"o'clock\") t",
            'select "o\'clock" from (select ? as "o\'clock") t',
        ),
        ("select 42,\n\t1.5e3, t1.v2 from (select 17 as v2) t1", "select ?, ?, t1.v2 from (select ? as v2) t1"),
        ("select '" + "secret" * 1000 + "'", "select ?"),
        ("create role secretive password 'secret'", "create role secretive password ?"),
        ("", ""),
    ],
)
def test_no_constant_and_no_comment_leaves_the_server(server18: FreshDatabase, text: str, shown: str) -> None:
    conn = server18.connect()
    conn.execute(text.encode())
    snapshot = observe(server18.dsn, [SESSIONS])
    (seen,) = [backend for backend in snapshot.rows(SESSIONS) if backend.pid == conn.info.backend_pid]
    assert seen.query == (shown or None)


def test_secrets_in_settings_stay_on_the_server(server18: FreshDatabase) -> None:
    server18.role("app")
    server18.execute(
        f"alter database {server18.name} set app.settings.jwt_secret = 'hush'",
        "alter role app set pgrst.jwt_secret = 'hush'",
        "alter role app set pgrst.db_schemas = 'public, api'",
        "alter system set primary_conninfo = 'host=db password=hush'",
        "select pg_reload_conf()",
    )
    snapshot = observe(server18.dsn, [SETTINGS, ROLE_SETTINGS, FILE_SETTINGS])
    assert "hush" not in repr(snapshot.readings)
    assert "public, api" in repr(snapshot.readings)


def test_strange_bytes_and_names_are_read(server18: FreshDatabase) -> None:
    name = 'o"d %s\n🐘'
    quoted = '"' + name.replace('"', '""') + '"'
    server18.execute(
        f"create role {quoted} login", f"create table {quoted} (i int)", f"alter role {quoted} set work_mem = '1MB'"
    )
    conn = server18.connect_as(name, application_name="app\x01%s")
    conn.execute("select '\x02'")
    snapshot = observe(server18.dsn, QUESTIONS)
    assert name in {role.name for role in snapshot.rows(ROLES)}
    assert name in {row.role for row in snapshot.rows(ROLE_SETTINGS)}
    assert name in {backend.role for backend in snapshot.rows(SESSIONS)}


def test_a_session_of_a_database_in_another_encoding_is_read(server18: FreshDatabase) -> None:
    server18.execute("create database latin encoding 'LATIN1' locale 'C' template template0")
    with psycopg.connect(server18.cluster.dsn("latin"), autocommit=True) as conn:
        conn.execute("select 'é' as \"é\"")
        snapshot = observe(server18.dsn, [SESSIONS])
        (seen,) = [backend for backend in snapshot.rows(SESSIONS) if backend.database == "latin"]
        assert seen.query == "(a database in another encoding)"
        here = observe(server18.cluster.dsn("latin"), QUESTIONS)
        assert {question.name for question in QUESTIONS} == set(here.readings)


def test_a_database_without_an_encoding_is_read(server18: FreshDatabase) -> None:
    server18.execute("create database bytes encoding 'SQL_ASCII' locale 'C' template template0")
    with psycopg.connect(server18.cluster.dsn("bytes"), autocommit=True, client_encoding="sql_ascii") as conn:
        conn.execute(b'create table "\xff\xe9" (i int)')
        conn.execute(b"select '\xff' as \"\xe9\"")
        snapshot = observe(server18.cluster.dsn("bytes"), QUESTIONS)
        (seen,) = [b for b in snapshot.rows(SESSIONS) if b.pid == conn.info.backend_pid]
        assert seen.query is not None
        assert seen.query.startswith("select ? as")


def test_ages_are_the_servers_own(server18: FreshDatabase) -> None:
    conn = server18.connect(autocommit=False)
    conn.execute("select 1")
    (seen,) = [b for b in observe(server18.dsn, [SESSIONS]).rows(SESSIONS) if b.pid == conn.info.backend_pid]
    assert isinstance(seen.transaction_started_at, datetime)
    assert 0 <= (seen.state_age_s or -1) <= (seen.transaction_age_s or -1) <= (seen.backend_age_s or -1)
