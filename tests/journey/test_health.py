"""`pgrunbook health` on a real server: what it can measure, what it cannot, and that it says so."""

from __future__ import annotations

import contextlib
import json
import threading
from collections.abc import Iterator
from typing import Any

import psycopg
import pytest
from tests.fix.exporter import exporter, supabase_text
from tests.fix.server import FreshDatabase
from tests.journey.conftest import CommandLine


@contextlib.contextmanager
def at_work(pg: FreshDatabase) -> Iterator[None]:
    """An application that reads by key."""
    stop = threading.Event()

    def work() -> None:
        with psycopg.connect(pg.dsn, autocommit=True) as conn:
            while not stop.wait(0.001):
                conn.execute("select * from t where id = 5")

    thread = threading.Thread(target=work)
    thread.start()
    try:
        yield
    finally:
        stop.set()
        thread.join()


@pytest.fixture
def shop(pg: FreshDatabase) -> FreshDatabase:
    pg.execute(
        "create extension pg_stat_statements",
        "create table t (id int primary key, what text)",
        "insert into t select i, 'x' from generate_series(1, 5000) i",
        "vacuum analyze t",
    )
    return pg


def marks(scorecard: dict[str, Any]) -> dict[str, str]:
    return {metric["name"]: metric["mark"] for metric in scorecard["metrics"]}


def test_a_healthy_server_at_work_is_measured(shop: FreshDatabase, cli: CommandLine) -> None:
    with at_work(shop):
        ended = cli("health", shop.dsn, "--window", "2", "--format", "json")
    assert (ended.code, ended.err) == (0, "")
    found = json.loads(ended.out)
    by_name = {metric["name"]: metric for metric in found["metrics"]}
    assert by_name["p95_ms"]["mark"] == "met"
    assert by_name["p95_ms"]["basis"] == "estimated"
    assert by_name["pool_ratio"]["mark"] == "met"
    assert by_name["cache_hit_ratio"]["mark"] == "met"
    assert by_name["replication_lag_s"]["mark"] == "cannot tell"
    for name in ("cpu_ratio", "memory_ratio", "disk_wait_ratio"):
        assert 0 <= by_name[name]["value"] <= 1
    assert found["capacity"]["queries_per_s"] > 0
    assert len(found["practices"]) == 10
    assert 2 <= found["window_s"] < 60


@pytest.mark.parametrize("form", ["text", "markdown"])
def test_people_read_targets_sources_and_evidence(shop: FreshDatabase, cli: CommandLine, form: str) -> None:
    ended = cli("health", shop.dsn, "--window", "0", "--format", form)
    assert (ended.code, ended.err) == (0, "")
    for words in ("Connection pool utilization", "Load", "Best practices", "cannot tell", "cumulative"):
        assert words in ended.out


def test_without_rights_it_judges_what_it_may_see(shop: FreshDatabase, cli: CommandLine) -> None:
    """The server runs on this machine, so its processors and memory can be watched from here."""
    role = shop.role("plain")
    ended = cli("health", shop.dsn_as(role), "--window", "1.5", "--format", "json")
    assert ended.code == 0
    found = json.loads(ended.out)
    seen = marks(found)
    assert seen["p95_ms"] == "cannot tell"
    assert seen["cpu_ratio"] != "cannot tell"
    assert seen["memory_ratio"] != "cannot tell"
    cures = {metric["name"]: metric["cure"] for metric in found["metrics"]}
    assert cures["p95_ms"] == 'GRANT "pg_read_all_stats" TO "plain";'
    assert {p["title"]: p["mark"] for p in found["practices"]}["Optimize queries"] == "cannot tell"


def test_the_journal_counts_as_documentation(shop: FreshDatabase, cli: CommandLine) -> None:
    shop.execute("create index one on t (what)", "create index two on t (what)")
    assert cli("apply", "--only", "duplicate_index", "--yes", shop.dsn).code == 0
    found = json.loads(cli("health", shop.dsn, "--window", "0", "--format", "json").out)
    documented = next(practice for practice in found["practices"] if practice["title"] == "Document changes")
    assert (documented["mark"], documented["evidence"]) == ("met", "the journal of this database holds 1 change")


def test_it_can_be_written_to_a_file(shop: FreshDatabase, cli: CommandLine) -> None:
    ended = cli("health", shop.dsn, "--window", "0", "-o", "health.md")
    assert (ended.code, ended.out) == (0, "")
    assert (cli.folder / "health.md").read_text(encoding="utf-8").startswith("# test\\_")
    assert cli("health", "host=/nowhere").code == 3


def test_the_machine_is_known_from_the_exporter_that_the_configuration_names(
    shop: FreshDatabase, cli: CommandLine
) -> None:
    with exporter(lambda number: supabase_text(60.0 * number), password="sb_secret", path="/m") as base:
        (cli.folder / "pgrunbook.toml").write_text(f'metrics_url = "{base}/m"\n', encoding="utf-8")
        words = ("health", shop.dsn_as(shop.role("plain")), "--window", "1", "--format", "json")
        refused = json.loads(cli(*words).out)
        ended = cli(*words, env={"PGRUNBOOK_METRICS_PASSWORD": "sb_secret"})
    by_name = {metric["name"]: metric for metric in json.loads(ended.out)["metrics"]}
    assert (by_name["cpu_ratio"]["value"], by_name["cpu_ratio"]["mark"]) == (0.3, "met")
    assert (by_name["disk_wait_ratio"]["value"], by_name["disk_wait_ratio"]["mark"]) == (0.15, "not met")
    assert (by_name["memory_ratio"]["value"], by_name["memory_ratio"]["mark"]) == (0.75, "met")
    assert by_name["cpu_ratio"]["source"].startswith(f"the exporter at {base}/m, 2 cores")
    assert "sb_secret" not in ended.out
    assert "401" in next(metric["why"] for metric in refused["metrics"] if metric["name"] == "cpu_ratio")
