"""What sessions do to each other, and what only looks so."""

from __future__ import annotations

import contextlib
import threading
from collections.abc import Iterator

import psycopg
from tests.exam.case import Decoy, Fault
from tests.exam.cases.upkeep import until_held
from tests.fix.server import FreshDatabase
from tests.fix.story import running, until, waits_for_a_lock

ACCOUNT = (
    "create table account (id int primary key, amount int)",
    "insert into account select g, 100 from generate_series(1, 200) as g",
    "analyze account",
)


def idle_for(db: FreshDatabase, pid: int, seconds: float) -> None:
    """Wait until a session has been in its state for so long."""

    def is_so() -> bool:
        with psycopg.connect(db.dsn, autocommit=True) as conn:
            row = conn.execute(
                "select clock_timestamp() - state_change > make_interval(secs => %s) from pg_stat_activity"
                " where pid = %s",
                (seconds, pid),
            ).fetchone()
        return row == (True,)

    until(is_so, f"session {pid} has idled for {seconds} s")


@contextlib.contextmanager
def idle_in_transaction(db: FreshDatabase) -> Iterator[str]:
    conn = db.connect(autocommit=False, application_name="forgetful")
    conn.execute("update account set amount = 0 where id = 1")
    idle_for(db, conn.info.backend_pid, 5.2)
    yield str(conn.info.backend_pid)


@contextlib.contextmanager
def aborted(db: FreshDatabase) -> Iterator[str]:
    conn = db.connect(autocommit=False)
    with contextlib.suppress(psycopg.errors.DivisionByZero):
        conn.execute("select 1 / 0")
    idle_for(db, conn.info.backend_pid, 1.2)
    yield str(conn.info.backend_pid)


def _let_go(conn: psycopg.Connection[object]) -> None:
    """Release what it holds, unless somebody ended it."""
    with contextlib.suppress(psycopg.OperationalError):
        conn.rollback()


@contextlib.contextmanager
def row_lock_queue(db: FreshDatabase) -> Iterator[str]:
    root = db.connect(autocommit=False)
    root.execute("update account set amount = 1 where id = 1")
    with running(db, "update account set amount = 2 where id = 1") as waiter:
        waits_for_a_lock(db, waiter)
        idle_for(db, waiter.info.backend_pid, 1.2)
        yield str(root.info.backend_pid)
        _let_go(root)


@contextlib.contextmanager
def ddl_queue(db: FreshDatabase) -> Iterator[str]:
    root = db.connect(autocommit=False)
    root.execute("select * from account")
    with running(db, "alter table account add column note text") as ddl:
        waits_for_a_lock(db, ddl)
        with running(db, "select * from account") as reader:
            waits_for_a_lock(db, reader)
            idle_for(db, reader.info.backend_pid, 1.2)
            yield str(root.info.backend_pid)
            _let_go(root)


@contextlib.contextmanager
def long_query(db: FreshDatabase) -> Iterator[str]:
    with running(db, "select pg_sleep(300)") as conn:
        until_held(db, conn.info.backend_pid, 29.0)
        idle_for(db, conn.info.backend_pid, 30.2)
        yield str(conn.info.backend_pid)


@contextlib.contextmanager
def prepared(db: FreshDatabase) -> Iterator[None]:
    db.execute("begin; update account set amount = 3; prepare transaction 'order-4711'")

    def is_old() -> bool:
        with psycopg.connect(db.dsn, autocommit=True) as conn:
            return conn.execute(
                "select clock_timestamp() - prepared > interval '1.1 s' from pg_prepared_xacts"
            ).fetchone() == (True,)

    until(is_old, "it is a second old")
    yield


@contextlib.contextmanager
def advisory_lock(db: FreshDatabase) -> Iterator[str]:
    conn = db.connect()
    conn.execute("select pg_advisory_lock(7)")
    idle_for(db, conn.info.backend_pid, 10.2)
    yield str(conn.info.backend_pid)


@contextlib.contextmanager
def many_connections(db: FreshDatabase) -> Iterator[None]:
    for _ in range(51):
        db.connect()
    yield


