"""The session family on real servers: healthy, fault, fixed, blindfolded; and what must not be taken for a fault."""

from __future__ import annotations

import threading
from typing import Any

import psycopg
import pytest
from tests.fix.server import FreshDatabase
from tests.fix.story import ask, eventually, mend, objects, paste, running, the_finding, until, waits_for_a_lock

from pgrunbook.model import Kind, Severity

pytestmark = pytest.mark.pg("!= 15, != 16, != 17")  # test_every_check tells a story a check on those

NEWEST = pytest.mark.pg("== 18")  # what does not differ between majors need not be asked of all of them


def idle_transaction(db: FreshDatabase, statement: str = "select 1", **kwargs: Any) -> psycopg.Connection[Any]:
    conn = db.connect(autocommit=False, **kwargs)
    conn.execute(statement.encode())
    return conn


def is_alive(conn: psycopg.Connection[Any]) -> bool:
    try:
        conn.execute("select 1")
    except psycopg.OperationalError:
        return False
    return True


# --- idle_in_transaction ---------------------------------------------------------------------------------------------


def test_an_idle_transaction_is_found_and_ended(pg: FreshDatabase) -> None:
    assert ask(pg.dsn, "idle_in_transaction").ok == ("idle_in_transaction",)

    conn = idle_transaction(pg, "create table made (secret text default 'hush')")
    found = the_finding(ask(pg.dsn, "idle_in_transaction", idle_s=0.0))
    assert (found.severity, found.kind, found.object) == (Severity.WARNING, Kind.SESSION, str(conn.info.backend_pid))
    assert found.evidence["query"] == "create table made (secret text default ?)"
    assert found.evidence["has_written"] is True

    mend(pg, found)
    assert not is_alive(conn)
    assert ask(pg.dsn, "idle_in_transaction", idle_s=0.0).ok == ("idle_in_transaction",)


@NEWEST
def test_an_aborted_transaction_needs_less_time_to_be_found(pg: FreshDatabase) -> None:
    conn = pg.connect(autocommit=False)
    with pytest.raises(psycopg.errors.DivisionByZero):
        conn.execute("select 1/0")
    found = the_finding(ask(pg.dsn, "idle_in_transaction", idle_s=600.0, blocking_s=0.0))
    assert found.evidence["state"] == "idle in transaction (aborted)"


@NEWEST
def test_a_short_pause_a_pool_and_a_dump_are_no_idle_transactions(pg: FreshDatabase) -> None:
    idle_transaction(pg)  # younger than the limit
    pg.connect().execute("select 1")  # idle in a pool
    idle_transaction(pg, application_name="pg_dump")
    assert ask(pg.dsn, "idle_in_transaction", idle_s=60.0, blocking_s=60.0).ok == ("idle_in_transaction",)
    found = ask(pg.dsn, "idle_in_transaction", idle_s=0.0)
    assert len(found.findings) == 1


@NEWEST
def test_advice_against_a_session_spares_its_successor(pg: FreshDatabase) -> None:
    conn = idle_transaction(pg)
    found = the_finding(ask(pg.dsn, "idle_in_transaction", idle_s=0.0))
    conn.commit()
    conn.execute("select 1")  # the next transaction of the same session
    mend(pg, found)
    assert is_alive(conn)


def test_blind_without_the_right_to_see_other_sessions(pg: FreshDatabase) -> None:
    pg.role("plain")
    idle_transaction(pg)
    diagnosis = ask(pg.dsn_as("plain"), "idle_in_transaction", idle_s=0.0)
    assert (diagnosis.findings, diagnosis.ok) == ((), ())
    assert diagnosis.blind[0].cure == "GRANT pg_read_all_stats TO plain;"
    paste(pg, diagnosis.blind[0].cure)
    assert len(ask(pg.dsn_as("plain"), "idle_in_transaction", idle_s=0.0).findings) == 1


@NEWEST
def test_an_idle_transaction_of_ones_own_role_is_seen_without_rights(pg: FreshDatabase) -> None:
    pg.role("app")
    conn = pg.connect_as("app", autocommit=False)
    conn.execute("select 1")
    diagnosis = ask(pg.dsn_as("app"), "idle_in_transaction", idle_s=0.0)
    assert objects(diagnosis) == [str(conn.info.backend_pid)]
    assert len(diagnosis.blind) == 1


# --- blocked_sessions ------------------------------------------------------------------------------------------------


