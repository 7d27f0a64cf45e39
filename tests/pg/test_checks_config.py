"""The config family on real servers: healthy, fault, fixed, blindfolded; and what must not be taken for a fault."""

from __future__ import annotations

from dataclasses import replace
from datetime import UTC, datetime

import psycopg
import pytest
from tests.fix.server import FreshDatabase
from tests.fix.story import ask, mend, objects, paste, the_finding, until

from pgrunbook.journey.diagnose.engine import choose, judge, questions_of
from pgrunbook.journey.observe import observe
from pgrunbook.model import Kind, Severity

pytestmark = pytest.mark.pg("!= 15, != 16, != 17")  # test_every_check tells a story a check on those
NEWEST = pytest.mark.pg("== 18")  # what does not differ between majors need not be asked of all of them

# --- missing_timeouts ------------------------------------------------------------------------------------------------


def test_a_role_without_time_limits_is_found_and_given_them(pg: FreshDatabase) -> None:
    assert ask(pg.dsn, "missing_timeouts").ok == ("missing_timeouts",)
    pg.role("shop app")
    pg.execute("create table t (i int)", 'grant select on t to "shop app"')
    found = the_finding(ask(pg.dsn, "missing_timeouts"))
    assert (found.severity, found.kind, found.object) == (Severity.WARNING, Kind.ROLE, '"shop app"')
    assert found.evidence["missing"] == ("statement_timeout", "idle_in_transaction_session_timeout")

    advice = mend(pg, found)
    assert ask(pg.dsn, "missing_timeouts").ok == ("missing_timeouts",)
    paste(pg, advice.undo_sql)
    assert objects(ask(pg.dsn, "missing_timeouts")) == ['"shop app"']


@NEWEST
@pytest.mark.parametrize(
    "given",
    [
        "alter role app in database {name} set {setting} = '5s'",
        "alter role app set {setting} = '5s'",
        "alter database {name} set {setting} = '5s'",
        "alter role all set {setting} = '5s'",
        "alter system set {setting} = '5s'",
    ],
)
def test_a_limit_may_stand_at_any_level(pg: FreshDatabase, given: str) -> None:
    pg.role("app")
    pg.connect_as("app")
    assert objects(ask(pg.dsn, "missing_timeouts")) == ["app"]
    for setting in ("statement_timeout", "idle_in_transaction_session_timeout"):
        pg.execute(given.format(name=pg.name, setting=setting), "select pg_reload_conf()")
    assert ask(pg.dsn, "missing_timeouts").ok == ("missing_timeouts",)


@NEWEST
def test_a_roles_zero_beats_the_databases_limit(pg: FreshDatabase) -> None:
    pg.role("app")
    pg.execute(
        f"alter database {pg.name} set statement_timeout = '5s'",
        f"alter database {pg.name} set idle_in_transaction_session_timeout = '5s'",
        "alter role app set statement_timeout = 0",
    )
    pg.connect_as("app")
    found = the_finding(ask(pg.dsn, "missing_timeouts"))
    assert (found.object, found.evidence["missing"]) == ("app", ("statement_timeout",))
    advice = mend(pg, found)
    paste(pg, advice.undo_sql)
    assert objects(ask(pg.dsn, "missing_timeouts")) == ["app"]


@NEWEST
def test_administrators_and_strangers_need_no_limits(pg: FreshDatabase) -> None:
    pg.role("boss", options="superuser login")
    pg.role("watcher", member_of="pg_monitor")
    pg.role("copier", options="login replication")
    pg.role("stranger")
    pg.role("team", options="nologin")
    pg.execute("create table t (i int)", "grant select on t to boss, watcher, copier, team")
    assert ask(pg.dsn, "missing_timeouts").ok == ("missing_timeouts",)


@NEWEST
def test_rights_by_membership_make_an_application(pg: FreshDatabase) -> None:
    pg.role("team", options="nologin")
    pg.role("member", member_of="team")
    pg.execute("create table t (i int)", "grant select on t to team")
    assert objects(ask(pg.dsn, "missing_timeouts")) == ["member"]


@NEWEST
def test_many_roles_are_a_matter_of_the_database(pg: FreshDatabase) -> None:
    pg.execute("create table t (i int)")
    for number in range(12):
        pg.role(f"tenant_{number}")
        pg.execute(f"grant select on t to tenant_{number}")
    found = the_finding(ask(pg.dsn, "missing_timeouts"))
    assert (found.kind, found.object, len(found.related)) == (Kind.DATABASE, pg.name, 12)
    advice = mend(pg, found)
    assert ask(pg.dsn, "missing_timeouts").ok == ("missing_timeouts",)
    paste(pg, advice.undo_sql)
    assert objects(ask(pg.dsn, "missing_timeouts")) == [pg.name]


