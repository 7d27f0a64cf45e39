"""Emergencies as an operator meets them: a tree of locks under load, connections run out, a pooler, a standby."""

from __future__ import annotations

import contextlib
import json
import select
import signal
import subprocess
import sys
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import psycopg
import pytest
from tests.fix.pooler import Pgbouncer
from tests.fix.quizmentor import SIZE, make
from tests.fix.replica import wait_for_replay
from tests.fix.server import FreshDatabase, Servers, clean, installed, unavailable
from tests.journey.conftest import CommandLine, Ended

from pgrunbook.demo.operations import Form, scripts
from pgrunbook.lab import Cluster, embedded_binaries
from pgrunbook.procedures.load import LoadSpec, RunningLoad
from pgrunbook.record import read

WAIT_LIMIT_S = 30.0
OPERATOR = "operator"
APPLICATION = "quizmentor_app"
NOW = ("--blocking-for", "1s", "--cool-down", "0s")
BLOCKED = (
    "select pid from pg_stat_activity where cardinality(pg_blocking_pids(pid)) > 0 and backend_type = 'client backend'"
)


def until(conn: psycopg.Connection[Any], query: str, wanted: Any) -> None:
    """Wait until the first column of the first row is what is wanted."""
    deadline = time.monotonic() + WAIT_LIMIT_S
    seen = None
    while time.monotonic() < deadline:
        row = conn.execute(query.encode()).fetchone()
        seen = row[0] if row is not None else None
        if seen == wanted:
            return
        time.sleep(0.02)
    pytest.fail(f"{query} gave {seen!r} for {WAIT_LIMIT_S:.0f} s, not {wanted!r}")


def emergency(cli: CommandLine, *words: str | Path) -> tuple[Ended, dict[str, Any]]:
    ended = cli("emergency", *words, "--format", "json")
    return ended, json.loads(ended.out) if ended.out else {}


def touched(report: dict[str, Any]) -> set[int]:
    return {step["pid"] for step in report["steps"] if step["pid"] is not None}


def actions(report: dict[str, Any], moment: str = "before") -> dict[int, str]:
    return {one["pid"]: one["action"] for one in report[moment]["sessions"]}


def reasons(report: dict[str, Any]) -> dict[int, str]:
    return {one["pid"]: one["reason"] for one in report["before"]["sessions"]}


class Crowd:
    """Connections with a name each, closed at the end."""

    def __init__(self, dsn: str) -> None:
        self._dsn = dsn
        self._all = contextlib.ExitStack()
        self.pids: dict[str, int] = {}

    def join(self, name: str, *, user: str = APPLICATION, **params: Any) -> psycopg.Connection[Any]:
        conn = psycopg.connect(self._dsn, user=user, application_name=name, **params)
        self._all.callback(conn.close)
        self.pids[name] = conn.info.backend_pid
        return conn

    def ask(self, name: str, query: str, **params: Any) -> psycopg.Connection[Any]:
        """Join, send a query, and do not wait for its answer."""
        conn = self.join(name, **params)
        conn.pgconn.send_query(query.encode())
        return conn

    def close(self) -> None:
        self._all.close()


@pytest.fixture
def crowd_at() -> Iterator[Any]:
    with contextlib.ExitStack() as stack:

        def make_crowd(dsn: str) -> Crowd:
            crowd = Crowd(dsn)
            stack.callback(crowd.close)
            return crowd

        yield make_crowd


@pytest.mark.parametrize("major", [14, 18])
def test_a_tree_of_locks_under_load_is_freed_and_nobody_else_is_touched(
    servers: Servers, cli: CommandLine, crowd_at: Any, major: int
) -> None:
    if major not in installed():
        unavailable(f"PostgreSQL {major} is not installed")
    cluster = servers.cluster(major)
    dsn = make(cluster, "sick", sick=True)
    try:
        crowd = crowd_at(dsn)
        with psycopg.connect(dsn, autocommit=True) as admin:
            admin.execute(f"create role {OPERATOR} login")
            admin.execute(f"grant pg_monitor, pg_signal_backend to {OPERATOR}")
            spec = LoadSpec(
                users=10, think_s=0.1, duration_s=600, warmup_s=0, scripts=scripts(Form.BAD, SIZE), threads=1
            )
            with RunningLoad.start(spec, cluster.dsn("sick", user=APPLICATION), embedded_binaries()) as load:
                load.wait(1.0)
                _tree(crowd)
                until(admin, f"select count(*) >= 6 from ({BLOCKED}) as b", wanted=True)
                waited = "select min(query_start) < clock_timestamp() - interval '1.1 s' from pg_stat_activity"
                until(admin, f"{waited} where application_name like 'leaf%'", wanted=True)
                bystanders = _sessions(admin)
                _free_it(cli, cluster.dsn("sick", user=OPERATOR), admin, crowd, bystanders)
                assert load.alive
    finally:
        clean(cluster)


