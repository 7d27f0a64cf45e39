"""Faults in odd forms, and healthy things that differ from a fault by one word."""

from __future__ import annotations

import contextlib
from collections.abc import Iterator

import psycopg
from tests.exam.case import Decoy, Fault
from tests.exam.cases.upkeep import sessions
from tests.fix.server import FreshDatabase
from tests.fix.story import until

BOOK = (
    "create table author (id int primary key, name text not null)",
    "insert into author select g, 'a' || g from generate_series(1, 3000) as g",
    "create table book (id bigint primary key, author_id int references author, isbn text, title text, year int)",
    (
        "insert into book select g, nullif(1 + g % 3000, 7), 'i' || g, 't' || g, 1900 + g % 120"
        " from generate_series(1, 30000) as g"
    ),
)
SERVED = (*BOOK, "create index book_author on book (author_id)", "analyze")
LONG = "a" * 63


@contextlib.contextmanager
def prepared_and_dead(db: FreshDatabase) -> Iterator[None]:
    """A prepared transaction that keeps the dead rows of another table."""
    db.execute("begin; insert into author values (0, 'x'); prepare transaction 'import-7'")
    with sessions("update book set year = year + 1", "vacuum book")(db):

        def is_old() -> bool:
            with psycopg.connect(db.dsn, autocommit=True) as conn:
                return conn.execute(
                    "select clock_timestamp() - prepared > interval '5.2 s' from pg_prepared_xacts"
                ).fetchone() == (True,)

        until(is_old, "it is five seconds old")
        yield