@pytest.mark.pg(">= 17")
def test_a_limit_for_whole_transactions_serves_for_both(pg: FreshDatabase) -> None:
    pg.role("app")
    pg.execute("alter role app set transaction_timeout = '20s'")
    pg.connect_as("app")
    assert ask(pg.dsn, "missing_timeouts").ok == ("missing_timeouts",)


def test_a_plain_role_sees_missing_limits(pg: FreshDatabase) -> None:
    pg.role("app")
    assert objects(ask(pg.dsn_as("app"), "missing_timeouts")) == []
    pg.execute("create table t (i int)", "alter table t owner to app")
    assert objects(ask(pg.dsn_as("app"), "missing_timeouts")) == ["app"]


# --- unsafe_durability -----------------------------------------------------------------------------------------------


def test_settings_that_let_a_crash_destroy_data_are_found_and_mended(pg: FreshDatabase) -> None:
    pg.role("plain")
    found = the_finding(ask(pg.dsn, "unsafe_durability"))  # a throw-away server runs without fsync
    assert (found.severity, found.kind, found.object) == (Severity.CRITICAL, Kind.SETTING, "fsync")
    assert objects(ask(pg.dsn_as("plain"), "unsafe_durability")) == ["fsync"]
    pg.execute("alter system set full_page_writes = off", "select pg_reload_conf()")
    until(lambda: objects(ask(pg.dsn, "unsafe_durability")) == ["fsync", "full_page_writes"], "it is off")
    for finding in ask(pg.dsn, "unsafe_durability").findings:
        mend(pg, finding)
    until(lambda: ask(pg.dsn, "unsafe_durability").ok == ("unsafe_durability",), "both are on")


@NEWEST
def test_undo_restores_what_alter_system_said(pg: FreshDatabase) -> None:
    pg.execute("alter system set full_page_writes = off", "select pg_reload_conf()")
    until(lambda: "full_page_writes" in objects(ask(pg.dsn, "unsafe_durability")), "it is off")
    found = next(f for f in ask(pg.dsn, "unsafe_durability").findings if f.object == "full_page_writes")
    advice = mend(pg, found)
    until(lambda: objects(ask(pg.dsn, "unsafe_durability")) == ["fsync"], "it is on")
    paste(pg, advice.undo_sql)
    until(lambda: objects(ask(pg.dsn, "unsafe_durability")) == ["fsync", "full_page_writes"], "it is off again")


# --- memory_settings -------------------------------------------------------------------------------------------------


def memory(db: FreshDatabase, memory_bytes: int) -> dict[str, Severity]:
    chosen = choose(["memory_settings"])
    snapshot = observe(db.dsn, questions_of(chosen))
    found = judge(snapshot, chosen, expectations={"memory_bytes": memory_bytes}).findings
    return {finding.object: finding.severity for finding in found}


@NEWEST
def test_memory_settings_that_fit_the_machine_are_fine(pg: FreshDatabase) -> None:
    assert memory(pg, 2 * 1024**3) == {}
    assert ask(pg.dsn, "memory_settings").ok == ("memory_settings",)  # by the word of this machine's kernel


def test_memory_settings_beyond_the_machine_are_found_and_mended(pg: FreshDatabase) -> None:
    pg.execute(
        "alter system set work_mem = '1GB'",
        "alter system set maintenance_work_mem = '4GB'",
        "select pg_reload_conf()",
    )
    wanted = {"work_mem": Severity.WARNING, "maintenance_work_mem": Severity.NOTICE}
    until(lambda: memory(pg, 16 * 1024**3) == wanted, "both are found")
    chosen = choose(["memory_settings"])
    snapshot = observe(pg.dsn, questions_of(chosen))
    for finding in judge(snapshot, chosen, expectations={"memory_bytes": 16 * 1024**3}).findings:
        mend(pg, finding)
    until(lambda: memory(pg, 16 * 1024**3) == {}, "both fit")


