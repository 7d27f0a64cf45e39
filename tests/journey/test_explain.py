"""`pgrunbook explain` and `diagnose --plans` as a user types them."""

from __future__ import annotations

import json

import psycopg
from tests.fix.server import FreshDatabase
from tests.journey.conftest import CommandLine

SHOP = (
    "create extension pg_stat_statements",
    "create table car (id int primary key, maker text not null, model text not null, made_at timestamp not null)",
    (
        "insert into car select i, 'm' || i % 50, 'x' || i % 100, timestamp '2024-01-01' + i * interval '1 minute'"
        " from generate_series(1, 40000) i"
    ),
    "create index car_made_at on car (made_at)",
    "vacuum analyze car",
)
PAGE = "select id, maker from car order by made_at desc limit 20 offset 30000"


def test_a_statement_is_explained_in_every_format(pg: FreshDatabase, cli: CommandLine) -> None:
    pg.execute(*SHOP)
    done = cli("explain", pg.dsn, PAGE, "--format", "json", "--analyze", "--compare")
    assert (done.code, done.err) == (0, "")
    found = json.loads(done.out)
    assert found["plan"]["basis"] == "measured"
    assert found["insights"][0]["name"] == "large_offset"
    rewrite = found["rewrites"][0]
    assert (rewrite["name"], rewrite["helps"]) == ("keyset_for_offset", True)
    assert rewrite["comparison"]["is_equal"]
    assert rewrite["before"]["basis"] == rewrite["after"]["basis"] == "estimated"  # the next page has other values
    assert found["plan"]["tree"]["children"][0]["actual"]["total_rows"] == 30020
    text = cli("explain", pg.dsn, PAGE)
    assert "estimated: planned, not run" in text.out
    assert "A large OFFSET" in text.out
    assert "(car.made_at, car.id) < ($1::timestamp" in " ".join(text.out.split())
    (cli.folder / "page.sql").write_text(f"-- a page\n{PAGE};\n", encoding="utf-8")
    assert cli("explain", "page.sql", env={"PGRUNBOOK_DSN": pg.dsn}).out.startswith("page.sql · ")
    for name, begins in (("page.html", "<!doctype html>"), ("page.md", "# Explained"), ("page.json", "{")):
        assert cli("explain", "--dsn", pg.dsn, PAGE, "-o", name).code == 0
        assert (cli.folder / name).read_text(encoding="utf-8").startswith(begins)


def test_an_index_that_is_proposed_is_costed_on_a_twin(pg: FreshDatabase, cli: CommandLine) -> None:
    pg.execute(*SHOP)
    asked = ("explain", pg.dsn, "select id from car where maker = 'm7' and model = 'x57'", "--format", "json")
    found = json.loads(cli(*asked).out)
    (scan,) = [one for one in found["insights"] if one["name"] == "slow_scan"]
    assert scan["cures"][0]["sql"].startswith("CREATE INDEX CONCURRENTLY")
    assert scan["evidence"]["estimated_cost_before"] == found["plan"]["tree"]["total_cost"]
    assert scan["evidence"]["estimated_cost_with_index"] < scan["evidence"]["estimated_cost_before"] / 5
    assert "Estimated (twin): with it the statement's cost falls from" in scan["detail"]
    (plain,) = [one for one in json.loads(cli(*asked, "--engine", "none").out)["insights"] if one["cures"]]
    assert "Estimated" not in plain["detail"]


def test_what_cannot_be_explained_ends_with_one_message(pg: FreshDatabase, cli: CommandLine) -> None:
    pg.execute(*SHOP)
    (cli.folder / "empty.sql").write_text("-- nothing\n", encoding="utf-8")
    for words, code in (
        (("selec 1",), 64),
        (("select 1; select 2",), 64),
        (("select * from nowhere",), 64),
        (("vacuum",), 64),
        (("empty.sql",), 64),
        (("missing.sql",), 64),
        (("-7",), 64),
        ((), 64),
        (("select 1", "--analyse"), 64),
        (("delete from car", "--analyze"), 4),
        (("select 1", "--role", "postgres"), 4),
    ):
        done = cli("explain", "--dsn", pg.dsn, *words)
        assert (done.code, done.out) == (code, ""), words
        assert done.err.startswith("error: "), words
        assert done.err.count("error: ") == 1, words
        assert "Traceback" not in done.err
    gone = cli("explain", "host=/nowhere port=1", "select 1")
    assert gone.code == 3


def test_plans_are_judged_when_asked_for(pg: FreshDatabase, cli: CommandLine) -> None:
    pg.execute(*SHOP)
    with psycopg.connect(pg.dsn, autocommit=True) as conn:
        for _ in range(12):
            conn.execute("select id from car where maker = 'm7' and model = 'x57'")
    plain = json.loads(cli("diagnose", pg.dsn, "--format", "json").out)
    names = {finding["check"] for finding in plain["findings"]} | set(plain["ok"])
    assert not names & {"misestimate", "missing_extended_statistics"}
    assert not {blind["check"] for blind in plain["blind"]} & {"misestimate"}
    asked = json.loads(cli("diagnose", pg.dsn, "--plans", "--format", "json").out)
    found = {finding["check"]: finding for finding in asked["findings"]}
    assert found["missing_extended_statistics"]["object"] == "public.car"
    assert found["missing_extended_statistics"]["evidence"]["columns"] == ["maker", "model"]
    assert found["misestimate"]["kind"] == "query"
    by_id = json.loads(cli("explain", pg.dsn, found["misestimate"]["object"], "--format", "json").out)
    assert by_id["statement"]["calls"] == 12
    assert "wrong_index_for_limit" in asked["ok"]
