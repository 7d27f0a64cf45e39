"""The vacuum family on real servers: healthy, fault, fixed, blindfolded; and what must not be taken for a fault."""

from __future__ import annotations

import psycopg
import pytest
from tests.fix.replica import wait_for_replay
from tests.fix.server import FreshDatabase
from tests.fix.story import ask, counted, mend, objects, paste, the_finding

from pgrunbook.lab import Cluster
from pgrunbook.model import Kind, Severity

# Autovacuum of the test server naps for a minute; a table of its own story is kept out of its way by a huge threshold,
# which is what judges see too, so stories about triggers stop the launcher instead.
QUIET = "alter system set autovacuum_naptime = '1d'"


@pytest.fixture
def quiet(pg: FreshDatabase) -> FreshDatabase:
    """A server whose autovacuum is on but will not come during the test."""
    pg.execute(QUIET, "select pg_reload_conf()")
    return pg


def filled(db: FreshDatabase, name: str = "t", rows: int = 100_000, options: str = "") -> None:
    db.execute(
        f"create table {name} (id int primary key, v int, pad text) {options}",
        f"insert into {name} select i, i, repeat('x', 20) from generate_series(1, {rows}) i",
    )
    db.execute(f"vacuum (analyze) {name}")  # in a session of its own: its counters come after those of the insert
    counted(db, f"relid = '{name}'::regclass and n_mod_since_analyze = 0 and n_live_tup > 0")


# --- dead_rows ------------------------------------------------------------------------------------


def test_dead_rows_are_found_and_vacuumed_away(quiet: FreshDatabase) -> None:
    filled(quiet)
    assert ask(quiet.dsn, "dead_rows").ok == ("dead_rows",)

    quiet.execute("update t set v = v + 1 where id % 10 < 3")
    counted(quiet, "n_dead_tup > 25000")
    found = the_finding(ask(quiet.dsn, "dead_rows"))
    assert (found.severity, found.kind, found.object) == (Severity.WARNING, Kind.TABLE, "public.t")
    assert found.evidence["dead_rows"] == pytest.approx(30_000, rel=0.05)
    assert found.evidence["trigger_rows"] == 20_050

    mend(quiet, found)
    counted(quiet, "n_dead_tup < 100")
    assert ask(quiet.dsn, "dead_rows").ok == ("dead_rows",)


def test_few_dead_rows_are_no_fault(quiet: FreshDatabase) -> None:
    filled(quiet, "big")
    filled(quiet, "small", rows=500)
    quiet.execute("update big set v = 0 where id <= 10000", "update small set v = 0")
    counted(quiet, "relname = 'small' and n_dead_tup > 400")
    counted(quiet, "relname = 'big' and n_dead_tup > 9000")
    assert ask(quiet.dsn, "dead_rows").ok == ("dead_rows",)


def test_dead_rows_are_judged_by_the_tables_own_options(quiet: FreshDatabase) -> None:
    filled(quiet, options="with (autovacuum_vacuum_scale_factor = 0.01, autovacuum_vacuum_threshold = 0)")
    quiet.execute("update t set v = 0 where id <= 9000")
    counted(quiet, "n_dead_tup > 8000")
    assert objects(ask(quiet.dsn, "dead_rows")) == ["public.t"]


def test_dead_rows_of_partitions_are_one_finding_about_the_parent(quiet: FreshDatabase) -> None:
    quiet.execute(
        "create table p (id int, v int) partition by range (id)",
        "create table p1 partition of p for values from (0) to (50000)",
        "create table p2 partition of p for values from (50000) to (100001)",
        "insert into p select i, i from generate_series(1, 100000) i",
    )
    quiet.execute("vacuum (analyze) p")
    quiet.execute("update p set v = v + 1 where id % 2 = 0")
    counted(quiet, "relname = 'p2' and n_dead_tup > 20000")
    found = the_finding(ask(quiet.dsn, "dead_rows"))
    assert (found.object, found.related) == ("public.p", ("public.p1", "public.p2"))
    for advice in found.advice:
        paste(quiet, advice.sql)
    counted(quiet, "relname = 'p2' and n_dead_tup < 100")
    assert ask(quiet.dsn, "dead_rows").ok == ("dead_rows",)


def test_dead_rows_name_the_session_that_keeps_them(quiet: FreshDatabase) -> None:
    filled(quiet)
    holder = quiet.connect(autocommit=False)
    holder.execute("set transaction isolation level repeatable read")
    holder.execute("select count(*) from t")
    quiet.execute("update t set v = v + 1")
    counted(quiet, "n_dead_tup > 90000")
    found = the_finding(ask(quiet.dsn, "dead_rows", holder_s=0.0))
    assert found.evidence["held_by"] == f"backend {holder.info.backend_pid}"


def test_dead_rows_need_no_special_right(quiet: FreshDatabase) -> None:
    quiet.role("plain")
    filled(quiet)
    quiet.execute("update t set v = v + 1")
    counted(quiet, "n_dead_tup > 90000")
    assert objects(ask(quiet.dsn_as("plain"), "dead_rows")) == ["public.t"]


