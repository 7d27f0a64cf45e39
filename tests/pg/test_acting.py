"""Applying and undoing on a real server: the order, the guard rails, the verdicts, and what others have to bear."""

from __future__ import annotations

import os
import signal
import threading
import time
from pathlib import Path

import psycopg
import pytest
from tests.fix.killed import FAST, NeverBetter
from tests.fix.server import FreshDatabase
from tests.fix.step_cases import CASES, StepCase, prepare, world

from pgrunbook.errors import Refused, UsageError
from pgrunbook.journey.act import KeepAll, apply, executor, in_order, undo, watching
from pgrunbook.journey.steps import Step, holders, spec_of
from pgrunbook.journey.steps.analyze import Analyze
from pgrunbook.journey.steps.create_index import CreateIndex
from pgrunbook.journey.steps.create_statistics import CreateStatistics
from pgrunbook.journey.steps.drop_index import DropIndex
from pgrunbook.journey.steps.replace_policy import ReplacePolicy
from pgrunbook.journey.steps.runner import Patience
from pgrunbook.journey.steps.set_autovacuum import SetAutovacuum
from pgrunbook.journey.steps.set_role_setting import SetRoleSetting
from pgrunbook.journey.steps.vacuum import Vacuum
from pgrunbook.lab import Cluster, Pgbouncer
from pgrunbook.model import StepSpec, quote
from pgrunbook.model.plan import Phase, PlannedStep, Progress, RunOutcome, StepState, TargetPrint
from pgrunbook.record import Journal, fold, open_steps, read, verify

INDEX = CreateIndex.on_columns("public", "orders", ["customer_id"])


def planned(*steps: Step) -> list[PlannedStep]:
    return [PlannedStep(step=spec_of(step)) for step in steps]


def applied(database: FreshDatabase, folder: Path, *steps: Step) -> RunOutcome:
    return apply(planned(*steps), database.dsn, journal=Journal(folder), patience=FAST)


def undone(database: FreshDatabase, folder: Path, what: str = "all") -> RunOutcome:
    return undo(what, database.dsn, journal=Journal(folder), patience=FAST)


def states(outcome: RunOutcome) -> list[StepState]:
    return [step.state for step in outcome.steps]


@pytest.fixture
def orders(server18: FreshDatabase) -> FreshDatabase:
    prepare(server18, CASES[0])
    return server18


def case(kind: str) -> StepCase:
    return next(case for case in CASES if case.kind == kind)


def test_a_whole_plan_and_its_undo_leave_the_world_as_it_was(server18: FreshDatabase, tmp_path: Path) -> None:
    kinds = ("drop_index", "set_autovacuum", "set_database_setting", "replace_policy", "create_index", "vacuum")
    steps = [prepare(server18, case(kind), table=number == 0) for number, kind in enumerate(kinds)]
    before = world(server18)
    outcome = applied(server18, tmp_path, *steps)
    assert [step.spec.kind for step in outcome.steps] == [
        "vacuum", "replace_policy", "create_index", "set_autovacuum", "set_database_setting", "drop_index",
    ]  # fmt: skip
    assert states(outcome) == [StepState.KEPT] * 6
    assert world(server18) != before
    assert undone(server18, tmp_path).count(StepState.UNDONE) == 5
    assert world(server18) == before


def test_steps_are_taken_by_stage_and_each_only_once() -> None:
    drop, index, analyze = DropIndex(schema="s", name="i"), INDEX, Analyze(schema="s", table="t")
    setting = SetRoleSetting(role="r", settings=("jit=off",))
    ordered = in_order(planned(drop, setting, index, analyze, index))
    assert [step.step.kind for step in ordered] == ["analyze", "create_index", "set_role_setting", "drop_index"]


def test_progress_tells_every_phase_of_a_step(orders: FreshDatabase, tmp_path: Path) -> None:
    told: list[Progress] = []
    apply(planned(INDEX), orders.dsn, journal=Journal(tmp_path), progress=told.append)
    assert [progress.phase for progress in told if progress.phase is not Phase.WORK] == [
        Phase.PRECHECK, Phase.CAPTURE, Phase.MEASURE_BEFORE, Phase.INTENT, Phase.DO, Phase.DONE, Phase.MEASURE_AFTER,
        Phase.OUTCOME, Phase.END,
    ]  # fmt: skip
    assert {(progress.number, progress.total) for progress in told} == {(1, 1)}


