"""The vacuum family on real servers: healthy, fault, fixed, blindfolded; and what must not be taken for a fault."""

from __future__ import annotations

import psycopg
import pytest
from tests.fix.replica import wait_for_replay
from tests.fix.server import TEMPLATE, FreshDatabase
from tests.fix.story import ask, counted, eventually, mend, objects, paste, run, the_finding, until

from pgrunbook.lab import Cluster, start_replica
from pgrunbook.model import Finding, Kind, Severity
from pgrunbook.model.diagnosis import Diagnosis

pytestmark = pytest.mark.pg("!= 15, != 16, != 17")  # test_every_check tells a story a check on those

NEWEST = pytest.mark.pg("== 18")  # what does not differ between majors need not be asked of all of them

# Autovacuum of the test server naps for a minute; a table of its own story is kept out of its way by a huge threshold,
# which is what judges see too, so stories about triggers stop the launcher instead.
QUIET = "alter system set autovacuum_naptime = '1d'"


@pytest.fixture
def quiet(pg: FreshDatabase) -> FreshDatabase:
    """A server whose autovacuum is on but will not come during the test."""
    pg.execute(QUIET, "select pg_reload_conf()")
    return pg


def filled(db: FreshDatabase, name: str = "t", rows: int = 100_000, options: str = "") -> None:
    run(
        db,
        f"create table {name} (id int primary key, v int, pad text) {options}",
        f"insert into {name} select i, i, repeat('x', 20) from generate_series(1, {rows}) i",
    )
    run(db, f"vacuum (analyze) {name}")  # in a session of its own: its counters come after those of the insert
    counted(db, f"relid = '{name}'::regclass and n_mod_since_analyze = 0 and n_live_tup > 0")


# --- dead_rows ------------------------------------------------------------------------------------


def test_dead_rows_are_found_and_vacuumed_away(quiet: FreshDatabase) -> None:
    filled(quiet)
    assert ask(quiet.dsn, "dead_rows").ok == ("dead_rows",)

    run(quiet, "update t set v = v + 1 where id % 10 < 3")
    counted(quiet, "n_dead_tup > 25000")
    found = the_finding(ask(quiet.dsn, "dead_rows"))
    assert (found.severity, found.kind, found.object) == (Severity.WARNING, Kind.TABLE, "public.t")
    assert found.evidence["dead_rows"] == pytest.approx(30_000, rel=0.05)
    assert found.evidence["trigger_rows"] == 20_050

    mend(quiet, found)
    counted(quiet, "n_dead_tup < 100")
    assert ask(quiet.dsn, "dead_rows").ok == ("dead_rows",)


@NEWEST
def test_few_dead_rows_are_no_fault(quiet: FreshDatabase) -> None:
    filled(quiet, "big")
    filled(quiet, "small", rows=500)
    run(quiet, "update big set v = 0 where id <= 10000", "update small set v = 0")
    counted(quiet, "relname = 'small' and n_dead_tup > 400")
    counted(quiet, "relname = 'big' and n_dead_tup > 9000")
    assert ask(quiet.dsn, "dead_rows").ok == ("dead_rows",)


@NEWEST
def test_dead_rows_are_judged_by_the_tables_own_options(quiet: FreshDatabase) -> None:
    filled(quiet, options="with (autovacuum_vacuum_scale_factor = 0.01, autovacuum_vacuum_threshold = 0)")
    run(quiet, "update t set v = 0 where id <= 9000")
    counted(quiet, "n_dead_tup > 8000")
    assert objects(ask(quiet.dsn, "dead_rows")) == ["public.t"]