@NEWEST
def test_shared_buffers_are_judged_by_machine_and_data(pg: FreshDatabase) -> None:
    assert memory(pg, 50 * 1024**2)["shared_buffers"] is Severity.WARNING  # 32 MB of 50 MB
    pg.execute("create table t as select i, repeat('x', 1000) as pad from generate_series(1, 40000) i", "analyze t")
    assert memory(pg, 16 * 1024**3) == {"shared_buffers": Severity.NOTICE}


def test_blind_where_the_machine_is_not_known(pg: FreshDatabase) -> None:
    pg.role("watcher", member_of="pg_monitor")
    diagnosis = ask(pg.dsn_as("watcher"), "memory_settings")
    assert diagnosis.findings == ()
    assert "memory_bytes" in diagnosis.blind[0].cure


# --- checksums -------------------------------------------------------------------------------------------------------


def test_a_damaged_page_is_critical(pg: FreshDatabase) -> None:
    pg.role("plain")
    assert ask(pg.dsn, "checksums").ok == ("checksums",)
    pg.execute("create table t as select i from generate_series(1, 1000) i", "checkpoint")
    with psycopg.connect(pg.dsn, autocommit=True) as conn:
        (path,) = conn.execute("select pg_relation_filepath('t')").fetchone() or ("",)
    pg.cluster.shutdown()
    with (pg.cluster.data_dir / path).open("r+b") as file:
        file.seek(4000)
        file.write(b"damage")
    pg.cluster.start()
    with pytest.raises(psycopg.errors.DataCorrupted):
        pg.execute("select count(*) from t")
    until(lambda: objects(ask(pg.dsn, "checksums")) == ["server"], "the failure is counted")
    found = the_finding(ask(pg.dsn_as("plain"), "checksums"))
    assert (found.severity, found.kind, found.related) == (Severity.CRITICAL, Kind.SERVER, (pg.name,))
    pg.execute("drop table t", "select pg_stat_reset()")
    until(lambda: ask(pg.dsn, "checksums").ok == ("checksums",), "the counter is reset")


# --- overridden_setting, pending_restart -----------------------------------------------------------------------------


def test_a_line_without_effect_is_found_and_given_effect(pg: FreshDatabase) -> None:
    check = "overridden_setting"
    assert ask(pg.dsn, check).ok == (check,)
    pg.execute(
        "alter system set max_wal_size = '300MB'", "alter system set work_mem = '5MB'", "select pg_reload_conf()"
    )
    found = the_finding(ask(pg.dsn, check))  # work_mem stands in no file
    assert (found.severity, found.kind, found.object) == (Severity.NOTICE, Kind.SETTING, "max_wal_size")
    assert (found.evidence["value"], found.evidence["used"]) == ("256MB", "300MB")
    advice = mend(pg, found)
    assert ask(pg.dsn, check).ok == (check,)
    paste(pg, advice.undo_sql)
    assert the_finding(ask(pg.dsn, check)).object == "max_wal_size"


def test_overridden_lines_are_hidden_from_a_plain_role(pg: FreshDatabase) -> None:
    pg.role("plain")
    diagnosis = ask(pg.dsn_as("plain"), "overridden_setting")
    assert (diagnosis.ok, len(diagnosis.blind)) == ((), 1)
    paste(pg, diagnosis.blind[0].cure)
    assert ask(pg.dsn_as("plain"), "overridden_setting").ok == ("overridden_setting",)


def test_a_change_that_waits_for_a_restart_is_found(pg: FreshDatabase) -> None:
    check = "pending_restart"
    pg.role("plain")
    until(lambda: ask(pg.dsn, check).ok == (check,), "what an earlier test reset is read")
    pg.execute("alter system set max_connections = 61", "select pg_reload_conf()")
    until(lambda: bool(ask(pg.dsn, check).findings), "the server has read its files")
    found = the_finding(ask(pg.dsn_as("plain"), check))
    assert (found.severity, found.kind, found.object) == (Severity.NOTICE, Kind.SETTING, "max_connections")
    pg.execute("alter system reset max_connections", "select pg_reload_conf()")
    until(lambda: ask(pg.dsn, check).ok == (check,), "nothing waits")


# --- outdated_extension, outdated_minor_version ----------------------------------------------------------------------


def test_an_old_extension_is_found_and_updated(pg: FreshDatabase) -> None:
    check = "outdated_extension"
    pg.role("plain")
    pg.execute("create extension pg_stat_statements")
    assert ask(pg.dsn, check).ok == (check,)
    pg.execute("drop extension pg_stat_statements", "create extension pg_stat_statements version '1.7'")
    found = the_finding(ask(pg.dsn_as("plain"), check))
    assert (found.severity, found.kind, found.object) == (Severity.WARNING, Kind.EXTENSION, "pg_stat_statements")
    mend(pg, found)
    assert ask(pg.dsn, check).ok == (check,)