def test_the_journal_holds_intent_and_outcome_and_no_secret(orders: FreshDatabase, tmp_path: Path) -> None:
    apply(planned(INDEX), orders.dsn_as("postgres", password="hunter2"), journal=Journal(tmp_path))
    records = read(tmp_path)
    assert [record["type"] for record in records] == ["run_started", "intent", "outcome", "run_ended"]
    assert records[0]["target"]["database"] == orders.name
    assert records[1]["before"] == {"existed": False}
    assert "hunter2" not in (tmp_path / "journal.jsonl").read_text()


def test_a_step_that_does_not_help_is_undone_and_says_so(orders: FreshDatabase, tmp_path: Path) -> None:
    before = world(orders)
    outcome = apply(planned(INDEX), orders.dsn, journal=Journal(tmp_path), verify=NeverBetter())
    assert states(outcome) == [StepState.UNDONE]
    assert outcome.steps[0].reason == "it took 10.0 ms before and 10.0 after"
    assert outcome.exit_code == 5
    assert world(orders) == before


def test_a_step_without_undo_is_kept_whatever_the_verdict(orders: FreshDatabase, tmp_path: Path) -> None:
    outcome = apply(
        planned(Analyze(schema="public", table="orders")),
        orders.dsn,
        journal=Journal(tmp_path),
        verify=NeverBetter(),
    )
    assert states(outcome) == [StepState.KEPT]


def test_a_refused_step_does_not_stop_the_others(orders: FreshDatabase, tmp_path: Path) -> None:
    outcome = applied(orders, tmp_path, INDEX, Analyze(schema="public", table="missing"))
    assert states(outcome) == [StepState.REFUSED, StepState.KEPT]
    assert outcome.exit_code == 6
    assert applied(orders, tmp_path, Analyze(schema="public", table="missing")).exit_code == 4


def test_what_the_server_refuses_changes_nothing(orders: FreshDatabase, tmp_path: Path) -> None:
    before = world(orders)
    wrong = CreateIndex(schema="public", table="orders", keys=("nonsense",))
    duplicate = CreateIndex(schema="public", table="orders", keys=("owner",), unique=True, name="u")
    outcome = applied(orders, tmp_path, wrong, duplicate)
    assert states(outcome) == [StepState.REFUSED, StepState.REFUSED]
    assert "nonsense" in outcome.steps[0].reason
    assert "could not create unique index" in outcome.steps[1].reason
    assert world(orders) == before


def test_an_unknown_kind_of_step_is_a_usage_error(orders: FreshDatabase, tmp_path: Path) -> None:
    with pytest.raises(UsageError):
        apply([PlannedStep(step=StepSpec(kind="launch_rocket", params={}))], orders.dsn, journal=Journal(tmp_path))


