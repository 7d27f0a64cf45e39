"""The guard ends one session in one transaction, or nobody."""

from __future__ import annotations

import dataclasses
import itertools
import random
from collections.abc import Callable
from datetime import timedelta
from typing import Any

import psycopg
import pytest
from tests.fix.server import FreshDatabase

from pgrunbook.errors import Refused
from pgrunbook.journey.observe.observer import Observer
from pgrunbook.journey.observe.sessions import SESSIONS
from pgrunbook.journey.steps.end_session import EndSession
from pgrunbook.journey.steps.runner import run_step
from pgrunbook.model import Reading
from pgrunbook.pg.connect import Session, connect

RACES = 150  # ten thousand were run by hand; each is one chance for the guard to take the wrong one


def seen(database: FreshDatabase, pid: int) -> EndSession:
    """The step as a check would make it, from what it sees now."""
    with connect(database.dsn, station="test") as conn:
        reading = Observer(conn).ask(SESSIONS)
    assert isinstance(reading, Reading)
    return EndSession.of(next(backend for backend in reading.rows if backend.pid == pid))


def idle(database: FreshDatabase, role: str = "app", application: str = "shop") -> psycopg.Connection[Any]:
    conn = database._connect(database.dsn_as(role, application_name=application), autocommit=False)
    conn.execute("select 1")
    return conn


def is_alive(conn: psycopg.Connection[Any]) -> bool:
    try:
        return conn.execute("select 1").fetchone() == (1,)
    except psycopg.OperationalError:
        return False


def do(database: FreshDatabase, step: EndSession) -> None:
    """Without the precheck, which would refuse first: the statement alone must be safe."""
    with connect(database.dsn, station="test") as conn:
        step.do(conn)


@pytest.fixture
def app(server18: FreshDatabase) -> FreshDatabase:
    server18.role("app")
    return server18


def test_the_very_session_is_ended(app: FreshDatabase) -> None:
    victim = idle(app)
    step = seen(app, victim.info.backend_pid)
    with connect(app.dsn, station="test") as conn:
        ran = run_step(step, conn, Observer(conn).server)
    assert ran.before["role"] == "app"
    assert not is_alive(victim)


@pytest.mark.parametrize("clause", ["backend_start", "xact_start", "query_start", "state_change", "state"])
def test_each_part_of_its_identity_counts(app: FreshDatabase, clause: str) -> None:
    victim = idle(app)
    step = seen(app, victim.info.backend_pid)
    with psycopg.connect(app.dsn) as conn:
        (other,) = conn.execute(
            "select to_char(x::timestamptz + interval '1 microsecond', 'YYYY-MM-DD HH24:MI:SS.USOF') from"
            " (values (%s)) as t (x)",
            (getattr(step, clause) if clause != "state" else "2020-01-01",),
        ).fetchone() or ("",)
    stale = dataclasses.replace(step, **{clause: "active" if clause == "state" else other})
    if clause == "backend_start":  # another session under that pid: ours is gone, and nobody is touched
        do(app, stale)
    else:
        with pytest.raises(Refused, match="went on"):
            do(app, stale)
    assert is_alive(victim)


@pytest.mark.parametrize("application", ["pg_dump", "PG_RESTORE", "pgbackrest [archive]", "patroni", "pgrunbook/act"])
def test_backups_and_their_kin_are_left_alone(app: FreshDatabase, application: str) -> None:
    victim = idle(app, application=application)
    step = seen(app, victim.info.backend_pid)
    with connect(app.dsn, station="test") as conn, pytest.raises(Refused, match="never ended by us"):
        run_step(step, conn, Observer(conn).server)
    with pytest.raises(Refused):
        do(app, step)
    assert is_alive(victim)


@pytest.mark.parametrize("options", ["login superuser", "login replication"])
def test_powerful_roles_are_left_alone(app: FreshDatabase, options: str) -> None:
    app.role("mighty", options=options)
    victim = idle(app, role="mighty")
    with pytest.raises(Refused):
        do(app, seen(app, victim.info.backend_pid))
    assert is_alive(victim)


def test_it_never_ends_itself(app: FreshDatabase) -> None:
    with connect(app.dsn, station="test") as conn, conn.transaction():
        reading = conn.execute(
            "select backend_start, xact_start, query_start, state_change from pg_stat_activity"
            " where pid = pg_backend_pid()"
        ).fetchone()
        assert reading is not None
        times = [str(at) for at in reading]
        step = EndSession(
            pid=conn.info.backend_pid,
            backend_start=times[0],
            xact_start=times[1],
            query_start=times[2],
            state_change=times[3],
            state="active",
        )
        with pytest.raises(Refused):
            step.do(conn)


def test_without_the_right_to_see_others_nobody_is_ended(app: FreshDatabase) -> None:
    victim = idle(app)
    step = seen(app, victim.info.backend_pid)
    app.role("nobody")
    with connect(app.dsn_as("nobody"), station="test") as conn, pytest.raises(Refused):
        run_step(step, conn, Observer(conn).server)
    assert is_alive(victim)


def test_a_session_that_went_on_is_never_ended(app: FreshDatabase) -> None:
    """It goes on in every way a client can, between the look and the guard."""
    victim = idle(app)
    moves: tuple[Callable[[], object], ...] = (
        lambda: (victim.commit(), victim.execute("select 1")),
        lambda: (victim.rollback(), victim.execute("select 1")),
        lambda: victim.execute("select 1"),
        victim.commit,
    )
    chance = random.Random(7)  # noqa: S311 - a game
    with connect(app.dsn, station="test") as conn:
        for _ in range(RACES):
            if victim.info.transaction_status == psycopg.pq.TransactionStatus.IDLE:
                victim.execute("select 1")
            step = _looked(conn, victim.info.backend_pid)
            chance.choice(moves)()
            with pytest.raises(Refused, match="went on"):
                step.do(conn)
    assert is_alive(victim)


def test_another_session_under_a_pid_that_is_used_again_is_never_ended(app: FreshDatabase) -> None:
    """The system cannot be made to use a pid again at will: the newcomers are met with the pid of the one who left."""
    gone = idle(app)
    step = seen(app, gone.info.backend_pid)
    gone.close()
    for number in itertools.islice(itertools.count(), 5):
        newcomer = idle(app)
        do(app, dataclasses.replace(step, pid=newcomer.info.backend_pid))
        assert is_alive(newcomer), number
        newcomer.close()


def _looked(conn: Session, pid: int) -> EndSession:
    row = conn.execute(
        "select backend_start, xact_start, query_start, state_change, state from pg_stat_activity where pid = %s",
        (pid,),
    ).fetchone()
    assert row is not None
    times = [at.isoformat() for at in row[:4]]
    assert row[1] - row[0] >= timedelta(0)
    return EndSession(
        pid=pid, backend_start=times[0], xact_start=times[1], query_start=times[2], state_change=times[3], state=row[4]
    )
