"""`pgrunbook queries|sessions|locks|tables|indexes|bloat|replication|roles` on a real server."""

from __future__ import annotations

import csv
import io
import json
from typing import Any

import psycopg
import pytest
from tests.fix.server import FreshDatabase
from tests.fix.story import running, waits_for_a_lock
from tests.journey.conftest import CommandLine

TABLES = ("queries", "sessions", "locks", "tables", "indexes", "bloat", "replication", "roles")
SHOP = (
    "create extension pg_stat_statements",
    'create table "Or|der" (id bigint primary key, at date not null, note text)',
    """insert into "Or|der" select i, date '2024-01-01' + i % 300, repeat('x', 50) from generate_series(1, 20000) i""",
    'create index order_at on "Or|der" (at) where note is not null',
    "create table day (at date not null, n int) partition by range (at)",
    "create table day_1 partition of day for values from ('2024-01-01') to ('2024-06-01')",
    "create table day_2 partition of day for values from ('2024-06-01') to ('2025-01-01')",
    "insert into day select date '2024-01-01' + i % 300, i from generate_series(1, 5000) i",
    "vacuum analyze",
    "select pg_stat_statements_reset()",
)  # fmt: skip


@pytest.fixture
def shop(pg: FreshDatabase) -> FreshDatabase:
    pg.execute(*SHOP)
    with psycopg.connect(pg.dsn, autocommit=True) as conn:
        for number in range(40):
            conn.execute('select note from "Or|der" where id = %s', (number,))
    return pg


def rows(cli: CommandLine, table: str, *flags: str) -> list[dict[str, Any]]:
    ended = cli(table, *flags, "--format", "json")
    assert (ended.code, ended.err) == (0, "")
    sheet = json.loads(ended.out)
    assert sheet["table"] == table
    found: list[dict[str, Any]] = sheet["rows"]
    return found


@pytest.mark.parametrize("form", ["text", "json", "csv", "markdown"])
def test_every_table_is_printed_in_every_format(shop: FreshDatabase, cli: CommandLine, form: str) -> None:
    for table in TABLES:
        ended = cli(table, shop.dsn, "--format", form)
        assert (ended.code, ended.err) == (0, ""), table
        assert ended.out.strip(), table


def test_queries_are_those_of_the_application(shop: FreshDatabase, cli: CommandLine) -> None:
    (query,) = rows(cli, "queries", shop.dsn)
    assert (query["calls"], query["rows_per_call"], query["roles"]) == (40, 0.97, ["postgres"])
    assert query["query"] == 'select note from "Or|der" where id = $1'


def test_queries_can_be_counted_in_a_window(shop: FreshDatabase, cli: CommandLine) -> None:
    ended = cli("queries", shop.dsn, "--window", "0.2", "--format", "json")
    sheet = json.loads(ended.out)
    assert sheet["rows"] == []
    assert "window" in sheet["notes"][0]


def test_tables_and_indexes_are_rolled_up_and_sorted(shop: FreshDatabase, cli: CommandLine) -> None:
    order, day = rows(cli, "tables", shop.dsn)
    assert (order["table"], order["rows"], order["partitions"]) == ('public."Or|der"', 20000, None)
    assert (day["table"], day["rows"], day["partitions"], day["rows_written"]) == ("public.day", 5000, 2, 5000)
    assert order["index_bytes"] > 0
    assert order["index_scans"] >= 40
    found = rows(cli, "indexes", shop.dsn, "--sort", "scans")
    assert [index["kind"] for index in found] == ["primary key", "plain"]
    assert found[1]["definition"] == "USING btree (at) WHERE (note IS NOT NULL)"


def test_bloat_is_estimated_or_measured_and_says_which(shop: FreshDatabase, cli: CommandLine) -> None:
    def table() -> dict[str, Any]:
        return next(row for row in rows(cli, "bloat", shop.dsn) if row["object"] == 'public."Or|der"')

    assert (table()["basis"], table()["kind"]) == ("estimated", "table")
    shop.execute('delete from "Or|der" where id % 4 > 0', 'vacuum analyze "Or|der"')
    assert table()["bloat_ratio"] > 0.6
    shop.execute("create extension pgstattuple")
    assert table()["basis"] in {"measured", "estimated"}


def test_who_waits_and_who_is_connected(shop: FreshDatabase, cli: CommandLine) -> None:
    blocker = shop.connect(autocommit=False)
    blocker.execute("lock table day")
    with running(shop, "select count(*) from day") as waiter:
        waits_for_a_lock(shop, waiter)
        (wait,) = rows(cli, "locks", shop.dsn)
        assert (wait["pid"], wait["blocked_by"]) == (waiter.info.backend_pid, str(blocker.info.backend_pid))
        assert (wait["on"], wait["blocker_state"]) == ("public.day", "idle in transaction")
        sessions = {row["pid"]: row for row in rows(cli, "sessions", shop.dsn)}
        assert sessions[waiter.info.backend_pid]["blocked_by"] == [str(blocker.info.backend_pid)]
        assert sessions[blocker.info.backend_pid]["state"] == "idle in transaction"
        blocker.rollback()


def test_slots_and_roles_are_listed(shop: FreshDatabase, cli: CommandLine) -> None:
    shop.execute("select pg_create_physical_replication_slot('forgotten', true)")
    shop.role("clerk", options="login bypassrls connection limit 3")
    (slot,) = rows(cli, "replication", shop.dsn)
    assert (slot["name"], slot["kind"], slot["state"]) == ("forgotten", "physical slot", "inactive")
    clerk = next(row for row in rows(cli, "roles", shop.dsn) if row["role"] == "clerk")
    assert (clerk["login"], clerk["limit"], clerk["rights"]) == (True, 3, ["bypasses RLS"])


def test_csv_goes_to_a_file_named_for_it(shop: FreshDatabase, cli: CommandLine) -> None:
    ended = cli("tables", shop.dsn, "--limit", "1", "-o", "tables.csv")
    assert (ended.code, ended.out) == (0, "")
    content = (cli.folder / "tables.csv").read_text(encoding="utf-8")
    assert [row["table"] for row in csv.DictReader(io.StringIO(content))] == ['public."Or|der"']


def test_a_saved_snapshot_shows_the_same_tables_without_the_database(shop: FreshDatabase, cli: CommandLine) -> None:
    assert cli("snapshot", "save", "now.json", shop.dsn).code == 0
    for table in TABLES:
        ended = cli(table, "--snapshot", "now.json", "--format", "json", env={"PGHOST": "/nowhere"})
        assert ended.code == 0, ended.err
    assert [row["table"] for row in rows(cli, "tables", "--snapshot", "now.json")] == ['public."Or|der"', "public.day"]


def test_what_may_not_be_seen_is_said_with_the_cure(shop: FreshDatabase, cli: CommandLine) -> None:
    role = shop.role("plain")
    ended = cli("queries", shop.dsn_as(role))
    assert (ended.code, ended.out) == (3, "")
    assert "GRANT" in ended.err
    ended = cli("sessions", shop.dsn_as(role))
    assert ended.code == 0
    assert "GRANT pg_read_all_stats TO plain;" in ended.out


def test_wrong_words_are_a_usage_error(shop: FreshDatabase, cli: CommandLine) -> None:
    ended = cli("tables", shop.dsn, "--sort", "weight")
    assert ended.code == 64
    assert "size_bytes" in ended.err
    assert cli("tables", shop.dsn, "--snapshot", "x.json").code == 64
    assert cli("tables", "host=/nowhere").code == 3