@pytest.mark.parametrize("check", ["dead_rows", "stale_statistics"])
def test_blind_when_nobody_counts(quiet: FreshDatabase, check: str) -> None:
    quiet.execute("alter system set track_counts = off", "select pg_reload_conf()")
    diagnosis = ask(quiet.dsn, check)
    assert diagnosis.ok == ()
    assert "track_counts" in diagnosis.blind[0].cure


@pytest.mark.parametrize("check", ["dead_rows", "stale_statistics"])
def test_blind_on_a_standby(server18: FreshDatabase, replica: Cluster, check: str) -> None:
    wait_for_replay(server18.cluster, replica)
    diagnosis = ask(replica.dsn(server18.name), check)
    assert [blind.check for blind in diagnosis.blind] == [check]
    assert "primary" in diagnosis.blind[0].cure


# --- stale_statistics -----------------------------------------------------------------------------


def test_stale_statistics_are_found_and_gathered(quiet: FreshDatabase) -> None:
    filled(quiet)
    assert ask(quiet.dsn, "stale_statistics").ok == ("stale_statistics",)

    quiet.execute("update t set v = 0 where id % 10 < 3")
    counted(quiet, "n_mod_since_analyze > 25000")
    found = the_finding(ask(quiet.dsn, "stale_statistics"))
    assert (found.severity, found.kind, found.object) == (Severity.WARNING, Kind.TABLE, "public.t")
    assert found.evidence["modified_ratio"] == pytest.approx(0.3, rel=0.05)

    mend(quiet, found)
    counted(quiet, "n_mod_since_analyze = 0")
    assert ask(quiet.dsn, "stale_statistics").ok == ("stale_statistics",)


def test_a_few_changes_leave_statistics_fresh(quiet: FreshDatabase) -> None:
    filled(quiet, "big")
    filled(quiet, "small", rows=300)
    quiet.execute("update big set v = 0 where id <= 11000", "update small set v = 0")
    counted(quiet, "relname = 'big' and n_mod_since_analyze > 10000")
    counted(quiet, "relname = 'small' and n_mod_since_analyze > 200")
    assert ask(quiet.dsn, "stale_statistics").ok == ("stale_statistics",)


def test_statistics_gathered_right_after_the_load_are_fresh(quiet: FreshDatabase) -> None:
    """The load's counters may arrive after ANALYZE's, as if all rows had come since."""
    quiet.execute(
        "create table t (id int primary key, v int)",
        "insert into t select i, i from generate_series(1, 5000) i",
        "insert into t select i, i from generate_series(5001, 20000) i",
        "analyze t",
    )
    counted(quiet, "n_tup_ins = 20000 and last_analyze is not null")
    assert ask(quiet.dsn, "stale_statistics").ok == ("stale_statistics",)

    quiet.execute("update t set v = 0 where id % 2 = 0")
    counted(quiet, "n_tup_upd >= 9000")
    assert objects(ask(quiet.dsn, "stale_statistics")) == ["public.t"]


# --- autovacuum_disabled --------------------------------------------------------------------------


def test_a_table_without_autovacuum_is_found_and_given_it_back(pg: FreshDatabase) -> None:
    filled(pg, rows=5000)
    assert ask(pg.dsn, "autovacuum_disabled").ok == ("autovacuum_disabled",)

    pg.execute("alter table t set (autovacuum_enabled = FALSE, toast.autovacuum_enabled = off, fillfactor = 90)")
    found = the_finding(ask(pg.dsn, "autovacuum_disabled"))
    assert (found.severity, found.kind, found.object) == (Severity.WARNING, Kind.TABLE, "public.t")

    advice = mend(pg, found)
    assert ask(pg.dsn, "autovacuum_disabled").ok == ("autovacuum_disabled",)
    paste(pg, advice.undo_sql)
    again = the_finding(ask(pg.dsn, "autovacuum_disabled"))
    assert again.evidence["options"] == ("autovacuum_enabled", "toast.autovacuum_enabled")
    with psycopg.connect(pg.dsn) as conn:
        options = conn.execute("select reloptions from pg_class where relname = 't'").fetchone()
    assert sorted(options[0]) == ["autovacuum_enabled=false", "fillfactor=90"]


def test_a_list_that_nobody_changes_needs_no_autovacuum(pg: FreshDatabase) -> None:
    pg.execute(
        "create table countries (code text) with (autovacuum_enabled = off)",
        "insert into countries select i::text from generate_series(1, 200) i",
        "create table explicit (i int) with (autovacuum_enabled = on)",
    )
    counted(pg, "n_live_tup = 200")
    diagnosis = ask(pg.dsn, "autovacuum_disabled")
    assert [(f.object, f.severity) for f in diagnosis.findings] == [("public.countries", Severity.NOTICE)]


def test_a_server_without_autovacuum_is_critical_and_mended(pg: FreshDatabase) -> None:
    pg.execute("alter system set autovacuum = off", "select pg_reload_conf()")
    found = the_finding(ask(pg.dsn, "autovacuum_disabled"))
    assert (found.severity, found.kind, found.object) == (Severity.CRITICAL, Kind.SERVER, "server")
    advice = mend(pg, found)
    assert ask(pg.dsn, "autovacuum_disabled").ok == ("autovacuum_disabled",)
    paste(pg, advice.undo_sql)
    assert objects(ask(pg.dsn, "autovacuum_disabled")) == ["server"]
