"""From counted statements and statistics to a choice of indexes, on rows made up for the purpose."""

from __future__ import annotations

import dataclasses
from collections.abc import Iterator
from datetime import timedelta
from typing import Any

import pytest
from tests.fix import statement_rows
from tests.fix.statement_rows import AT, statement
from tests.fix.table_rows import column, index, relation, statistics

from pgrunbook.journey.observe.policies import Policy
from pgrunbook.journey.observe.statements import Statement
from pgrunbook.journey.workload.candidates import Choice, Thresholds
from pgrunbook.journey.workload.reading import reckon
from pgrunbook.model import Reading, Snapshot, Unread
from pgrunbook.pg.parse import Parser

COLUMNS = {
    1: (
        "orders",
        "id:int8 customer:int8 state:int4 placed:timestamptz note:text paid:bool tags:text[] data:jsonb price:numeric",
    ),
    2: ("customers", "id:int8 email:text country:text"),
}
DISTINCT = {
    (1, "id"): -1.0,
    (1, "customer"): 5000.0,
    (1, "state"): 4.0,
    (1, "placed"): -1.0,
    (1, "note"): -0.9,
    (1, "paid"): 2.0,
    (1, "tags"): -0.5,
    (1, "data"): -1.0,
    (1, "price"): -0.5,
    (2, "id"): -1.0,
    (2, "email"): -1.0,
    (2, "country"): 150.0,
}
KEYS = (
    index(101, 1, "orders_pkey", "id", is_primary=True, is_unique=True),
    index(102, 2, "customers_pkey", "id", is_primary=True, is_unique=True),
)
PAGES = 1000


@pytest.fixture(scope="module")
def parser() -> Iterator[Parser]:
    with Parser() as made:
        yield made


def scanning(query: str, *, calls: int = 100, rows: float = 1, pages: int = PAGES, **changes: Any) -> Statement:
    """A statement whose calls read a whole table of 1000 pages in ten milliseconds."""
    return statement(
        hash(query) % 10**9 + 1,
        calls=calls,
        mean_ms=10.0,
        query=query,
        rows=int(rows * calls),
        shared_hit_blocks=pages * calls,
        **changes,
    )


def seen(*statements: Statement, **readings: Any) -> Snapshot:
    def of(name: str, rows: tuple[Any, ...]) -> Reading[Any]:
        found: Reading[Any] = readings.pop(name, None) or Reading(rows=rows, taken_at=AT)
        return found

    tables = tuple(relation(oid, "public", name) for oid, (name, _) in COLUMNS.items())
    columns = tuple(
        column(oid, f"public.{name}", place, spec)
        for oid, (name, specs) in COLUMNS.items()
        for place, spec in enumerate(specs.split(), 1)
    )
    known = {
        "relations": of("relations", tables),
        "columns": of("columns", columns),
        "column_statistics": of(
            "column_statistics", tuple(statistics(oid, name, n) for (oid, name), n in DISTINCT.items())
        ),
        "indexes": of("indexes", KEYS),
    }
    snapshot = statement_rows.snapshot(*statements, about=statement_rows.info())
    return dataclasses.replace(snapshot, readings={**snapshot.readings, **known, **readings})


def choice(parser: Parser, *statements: Statement, max_width: int = 3, **readings: Any) -> Choice:
    return reckon(seen(*statements, **readings), parser, thresholds=Thresholds(), max_width=max_width).choice


def keys(found: Choice) -> list[list[str]]:
    return [[key.sql for key in chosen.candidate.keys] for chosen in found.chosen]


def rows(*found: Any) -> Reading[Any]:
    return Reading(rows=found, taken_at=AT)


def test_equality_comes_before_the_order_that_a_limit_wants(parser: Parser) -> None:
    found = choice(parser, scanning("select * from orders where state = $1 order by placed desc limit $2", rows=10))
    assert keys(found) == [["state", "placed DESC"]]


def test_width_is_limited(parser: Parser) -> None:
    query = "select * from orders where state = $1 order by placed desc, id desc limit $2"
    assert keys(choice(parser, scanning(query, rows=10), max_width=2)) == [["state", "placed DESC"]]
    assert keys(choice(parser, scanning(query, rows=10), max_width=1)) == [["placed DESC"]]


def test_the_most_selective_column_is_enough(parser: Parser) -> None:
    found = choice(parser, scanning("select * from orders where state = $1 and customer = $2", rows=5))
    assert keys(found) == [["customer"]]


