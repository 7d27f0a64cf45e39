"""`pgrunbook advise indexes` when rights are missing, input is bad, servers go away, or somebody ends it half-way."""

from __future__ import annotations

import json
import signal
import subprocess
import tempfile
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import psutil
import pytest
from tests.fix.server import FreshDatabase
from tests.fix.supabase import project_owner, supabase
from tests.journey.conftest import CommandLine

SHOP = (
    "create table orders (id int primary key, customer int not null, at timestamptz not null, note text)",
    (
        "insert into orders select i, i * 7919 % 5000, timestamptz '2024-01-01' + i * interval '1 minute',"
        " md5(i::text) from generate_series(1, 60000) as i"
    ),
    "create table letters (id int primary key, owner text not null, body text)",
    "insert into letters select i, 'user' || i % 3000, md5(i::text) from generate_series(1, 30000) as i",
    "alter table letters enable row level security",
    "create policy own on letters to pg_monitor using (owner = current_user)",
    "vacuum analyze orders, letters",
)
WORKLOAD = """\
select * from orders where customer = 42 order by at desc limit 10;
select id from letters where body = 'y';
select from where;
"""
LIMIT_S = 60.0


@pytest.fixture
def shop(pg: FreshDatabase) -> FreshDatabase:
    pg.execute(*SHOP)
    return pg


@pytest.fixture
def room() -> Iterator[Path]:
    """Where the twins of one test keep their data, which tells them from those of other tests."""
    with tempfile.TemporaryDirectory(prefix="pgrb-room-") as made:
        path = Path(made)
        path.chmod(0o711)
        yield path


def twins(room: Path) -> list[str]:
    return [path.name for path in room.glob("pgrb-twin-*")]


def remains(names: list[str]) -> list[str]:
    """Directories and processes that are still there of the twins of these names."""
    found = [name for name in names if (Path("/tmp") / name).exists()]  # noqa: S108 - where they are made
    for process in psutil.process_iter(["cmdline"]):
        line = " ".join(process.info["cmdline"] or ())
        found += [line for name in names if name in line]
    return found


def wait_until(is_so: Callable[[], Any], started: subprocess.Popen[str]) -> Any:
    until = time.monotonic() + LIMIT_S
    while time.monotonic() < until:
        if found := is_so():
            return found
        assert started.poll() is None, started.communicate()
        time.sleep(0.005)
    raise AssertionError("it did not come about")


def advising(cli: CommandLine, pg: FreshDatabase, engine: str, room: Path | None = None) -> subprocess.Popen[str]:
    (cli.folder / "app.sql").write_text(WORKLOAD)
    words = ("advise", "indexes", pg.dsn, "--workload", "app.sql", "--engine", engine)
    return cli.start(*words, env={"TMPDIR": str(room)} if room is not None else None)


def advised(cli: CommandLine, dsn: str, *words: str) -> dict[str, Any]:
    ended = cli("advise", "indexes", dsn, "--engine", "twin", "--format", "json", *words)
    assert ended.code == 0, ended.err
    found: dict[str, Any] = json.loads(ended.out)
    return found


def test_who_may_only_read_is_advised_and_told_what_was_hidden(cli: CommandLine, shop: FreshDatabase) -> None:
    (cli.folder / "app.sql").write_text(WORKLOAD)
    reader = shop.role("reader", member_of="pg_read_all_data")
    found = advised(cli, shop.dsn_as(reader), "--workload", "app.sql")
    assert ("public.orders", "customer") in {(i["table"], i["columns"][0]) for i in found["proposed"]}
    assert found["planner"]["confidence"] == "fair"
    assert "could not be read" in found["planner"]["confidence_reason"]
    hidden = [blind for blind in found["blind"] if blind["object"] == "public.letters"]
    assert {blind["cure"] for blind in hidden} == {
        "ALTER ROLE reader BYPASSRLS;",
        "Advise as a role whom its policies are for, or one with BYPASSRLS.",
    }
    uncounted = cli("advise", "indexes", shop.dsn_as(reader))
    assert (uncounted.code, "--workload FILE.sql" in uncounted.err) == (3, True)

    nobody = shop.role("nobody_much")
    shop.execute("revoke usage on schema public from public")
    refused = cli("advise", "indexes", shop.dsn_as(nobody), "--workload", "app.sql", "--engine", "twin")
    assert (refused.code, refused.out) == (3, "")
    assert "none of 2 statements could be planned" in refused.err
    assert "Traceback" not in refused.err


