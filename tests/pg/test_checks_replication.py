"""Replicas, slots, the archive and checkpoints on real servers: healthy, fault, mended, and what only looks like it."""

from __future__ import annotations

import contextlib
import os
import shutil
import signal
from collections.abc import Iterator
from typing import Any

import psycopg
import pytest
from psycopg import sql
from tests.fix.readings import check_types
from tests.fix.replica import wait_for_replay
from tests.fix.server import FreshDatabase
from tests.fix.story import ask, mend, objects, paste, the_finding, until

from pgrunbook.journey.diagnose.engine import choose, judge, questions_of
from pgrunbook.journey.diagnose.request import Request, answer
from pgrunbook.journey.observe import observe
from pgrunbook.journey.observe.archiver import ARCHIVE_QUEUE, ARCHIVER
from pgrunbook.journey.observe.checkpoints import CHECKPOINTS
from pgrunbook.journey.observe.recovery import RECOVERY, WAL_RECEIVER
from pgrunbook.journey.observe.replication import REPLICATION
from pgrunbook.journey.observe.windowed import observe_window
from pgrunbook.lab import Cluster, start_replica
from pgrunbook.lab.template import SUPERUSER
from pgrunbook.model import Finding, Kind, Question, Severity, Unread
from pgrunbook.model.diagnosis import Diagnosis

OLD_AND_NEW = pytest.mark.pg("!= 15, != 16, != 17")  # the full stories; the questions are asked on every major
LAG, MISSING = "replication_lag", "missing_replica"
QUESTIONS: tuple[Question[Any], ...] = (REPLICATION, RECOVERY, WAL_RECEIVER, ARCHIVER, ARCHIVE_QUEUE, CHECKPOINTS)
COPY = "mkdir -p arch && test ! -f arch/%f && cp %p arch/%f"


@contextlib.contextmanager
def follower(upstream: Cluster, name: str, **settings: str) -> Iterator[FreshDatabase]:
    """A standby of its own name and slot, seen through database postgres."""
    conninfo = f"host='{upstream.socket_dir}' port={upstream.port} user={SUPERUSER} application_name={name}"
    with start_replica(upstream, slot=name, settings={"primary_conninfo": conninfo, **settings}) as standby:
        yield FreshDatabase(cluster=standby, name="postgres")


def value(db: FreshDatabase, query: str) -> Any:
    with psycopg.connect(db.dsn, autocommit=True) as conn:
        row = conn.execute(query.encode()).fetchone()
    assert row is not None
    return row[0]


def write(db: FreshDatabase) -> None:
    """A little WAL, with a commit."""
    db.execute("create table if not exists written (i int)", "insert into written select generate_series(1, 1000)")


def write_bulk(db: FreshDatabase, megabytes: int = 20) -> None:
    """Much WAL that changes nothing."""
    db.execute(f"select pg_logical_emit_message(true, 'bulk', repeat('x', {megabytes * 1_000_000}))")


def received(primary: FreshDatabase, standby: FreshDatabase) -> None:
    """Wait until the standby has stored, but need not have replayed, what was written."""
    end = value(primary, "select pg_current_wal_flush_lsn()::text")
    until(lambda: value(standby, f"select pg_last_wal_receive_lsn() >= '{end}'::pg_lsn"), "it is received")


def is_fine(db: FreshDatabase, check: str, **limits: Any) -> bool:
    return ask(db.dsn, check, **limits).ok == (check,)


def expecting(db: FreshDatabase, check: str, dsn: str = "", **expectations: int) -> Diagnosis:
    chosen = choose([check])
    return judge(observe(dsn or db.dsn, questions_of(chosen)), chosen, expectations=expectations)


# --- the questions ----------------------------------------------------------------------------------------------------