@NEWEST
def test_dead_rows_of_partitions_are_one_finding_about_the_parent(quiet: FreshDatabase) -> None:
    run(
        quiet,
        "create table p (id int, v int) partition by range (id)",
        "create table p1 partition of p for values from (0) to (50000)",
        "create table p2 partition of p for values from (50000) to (100001)",
        "insert into p select i, i from generate_series(1, 100000) i",
    )
    run(quiet, "vacuum (analyze) p")
    run(quiet, "update p set v = v + 1 where id % 2 = 0")
    counted(quiet, "relname = 'p2' and n_dead_tup > 20000")
    found = the_finding(ask(quiet.dsn, "dead_rows"))
    assert (found.object, found.related) == ("public.p", ("public.p1", "public.p2"))
    for advice in found.advice:
        paste(quiet, advice.sql)
    counted(quiet, "relname = 'p2' and n_dead_tup < 100")
    assert ask(quiet.dsn, "dead_rows").ok == ("dead_rows",)


@NEWEST
def test_dead_rows_name_the_session_that_keeps_them(quiet: FreshDatabase) -> None:
    filled(quiet)
    holder = quiet.connect(autocommit=False)
    holder.execute("set transaction isolation level repeatable read")
    holder.execute("select count(*) from t")
    run(quiet, "update t set v = v + 1")
    counted(quiet, "n_dead_tup > 90000")
    found = the_finding(ask(quiet.dsn, "dead_rows", holder_s=0.0))
    assert found.evidence["held_by"] == f"backend {holder.info.backend_pid}"


@NEWEST
def test_dead_rows_need_no_special_right(quiet: FreshDatabase) -> None:
    quiet.role("plain")
    filled(quiet)
    run(quiet, "update t set v = v + 1")
    counted(quiet, "n_dead_tup > 90000")
    assert objects(ask(quiet.dsn_as("plain"), "dead_rows")) == ["public.t"]


@NEWEST
@pytest.mark.parametrize("check", ["dead_rows", "stale_statistics"])
def test_blind_when_nobody_counts(quiet: FreshDatabase, check: str) -> None:
    run(quiet, "alter system set track_counts = off", "select pg_reload_conf()")
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

    run(quiet, "update t set v = 0 where id % 10 < 3")
    counted(quiet, "n_mod_since_analyze > 25000")
    found = the_finding(ask(quiet.dsn, "stale_statistics"))
    assert (found.severity, found.kind, found.object) == (Severity.WARNING, Kind.TABLE, "public.t")
    assert found.evidence["modified_ratio"] == pytest.approx(0.3, rel=0.05)

    mend(quiet, found)
    counted(quiet, "n_mod_since_analyze = 0")
    assert ask(quiet.dsn, "stale_statistics").ok == ("stale_statistics",)


@NEWEST
def test_a_few_changes_leave_statistics_fresh(quiet: FreshDatabase) -> None:
    filled(quiet, "big")
    filled(quiet, "small", rows=300)
    run(quiet, "update big set v = 0 where id <= 11000", "update small set v = 0")
    counted(quiet, "relname = 'big' and n_mod_since_analyze > 10000")
    counted(quiet, "relname = 'small' and n_mod_since_analyze > 200")
    assert ask(quiet.dsn, "stale_statistics").ok == ("stale_statistics",)


def test_statistics_gathered_right_after_the_load_are_fresh(quiet: FreshDatabase) -> None:
    """The load's counters may arrive after ANALYZE's, as if all rows had come since."""
    run(
        quiet,
        "create table t (id int primary key, v int)",
        "insert into t select i, i from generate_series(1, 5000) i",
        "insert into t select i, i from generate_series(5001, 20000) i",
        "analyze t",
    )
    counted(quiet, "n_tup_ins = 20000 and last_analyze is not null")
    assert ask(quiet.dsn, "stale_statistics").ok == ("stale_statistics",)

    run(quiet, "update t set v = 0 where id % 2 = 0")
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


@NEWEST
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


# --- never_analyzed --------------------------------------------------------------------------------------------------


