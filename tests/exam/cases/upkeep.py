"""What vacuum and autovacuum leave undone, and what only looks so."""

from __future__ import annotations

import contextlib
from collections.abc import Iterator

import psycopg
from tests.exam.case import Decoy, Fault
from tests.fix.server import FreshDatabase
from tests.fix.story import until

TABLE = (
    "create table part (id int primary key, price numeric, note text)",
    "insert into part select g, g % 100, repeat('n', 40) from generate_series(1, 60000) as g",
    "vacuum (analyze) part",
)

ASLEEP = ("alter system set autovacuum_naptime = '50min'", "select pg_reload_conf()")  # it would mend what is planted


def sessions(*scripts: str):
    """Run each script in a session of its own, one after the other, each with its counts handed in."""

    @contextlib.contextmanager
    def stage(db: FreshDatabase) -> Iterator[None]:
        for script in scripts:
            with psycopg.connect(db.dsn, autocommit=True) as conn:
                pid = conn.info.backend_pid
                for statement in script.split(";"):
                    conn.execute(statement.strip().encode())

            def is_gone(ended: int = pid) -> bool:
                with psycopg.connect(db.dsn, autocommit=True) as other:
                    return other.execute("select 1 from pg_stat_activity where pid = %s", (ended,)).fetchone() is None

            until(is_gone, "the session is gone")
        yield

    return stage


@contextlib.contextmanager
def held_horizon(db: FreshDatabase) -> Iterator[str]:
    """An old snapshot, dead rows that it keeps, and five seconds of it."""
    holder = db.connect(autocommit=False)
    holder.execute("set transaction isolation level repeatable read")
    holder.execute("select count(*) from part")
    with sessions("update part set price = price + 1", "vacuum part")(db):
        until_held(db, holder.info.backend_pid, 5.2)
        yield str(holder.info.backend_pid)


def until_held(db: FreshDatabase, pid: int, seconds: float) -> None:
    """Wait until a session's transaction is so old."""

    def is_old() -> bool:
        with psycopg.connect(db.dsn, autocommit=True) as conn:
            row = conn.execute(
                "select clock_timestamp() - xact_start > make_interval(secs => %s)"
                " from pg_stat_activity where pid = %s",
                (seconds, pid),
            ).fetchone()
        return row == (True,)

    until(is_old, f"session {pid} is {seconds} s old")


AGED = (
    "update pg_class set relfrozenxid = ((pg_current_xact_id()::text::int8 - {age} + 4294967296) % 4294967296)"
    "::text::xid where {where}"
)


@contextlib.contextmanager
def whole_database(db: FreshDatabase) -> Iterator[str]:
    """The database is as old as its tables."""
    db.execute(
        "update pg_database set datfrozenxid = (select relfrozenxid from pg_class where oid = 'part'::regclass)"
        " where datname = current_database()"
    )
    yield db.name