def _tree(crowd: Crowd) -> None:
    """root ← middle ← leaf, and decoys that look bad but must stay."""
    root = crowd.join("root")
    root.execute("update quizzes set title = title where id = 1")
    root.execute("lock table user_sessions in share mode")  # the load updates it: its users wait, too
    middle = crowd.join("middle")
    middle.execute("update quizzes set title = title where id = 2")
    middle.pgconn.send_query(b"update quizzes set title = title where id = 1")
    crowd.ask("leaf", "update quizzes set title = title where id = 2")
    crowd.ask("leaf 2", "update quizzes set title = title where id = 1")
    crowd.ask("long, but a superuser", "select pg_sleep(600)", user="postgres", autocommit=True)
    crowd.ask("pg_dump of long", "select pg_sleep(600)", autocommit=True)
    crowd.join("idler", autocommit=True).execute("select 1")


def _sessions(admin: psycopg.Connection[Any]) -> set[tuple[int, Any]]:
    rows = admin.execute("select pid, backend_start from pg_stat_activity where backend_type = 'client backend'")
    return {(pid, at) for pid, at in rows.fetchall()}


def _free_it(
    cli: CommandLine,
    dsn: str,
    admin: psycopg.Connection[Any],
    crowd: Crowd,
    before: set[tuple[int, Any]],
) -> None:
    ended, looked = emergency(cli, "overload", dsn, *NOW)
    assert ended.code == 0, ended.err
    assert looked["dry_run"]
    assert _sessions(admin) == before
    assert actions(looked)[crowd.pids["root"]] == "end"
    assert actions(looked)[crowd.pids["middle"]] == "later"
    assert "a victim" in reasons(looked)[crowd.pids["leaf"]]

    ended, report = emergency(cli, "overload", dsn, *NOW, "--yes")

    assert ended.code == 0, ended.err
    deadline = time.monotonic() + WAIT_LIMIT_S
    while blocked := admin.execute(BLOCKED.encode()).fetchall():
        assert time.monotonic() < deadline, blocked
        time.sleep(0.05)
    listed = {pid for pid, action in actions(report).items() if action != "leave"}
    assert touched(report) <= listed
    assert crowd.pids["root"] in touched(report)
    gone = before - _sessions(admin)
    assert {pid for pid, _ in gone} <= listed
    for name in ("long, but a superuser", "pg_dump of long", "leaf 2", "idler"):
        assert crowd.pids[name] in {pid for pid, _ in _sessions(admin)}, name
    moments = _situations(cli)
    assert list(moments) == ["before", "after"]
    waiting = [one for one in moments["before"]["sessions"] if one["waits_for"]]
    assert crowd.pids["leaf"] in {one["pid"] for one in waiting}
    still = {one["pid"] for one in moments["after"]["sessions"] if one["waits_for"]}
    assert not still & set(crowd.pids.values())
    exported = cli("journal", "export", dsn).out
    assert "before: " in exported
    assert f"End session {crowd.pids['root']}" in exported


def _situations(cli: CommandLine) -> dict[str, Any]:
    (journal,) = (cli.folder / "state").rglob("journal.jsonl")
    return {one["moment"]: one for one in read(journal.parent) if one["type"] == "situation"}


