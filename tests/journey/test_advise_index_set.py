"""`pgrunbook advise indexes` as a user types it: a set chosen by a planning engine, bad input beside good."""

from __future__ import annotations

import json
from typing import Any

import pytest
from tests.fix.server import FreshDatabase
from tests.journey.conftest import CommandLine

SHOP = (
    "create table customers (id int primary key, email text not null, active boolean not null)",
    "insert into customers select i, 'c' || i || '@example.org', i % 20 <> 0 from generate_series(1, 5000) as i",
    "create table orders (id int primary key, customer int not null, at timestamptz not null, note text)",
    (
        "insert into orders select i, i * 7919 % 5000, timestamptz '2024-01-01' + i * interval '1 minute',"
        " md5(i::text) from generate_series(1, 60000) as i"
    ),
    "create table small (id int)",
    "insert into small select generate_series(1, 10)",
    "vacuum analyze customers, orders, small",
)
WORKLOAD = """\
-- weight: 3
select * from orders where customer = 42 order by at desc limit 10;
select count(*) from customers where active;
select from where;
create table other (id int);
select * from nowhere where id = 1;
select * from small where id = 7;
select id from customers where email = 'c7@example.org';
"""


@pytest.fixture
def shop(pg: FreshDatabase) -> FreshDatabase:
    pg.execute(*SHOP)
    return pg


def relations(pg: FreshDatabase) -> int:
    row = pg.connect().execute("select count(*) from pg_class").fetchone()
    assert row is not None
    return int(row[0])


def advised(cli: CommandLine, pg: FreshDatabase, engine: str, *more: str) -> dict[str, Any]:
    (cli.folder / "app.sql").write_text(WORKLOAD)
    before = relations(pg)
    ended = cli("advise", "indexes", pg.dsn, "--workload", "app.sql", "--engine", engine, "--format", "json", *more)
    assert ended.code == 0, ended.err
    assert relations(pg) == before
    found: dict[str, Any] = json.loads(ended.out)
    assert found["engine"] == engine
    return found


def holds_what_it_must(found: dict[str, Any]) -> None:
    """The useful ones are there, the useless are declined, and what cannot be used is named."""
    keys = {(index["table"], index["columns"][0]) for index in found["proposed"]}
    assert keys == {("public.orders", "customer"), ("public.customers", "email")}
    for index in found["proposed"]:
        assert index["step"]["kind"] == "create_index"
        assert "CONCURRENTLY" in index["sql"]
        assert index["size_bytes"] > 0
        assert all(query["cost_after"] < query["cost_before"] for query in index["queries"])
    planner = found["planner"]
    assert planner["total_after"] < planner["total_before"] / 5
    assert 0 < planner["whatif_calls"] < 200
    assert any(one["columns"][0].startswith("active") for one in found["declined"])
    reasons = " | ".join(blind["reason"] for blind in found["blind"])
    assert "line 4: select from where: cannot be parsed" in reasons
    assert "is no query" in reasons
    assert "nowhere: no such table" in reasons


def test_a_twin_chooses_a_set_and_names_what_it_cannot_use(cli: CommandLine, shop: FreshDatabase) -> None:
    found = advised(cli, shop, "twin")
    holds_what_it_must(found)
    assert found["planner"]["confidence"] == "good"
    none = advised(cli, shop, "twin", "--budget", "0")
    assert none["proposed"] == []
    assert {one["reason"] for one in none["declined"]} >= {"it no longer fits into the budget"}
    text = cli("advise", "indexes", shop.dsn, "--workload", "app.sql")
    assert "Planned by twin; confidence good" in text.out
    assert "Declined" in text.out
    script = cli("advise", "indexes", shop.dsn, "--workload", "app.sql", "--format", "sql", "--engine", "statistics")
    statements = [line for line in script.out.splitlines() if line and not line.startswith("--")]
    shop.execute(*statements)
    assert any("orders" in statement for statement in statements)


@pytest.mark.pg("== 15")
def test_hypopg_chooses_the_same_set_and_leaves_nothing(cli: CommandLine, shop: FreshDatabase) -> None:
    if not shop.connect().execute("select 1 from pg_available_extensions where name = 'hypopg'").fetchone():
        pytest.skip("hypopg is not installed")
    shop.execute("create extension hypopg")
    holds_what_it_must(advised(cli, shop, "hypopg"))


def test_nothing_worth_it_is_an_answer_and_wrong_words_are_one_message(cli: CommandLine, shop: FreshDatabase) -> None:
    (cli.folder / "small.sql").write_text("select * from small where id = 7;")
    assert "Nothing is worth it" in cli("advise", "indexes", shop.dsn, "--workload", "small.sql").out
    uncounted = cli("advise", "indexes", shop.dsn)
    assert uncounted.code == 3
    assert "--workload" in uncounted.err
    for words, said in (
        (("--budget", "much"), "is no size"),
        (("--workload", "none.sql"), "cannot read the workload"),
        (("--memory", "4GB"), "says nothing about indexes"),
        (("--format", "html"), "is not for indexes"),
    ):
        wrong = cli("advise", "indexes", shop.dsn, *words)
        assert (wrong.code, said in wrong.err) == (64, True), wrong.err


def test_what_the_workload_does_not_miss_can_go(cli: CommandLine, shop: FreshDatabase) -> None:
    """Superseded, never read, and never read so far but by this workload."""
    shop.execute(
        "create index narrow on orders (customer)",
        "create index copied on orders (id)",
        "create index notes on orders (note)",
        "create index emails on customers (email)",
        "alter table customers alter email set statistics 200",  # a transaction after the indexes were made
        "vacuum analyze orders, customers",
        "update orders set note = note || 'x' where id < 100",
        "update customers set email = email || 'x' where id < 100",
    )
    conn = shop.connect()
    for number in range(60):
        conn.execute("select from orders where id = %s", (number,))
        conn.execute("select from customers where id = %s", (number,))
    conn.execute("select pg_stat_force_next_flush()")
    conn.close()
    (cli.folder / "app.sql").write_text(
        "-- weight: 50\nselect * from orders where customer = 42 order by at desc limit 3;\n"
        "select id from customers where email = 'c7@example.org';\n"
    )
    asked = ("advise", "indexes", shop.dsn, "--workload", "app.sql", "--engine", "twin", "--max-width", "2")
    found = json.loads(cli(*asked, "--format", "json").out)
    gone = {one["name"]: one["why"] for one in found["dropped"]}
    assert gone["public.narrow"] == "superseded"
    assert gone["public.copied"] == "duplicate"
    assert gone["public.notes"] == "unused"
    assert "public.emails" not in gone
    assert not {"public.orders_pkey", "public.customers_pkey"} & gone.keys()
    script = cli(*asked, "--format", "sql").out
    assert script.index("CREATE INDEX") < script.index("DROP INDEX CONCURRENTLY public.narrow;")
    assert "-- undo: CREATE INDEX CONCURRENTLY narrow ON public.orders USING btree (customer);" in script