def test_the_questions_have_answers_on_both_sides(pg: FreshDatabase) -> None:
    pg.role("plain")
    pg.role("watcher", member_of="pg_monitor")
    with follower(pg.cluster, "one") as one:
        write(pg)
        wait_for_replay(pg.cluster, one.cluster)
        for dsn in (pg.dsn, one.dsn, one.dsn_as("watcher")):
            snapshot = observe(dsn, QUESTIONS)
            for question in QUESTIONS:
                check_types(question, snapshot.rows(question))
        (receiver,) = observe(pg.dsn, QUESTIONS).rows(REPLICATION)
        assert (receiver.application_name, receiver.slot, receiver.is_standby) == ("one", "one", True)
        (wal_receiver,) = observe(one.dsn_as("watcher"), QUESTIONS).rows(WAL_RECEIVER)
        assert wal_receiver.slot == "one"
        blindfolded = observe(one.dsn_as("plain"), QUESTIONS)
        unread = [q for q in QUESTIONS if isinstance(blindfolded.readings[q.name], Unread)]
        assert unread == [REPLICATION, WAL_RECEIVER, ARCHIVE_QUEUE]
        for dsn in (pg.dsn_as("plain"), one.dsn_as("plain")):
            (blind,) = ask(dsn, LAG).blind
            assert blind.cure == 'GRANT "pg_read_all_stats" TO "plain";'


# --- replication_lag and missing_replica ------------------------------------------------------------------------------


@OLD_AND_NEW
def test_two_replicas_of_an_idle_primary_do_not_lag_and_a_paused_one_does(pg: FreshDatabase) -> None:
    at_once = {"warning_s": 0.0, "critical_s": 0.0, "held_critical_s": 0.0}
    with follower(pg.cluster, "one") as one, follower(pg.cluster, "two") as two:
        write(pg)
        for standby in (one, two):
            wait_for_replay(pg.cluster, standby.cluster)
        for db in (pg, one, two):
            until(lambda db=db: is_fine(db, LAG, **at_once), "no bytes, no lag, however old the last transaction")
        assert not expecting(pg, MISSING, replicas=2).findings

        one.execute("select pg_wal_replay_pause()")
        assert is_fine(one, LAG)  # nothing waits yet
        write(pg)
        received(pg, one)
        wait_for_replay(pg.cluster, two.cluster)
        found = the_finding(ask(one.dsn, LAG))
        assert (found.severity, found.kind, found.object) == (Severity.WARNING, Kind.SERVER, "server")
        assert found.detail.startswith("Replay is paused on this standby, and ")
        assert the_finding(ask(one.dsn, LAG, held_critical_s=0.0)).severity is Severity.CRITICAL
        assert is_fine(two, LAG)
        seen = the_finding(ask(pg.dsn, LAG, warning_bytes=1))
        assert (seen.object, seen.evidence["waits_at"]) == ("one", "stored but not replayed")
        assert_stuck_through_a_window(pg, one)

        advice = mend(one, found)
        wait_for_replay(pg.cluster, one.cluster)
        assert is_fine(one, LAG)
        until(lambda: is_fine(pg, LAG, warning_bytes=1), "the primary has heard of it")
        paste(one, advice.undo_sql)
        until(lambda: value(one, "select pg_get_wal_replay_pause_state()") == "paused", "it is paused again")


def assert_stuck_through_a_window(pg: FreshDatabase, one: FreshDatabase) -> None:
    """What is the same in two readings has been so for the time between them."""
    request = Request(only=(LAG,), window_s=0.5, limits={LAG: {"warning_s": 0.4}})
    for db, name, figure in ((pg, "one", "lag_s"), (one, "server", "standby_lag_s")):
        found = the_finding(answer(request, db.dsn))
        lag_s = found.evidence[figure]
        assert found.object == name
        assert isinstance(lag_s, float)
        assert lag_s >= 0.5


