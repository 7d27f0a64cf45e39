"""Indexes, constraints, sequences, triggers, partitions, publications and views, read on every major by whoever may."""

from __future__ import annotations

import threading
from typing import Any

import psycopg
import pytest
from tests.fix.readings import check_types
from tests.fix.replica import wait_for_replay
from tests.fix.server import FreshDatabase
from tests.fix.story import until

from pgrunbook.journey.diagnose.engine import diagnose
from pgrunbook.journey.observe import observe
from pgrunbook.journey.observe.constraints import CONSTRAINT_DEFINITIONS, CONSTRAINTS
from pgrunbook.journey.observe.counters import COUNTERS
from pgrunbook.journey.observe.index_density import INDEX_DENSITY
from pgrunbook.journey.observe.index_work import INDEX_WORK
from pgrunbook.journey.observe.indexes import INDEX_DEFINITIONS, INDEX_USAGE, INDEXES
from pgrunbook.journey.observe.partitions import PARTITIONS
from pgrunbook.journey.observe.publications import PUBLICATIONS
from pgrunbook.journey.observe.sequences import SEQUENCE_VALUES, SEQUENCES
from pgrunbook.journey.observe.triggers import TRIGGERS
from pgrunbook.journey.observe.view_dependencies import VIEW_DEPENDENCIES
from pgrunbook.lab import Cluster
from pgrunbook.model import Question, Unread

QUESTIONS: tuple[Question[Any], ...] = (
    INDEXES,
    INDEX_USAGE,
    INDEX_DEFINITIONS,
    INDEX_DENSITY,
    INDEX_WORK,
    COUNTERS,
    CONSTRAINTS,
    CONSTRAINT_DEFINITIONS,
    SEQUENCES,
    SEQUENCE_VALUES,
    TRIGGERS,
    PARTITIONS,
    PUBLICATIONS,
    VIEW_DEPENDENCIES,
)
EVERYTHING = (
    "create schema tools",
    "create extension pgstattuple schema tools",
    "create domain code as text check (value <> '')",
    "create table p (id serial primary key, c code unique, d date, s varchar(9)[], n int check (n > 0))",
    "create table k (id int generated always as identity, p_id bigint references p)",
    "create unlogged table u (id serial)",
    "create index on p (lower(c), d desc nulls last) include (n) with (fillfactor = 60) where n > 1",
    "create index on p using gin (s)",
    "create index on p using brin (d) with (pages_per_range = 2)",
    "create table r (a int, b timestamptz) partition by range (b)",
    "create table r1 partition of r for values from ('2026-01-01') to ('2026-02-01') partition by list (a)",
    "create table r2 partition of r default",
    "create table r1a partition of r1 for values in (1, 2)",
    "create index on r (a)",
    "create function f() returns trigger language plpgsql as 'begin return new; end'",
    "create trigger tr before insert on p for each row execute function f()",
    "alter table k disable trigger all",
    "create publication one for table p",
    "create publication everything for all tables",
    "create view v as select * from p",
    "create materialized view m as select * from v",
    "insert into p (c, d, n) select i, now(), i from generate_series(1, 40000) i",
    "vacuum analyze p",
)


def test_rows_have_the_types_that_they_say(pg: FreshDatabase) -> None:
    pg.execute(*EVERYTHING)
    holder = pg.connect(autocommit=False)
    holder.execute("lock table k in share update exclusive mode")
    snapshot = observe(pg.dsn, QUESTIONS)
    for question in QUESTIONS:
        reading = snapshot.readings[question.name]
        assert not isinstance(reading, Unread), reading
        assert reading.rows, question.name
        check_types(question, reading.rows)


@pytest.mark.parametrize("member_of", ["", "pg_monitor"])
def test_a_role_that_may_see_little_gets_rows_or_a_reason(pg: FreshDatabase, member_of: str) -> None:
    pg.execute(*EVERYTHING)
    pg.role("looker", member_of=member_of)
    snapshot = observe(pg.dsn_as("looker"), QUESTIONS)
    for question in QUESTIONS:
        reading = snapshot.readings[question.name]
        if isinstance(reading, Unread):
            assert question is INDEX_DENSITY  # not allowed, or its schema is not
            assert reading.reason
            assert reading.cure
        else:
            check_types(question, reading.rows)
    assert {row.is_readable for row in snapshot.rows(SEQUENCE_VALUES)} == {False}
    diagnose(pg.dsn_as("looker"), only=["index", "schema"])


def test_a_standby_answers_and_leaves_to_the_primary_what_only_it_knows(
    server18: FreshDatabase, replica: Cluster
) -> None:
    server18.execute(*EVERYTHING, "create index broken on p (n)")
    server18.execute("update pg_index set indisvalid = false where indexrelid = 'broken'::regclass")
    wait_for_replay(server18.cluster, replica)
    snapshot = observe(replica.dsn(server18.name), QUESTIONS)
    for question in QUESTIONS:
        reading = snapshot.readings[question.name]
        assert not isinstance(reading, Unread), reading
        check_types(question, reading.rows)
    answer = diagnose(replica.dsn(server18.name), only=["index", "schema"])
    blind = {(one.check, one.object) for one in answer.blind}
    assert {("unused_index", None), ("invalid_index", "public.broken")} <= blind
    assert ("foreign_key_type_mismatch", "public.k.k_p_id_fkey") in {(f.check, f.object) for f in answer.findings}


def test_a_database_without_an_encoding_is_judged(server18: FreshDatabase) -> None:
    server18.execute("create database bytes encoding 'SQL_ASCII' locale 'C' template template0")
    with psycopg.connect(server18.cluster.dsn("bytes"), autocommit=True, client_encoding="sql_ascii") as conn:
        conn.execute(b'create table "\xff" ("\xe9" int primary key, x timestamp, p int references "\xff")')
        conn.execute(b'create index "\xfe" on "\xff" ("\xe9")')
        conn.execute(b'insert into "\xff" select i from generate_series(1, 2000) i')
        conn.execute("analyze")
    answer = diagnose(server18.cluster.dsn("bytes"), only=["index", "schema"])
    assert [(f.check, f.object) for f in answer.findings] == [
        ("duplicate_index", 'public."\udcfe"'),
        ("unindexed_foreign_key", 'public."\udcff"'),
        ("discouraged_type", 'public."\udcff".x'),
    ]
    assert all(len(f.fingerprint) == 16 for f in answer.findings)


def test_no_default_reading_waits_for_an_exclusive_lock(pg: FreshDatabase) -> None:
    pg.execute(*EVERYTHING)
    holder = pg.connect(autocommit=False)
    holder.execute("lock table p, k, r in access exclusive mode")
    waiter = pg.connect()
    waiting = threading.Thread(target=lambda: waiter.execute("select count(*) from p"))
    waiting.start()
    try:
        until(
            lambda: pg.connect().execute("select count(*) from pg_locks where not granted").fetchone() == (1,),
            "a reader waits",
        )
        snapshot = observe(pg.dsn, QUESTIONS)
        for question in QUESTIONS:
            reading = snapshot.readings[question.name]
            assert not isinstance(reading, Unread), reading
            assert bool(reading.skipped) == question.reads_definitions
    finally:
        holder.rollback()
        waiting.join()
