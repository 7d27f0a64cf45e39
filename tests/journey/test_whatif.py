"""`pgrunbook whatif` as a user types it."""

from __future__ import annotations

import json

import pytest
from tests.fix.server import FreshDatabase
from tests.journey.conftest import CommandLine


@pytest.fixture
def shop(pg: FreshDatabase) -> FreshDatabase:
    pg.execute(
        "create extension pg_stat_statements",
        "create table orders (id int primary key, customer int not null, note text)",
        "insert into orders select i, i % 700, md5(i::text) || repeat('x', 30) from generate_series(1, 20000) as i",
        "create index orders_customer_idx on orders (customer)",
        "vacuum analyze orders",
        "select pg_stat_statements_reset()",
    )
    pg.connect().execute("select note from orders where note = %s and customer = %s", ("y", 3))
    return pg


def test_queries_are_planned_with_and_without_an_index_that_is_nowhere_built(
    cli: CommandLine, shop: FreshDatabase
) -> None:
    (cli.folder / "app.sql").write_text("select * from orders where note = 'a;b'; -- two\nselect * from nowhere;\n")
    row = shop.connect().execute("select queryid from pg_stat_statements where query ~ 'note = '").fetchone()
    assert row is not None
    words = ("--index", "create index concurrently on orders (note)", "--index", "create nonsense", "--drop")
    more = ("public.orders_customer_idx", "--query", "app.sql", "--query", str(row[0]))
    ended = cli("whatif", shop.dsn, *words, *more, "--format", "json")
    assert ended.code == 0, ended.err
    found = json.loads(ended.out)
    assert [index["refused"] is None for index in found["indexes"]] == [True, False]
    first, missing, counted = found["queries"]
    assert first["used"] == ["orders_note_idx"]
    assert first["cost_ratio"] < 0.1
    assert "nowhere" in missing["refused"]
    assert counted["used"] == ["orders_note_idx"]
    assert found["agreement"]["confidence"] == "good"
    text = cli("whatif", shop.dsn, *words, *more)
    assert "confidence good" in text.out
    assert "reads orders_note_idx" in text.out
    assert shop.connect().execute("select count(*) from pg_indexes where tablename = 'orders'").fetchone() == (2,)


def test_wrong_words_end_with_one_message(cli: CommandLine, shop: FreshDatabase) -> None:
    assert cli("whatif", shop.dsn, "--index", "create index on orders (note)").code == 64
    assert cli("whatif", shop.dsn, "--query", "select 1").code == 64
    refused = cli("whatif", shop.dsn, "--index", "create index on orders (note)", "--query", "vacuum")
    assert refused.code == 4
    assert "no query could be planned" in refused.err
    unknown = cli("whatif", shop.dsn, "--index", "create index on orders (note)", "--query", "123456")
    assert unknown.code == 64
    assert "123456" in unknown.err