@OLD_AND_NEW
def test_a_standby_that_is_cut_off_is_found_and_mended(pg: FreshDatabase) -> None:
    with follower(pg.cluster, "one") as one, follower(pg.cluster, "two") as two:
        one.execute("alter system set primary_conninfo = 'host=/nowhere port=1'", "select pg_reload_conf()")
        until(lambda: objects(ask(one.dsn, LAG)) == ["server"], "it is cut off")
        found = the_finding(ask(one.dsn, LAG))
        assert found.severity is Severity.WARNING
        assert "it has no connection to the server that it follows" in found.detail
        assert the_finding(ask(one.dsn, LAG, held_critical_s=0.0)).severity is Severity.CRITICAL
        assert is_fine(two, LAG)
        assert is_fine(pg, LAG)  # it does not see who is gone, but for the slot and what the configuration expects

        missing = the_finding(expecting(pg, MISSING, replicas=2))
        assert (missing.severity, missing.kind, missing.object) == (Severity.WARNING, Kind.SERVER, "server")
        assert (missing.evidence["replicas"], missing.evidence["waiting_slots"]) == (("two",), ("one",))
        assert objects(ask(pg.dsn, "inactive_replication_slot")) == ["one"]
        assert not expecting(pg, MISSING, replicas=1).findings
        assert not expecting(pg, MISSING).findings
        assert expecting(two, MISSING, replicas=2).blind[0].cure == "Ask the primary."
        mend(pg, missing)

        mend(one, found)
        one.execute("alter system reset primary_conninfo", "select pg_reload_conf()")
        until(lambda: is_fine(one, LAG), "it streams again")
        until(lambda: not expecting(pg, MISSING, replicas=2).findings, "both are there")


@OLD_AND_NEW
def test_a_standby_that_was_stopped_is_missing_until_it_is_back(pg: FreshDatabase) -> None:
    pg.role("plain")
    with follower(pg.cluster, "one") as one:
        assert not expecting(pg, MISSING, replicas=1).findings
        one.cluster.kill()
        until(lambda: bool(expecting(pg, MISSING, replicas=1).findings), "the primary has noticed")
        (blind,) = expecting(pg, MISSING, pg.dsn_as("plain"), replicas=1).blind
        assert blind.cure == 'GRANT "pg_read_all_stats" TO "plain";'
        one.cluster.start()
        until(lambda: not expecting(pg, MISSING, replicas=1).findings, "it is back")


@OLD_AND_NEW
def test_a_cascade_is_judged_link_by_link(pg: FreshDatabase) -> None:
    with follower(pg.cluster, "middle") as middle, follower(middle.cluster, "last") as last:
        write(pg)
        for standby in (middle, last):
            wait_for_replay(pg.cluster, standby.cluster)
        for db in (pg, middle, last):
            until(lambda db=db: is_fine(db, LAG, warning_bytes=1), "the chain is healthy")

        last.execute("select pg_wal_replay_pause()")
        write(pg)
        received(pg, last)
        wait_for_replay(pg.cluster, middle.cluster)
        assert objects(ask(last.dsn, LAG)) == ["server"]
        until(lambda: objects(ask(middle.dsn, LAG, warning_bytes=1)) == ["last"], "its sender names it")
        until(lambda: is_fine(pg, LAG, warning_bytes=1), "the primary has nothing to do with it")
        last.execute("select pg_wal_replay_resume()")

        middle.execute("select pg_wal_replay_pause()")
        write(pg)
        wait_for_replay(pg.cluster, last.cluster)  # WAL is handed on whether it is replayed or not
        assert objects(ask(middle.dsn, LAG)) == ["server"]
        assert is_fine(last, LAG)
        assert objects(ask(pg.dsn, LAG, warning_bytes=1)) == ["middle"]


@OLD_AND_NEW
def test_a_replica_that_does_not_answer_is_found(pg: FreshDatabase) -> None:
    with follower(pg.cluster, "one") as one:
        until(lambda: value(pg, "select count(reply_time) from pg_stat_replication") == 1, "it has reported once")
        pid = value(one, "select pid from pg_stat_wal_receiver")
        os.kill(pid, signal.SIGSTOP)
        try:
            write(pg)
            until(lambda: objects(ask(pg.dsn, LAG, silent_s=0.5, warning_s=0.5)) == ["one"], "it is silent")
            found = the_finding(ask(pg.dsn, LAG, silent_s=0.5, warning_s=0.5))
            assert found.evidence["silent_s"] is not None
            assert is_fine(pg, LAG)  # within the 30 s that a report may take
        finally:
            os.kill(pid, signal.SIGCONT)
        wait_for_replay(pg.cluster, one.cluster)