def test_skew_makes_a_column_of_many_values_useless(parser: Parser) -> None:
    stats = [statistics(oid, name, n) for (oid, name), n in DISTINCT.items() if (oid, name) != (1, "customer")]
    skewed = statistics(1, "customer", 5000.0, most_common_freqs=(0.9,), most_common_count=1)
    counted = scanning("select count(*) from orders where customer = $1")
    assert keys(choice(parser, counted)) == [["customer"]]
    assert keys(choice(parser, counted, column_statistics=rows(*stats, skewed))) == []


def test_rows_that_came_back_say_more_than_statistics(parser: Parser) -> None:
    few = scanning("select * from orders where state = $1", rows=100)
    many = scanning("select * from orders where customer = $1", rows=60_000)
    assert keys(choice(parser, few)) == [["state"]]
    assert keys(choice(parser, many)) == []


def test_few_blocks_tell_that_nothing_is_scanned(parser: Parser) -> None:
    assert keys(choice(parser, scanning("select * from orders where customer = $1 limit 1", pages=12))) == []


def test_each_branch_of_an_or_gets_its_index_or_none_does(parser: Parser) -> None:
    both = choice(parser, scanning("select * from orders where customer = $1 or note = $2", rows=20))
    assert sorted(keys(both)) == [["customer"], ["note"]]
    half = choice(parser, scanning("select * from orders where customer = $1 or state = $2", rows=25_000))
    assert keys(half) == []


def test_an_index_for_the_missing_branch_only(parser: Parser) -> None:
    there = index(103, 1, "orders_customer_idx", "customer")
    query = scanning("select * from orders where customer = $1 or note = $2", rows=20)
    assert keys(choice(parser, query, indexes=rows(*KEYS, there))) == [["note"]]


def test_a_join_is_looked_up_only_from_few_rows(parser: Parser) -> None:
    few = "select o.id from customers c join orders o on o.customer = c.id where c.id = $1"
    assert keys(choice(parser, scanning(few, rows=20))) == [["customer"]]
    many = "select o.id from customers c join orders o on o.customer = c.id"
    assert keys(choice(parser, scanning(many, rows=100_000, pages=2 * PAGES))) == []


def test_statements_that_begin_alike_share_an_index(parser: Parser) -> None:
    found = choice(
        parser,
        scanning("select * from orders where customer = $1", rows=20),
        scanning("select * from orders where customer = $1 order by placed desc limit $2", rows=1),
        scanning("select * from orders where customer = $1 and state = $2", rows=5),
    )
    assert keys(found) == [["customer", "placed DESC"]]
    assert len(found.chosen[0].uses) == 3


def test_no_two_proposals_lead_with_the_same_column(parser: Parser) -> None:
    found = choice(
        parser,
        scanning("select * from orders where state = $1 order by placed desc limit $2", rows=10),
        scanning("select * from orders where state = $1 order by price limit $2", rows=10),
        scanning("select * from orders where state = $1 order by note limit $2", rows=10),
    )
    leading = [chosen.candidate.leading for chosen in found.chosen]
    assert len(leading) == len(set(leading))
    assert any("leads with the same column" in declined.reason for declined in found.declined)


def test_a_fixed_condition_becomes_the_predicate_of_a_partial_index(parser: Parser) -> None:
    found = choice(parser, scanning("select * from orders where not paid order by placed limit $1", rows=10))
    assert keys(found) == [["placed"]]
    assert found.chosen[0].candidate.where_sql == "NOT paid"


def test_nulls_are_left_out_where_they_dominate(parser: Parser) -> None:
    stats = [statistics(oid, name, n) for (oid, name), n in DISTINCT.items() if name != "note"]
    empty = statistics(1, "note", -0.1, null_ratio=0.9)
    query = scanning("select * from orders where note = $1", rows=1)
    found = choice(parser, query, column_statistics=rows(*stats, empty))
    assert found.chosen[0].candidate.where_sql == "note IS NOT NULL"


def test_the_operator_decides_on_the_class(parser: Parser) -> None:
    contains = scanning("select * from orders where data @> $1", rows=3)
    has_key = scanning("select * from orders where data ? $1", rows=3)
    assert keys(choice(parser, contains)) == [["data jsonb_path_ops"]]
    assert keys(choice(parser, has_key)) == [["data"]]
    assert keys(choice(parser, contains, has_key)) == [["data"]]


