"""kill -9 of each step, then the same again: the world is that of a run that nobody disturbed.

Two phases a step here, each in turn; `make exam-chaos` kills the tool and the server at all of them.
"""

from __future__ import annotations

import os
import signal
import time
from pathlib import Path

import psycopg
import pytest
from tests.fix.killed import FAST, Killable, NeverBetter
from tests.fix.server import FreshDatabase
from tests.fix.step_cases import CASES, StepCase, prepare, start_over, world

from pgrunbook.journey.act import apply, undo
from pgrunbook.journey.steps import Step, spec_of
from pgrunbook.journey.steps.create_index import CreateIndex
from pgrunbook.model.plan import Phase, PlannedStep, Progress, RunOutcome, StepState
from pgrunbook.record import Journal, fold, open_steps, read, verify

PHASES = (
    Phase.PRECHECK, Phase.CAPTURE, Phase.MEASURE_BEFORE, Phase.INTENT, Phase.DO, Phase.DONE, Phase.MEASURE_AFTER,
    Phase.OUTCOME, Phase.END,
)  # fmt: skip
UNDO_PHASES = (Phase.UNDOING, Phase.UNDO, Phase.OUTCOME, Phase.END)
REVERSIBLE = (
    "create_index", "create_partitioned_index", "drop_index", "set_autovacuum", "set_role_setting", "replace_policy",
    "set_system_setting", "create_statistics", "validate_constraint", "alter_sequence_type", "create_extension",
)  # fmt: skip
INDEX = CreateIndex.on_columns("public", "orders", ["customer_id"])
WAIT_LIMIT_S = 60.0


def again(database: FreshDatabase, folder: Path, step: Step, *, better: bool = True) -> RunOutcome:
    """The same apply once more, in this process, to its end."""
    return apply(
        [PlannedStep(step=spec_of(step))],
        database.dsn,
        journal=Journal(folder),
        verify=None if better else NeverBetter(),
        patience=FAST,
    )


def assert_journal_is_whole(folder: Path) -> None:
    assert verify(folder).records == len(read(folder))
    assert not open_steps(fold(read(folder)))


@pytest.mark.parametrize("case", CASES, ids=lambda case: case.kind)
def test_killed_while_applying(server18: FreshDatabase, killable: Killable, tmp_path: Path, case: StepCase) -> None:
    again(server18, tmp_path / "undisturbed", prepare(server18, case))
    expected = world(server18)
    for phase in dict.fromkeys((Phase.DO, PHASES[CASES.index(case) % len(PHASES)])):
        start_over(server18)
        step = prepare(server18, case)

        killable.start([step], server18.dsn, tmp_path / phase, die_at=phase)
        assert killable.ended() == -signal.SIGKILL, phase

        outcome = again(server18, tmp_path / phase, step)
        assert outcome.exit_code == 0, phase
        assert world(server18) == expected, phase
        assert_journal_is_whole(tmp_path / phase)


@pytest.mark.parametrize("kind", REVERSIBLE)
def test_killed_while_undoing_what_did_not_help(
    server18: FreshDatabase, killable: Killable, tmp_path: Path, kind: str
) -> None:
    step = prepare(server18, _case(kind))
    before = world(server18)
    phase = UNDO_PHASES[REVERSIBLE.index(kind) % len(UNDO_PHASES)]
    killable.start([step], server18.dsn, tmp_path, die_at=phase, better=False)
    assert killable.ended() == -signal.SIGKILL

    again(server18, tmp_path, step, better=False)
    assert world(server18) == before
    assert_journal_is_whole(tmp_path)


@pytest.mark.parametrize("kind", REVERSIBLE)
def test_killed_while_undoing_on_request(
    server18: FreshDatabase, killable: Killable, tmp_path: Path, kind: str
) -> None:
    step = prepare(server18, _case(kind))
    before = world(server18)
    phase = UNDO_PHASES[(REVERSIBLE.index(kind) + 1) % len(UNDO_PHASES)]
    again(server18, tmp_path, step)

    killable.start([], server18.dsn, tmp_path, die_at=phase, what="all")
    assert killable.ended() == -signal.SIGKILL

    assert undo("all", server18.dsn, journal=Journal(tmp_path), patience=FAST).exit_code == 0
    assert world(server18) == before
    assert_journal_is_whole(tmp_path)