@pytest.mark.pg("== 18")
def test_where_the_root_is_never_touched_the_next_below_it_is(
    pg: FreshDatabase, cli: CommandLine, crowd_at: Any
) -> None:
    pg.role("app")
    pg.execute("create table t (a int)", "grant all on t to app", "alter table t owner to app")
    crowd = crowd_at(pg.dsn)
    crowd.join("pg_dump", user="app").execute("select * from t")
    crowd.ask("migration", "alter table t add column b int", user="app", autocommit=True)
    crowd.ask("reader", "select * from t", user="app", autocommit=True)
    conn = pg.connect()
    until(conn, f"select count(*) from ({BLOCKED}) as b", 2)
    ended, report = emergency(cli, "overload", pg.dsn, "--blocking-for", "0.1s", "--yes", "--no-vacuum")
    assert ended.code == 0, ended.err
    assert touched(report) == {crowd.pids["migration"]}
    assert "never touched" in reasons(report)[crowd.pids["migration"]]
    until(conn, f"select count(*) from ({BLOCKED}) as b", 0)


@pytest.mark.pg("== 18")
def test_who_does_not_obey_or_still_holds_locks_after_a_cancel_is_ended(
    pg: FreshDatabase, cli: CommandLine, crowd_at: Any
) -> None:
    pg.role("app")
    pg.execute("create table t (a int)", "insert into t values (1), (2)", "grant all on t to app")
    crowd = crowd_at(pg.dsn)
    saved = crowd.join("saved", user="app")
    saved.execute("update t set a = a where a = 1")
    saved.execute("savepoint here")  # what was locked before it stays locked when the statement is cancelled
    saved.pgconn.send_query(b"select pg_sleep(600)")
    crowd.ask("victim", "update t set a = a where a = 1", user="app")
    crowd.ask("flood", "select repeat('x', 1000) from generate_series(1, 1000000)", user="app", autocommit=True)
    conn = pg.connect()
    until(conn, f"select count(*) from ({BLOCKED}) as b", 1)
    until(conn, "select count(*) from pg_stat_activity where wait_event = 'ClientWrite'", 1)
    options = ("--blocking-for", "0.1s", "--older-than", "0.1s", "--cancel-wait", "0.3s", "--no-vacuum")
    ended, report = emergency(cli, "overload", pg.dsn, *options, "--yes")
    assert ended.code == 0, ended.err
    steps = [(step["kind"], step["pid"], step["state"]) for step in report["steps"]]
    assert steps == [
        ("cancel_query", crowd.pids["saved"], "kept"),
        ("cancel_query", crowd.pids["flood"], "refused"),
        ("end_session", crowd.pids["saved"], "kept"),
        ("end_session", crowd.pids["flood"], "kept"),
    ]
    assert "told to stop but still ran" in report["steps"][1]["reason"]
    assert crowd.pids["victim"] in actions(report, "after")
    until(conn, f"select count(*) from ({BLOCKED}) as b", 0)


@pytest.mark.pg("== 18")
def test_the_longest_run_are_cancelled_and_their_role_gets_a_limit_that_can_be_undone(
    pg: FreshDatabase, cli: CommandLine, crowd_at: Any
) -> None:
    pg.role("app")
    pg.role("strict")
    pg.execute("alter role app set work_mem = '5MB'", "alter role strict set statement_timeout = '5s'")
    settings = "select r.rolname::text, s.setconfig from pg_db_role_setting s join pg_roles r on r.oid = s.setrole"
    conn = pg.connect()
    before = sorted(conn.execute(settings).fetchall())
    crowd = crowd_at(pg.dsn)
    for number in range(3):
        crowd.ask(f"slow {number}", "select pg_sleep(600), 'secret'", user="app", autocommit=True)
        until(conn, "select count(*) from pg_stat_activity where wait_event = 'PgSleep'", number + 1)
    crowd.ask("strict", "set statement_timeout = 0; select pg_sleep(600)", user="strict", autocommit=True)
    until(conn, "select count(*) from pg_stat_activity where wait_event = 'PgSleep'", 4)
    options = ("--older-than", "0.1s", "--top", "2", "--prevent", "--spare-role", "strict")
    _, looked = emergency(cli, "runaway", pg.dsn, *options)
    assert [pid for pid, action in actions(looked).items() if action == "cancel"] == [
        crowd.pids["slow 0"], crowd.pids["slow 1"],
    ]  # fmt: skip
    assert "not among the 2" in reasons(looked)[crowd.pids["slow 2"]]
    assert "spared by the configuration" in reasons(looked)[crowd.pids["strict"]]
    assert [act["state"] for act in looked["further"]] == ["would"]
    assert "secret" not in json.dumps(looked)

    ended, report = emergency(cli, "runaway", pg.dsn, *options, "--yes")

    assert ended.code == 0, ended.err
    assert touched(report) == {crowd.pids["slow 0"], crowd.pids["slow 1"]}
    assert set(crowd.pids.values()) <= set(actions(report, "after"))  # cancelled, not ended
    until(conn, "select count(*) from pg_stat_activity where wait_event = 'PgSleep'", 2)
    with psycopg.connect(pg.dsn, user="app") as fresh:
        assert fresh.execute("show statement_timeout").fetchone() == ("30s",)
    soon = cli("emergency", "runaway", pg.dsn, *options, "--yes")
    assert soon.code == 4
    assert "the cool-down is 1 min" in soon.err
    assert cli("undo", report["run"], pg.dsn, "--yes").code == 0
    assert sorted(conn.execute(settings).fetchall()) == before
    assert "secret" not in "".join(path.read_text() for path in (cli.folder / "state").rglob("journal.jsonl"))