def test_a_table_without_statistics_is_found_and_analyzed(quiet: FreshDatabase) -> None:
    check = "never_analyzed"
    quiet.role("plain")
    run(quiet, "create table t (i int, v text)", "create table small (i int)", "insert into small values (1)")
    assert ask(quiet.dsn, check).ok == (check,)
    run(quiet, "insert into t select i, 'x' from generate_series(1, 20000) i")
    counted(quiet, "n_live_tup = 20000")
    found = the_finding(ask(quiet.dsn_as("plain"), check))
    assert (found.severity, found.kind, found.object) == (Severity.WARNING, Kind.TABLE, "public.t")
    assert ask(quiet.dsn, "stale_statistics").ok == ("stale_statistics",)  # one defect, one finding
    mend(quiet, found)
    counted(quiet, "last_analyze is not null")
    assert ask(quiet.dsn, check).ok == (check,)


@NEWEST
def test_a_table_that_was_only_vacuumed_has_no_statistics_either(quiet: FreshDatabase) -> None:
    run(quiet, "create table t (i int)", "insert into t select generate_series(1, 20000)")
    run(quiet, "vacuum t")
    counted(quiet, "n_live_tup = 20000 and last_vacuum is not null")
    assert objects(ask(quiet.dsn, "never_analyzed")) == ["public.t"]
    assert ask(quiet.dsn, "stale_statistics").ok == ("stale_statistics",)


@NEWEST
def test_partitions_without_statistics_are_one_finding_and_the_whole_without_a_notice(quiet: FreshDatabase) -> None:
    run(
        quiet,
        "create table p (id int) partition by range (id)",
        "create table p1 partition of p for values from (0) to (10000)",
        "create table p2 partition of p for values from (10000) to (20001)",
        "insert into p select generate_series(0, 20000)",
    )
    counted(quiet, "relname = 'p2' and n_live_tup > 9000")
    found = the_finding(ask(quiet.dsn, "never_analyzed"))
    assert (found.object, found.related) == ("public.p", ("public.p1", "public.p2"))
    for advice in found.advice:
        paste(quiet, advice.sql)
    assert ask(quiet.dsn, "never_analyzed").ok == ("never_analyzed",)
    assert the_finding(ask(quiet.dsn, "never_analyzed", partitioned_rows=20_000)).severity is Severity.NOTICE


# --- table_bloat, toast_bloat ----------------------------------------------------------------------------------------


def bloated(db: FreshDatabase) -> None:
    """A table of 17 MB of which a fifth is left, in pages that cannot be cut off."""
    run(
        db,
        "create table t (id int, flag bool, at timestamptz, pad text, note text)",
        "insert into t select i, true, now(), repeat('x', 100), null from generate_series(1, 100000) i",
    )
    run(db, "delete from t where id % 5 > 0")
    run(db, "vacuum (analyze, truncate false) t")
    counted(db, "n_mod_since_analyze = 0 and n_live_tup between 19000 and 21000")


def test_a_bloated_table_is_estimated_measured_and_rewritten(quiet: FreshDatabase) -> None:
    check = "table_bloat"
    filled(quiet, "healthy")
    assert ask(quiet.dsn, check).ok == (check,)
    bloated(quiet)
    estimated = the_finding(ask(quiet.dsn, check))
    assert (estimated.severity, estimated.kind, estimated.object) == (Severity.WARNING, Kind.TABLE, "public.t")
    assert (estimated.evidence["basis"], estimated.evidence["bloat_ratio"]) == (
        "estimated",
        pytest.approx(0.8, abs=0.02),
    )

    run(quiet, "create schema tools", "create extension pgstattuple schema tools")
    measured = the_finding(ask(quiet.dsn, check))
    assert (measured.evidence["basis"], measured.evidence["bloat_ratio"]) == ("measured", pytest.approx(0.8, abs=0.03))

    mend(quiet, measured)
    counted(quiet, "relname = 't' and n_live_tup between 19000 and 21000")
    assert ask(quiet.dsn, check).ok == (check,)