@contextlib.contextmanager
def deadlock(db: FreshDatabase) -> Iterator[str]:
    first, second = db.connect(autocommit=False), db.connect(autocommit=False)
    first.execute("set local deadlock_timeout = '10ms'")
    first.execute("update account set amount = 1 where id = 1")
    second.execute("update account set amount = 1 where id = 2")
    thread = threading.Thread(target=second.execute, args=("update account set amount = 2 where id = 1",))
    thread.start()
    waits_for_a_lock(db, second)
    with contextlib.suppress(psycopg.errors.DeadlockDetected):
        first.execute("update account set amount = 2 where id = 2")
    thread.join()
    first.close()
    second.close()

    def is_counted() -> bool:
        with psycopg.connect(db.dsn, autocommit=True) as conn:
            row = conn.execute("select deadlocks from pg_stat_database where datname = current_database()").fetchone()
        return row is not None and row[0] > 0

    until(is_counted, "the deadlock is counted")
    yield db.name


@contextlib.contextmanager
def churn(db: FreshDatabase) -> Iterator[str]:
    for _ in range(1000):
        with psycopg.connect(db.dsn, autocommit=True) as conn:
            conn.execute("select amount from account where id = 1")
    yield db.name


@contextlib.contextmanager
def healthy_pool(db: FreshDatabase) -> Iterator[None]:
    """Twenty pooled connections, some of them in the middle of a short transaction."""
    for number in range(20):
        conn = db.connect(autocommit=number % 4 > 0, application_name="pool")
        conn.execute("select amount from account where id = 1")
    yield


@contextlib.contextmanager
def at_work(db: FreshDatabase) -> Iterator[None]:
    """A dump's snapshot, a running report, an advisory lock inside a transaction, a short lock wait."""
    dump = db.connect(autocommit=False, application_name="pg_dump")
    dump.execute("set transaction isolation level repeatable read")
    dump.execute("select count(*) from account")
    worker = db.connect(autocommit=False)
    worker.execute("select pg_advisory_xact_lock(1)")
    with running(db, "select pg_sleep(300)"):
        yield


CASES: list[Fault | Decoy] = [
    Fault(
        name="idle in a transaction that wrote",
        check="idle_in_transaction",
        object="?",
        sql=ACCOUNT,
        stage=idle_in_transaction,
        blindfold="login",
    ),
    Fault(name="idle in an aborted transaction", check="idle_in_transaction", object="?", sql=ACCOUNT, stage=aborted),
    Fault(
        name="a queue for one row",
        check="blocked_sessions",
        object="?",
        severity=("warning", "critical"),
        sql=ACCOUNT,
        stage=row_lock_queue,
        blindfold="login",
    ),
    Fault(
        name="DDL behind an idle reader, and readers behind the DDL",
        check="blocked_sessions",
        object="?",
        severity=("warning", "critical"),
        sql=ACCOUNT,
        stage=ddl_queue,
    ),
    Fault(
        name="a query that runs for half a minute",
        check="long_running_query",
        object="?",
        sql=ACCOUNT,
        stage=long_query,
        blindfold="login",
    ),
    Fault(
        name="prepared and left",
        check="forgotten_prepared_transaction",
        object="order-4711",
        sql=ACCOUNT,
        stage=prepared,
    ),
    Fault(
        name="an advisory lock in an idle session",
        check="advisory_lock_leak",
        object="?",
        sql=ACCOUNT,
        stage=advisory_lock,
        blindfold="login",
    ),
    Fault(
        name="nine of ten connections taken",
        check="connection_saturation",
        object="server",
        severity=("warning", "critical"),
        stage=many_connections,
        blindfold="login",
    ),
    Fault(name="a deadlock", check="deadlocks", object="?", sql=ACCOUNT, stage=deadlock),
    Fault(
        name="a thousand connections for a query each",
        check="connection_churn",
        object="?",
        sql=(*ACCOUNT, "select pg_stat_reset()"),  # counted since then, not since the server started
        stage=churn,
    ),
    Decoy(name="a pool at rest and at work", sql=ACCOUNT, stage=healthy_pool),
    Decoy(name="a dump, a report, a worker", sql=ACCOUNT, stage=at_work),
]