@pytest.mark.pg("== 18")
def test_exhausted_connections_are_no_server_that_is_down_and_room_is_made(
    pg: FreshDatabase, cli: CommandLine, crowd_at: Any
) -> None:
    pg.role("app")
    pg.role("operator", member_of="pg_monitor, pg_signal_backend")
    crowd = crowd_at(pg.dsn)
    crowd.join("listener", user="app", autocommit=True).execute("listen news")
    crowd.join("locker", user="app", autocommit=True).execute("select pg_advisory_lock(1)")
    with contextlib.suppress(psycopg.OperationalError):
        for number in range(100):
            crowd.join(f"idle {number}", user="app", autocommit=True).execute("select 1")
    operator = pg.dsn_as("operator")
    full = cli("emergency", "exhaustion", operator, "--connect-wait", "0.6s")
    assert full.code == 3
    assert "the server is up, but exhausted" in full.err
    assert "pg_use_reserved_connections" in full.err
    idle = ("--idle-for", "0.1s")
    ended, looked = emergency(cli, "exhaustion", pg.dsn, *idle)
    assert ended.code == 0, ended.err
    assert looked["before"]["used"] >= looked["before"]["usable"]
    assert "listens" in reasons(looked)[crowd.pids["listener"]]
    assert "advisory lock" in reasons(looked)[crowd.pids["locker"]]
    ended, report = emergency(cli, "exhaustion", pg.dsn, *idle, "--yes", "--max-sessions", "5")
    assert ended.code == 0, ended.err
    assert len(touched(report)) == 5
    ended, report = emergency(cli, "exhaustion", operator, *idle, "--yes", "--cool-down", "0s")
    assert ended.code == 0, ended.err
    assert report["after"]["used"] < 0.8 * report["after"]["usable"] + 1
    assert {crowd.pids["listener"], crowd.pids["locker"]} <= set(actions(report, "after"))
    assert cli("emergency", "exhaustion", operator, *idle, "--yes", "--cool-down", "0s").code == 0


@pytest.mark.pg("== 18")
def test_without_the_rights_it_says_which_grant_is_missing(pg: FreshDatabase, cli: CommandLine, crowd_at: Any) -> None:
    pg.role("app")
    pg.role("blind")
    pg.role("watcher", member_of="pg_monitor")
    crowd = crowd_at(pg.dsn)
    crowd.join("idler", user="app").execute("select 1")
    until(pg.connect(), "select count(*) from pg_stat_activity where state = 'idle in transaction'", 1)
    options = ("--older-than", "0.1s", "--no-vacuum")
    blind = cli("emergency", "idle", pg.dsn_as("blind"), *options)
    assert (blind.code, "GRANT pg_read_all_stats TO blind;" in blind.err) == (3, True), blind.err
    _, looked = emergency(cli, "idle", pg.dsn_as("watcher"), *options)
    assert "GRANT pg_signal_backend TO watcher;" in reasons(looked)[crowd.pids["idler"]]
    ended, report = emergency(cli, "idle", pg.dsn_as("watcher"), *options, "--yes")
    assert (ended.code, report["steps"]) == (0, [])
    pg.execute("grant pg_signal_backend to watcher")
    ended, report = emergency(cli, "idle", pg.dsn_as("watcher"), *options, "--yes")
    assert (ended.code, touched(report)) == (0, {crowd.pids["idler"]}), ended.err