@OLD_AND_NEW
def test_a_delay_that_is_meant_is_no_lag(pg: FreshDatabase) -> None:
    with follower(pg.cluster, "late", recovery_min_apply_delay="1h") as late:
        write(pg)
        received(pg, late)
        until(lambda: value(late, "select pg_last_wal_receive_lsn() > pg_last_wal_replay_lsn()"), "it waits")
        assert is_fine(late, LAG, warning_bytes=1, warning_s=0.0)
        late.execute("select pg_wal_replay_pause()")
        assert objects(ask(late.dsn, LAG)) == ["server"]


@OLD_AND_NEW
def test_standbys_that_share_a_name_are_told_apart(pg: FreshDatabase) -> None:
    with start_replica(pg.cluster, slot="a") as one, start_replica(pg.cluster, slot="b") as two:
        for cluster in (one, two):
            FreshDatabase(cluster=cluster, name="postgres").execute("select pg_wal_replay_pause()")
        write(pg)
        until(lambda: objects(ask(pg.dsn, LAG, warning_bytes=1)) == ["a", "b"], "both are behind")


@OLD_AND_NEW
def test_a_program_that_only_stores_wal_is_no_replica_and_does_not_lag(pg: FreshDatabase) -> None:
    cluster = pg.cluster
    stored = cluster.home.run_dir / "stored"
    stored.mkdir()
    cluster.home.account.give(stored)
    argv = [cluster.binaries.tool("pg_receivewal"), "-D", stored, "-h", cluster.socket_dir, "-p", str(cluster.port)]
    with (stored / "log").open("wb") as log:
        program = cluster.home.account.popen([*argv, "-U", SUPERUSER, "-w"], cwd=stored, log=log)
    try:
        until(lambda: value(pg, "select count(write_lsn) from pg_stat_replication") == 1, "it stores WAL")
        write(pg)
        (receiver,) = observe(pg.dsn, QUESTIONS).rows(REPLICATION)
        assert (receiver.application_name, receiver.is_standby) == ("pg_receivewal", False)
        until(lambda: is_fine(pg, LAG, warning_bytes=1, warning_s=0.0), "all is sent")
        assert the_finding(expecting(pg, MISSING, replicas=1)).evidence["connected"] == 0
    finally:
        program.terminate()
        program.wait()
        shutil.rmtree(stored)


@OLD_AND_NEW
def test_a_standby_that_lives_on_an_archive_cannot_know(pg: FreshDatabase) -> None:
    settings = {"primary_conninfo": "", "primary_slot_name": "", "restore_command": "false"}
    with follower(pg.cluster, "one") as one:
        one.cluster.restart(settings)
        until(lambda: value(one, "select count(*) from pg_stat_wal_receiver") == 0, "it does not stream")
        (blind,) = ask(one.dsn, LAG).blind
        assert "only restores from an archive" in blind.reason


# --- slots ------------------------------------------------------------------------------------------------------------


@OLD_AND_NEW
def test_a_slot_that_the_server_gave_up_is_found_and_dropped(pg: FreshDatabase) -> None:
    check = "lost_replication_slot"
    pg.execute(
        "select pg_create_physical_replication_slot('late', true)",
        "alter system set max_slot_wal_keep_size = '1MB'",
        "select pg_reload_conf()",
    )
    assert is_fine(pg, check)

    def is_lost() -> bool:
        pg.execute("create table if not exists t (i int)", "insert into t values (1)", "select pg_switch_wal()")
        pg.execute("checkpoint")
        return objects(ask(pg.dsn, check)) == ["late"]

    until(is_lost, "the slot is lost")
    found = the_finding(ask(pg.dsn, check))
    assert (found.severity, found.kind) == (Severity.CRITICAL, Kind.SLOT)
    assert "max_slot_wal_keep_size" in str(found.evidence["reason"])
    assert is_fine(pg, "inactive_replication_slot")
    mend(pg, found)
    assert is_fine(pg, check)