CASES: list[Fault | Decoy] = [
    Decoy(
        name="two unique constraints on one column, of which keys of other tables refer to each",
        sql=(
            *SERVED,
            "create table title (code text not null, note text)",
            "alter table title add constraint title_a unique (code)",
            "alter table title add primary key (code)",
            "create table print (id int primary key, code text unique references title (code))",
            "alter table title drop constraint title_pkey",
            "alter table title add primary key (code)",
        ),
    ),
    Fault(
        name="a unique constraint on the primary key's column",
        check="duplicate_index",
        object="public.author_again",
        sql=(*SERVED, "alter table author add constraint author_again unique (id)"),
    ),
    Fault(
        name="the same unique constraint twice",
        check="duplicate_index",
        object="public.book_isbn_2",
        sql=(
            *SERVED,
            "alter table book add constraint book_isbn_1 unique (isbn)",
            "alter table book add constraint book_isbn_2 unique (isbn)",
        ),
    ),
    Fault(
        name="a plain index beside a unique constraint",
        check="duplicate_index",
        object="public.book_isbn_plain",
        sql=(
            *SERVED,
            "create index book_isbn_plain on book (isbn)",
            "alter table book add constraint book_isbn_1 unique (isbn)",
        ),
    ),
    Fault(
        name="copies in a schema and a table with odd names",
        check="duplicate_index",
        object='"odd ""näme"" 100% of; it"."it\'s 2"',
        sql=(
            'create schema "odd ""näme"" 100% of; it"',
            'create table "odd ""näme"" 100% of; it"."Ta\nble" (id int primary key, x int)',
            'create index "it\'s 1" on "odd ""näme"" 100% of; it"."Ta\nble" (x)',
            'create index "it\'s 2" on "odd ""näme"" 100% of; it"."Ta\nble" (x)',
            "create table book (id int primary key, x int)",
        ),
    ),
    Fault(
        name="a foreign key of a table with the longest name",
        check="unindexed_foreign_key",
        object=f"public.{LONG}",
        columns=("book_id",),
        sql=(
            *SERVED,
            f"create table {LONG} (id int primary key, book_id bigint references book)",
            f"insert into {LONG} select g, g from generate_series(1, 20000) as g",
            "analyze",
        ),
    ),
    Fault(
        name="a foreign key of two columns, of which an index has the first",
        check="unindexed_foreign_key",
        object="public.page",
        columns=("book_id", "no"),
        sql=(
            *SERVED,
            "create table chapter (book_id bigint, no int, primary key (book_id, no))",
            "insert into chapter select g, g % 20 from generate_series(1, 20000) as g",
            (
                "create table page (id int primary key, book_id bigint, no int,"
                " foreign key (book_id, no) references chapter)"
            ),
            "insert into page select g, g, g % 20 from generate_series(1, 20000) as g",
            "create index page_no on page (no)",
            "analyze",
        ),
    ),
    Decoy(
        name="a foreign key whose index leaves out the NULLs",
        sql=(*BOOK, "create index on book (author_id) where author_id is not null", "analyze"),
    ),
    Decoy(
        name="a foreign key whose index includes more, and one of a unique index",
        sql=(
            *BOOK,
            "create index on book (author_id, year) include (title)",
            "create table cover (book_id bigint unique references book, front text, primary key (front))",
            "insert into cover select g, g::text from generate_series(1, 20000) as g",
            "analyze",
        ),
    ),
    Decoy(
        name="indexes that differ in INCLUDE, collation, NULLS FIRST and uniqueness of a part",
        sql=(
            *SERVED,
            "create index a on book (year) include (title)",
            "create index b on book (year nulls first, isbn)",
            'create index c on book (title collate "C")',
            "create index d on book (title)",
            "create unique index e on book (isbn)",
            "create unique index f on book (id, isbn)",
        ),
    ),
    Fault(
        name="autovacuum off for a small table",
        check="autovacuum_disabled",
        object="public.author",
        sql=(*SERVED, "alter table author set (autovacuum_enabled = false)", "update author set name = name || '!'"),
    ),
    Fault(
        name="autovacuum off for one partition",
        check="autovacuum_disabled",
        object="public.log",
        sql=(
            "create table log (id int, primary key (id)) partition by range (id)",
            "create table log_1 partition of log for values from (0) to (50000) with (autovacuum_enabled = off)",
            "create table log_2 partition of log for values from (50000) to (100001)",
            "insert into log select g from generate_series(0, 100000) as g",
            "analyze",
        ),
    ),
    Fault(
        name="a prepared transaction that keeps dead rows",
        check="xmin_horizon_held",
        object="import-7",
        severity=("warning", "critical"),
        sql=SERVED,
        stage=prepared_and_dead,
    ),
    Fault(
        name="a partitioned table without a key",
        check="no_primary_key",
        object="public.log",
        sql=(
            "create table log (id int, what text) partition by range (id)",
            "create table log_1 partition of log for values from (0) to (1000)",
            "insert into log select g, 'x' from generate_series(0, 999) as g",
        ),
    ),
    Fault(
        name="an identity column that counts down",
        check="sequence_exhaustion",
        object="public.down.id",
        severity=("warning", "critical"),
        sql=(
            (
                "create table down (id smallint generated always as identity (increment by -1 minvalue -32768"
                " maxvalue -1) primary key)"
            ),
            "select setval(pg_get_serial_sequence('down', 'id'), -32000)",
        ),
    ),
    Fault(
        name="a bigint column with a sequence of integers",
        check="sequence_exhaustion",
        object="public.ticket.id",
        severity=("warning", "critical"),
        sql=(
            "create sequence numbers as int",
            "create table ticket (id bigint primary key default nextval('numbers'))",
            "select setval('numbers', 2140000000)",
        ),
    ),
    Decoy(
        name="text and varchar, int and its domain, a foreign key to a unique column",
        sql=(
            "create table land (code varchar(2) primary key, no int unique)",
            "create domain land_no as int",
            (
                "create table town (id int primary key, land text unique references land,"
                " no land_no unique references land (no))"
            ),
        ),
    ),
    Decoy(
        name="a constraint not valid yet on a table without rows, a disabled user trigger enabled for replicas",
        sql=(
            *SERVED,
            "create function touch() returns trigger language plpgsql set search_path = '' as 'begin return new; end'",
            "create trigger touched before update on author for each row execute function touch()",
            "alter table author enable replica trigger touched",
        ),
    ),
    Decoy(
        name="a table as wide as they come, a single row, no rows",
        sql=(
            f"create table wide (id int primary key, {', '.join(f'c{n} text' for n in range(300))})",
            "insert into wide (id) select generate_series(1, 2000)",
            "create table nothing (id int primary key)",
            "create table one (id int primary key default 1 check (id = 1))",
            "insert into one default values",
            "analyze",
        ),
    ),
    Decoy(
        name="temporary and foreign things",
        sql=(
            "create extension file_fdw",
            "create server files foreign data wrapper file_fdw",
            "create foreign table passwd (line text) server files options (filename '/etc/hostname')",
            "create extension tablefunc",
            "create aggregate longest (text) (sfunc = textcat, stype = text)",
        ),
    ),
]