@pytest.mark.pg("== 18")
def test_tables_are_vacuumed_only_when_nothing_stands_against_it(
    pg: FreshDatabase, cli: CommandLine, crowd_at: Any
) -> None:
    pg.role("app")
    pg.execute(
        "create table t (a int) with (autovacuum_enabled = false)",
        "insert into t select generate_series(1, 20000)",
        "grant select on t to app",
    )
    holder = crowd_at(pg.dsn).join("report", user="app")
    holder.execute("begin isolation level repeatable read")
    holder.execute("select count(*) from t")
    pg.execute("delete from t where a > 5000")
    conn = pg.connect()
    until(conn, "select n_dead_tup from pg_stat_user_tables where relname = 't'", 15000)
    aged = (
        "select xact_start < clock_timestamp() - interval '5 s' from pg_stat_activity where application_name = 'report'"
    )
    until(conn, aged, wanted=True)  # a younger snapshot is expected to go by itself
    ended, held = emergency(cli, "overload", pg.dsn, "--yes")
    assert ended.code == 0, ended.err
    (act,) = held["further"]
    assert act["state"] == "skipped"
    assert f"backend {holder.info.backend_pid} (app, report) holds an old snapshot" in act["reason"]
    ended, report = emergency(cli, "overload", pg.dsn, "--yes", "--older-than", "1s", "--cool-down", "0s")
    assert ended.code == 0, ended.err
    assert touched(report) == {holder.info.backend_pid}
    assert [(act["title"], act["state"]) for act in report["further"]] == [("Vacuum public.t", "done")]
    until(conn, "select n_dead_tup from pg_stat_user_tables where relname = 't'", 0)


def test_through_a_pooler_it_refuses_and_on_its_console_it_reconnects(
    server18: FreshDatabase, pgbouncer: Pgbouncer, cli: CommandLine
) -> None:
    server18.role("app")
    refused = cli("emergency", "overload", pgbouncer.dsn(server18.name))
    assert refused.code == 4
    assert "Give the DSN of the server itself" in refused.err
    client = psycopg.connect(pgbouncer.dsn(server18.name, user="app"), autocommit=True)
    (first,) = client.execute("select pg_backend_pid()").fetchone() or (0,)
    console = ("--pooler", pgbouncer.admin_dsn(), "--no-vacuum")
    ended, looked = emergency(cli, "overload", server18.dsn, *console)
    assert ended.code == 0, ended.err
    assert [(act["state"], act["reason"]) for act in looked["further"]] == [("would", looked["further"][0]["reason"])]
    assert "PgBouncer" in looked["further"][0]["reason"]
    assert client.execute("select pg_backend_pid()").fetchone() == (first,)
    ended, report = emergency(cli, "overload", server18.dsn, *console, "--yes")
    assert ended.code == 0, ended.err
    assert [act["state"] for act in report["further"]] == ["done"]
    (second,) = client.execute("select pg_backend_pid()").fetchone() or (0,)
    assert second != first
    client.close()


def test_a_pause_is_never_forgotten(
    server18: FreshDatabase, pgbouncer: Pgbouncer, cli: CommandLine, crowd_at: Any
) -> None:
    server18.role("app")
    console = pgbouncer.admin_dsn()
    options = (
        "--older-than", "0.1s", "--no-vacuum", "--cool-down", "0s", "--pooler", console, "--pause", "0.5s", "--yes",
    )  # fmt: skip
    victim = ("idle in transaction", "select count(*) from pg_stat_activity where state = 'idle in transaction'")
    through = crowd_at(pgbouncer.dsn(server18.name))
    client = through.join("client", user="app", autocommit=True)
    through.join("open", user="app").execute("select 1")
    until(server18.connect(), victim[1], 1)
    ended, report = emergency(cli, "idle", server18.dsn, *options)  # it cannot come to rest, and goes on
    assert ended.code == 0, ended.err
    assert [act["state"] for act in report["further"]] == ["skipped", "done"]
    assert "transactions are open in it" in report["further"][0]["reason"]
    assert client.execute("select 1").fetchone() == (1,)
    crowd_at(server18.dsn).join("forgotten", user="app").execute("select 1")
    until(server18.connect(), victim[1], 1)
    ended, report = emergency(cli, "idle", server18.dsn, *options)
    assert ended.code == 0, ended.err
    assert [act["state"] for act in report["further"]] == ["done", "done"]
    assert client.execute("select 1").fetchone() == (1,)
    assert not list((cli.folder / "state/pgrunbook/paused").iterdir())
    _die_while_paused(cli, console)
    (record,) = (cli.folder / "state/pgrunbook/paused").iterdir()
    client.pgconn.send_query(b"select 1")
    assert not _answers(client, 0.3)
    looked = cli("emergency", "idle", server18.dsn)
    assert (looked.code, "a run that died had paused it" in looked.err) == (0, True), looked.err
    assert not record.exists()
    assert _answers(client, WAIT_LIMIT_S)


