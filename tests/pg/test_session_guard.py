"""Races against the guard: whatever a session does between the look and the signal, nobody else is hit.

A few seconds here; `make exam-races` runs ten thousand and measures the window that remains.
"""

from __future__ import annotations

import os
import random
import threading
import time
from collections.abc import Callable, Iterator
from datetime import datetime, timedelta
from pathlib import Path
from typing import Any

import psycopg
import pytest
from tests.fix.server import FreshDatabase, Servers, installed, unavailable

from pgrunbook.errors import Refused
from pgrunbook.journey.steps.cancel_query import CANCEL, CancelQuery
from pgrunbook.journey.steps.end_session import END
from pgrunbook.journey.steps.session_guard import IDENTITY, NEVER, WORDS, guarded, patterns, protections
from pgrunbook.pg.connect import Session, connect

RACES = int(os.environ.get("PGRUNBOOK_RACES", "300"))
LONG = RACES >= 1000
MICROSECOND = timedelta(microseconds=1)
LAST_PID = Path("/proc/sys/kernel/ns_last_pid")  # who may write it decides which pid is given next
# By what a session must be known.  Named here and not taken from the guard: one that it forgets must lose a race.
MARKS = ("pid", "backend_start", "xact_start", "query_start", "state_change", "state")
_LOOK = f"select {', '.join(MARKS)} from pg_stat_activity where pid = %s"


def look(conn: Session, pid: int) -> dict[str, Any]:
    """The parameters of the guard for what this session is now."""
    row = conn.execute(_LOOK, (pid,)).fetchone()
    assert row is not None
    return {**dict(zip(MARKS, row, strict=True)), "spared_roles": [], "spared_applications": []}


def next_pid_is(pid: int) -> bool:
    """Whether the system lets us say so; what the file's mode says of it is no answer, only a write is."""
    try:
        LAST_PID.write_text(str(pid - 1), encoding="ascii")
    except OSError:
        return False
    return True


class Victim:
    """A client that moves on in every way a client can, and a stranger beside it who must never be hit."""

    def __init__(self, database: FreshDatabase) -> None:
        self._database = database
        self.conn = self._new()
        self.stranger = self._new()
        self.reused = 0
        self.chance = random.Random(7)  # noqa: S311 - a game

    @property
    def pid(self) -> int:
        return self.conn.info.backend_pid

    def begin(self) -> None:
        if self.conn.info.transaction_status == psycopg.pq.TransactionStatus.IDLE:
            self.conn.execute("select 1")

    def move(self) -> None:
        moves: tuple[Callable[[], object], ...] = (
            lambda: (self.conn.commit(), self.conn.execute("select 1")),
            lambda: (self.conn.rollback(), self.conn.execute("select 1")),
            lambda: self.conn.execute("select 1"),  # the same text again
            lambda: self.conn.execute("select 2"),
            self.conn.commit,
        )
        self.chance.choice(moves)()

    def come_back_with_the_same_pid(self) -> None:
        """Leave, and have the system give the next backend the very same pid; where that is not allowed: another."""
        pid = self.pid
        self.conn.close()
        for _ in range(20):
            allowed = next_pid_is(pid)
            self.conn = self._new()
            if self.pid == pid:
                self.reused += 1
                return
            if not allowed:
                return
            self.conn.close()
        self.conn = self._new()

    def _new(self) -> psycopg.Connection[Any]:
        conn = self._database.connect_as("app", autocommit=False)
        conn.execute("select 1")
        return conn


def other(seen: dict[str, Any], mark: str, stranger: dict[str, Any]) -> dict[str, Any]:
    """What was seen with one mark of somebody or something else."""
    if mark == "pid":
        return {**seen, "pid": stranger["pid"]}
    if mark == "state":
        return {**seen, "state": "active"}
    return {**seen, mark: seen[mark] + MICROSECOND if isinstance(seen[mark], datetime) else seen["backend_start"]}


