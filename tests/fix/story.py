"""How a check's test tells its story: ask one check, run the advice as a person would paste it, wait for counters."""

from __future__ import annotations

import contextlib
import threading
import time
from collections.abc import Callable, Iterator, Mapping
from typing import Any

import psycopg
import pytest
from tests.fix.server import FreshDatabase

from pgrunbook.journey.diagnose.engine import diagnose
from pgrunbook.model import Advice, Finding, Severity
from pgrunbook.model.diagnosis import Diagnosis

WAIT_LIMIT_S = 30.0


def ask(dsn: str, check: str, **limits: Any) -> Diagnosis:
    """What one check says; `limits` are its thresholds."""
    overrides: Mapping[str, Mapping[str, Any]] = {check: limits}
    return diagnose(dsn, only=[check], limits=overrides)


def eventually(dsn: str, check: str, **limits: Any) -> Finding:
    """The one finding of a check that needs a moment to appear."""
    found: list[Finding] = []

    def is_there() -> bool:
        found[:] = ask(dsn, check, **limits).findings
        return len(found) == 1

    until(is_there, f"{check} finds something")
    return found[0]


def objects(diagnosis: Diagnosis) -> list[str]:
    """The objects of the findings at warning or above."""
    return [finding.object for finding in diagnosis.findings if finding.severity is not Severity.NOTICE]


def the_finding(diagnosis: Diagnosis) -> Finding:
    """The one finding there must be."""
    assert len(diagnosis.findings) == 1, [(f.check, f.object, f.evidence) for f in diagnosis.findings]
    return diagnosis.findings[0]


def paste(db: FreshDatabase, text: str | None) -> None:
    """Run the printed SQL statement by statement in autocommit, as psql would."""
    assert text
    with psycopg.connect(db.dsn, autocommit=True) as conn:
        for statement in text.split(";\n"):
            conn.execute(statement.encode())


def mend(db: FreshDatabase, finding: Finding) -> Advice:
    """Do what the first advice says."""
    advice = finding.advice[0]
    paste(db, advice.sql)
    return advice


def until(holds: Callable[[], bool], what: str) -> None:
    """Poll until something holds."""
    deadline = time.monotonic() + WAIT_LIMIT_S
    while not holds():
        if time.monotonic() > deadline:
            pytest.fail(f"not within {WAIT_LIMIT_S:.0f} s: {what}")
        time.sleep(0.05)


def counted(db: FreshDatabase, condition: str) -> None:
    """Wait until the cumulative statistics say so (before 15 they travel by way of a collector)."""

    def holds() -> bool:
        with psycopg.connect(db.dsn, autocommit=True) as conn:
            conn.execute("select pg_stat_clear_snapshot()")
            return conn.execute(
                f"select coalesce(bool_or({condition}), false) from pg_stat_user_tables"
            ).fetchone() == (True,)

    until(holds, condition)


@contextlib.contextmanager
def running(db: FreshDatabase, statement: str, **kwargs: Any) -> Iterator[psycopg.Connection[Any]]:
    """Run a statement in the background; it is cancelled, if need be, at the end."""
    conn = db.connect(**kwargs)

    def run() -> None:
        with contextlib.suppress(psycopg.Error):
            conn.execute(statement.encode())

    thread = threading.Thread(target=run)
    thread.start()
    try:
        wanted = conn.info.backend_pid
        until(lambda: _is_active(db, wanted), f"{statement} runs")
        yield conn
    finally:
        while thread.is_alive():
            with contextlib.suppress(psycopg.Error):
                conn.cancel_safe()
            thread.join(0.2)


def _is_active(db: FreshDatabase, pid: int) -> bool:
    with psycopg.connect(db.dsn, autocommit=True) as conn:
        row = conn.execute("select state = 'active' from pg_stat_activity where pid = %s", (pid,)).fetchone()
    return row == (True,)


def waits_for_a_lock(db: FreshDatabase, conn: psycopg.Connection[Any]) -> None:
    """Wait until this session waits for a lock (and the server has noted since when)."""
    pid = conn.info.backend_pid

    def holds() -> bool:
        with psycopg.connect(db.dsn, autocommit=True) as other:
            row = other.execute(
                "select count(*) from pg_locks where pid = %s and not granted and waitstart is not null", (pid,)
            ).fetchone()
        return row == (1,)

    until(holds, f"session {pid} waits for a lock")


def run(db: FreshDatabase, *statements: str) -> None:
    """Run statements in a session of their own and wait until it has handed in its counts and is gone."""
    with psycopg.connect(db.dsn, autocommit=True) as conn:
        pid = conn.info.backend_pid
        for statement in statements:
            conn.execute(statement.encode())

    def is_gone() -> bool:
        with psycopg.connect(db.dsn, autocommit=True) as other:
            return other.execute("select 1 from pg_stat_activity where pid = %s", (pid,)).fetchone() is None

    until(is_gone, f"session {pid} is gone")
