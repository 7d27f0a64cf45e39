"""The session family on real servers: healthy, fault, fixed, blindfolded; and what must not be taken for a fault."""

from __future__ import annotations

from typing import Any

import psycopg
import pytest
from tests.fix.server import FreshDatabase
from tests.fix.story import ask, mend, objects, paste, the_finding

from pgrunbook.model import Kind, Severity


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


def test_an_aborted_transaction_needs_less_time_to_be_found(pg: FreshDatabase) -> None:
    conn = pg.connect(autocommit=False)
    with pytest.raises(psycopg.errors.DivisionByZero):
        conn.execute("select 1/0")
    found = the_finding(ask(pg.dsn, "idle_in_transaction", idle_s=600.0, blocking_s=0.0))
    assert found.evidence["state"] == "idle in transaction (aborted)"


def test_a_short_pause_a_pool_and_a_dump_are_no_idle_transactions(pg: FreshDatabase) -> None:
    idle_transaction(pg)  # younger than the limit
    pg.connect().execute("select 1")  # idle in a pool
    idle_transaction(pg, application_name="pg_dump")
    assert ask(pg.dsn, "idle_in_transaction", idle_s=60.0, blocking_s=60.0).ok == ("idle_in_transaction",)
    found = ask(pg.dsn, "idle_in_transaction", idle_s=0.0)
    assert len(found.findings) == 1


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


def test_an_idle_transaction_of_ones_own_role_is_seen_without_rights(pg: FreshDatabase) -> None:
    pg.role("app")
    conn = pg.connect_as("app", autocommit=False)
    conn.execute("select 1")
    diagnosis = ask(pg.dsn_as("app"), "idle_in_transaction", idle_s=0.0)
    assert objects(diagnosis) == [str(conn.info.backend_pid)]
    assert len(diagnosis.blind) == 1
