"""Queries that ask badly, and healthy ones that look alike."""

from __future__ import annotations

import contextlib
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import AbstractContextManager

import psycopg
from tests.exam.case import Decoy, Fault, Stage
from tests.fix.server import FreshDatabase

PERSON = (
    "create table person (id bigint generated always as identity primary key, email text not null, name text not null,"
    " team int not null, joined timestamptz not null)"
)
FILL = (
    "insert into person (email, name, team, joined) select 'P' || i || '@example.org', md5(i::text), i % 900,"
    " timestamptz '2023-06-01' + i * interval '3 minutes' from generate_series(1, 100000) i"
)


def people(*columns: str) -> tuple[str, ...]:
    """A table of persons with an index on each of these."""
    indexes = [f"create index person_{number}_idx on person ({column})" for number, column in enumerate(columns)]
    return (PERSON, FILL, *indexes, "vacuum analyze person")


PEOPLE = people("email", "joined", "team")
PETS = (
    *PEOPLE,
    (
        "create table pet (id bigint generated always as identity primary key, owner bigint not null references person,"
        " name text not null)"
    ),
    "insert into pet (owner, name) select 1 + i % 100000, 'n' from generate_series(1, 100000) i",
    "create index on pet (owner)",
    "vacuum analyze pet",
)
BADGES = (
    *PEOPLE,
    "create table badge (code int primary key, person numeric not null)",
    "insert into badge select i, i from generate_series(1, 20000) i",
    "vacuum analyze badge",
)

Body = Callable[[psycopg.Connection[tuple[object, ...]]], None]


def calls(query: str, amount: int = 30, *before: str) -> Body:
    def body(conn: psycopg.Connection[tuple[object, ...]]) -> None:
        for statement in before:
            conn.execute(statement.encode())
        for _ in range(amount):
            conn.execute(query.encode())

    return body


def played(*bodies: Body, beginning: str = "") -> Stage:
    """Run the statements from a clean slate; yield the queryid of the one whose text begins so."""

    def stage(database: FreshDatabase) -> AbstractContextManager[object]:
        with psycopg.connect(database.dsn, autocommit=True, prepare_threshold=None) as conn:
            conn.execute("select extensions.pg_stat_statements_reset()")
            for body in bodies:
                body(conn)
        return contextlib.nullcontext(queryid(database, beginning) if beginning else "")

    return stage


def queryid(database: FreshDatabase, beginning: str) -> str:
    with psycopg.connect(database.dsn) as conn:
        row = conn.execute(
            "select queryid from extensions.pg_stat_statements where starts_with(query, %s) and calls > 1"
            " and dbid = (select oid from pg_database where datname = current_database())"
            " order by total_exec_time desc limit 1",
            (beginning,),
        ).fetchone()
    assert row is not None, f"{beginning} was not counted"
    return str(row[0])


def fault(
    name: str,
    check: str,
    body: Body,
    beginning: str,
    *others: Body,
    sql: tuple[str, ...] = PEOPLE,
    severity: tuple[str, ...] = ("warning",),
) -> Fault:
    return Fault(
        name=name,
        check=check,
        object="?",
        sql=sql,
        severity=severity,
        stage=played(body, *others, beginning=beginning),
        blindfold="login",
    )


@contextlib.contextmanager
def n_plus_one(database: FreshDatabase) -> Iterator[str]:
    """An application that looks up the pets of each person, in one transaction, again and again."""
    stop = threading.Event()

    def work() -> None:
        with psycopg.connect(database.dsn, prepare_threshold=None) as conn:
            while not stop.is_set():
                for (number,) in conn.execute("select id from person where team = 3 limit 100").fetchall():
                    conn.execute("select * from pet where owner = %s", (number,))
                conn.commit()

    thread = threading.Thread(target=work)
    thread.start()
    try:
        time.sleep(1.0)
        yield queryid(database, "select * from pet")
    finally:
        stop.set()
        thread.join()


def one_by_one(amount: int) -> Body:
    def body(conn: psycopg.Connection[tuple[object, ...]]) -> None:
        for number in range(amount):
            conn.execute("insert into entry (id, what) values (%s, 'x')", (number,))

    return body


ENTRY = ("create table entry (no bigint generated always as identity primary key, id int, what text)",)

WIDE = (
    "create table wide (id int primary key, filler text not null)",
    "insert into wide select i, repeat('x', 900) from generate_series(1, 45000) i",  # 45 MB, of 32 MB of buffers
    "vacuum analyze wide",
)
JOINS = " join ".join(["person as p0", *(f"person as p{n} on p{n}.id = p{n - 1}.team" for n in range(1, 12))])