CASES: list[Fault | Decoy] = [
    Fault(
        name="half of a table is dead",
        check="dead_rows",
        object="public.part",
        sql=(*ASLEEP, *TABLE),
        stage=sessions("update part set price = 0 where id % 2 = 0"),
    ),
    Fault(
        name="dead rows in one of two partitions",
        check="dead_rows",
        object="public.log",
        sql=(
            *ASLEEP,
            "create table log (id int, v int) partition by range (id)",
            "create table log_1 partition of log for values from (0) to (30000)",
            "create table log_2 partition of log for values from (30000) to (60001)",
            "insert into log select g, g from generate_series(0, 60000) as g",
            "vacuum (analyze) log",
        ),
        stage=sessions("delete from log_2 where id % 2 = 0"),
    ),
    Decoy(
        name="dead rows below the trigger, and vacuumed ones",
        sql=TABLE,
        stage=sessions(
            "create table vacuumed (id int primary key, v int);"
            "insert into vacuumed select g, g from generate_series(1, 60000) as g",
            "update vacuumed set v = v + 1 where id % 2 = 0",
            "vacuum (analyze) vacuumed",
            "update part set price = 0 where id <= 5000",
        ),
    ),
    Fault(
        name="a third of the rows changed since ANALYZE",
        check="stale_statistics",
        object="public.part",
        sql=(*ASLEEP, *TABLE),
        stage=sessions("update part set price = 0 where id % 3 = 0"),
    ),
    Fault(
        name="a table that doubled since ANALYZE",
        check="stale_statistics",
        object="public.part",
        sql=(*ASLEEP, *TABLE),
        stage=sessions("insert into part select g, 1, 'late' from generate_series(60001, 120000) as g"),
    ),
    *(
        Decoy(
            name=f"loaded, changed and vacuumed in one breath: {change}",
            sql=(*ASLEEP, *TABLE[:-1]),
            stage=sessions(f"{change};vacuum (analyze) part"),
        )
        for change in (
            "delete from part where id % 2 = 0",
            "update part set price = 0 where id % 3 > 0",
            "update part set price = price + 1",
        )
    ),
    Decoy(name="loaded and analyzed in one breath", sql=(*TABLE, "analyze part")),
    Fault(
        name="loaded and never analyzed",
        check="never_analyzed",
        object="public.fresh",
        sql=(
            *ASLEEP,
            "create table fresh (id int primary key, v int)",
            "insert into fresh select g, g from generate_series(1, 50000) g",
        ),
    ),
    Decoy(
        name="a handful of rows that nobody analyzed",
        sql=(
            "create table few (id int primary key, v int)",
            "insert into few select g, g from generate_series(1, 200) g",
        ),
    ),
    Fault(
        name="autovacuum off for a table that is written to",
        check="autovacuum_disabled",
        object="public.part",
        sql=(*TABLE, "alter table part set (autovacuum_enabled = off)"),
    ),
    Fault(
        name="autovacuum off for the server",
        check="autovacuum_disabled",
        object="server",
        severity=("critical",),
        sql=("alter system set autovacuum = off", "select pg_reload_conf()"),
    ),
    Decoy(
        name="autovacuum set explicitly, and tuned for one table",
        sql=(
            *TABLE,
            "alter table part set (autovacuum_enabled = on, autovacuum_vacuum_scale_factor = 0.05, fillfactor = 90)",
        ),
    ),
    Fault(
        name="a trigger that is never reached",
        check="autovacuum_settings",
        object="public.part",
        severity=("notice", "warning"),
        sql=(
            *TABLE,
            "alter table part set (autovacuum_vacuum_scale_factor = 5, autovacuum_vacuum_threshold = 1000000)",
        ),
    ),
    Fault(
        name="a table of which a tenth is left",
        check="table_bloat",
        object="public.part",
        sql=(*ASLEEP, *TABLE, "insert into part select g, 1, repeat('m', 90) from generate_series(60001, 160000) as g"),
        stage=sessions("delete from part where id % 10 > 0", "vacuum (analyze, truncate false) part"),
        blindfold="login",
    ),
    Decoy(
        name="a table with fillfactor and one that was updated once",
        sql=(
            "create table roomy (id int primary key, pad text) with (fillfactor = 60)",
            "insert into roomy select g, repeat('p', 100) from generate_series(1, 60000) as g",
            "create table once (id int primary key, pad text)",
            "insert into once select g, repeat('p', 100) from generate_series(1, 60000) as g",
        ),
        stage=sessions("update once set pad = repeat('q', 100)", "vacuum (analyze) once; vacuum (analyze) roomy"),
    ),
    Fault(
        name="long values that are gone",
        check="toast_bloat",
        object="public.doc",
        sql=(
            *ASLEEP,
            "create table doc (id int primary key, body text)",
            "alter table doc alter body set storage external",
            "insert into doc select g, repeat('b', 6000) from generate_series(1, 2000) as g",
        ),
        stage=sessions("delete from doc where id % 5 > 0", "vacuum (analyze, truncate false) doc"),
    ),
    Decoy(
        name="long values that are there",
        sql=(
            "create table doc (id int primary key, body text)",
            "alter table doc alter body set storage external",
            "insert into doc select g, repeat('b', 6000) from generate_series(1, 2000) as g",
        ),
        stage=sessions("vacuum (analyze) doc"),
    ),
    Fault(
        name="an old snapshot that keeps dead rows",
        check="xmin_horizon_held",
        object="?",
        severity=("warning", "critical"),
        sql=TABLE,
        stage=held_horizon,
        blindfold="login",
    ),
    Fault(
        name="autovacuum sent to sleep and throttled",
        check="autovacuum_starved",
        object="server",
        sql=(
            "alter system set autovacuum_naptime = '1d'",
            "alter system set autovacuum_vacuum_cost_delay = '100ms'",
            "alter system set autovacuum_vacuum_cost_limit = 1",
            "select pg_reload_conf()",
        ),
        blindfold="login",
    ),
    Fault(
        name="a table that nobody froze for 1.7 billion transactions",
        check="transaction_id_wraparound",
        object="public.part",
        severity=("critical",),
        sql=(*ASLEEP, *TABLE, AGED.format(age=1_700_000_000, where="oid = 'part'::regclass")),
    ),
    Fault(
        name="a database of which every table is old",
        check="transaction_id_wraparound",
        object="?",
        sql=(*ASLEEP, *TABLE, AGED.format(age=1_200_000_000, where="relfrozenxid <> '0'")),
        stage=whole_database,
    ),
    Fault(
        name="multixacts that nobody froze",
        check="multixact_wraparound",
        object="public.part",
        sql=(
            *ASLEEP,
            *TABLE,
            (
                "update pg_class set relminmxid = (((select next_multixact_id::text::int8 from pg_control_checkpoint())"
                " - 1200000000 + 4294967296) % 4294967296)::text::xid where oid = 'part'::regclass"
            ),
        ),
    ),
    Decoy(
        name="tables at the age at which autovacuum freezes them",
        sql=(*ASLEEP, *TABLE, AGED.format(age=205_000_000, where="oid = 'part'::regclass")),
    ),
]
