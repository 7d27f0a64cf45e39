"""The index advisor's first form: ranked, sized, within a budget, with reasons for what it proposes and declines."""

from __future__ import annotations

import psycopg
import pytest
from tests.fix.server import FreshDatabase

from pgrunbook.journey.advise.indexes import advise_indexes
from pgrunbook.journey.observe import observe
from pgrunbook.journey.workload.demand import TextStatement
from pgrunbook.journey.workload.reading import LIKES, NEEDS
from pgrunbook.model import Snapshot
from pgrunbook.model.advice import IndexAdvice, ProposedIndex

SHOP = (
    "create extension pg_stat_statements",
    (
        "create table orders (id int8 generated always as identity primary key, customer_id int not null,"
        " status text not null, active boolean not null, placed_at timestamptz not null, note text,"
        " gone_at timestamptz)"
    ),
    (
        "insert into orders (customer_id, status, active, placed_at, note, gone_at)"
        " select i % 5000, (array['open', 'paid', 'sent', 'done'])[1 + i % 4], i % 20 <> 0,"
        " timestamptz '2024-01-01' + i * interval '1 minute', md5(i::text), case when i % 10 = 0 then now() end"
        " from generate_series(1, 60000) i"
    ),
    "vacuum analyze orders",
    "select pg_stat_statements_reset()",
)


def shop(pg: FreshDatabase, *queries: str, calls: int = 16) -> Snapshot:
    pg.execute(*SHOP)
    conn = pg.connect()
    for query in queries:
        for _ in range(calls):
            conn.execute(query)
    return observe(pg.dsn, [*NEEDS, *LIKES])


def sql_of(advice: IndexAdvice) -> list[tuple[tuple[str, ...], str | None]]:
    return [(index.columns, index.predicate) for index in advice.proposed]


def real_size(conn: psycopg.Connection, index: ProposedIndex) -> int:
    for line in index.advice.sql.split("\n"):
        conn.execute(line.encode())
    row = conn.execute("select pg_relation_size(%s::regclass)", (index.name,)).fetchone()
    assert row is not None
    return int(row[0])


def test_proposals_are_ranked_by_the_time_they_spare_and_say_whom_they_help(pg: FreshDatabase) -> None:
    snapshot = shop(
        pg,
        "select * from orders where customer_id = 7 order by placed_at desc limit 5",
        "select count(*) from orders where note = 'x'",
        "select count(*) from orders where active",
    )
    advice = advise_indexes(snapshot)
    assert {index.columns for index in advice.proposed} == {("customer_id",), ("note",)}
    assert [i.net_ms for i in advice.proposed] == sorted((i.net_ms for i in advice.proposed), reverse=True)
    by_customer = next(i for i in advice.proposed if i.columns == ("customer_id",))
    (query,) = by_customer.queries
    assert (query.calls, query.rows_before) == (16, 60000)
    assert query.rows_after < 20
    assert by_customer.reason == "looks up customer_id"
    assert by_customer.advice.undo_sql == "DROP INDEX CONCURRENTLY public.orders_customer_id_idx;"
    (declined,) = [d for d in advice.declined if d.columns == ("active",)]
    assert "as a key it would store a constant" in declined.reason


def test_sizes_are_near_the_truth_with_and_without_equal_keys(pg: FreshDatabase) -> None:
    snapshot = shop(
        pg,
        "select * from orders where customer_id = 7",
        "select * from orders where note = 'x'",
        "select * from orders where placed_at between '2024-01-02' and '2024-01-02 00:30'",
    )
    advice = advise_indexes(snapshot)
    assert len(advice.proposed) == 3
    with psycopg.connect(pg.dsn, autocommit=True) as conn:
        for index in advice.proposed:
            assert index.size_bytes == pytest.approx(real_size(conn, index), rel=0.3), index.columns


def test_a_budget_keeps_what_spares_most_for_its_size(pg: FreshDatabase) -> None:
    snapshot = shop(pg, "select * from orders where customer_id = 7", "select * from orders where note = 'x'")
    every = advise_indexes(snapshot)
    smaller = min(every.proposed, key=lambda index: index.size_bytes)
    advice = advise_indexes(snapshot, budget_bytes=smaller.size_bytes)
    assert [index.columns for index in advice.proposed] == [smaller.columns]
    assert advice.size_bytes <= smaller.size_bytes
    assert [d.reason for d in advice.declined] == ["it no longer fits into the budget"]
    assert advise_indexes(snapshot, budget_bytes=0).proposed == ()


def test_statements_from_a_file_show_their_constants(pg: FreshDatabase) -> None:
    snapshot = shop(pg)
    statements = [
        TextStatement(text="select * from orders where status = 'open' order by placed_at desc limit 20", weight=100),
        TextStatement(text="select * from orders where customer_id = 5 and gone_at is null; drop table orders"),
        TextStatement(text="select gibberish from"),
        TextStatement(text="select * from nowhere where id = 1"),
    ]
    advice = advise_indexes(snapshot, statements=statements)
    assert sql_of(advice) == [(("placed_at",), "status = 'open'"), (("customer_id",), None)]
    assert [blind.reason for blind in advice.blind] == ["1 statements could not be parsed"]
    with psycopg.connect(pg.dsn, autocommit=True) as conn:
        for index in advice.proposed:
            real_size(conn, index)
        plan = "\n".join(
            row[0]
            for row in conn.execute(
                "explain select * from orders where status = 'open' order by placed_at desc limit 20"
            ).fetchall()
        )
    assert advice.proposed[0].name in plan


def test_an_index_that_begins_the_new_one_is_superseded(pg: FreshDatabase) -> None:
    pg.execute(*SHOP, "create index narrow on orders (status)", "analyze orders", "select pg_stat_statements_reset()")
    conn = pg.connect()
    for _ in range(16):
        conn.execute("select * from orders where status = 'open' order by placed_at desc limit 5")
    advice = advise_indexes(observe(pg.dsn, [*NEEDS, *LIKES]))
    assert [(i.columns, i.superseded) for i in advice.proposed] == [(("status", "placed_at"), ("public.narrow",))]


def test_nothing_is_worth_it_on_small_tables(pg: FreshDatabase) -> None:
    pg.execute("create extension pg_stat_statements", "create table t as select i from generate_series(1, 500) i")
    pg.execute("analyze t", "select pg_stat_statements_reset()")
    conn = pg.connect()
    for _ in range(50):
        conn.execute("select * from t where i = 5")
    advice = advise_indexes(observe(pg.dsn, [*NEEDS, *LIKES]))
    assert (advice.proposed, advice.declined, advice.blind) == ((), (), ())
