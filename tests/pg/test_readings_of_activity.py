"""What one transaction repeats, and what the processors do: read on every major."""

from __future__ import annotations

import threading
from typing import Any

import psycopg
from tests.fix.readings import check_types
from tests.fix.server import FreshDatabase
from tests.fix.story import until

from pgrunbook.journey.observe import observe
from pgrunbook.journey.observe.host import Host, HostWatch, serves_here
from pgrunbook.journey.observe.processors import PROCESSORS, Processors
from pgrunbook.journey.observe.repeats import REPEATS, Repeat
from pgrunbook.model import Unread


def repeats(dsn: str) -> tuple[Repeat, ...]:
    return observe(dsn, [REPEATS]).rows(REPEATS)


def test_a_statement_that_one_transaction_repeats_is_seen(pg: FreshDatabase) -> None:
    pg.execute("create extension pg_stat_statements", "create table t (id int primary key)")
    assert repeats(pg.dsn) == ()
    stop = threading.Event()

    def work() -> None:
        with psycopg.connect(pg.dsn, application_name="looper") as conn:
            while not stop.is_set():
                for number in range(200):
                    conn.execute("select * from t where id = %s::int", (number,))
                conn.commit()

    found: list[Repeat] = []

    def is_seen() -> bool:
        found[:] = [row for row in repeats(pg.dsn) if row.starts >= 3]
        return bool(found)

    thread = threading.Thread(target=work)
    thread.start()
    try:
        until(is_seen, "the repeats are seen")
    finally:
        stop.set()
        thread.join()
    check_types(REPEATS, tuple(found))
    assert {(row.application, row.role) for row in found} == {("looper", "postgres")}
    ids = pg.connect().execute("select queryid from pg_stat_statements where query like 'select * from t%%'").fetchall()
    assert {row.queryid for row in found} <= {queryid for (queryid,) in ids}


def test_one_long_statement_is_no_repeat(pg: FreshDatabase) -> None:
    pg.execute("create extension pg_stat_statements")
    sleeper = pg.connect(autocommit=False)
    sleeper.pgconn.send_query(b"select pg_sleep(30)")
    assert repeats(pg.dsn) == ()
    sleeper.cancel_safe()


def test_what_one_transaction_repeats_is_hidden_from_a_plain_role(pg: FreshDatabase) -> None:
    unread = observe(pg.dsn_as(pg.role("plain")), [REPEATS]).readings["repeats"]
    assert isinstance(unread, Unread)
    assert unread.cure == 'GRANT "pg_read_all_stats" TO "plain";'


def test_the_servers_processors_are_counted(pg: FreshDatabase) -> None:
    def now() -> Processors:
        reading: Any = observe(pg.dsn, [PROCESSORS]).reading(PROCESSORS)
        check_types(PROCESSORS, reading.rows)
        return reading.rows[0]  # type: ignore[no-any-return]  # one row, of this type

    before, after = now(), now()
    assert before.cores >= 1
    assert after.busy_ticks + after.idle_ticks >= before.busy_ticks + before.idle_ticks > 0
    plain = observe(pg.dsn_as(pg.role("plain")), [PROCESSORS]).readings["processors"]
    assert isinstance(plain, Unread)
    assert "pg_read_server_files" in plain.cure


def test_a_server_on_this_machine_is_known_by_its_process(server18: FreshDatabase) -> None:
    conn = server18.connect()
    assert serves_here(conn.info.backend_pid)
    assert not serves_here(threading.get_native_id())
    watch = HostWatch.beside(conn)
    assert watch is not None
    seen = watch.look()
    assert isinstance(seen, Host)
    assert 0 <= seen.cpu_ratio <= 1
    assert 0 <= seen.disk_wait_ratio <= 1
    assert 0 < seen.memory_ratio < 1