@NEWEST
def test_an_estimate_of_packed_tables_finds_no_bloat(quiet: FreshDatabase) -> None:
    run(
        quiet,
        "create table wide (a bool, b bigint, c bool, d bigint, e uuid, f smallint, g double precision, h text)",
        "insert into wide select true, i, false, i, gen_random_uuid(), 1, i, repeat('y', 300) "
        "from generate_series(1, 40000) i",
        "create table loose (id int, pad text) with (fillfactor = 50)",
        "insert into loose select i, repeat('x', 50) from generate_series(1, 120000) i",
        "create table gaps (a int, b text, c text, d bigint)",
        "insert into gaps select i, case when i % 3 = 0 then repeat('z', 200) end, null, i "
        "from generate_series(1, 120000) i",
    )
    run(quiet, "vacuum (analyze)")
    counted(quiet, "relname = 'gaps' and n_mod_since_analyze = 0 and last_analyze is not null")
    assert ask(quiet.dsn, "table_bloat", ratio=0.12, bytes=1024 * 1024).ok == ("table_bloat",)


def test_bloat_is_withheld_where_statistics_are_stale_or_hidden(quiet: FreshDatabase) -> None:
    bloated(quiet)
    quiet.role("plain")
    hidden = ask(quiet.dsn_as("plain"), "table_bloat")
    assert (hidden.findings, hidden.blind[0].cure) == ((), "GRANT SELECT ON public.t TO plain;")
    paste(quiet, hidden.blind[0].cure)
    assert objects(ask(quiet.dsn_as("plain"), "table_bloat")) == ["public.t"]

    run(quiet, "update t set flag = false")
    counted(quiet, "n_mod_since_analyze > 15000")
    stale = ask(quiet.dsn, "table_bloat")
    assert (stale.findings, stale.blind[0].object) == ((), "public.t")
    paste(quiet, stale.blind[0].cure)
    counted(quiet, "n_mod_since_analyze = 0")
    assert objects(ask(quiet.dsn, "table_bloat")) == ["public.t"]


def test_toast_that_is_mostly_air_is_found_and_rewritten(quiet: FreshDatabase) -> None:
    check = "toast_bloat"
    quiet.role("plain")
    run(
        quiet,
        "create table t (id int, body text)",
        "alter table t alter body set storage external",
        "insert into t select i, repeat('y', 5000) from generate_series(1, 3000) i",
    )
    run(quiet, "vacuum analyze t")
    assert ask(quiet.dsn, check).ok == (check,)
    run(quiet, "delete from t where id % 5 > 0")
    run(quiet, "vacuum (analyze, truncate false) t")
    found = the_finding(ask(quiet.dsn_as("plain"), check))
    assert (found.severity, found.kind, found.object) == (Severity.WARNING, Kind.TABLE, "public.t")
    mend(quiet, found)
    assert ask(quiet.dsn, check).ok == (check,)


@NEWEST
def test_dead_toast_of_a_table_with_few_dead_rows_is_found_and_vacuumed(quiet: FreshDatabase) -> None:
    run(
        quiet,
        "create table t (id int, body text)",
        "alter table t alter body set storage external",
        "insert into t select i, null from generate_series(1, 20000) i",
        "update t set body = repeat('y', 20000) where id <= 1000",
    )
    run(quiet, "vacuum analyze t")
    counted(quiet, "n_dead_tup = 0")
    run(quiet, "update t set body = repeat('z', 20000) where id <= 1000")
    counted(quiet, "n_dead_tup = 1000")
    found = eventually(quiet.dsn, "toast_bloat")
    assert found.evidence["dead_chunks"] == 11_000
    mend(quiet, found)
    until(lambda: ask(quiet.dsn, "toast_bloat").ok == ("toast_bloat",), "they are gone")


# --- wraparound ------------------------------------------------------------------------------------------------------


def burn(db: FreshDatabase, transactions: int) -> None:
    """Use up transaction numbers, each by a subtransaction that writes."""
    run(
        db,
        "create table if not exists burnt (i int)",
        f"""do $$ begin
          for i in 1..{transactions} loop
            begin insert into burnt values (i); raise exception 'burn'; exception when raise_exception then null; end;
          end loop; end $$""",
    )