def race(conn: Session, victim: Victim, statement: str, races: int) -> int:
    """How many were hit who were not meant.  A cancel does nothing to an idle transaction, so all live on."""
    wrong = 0
    for number in range(races):
        victim.begin()
        seen = look(conn, victim.pid)
        if number % 2:
            mark = MARKS[number // 2 % len(MARKS)]
            aimed_at = other(seen, mark, look(conn, victim.stranger.info.backend_pid))
        elif number % 100 == 0:
            victim.come_back_with_the_same_pid()
            aimed_at = {**seen, "pid": victim.pid}
        else:
            victim.move()
            aimed_at = seen
        wrong += conn.execute(statement.encode(), aimed_at).fetchone() is not None
    return wrong


@pytest.fixture(params=[14, 18])
def database(request: pytest.FixtureRequest, servers: Servers) -> Iterator[FreshDatabase]:
    """The oldest and the newest major: how a picture of the sessions is kept and thrown away has changed between."""
    if request.param not in installed():
        unavailable(f"PostgreSQL {request.param} is not installed")
    with servers.fresh_database(request.param) as fresh:
        yield fresh


@pytest.fixture
def victim(database: FreshDatabase) -> Iterator[Victim]:
    database.role("app")
    made = Victim(database)
    yield made
    made.conn.close()


@pytest.mark.timeout(3600)
def test_in_races_nobody_is_hit_who_was_not_meant(database: FreshDatabase, victim: Victim) -> None:
    with connect(database.dsn, station="test") as conn:
        wrong = race(conn, victim, CANCEL, RACES)
        print(
            f"PostgreSQL {database.major}: {RACES} races, {victim.reused} with a pid that was used again:"
            f" {wrong} wrong victims"
        )
        assert wrong == 0
        victim.begin()
        assert conn.execute(CANCEL.encode(), look(conn, victim.pid)).fetchone() == (victim.pid, True)


@pytest.mark.parametrize("mark", MARKS)
def test_without_any_one_of_its_marks_the_races_are_lost(database: FreshDatabase, victim: Victim, mark: str) -> None:
    weakened = guarded("pg_catalog.pg_cancel_backend(v.pid)", "test", [name for name in IDENTITY if name != mark])
    assert weakened != CANCEL
    with connect(database.dsn, station="test") as conn:
        assert race(conn, victim, weakened, 2 * len(MARKS)) > 0


def test_cancel_and_end_are_guarded_alike() -> None:
    without_signal = [
        [line for line in text.splitlines()[1:] if not line.startswith("select v.pid")] for text in (CANCEL, END)
    ]
    assert without_signal[0] == without_signal[1]
    assert set(NEVER) == set(WORDS)


@pytest.mark.skipif(not LONG, reason="measured by make exam-races")
@pytest.mark.timeout(3600)
def test_the_window_that_remains_is_measured(database: FreshDatabase) -> None:
    """A victim that changes its statement every millisecond, and a guard that aims at what it just saw."""
    database.role("app")
    runner = database.connect_as("app")
    over = threading.Event()
    cancelled: list[int] = []

    def run() -> None:
        number = 0
        while not over.is_set():
            number += 1
            try:
                runner.execute(f"select {number}, pg_sleep(0.001)".encode())
            except psycopg.errors.QueryCanceled:
                cancelled.append(number)

    thread = threading.Thread(target=run)
    thread.start()
    sent, late = 0, 0
    with connect(database.dsn, station="test") as conn:
        deadline = time.monotonic() + 60.0
        while time.monotonic() < deadline:
            row = conn.execute(
                f"select {', '.join(MARKS)}, query from pg_stat_activity where pid = %s and state = 'active'",
                (runner.info.backend_pid,),
            ).fetchone()
            if row is None:
                continue
            aimed_at = dict(zip(MARKS, row[:-1], strict=True))
            before = len(cancelled)
            if conn.execute(CANCEL, {**aimed_at, "spared_roles": [], "spared_applications": []}).fetchone():
                sent += 1
                time.sleep(0.01)
                late += any(number != int(row[-1].split()[1].rstrip(",")) for number in cancelled[before:])
    over.set()
    thread.join()
    print(
        f"PostgreSQL {database.major}: {sent} signals to a session that changes its statement every millisecond:"
        f" {late} came one statement late"
    )
    assert sent > 0


def test_a_cancel_that_is_not_obeyed_in_time_is_told_apart(server18: FreshDatabase) -> None:
    """Between the signal and the end of the statement the client does not read what it asked for."""
    server18.role("app")
    client = server18.connect_as("app")
    client.pgconn.send_query(b"select repeat('x', 1000) from generate_series(1, 1000000)")
    with connect(server18.dsn, station="test") as conn:
        pid = client.info.backend_pid
        while conn.execute("select wait_event from pg_stat_activity where pid = %s", (pid,)).fetchone() != (
            "ClientWrite",
        ):
            time.sleep(0.01)
        seen = {name: str(value) if name not in {"pid", "state"} else value for name, value in look(conn, pid).items()}
        step = CancelQuery(**{**seen, "spared_roles": (), "spared_applications": ()}, wait_s=0.3)
        with pytest.raises(Refused, match="told to stop but still ran"):
            step.do(conn)


def test_everybody_is_told_why(pg: FreshDatabase) -> None:
    """Each reason on every major, by the same expressions as in the guard."""
    pg.role("app")
    pg.role("mighty", options="login superuser")
    pg.role("copier", options="login replication")
    pg.role("billing")
    pg.role("watcher")
    pg.execute("create table t (a int)", "grant all on t to app")
    held = {
        None: pg.connect_as("app"),
        "superuser": pg.connect_as("mighty"),
        "replication": pg.connect_as("copier"),
        "spared_role": pg.connect_as("billing"),
        "spared_application": pg._connect(pg.dsn_as("app", application_name="etl 100%_a")),
        "tool": pg._connect(pg.dsn_as("app", application_name="pgBackRest [archive]")),
        "pgrunbook": pg._connect(pg.dsn_as("app", application_name="pgrunbook/act")),
        "two_phase": pg.connect_as("app"),
        "copy": pg.connect_as("app"),
    }
    held["two_phase"].execute("begin")
    held["two_phase"].execute("insert into t values (1)")
    held["two_phase"].execute("/* x */ prepare transaction 'a'")
    held["copy"].pgconn.exec_(b"copy t from stdin")
    spared = {"spared_roles": ("billing",), "spared_applications": ("ETL 100%_*",)}
    with connect(pg.dsn, station="test") as conn:
        leave = protections(conn, **spared)
        own = conn.info.backend_pid
        spared_too = {"spared_roles": ["billing"], "spared_applications": patterns(spared["spared_applications"])}
        hit = {
            why
            for why, one in held.items()
            if conn.execute(CANCEL.encode(), {**look(conn, one.info.backend_pid), **spared_too}).fetchone()
        }
    assert {why: leave[one.info.backend_pid].never for why, one in held.items()} == {why: why for why in held}
    assert hit == {None}
    assert leave[own].never == "self"
    assert {"no_client"} == {one.never for pid, one in leave.items() if pid not in _clients(pg, own)}
    assert all(one.may_signal for pid, one in leave.items() if one.never is None)
    with connect(pg.dsn_as("watcher"), station="test") as conn:
        hidden = protections(conn, **spared)
    assert hidden[held[None].info.backend_pid].never == "hidden"
    assert not hidden[held[None].info.backend_pid].may_signal


def _clients(pg: FreshDatabase, own: int) -> set[int]:
    with psycopg.connect(pg.dsn, autocommit=True) as conn:
        rows = conn.execute("select pid from pg_stat_activity where backend_type = 'client backend'").fetchall()
    return {pid for (pid,) in rows} | {own}