def test_the_owner_of_a_supabase_project_is_advised(cli: CommandLine, pg: FreshDatabase) -> None:
    supabase(pg, "create extension pg_stat_statements with schema extensions")
    owner = project_owner(pg)
    made = pg.connect_as(owner)
    for statement in SHOP:
        made.execute(statement.encode())
    pg.execute("select extensions.pg_stat_statements_reset()")
    for _ in range(20):
        made.execute("select * from orders where customer = 42 order by at desc limit 10")
        made.execute("select count(*) from letters where body = 'y'")
    found = advised(cli, pg.dsn_as(owner))
    assert {(i["table"], i["columns"][0]) for i in found["proposed"]} == {
        ("public.orders", "customer"),
        ("public.letters", "body"),
    }
    assert found["planner"]["confidence"] in {"good", "fair"}


def test_a_file_without_a_usable_statement_is_one_message(cli: CommandLine, shop: FreshDatabase) -> None:
    (cli.folder / "bad.sql").write_text("select from where;\ncreate table x (i int);\nselect * from nowhere;")
    ended = cli("advise", "indexes", shop.dsn, "--workload", "bad.sql", "--engine", "twin")
    assert (ended.code, ended.out) == (64, "")
    assert "no statement of the workload can be used: line 1: select from where" in ended.err
    assert "(and 2 more)" in ended.err


def test_a_database_that_goes_away_half_way_is_one_message_and_nothing_stays(
    cli: CommandLine, shop: FreshDatabase, room: Path
) -> None:
    admin = shop.connect()
    for engine, is_time in (("statistics", lambda: True), ("twin", lambda: twins(room))):
        started = advising(cli, shop, engine, room)
        wait_until(is_time, started)
        names = twins(room)
        wait_until(lambda: admin.execute(GONE, {"station": "advise"}).fetchone() == (1,), started)
        out, err = started.communicate(timeout=LIMIT_S)
        assert (started.returncode, out) == (3, ""), err
        assert err.count("error:") == 1
        assert remains(names) == []


GONE = """
    select count(pg_terminate_backend(pid)) from pg_stat_activity
    where application_name = 'pgrunbook/' || %(station)s and datname = current_database()
"""


@pytest.mark.pg("== 15")
def test_hypopg_loses_its_session_and_leaves_nothing(cli: CommandLine, shop: FreshDatabase) -> None:
    admin = shop.connect()
    if not admin.execute("select 1 from pg_available_extensions where name = 'hypopg'").fetchone():
        pytest.skip("hypopg is not installed")
    admin.execute("create extension hypopg")
    before = admin.execute("select count(*) from pg_class").fetchone()
    started = advising(cli, shop, "hypopg")
    wait_until(lambda: admin.execute(GONE, {"station": "planner"}).fetchone() == (1,), started)
    out, err = started.communicate(timeout=LIMIT_S)
    assert (started.returncode, out) == (3, ""), err
    assert "connection" in err
    assert err.count("error:") == 1
    assert admin.execute("select count(*) from pg_class").fetchone() == before
    assert admin.execute("select count(*) from hypopg()").fetchone() == (0,)


def test_a_twin_whose_server_dies_is_one_message(cli: CommandLine, shop: FreshDatabase, room: Path) -> None:
    started = advising(cli, shop, "twin", room)
    serving = wait_until(lambda: list(room.glob("pgrb-twin-*/*/base/*/pg_filenode.map")), started)
    wait_until(lambda: _plans(twins(room)[0]), started)
    psutil.Process(int((serving[0].parents[2] / "postmaster.pid").read_text().split()[0])).kill()
    out, err = started.communicate(timeout=LIMIT_S)
    assert (started.returncode, out) == (3, ""), err
    assert err.count("error:") == 1
    assert twins(room) == []


def _plans(name: str) -> list[psutil.Process]:
    """The session that explains, once it is there."""
    found = []
    for process in psutil.process_iter(["cmdline", "name"]):
        if "pgrunbook_planner" in " ".join(process.info["cmdline"] or ()) and name in _cwd(process):
            found.append(process)
    return found


def _cwd(process: psutil.Process) -> str:
    try:
        return process.cwd()
    except psutil.Error:
        return ""


def test_interrupted_it_leaves_nothing_and_killed_the_next_start_sweeps(
    cli: CommandLine, shop: FreshDatabase, room: Path
) -> None:
    started = advising(cli, shop, "twin", room)
    (name,) = wait_until(lambda: twins(room), started)
    started.send_signal(signal.SIGINT)
    out, err = started.communicate(timeout=LIMIT_S)
    assert (started.returncode, out) == (130, ""), err
    assert remains([name]) == []

    started = advising(cli, shop, "twin", room)
    wait_until(lambda: twins(room), started)
    (name,) = twins(room)
    wait_until(lambda: _plans(name), started)
    started.kill()
    started.wait(LIMIT_S)
    again = advising(cli, shop, "twin", room)
    out, err = again.communicate(timeout=LIMIT_S)
    assert again.returncode == 0, err
    assert "orders_customer" in out
    assert remains([name]) == []
    assert twins(room) == []