@pytest.mark.parametrize(
    "version_num, severity",
    [
        (180006, None),
        (180004, None),
        (180003, Severity.NOTICE),
        (180001, Severity.WARNING),
        (140003, Severity.WARNING),
        (140024, None),
        (190000, None),
    ],
)
def test_releases_behind_make_a_degree(server18: FreshDatabase, version_num: int, severity: Severity | None) -> None:
    chosen = choose(["outdated_minor_version"])
    snapshot = observe(server18.dsn, questions_of(chosen))
    server = replace(snapshot.server, version_num=version_num, major=version_num // 10_000)
    seen = replace(snapshot, server=server, taken_at=datetime(2026, 9, 1, tzinfo=UTC))
    assert [finding.severity for finding in judge(seen, chosen).findings] == ([severity] if severity else [])


def test_a_major_without_support_is_a_notice(server18: FreshDatabase) -> None:
    chosen = choose(["outdated_minor_version"])
    snapshot = observe(server18.dsn, questions_of(chosen))
    server = replace(snapshot.server, version_num=140024, major=14)
    seen = replace(snapshot, server=server, taken_at=datetime(2027, 6, 1, tzinfo=UTC))
    found = the_finding(judge(seen, chosen))
    assert (found.severity, found.evidence["end_of_life"]) == (Severity.NOTICE, "2026-11-12")


def test_an_old_table_of_releases_cannot_tell_that_a_server_is_up_to_date(server18: FreshDatabase) -> None:
    chosen = choose(["outdated_minor_version"])
    seen = observe(server18.dsn, questions_of(chosen))
    late = replace(seen, taken_at=datetime(2027, 6, 1, tzinfo=UTC))
    (blind,) = judge(late, chosen).blind
    assert "2026-08-31" in blind.reason
    assert "pip install" in blind.cure
    behind = replace(late, server=replace(seen.server, version_num=180001))
    assert the_finding(judge(behind, chosen)).evidence["known_on"] == "2026-08-31"


# --- no_query_statistics ---------------------------------------------------------------------------------------------


def test_a_database_whose_queries_nobody_counts_is_found_and_mended(pg: FreshDatabase) -> None:
    check = "no_query_statistics"
    pg.role("plain")
    assert ask(pg.dsn, check).ok == (check,)  # an empty database has no queries
    pg.execute("create table t as select i from generate_series(1, 5000) i", "analyze t")
    found = the_finding(ask(pg.dsn_as("plain"), check))
    assert (found.severity, found.kind, found.object) == (Severity.WARNING, Kind.EXTENSION, "pg_stat_statements")
    advice = mend(pg, found)
    assert ask(pg.dsn, check).ok == (check,)
    paste(pg, advice.undo_sql)
    assert objects(ask(pg.dsn, check)) == ["pg_stat_statements"]


@NEWEST
def test_query_statistics_that_are_switched_off_are_found(pg: FreshDatabase) -> None:
    pg.execute(
        "create extension pg_stat_statements",
        "create table t as select i from generate_series(1, 5000) i",
        "analyze t",
        "alter system set pg_stat_statements.track = 'none'",
        "select pg_reload_conf()",
    )
    until(lambda: objects(ask(pg.dsn, "no_query_statistics")) == ["pg_stat_statements"], "it is off")
    mend(pg, the_finding(ask(pg.dsn, "no_query_statistics")))
    until(lambda: ask(pg.dsn, "no_query_statistics").ok == ("no_query_statistics",), "it is on")


def test_a_library_that_is_not_loaded_is_found(pg: FreshDatabase) -> None:
    pg.role("plain")
    pg.execute(
        "create extension pg_stat_statements", "create table t as select i from generate_series(1, 5000) i", "analyze t"
    )
    pg.cluster.restart({"shared_preload_libraries": ""})
    found = the_finding(ask(pg.dsn, "no_query_statistics"))
    assert "shared_preload_libraries = 'pg_stat_statements'" in found.advice[0].sql
    blindfolded = ask(pg.dsn_as("plain"), "no_query_statistics")
    assert (blindfolded.findings, blindfolded.blind[0].cure) == ((), "GRANT pg_read_all_settings TO plain;")