@pytest.mark.pg(">= 14")
def test_a_slot_whose_plugin_is_not_allowed_is_found_and_let_in(pg: FreshDatabase) -> None:
    check = "blocked_output_plugin"
    pg.execute("select pg_create_logical_replication_slot('cdc', 'test_decoding')")
    assert is_fine(pg, check)
    if value(pg, "select count(*) from pg_settings where name = 'output_plugin_libraries'") == 0:
        return  # this minor release allows every plugin
    pg.execute("alter system set output_plugin_libraries = pgoutput, 'my, own'", "select pg_reload_conf()")
    until(lambda: objects(ask(pg.dsn, check)) == ["cdc"], "it is blocked")
    with pytest.raises(psycopg.Error, match="may not be used"):
        pg.execute("select pg_logical_slot_peek_changes('cdc', null, null)")
    found = the_finding(ask(pg.dsn, check))
    assert (found.severity, found.kind, found.evidence["plugin"]) == (Severity.WARNING, Kind.SLOT, "test_decoding")
    assert the_finding(ask(pg.dsn, "inactive_replication_slot")).advice == found.advice  # not to be dropped
    advice = mend(pg, found)
    until(lambda: is_fine(pg, check), "it is allowed")
    assert value(pg, "show output_plugin_libraries") == 'pgoutput, "my, own", test_decoding'
    pg.execute("select pg_logical_slot_peek_changes('cdc', null, null)")
    paste(pg, advice.undo_sql)
    until(lambda: objects(ask(pg.dsn, check)) == ["cdc"], "it is blocked again")


@OLD_AND_NEW
def test_a_forgotten_slot_fills_the_disk_in_a_time_that_is_told(pg: FreshDatabase) -> None:
    pg.execute("select pg_create_physical_replication_slot('forgotten', true)")

    def asked(free_bytes: int) -> Finding:
        def wait(_: float) -> None:
            write_bulk(pg, 2)

        chosen = choose(["inactive_replication_slot"])
        snapshot = observe_window(pg.dsn, questions_of(chosen), window_s=0.0, wait=wait)
        return the_finding(judge(snapshot, chosen, expectations={"wal_disk_free_bytes": free_bytes}))

    soon, late = asked(10 * 1024**3), asked(10**18)
    assert soon.severity is Severity.CRITICAL
    assert late.severity is Severity.WARNING
    assert "the disk of pg_wal is full in" in soon.detail
    assert "time_to_full_s" not in {k for k, v in expecting_slot(pg).evidence.items() if v is not None}


def expecting_slot(pg: FreshDatabase) -> Finding:
    return the_finding(ask(pg.dsn, "inactive_replication_slot"))


# --- the archive ------------------------------------------------------------------------------------------------------


def archive_by(pg: FreshDatabase, command: str) -> None:
    with psycopg.connect(pg.dsn, autocommit=True) as conn:
        conn.execute(sql.SQL("alter system set archive_command = {}").format(sql.Literal(command)))
        conn.execute("select pg_reload_conf()")
    until(lambda: value(pg, "show archive_command") == command, "the command is known")


@OLD_AND_NEW
def test_an_archiver_that_fails_is_found_and_mended(pg: FreshDatabase) -> None:
    failing, suspicious = "archiver_failing", "archiver_suspicious"
    pg.role("plain")
    pg.cluster.restart({"archive_mode": "on", "archive_command": COPY})
    write(pg)
    pg.execute("select pg_switch_wal()")
    until(lambda: value(pg, "select archived_count from pg_stat_archiver") > 0, "a segment is archived")
    assert is_fine(pg, failing)
    assert is_fine(pg, suspicious)
    (blind,) = ask(pg.dsn_as("plain"), suspicious).blind
    assert blind.cure == 'GRANT "pg_monitor" TO "plain";'

    archive_by(pg, "/bin/false %p")
    write(pg)
    pg.execute("select pg_switch_wal()")
    until(lambda: objects(ask(pg.dsn, failing)) == ["server"], "the archiver fails")
    found = the_finding(ask(pg.dsn, failing))
    assert (found.severity, found.kind) == (Severity.CRITICAL, Kind.SERVER)
    assert int(str(found.evidence["waiting"])) >= 1
    assert objects(ask(pg.dsn_as("plain"), failing)) == ["server"]
    assert is_fine(pg, suspicious)

    archive_by(pg, COPY)
    mend(pg, found)
    until(lambda: is_fine(pg, failing), "it works again")