def test_a_table_that_nobody_freezes_is_found_and_frozen(quiet: FreshDatabase) -> None:
    check = "transaction_id_wraparound"
    quiet.role("plain")
    assert ask(quiet.dsn, check).ok == (check,)
    run(quiet, "create table old as select 1 i")
    burn(quiet, 3000)
    with psycopg.connect(quiet.dsn, autocommit=True) as conn:
        names = conn.execute("select oid::regclass::text from pg_class where relkind in ('r', 'm')").fetchall()
        for (name,) in names:
            if name != "old":
                conn.execute(f"vacuum freeze {name}".encode())
    # 2,000 transactions stand for 1,074 million
    limits = {"warn_ratio": 2000 / (2**31 - 1), "critical_ratio": 0.75}
    found = the_finding_here(ask(quiet.dsn_as("plain"), check, **limits), quiet)
    assert (found.severity, found.kind, found.object) == (Severity.WARNING, Kind.TABLE, "public.old")
    limits["critical_ratio"] = limits["warn_ratio"]
    assert the_finding_here(ask(quiet.dsn, check, **limits), quiet).severity is Severity.CRITICAL
    mend(quiet, found)
    assert not [f for f in ask(quiet.dsn, check, **limits).findings if f.object in {"public.old", quiet.name}]


def the_finding_here(diagnosis: Diagnosis, db: FreshDatabase) -> Finding:
    """The one that is not about another database of the server."""
    others = {"postgres", "template0", "template1", TEMPLATE}
    (found,) = [finding for finding in diagnosis.findings if finding.object not in others]
    return found


@NEWEST
def test_a_database_whose_tables_are_all_old_is_one_finding(quiet: FreshDatabase) -> None:
    check = "transaction_id_wraparound"
    burn(quiet, 3000)
    found = the_finding_here(ask(quiet.dsn, check, warn_ratio=2000 / (2**31 - 1)), quiet)
    assert (found.kind, found.object) == (Kind.DATABASE, quiet.name)
    assert found.evidence["left_transactions"] > 2_000_000_000


def test_old_multixacts_are_found_and_frozen(quiet: FreshDatabase) -> None:
    check = "multixact_wraparound"
    quiet.role("plain")
    assert ask(quiet.dsn, check).ok == (check,)
    run(quiet, "create table t (id int primary key)", "insert into t values (1)")
    first, second = quiet.connect(autocommit=False), quiet.connect(autocommit=False)
    for _ in range(30):
        first.execute("select * from t for key share")
        second.execute("select * from t for key share")
        first.commit()
        second.commit()
    limits = {"warn_ratio": 20 / (2**31 - 1)}
    found = the_finding_here(ask(quiet.dsn_as("plain"), check, **limits), quiet)
    assert (found.severity, found.kind, found.object) == (Severity.WARNING, Kind.DATABASE, quiet.name)
    with psycopg.connect(quiet.dsn, autocommit=True) as conn:
        for statement in found.advice[0].sql.split(";\n"):
            conn.execute(statement.encode())
    assert not [f for f in ask(quiet.dsn, check, **limits).findings if f.object == quiet.name]


# --- xmin_horizon_held -----------------------------------------------------------------------------------------------

HELD = {"hurting_s": 0.0, "old_transactions": 50}


def test_the_session_that_holds_the_horizon_is_named_and_ended(quiet: FreshDatabase) -> None:
    check = "xmin_horizon_held"
    filled(quiet, rows=30_000)
    assert ask(quiet.dsn, check, **HELD).ok == (check,)
    holder = quiet.connect(autocommit=False)
    holder.execute("set transaction isolation level repeatable read")
    holder.execute("select 1")
    run(quiet, "update t set v = v + 1")
    counted(quiet, "n_dead_tup > 25000")
    run(quiet, "vacuum t")
    counted(quiet, "vacuum_count = 2")
    found = the_finding(ask(quiet.dsn, check, **HELD))
    assert (found.severity, found.kind, found.object) == (Severity.WARNING, Kind.SESSION, str(holder.info.backend_pid))
    assert (found.evidence["holder"], found.evidence["dead_rows"]) == ("backend", 30_000)
    proven = {"proven_s": 0.0, "hurting_s": 600.0, "old_s": 600.0}  # VACUUM came, and could not
    assert objects(ask(quiet.dsn, check, **proven)) == [str(holder.info.backend_pid)]
    assert ask(quiet.dsn, check, proven_s=600.0, hurting_s=600.0).ok == (check,)  # too young

    mend(quiet, found)
    run(quiet, "vacuum t")
    counted(quiet, "n_dead_tup < 100")
    assert ask(quiet.dsn, check, **HELD).ok == (check,)