def test_the_root_of_a_row_lock_queue_is_found_and_ended(pg: FreshDatabase) -> None:
    pg.execute("create table t (id int primary key, v int)", "insert into t values (1, 0)")
    assert ask(pg.dsn, "blocked_sessions").ok == ("blocked_sessions",)

    root = idle_transaction(pg, "update t set v = 1 where id = 1")
    with running(pg, "update t set v = 2 where id = 1") as first:
        waits_for_a_lock(pg, first)
        with running(pg, "update t set v = 3 where id = 1") as second:
            waits_for_a_lock(pg, second)
            found = the_finding(ask(pg.dsn, "blocked_sessions", waiting_s=0.0))
            assert (found.severity, found.kind) == (Severity.WARNING, Kind.SESSION)
            assert found.object == str(root.info.backend_pid)
            assert set(found.related) == {str(first.info.backend_pid), str(second.info.backend_pid)}
            assert found.evidence["state"] == "idle in transaction"

            mend(pg, found)
            until(lambda: not ask(pg.dsn, "blocked_sessions", waiting_s=0.0).findings, "the queue is gone")
    assert ask(pg.dsn, "blocked_sessions", waiting_s=0.0).ok == ("blocked_sessions",)


def test_ddl_that_waits_behind_an_idle_transaction_is_named_with_all_who_queue_behind_it(pg: FreshDatabase) -> None:
    pg.execute("create table t (id int primary key, v int)", "create table other (i int)")
    root = idle_transaction(pg, "select * from t")
    with running(pg, "alter table t add column w int") as ddl:
        waits_for_a_lock(pg, ddl)
        with running(pg, "select * from t") as reader:
            waits_for_a_lock(pg, reader)
            found = the_finding(ask(pg.dsn, "blocked_sessions", waiting_s=0.0, critical_victims=2))
            assert (found.severity, found.object) == (Severity.CRITICAL, str(root.info.backend_pid))
            assert found.evidence["relation"] == "public.t"
            assert found.evidence["ddl_waiter"] == str(ddl.info.backend_pid)
            assert set(found.related) == {str(ddl.info.backend_pid), str(reader.info.backend_pid)}
            root.rollback()


def test_a_prepared_transaction_can_be_the_root(pg: FreshDatabase) -> None:
    pg.execute("create table t (id int primary key, v int)", "insert into t values (1, 0)")
    pg.execute("begin; update t set v = 1; prepare transaction 'left behind'")
    with running(pg, "update t set v = 2") as waiter:
        waits_for_a_lock(pg, waiter)
        found = the_finding(ask(pg.dsn, "blocked_sessions", waiting_s=0.0))
        assert (found.kind, found.object) == (Kind.TRANSACTION, "left behind")
        mend(pg, found)
        until(lambda: not ask(pg.dsn, "blocked_sessions", waiting_s=0.0).findings, "the queue is gone")


@NEWEST
def test_a_short_wait_is_daily_life(pg: FreshDatabase) -> None:
    pg.execute("create table t (id int primary key, v int)", "insert into t values (1, 0)")
    root = idle_transaction(pg, "update t set v = 1")
    with running(pg, "update t set v = 2") as waiter:
        waits_for_a_lock(pg, waiter)
        assert ask(pg.dsn, "blocked_sessions", waiting_s=60.0).ok == ("blocked_sessions",)
        root.rollback()


def test_a_plain_role_sees_the_queue_and_is_told_what_it_does_not_see(pg: FreshDatabase) -> None:
    pg.role("plain")
    pg.execute("create table t (id int primary key, v int)", "insert into t values (1, 0)")
    root = idle_transaction(pg, "update t set v = 1")
    with running(pg, "update t set v = 2") as waiter:
        waits_for_a_lock(pg, waiter)
        diagnosis = ask(pg.dsn_as("plain"), "blocked_sessions", waiting_s=0.0)
        assert objects(diagnosis) == [str(root.info.backend_pid)]
        assert diagnosis.blind[0].cure == "GRANT pg_read_all_stats TO plain;"
        root.rollback()


# --- long_running_query ----------------------------------------------------------------------------------------------


