"""Maintenance on real servers: each task takes what needs it, hurts nobody, and leaves nothing behind."""

from __future__ import annotations

import os
import shutil
import signal
import threading
import time
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import Any

import psycopg
import pytest
from tests.fix.server import FreshDatabase

from pgrunbook.errors import Refused, UsageError
from pgrunbook.journey.act.watching import Watching
from pgrunbook.journey.observe.observer import Observer
from pgrunbook.journey.steps import vacuum_full
from pgrunbook.journey.steps.runner import Patience, run_step
from pgrunbook.journey.steps.vacuum_full import PG_REPACK, VacuumFull
from pgrunbook.model.plan import Phase, Progress, RunOutcome, StepState
from pgrunbook.pg.connect import connect
from pgrunbook.procedures.maintain import ledger, working
from pgrunbook.procedures.maintain.arrangements import Arrangements, LowTraffic, PressureLimits
from pgrunbook.procedures.maintain.ledger import End
from pgrunbook.procedures.maintain.schedule import default
from pgrunbook.procedures.maintain.selection import Selection
from pgrunbook.procedures.maintain.tasks import Task
from pgrunbook.procedures.maintain.working import Work
from pgrunbook.record import Journal, verify

ANY_TRAFFIC = LowTraffic(scans_per_h=1e12, writes_per_h=1e12, known_s=0.0)
ARRANGED = Arrangements(
    schedule=default(), pressure=PressureLimits(active_per_core=1e6, active_ratio=1e6), low_traffic=ANY_TRAFFIC
)
TRIES = 3
FAST = Patience(tries=TRIES, pause_s=0.05, longest_pause_s=0.1)
WAIT_LIMIT_S = 60.0
AIR = (
    "create table air (id int primary key, t text) with (autovacuum_enabled = off)",
    "insert into air select g, repeat('x', 200) from generate_series(1, 30000) as g",
    "delete from air where id % 25 <> 0",
)


def until(holds: Callable[[], Any]) -> Any:
    """Poll until something holds, and return it."""
    deadline = time.monotonic() + WAIT_LIMIT_S
    while not (found := holds()):
        assert time.monotonic() < deadline, "it did not come to pass"
        time.sleep(0.02)
    return found


def counters_are_in(pg: FreshDatabase, table: str, column: str, at_least: int) -> None:
    """Wait until the counters of a table have arrived (before 15 they travel by a collector)."""

    def arrived() -> bool:
        row = pg.connect().execute(f"select {column} from pg_stat_user_tables where relname = '{table}'").fetchone()
        return row is not None and int(row[0]) >= at_least

    until(arrived)


def make_air(pg: FreshDatabase) -> None:
    """A table and an index that are mostly air, with counters and statistics that know it."""
    pg.execute(*AIR)
    counters_are_in(pg, "air", "n_tup_del", 28_800)
    pg.execute("vacuum (analyze, truncate off) air")


def select(pg: FreshDatabase, task: Task, arranged: Arrangements = ARRANGED, **changed: Any) -> Selection:
    return working.select(work(task, arranged, **changed), working.look(pg.dsn, arranged, task))


def work(task: Task, arranged: Arrangements = ARRANGED, **changed: Any) -> Work:
    return Work(task=task, arrangements=arranged, **changed)


def carry_out(
    pg: FreshDatabase, task: Task, folder: Path, arranged: Arrangements = ARRANGED, **more: Any
) -> RunOutcome:
    seen = working.look(pg.dsn, arranged, task)
    wished = work(task, arranged)
    chosen = working.select(wished, seen)
    return working.carry_out(wished, chosen, pg.dsn, target=seen.target, journal=Journal(folder), patience=FAST, **more)


def objects(selection: Selection) -> list[str]:
    return [chosen.step.object[1] for chosen in selection.chosen]