CASES: list[Fault | Decoy] = [
    fault("a query of 200 ms", "slow_query", calls("select pg_sleep(0.2)"), "select pg_sleep", sql=()),
    fault(
        "a query that takes nearly all the time",
        "dominant_query",
        calls("select pg_sleep(0.01)", 250),
        "select pg_sleep",
        calls("select * from person where id = 7", 200),
    ),
    fault(
        "OFFSET 50000 by the primary key",
        "deep_offset",
        calls("select * from person order by id limit 20 offset 50000"),
        "select * from person order by id",
    ),
    fault(
        "OFFSET 50000, newest first",
        "deep_offset",
        calls("select id, name from person order by joined desc limit 20 offset 50000"),
        "select id, name from person order by joined",
    ),
    fault(
        "OFFSET 50000 without an index",
        "deep_offset",
        calls("select * from person order by name limit 20 offset 50000"),
        "select * from person order by name",
    ),
    fault(
        "a sort that does not fit",
        "temp_spill",
        calls("select id, name from person order by name, joined", 15, "set work_mem = '256kB'"),
        "select id, name from person",
    ),
    fault(
        "a hash that does not fit",
        "temp_spill",
        calls("select name, count(*) from person group by name", 15, "set work_mem = '64kB'", "set enable_sort = off"),
        "select name, count",
    ),
    fault(
        "a whole table read for one row",
        "wasteful_read",
        calls("select * from person where name = 'c4ca4238a0b923820dcc509a6f75849b'"),
        "select * from person where name",
    ),
    fault(
        "a function around an indexed column",
        "non_sargable_predicate",
        calls("select * from person where lower(email) = 'p77@example.org'"),
        "select * from person where lower",
    ),
    fault(
        "a cast around an indexed column",
        "non_sargable_predicate",
        calls("select * from person where joined::date = '2023-07-01'"),
        "select * from person where joined",
    ),
    fault(
        "a join whose types do not fit",
        "non_sargable_predicate",
        calls("select p.name from badge b join person p on p.id = b.person where b.code = 77"),
        "select p.name from badge",
        sql=BADGES,
    ),
    fault(
        "half a table sent without a limit",
        "unbounded_result",
        calls("select id, email from person where id > 50000", 10),
        "select id, email from person",
        severity=("notice",),
    ),
    fault(
        "rows inserted one by one",
        "row_by_row_insert",
        one_by_one(500),
        "insert into entry",
        sql=ENTRY,
        severity=("notice", "warning"),
    ),
    fault(
        "a table that does not stay in the cache",
        "low_hit_ratio_query",
        calls("select sum(length(filler)) from wide", 25),
        "select sum(length(filler)) from wide",
        sql=WIDE,
        severity=("notice", "warning"),
    ),
    fault(
        "eleven joins planned anew each time",
        "high_planning_time",
        calls(
            f"select 1 from {JOINS} where p0.id = 1",
            25,
            "set pg_stat_statements.track_planning = on",
            "set join_collapse_limit = 12",
            "set geqo = off",
        ),
        "select $1 from person as p0",
        severity=("notice",),
    ),
    fault(
        "a summary of a table that nobody writes",
        "materialized_view_candidate",
        calls("select team, count(distinct md5(email || name)) from person group by team", 25),
        "select team, count(distinct md5",
        severity=("notice",),
    ),
    Fault(
        name="a look-up for each row, while it happens",
        check="repeated_query",
        object="?",
        sql=PETS,
        stage=n_plus_one,
        severity=("notice", "warning"),
        blindfold="login",
    ),
    Decoy(
        name="fast, frequent look-ups by key",
        sql=people(),
        stage=played(calls("select * from person where id = 77", 3000)),
    ),
    Decoy(
        name="a rare, slow report",
        sql=people(),
        stage=played(calls("select pg_sleep(1.5), max(name), count(*), count(distinct email) from person", 4)),
    ),
    Decoy(
        name="batch inserts",
        sql=ENTRY,
        stage=played(
            calls("insert into entry (id, what) select i, 'x' from generate_series(1, 1000) as i", 50),
            calls("analyze entry", 1),
        ),
    ),
    Decoy(
        name="rows inserted a thousand at a time by VALUES",
        sql=ENTRY,
        stage=played(
            calls(f"insert into entry (id, what) values {', '.join(['(1, 2)'] * 1000)}", 50), calls("analyze entry", 1)
        ),
    ),
    Decoy(
        name="the first pages",
        sql=people("joined", "team"),
        stage=played(
            calls("select * from person order by joined desc limit 20 offset 20"),
            calls("select * from person where team = 4 order by joined limit 20 offset 40"),
        ),
    ),
    Decoy(
        name="a function that has its own index",
        sql=people("lower(email)"),
        stage=played(calls("select * from person where lower(email) = 'p77@example.org'", 100)),
    ),
    Decoy(
        name="a cast of the constant, not of the column",
        sql=people("joined"),
        stage=played(calls("select * from person where joined >= '2023-07-01'::date and joined < '2023-07-02'::date")),
    ),
    Decoy(
        name="maintenance",
        sql=people(),
        stage=played(calls("vacuum analyze person", 25), calls("reindex table person", 5)),
    ),
    Decoy(
        name="a copy of the table, as pg_dump makes it",
        sql=people(),
        stage=played(calls("copy person to '/dev/null'", 25)),
    ),
]
