"""`pgrunbook advise settings|policies|vacuum|pool` and `vacuum strategy` as a user types them."""

from __future__ import annotations

import json
import re
import subprocess
from pathlib import Path

import psycopg
import pytest
from tests.fix.server import FreshDatabase
from tests.fix.story import until
from tests.journey.conftest import CommandLine


@pytest.fixture
def shop(pg: FreshDatabase) -> FreshDatabase:
    """A table full of dead rows, whose autovacuum is off."""
    pg.execute(
        "create extension pg_stat_statements",
        "create table orders (id int primary key, state text) with (autovacuum_enabled = off)",
        "insert into orders select i, 'new' from generate_series(1, 20000) i",
        "analyze orders",
        "update orders set state = 'paid' where id <= 9000",
    )
    return pg


def test_vacuum_strategy_becomes_a_plan_that_apply_takes_and_undo_takes_back(
    shop: FreshDatabase, cli: CommandLine
) -> None:
    until(lambda: "9,000 dead rows" in cli("vacuum", "strategy", shop.dsn).out, "the dead rows are counted")
    plan = cli.folder / "plan.json"
    ended = cli("vacuum", "strategy", shop.dsn, "--plan", plan)
    assert ended.code == 0
    assert "public.orders" in ended.out
    assert "autovacuum is off for it" in ended.out
    assert "pgrunbook apply" in ended.err
    assert [step["step"]["kind"] for step in json.loads(plan.read_text())["steps"]] == ["vacuum", "set_autovacuum"]
    applied = cli("apply", plan, shop.dsn, "--yes")
    assert applied.code == 0, applied.err
    with psycopg.connect(shop.dsn, autocommit=True) as conn:
        assert conn.execute("select reloptions from pg_class where relname = 'orders'").fetchone() == (None,)
    run = re.search(r"run (\S+)", applied.out)
    assert run is not None
    undone = cli("undo", run[1], shop.dsn, "--yes")
    with psycopg.connect(shop.dsn, autocommit=True) as conn:
        held = conn.execute("select reloptions from pg_class where relname = 'orders'").fetchone()
    assert held == (["autovacuum_enabled=off"],), undone.err


def test_every_form_of_the_advice_says_the_same(shop: FreshDatabase, cli: CommandLine) -> None:
    asked = ("advise", "settings", shop.dsn, "--memory", "4GB", "--cores", "2", "--storage", "ssd", "--role", "web")
    found = json.loads(cli(*asked, "--format", "json").out)
    assert found["topic"] == "settings"
    assert [line["source"] for line in found["inputs"]] == ["--memory", "--cores", "--storage", "--role"]
    titles = [one["title"] for one in found["proposals"]]
    assert titles
    assert all(one["effect"]["basis"] == "estimated" for one in found["proposals"])
    for name in ("advice.md", "advice.html", "advice.sql", "advice.txt"):
        ended = cli(*asked, "-o", name)
        assert (ended.code, ended.out) == (0, ""), ended.err
        text = (cli.folder / name).read_text()
        assert all(title in " ".join(text.split()) for title in titles if not name.endswith(".md")), name
    script = (cli.folder / "advice.sql").read_text()
    ran = subprocess.run(
        ["psql", shop.dsn, "-v", "ON_ERROR_STOP=1", "-q"], input=script, capture_output=True, text=True
    )
    assert ran.returncode == 0, ran.stderr


def test_a_pool_is_written_as_a_file(shop: FreshDatabase, cli: CommandLine) -> None:
    shop.role("app")
    with shop.connect_as("app"):
        ended = cli(
            "advise", "pool", shop.dsn, "--window", "1", "--instances", "10", "--pool-size", "20", "--format", "ini"
        )
    assert ended.code == 0, ended.err
    assert f"{shop.name} = host=" in ended.out
    assert "max_client_conn = 1000" in ended.out


def test_rates_are_reckoned_from_an_older_snapshot(shop: FreshDatabase, cli: CommandLine, tmp_path: Path) -> None:
    older = tmp_path / "older.json.gz"
    assert cli("snapshot", "save", older, shop.dsn).code == 0
    ended = cli("advise", "vacuum", shop.dsn, "--since", older)
    assert ended.code == 0, ended.err
    assert "watched for" in ended.out
