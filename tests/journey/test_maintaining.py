"""Maintenance as a user and as cron types it: run, due, interrupted, killed, through a pooler, reviews, the backup."""

from __future__ import annotations

import contextlib
import json
import os
import signal
import subprocess
import sys
import threading
import time
from collections.abc import Callable, Iterator
from datetime import UTC, datetime, timedelta
from typing import Any

import psycopg
import pytest
from psycopg.conninfo import make_conninfo
from tests.fix.server import FreshDatabase
from tests.journey.conftest import CommandLine, Ended

from pgrunbook.lab import Pgbouncer
from pgrunbook.surfaces.cli.main import run

PATIENT = "[maintain.pressure]\nactive_per_core = 1e6\nactive_ratio = 1e6\n"
ANY_TRAFFIC = "[maintain.low_traffic]\nknown_s = 0\nscans_per_h = 1e12\nwrites_per_h = 1e12\n"
BLACKOUT = '[maintain]\nblackout = ["00:00-24:00 UTC"]\n'
INDEXES = (
    "select coalesce(string_agg(c.relname || case when i.indisvalid then '' else ' invalid' end, ',' order by 1), '')"
    " from pg_index as i join pg_class as c on c.oid = i.indexrelid where c.relnamespace = 'public'::regnamespace"
)
WAITING = "select pid from pg_stat_progress_create_index where phase = 'waiting for old snapshots'"
WAIT_LIMIT_S = 60.0