@pytest.mark.parametrize("kind", ["create_partitioned_index", "set_system_setting", "create_statistics"])
def test_an_interrupted_step_that_nobody_plans_again_is_cleared_away_or_kept_whole(
    server18: FreshDatabase, killable: Killable, tmp_path: Path, kind: str
) -> None:
    step = prepare(server18, _case(kind))
    before = world(server18)
    killable.start([step], server18.dsn, tmp_path, die_at=Phase.DO)
    assert killable.ended() == -signal.SIGKILL

    outcome = apply([], server18.dsn, journal=Journal(tmp_path), patience=FAST)

    assert [step.state for step in outcome.reconciled] == [StepState.REFUSED]
    assert world(server18) == before
    assert_journal_is_whole(tmp_path)


@pytest.mark.parametrize(
    "kind, phase",
    [("vacuum", Phase.MEASURE_AFTER), ("analyze", Phase.END), ("reindex", Phase.MEASURE_AFTER)],
)
def test_what_the_killed_run_had_done_is_not_done_twice(
    server18: FreshDatabase, killable: Killable, tmp_path: Path, kind: str, phase: Phase
) -> None:
    step = prepare(server18, _case(kind))
    killable.start([step], server18.dsn, tmp_path, die_at=phase)
    assert killable.ended() == -signal.SIGKILL
    assert [step.state for step in again(server18, tmp_path, step).steps] == [StepState.ALREADY]
    assert [step.state for step in again(server18, tmp_path, step).steps] == [StepState.KEPT]


def test_what_the_killed_run_had_undone_is_not_tried_again(
    server18: FreshDatabase, killable: Killable, tmp_path: Path
) -> None:
    step = prepare(server18, _case("create_index"))
    killable.start([step], server18.dsn, tmp_path, die_at=Phase.END, better=False)
    assert killable.ended() == -signal.SIGKILL
    outcome = again(server18, tmp_path, step, better=False)
    assert [step.state for step in outcome.steps] == [StepState.UNDONE]
    assert outcome.exit_code == 5
    assert len([record for record in read(tmp_path) if record["type"] == "intent"]) == 1


def test_a_build_goes_on_when_its_client_is_killed_and_is_adopted(
    server18: FreshDatabase, killable: Killable, tmp_path: Path
) -> None:
    prepare(server18, CASES[0])
    holder = server18.connect(autocommit=False)
    holder.execute("set transaction isolation level repeatable read")
    holder.execute("select 1 from pg_class limit 1")
    pid = killable.start([INDEX], server18.dsn, tmp_path, die_at=None)
    builder = _builder(server18)
    os.kill(pid, signal.SIGKILL)
    assert killable.ended() == -signal.SIGKILL
    assert _builder(server18) == builder
    waited: list[str] = []

    def let_go(progress: Progress) -> None:
        if progress.phase is Phase.WAIT:
            waited.append(progress.text)
            holder.close()

    outcome = apply(
        [PlannedStep(step=spec_of(INDEX))], server18.dsn, journal=Journal(tmp_path), progress=let_go, patience=FAST
    )
    assert f"backend {builder}" in waited[0]
    assert [step.state for step in outcome.reconciled] == [StepState.RECONCILED]
    assert [step.state for step in outcome.steps] == [StepState.ALREADY]
    assert _indexes(server18) == [("orders_customer_id_idx", True), ("orders_pkey", True)]
    assert_journal_is_whole(tmp_path)


