"""The schema of a database on a throw-away server: what comes over, what must not, and who is not held up."""

from __future__ import annotations

import threading
from collections.abc import Iterator

import psycopg
import pytest
from tests.fix.server import FreshDatabase

from pgrunbook.errors import Refused
from pgrunbook.lab import Cluster, start_cluster
from pgrunbook.lab.schema import copy_schema, dump, plain_dump
from pgrunbook.lab.schema.programs import pg_dump_for, source_of
from pgrunbook.pg.connect import connect

HOSTILE = "t a'b; \\ drop\ntable %s big;--\"x 🐘"
QUOTED = '"' + HOSTILE.replace('"', '""') + '"'


@pytest.fixture
def scratch(pg: FreshDatabase) -> Iterator[Cluster]:
    """An empty server of the same major."""
    with start_cluster(
        binaries=pg.cluster.binaries, settings={"shared_buffers": "16MB"}, prefix="pgrb-test"
    ) as cluster:
        yield cluster


def schema_lines(pg: FreshDatabase) -> list[str]:
    """The schema of the source as pg_dump prints it."""
    done = pg.cluster.run("pg_dump", "--schema-only", f"--dbname={pg.dsn}")
    assert done.returncode == 0, done.stderr
    return [line for line in done.stdout.splitlines() if not line.startswith("\\")]


def oid_of(pg: FreshDatabase, name: str) -> int:
    row = pg.connect().execute("select %(name)s::regclass::oid", {"name": name}).fetchone()
    assert row is not None
    return int(row[0])


def test_the_copy_reads_like_the_source(pg: FreshDatabase, scratch: Cluster) -> None:
    pg.role("app")
    pg.role('we"ird; drop', options="nologin", member_of="app")
    pg.execute(
        'create schema "S pace"',
        f'create table "S pace".{QUOTED} (id int primary key, "we""ird" text not null default \'x\')',
        f'comment on table "S pace".{QUOTED} is $$two\nlines$$',
        f'alter table "S pace".{QUOTED} enable row level security',
        f'create policy "p ol""x" on "S pace".{QUOTED} for select to app using (id > 3)',
        f'alter table "S pace".{QUOTED} owner to app',
        "create table part (id int, at timestamptz not null) partition by range (at)",
        "create table part_2020 partition of part for values from ('2020-01-01') to ('2021-01-01')",
        "create index on part (id)",
        "create extension pg_trgm",
        "create table orders (id bigserial primary key, word text)",
        "create index on orders using gin (word gin_trgm_ops)",
        "create statistics two on id, word from orders",
        "alter table orders set (autovacuum_enabled = off)",
        "create view seen as select * from orders",
        "create materialized view counted as select count(*) from orders",
        "create domain positive as int check (value > 0)",
        "grant select on orders to app",
    )
    with connect(pg.dsn, station="test") as conn:
        copy = copy_schema(conn, scratch)
    assert copy.left_out == ()
    assert plain_dump(copy).splitlines() == schema_lines(pg)


def test_nothing_that_acts_connects_out_or_holds_a_password_comes_over(pg: FreshDatabase, scratch: Cluster) -> None:
    pg.role("app")
    pg.execute(
        "create table t (i int)",
        "create publication pub for table t",
        "create subscription sub connection 'host=nowhere password=hush' publication x"
        " with (connect = false, slot_name = none, enabled = false)",
        "create function no() returns event_trigger language plpgsql as $$begin raise exception 'no'; end$$",
        "create extension postgres_fdw",
        "create server far foreign data wrapper postgres_fdw options (host 'nowhere')",
        "comment on server far is 'far away'",
        "create user mapping for app server far options (user 'u', password 'hush')",
        "create foreign table ft (i int) server far",
        "grant usage on foreign server far to app",
        "create event trigger stop on ddl_command_end execute function no()",
    )
    try:
        with connect(pg.dsn, station="test") as conn:
            copy = copy_schema(conn, scratch)
    finally:
        with psycopg.connect(pg.dsn, autocommit=True) as conn:
            conn.execute("drop event trigger stop")
            conn.execute("drop subscription sub")
    assert copy.left_out == ()
    with psycopg.connect(copy.dsn(), autocommit=True) as conn:
        conn.execute("create index on t (i)")  # the event trigger would forbid it
        for catalog in (
            "pg_event_trigger",
            "pg_publication",
            "pg_subscription",
            "pg_foreign_server",
            "pg_user_mapping",
        ):
            assert conn.execute(f"select count(*) from {catalog}").fetchone() == (0,)
        assert conn.execute("select count(*) from pg_authid where rolpassword is not null").fetchone() == (0,)
        assert conn.execute("select rolcanlogin from pg_roles where rolname = 'app'").fetchone() == (False,)