def test_a_long_query_is_found_and_cancelled(pg: FreshDatabase) -> None:
    assert ask(pg.dsn, "long_running_query", running_s=0.0).ok == ("long_running_query",)
    with running(pg, "select count(*), 'secret' from generate_series(1, 1000000000)") as conn:
        found = the_finding(ask(pg.dsn, "long_running_query", running_s=0.0))
        assert (found.severity, found.kind, found.object) == (
            Severity.WARNING,
            Kind.SESSION,
            str(conn.info.backend_pid),
        )
        assert "secret" not in str(found.evidence["query"])
        assert ask(pg.dsn, "long_running_query").ok == ("long_running_query",)  # not long enough
        mend(pg, found)
        until(lambda: not ask(pg.dsn, "long_running_query", running_s=0.0).findings, "the query is gone")


@NEWEST
def test_dumps_maintenance_and_victims_are_no_long_queries(pg: FreshDatabase) -> None:
    pg.execute("create table t (id int primary key, v int)", "insert into t values (1, 0)")
    root = idle_transaction(pg, "lock table t")
    sleeper = "select pg_sleep(60)"
    with (
        running(pg, sleeper, application_name="pg_dump"),
        running(pg, "/* nightly */ vacuum t") as vacuum,
        running(pg, "select * from t") as victim,
    ):
        waits_for_a_lock(pg, vacuum)
        waits_for_a_lock(pg, victim)
        assert ask(pg.dsn, "long_running_query", running_s=0.0).ok == ("long_running_query",)
        root.rollback()


def test_long_queries_of_others_are_hidden_from_a_plain_role(pg: FreshDatabase) -> None:
    pg.role("plain")
    with running(pg, "select pg_sleep(60)"):
        diagnosis = ask(pg.dsn_as("plain"), "long_running_query", running_s=0.0)
    assert (diagnosis.findings, diagnosis.blind[0].cure) == ((), "GRANT pg_read_all_stats TO plain;")


# --- forgotten_prepared_transaction ----------------------------------------------------------------------------------


def test_a_forgotten_prepared_transaction_is_found_and_rolled_back(pg: FreshDatabase) -> None:
    check = "forgotten_prepared_transaction"
    pg.role("plain")
    pg.execute("create table t (i int)")
    assert ask(pg.dsn, check).ok == (check,)
    pg.execute("begin; insert into t values (1); prepare transaction 'it''s left'")
    found = the_finding(ask(pg.dsn, check, age_s=0.0))
    assert (found.severity, found.kind, found.object) == (Severity.WARNING, Kind.TRANSACTION, "it's left")
    assert objects(ask(pg.dsn_as("plain"), check, age_s=0.0)) == ["it's left"]
    assert ask(pg.dsn, check, age_s=60.0).ok == (check,)
    mend(pg, found)
    assert ask(pg.dsn, check, age_s=0.0).ok == (check,)


# --- advisory_lock_leak ----------------------------------------------------------------------------------------------


def test_an_advisory_lock_of_an_idle_session_is_found_and_released(pg: FreshDatabase) -> None:
    check = "advisory_lock_leak"
    assert ask(pg.dsn, check, idle_s=0.0).ok == (check,)
    conn = pg.connect()
    conn.execute("select pg_advisory_lock(42), pg_advisory_lock(-1, 7)")
    found = the_finding(ask(pg.dsn, check, idle_s=0.0))
    assert (found.severity, found.kind, found.object) == (Severity.WARNING, Kind.SESSION, str(conn.info.backend_pid))
    assert (found.evidence["locks"], set(found.evidence["keys"])) == (2, {"42", "-1, 7"})
    assert ask(pg.dsn, check).ok == (check,)  # not idle for long enough
    mend(pg, found)
    until(lambda: not ask(pg.dsn, check, idle_s=0.0).findings, "the session is gone")


@NEWEST
def test_an_advisory_lock_for_which_others_wait_needs_less_time(pg: FreshDatabase) -> None:
    conn = pg.connect()
    conn.execute("select pg_advisory_lock(42)")
    with running(pg, "select pg_advisory_lock(42)") as waiter:
        waits_for_a_lock(pg, waiter)
        found = the_finding(ask(pg.dsn, "advisory_lock_leak", idle_s=600.0, blocking_s=0.0))
        assert found.related == (str(waiter.info.backend_pid),)
        conn.close()


@NEWEST
def test_advisory_locks_at_work_are_no_leak(pg: FreshDatabase) -> None:
    idle_transaction(pg, "select pg_advisory_xact_lock(1)")
    conn = pg.connect()
    conn.execute("select pg_advisory_lock(2)")
    conn.execute("select pg_advisory_unlock(2)")
    with running(pg, "select pg_advisory_lock(3), pg_sleep(60)"):
        assert ask(pg.dsn, "advisory_lock_leak", idle_s=0.0, blocking_s=0.0).ok == ("advisory_lock_leak",)