def test_a_rebuild_goes_on_when_its_client_is_killed_and_leaves_no_copy_behind(
    server18: FreshDatabase, killable: Killable, tmp_path: Path
) -> None:
    step = prepare(server18, _case("reindex"))
    holder = server18.connect(autocommit=False)
    holder.execute("set transaction isolation level repeatable read")
    holder.execute("select 1 from pg_class limit 1")
    pid = killable.start([step], server18.dsn, tmp_path, die_at=None)
    _builder(server18)
    os.kill(pid, signal.SIGKILL)
    assert killable.ended() == -signal.SIGKILL
    assert ("orders_old_ccnew", False) in _indexes(server18)
    began: list[str] = []

    def let_go(progress: Progress) -> None:
        if progress.phase is Phase.WAIT:
            holder.close()
        elif progress.phase is Phase.DO:
            began.append(progress.text)

    outcome = apply(
        [PlannedStep(step=spec_of(step))], server18.dsn, journal=Journal(tmp_path), progress=let_go, patience=FAST
    )
    assert [step.state for step in outcome.reconciled] == [StepState.RECONCILED]
    assert not began
    assert _indexes(server18) == [("orders_old", True), ("orders_pkey", True)]
    assert_journal_is_whole(tmp_path)


def test_a_build_that_died_with_its_client_is_begun_again(
    server18: FreshDatabase, killable: Killable, tmp_path: Path
) -> None:
    prepare(server18, CASES[0])
    holder = server18.connect(autocommit=False)
    holder.execute("set transaction isolation level repeatable read")
    holder.execute("select 1 from pg_class limit 1")
    pid = killable.start([INDEX], server18.dsn, tmp_path, die_at=None)
    builder = _builder(server18)
    os.kill(pid, signal.SIGKILL)
    assert killable.ended() == -signal.SIGKILL
    with psycopg.connect(server18.dsn, autocommit=True) as conn:
        conn.execute("select pg_terminate_backend(%s, 10000)", (builder,))
    holder.close()
    assert _indexes(server18) == [("orders_customer_id_idx", False), ("orders_pkey", True)]

    outcome = again(server18, tmp_path, INDEX)

    assert [step.state for step in outcome.steps] == [StepState.KEPT]
    assert _indexes(server18) == [("orders_customer_id_idx", True), ("orders_pkey", True)]
    assert_journal_is_whole(tmp_path)


def test_a_server_that_crashed_in_a_build_is_mended(
    server18: FreshDatabase, killable: Killable, tmp_path: Path
) -> None:
    prepare(server18, CASES[0])
    holder = server18.connect(autocommit=False)
    holder.execute("set transaction isolation level repeatable read")
    holder.execute("select 1 from pg_class limit 1")
    killable.start([INDEX], server18.dsn, tmp_path, die_at=None)
    _builder(server18)
    server18.cluster.shutdown("immediate")
    assert killable.ended() == 6  # nobody knows yet whether it was done
    server18.cluster.start()

    outcome = again(server18, tmp_path, INDEX)

    assert [step.state for step in outcome.steps] == [StepState.KEPT]
    assert _indexes(server18) == [("orders_customer_id_idx", True), ("orders_pkey", True)]
    assert_journal_is_whole(tmp_path)


def _case(kind: str) -> StepCase:
    return next(case for case in CASES if case.kind == kind)


def _builder(database: FreshDatabase) -> int:
    """The backend that builds an index and waits for older snapshots, as soon as there is one."""
    deadline = time.monotonic() + WAIT_LIMIT_S
    with psycopg.connect(database.dsn, autocommit=True) as conn:
        while time.monotonic() < deadline:
            row = conn.execute(
                "select pid from pg_stat_progress_create_index where phase = 'waiting for old snapshots'"
            ).fetchone()
            if row is not None:
                return int(row[0])
            time.sleep(0.01)
    pytest.fail("no build came to wait for old snapshots")


def _indexes(database: FreshDatabase) -> list[tuple[str, bool]]:
    with psycopg.connect(database.dsn, autocommit=True) as conn:
        return conn.execute(
            "select c.relname::text, i.indisvalid from pg_index as i join pg_class as c on c.oid = i.indexrelid"
            " where c.oid >= 16384 and c.relnamespace = 'public'::regnamespace order by 1"
        ).fetchall()