def test_each_task_takes_what_needs_it_and_then_nothing_more(pg: FreshDatabase, tmp_path: Path) -> None:
    pg.execute(
        "create extension pgstattuple",
        "create table cold (id int)",
        "insert into cold values (1)",
        'create table "Hot; drop" (id int primary key, t text) with (autovacuum_enabled = off)',
        """insert into "Hot; drop" select g, 'x' from generate_series(1, 3000) as g""",
        'analyze "Hot; drop"',
        """update "Hot; drop" set t = 'y'""",
        "create table tree (id int, t text) partition by range (id)",
        "create table leaf_1 partition of tree for values from (0) to (5000)",
        "create table leaf_2 partition of tree for values from (5000) to (10000)",
        "insert into tree select g, 'x' from generate_series(0, 9999) as g",
    )
    make_air(pg)
    counters_are_in(pg, "Hot; drop", "n_dead_tup", 3000)
    counters_are_in(pg, "leaf_2", "n_mod_since_analyze", 5000)
    hot = select(pg, Task.VACUUM)
    assert {'public."Hot; drop"', "public.leaf_1", "public.leaf_2"} <= set(objects(hot))
    assert not {"public.cold", "public.tree"} & set(objects(hot))
    assert "3,000 dead rows (" in next(c.reason for c in hot.chosen if "Hot" in c.step.object[1])

    changed = select(pg, Task.STATISTICS)
    assert objects(changed)[0] == "public.tree"
    assert "never analyzed as a whole" in changed.chosen[0].reason
    assert not {"public.leaf_1", "public.leaf_2", "public.cold"} & set(objects(changed))

    assert objects(select(pg, Task.REINDEX)) == ["public.air_pkey"]
    assert objects(select(pg, Task.VACUUM_FULL)) == ["public.air"]

    for task in (Task.VACUUM, Task.STATISTICS, Task.REINDEX, Task.VACUUM_FULL):
        outcome = carry_out(pg, task, tmp_path)
        assert outcome.exit_code == 0, outcome
        assert outcome.count(StepState.KEPT) == len(outcome.steps) > 0
        assert objects(select(pg, task)) == [], task
    assert [one.end for one in ledger.load(tmp_path)] == [End.DONE] * 4
    with psycopg.connect(pg.dsn, autocommit=True) as conn:
        assert conn.execute("select count(*) from air").fetchone() == (1200,)
        Watching(pg.dsn, conn.info.backend_pid, lambda *_: None)._look(conn)
    assert verify(tmp_path).records > 12


def test_without_rights_on_a_table_it_is_left_out_and_said(server18: FreshDatabase) -> None:
    server18.execute(
        "create role owning",
        "create table theirs (id int) with (autovacuum_enabled = off)",
        "insert into theirs select generate_series(1, 5000)",
        "delete from theirs where id > 100",
        "alter table theirs owner to owning",
    )
    counters_are_in(server18, "theirs", "n_dead_tup", 4900)
    role = server18.role("plain")
    dsn = server18.dsn_as(role)
    chosen = working.select(work(Task.VACUUM), working.look(dsn, ARRANGED, Task.VACUUM))
    assert not chosen.chosen
    assert [(one.object, one.reason) for one in chosen.left_out] == [("public.theirs", "it belongs to owning")]
    server18.execute("grant maintain on theirs to plain")
    chosen = working.select(work(Task.VACUUM), working.look(dsn, ARRANGED, Task.VACUUM))
    assert objects(chosen) == ["public.theirs"]


def test_tables_that_are_used_or_not_known_to_be_unused_are_not_rewritten(server18: FreshDatabase) -> None:
    make_air(server18)
    young = select(server18, Task.VACUUM_FULL, replace(ARRANGED, low_traffic=LowTraffic()))
    assert not young.chosen
    assert "traffic is not known" in young.left_out[0].reason
    for low, words in (
        (replace(ANY_TRAFFIC, writes_per_h=1000.0), "rows an hour are written"),  # 58,800 since the server began
        (replace(ANY_TRAFFIC, scans_per_h=0.0), "times an hour"),
    ):
        busy = select(server18, Task.VACUUM_FULL, replace(ARRANGED, low_traffic=low))
        assert words in busy.left_out[0].reason
    server18.execute("select pg_create_physical_replication_slot('nobody', true)")
    stuck = select(server18, Task.VACUUM_FULL)
    assert "slot nobody has no reader" in stuck.left_out[0].reason
    with pytest.raises(UsageError, match="extension pg_repack is not installed"):
        select(server18, Task.VACUUM_FULL, way=PG_REPACK)


def test_with_a_long_reader_a_rewrite_gives_up_and_bystanders_wait_no_longer_than_its_tries(
    server18: FreshDatabase, tmp_path: Path
) -> None:
    make_air(server18)
    before = server18.connect().execute("select pg_relation_filenode('air')").fetchone()
    reader = server18.connect(autocommit=False)
    reader.execute("select count(*) from air")
    budget_s = VacuumFull(schema="public", table="air").lock_budget_s
    failures, served, waited, over = list[str](), list[int](), threading.Event(), threading.Event()

    def stand_by() -> None:
        with psycopg.connect(server18.dsn, autocommit=True) as conn:
            conn.execute(f"set lock_timeout = '{budget_s * TRIES}s'".encode())
            while not over.is_set():
                try:
                    conn.execute("select count(*) from air")
                    served.append(1)
                except psycopg.errors.LockNotAvailable as exc:
                    failures.append(str(exc))

    def look_for_a_queue() -> None:
        with psycopg.connect(server18.dsn, autocommit=True) as conn:
            while not over.is_set() and not waited.is_set():
                row = conn.execute(
                    "select count(*) from pg_locks where relation = 'air'::regclass and not granted"
                    " and mode = 'AccessShareLock'"
                ).fetchone()
                if row is not None and row[0]:
                    waited.set()

    threads = [threading.Thread(target=target) for target in (stand_by, stand_by, look_for_a_queue)]
    for thread in threads:
        thread.start()
    outcome = carry_out(server18, Task.VACUUM_FULL, tmp_path)
    over.set()
    for thread in threads:
        thread.join()
    assert [step.state for step in outcome.steps] == [StepState.REFUSED]
    assert outcome.exit_code == 4
    assert f"within {budget_s:g} s in {TRIES} tries" in outcome.steps[0].reason
    assert waited.is_set()
    assert not failures
    assert served
    assert server18.connect().execute("select pg_relation_filenode('air')").fetchone() == before
    assert ledger.load(tmp_path)[-1].end is End.REFUSED