@NEWEST
def test_old_age_alone_makes_a_holder(quiet: FreshDatabase) -> None:
    holder = quiet.connect(autocommit=False)
    holder.execute("create table written (i int)")  # holds a transaction number, no snapshot
    burn(quiet, 100)
    limits = {"old_s": 0.0, "old_transactions": 50}
    assert objects(ask(quiet.dsn, "xmin_horizon_held", **limits)) == [str(holder.info.backend_pid)]
    critical = ask(quiet.dsn, "xmin_horizon_held", **limits, critical_transactions=60)
    assert the_finding(critical).severity is Severity.CRITICAL


@NEWEST
def test_a_dump_may_hold_its_snapshot(quiet: FreshDatabase) -> None:
    dump = quiet.connect(autocommit=False, application_name="pg_dump")
    dump.execute("set transaction isolation level repeatable read")
    dump.execute("select 1")
    burn(quiet, 100)
    limits = {"hurting_s": 0.0, "old_s": 0.0, "old_transactions": 50}
    assert ask(quiet.dsn, "xmin_horizon_held", **limits).ok == ("xmin_horizon_held",)


@NEWEST
def test_a_prepared_transaction_holds_the_horizon(quiet: FreshDatabase) -> None:
    run(quiet, "begin; create table made (i int); prepare transaction 'left'")
    burn(quiet, 100)
    found = the_finding(ask(quiet.dsn, "xmin_horizon_held", **HELD))
    assert (found.kind, found.object) == (Kind.TRANSACTION, "left")
    assert found.evidence["holder"] == "prepared transaction"
    mend(quiet, found)
    assert ask(quiet.dsn, "xmin_horizon_held", **HELD).ok == ("xmin_horizon_held",)


@NEWEST
def test_a_logical_slot_holds_the_catalogs(quiet: FreshDatabase) -> None:
    run(quiet, "select pg_create_logical_replication_slot('forgotten', 'test_decoding')")
    burn(quiet, 100)
    found = the_finding(ask(quiet.dsn, "xmin_horizon_held", **HELD))
    assert (found.kind, found.object) == (Kind.SLOT, "forgotten")
    assert found.evidence["holder"] == "logical slot (catalogs)"
    mend(quiet, found)
    assert ask(quiet.dsn, "xmin_horizon_held", **HELD).ok == ("xmin_horizon_held",)


def test_holders_are_hidden_from_a_plain_role(quiet: FreshDatabase) -> None:
    quiet.role("plain")
    diagnosis = ask(quiet.dsn_as("plain"), "xmin_horizon_held", **HELD)
    assert (diagnosis.ok, diagnosis.blind[0].cure) == ((), "GRANT pg_read_all_stats TO plain;")


def test_a_standby_with_feedback_that_keeps_up_is_healthy(server18: FreshDatabase) -> None:
    with start_replica(server18.cluster, slot="fed", settings={"hot_standby_feedback": "on"}) as standby:
        wait_for_replay(server18.cluster, standby)
        with psycopg.connect(standby.dsn(server18.name)) as reader:
            reader.execute("set transaction isolation level repeatable read")
            reader.execute("select 1")
            burn(server18, 100)
            assert ask(server18.dsn, "xmin_horizon_held", old_s=0.0, old_transactions=50).ok == ("xmin_horizon_held",)


# --- autovacuum_starved, autovacuum_settings -------------------------------------------------------------------------


