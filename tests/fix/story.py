"""How a check's test tells its story: ask one check, run the advice as a person would paste it, wait for counters."""

from __future__ import annotations

import time
from collections.abc import Callable, Mapping
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