def test_no_further_step_is_begun_when_pressure_comes_or_the_time_is_up(
    server18: FreshDatabase, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    for name in ("one", "two"):
        server18.execute(
            f"create table {name} (id int) with (autovacuum_enabled = off)",
            f"insert into {name} select generate_series(1, 5000)",
            f"delete from {name} where id > 100",
        )
        counters_are_in(server18, name, "n_dead_tup", 4900)
    arranged = replace(ARRANGED, pressure=replace(ARRANGED.pressure, connections_ratio=0.3))

    def crowd(news: Progress) -> None:
        if news.phase is Phase.OUTCOME and news.number == 1:
            for _ in range(20):
                server18.connect()

    outcome = carry_out(server18, Task.VACUUM, tmp_path / "crowd", arranged, progress=crowd)
    assert [step.state for step in outcome.steps] == [StepState.KEPT, StepState.REFUSED]
    assert "connections are taken" in outcome.steps[1].reason
    assert ledger.load(tmp_path / "crowd")[-1].end is End.IN_PART
    late = carry_out(server18, Task.VACUUM, tmp_path / "late", replace(ARRANGED, longest_s=-1.0))
    assert [step.state for step in late.steps] == [StepState.REFUSED]
    assert "no further step is begun after" in late.steps[0].reason
    monkeypatch.setenv("XDG_STATE_HOME", str(tmp_path))
    (tmp_path / "pgrunbook").mkdir()
    (tmp_path / "pgrunbook" / "stop").touch()
    stopped = carry_out(server18, Task.VACUUM, tmp_path / "stopped", insist=True)
    assert [step.state for step in stopped.steps] == [StepState.REFUSED]
    assert "stop forbids it" in stopped.steps[0].reason


def test_what_a_killed_repack_left_is_named_and_cleared_away(server18: FreshDatabase) -> None:
    make_air(server18)
    server18.execute(
        "create schema repack",
        "create function repack.f() returns trigger language plpgsql as 'begin return new; end'",
        "create trigger repack_trigger after insert on air for each row execute function repack.f()",
        """do $$ begin execute format('create table repack.%I (id int)', 'log_' || 'air'::regclass::oid);
           execute format('create type repack.%I as (id int)', 'pk_' || 'air'::regclass::oid); end $$""",
    )
    (chosen,) = select(server18, Task.VACUUM_FULL).chosen
    assert "left there is cleared away first: trigger repack_trigger on public.air, table repack.log_" in chosen.reason
    busy = select(server18, Task.VACUUM_FULL, replace(ARRANGED, low_traffic=LowTraffic()))
    assert "DROP TRIGGER repack_trigger ON public.air;" in busy.left_out[-1].reason
    step = VacuumFull(schema="public", table="air")
    oid = server18.connect().execute("select 'air'::regclass::oid::int8").fetchone()
    assert oid is not None
    at_work = psycopg.connect(server18.dsn, application_name="pg_repack")
    with connect(server18.dsn, station="test") as conn:
        server = Observer(conn).server
        with pytest.raises(Refused, match="a pg_repack is at work"):
            run_step(step, conn, server, patience=FAST)
        at_work.close()
        until(
            lambda: conn.execute(
                "select 1 where not exists (select from pg_stat_activity where application_name = 'pg_repack')"
            ).fetchone()
        )
        ran = run_step(step, conn, server, patience=FAST)
    assert ran.before["leftovers"] == (
        "trigger repack_trigger on public.air", f"table repack.log_{oid[0]}", f"type repack.pk_{oid[0]}",
    )  # fmt: skip
    left = server18.connect().execute(
        "select count(*) from pg_class where relnamespace = 'repack'::regnamespace"
        " union all select count(*) from pg_trigger where tgname = 'repack_trigger'"
    )
    assert left.fetchall() == [(0,), (0,)]


@pytest.mark.parametrize(
    "schema,table,words",
    [
        ("pg_catalog", "pg_class", "system tables are never rewritten"),
        ("information_schema", "sql_features", "system tables are never rewritten"),
        ("public", "tree", "is partitioned"),
        ("public", "nothing", "there is no table"),
    ],
)
def test_what_must_not_be_rewritten_is_refused(server18: FreshDatabase, schema: str, table: str, words: str) -> None:
    server18.execute("create table tree (id int) partition by range (id)")
    with connect(server18.dsn, station="test") as conn, pytest.raises(Refused, match=words):
        VacuumFull(schema=schema, table=table).precheck(conn, Observer(conn).server)


def test_without_room_for_the_copy_nothing_is_begun(server18: FreshDatabase, monkeypatch: pytest.MonkeyPatch) -> None:
    make_air(server18)
    monkeypatch.setattr(vacuum_full, "free_bytes", lambda *_: 100_000)
    with connect(server18.dsn, station="test") as conn, pytest.raises(Refused, match=r"only 98 kB are free"):
        VacuumFull(schema="public", table="air").precheck(conn, Observer(conn).server)


@pytest.mark.pg("== 15")
def test_pg_repack_rewrites_where_it_is_installed_and_its_killed_run_is_mended(pg: FreshDatabase) -> None:
    known = pg.connect().execute("select 1 from pg_available_extensions where name = 'pg_repack'").fetchone()
    if known is None or shutil.which("pg_repack") is None:
        pytest.skip("apt-get install postgresql-15-repack")
    pg.execute("create extension pg_repack")
    make_air(pg)
    assert [c.step.title for c in select(pg, Task.VACUUM_FULL).chosen] == ["Rewrite public.air with pg_repack"]
    step = VacuumFull(schema="public", table="air", by=PG_REPACK)
    reader = pg.connect(autocommit=False)
    reader.execute("select count(*) from air")
    with connect(pg.dsn, station="test") as conn:
        server = Observer(conn).server
        with pytest.raises(Refused):  # pg_repack gives up before the reader, and we clear away after it
            run_step(step, conn, server, patience=FAST)
        assert step.capture(conn)["leftovers"] == ()

        reader.close()
        holder = pg.connect(autocommit=False)  # pg_repack waits for it when its trigger is in place
        holder.execute("select count(*) from pg_class")
        killer = threading.Thread(target=_kill_repack, args=(pg,))
        killer.start()
        before = step.capture(conn)
        with pytest.raises(Refused, match="ended with -9"):
            step.do(conn)
        killer.join()
        left = step.capture(conn)["leftovers"]
        assert isinstance(left, tuple)
        assert any("trigger repack_trigger on public.air" in str(name) for name in left)
        holder.close()
        ran = run_step(step, conn, server, before=before, patience=FAST)
        assert ran.tries == 1
        assert step.capture(conn)["leftovers"] == ()
        assert step.done(conn, before)
        assert conn.execute("select count(*), sum(id) from public.air").fetchone() == (1200, 25 * 1200 * 1201 // 2)


def _kill_repack(pg: FreshDatabase) -> None:
    """Kill the program while it waits for the reader, when its trigger is in place."""
    import psutil  # noqa: PLC0415

    with psycopg.connect(pg.dsn, autocommit=True) as conn:
        until(lambda: conn.execute("select 1 from pg_trigger where tgname = 'repack_trigger'").fetchone())
        for process in psutil.Process(os.getpid()).children():
            if process.name() == "pg_repack":
                process.send_signal(signal.SIGKILL)
        conn.execute("select pg_terminate_backend(pid) from pg_stat_activity where application_name = 'pg_repack'")


def test_an_invalid_index_is_named_and_left_to_another_command(server18: FreshDatabase) -> None:
    server18.execute("create table t (a int)", "insert into t values (1), (1)")
    with pytest.raises(psycopg.errors.UniqueViolation):
        server18.execute("create unique index concurrently broken on t (a)")
    found = select(server18, Task.REINDEX)
    assert not found.chosen
    assert [one.object for one in found.left_out] == ["public.broken"]
    assert "apply --only invalid_index" in found.left_out[0].reason


def test_who_may_not_see_other_sessions_is_told_so_and_not_that_all_is_well(server18: FreshDatabase) -> None:
    seen = working.look(server18.dsn_as(server18.role("plain")), ARRANGED)
    assert [one.cure for one in seen.outlook.blind] == ["GRANT pg_read_all_stats TO plain;"]
    assert seen.free_bytes is None
    assert working.look(server18.dsn, ARRANGED).free_bytes