def test_advisory_locks_of_others_are_hidden_from_a_plain_role(pg: FreshDatabase) -> None:
    pg.role("plain")
    conn = pg.connect()
    conn.execute("select pg_advisory_lock(42)")
    diagnosis = ask(pg.dsn_as("plain"), "advisory_lock_leak", idle_s=0.0)
    assert (diagnosis.findings, diagnosis.blind[0].cure) == ((), "GRANT pg_read_all_stats TO plain;")


# --- connection_saturation -------------------------------------------------------------------------------------------


def test_nearly_all_connections_taken_is_found(pg: FreshDatabase) -> None:
    pg.role("plain")
    assert ask(pg.dsn, "connection_saturation").ok == ("connection_saturation",)
    limit = 60 - 3  # of the test server, without those for superusers
    held = [pg.connect(application_name="greedy") for _ in range(round(limit * 0.85))]
    found = the_finding(ask(pg.dsn, "connection_saturation"))
    assert (found.severity, found.kind, found.object) == (Severity.WARNING, Kind.SERVER, "server")
    assert found.evidence["limit"] == limit
    assert found.evidence["top_applications"] == (f"greedy ({len(held)})",)

    held += [pg.connect(application_name="greedy") for _ in range(round(limit * 0.13))]
    assert the_finding(ask(pg.dsn, "connection_saturation")).severity is Severity.CRITICAL
    blindfolded = ask(pg.dsn_as("plain"), "connection_saturation")
    assert (objects(blindfolded), len(blindfolded.blind)) == (["server"], 1)

    for conn in held:
        conn.close()
    until(lambda: not ask(pg.dsn, "connection_saturation").findings, "the connections are gone")


@NEWEST
def test_a_roles_own_limit_counts_too(pg: FreshDatabase) -> None:
    pg.role("app", options="login connection limit 6")
    held = [pg.connect_as("app") for _ in range(5)]
    found = the_finding(ask(pg.dsn, "connection_saturation"))
    assert (found.kind, found.object, found.evidence["used"]) == (Kind.ROLE, "app", len(held))


# --- connection_churn, deadlocks -------------------------------------------------------------------------------------


def test_many_short_sessions_are_found(pg: FreshDatabase) -> None:
    check = "connection_churn"
    assert not ask(pg.dsn, check).findings
    for _ in range(40):
        pg.execute("select 1")
    limits = {"sessions": 30, "counters_age_s": 0.0, "sessions_per_s": 0.01}
    found = eventually(pg.dsn, check, **limits)
    assert (found.severity, found.kind, found.object) == (Severity.WARNING, Kind.DATABASE, pg.name)
    assert not ask(pg.dsn, check).findings  # a handful at start-up is none


@NEWEST
def test_many_transactions_in_few_sessions_are_no_churn(pg: FreshDatabase) -> None:
    for _ in range(4):
        pg.execute(*["select 1"] * 300)
    limits = {"sessions": 1, "counters_age_s": 0.0, "sessions_per_s": 0.0}
    assert ask(pg.dsn, "connection_churn", **limits).ok == ("connection_churn",)


def test_a_deadlock_is_found(pg: FreshDatabase) -> None:
    pg.execute("create table t (id int primary key, v int)", "insert into t values (1, 0), (2, 0)")
    assert ask(pg.dsn, "deadlocks").ok == ("deadlocks",)
    first = idle_transaction(pg, "set local deadlock_timeout = '10ms'; update t set v = 1 where id = 1")
    second = pg.connect(autocommit=False)
    second.execute("set local deadlock_timeout = '1min'")
    second.execute("update t set v = 1 where id = 2")
    thread = threading.Thread(target=lambda: second.execute("update t set v = 2 where id = 1"))
    thread.start()
    waits_for_a_lock(pg, second)
    with pytest.raises(psycopg.errors.DeadlockDetected):
        first.execute("update t set v = 2 where id = 2")
    thread.join()
    first.close()
    found = eventually(pg.dsn, "deadlocks")
    assert (found.severity, found.kind, found.object) == (Severity.WARNING, Kind.DATABASE, pg.name)
    assert found.evidence["deadlocks"] == 1
    assert ask(pg.dsn, "deadlocks", per_day=2.0).ok == ("deadlocks",)
    pg.execute("select pg_stat_reset()")
    until(lambda: not ask(pg.dsn, "deadlocks").findings, "the counter is reset")
