"""Rewrites give the same rows on nasty data, and are not offered where the fact that makes them so does not hold."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import psycopg
import pytest
from tests.fix.server import FreshDatabase, Servers, installed, unavailable

from pgrunbook.journey.advise.queries.advisor import Wish, explain
from pgrunbook.model.explanation import Rewrite
from pgrunbook.pg.connect import Session, connect
from pgrunbook.pg.parse import Parser

SHOP = """
create table customers (id int primary key, city text not null, code int, mail text);
insert into customers select i, 'c' || i % 7, case when i % 5 > 0 then i % 40 end, null from generate_series(1, 300) i;
create table orders (id int8 primary key, customer_id int references customers,
  must_id int not null references customers, status text, placed_at timestamp not null, noted_at timestamp,
  at_tz timestamptz not null, tags text[], n int not null);
insert into orders select i, case when i % 9 > 0 then 1 + i % 250 end, 1 + i % 200,
  case when i % 11 = 0 then null when i % 3 = 0 then 'open' else 'done' end,
  case i when 1 then 'infinity' when 2 then '-infinity' when 3 then '0044-03-15 BC'
    else timestamp '2024-01-01' + (i / 20) * interval '5 hours' end,
  case when i % 4 > 0 then timestamp '2024-01-01' + i * interval '1 hour' end,
  timestamptz '2024-03-30 00:00+00' + (i % 97) * interval '37 minutes',
  case when i % 7 = 0 then null when i % 6 = 0 then '{}' when i % 5 = 0 then array[null, 'red', 'red']
    else array['t' || i % 4, 'red'] end, i % 3
from generate_series(1, 2000) i;
create table loose (id int, v int);
insert into loose select case when i % 4 > 0 then i % 5 end, case when i % 3 > 0 then i % 6 end
from generate_series(1, 300) i;
create table parent (id int primary key, v int not null);
create table child () inherits (parent);
insert into parent select i, i % 3 from generate_series(1, 50) i;
insert into child select i % 40, i % 4 from generate_series(1, 90) i;
create table checked (id int primary key, late_id int not null references customers deferrable initially immediate,
  unsure_id int not null);
