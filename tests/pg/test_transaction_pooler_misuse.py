"""What does not go through a transaction pooler, seen where it was counted."""

from __future__ import annotations

import psycopg
from tests.fix.server import FreshDatabase
from tests.fix.story import ask

from pgrunbook.lab import Pgbouncer

CHECK = "transaction_pooler_misuse"
MISUSE = (
    "select pg_advisory_lock(7)",
    "select pg_advisory_unlock(7)",
    "listen news",
    "unlisten news",
    "prepare p (int) as select $1 + 1",
    "execute p (1)",
    "deallocate p",
)
HEALTHY = (
    "begin",
    "set local work_mem = '5MB'",
    "select pg_advisory_xact_lock(8)",
    "create temp table t (a int) on commit drop",
    "commit",
    "set application_name = 'shop'",
    "set timezone = 'UTC'",
    "/* set work_mem */ select 1",
)


def send(dsn: str, *statements: str) -> None:
    with psycopg.connect(dsn, autocommit=True, prepare_threshold=None) as conn:
        for statement in statements:
            conn.execute(statement.encode())


def test_session_state_through_a_pooler_is_found(server18: FreshDatabase, pgbouncer: Pgbouncer) -> None:
    server18.execute("create extension pg_stat_statements", "select pg_stat_statements_reset()")
    dsn = pgbouncer.dsn(server18.name)
    send(dsn, *(HEALTHY * 12))
    assert ask(dsn, CHECK).ok == (CHECK,)
    send(dsn, *MISUSE, *(("set work_mem = '6MB'", "reset work_mem") * 12))
    answer = ask(dsn, CHECK)
    found = sorted(str(finding.evidence["statement"]).split("(")[0].strip().lower() for finding in answer.findings)
    assert [text.split(" = ")[0] for text in found] == [
        "listen news",
        "prepare p",
        "select pg_advisory_lock",
        "set work_mem",
    ]
    assert all("another session" in finding.detail for finding in answer.findings)


def test_without_a_pooler_the_same_statements_are_no_misuse(server18: FreshDatabase) -> None:
    server18.execute("create extension pg_stat_statements")
    send(server18.dsn, *MISUSE)
    assert ask(server18.dsn, CHECK).ok == (CHECK,)


def test_sessions_with_the_name_of_a_pooler_tell_of_one(server18: FreshDatabase) -> None:
    server18.execute("create extension pg_stat_statements", "select pg_stat_statements_reset()")
    send(server18.dsn, "select pg_try_advisory_lock(9)")
    server18.connect(application_name="Supavisor")
    (found,) = ask(server18.dsn, CHECK).findings
    assert "Supavisor" in str(found.evidence["pooler"])


def test_blind_where_statements_are_not_counted(server18: FreshDatabase, pgbouncer: Pgbouncer) -> None:
    (blind,) = ask(pgbouncer.dsn(server18.name), CHECK).blind
    assert "pg_stat_statements" in blind.cure