def _die_while_paused(cli: CommandLine, console: str) -> None:
    text = (
        "import os, sys\n"
        "from pgrunbook.procedures.emergency.pooler import Pooler, paused\n"
        "with paused(Pooler(sys.argv[1]), sys.argv[1], deadline_s=60):\n"
        "    os.kill(os.getpid(), 9)\n"
    )
    ended = subprocess.run([sys.executable, "-c", text, console], env=cli.env, check=False)
    assert ended.returncode == -signal.SIGKILL


def _answers(client: psycopg.Connection[Any], within_s: float) -> bool:
    """Whether what was sent is answered in time."""
    return bool(select.select([client.pgconn.socket], [], [], within_s)[0])


def test_sessions_of_a_standby_can_be_stopped(
    server18: FreshDatabase, replica: Cluster, cli: CommandLine, crowd_at: Any
) -> None:
    server18.role("app")
    wait_for_replay(server18.cluster, replica)
    dsn = replica.dsn(server18.name)
    crowd = crowd_at(dsn)
    crowd.ask("slow", "select pg_sleep(600)", user="app", autocommit=True)
    with psycopg.connect(dsn, autocommit=True) as conn:
        until(conn, "select count(*) from pg_stat_activity where wait_event = 'PgSleep'", 1)
        ended, report = emergency(cli, "overload", dsn, "--older-than", "0.1s", "--yes")
        assert ended.code == 0, ended.err
        assert touched(report) == {crowd.pids["slow"]}
        assert [act["state"] for act in report["further"]] == ["skipped"]
        until(conn, "select count(*) from pg_stat_activity where wait_event = 'PgSleep'", 0)
    assert cli("emergency", "overload", dsn, "--prevent").code == 4
    assert "Cancel the query" in cli("journal", dsn).out


def test_each_procedure_explains_itself_with_the_thresholds_that_hold(cli: CommandLine) -> None:
    (cli.folder / "pgrunbook.toml").write_text(
        '[emergency]\nolder_than = "7min"\nspared_roles = ["billing"]\n[emergency.runaway]\ntop = 3\n', encoding="utf-8"
    )
    for name, words in (
        ("overload", "7 min"),
        ("runaway", "the 3 longest"),
        ("exhaustion", "53300"),
        ("idle", "7 min"),
    ):
        ended = cli("emergency", name, "--explain")
        assert (ended.code, words in ended.out) == (0, True), ended.out
        assert "$" not in ended.out.replace("$XDG_STATE_HOME", "")
    (cli.folder / "pgrunbook.toml").write_text("[emergency]\nolder_then = 5\n", encoding="utf-8")
    ended = cli("emergency", "idle", "--explain")
    assert (ended.code, "emergency.older_then" in ended.err) == (64, True)


@pytest.mark.pg("== 18")
def test_a_stop_file_forbids_all_acts(pg: FreshDatabase, cli: CommandLine) -> None:
    (cli.folder / "state" / "pgrunbook").mkdir(parents=True)
    (cli.folder / "state" / "pgrunbook" / "stop").touch()
    assert cli("emergency", "idle", pg.dsn).code == 0
    ended = cli("emergency", "idle", pg.dsn, "--yes")
    assert (ended.code, "forbids it" in ended.err) == (4, True)