alter table checked add constraint unsure foreign key (unsure_id) references customers not valid;
insert into checked select i, i, i from generate_series(1, 30) i;
create table hidden (id int primary key);
insert into hidden select i from generate_series(1, 60) i;
create table pointing (id int primary key, hidden_id int not null references hidden);
insert into pointing select i, i from generate_series(1, 60) i;
alter table hidden enable row level security;
create policy few on hidden using (id < 20);
create table unheld (id int primary key, customer_id int not null references customers);
alter table unheld disable trigger all;
insert into unheld select i, i * 20 from generate_series(1, 30) i;
create table named (name text collate "POSIX" not null);
create unique index on named (name collate "C");
insert into named select case when i % 2 = 0 then 'a' else 'A' end || i / 2 from generate_series(1, 200) i;
create function asker() returns text stable language plpgsql as $$ begin return 'open'; end $$;
create function asker_of(n int) returns text stable language plpgsql as $$ begin return 'open'; end $$;
create function changing() returns text volatile language plpgsql as $$ begin return 'open'; end $$;
"""


class Shop:
    """A database full of NULLs, ties, duplicates and infinite times, and its advisor."""

    def __init__(self, database: FreshDatabase, parser: Parser) -> None:
        self.database = database
        self._parser = parser
        self._sessions: dict[str, Session] = {}

    def rewrites(self, text: str, *, compare: bool = True, zone: str = "UTC", **wish: Any) -> dict[str, Rewrite]:
        if zone not in self._sessions:
            dsn = self.database.cluster.dsn(self.database.name, options=f"-c timezone={zone}")
            self._sessions[zone] = connect(dsn, station="test")
        found = explain(self._sessions[zone], Wish(text=text, compare=compare, **wish), parser=self._parser)
        assert found.plan.root.total_cost > 0
        return {one.name: one for one in found.rewrites}

    def same(self, name: str, text: str, **wish: Any) -> Rewrite:
        """The rewrite of this name, which must be offered, planned, and give the same rows."""
        one = self.rewrites(text, **wish)[name]
        assert one.facts
        assert one.comparison is not None, one.not_compared
        assert one.comparison.is_equal, (one.sql, one.comparison)
        assert one.after is not None or one.unplanned
        return one

    def close(self) -> None:
        for session in self._sessions.values():
            session.close()

    def rows(self, text: str) -> list[Any]:
        with psycopg.connect(self.database.dsn, autocommit=True) as conn:
            return sorted(conn.execute(text.encode()).fetchall(), key=repr)


@pytest.fixture(scope="module")
def shop(servers: Servers) -> Iterator[Shop]:
    if 18 not in installed():
        unavailable("PostgreSQL 18 is not installed")
    with servers.fresh_database(18) as database:
        database.execute(SHOP)
        database.execute("vacuum analyze")
        with Parser() as parser:
            made = Shop(database, parser)
            yield made
            made.close()


@pytest.mark.parametrize(
    "order,offset",
    [
        ("placed_at desc", 45),
        ("placed_at", 1),
        ("placed_at", 5000),
        ("n desc, placed_at", 45),
        ("placed_at, n desc, id", 101),
        ("must_id desc, id", 45),
    ],
)
def test_a_page_by_keyset_is_the_page_by_offset(shop: Shop, order: str, offset: int) -> None:
    one = shop.same("keyset_for_offset", f"select id, placed_at from orders order by {order} limit 20 offset {offset}")
    assert "PRIMARY KEY" in one.facts[0]
    assert "OFFSET" not in one.sql
    assert one.comparison is not None
    assert one.comparison.before_rows == (20 if offset < 2000 else 0)


@pytest.mark.parametrize(
    "text",
    [
        "select id, v from loose order by id limit 5 offset 20",  # nothing is unique
        "select id from orders order by noted_at limit 5 offset 20",  # NULLs compare with nothing
        "select id, v from parent order by id limit 5 offset 20",  # a child may have the same id
        "select name from named order by name limit 5 offset 20",  # the index compares otherwise
        "select n, count(*) from orders group by n order by n limit 1 offset 1",
        "select id from orders order by id limit 5",
        "select id from orders order by random() limit 5 offset 10",
    ],
)
def test_without_a_total_order_there_is_no_keyset(shop: Shop, text: str) -> None:
    assert "keyset_for_offset" not in shop.rewrites(text, compare=False)


def test_pages_of_one_table_only_are_unique_without_its_children(shop: Shop) -> None:
    shop.same("keyset_for_offset", "select id, v from only parent order by v limit 5 offset 20")


@pytest.mark.parametrize(
    "text",
    [
        "select * from orders where must_id not in (select id from customers where city = 'c3')",
        "select * from orders o where n = 1 and id not in (select id from customers)",
        "select id from customers where id not in (select customer_id from orders where customer_id is not null)",
        "select * from orders where must_id not in (select id from customers where id < 0)",
    ],
)
def test_not_in_is_not_exists_where_nothing_is_null(shop: Shop, text: str) -> None:
    one = shop.same("not_exists_for_not_in", text)
    assert any("NOT NULL" in fact for fact in one.facts)


@pytest.mark.parametrize(
    "text",
    [
        "select id from customers where id not in (select customer_id from orders)",
        "select id from orders where customer_id not in (select id from customers where city = 'c3')",
        "select id from customers where id not in (select v from parent)",  # a child need not obey
        "select o.id from loose l left join orders o on o.id = l.id where o.must_id not in (select id from customers)",
    ],
)
def test_not_in_stays_where_a_value_may_be_null(shop: Shop, text: str) -> None:
    assert "not_exists_for_not_in" not in shop.rewrites(text, compare=False)


def test_the_null_that_forbids_not_exists_does_change_the_rows(shop: Shop) -> None:
    assert shop.rows("select id from customers where id not in (select customer_id from orders)") == []
    turned = "select id from customers c where not exists (select from orders o where o.customer_id = c.id)"
    assert len(shop.rows(turned)) == 50


def test_in_under_or_is_exists(shop: Shop) -> None:
    text = "select * from orders where n = 2 or customer_id in (select id from customers where code = 3)"
    shop.same("exists_for_in", text)
    assert "exists_for_in" not in shop.rewrites(text.replace(" or ", " and "), compare=False)


@pytest.mark.parametrize(
    "condition",
    [
        "placed_at::date = '2024-02-03'",
        "placed_at::date <= date '2024-02-03'",
        "'2024-02-03' < placed_at::date",
        "date(placed_at) between '2024-02-03' and '2024-02-05'",
        "date_trunc('day', placed_at) = '2024-02-03'",
        "date_trunc('month', placed_at) = timestamp '2024-02-01 00:00'",
        "date_trunc('week', placed_at) < '2024-01-29'",
        "date_trunc('quarter', placed_at) >= '2024-01-01'",
        "extract(year from placed_at) = 2024",
        "extract(year from placed_at) < 2024",
        "date_part('year', noted_at) >= 2024",
        "at_tz::date = '2024-03-31'",
        "date_trunc('hour', at_tz) = '2024-03-31 02:00'",
        "n = 1 and (placed_at::date = '2024-02-03' or status = 'open')",
    ],
)
def test_a_range_holds_exactly_where_the_function_does(shop: Shop, condition: str) -> None:
    one = shop.same("range_for_function", f"select * from orders where {condition}")
    assert any("timestamp" in fact for fact in one.facts)


@pytest.mark.parametrize(
    "condition",
    [
        "date_trunc('day', placed_at) = '2024-02-03 10:00'",  # never true, and a range would be
        "date_trunc('week', placed_at) = '2024-02-03'",  # no Monday
        "extract(month from placed_at) = 2",
        "not placed_at::date = '2024-02-03'",
        "placed_at::date = noted_at::date",
        "lower(status) = 'open'",
    ],
)
def test_what_is_no_range_stays(shop: Shop, condition: str) -> None:
    assert "range_for_function" not in shop.rewrites(f"select * from orders where {condition}", compare=False)


def test_days_of_a_timestamptz_depend_on_the_clocks_of_the_zone(shop: Shop) -> None:
    text = "select * from orders where at_tz::date = '2024-03-31'"
    assert "range_for_function" not in shop.rewrites(text, compare=False, zone="America/Havana")
    assert any("TimeZone is UTC" in fact for fact in shop.rewrites(text, compare=False)["range_for_function"].facts)


@pytest.mark.parametrize(
    "text",
    [
        "select * from loose where id = 3 or v = 2",
        "select * from loose where id = 3 or v = 2 or v is null and id is null",
        "select count(*) from loose where id > 2 or v < 2",
        "select id, v from loose where (id = 3 or v = 2) and v is not null order by v, id",
        "select l.id, o.status from loose l join orders o on o.id = l.v where l.id = 1 or o.status = 'open'",
        "select l.v, o.n as m from loose l join orders o on o.id = l.v where l.id = 1 or o.n = 2 order by o.at_tz",
    ],
)
def test_a_union_of_branches_neither_loses_nor_repeats_a_row(shop: Shop, text: str) -> None:
    shop.same("union_for_or", text)


def test_rewrites_that_need_each_other_are_put_together(shop: Shop) -> None:
    one = shop.same(
        "together",
        "select o.id from orders o join customers k on k.id = o.must_id"
        " where o.placed_at::date = '2024-02-03' or 'red' = any (o.tags) or o.status = asker()",
    )
    assert "UNION ALL" in one.sql
    assert "customers" not in one.sql
    assert "::date =" not in one.sql
    assert "@> ARRAY['red']" in one.sql
    assert "(SELECT asker())" in one.sql
    assert "together" not in shop.rewrites("select * from loose where id = 3 or v = 2")


@pytest.mark.parametrize(
    "text",
    [
        "select * from loose where id = 3 or v > random()",  # asked twice, it may differ
        "select * from loose where id = 3 or id = 4",
        "select id, count(*) from loose where id = 3 or v = 2 group by id",
        "select id from loose where id = 3 or v = 2 order by v",  # a name that could be the result's
    ],
)
def test_an_or_that_a_union_does_not_equal_stays(shop: Shop, text: str) -> None:
    assert "union_for_or" not in shop.rewrites(text, compare=False)


@pytest.mark.parametrize(
    "condition",
    [
        "(select count(*) from orders o where o.customer_id = c.id) > 0",
        "0 = (select count(*) from orders o where o.customer_id = c.id and o.status is null)",
        "1 <= (select count(o.must_id) from orders o where o.customer_id = c.id)",
        "c.code is null or (select count(*) from orders o where o.customer_id = c.id) < 1",
    ],
)
def test_a_count_that_is_compared_with_nothing_is_exists(shop: Shop, condition: str) -> None:
    one = shop.same("exists_for_count", f"select * from customers c where {condition}")
    assert one.same == "The same rows"


def test_a_statement_that_only_counts_is_told_what_else_it_may_ask(shop: Shop) -> None:
    one = shop.same("exists_for_count", "select count(*) from orders where status = 'nowhere'")
    assert "not the count" in one.same


@pytest.mark.parametrize(
    "condition",
    [
        "(select count(o.customer_id) from orders o where o.id = c.id) > 0",  # a NULL is a row and is not counted
        "(select count(*) from orders o where o.customer_id = c.id) > 1",
        "(select count(*) from orders o where o.customer_id = c.id group by o.n limit 1) > 0",
        "(select count(*) filter (where n = 1) from orders o where o.customer_id = c.id) > 0",
    ],
)
def test_other_counts_stay(shop: Shop, condition: str) -> None:
    found = shop.rewrites(f"select * from customers c where {condition}", compare=False)
    assert "exists_for_count" not in found


def test_a_batch_of_inserts_leaves_what_single_ones_leave(shop: Shop) -> None:
    keys, values = [1, 2, 2, 3, 1], ["a", None, "b", "c'\\", "d"]
    made = "create table {} (k int primary key, v text, other text default 'x')"
    shop.database.execute(made.format("singles"), made.format("batches"), "insert into singles values (3, 'old')")
    shop.database.execute("insert into batches select * from singles")
    single = "insert into singles (k, v) values ($1, $2) on conflict (k) do update set v = excluded.v"
    one = shop.rewrites(single, compare=False, as_superuser=True)["batch_for_insert"]
    with psycopg.connect(shop.database.dsn, autocommit=True, cursor_factory=psycopg.RawCursor) as conn:
        for key, value in zip(keys, values, strict=True):
            conn.execute(single.encode(), (key, value))
        conn.execute(one.sql.replace("singles", "batches").encode(), (keys, values))
    assert shop.rows("select * from batches") == shop.rows("select * from singles")
    assert len(shop.rows("select * from batches")) == 3


def test_a_batch_without_conflicts_keeps_the_order_of_its_rows(shop: Shop) -> None:
    made = "create table {} (id int generated always as identity, v text)"
    shop.database.execute(made.format("one_by_one"), made.format("at_once"))
    one = shop.rewrites("insert into one_by_one (v) values ($1)", compare=False)["batch_for_insert"]
    values = ["b", None, "a", "b", ""]
    with psycopg.connect(shop.database.dsn, autocommit=True, cursor_factory=psycopg.RawCursor) as conn:
        for value in values:
            conn.execute(b"insert into one_by_one (v) values ($1)", (value,))
        conn.execute(one.sql.replace("one_by_one", "at_once").encode(), (values,))
    assert shop.rows("select * from at_once") == shop.rows("select * from one_by_one")


@pytest.mark.parametrize(
    "text",
    [
        "insert into orders (id, must_id, placed_at, at_tz, n, tags) values ($1, $2, $3, $4, $5, $6)",
        "insert into customers (id, city, code) values ($1, $2, $3) on conflict (id) do update set city=excluded.city",
        "insert into customers (id, city) values ($1, $2) on conflict (id) do update set city = customers.city || 'x'",
        "insert into loose values ($1, $2)",
        "insert into loose (id, v) values ($1, $2), ($3, $4)",
        "insert into loose (id, v) values ($1, default)",
    ],
)
def test_inserts_that_a_batch_does_not_equal_stay(shop: Shop, text: str) -> None:
    assert "batch_for_insert" not in shop.rewrites(text, compare=False, as_superuser=True)


@pytest.mark.parametrize(
    "text",
    [
        "select * from orders where customer_id = $1",
        "select id, placed_at from orders where customer_id = $1 order by placed_at desc, id limit 2",
        "select count(*), max(placed_at) from orders where customer_id = $1",
        "select o.id, c.city from orders o join customers c on c.id = o.must_id where o.customer_id = $1::int",
    ],
)
def test_one_statement_for_all_keys_gives_the_rows_of_all_single_ones(shop: Shop, text: str) -> None:
    one = shop.same("batch_for_lookup", text)
    assert "LATERAL" in one.sql
    assert one.comparison is not None
    assert one.comparison.before_rows > 0


@pytest.mark.parametrize(
    "text",
    [
        "select * from orders where customer_id > $1",
        "select id, random() from orders where customer_id = $1",
        "select * from orders where customer_id = any($1) and n = $2",
        "select o.id, c.id from orders o join customers c on c.id = o.must_id where o.customer_id = $1",
    ],
)
def test_what_is_no_look_up_is_not_batched(shop: Shop, text: str) -> None:
    assert "batch_for_lookup" not in shop.rewrites(text, compare=False)


def test_a_stable_function_is_asked_once(shop: Shop) -> None:
    one = shop.same("once_for_row_call", "select * from orders where status = asker() or status is null")
    assert one.helps
    shop.same("once_for_row_call", "select * from orders where lower(status) = lower(current_setting('x.y', true))")


@pytest.mark.parametrize("call", ["changing()", "asker_of(n)", "(select asker())", "lower('OPEN')"])
def test_a_function_whose_value_may_change_is_asked_each_time(shop: Shop, call: str) -> None:
    assert "once_for_row_call" not in shop.rewrites(f"select * from orders where status = {call}", compare=False)


@pytest.mark.parametrize("condition", ["'red' = any (tags)", "n = 1 or 't2' = any (tags)", "'t1'::text = any (o.tags)"])
def test_an_array_contains_what_it_has_any_of(shop: Shop, condition: str) -> None:
    one = shop.same("contains_for_any", f"select * from orders o where {condition}")
    assert "USING gin" in one.needs[0].sql


@pytest.mark.parametrize(
    "condition", ["status = any (tags)", "not 'red' = any (tags)", "'red' = any ('{red}'::text[])"]
)
def test_other_uses_of_any_stay(shop: Shop, condition: str) -> None:
    assert "contains_for_any" not in shop.rewrites(f"select * from orders where {condition}", compare=False)


@pytest.mark.parametrize(
    "text",
    [
        "select o.id from orders o join customers c on c.id = o.must_id",
        "select o.id from orders o join customers c on o.customer_id = c.id where o.n = 1",
        "select o.id, o.status from orders o left join customers c on c.id = o.customer_id where o.status is null",
        "select l.v from loose l left join customers c on c.id = l.id",
        "select a.id from orders a join orders b on b.id = a.id join customers c on c.id = b.must_id where b.n = 0",
    ],
)
def test_a_join_that_changes_nothing_can_go(shop: Shop, text: str) -> None:
    one = shop.same("join_elimination", text)
    assert "customers" not in one.sql


@pytest.mark.parametrize(
    "text",
    [
        "select o.id, c.city from orders o join customers c on c.id = o.must_id",
        "select l.v from loose l left join customers c on c.code = l.id",  # not unique
        "select l.v from loose l join customers c on c.id = l.id",  # no foreign key
        "select c.id from checked c join customers k on k.id = c.late_id",  # deferrable: may be broken for a while
        "select c.id from checked c join customers k on k.id = c.unsure_id",  # never validated
        "select u.id from unheld u join customers c on c.id = u.customer_id",  # its triggers were off
        "select p.id from pointing p join hidden h on h.id = p.hidden_id",  # row security hides partners
        "select l.v from loose l left join parent p on p.id = l.id",  # children may repeat the key
        "select o.id from orders o join customers c on c.id = o.must_id and c.city = 'c3'",
        "select o.id from orders o join customers c on c.id = o.must_id where city = 'c3'",
    ],
)
def test_a_join_that_adds_or_removes_rows_stays(shop: Shop, text: str) -> None:
    assert "join_elimination" not in shop.rewrites(text, compare=False)


def test_a_fence_around_a_cte_can_fall(shop: Shop) -> None:
    shop.same("unfenced_cte", "with x as materialized (select * from orders) select * from x where id = 5")


@pytest.mark.parametrize(
    "text",
    [
        "with x as materialized (select id, random() as r from orders) select * from x where id = 5",
        "with x as materialized (select id from orders) select * from x a join x b on a.id = b.id where a.id = 5",
        "with x as (select * from orders) select * from x where id = 5",
    ],
)
def test_a_fence_that_means_something_stays(shop: Shop, text: str) -> None:
    assert "unfenced_cte" not in shop.rewrites(text, compare=False)


def test_a_policy_said_for_less_shows_the_same_rows(shop: Shop) -> None:
    shop.database.execute(
        "create schema auth",
        "create function auth.uid() returns text stable language sql return current_setting('app.uid', true)",
        "create table notes (id int primary key, owner text, shared text[])",
        (
            "insert into notes select i, case when i % 5 > 0 then 'u' || i % 9 end,"
            " case when i % 3 = 0 then null when i % 4 = 0 then array[null, 'u1'] else array['u' || i % 7] end"
            " from generate_series(1, 500) i"
        ),
        "alter table notes enable row level security",
        "create policy own on notes for select using (owner = auth.uid() or auth.uid() = any (shared))",
        "grant usage on schema auth to public",
        "grant select on notes to public",
        "create role reader",
    )
    one = shop.rewrites("select * from notes", compare=False, role="reader")["policy_asked_once"]
    assert "SELECT auth.uid()" in one.sql
    assert any("gin" in advice.sql for advice in one.needs)

    def visible(uid: str) -> list[Any]:
        with psycopg.connect(shop.database.dsn, autocommit=True) as conn:
            conn.execute("select set_config('app.uid', %s, false)", (uid,))
            conn.execute("set role reader")
            return sorted(conn.execute("select * from notes").fetchall(), key=repr)

    before = {uid: visible(uid) for uid in ("u1", "u3", "nobody")}
    shop.database.execute(one.sql)
    assert {uid: visible(uid) for uid in before} == before
    assert len(before["u1"]) > 50
    assert "policy_asked_once" not in shop.rewrites("select * from notes", compare=False, role="reader")
