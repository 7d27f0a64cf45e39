"""Loads on a real server, as short as they can be."""

from __future__ import annotations

import os
import subprocess
import sys
import time
from pathlib import Path

import psutil
import pytest

from pgrunbook.errors import ServerError
from pgrunbook.lab import embedded_binaries
from pgrunbook.procedures.load import LoadSpec, RunningLoad, Script, run_load

PGBENCH_OF = embedded_binaries  # its pgbench serves every supported server


def spec(*texts: str, users: int = 4, think_s: float = 0.1, warmup_s: float = 0.2, duration_s: float = 1.0):
    scripts = tuple(Script(name=f"s{n}", weight=1, text=text) for n, text in enumerate(texts))
    return LoadSpec(users=users, think_s=think_s, warmup_s=warmup_s, duration_s=duration_s, scripts=scripts, seed=7)


def sessions(pg) -> int:
    return (
        pg.connect()
        .execute("select count(*) from pg_stat_activity where application_name like 'load-%' and state = 'active'")
        .fetchone()[0]
    )


def test_a_load_gives_figures_of_every_script(pg):
    result = run_load(spec("select 1;\n", "begin;\nselect 2;\ncommit;\n"), pg.dsn, PGBENCH_OF())
    assert result.samples >= 20
    assert result.samples == sum(each.samples for each in result.per_script.values())
    assert set(result.per_script) == {"s0", "s1"}
    assert (result.failed, result.lost_users) == (0, 0)
    assert 0 < result.p50_ms <= result.p95_ms <= result.p99_ms
    assert 0 <= result.other_cpu_ratio <= 1
    assert len(result.timeline) >= 1


def test_the_time_to_think_is_not_in_the_figures_and_the_work_is(server18):
    thinking = spec("select pg_sleep(0.05);\n", users=8, think_s=0.4, duration_s=1.5)
    result = run_load(thinking, server18.dsn, PGBENCH_OF())
    assert result.p50_ms >= 50
    assert result.p50_ms < 200 + 50  # half the shortest thought would show


def test_a_request_that_never_ends_counts_and_is_called_off(server18):
    hanging = "select pg_sleep(case when :client_id = 0 then 600 else 0 end);\n"
    result = run_load(spec(hanging, users=2, think_s=0.05), server18.dsn, PGBENCH_OF())
    assert result.unfinished >= 1
    assert result.p99_ms >= 1000 * (result.window_s - 0.5)
    assert sessions(server18) == 0


def test_a_user_whose_statement_fails_is_lost_and_counted(server18):
    failing = "select 1 / (:client_id - 1);\n"
    result = run_load(spec(failing, users=4, warmup_s=0.0, duration_s=2.0), server18.dsn, PGBENCH_OF())
    assert result.lost_users == 1
    assert result.failed == 1
    assert result.unfinished < 4


def test_figures_can_be_asked_for_while_the_load_goes_on(server18):
    with RunningLoad.start(spec("select 1;\n", warmup_s=0.0), server18.dsn, PGBENCH_OF()) as load:
        load.wait(1.0)
        during = load.window(0.5)
        assert load.alive
        load.wait(1.5)
        after = load.stop()
    assert not load.alive
    assert 0 < during.samples < after.samples
    assert during.window_s == pytest.approx(0.5)
    assert load.stop() is after


def test_a_server_that_refuses_gives_its_reason(server18):
    dsn = server18.dsn_as("nobody_of_that_name")
    with pytest.raises(ServerError, match="nobody_of_that_name"):
        run_load(spec("select 1;\n"), dsn, PGBENCH_OF())


@pytest.fixture
def with_password(server18):
    """A role that the server asks for its password."""
    role = server18.role("needs_password", options="login password 'x'")
    with server18.connect() as conn:
        rules = Path(conn.execute("show hba_file").fetchone()[0])
        before = rules.read_text()
        rules.write_text(f"local all {role} scram-sha-256\n{before}")
        conn.execute("select pg_reload_conf()")
        yield role
        rules.write_text(before)
        conn.execute("select pg_reload_conf()")


def test_a_missing_password_is_an_error_and_no_wait_for_somebody_to_type_it(server18, with_password):
    with pytest.raises(ServerError, match="password"):
        run_load(spec("select 1;\n"), server18.dsn_as(with_password), PGBENCH_OF())


def test_a_password_is_not_among_the_arguments(server18, with_password):
    dsn = server18.dsn_as(with_password, password="x")
    with RunningLoad.start(spec("select 1;\n"), dsn, PGBENCH_OF()) as load:
        load.wait(0.3)
        assert "password" not in " ".join(psutil.Process(load.pid).cmdline())


def test_a_script_that_cannot_be_read_gives_its_reason(server18):
    with pytest.raises(ServerError, match="nonsense"):
        run_load(spec("\\nonsense\n"), server18.dsn, PGBENCH_OF())


def test_more_users_than_the_server_takes_is_an_error_and_no_figure(server18):
    with pytest.raises(ServerError, match=r"too many clients|connection slots"):
        run_load(spec("select 1;\n", users=80), server18.dsn, PGBENCH_OF())


def test_too_few_samples_are_no_figure(server18):
    rare = spec("select 1;\n", users=1, think_s=0.3, warmup_s=0.0, duration_s=0.5)
    with pytest.raises(ServerError, match="figures need 20"):
        run_load(rare, server18.dsn, PGBENCH_OF())


KILLED = """
import signal, sys, time
if sys.argv[2] == "nohup":
    signal.signal(signal.SIGHUP, signal.SIG_IGN)
from pgrunbook.lab import embedded_binaries
from pgrunbook.procedures.load import LoadSpec, RunningLoad, Script
script = Script(name="one", weight=1, text="select 1;")
spec = LoadSpec(users=3, think_s=0.05, warmup_s=0.0, duration_s=60.0, scripts=(script,))
load = RunningLoad.start(spec, sys.argv[1], embedded_binaries())
load.wait(0.2)
print(load.pid, flush=True)
time.sleep(600)
"""


def is_gone(pid: int) -> bool:
    try:
        return psutil.Process(pid).status() == psutil.STATUS_ZOMBIE
    except psutil.NoSuchProcess:
        return True


@pytest.mark.parametrize("started", ["by hand", "nohup"])
def test_a_load_dies_with_the_process_that_started_it(server18, tmp_path, started):
    with subprocess.Popen(
        [sys.executable, "-c", KILLED, server18.dsn, started],
        stdout=subprocess.PIPE,
        text=True,
        env={**os.environ, "TMPDIR": str(tmp_path)},
    ) as starter:
        assert starter.stdout is not None
        pgbench = int(starter.stdout.readline())
        assert not is_gone(pgbench)
        starter.kill()
    deadline = time.monotonic() + 30
    while not is_gone(pgbench):
        assert time.monotonic() < deadline, "pgbench outlived the process that started it"
        time.sleep(0.02)
    assert not list(tmp_path.glob("pgrunbook-load-*"))


def test_many_users_work_through_a_pooler_in_transaction_mode(server18, pgbouncer):
    text = "begin;\nset local statement_timeout = '3s';\nselect 1;\ncommit;\n"
    many = spec(text, users=200, think_s=1.0, warmup_s=0.5, duration_s=2.0)
    result = run_load(many, pgbouncer.dsn(server18.name), PGBENCH_OF())
    assert result.samples >= 200
    assert (result.failed, result.lost_users) == (0, 0)