@pytest.fixture
def inside(
    cli: CommandLine, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> Callable[..., Ended]:
    """The same command line within this process: a second less each time."""
    monkeypatch.chdir(cli.folder)
    for name in ("HOME", "XDG_STATE_HOME"):
        monkeypatch.setenv(name, cli.env[name])
    for name in ("PGRUNBOOK_DSN", "DATABASE_URL", "PGRUNBOOK_CONFIG", "XDG_CONFIG_HOME"):
        monkeypatch.delenv(name, raising=False)

    def call(*words: str) -> Ended:
        capsys.readouterr()
        code = run(words)
        printed = capsys.readouterr()
        return Ended(code, printed.out, printed.err)

    return call


def configure(cli: CommandLine, text: str) -> None:
    (cli.folder / "pgrunbook.toml").write_text(text, encoding="utf-8")


def one(pg: FreshDatabase, query: str) -> Any:
    with psycopg.connect(pg.dsn, autocommit=True) as conn:
        row = conn.execute(query.encode()).fetchone()
    return row[0] if row is not None else None


def until(holds: Callable[[], Any]) -> Any:
    deadline = time.monotonic() + WAIT_LIMIT_S
    while not (found := holds()):
        assert time.monotonic() < deadline, "it did not come to pass"
        time.sleep(0.02)
    return found


def hot(pg: FreshDatabase) -> None:
    pg.execute(
        "create table hot (id int) with (autovacuum_enabled = off)",
        "insert into hot select generate_series(1, 5000)",
        "delete from hot where id > 100",
    )
    until(lambda: one(pg, "select n_dead_tup > 4000 from pg_stat_user_tables where relname = 'hot'"))


def air(pg: FreshDatabase) -> None:
    """An index that is mostly air, and whose statistics say so."""
    pg.execute(
        "create table air (id int primary key) with (autovacuum_enabled = off)",
        "insert into air select generate_series(1, 50000)",
        "delete from air where id % 25 <> 0",
    )
    until(lambda: one(pg, "select n_tup_del >= 48000 from pg_stat_user_tables where relname = 'air'"))
    pg.execute("vacuum (analyze, truncate off) air")


def test_a_task_shows_what_it_would_do_and_does_it_only_when_told(
    pg: FreshDatabase, cli: CommandLine, inside: Callable[..., Ended]
) -> None:
    configure(cli, PATIENT)
    hot(pg)
    ended = inside("--quiet", "maintain", "run", "vacuum", pg.dsn)
    assert ended.code == 4
    assert "4,900 dead rows" in ended.err
    assert "VACUUM (ANALYZE, TRUNCATE false) public.hot;" in ended.err
    assert inside("maintain", "run", "vacuum", pg.dsn, "--dry-run").code == 0
    assert one(pg, "select n_dead_tup from pg_stat_user_tables where relname = 'hot'") == 4900
    ended = inside("maintain", "run", "vacuum", pg.dsn, "--yes", "--format", "json")
    assert ended.code == 0, ended.err
    answer = json.loads(ended.out)
    assert [(step["title"], step["state"]) for step in answer["steps"]] == [("Vacuum public.hot", "kept")]
    assert answer["steps"][0]["figures"] == {"dead_before_rows": 4900, "dead_after_rows": 0}
    assert ended.err.splitlines()[-1] == "Vacuum public.hot: kept"
    assert "nothing to do" in inside("maintain", "run", "VACUUM ANALYZE high_traffic_tables", pg.dsn, "--yes").err
    assert "every hash fits" in inside("journal", "verify", pg.dsn).out


def test_in_a_blackout_it_is_refused_unless_somebody_insists(
    pg: FreshDatabase, cli: CommandLine, inside: Callable[..., Ended]
) -> None:
    configure(cli, BLACKOUT + PATIENT)
    hot(pg)
    ended = inside("maintain", "run", "vacuum", pg.dsn, "--yes")
    assert ended.code == 4
    assert "blackout 00:00-24:00 UTC" in ended.err
    assert "nothing was changed" in ended.err
    window = inside("maintain", "window", pg.dsn, "--format", "json")
    assert window.code == 0
    seen = json.loads(window.out)
    assert seen["good"] is False
    assert [(sign["kind"], sign["forbids"]) for sign in seen["signs"]] == [("blackout", True)]
    assert "needed" in seen["why_no_quiet_hour"]
    assert "would be refused" in inside("maintain", "window", pg.dsn).out
    assert inside("maintain", "run", "vacuum", pg.dsn, "--yes", "--force").code == 0


def test_what_is_due_runs_once_and_cron_may_ask_again(
    pg: FreshDatabase, cli: CommandLine, inside: Callable[..., Ended]
) -> None:
    configure(cli, PATIENT)
    hot(pg)
    now = datetime.now(UTC) - timedelta(minutes=1)
    (cli.folder / "calendar.yaml").write_text(
        f"daily:\n  - task: 'vacuum'\n    time: '{now:%H:%M} UTC'\n  - task: 'backup'\n    time: '{now:%H:%M} UTC'\n",
        encoding="utf-8",
    )
    due = ("maintain", "run", "--due", "--yes", "--file", "calendar.yaml", pg.dsn)
    first = inside(*due)
    assert "vacuum: due since" in first.err
    assert "Vacuum public.hot: kept" in first.err
    assert "no backup is configured; nothing was backed up" in first.err
    assert first.code == 4
    again = inside(*due)
    assert "vacuum: due since" not in again.err
    assert "backup: due since" in again.err  # what was refused gets its next chance
    told = json.loads(inside("maintain", "calendar", pg.dsn, "--file", "calendar.yaml", "--format", "json").out)
    assert [(entry["task"], entry["due"], entry["last_run_at"] is not None) for entry in told["entries"]] == [
        ("vacuum", False, True), ("backup", True, False),
    ]  # fmt: skip
    shown = inside("maintain", "calendar", pg.dsn, "--file", "calendar.yaml").out
    assert "due now" in shown
    assert "refused" in shown


@contextlib.contextmanager
def snapshots_until_a_build_waits(pg: FreshDatabase) -> Iterator[Callable[[], None]]:
    """Somebody with a young snapshot, so that a rebuild begins and waits for it; the yielded function waits for that.

    An old one would be waited for before the rebuild begins.
    """
    over = threading.Event()

    def hold() -> None:
        with psycopg.connect(pg.dsn) as conn:
            conn.isolation_level = psycopg.IsolationLevel.REPEATABLE_READ
            while not over.is_set():
                conn.rollback()
                conn.execute("select 1 from pg_class limit 1")
                for _ in range(50):
                    if over.is_set() or one(pg, WAITING):
                        over.wait()
                    time.sleep(0.01)

    def wait_for_it() -> None:
        until(lambda: one(pg, WAITING))

    thread = threading.Thread(target=hold)
    thread.start()
    try:
        yield wait_for_it
    finally:
        over.set()
        thread.join()


def test_ctrl_c_leaves_no_invalid_index(pg: FreshDatabase, cli: CommandLine, inside: Callable[..., Ended]) -> None:
    configure(cli, PATIENT)
    air(pg)
    with snapshots_until_a_build_waits(pg) as wait_for_it:
        process = cli.start("maintain", "run", "reindex", pg.dsn, "--yes")
        wait_for_it()
        process.send_signal(signal.SIGINT)
        until(lambda: one(pg, "select count(*) = 0 from pg_stat_progress_create_index"))
    process.communicate(timeout=WAIT_LIMIT_S)
    assert process.returncode == 130
    assert one(pg, INDEXES) == "air_pkey"
    assert "interrupted" in inside("maintain", "calendar", pg.dsn).out
    assert inside("maintain", "run", "reindex", pg.dsn, "--yes").code == 0
    assert one(pg, INDEXES) == "air_pkey"


def test_killed_in_the_middle_and_run_again_it_comes_to_its_end(
    pg: FreshDatabase, cli: CommandLine, inside: Callable[..., Ended]
) -> None:
    configure(cli, PATIENT)
    air(pg)
    before = one(pg, "select pg_relation_filenode('air_pkey')")
    with snapshots_until_a_build_waits(pg) as wait_for_it:
        process = cli.start("maintain", "run", "reindex", pg.dsn, "--yes")
        wait_for_it()
        process.kill()
        process.communicate()
    assert "not known to have ended" in inside("maintain", "calendar", pg.dsn).out
    again = inside("maintain", "run", "reindex", pg.dsn, "--yes", "--format", "json")
    assert again.code == 0, again.err
    assert one(pg, INDEXES) == "air_pkey"
    assert one(pg, "select pg_relation_filenode('air_pkey')") != before
    assert one(pg, "select pg_relation_size('air_pkey') < 100000")
    assert "every hash fits" in inside("journal", "verify", pg.dsn).out
    assert "last begun" in (shown := inside("maintain", "calendar", pg.dsn).out)
    assert "not known to have ended" not in shown


def test_through_a_transaction_pooler_it_is_refused_with_a_hint(
    server18: FreshDatabase, pgbouncer: Pgbouncer, cli: CommandLine, inside: Callable[..., Ended]
) -> None:
    configure(cli, PATIENT)
    hot(server18)
    ended = inside("maintain", "run", "vacuum", pgbouncer.dsn(server18.name), "--yes")
    assert ended.code == 4
    assert "transaction pooler" in ended.err
    assert "port 5432" in ended.err
    assert one(server18, "select n_dead_tup from pg_stat_user_tables where relname = 'hot'") == 4900


def test_a_rewrite_gives_room_back_and_says_what_is_left_out(
    pg: FreshDatabase, cli: CommandLine, inside: Callable[..., Ended]
) -> None:
    pg.execute(
        "create table big (id int primary key, t text) with (autovacuum_enabled = off)",
        "insert into big select g, repeat('x', 200) from generate_series(1, 30000) as g",
        "delete from big where id % 25 <> 0",
    )
    until(lambda: one(pg, "select n_tup_del >= 28800 from pg_stat_user_tables where relname = 'big'"))
    pg.execute("vacuum (analyze, truncate off) big")
    configure(cli, PATIENT)
    ended = inside("maintain", "run", "vacuum-full", pg.dsn, "--yes")
    assert ended.code == 0
    assert "public.big: its traffic is not known" in " ".join(ended.err.split())
    assert "disk" in ended.err
    size = one(pg, "select pg_total_relation_size('big')")
    configure(cli, PATIENT + ANY_TRAFFIC)
    ended = inside("maintain", "run", "vacuum-full", pg.dsn, "--yes", "--by", "vacuum")
    assert ended.code == 0, ended.err
    assert "cannot be undone" not in ended.out
    assert "VACUUM (FULL) public.big;" in ended.err
    assert one(pg, "select pg_total_relation_size('big')") < size / 5


def test_reviews_are_reports_that_know_the_one_before(
    pg: FreshDatabase, cli: CommandLine, inside: Callable[..., Ended]
) -> None:
    pg.execute(
        "create extension pg_stat_statements",
        'create table "<b>|`x`" (id int primary key)',
        'insert into "<b>|`x`" select generate_series(1, 10000)',
        'analyze "<b>|`x`"',
        *['select count(*) from "<b>|`x`" where id > 5'] * 5,
    )
    first = inside("maintain", "run", "slow-queries", pg.dsn)
    assert first.code == 0, first.err
    assert "This is the first review" in first.out
    assert "\\<b\\>" in first.out
    assert "Statements since the last review" in inside("maintain", "run", "Analyze slow query log", pg.dsn).out
    ended = inside("maintain", "run", "indexes", pg.dsn, "-o", "indexes.html")
    assert ended.code == 0, ended.err
    page = (cli.folder / "indexes.html").read_text(encoding="utf-8")
    assert "&lt;b&gt;" in page
    assert "<b>|" not in page
    capacity = inside("maintain", "run", "capacity", pg.dsn, "--window", "0")
    assert "Growth: not known yet" in capacity.out
    assert "rule of thumb" in capacity.out
    assert "Growth: the last review was only" in inside("maintain", "run", "capacity", pg.dsn, "--window", "0").out


def test_a_due_review_is_kept_beside_the_journal(
    pg: FreshDatabase, cli: CommandLine, inside: Callable[..., Ended]
) -> None:
    configure(cli, "window_s = 0.1\n")
    (cli.folder / "calendar.yaml").write_text(
        f"weekly:\n  - task: 'capacity'\n    time: '{datetime.now(UTC):%A}'\n", encoding="utf-8"
    )
    ended = inside("maintain", "run", "--due", "--yes", "--file", "calendar.yaml", pg.dsn)
    assert ended.code == 0, ended.err
    assert ended.out == ""
    kept = list((cli.folder / "state").rglob("reviews/*-capacity.html"))
    assert len(kept) == 1
    assert kept[0].stat().st_mode & 0o777 == 0o600
    assert "nothing is due" in inside("maintain", "run", "--due", "--yes", "--file", "calendar.yaml", pg.dsn).err


def test_the_backup_command_finds_the_database_without_a_password_among_its_words(
    pg: FreshDatabase, cli: CommandLine, inside: Callable[..., Ended]
) -> None:
    script = cli.folder / "backup.sh"
    script.write_text(
        '#!/bin/sh\nprintf "%s|%s|%s" "$PGDATABASE" "$PGPASSWORD" "$*" > seen\n'
        '[ "$1" = good ] || { echo broken; exit 3; }\n'
    )
    script.chmod(0o755)
    dsn = make_conninfo(pg.dsn, password="s3cret")
    configure(cli, f'[maintain]\nbackup_command = ["{script}", "good"]\n{PATIENT}')
    assert inside("maintain", "run", "backup", dsn).code == 4
    assert not (cli.folder / "seen").exists()
    ended = inside("maintain", "run", "backup", dsn, "--yes")
    assert ended.code == 0, ended.err
    assert "only a restore proves" in ended.out
    assert (cli.folder / "seen").read_text() == f"{pg.name}|s3cret|good"
    configure(cli, f'[maintain]\nbackup_command = ["{script}", "bad"]\n{PATIENT}')
    failed = inside("maintain", "run", "backup", dsn, "--yes")
    assert failed.code == 6
    assert "ended with 3" in failed.err
    assert "broken" in failed.err
    configure(cli, f'[maintain]\nbackup_command = ["/nowhere/backup"]\n{PATIENT}')
    assert inside("maintain", "run", "backup", dsn, "--yes").code == 4


def test_a_progress_bar_moves_on_a_terminal(pg: FreshDatabase, cli: CommandLine) -> None:
    configure(cli, PATIENT)
    air(pg)
    command = f"{sys.executable} -m pgrunbook.surfaces.cli.main maintain run reindex '{pg.dsn}' --yes"
    with snapshots_until_a_build_waits(pg) as wait_for_it:
        process = subprocess.Popen(
            ["script", "--quiet", "--return", "--command", command, "/dev/null"],
            cwd=cli.folder,
            env={**cli.env, "TERM": "xterm", "COLUMNS": "160"},
            stdin=subprocess.DEVNULL,
            stdout=subprocess.PIPE,
        )
        assert process.stdout is not None
        wait_for_it()
        shown = b""
        while b"waiting for old snapshots" not in shown:
            shown += os.read(process.stdout.fileno(), 65536)
    process.communicate(timeout=WAIT_LIMIT_S)
    assert process.returncode == 0