def test_settings_that_starve_autovacuum_are_found_and_mended(pg: FreshDatabase) -> None:
    check = "autovacuum_starved"
    assert ask(pg.dsn, check).ok == (check,)
    pg.execute(
        "alter system set autovacuum_naptime = '2h'",
        "alter system set autovacuum_vacuum_cost_delay = '100ms'",
        "alter system set autovacuum_vacuum_cost_limit = 10",
        "select pg_reload_conf()",
    )
    found = eventually(pg.dsn, check)
    assert (found.severity, found.kind, found.object) == (Severity.WARNING, Kind.SERVER, "server")
    assert (found.evidence["naptime_s"], found.evidence["write_bytes_per_s"]) == (7200, 40_960)
    for advice in found.advice:
        paste(pg, advice.sql)
    until(lambda: ask(pg.dsn, check).ok == (check,), "it is fed again")


def test_workers_that_are_all_busy_while_tables_wait_are_found(server18: FreshDatabase) -> None:
    """One worker, and a cost limit that keeps it at its first table."""
    server18.cluster.restart(
        {
            "autovacuum_max_workers": "1",
            "autovacuum_naptime": "1s",
            "autovacuum_vacuum_cost_delay": "100ms",
            "autovacuum_vacuum_cost_limit": "60",
        }
    )
    for number in range(4):
        filled(server18, f"t{number}", rows=20_000)
        run(server18, f"update t{number} set v = v + 1")
    limits = {"min_busy_s": 0.2, "write_bytes_per_s": 1.0}
    found = eventually(server18.dsn, "autovacuum_starved", **limits)
    assert found.evidence["workers"] == 1
    assert found.evidence["waiting_tables"] >= 2


def test_busy_workers_are_hidden_from_a_plain_role(pg: FreshDatabase) -> None:
    pg.role("plain")
    diagnosis = ask(pg.dsn_as("plain"), "autovacuum_starved")
    assert (diagnosis.ok, diagnosis.blind[0].cure) == ((), "GRANT pg_read_all_stats TO plain;")


def test_a_trigger_out_of_reach_is_found_and_mended(quiet: FreshDatabase) -> None:
    check = "autovacuum_settings"
    quiet.role("plain")
    filled(quiet, rows=20_000)
    run(quiet, "update t set v = 0 where id <= 2000")
    counted(quiet, "n_tup_upd = 2000")
    assert ask(quiet.dsn, check).ok == (check,)
    run(quiet, "alter table t set (autovacuum_vacuum_threshold = 1000000, fillfactor = 90)")
    found = the_finding(ask(quiet.dsn_as("plain"), check))
    assert (found.severity, found.kind, found.object) == (Severity.WARNING, Kind.TABLE, "public.t")
    advice = mend(quiet, found)
    assert ask(quiet.dsn, check).ok == (check,)
    paste(quiet, advice.undo_sql)
    assert objects(ask(quiet.dsn, check)) == ["public.t"]
    with psycopg.connect(quiet.dsn) as conn:
        options = conn.execute("select reloptions from pg_class where relname = 't'").fetchone()
    assert sorted(options[0]) == ["autovacuum_vacuum_threshold=1000000", "fillfactor=90"]


@NEWEST
def test_a_large_table_under_a_scale_factor_is_found_by_its_write_rate(quiet: FreshDatabase) -> None:
    filled(quiet, rows=20_000)
    limits = {"large_bytes": 100_000}  # as if it were some gigabytes
    assert the_finding(ask(quiet.dsn, "autovacuum_settings", **limits)).severity is Severity.NOTICE  # nobody writes
    run(quiet, "update t set v = 0")
    counted(quiet, "n_tup_upd = 20000")
    found = the_finding(ask(quiet.dsn, "autovacuum_settings", **limits))
    assert (found.severity, found.object) == (Severity.WARNING, "public.t")
    mend(quiet, found)
    assert not objects(ask(quiet.dsn, "autovacuum_settings", large_bytes=200_000))