@OLD_AND_NEW
def test_a_command_that_archives_nothing_is_suspicious(pg: FreshDatabase) -> None:
    check = "archiver_suspicious"
    pg.cluster.restart({"archive_mode": "on"})
    commands = {
        "": "says how",
        "/bin/true": "does nothing",
        "true # cp %p /archive/%f": "does nothing",
        ":": "does nothing",
        "exit 0": "does nothing",
        "cp %p arch/%f || true": "even when it fails",
        "echo archived": "not told which file",
    }
    for command, why in commands.items():
        archive_by(pg, command)
        found = the_finding(ask(pg.dsn, check))
        assert (found.severity, found.kind, found.object) == (Severity.WARNING, Kind.SERVER, "server")
        assert why in str(found.evidence["why"])
        mend(pg, found)
    for command in (COPY, "true && cp %p arch/%f", "true-archive %p", "wal-g wal-push %p"):
        archive_by(pg, command)
        assert is_fine(pg, check), command


@OLD_AND_NEW
def test_an_archiver_that_hangs_is_suspicious(pg: FreshDatabase) -> None:
    check = "archiver_suspicious"
    hangs = f"while test ! -f go; do sleep 0.05; done; {COPY}"
    pg.cluster.restart({"archive_mode": "on", "archive_command": hangs})
    for _ in range(2):
        write(pg)
        pg.execute("select pg_switch_wal()")
    assert is_fine(pg, check)  # it may still do it
    found = the_finding(ask(pg.dsn, check, age_s=0.0))
    assert int(str(found.evidence["waiting"])) >= 2
    pg.execute(f"copy (select 1) to '{pg.cluster.data_dir}/go'")
    until(lambda: is_fine(pg, check, age_s=0.0), "it catches up")


@OLD_AND_NEW
def test_a_command_that_nobody_runs_is_suspicious(pg: FreshDatabase) -> None:
    check = "archiver_suspicious"
    assert is_fine(pg, check)
    pg.execute("alter system set archive_command = 'true'", "select pg_reload_conf()")
    assert is_fine(pg, check)  # a place-holder, so that archiving can be switched on without much ado
    pg.execute(f"alter system set archive_command = '{COPY}'", "select pg_reload_conf()")
    until(lambda: objects(ask(pg.dsn, check)) == ["server"], "a command without archive_mode")
    mend(pg, the_finding(ask(pg.dsn, check)))
    pg.cluster.restart()
    assert is_fine(pg, check)


# --- checkpoints ------------------------------------------------------------------------------------------------------


@OLD_AND_NEW
def test_checkpoints_by_the_amount_of_wal_are_found_and_those_by_hand_are_not(pg: FreshDatabase) -> None:
    check, soon = "forced_checkpoints", {"counters_s": 0.0}
    pg.cluster.restart({"max_wal_size": "32MB", "min_wal_size": "32MB"})
    requested = "num_requested from pg_stat_checkpointer" if pg.major >= 17 else "checkpoints_req from pg_stat_bgwriter"
    reset = (
        "select pg_stat_reset_shared('checkpointer')" if pg.major >= 17 else "select pg_stat_reset_shared('bgwriter')"
    )
    pg.execute(reset, "select pg_stat_reset_shared('wal')")
    until(lambda: value(pg, f"select {requested}") == 0, "the counters are new")
    assert "less than 3600 s" in ask(pg.dsn, check).blind[0].reason

    pg.execute(*["checkpoint"] * 8)
    until(lambda: value(pg, f"select {requested}") >= 8, "they are counted")
    assert is_fine(pg, check, **soon)

    pg.execute(reset, "select pg_stat_reset_shared('wal')")
    until(lambda: value(pg, f"select {requested}") == 0, "the counters are new")
    for forced in range(1, 6):
        write_bulk(pg)
        until(lambda forced=forced: value(pg, f"select {requested}") >= forced, f"{forced} were forced")
    until(lambda: objects(ask(pg.dsn, check, **soon)) == ["server"], "the WAL is counted")
    found = the_finding(ask(pg.dsn, check, **soon))
    assert (found.severity, found.kind) == (Severity.WARNING, Kind.SERVER)
    assert found.evidence["max_wal_size_bytes"] == 32 * 1024**2
    mend(pg, found)
    until(lambda: is_fine(pg, check, **soon), "max_wal_size is larger")