def test_writes_are_weighed(parser: Parser) -> None:
    reads = scanning("select * from orders where customer = $1", rows=20)
    insert = "insert into orders (customer) values ($1)"
    some = statement(7, calls=10_000, query=insert, rows=10_000)
    flood = statement(7, calls=1_000_000, query=insert, rows=1_000_000)
    load = statement(7, calls=20, query=insert, rows=20_000_000)
    assert keys(choice(parser, reads, some)) == [["customer"]]
    assert keys(choice(parser, reads, load)) == [["customer"]]
    declined = choice(parser, reads, flood)
    assert keys(declined) == []
    assert [d.reason for d in declined.declined] == ["keeping it up to date would cost more than it saves"]


def test_what_is_a_trifle_of_the_time_counted_is_no_defect(parser: Parser) -> None:
    query = scanning("select * from orders where customer = $1", rows=20)
    info = statement_rows.info(stats_reset=AT - timedelta(days=300))
    assert keys(choice(parser, query)) == [["customer"]]
    assert keys(choice(parser, query, statements_info=rows(info))) == []


def test_small_tables_count_only_where_they_cost_much(parser: Parser) -> None:
    small = rows(relation(1, "public", "orders", estimated_rows=5000, pages=60), relation(2, "public", "customers"))
    tiny = rows(relation(1, "public", "orders", estimated_rows=500, pages=6), relation(2, "public", "customers"))
    query = "select * from orders where customer = $1"
    assert keys(choice(parser, scanning(query, pages=60, calls=50), relations=small)) == []
    assert keys(choice(parser, scanning(query, pages=60, calls=5000), relations=small)) == [["customer"]]
    assert keys(choice(parser, scanning(query, pages=6, calls=500_000), relations=tiny)) == []


def test_a_table_without_statistics_is_named_and_not_guessed_at(parser: Parser) -> None:
    query = scanning("select count(*) from orders where customer = $1")
    unanalyzed = choice(parser, query, column_statistics=rows())
    assert (keys(unanalyzed), unanalyzed.unanalyzed, unanalyzed.hidden) == ([], {1: ("customer",)}, {})
    columns = tuple(
        column(oid, f"public.{name}", place, spec, statistics_readable=False)
        for oid, (name, specs) in COLUMNS.items()
        for place, spec in enumerate(specs.split(), 1)
    )
    hidden = choice(parser, query, column_statistics=rows(), columns=rows(*columns))
    assert (keys(hidden), hidden.unanalyzed, hidden.hidden) == ([], {}, {1: ("customer",)})


def test_row_security_adds_its_conditions_and_forbids_leaky_ones(parser: Parser) -> None:
    policy = Policy(
        oid=1,
        table_oid=1,
        schema="public",
        table_name="orders",
        name="own",
        command="select",
        is_permissive=True,
        roles=("app",),
        using_expression="(customer = ( SELECT auth.uid() AS uid))",
        check_expression=None,
    )
    secured = rows(relation(1, "public", "orders", row_security=True), relation(2, "public", "customers"))
    by_policy = choice(
        parser,
        scanning("select * from orders where state = $1", rows=5),
        relations=secured,
        policies=rows(policy),
    )
    assert keys(by_policy) == [["customer"]]
    wide = dataclasses.replace(policy, using_expression="(state > 0)")
    leaky = choice(
        parser,
        scanning("select * from orders where tags @> $1", rows=5),
        scanning("select * from orders where price = $1", rows=5),
        relations=secured,
        policies=rows(wide),
    )
    assert keys(leaky) == []
    assert {d.columns for d in leaky.declined if "leakproof" in d.reason} == {("tags",), ("price",)}


def test_hidden_and_volatile_things_get_no_index(parser: Parser) -> None:
    found = choice(
        parser,
        scanning("select * from orders where data->>$1 = $2", rows=2),
        scanning("select * from orders where placed::date = $1", rows=2),
        scanning("select * from orders where $1 = any(tags)", rows=2),
    )
    assert keys(found) == []
    assert found.veiled == {1: ("(data ->> …)",)}
    reasons = " ".join(declined.reason for declined in found.declined)
    assert "hidden by pg_stat_statements" in reasons
    assert "not known to be immutable" in reasons
    assert "@> ARRAY[value] can be answered" in reasons


def test_statements_that_nobody_can_parse_are_counted(parser: Parser) -> None:
    found = reckon(
        seen(scanning("select from from where"), scanning("select * from orders where customer = $1", rows=20)),
        parser,
        thresholds=Thresholds(),
    )
    assert found.workload.unparsed == 1
    assert keys(found.choice) == [["customer"]]


def test_readings_that_are_missing_are_done_without(parser: Parser) -> None:
    found = choice(
        parser,
        scanning("select * from orders where customer = $1", rows=20),
        statements_info=Unread(reason="no right"),
        policies=Unread(reason="no right"),
    )
    assert keys(found) == [["customer"]]