def test_progress_tells_how_far_the_server_has_come(
    orders: FreshDatabase, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(watching, "PATIENCE_S", 0.0)
    monkeypatch.setattr(watching, "POLL_S", 0.01)
    monkeypatch.setattr(holders, "LONG_S", 1e9)  # as if the holder came later
    holder = orders.connect(autocommit=False)
    holder.execute("set transaction isolation level repeatable read")
    holder.execute("select 1 from pg_class limit 1")
    told: list[str] = []

    def let_go_when_it_is_told(progress: Progress) -> None:
        if progress.phase is Phase.WORK:
            told.append(progress.text)
            if progress.text.endswith("waiting for old snapshots"):
                holder.close()

    outcome = apply(planned(INDEX), orders.dsn, journal=Journal(tmp_path), progress=let_go_when_it_is_told)
    assert states(outcome) == [StepState.KEPT]
    assert any(text.endswith("waiting for old snapshots") for text in told)


# --- guard rails -----------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("field", ["system_identifier", "database", "user", "timeline"])
def test_a_plan_for_another_target_is_refused(orders: FreshDatabase, tmp_path: Path, field: str) -> None:
    with psycopg.connect(orders.dsn) as conn:
        row = conn.execute("select system_identifier::text from pg_control_system()").fetchone()
    here = {"system_identifier": row[0] if row else "", "database": orders.name, "user": "postgres", "timeline": 1}
    other = TargetPrint(**{**here, field: 99 if field == "timeline" else "other"})
    with pytest.raises(Refused, match="made for another target"):
        apply(planned(INDEX), orders.dsn, journal=Journal(tmp_path), target=other)
    assert states(apply(planned(INDEX), orders.dsn, journal=Journal(tmp_path), target=TargetPrint(**here))) == [
        StepState.KEPT
    ]


def test_a_standby_is_refused(replica: Cluster, orders: FreshDatabase, tmp_path: Path) -> None:
    with pytest.raises(Refused, match="standby"):
        apply(planned(INDEX), replica.dsn(orders.name), journal=Journal(tmp_path))


def test_a_pooler_is_refused_with_the_direct_dsn_as_hint(
    orders: FreshDatabase, pgbouncer: Pgbouncer, tmp_path: Path
) -> None:
    with pytest.raises(Refused, match="transaction pooler") as refused:
        apply(planned(INDEX), pgbouncer.dsn(orders.name), journal=Journal(tmp_path))
    assert "direct" in refused.value.hint


def test_a_second_executor_is_refused(orders: FreshDatabase, tmp_path: Path) -> None:
    seen: list[str] = []

    def also_apply(progress: Progress) -> None:
        if progress.phase is Phase.DO:
            with pytest.raises(Refused) as refused:
                apply(planned(INDEX), orders.dsn, journal=Journal(tmp_path / "other"))
            seen.append(refused.value.message)

    apply(planned(INDEX), orders.dsn, journal=Journal(tmp_path / "first"), progress=also_apply)
    assert len(seen) == 1
    assert seen[0].startswith("another executor is at work")


def test_a_lost_executor_lock_stops_before_the_next_step(orders: FreshDatabase, tmp_path: Path) -> None:
    class Unlocking(KeepAll):
        def measure(self, conn: psycopg.Connection[tuple[object, ...]], planned: PlannedStep) -> dict[str, float]:  # noqa: ARG002
            conn.execute("select pg_advisory_unlock_all()")
            return {}

    steps = planned(Analyze(schema="public", table="orders"), INDEX)
    outcome = apply(steps, orders.dsn, journal=Journal(tmp_path), verify=Unlocking())
    assert states(outcome) == [StepState.KEPT, StepState.REFUSED]
    assert "lock was lost" in outcome.steps[1].reason


def test_a_journal_that_cannot_be_written_changes_nothing(orders: FreshDatabase, tmp_path: Path) -> None:
    before = world(orders)
    journal = Journal(tmp_path)

    def fill_disk(progress: Progress) -> None:
        if progress.phase is Phase.INTENT:
            (tmp_path / "journal.head.partial").mkdir()

    steps = planned(INDEX, Analyze(schema="public", table="orders"))
    with pytest.raises(Refused, match=r"cannot be written: .*; without it nothing is changed"):
        apply(steps, orders.dsn, journal=journal, progress=fill_disk)
    assert world(orders) == before


def test_limits_of_the_role_do_not_cut_maintenance_short(orders: FreshDatabase, tmp_path: Path) -> None:
    orders.role("hurried", options="login superuser")
    orders.execute("alter role hurried set statement_timeout = '300ms'")

    class Slow(KeepAll):
        def measure(self, conn: psycopg.Connection[tuple[object, ...]], planned: PlannedStep) -> dict[str, float]:  # noqa: ARG002
            conn.execute("select pg_sleep(0.4)")
            return {}

    outcome = apply(planned(INDEX), orders.dsn_as("hurried"), journal=Journal(tmp_path), verify=Slow())
    assert states(outcome) == [StepState.KEPT]


def test_a_role_that_does_not_own_the_table_is_refused(orders: FreshDatabase, tmp_path: Path) -> None:
    orders.role("guest")
    before = world(orders)
    steps = planned(INDEX, Analyze(schema="public", table="orders"), Vacuum(schema="public", table="orders"))
    outcome = apply(steps, orders.dsn_as("guest"), journal=Journal(tmp_path))
    assert states(outcome) == [StepState.REFUSED] * 3
    assert world(orders) == before


@pytest.mark.pg(">= 14")
def test_whoever_may_maintain_a_table_is_let(pg: FreshDatabase, tmp_path: Path) -> None:
    prepare(pg, CASES[0])
    owner = pg.role("owner")
    pg.execute(f"alter table orders owner to {owner}")
    allowed = [owner]
    if pg.major >= 17:
        allowed += [pg.role("granted"), pg.role("maintainer", member_of="pg_maintain")]
        pg.execute("grant maintain on orders to granted")
    for role in allowed:
        steps = planned(Analyze(schema="public", table="orders"), Vacuum(schema="public", table="orders"))
        outcome = apply(steps, pg.dsn_as(role), journal=Journal(tmp_path / role))
        assert states(outcome) == [StepState.KEPT] * 2, role


def test_a_backend_of_ours_that_idles_for_a_dead_client_is_ended(orders: FreshDatabase, tmp_path: Path) -> None:
    orphan = orders.connect()
    orphan.execute("select pg_advisory_lock(%s::bigint)", (executor.KEY,))
    row = orphan.execute("select backend_start::text from pg_stat_activity where pid = pg_backend_pid()").fetchone()
    with Journal(tmp_path) as journal:
        target = {"system_identifier": None, "database": orders.name, "user": "postgres", "timeline": None}
        journal.append(
            "run_started", run="dead", kind="apply", target=target, tool="0", backend_pid=orphan.info.backend_pid,
            backend_start=row[0] if row else "",
        )  # fmt: skip
    with pytest.raises(Refused, match="another executor"):
        apply(planned(INDEX), orders.dsn, journal=Journal(tmp_path / "a journal that does not know it"))
    assert states(applied(orders, tmp_path, INDEX)) == [StepState.KEPT]
    with pytest.raises(psycopg.OperationalError):
        orphan.execute("select 1")


# --- others have to bear little --------------------------------------------------------------------------------------


@pytest.mark.parametrize("kind", ["replace_policy", "enable_row_security"])
def test_behind_a_long_reader_a_step_gives_up_cleanly_and_bystanders_wait_no_longer_than_its_budget(
    server18: FreshDatabase, tmp_path: Path, kind: str
) -> None:
    step = prepare(server18, case(kind))
    before = world(server18)
    reader = server18.connect(autocommit=False)
    reader.execute("select count(*) from orders")
    longest_ms = round(step.lock_budget_s * FAST.tries * 1000)
    trouble: list[psycopg.Error] = []
    reads: list[int] = []
    over = threading.Event()

    def read_on() -> None:
        with psycopg.connect(server18.dsn, autocommit=True) as bystander:
            bystander.execute(f"set lock_timeout = {longest_ms}")
            while not over.is_set():
                try:
                    reads.extend(row[0] for row in bystander.execute("select count(*) from orders"))
                except psycopg.Error as exc:
                    trouble.append(exc)

    thread = threading.Thread(target=read_on)
    thread.start()
    try:
        outcome = applied(server18, tmp_path, step)
    finally:
        over.set()
        thread.join()
    assert states(outcome) == [StepState.REFUSED]
    assert "could not be had within 0.5 s in 3 tries" in outcome.steps[0].reason
    assert outcome.exit_code == 4
    assert not trouble
    assert reads
    reader.close()
    assert world(server18) == before
    assert not open_steps(fold(read(tmp_path)))


@pytest.mark.parametrize("kind", ["create_index", "drop_index", "reindex"])
def test_an_index_step_finds_an_old_transaction_before_it_begins(
    server18: FreshDatabase, tmp_path: Path, kind: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    step = prepare(server18, case(kind))
    before = world(server18)
    monkeypatch.setattr(f"pgrunbook.journey.steps.{kind}.WAIT_BUDGET_S", 0.5)
    reader = server18.connect(autocommit=False)
    reader.execute("set transaction isolation level repeatable read")
    reader.execute("select count(*) from orders")
    outcome = applied(server18, tmp_path, step)
    assert states(outcome) == [StepState.REFUSED]
    assert f"pid {reader.info.backend_pid}" in outcome.steps[0].reason
    reader.close()
    assert world(server18) == before
    assert states(applied(server18, tmp_path, step)) == [StepState.KEPT]


def test_a_build_that_runs_into_lock_timeout_is_mended_and_tried_again(
    orders: FreshDatabase, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(holders, "LONG_S", 1e9)  # let it run into the wait
    monkeypatch.setattr(CreateIndex, "lock_budget_s", 0.2)
    reader = orders.connect(autocommit=False)
    reader.execute("set transaction isolation level repeatable read")
    reader.execute("select 1 from pg_class limit 1")
    retries: list[Progress] = []

    def let_go_at_the_second_try(progress: Progress) -> None:
        if progress.phase is Phase.RETRY:
            with psycopg.connect(orders.dsn) as conn:
                row = conn.execute("select indisvalid from pg_index where indexrelid = %s::regclass", (INDEX.index,))
                assert row.fetchone() == (False,)
            retries.append(progress)
            reader.close()

    outcome = apply(
        planned(INDEX), orders.dsn, journal=Journal(tmp_path), progress=let_go_at_the_second_try, patience=FAST
    )
    assert len(retries) == 1
    assert states(outcome) == [StepState.KEPT]


def test_a_build_that_gives_up_leaves_no_invalid_index(
    orders: FreshDatabase, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    before = world(orders)
    monkeypatch.setattr(holders, "LONG_S", 1e9)
    monkeypatch.setattr(CreateIndex, "lock_budget_s", 0.2)
    reader = orders.connect(autocommit=False)
    reader.execute("set transaction isolation level repeatable read")
    reader.execute("select 1 from pg_class limit 1")
    outcome = applied(orders, tmp_path, INDEX)
    assert states(outcome) == [StepState.REFUSED]
    reader.close()
    assert world(orders) == before


# --- undo ------------------------------------------------------------------------------------------------------------


def test_undo_goes_newest_first_and_can_be_asked_for_a_run_or_a_step(orders: FreshDatabase, tmp_path: Path) -> None:
    before = world(orders)
    other = CreateIndex.on_columns("public", "orders", ["email"])
    first = applied(orders, tmp_path, INDEX)
    second = applied(orders, tmp_path, other, SetAutovacuum(schema="public", table="orders", reset=("fillfactor",)))
    assert [step.title for step in undone(orders, tmp_path, second.run_id).steps] == [
        "Change storage of public.orders: reset fillfactor",
        "Create index public.orders_email_idx",
    ]
    assert states(undone(orders, tmp_path, first.steps[0].step_id)) == [StepState.UNDONE]
    assert world(orders) == before
    assert undone(orders, tmp_path).steps == ()
    with pytest.raises(UsageError, match="knows no run or step"):
        undone(orders, tmp_path, "r0")


def test_undo_lists_what_has_no_undo(orders: FreshDatabase, tmp_path: Path) -> None:
    applied(orders, tmp_path, Analyze(schema="public", table="orders"), INDEX)
    outcome = undone(orders, tmp_path)
    assert states(outcome) == [StepState.UNDONE, StepState.IRREVERSIBLE]
    assert outcome.exit_code == 0


CHANGED_SINCE = {
    "create_index": (
        "drop index public.{index}",
        "create index {index} on orders (id)",
    ),
    "create_partitioned_index": (
        "drop index public.{index}",
        'create index {index} on "par""ted" (id)',
    ),
    "drop_index": ("create index orders_old on orders (id)",),
    "set_autovacuum": ("alter table orders set (fillfactor = 70)",),
    "set_role_setting": ("alter role app set statement_timeout = '77s'",),
    "set_database_setting": (
        "do $$ begin execute format('alter database %I set lock_timeout = ''77s''', current_database()); end $$",
    ),
    "replace_policy": ("alter policy orders_old on orders using (false)",),
    "enable_row_security": ("create policy since on orders using (true)",),
    "set_system_setting": ("alter system set work_mem = '9MB'",),
    "validate_constraint": (
        "alter table orders drop constraint orders_old",
        "alter table orders add constraint orders_old check (id > 0)",
    ),
    "alter_sequence_type": ("alter sequence orders_old maxvalue 9000000",),
    "create_extension": ("create schema elsewhere", "alter extension citext set schema elsewhere"),
    "create_statistics": (
        "drop statistics {index}",
        "create statistics {index} on id, owner from orders",
    ),
}


@pytest.mark.parametrize("kind", sorted(CHANGED_SINCE))
def test_undo_refuses_what_someone_else_changed_since(server18: FreshDatabase, tmp_path: Path, kind: str) -> None:
    step = prepare(server18, case(kind))
    applied(server18, tmp_path, step)
    for statement in CHANGED_SINCE[kind]:
        made = quote(step.statistics) if isinstance(step, CreateStatistics) else step.object[1]
        server18.execute(statement.replace("{index}", made.removeprefix("public.")))
    changed = world(server18)
    outcome = undone(server18, tmp_path)
    assert states(outcome) == [StepState.REFUSED]
    assert outcome.exit_code == 4
    assert world(server18) == changed
    assert not open_steps(fold(read(tmp_path)))


def test_undo_that_was_refused_in_part_says_so_by_its_exit_code(server18: FreshDatabase, tmp_path: Path) -> None:
    step = prepare(server18, case("replace_policy"))
    applied(server18, tmp_path, step, INDEX)
    server18.execute("alter policy orders_old on orders using (false)")
    outcome = undone(server18, tmp_path)
    assert sorted(states(outcome)) == [StepState.REFUSED, StepState.UNDONE]
    assert outcome.exit_code == 6


def test_what_others_changed_beside_it_survives_the_undo(server18: FreshDatabase, tmp_path: Path) -> None:
    step = prepare(server18, case("set_role_setting"))
    applied(server18, tmp_path, step)
    server18.execute("alter role app set random_page_cost = 1.1")
    assert states(undone(server18, tmp_path)) == [StepState.UNDONE]
    with psycopg.connect(server18.dsn) as conn:
        row = conn.execute("select setconfig from pg_db_role_setting").fetchone()
    assert row is not None
    assert set(row[0]) == {
        "work_mem=5MB", 'search_path="$user", "We", public', "statement_timeout=1h", "jit=off", "random_page_cost=1.1",
    }  # fmt: skip


def test_a_policy_that_was_changed_after_the_advice_is_not_overwritten(server18: FreshDatabase, tmp_path: Path) -> None:
    step = prepare(server18, case("replace_policy"))
    assert isinstance(step, ReplacePolicy)
    server18.execute("alter policy orders_old on orders using (owner = current_user and id < 10)")
    before = world(server18)
    outcome = applied(server18, tmp_path, step)
    assert states(outcome) == [StepState.REFUSED]
    assert "changed since the advice" in outcome.steps[0].reason
    assert world(server18) == before


# --- Ctrl-C ----------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("kind", ["create_index", "drop_index", "replace_policy", "set_role_setting"])
def test_ctrl_c_undoes_the_step_at_hand_in_each_phase(server18: FreshDatabase, tmp_path: Path, kind: str) -> None:
    step = prepare(server18, case(kind))
    before = world(server18)
    for phase in (
        Phase.PRECHECK, Phase.MEASURE_BEFORE, Phase.INTENT, Phase.DO, Phase.DONE, Phase.MEASURE_AFTER, Phase.OUTCOME,
    ):  # fmt: skip
        left: list[Phase] = [phase]

        def interrupt(progress: Progress, left: list[Phase] = left) -> None:
            if progress.phase in left:
                left.clear()
                raise KeyboardInterrupt

        with pytest.raises(KeyboardInterrupt):
            apply(planned(step), server18.dsn, journal=Journal(tmp_path / phase), progress=interrupt)
        assert world(server18) == before, phase
        history = fold(read(tmp_path / phase))
        assert not open_steps(history), phase
        assert history.runs[-1].end == "interrupted"
        assert verify(tmp_path / phase).records == len(read(tmp_path / phase))


def test_ctrl_c_in_a_statement_cancels_it_in_the_server(
    orders: FreshDatabase, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(holders, "LONG_S", 1e9)  # as if the holder came later
    before = world(orders)
    holder = orders.connect(autocommit=False)
    holder.execute("set transaction isolation level repeatable read")
    holder.execute("select 1 from pg_class limit 1")

    def press_when_it_waits() -> None:
        with psycopg.connect(orders.dsn, autocommit=True) as conn:
            waiting = "select 1 from pg_stat_progress_create_index where phase = 'waiting for old snapshots'"
            while conn.execute(waiting).fetchone() is None:
                time.sleep(0.01)
        os.kill(os.getpid(), signal.SIGINT)

    def begin_to_watch(progress: Progress) -> None:
        if progress.phase is Phase.DO:
            presser.start()

    presser = threading.Thread(target=press_when_it_waits)
    with pytest.raises(KeyboardInterrupt):
        apply(planned(INDEX), orders.dsn, journal=Journal(tmp_path), progress=begin_to_watch)
    presser.join()
    holder.close()
    assert world(orders) == before
    assert not open_steps(fold(read(tmp_path)))


def test_patience_grows_with_jitter_and_has_a_limit() -> None:
    patience = Patience(tries=9, pause_s=1.0, longest_pause_s=4.0)
    for attempt, full in ((2, 1.0), (3, 2.0), (4, 4.0), (8, 4.0)):
        pauses = [patience.pause_before(attempt) for _ in range(50)]
        assert full / 2 <= min(pauses) <= max(pauses) <= full
        assert len(set(pauses)) > 1