@pytest.mark.pg("== 15")
def test_what_this_machine_lacks_gets_a_stand_in(pg: FreshDatabase) -> None:
    pg.execute(
        "create schema extensions",
        'create extension "uuid-ossp" schema extensions',
        "create extension pgcrypto schema extensions",
        'create table t (id uuid primary key default extensions.uuid_generate_v4(), name text collate "de-x-icu")',
        "create index on t (name)",
    )
    with start_cluster(settings={"shared_buffers": "16MB"}) as newest, connect(pg.dsn, station="test") as conn:
        copy = copy_schema(conn, newest)
        assert [item.what for item in copy.left_out] == ["extension pgcrypto", "extension uuid-ossp"]
        assert 'function "extensions"."uuid_generate_v4"()' in copy.stand_ins
        assert 'collation "pg_catalog"."de-x-icu"' in copy.stand_ins
        with psycopg.connect(copy.dsn(), autocommit=True) as scratch:
            scratch.execute("create index on t (lower(name))")
            assert scratch.execute("select count(*) from pg_index where indrelid = 't'::regclass").fetchone() == (3,)


@pytest.mark.pg("== 18")
def test_a_locked_table_that_nobody_asked_for_is_left_out(pg: FreshDatabase, scratch: Cluster) -> None:
    pg.execute(f"create table {QUOTED} (i int)", "create table wanted (i int)")
    locker = pg.connect(autocommit=False)
    locker.execute(f"lock table {QUOTED} in access exclusive mode")
    with connect(pg.dsn, station="test") as conn:
        copy = copy_schema(conn, scratch, wanted=[oid_of(pg, "wanted")])
    locker.rollback()
    assert [(item.what, item.reason) for item in copy.left_out] == [
        (f'table "public".{QUOTED}', "locked by another session")
    ]
    assert "CREATE TABLE public.wanted" in plain_dump(copy)


@pytest.mark.pg("== 18")
def test_a_locked_table_that_is_wanted_is_refused_with_the_name_of_its_holder(
    pg: FreshDatabase, scratch: Cluster, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(dump, "LOCK_WAIT_MS", 300)
    pg.execute("create table wanted (i int)")
    wanted = oid_of(pg, "wanted")
    locker = pg.connect(autocommit=False, application_name="migration")
    locker.execute("lock table wanted in access exclusive mode")
    with connect(pg.dsn, station="test") as conn, pytest.raises(Refused) as refused:
        copy_schema(conn, scratch, wanted=[wanted])
    locker.rollback()
    assert f"session {locker.info.backend_pid} of postgres (migration) holds ACCESS EXCLUSIVE" in refused.value.message
    assert "gave up after" in refused.value.message
    assert refused.value.hint


@pytest.mark.pg("== 18")
def test_an_unreadable_table_is_left_out_or_refused_with_the_grant(pg: FreshDatabase, scratch: Cluster) -> None:
    role = pg.role("reader")
    pg.execute("create table secret (i int)", "create table open (i int)", "grant select on open to reader")
    with connect(pg.dsn_as(role), station="test") as conn:
        with pytest.raises(Refused) as refused:
            copy_schema(conn, scratch, wanted=[oid_of(pg, "secret")])
        assert refused.value.hint == 'GRANT SELECT ON "public"."secret" TO reader;'
        copy = copy_schema(conn, scratch, wanted=[oid_of(pg, "open")])
    assert [item.what for item in copy.left_out] == ['table "public"."secret"']
    assert "CREATE TABLE public.open" in plain_dump(copy)
    with psycopg.connect(copy.dsn(role)) as conn:
        assert conn.execute("select rolsuper from pg_roles where rolname = current_user").fetchone() == (False,)


@pytest.mark.pg("== 18")
def test_it_gives_way_to_a_session_that_waits_for_our_locks(
    pg: FreshDatabase, scratch: Cluster, monkeypatch: pytest.MonkeyPatch
) -> None:
    """pg_dump is held up by one table while it holds the lock of another, for which a DDL waits."""
    monkeypatch.setattr(dump, "LOCK_WAIT_MS", 20_000)
    pg.execute("create table a (i int)", "create table b (i int)")
    oids = [oid_of(pg, "a"), oid_of(pg, "b")]
    locker = pg.connect(autocommit=False)
    locker.execute("lock table b in access exclusive mode")
    altered = threading.Event()

    def alter() -> None:
        with psycopg.connect(pg.dsn, autocommit=True) as conn, psycopg.connect(pg.dsn, autocommit=True) as looking:
            held = (
                "select count(*) from pg_locks where relation = 'a'::regclass and mode = 'AccessShareLock' and granted"
            )
            while looking.execute(held).fetchone() == (0,):
                pass
            conn.execute("alter table a add column j int")
            altered.set()

    waiter = threading.Thread(target=alter)
    waiter.start()
    with connect(pg.dsn, station="test") as conn, pytest.raises(Refused, match="gave way"):
        copy_schema(conn, scratch, wanted=oids)
    waiter.join()
    assert altered.is_set()
    left = pg.connect().execute("select count(*) from pg_stat_activity where application_name like 'pgrunbook/schema%'")
    assert left.fetchone() == (0,)
    locker.rollback()


@pytest.mark.pg("== 18")
def test_a_password_is_never_on_a_command_line(pg: FreshDatabase) -> None:
    pg.role("app", options="login password 'hush'")
    with connect(pg.dsn_as("app", password="hush"), station="test") as conn:
        source = source_of(conn)
    assert source.password == "hush"
    assert "hush" not in source.conninfo
    assert "hush" not in repr(source)
    assert source.environment("x")["PGPASSWORD"] == "hush"
    assert pg_dump_for(source).path.name == "pg_dump"
