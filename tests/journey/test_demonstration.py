"""The demonstration, small and quick: the whole road, its undo, and that it holds no cure of its own."""

from __future__ import annotations

import os
import re
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import psycopg
import pytest
from tests.fix.server import installed, unavailable

from pgrunbook.demo.demonstration import Demonstration, Pace
from pgrunbook.demo.quizmentor import Names, load
from pgrunbook.demo.quizmentor.names import vocabulary
from pgrunbook.journey.verify.window import Patience
from pgrunbook.lab import Binaries, pgbouncer_path, start_cluster, stop_kept
from pgrunbook.model.demo import DemoPhase, DemoResult, StepOutcome
from pgrunbook.model.diagnosis import Diagnosis
from pgrunbook.model.plan import Progress
from pgrunbook.model.rehearsal import Rehearsal

USERS = 1000
PREFIX = "zz"
REAL = {Names.renamed(PREFIX).of(name): name for name in vocabulary()}
QUICK = Pace(
    users=20,
    users_pooled=60,
    users_direct=20,
    samples_min=20,
    warmup_s=1.0,
    measure_s=6.0,
    workload_s=6.0,
    pooled_warmup_s=1.0,
    pooled_measure_s=3.0,
    patience=Patience(max_wait_s=1.0, idle_s=0.5, settle_s=0.5, min_window_s=0.5),
)


class Quiet:
    def stage(self, text: str, ratio: float | None = None) -> None: ...
    def diagnosed(self, diagnosis: Diagnosis) -> None: ...
    def rehearsed(self, rehearsal: Rehearsal) -> None: ...
    def acting(self, progress: Progress) -> None: ...
    def measured(self, phase: DemoPhase) -> None: ...


def perform(*, rename: str | None, state: Path, keep: bool) -> DemoResult:
    with pytest.MonkeyPatch.context() as patched:
        patched.setenv("XDG_STATE_HOME", str(state))
        return Demonstration(audience=Quiet(), users=USERS, pace=QUICK, rename=rename, keep=keep).run()


@pytest.fixture(scope="module")
def state(tmp_path_factory: pytest.TempPathFactory) -> Path:
    if 18 not in installed():
        unavailable("PostgreSQL 18 is not installed")
    return tmp_path_factory.mktemp("state")


@pytest.fixture(scope="module")
def renamed(state: Path) -> Iterator[DemoResult]:
    """A performance on a schema in which every identifier has another name; its server is kept."""
    try:
        yield perform(rename=PREFIX, state=state, keep=True)
    finally:
        stop_kept()


def test_it_takes_the_whole_road(renamed: DemoResult) -> None:
    assert [phase.name for phase in renamed.phases] == ["sick", "cured", "healthy", "thousand"]
    assert all(phase.samples >= QUICK.samples_min for phase in renamed.phases)
    assert len({phase.users for phase in renamed.phases[:3]}) == 1
    assert renamed.phases[-1].pooled is (pgbouncer_path() is not None)
    assert renamed.timeline
    assert len(renamed.after.findings) < len(renamed.before.findings)


def test_it_holds_no_cure_of_its_own(renamed: DemoResult) -> None:
    """With other names it finds the runbook's faults and takes the steps that mend them."""
    findings = {(f.check, _plain(f.object)) for f in renamed.before.findings}
    assert {
        ("auth_function_per_row", "public.quizzes.quizzes_readable"),
        ("autovacuum_disabled", "public.user_sessions"),
        ("dead_rows", "public.user_sessions"),
        ("duplicate_index", "public.users_signup_idx"),
        ("invalid_index", "public.users_display_name_key"),
        ("inactive_replication_slot", "quizmentor_old_replica"),
        ("missing_timeouts", "quizmentor_app"),
        ("unindexed_foreign_key", "public.answers"),
        ("unindexed_foreign_key", "public.questions"),
        ("unindexed_foreign_key", "public.events"),
    } <= findings
    assert any(f.check == "idle_in_transaction" for f in renamed.before.findings)
    assert any(f.check == "missing_index" for f in renamed.before.findings)
    taken = {step.check for step in renamed.steps if step.outcome is not StepOutcome.UNDONE}
    assert {"missing_index", "duplicate_index", "inactive_replication_slot", "idle_in_transaction"} <= taken


def _plain(object_name: str) -> str:
    """The object's name with its real words, each of which the renaming made a word of its own."""
    return re.sub(r"\w+", lambda match: REAL.get(match[0], match[0]), object_name)


def test_undo_all_restores_the_sick_schema(renamed: DemoResult, state: Path) -> None:
    assert renamed.kept_dsn
    undo = subprocess.run(
        [sys.executable, "-m", "pgrunbook.surfaces.cli.main", "undo", renamed.kept_dsn, "--all", "--yes"],
        env={**_environment(), "XDG_STATE_HOME": str(state)},
        capture_output=True,
        text=True,
        check=False,
    )
    assert undo.returncode == 0, undo.stdout + undo.stderr
    binaries = installed()[18]
    with start_cluster(binaries=binaries, settings={"shared_preload_libraries": "pg_stat_statements"}) as fresh:
        load(fresh.dsn(), users=USERS, sick=True, rename=Names.renamed(PREFIX))
        assert _schema(binaries, renamed.kept_dsn) == _schema(binaries, fresh.dsn())
        settings = "select setrole::regrole::text, setconfig from pg_db_role_setting order by 1"
        with psycopg.connect(renamed.kept_dsn) as kept, psycopg.connect(fresh.dsn()) as sick:
            assert kept.execute(settings).fetchall() == sick.execute(settings).fetchall()


def _environment() -> dict[str, str]:
    return {name: value for name, value in os.environ.items() if not name.startswith("PG")}


def _schema(binaries: Binaries, dsn: str) -> list[str]:
    dumped = subprocess.run(
        [binaries.tool("pg_dump"), "-s", "--restrict-key=x", "-d", dsn], capture_output=True, text=True, check=True
    )
    return dumped.stdout.splitlines()
