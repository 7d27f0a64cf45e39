"""Statements → what they ask of each table, with parse trees from PostgreSQL's own grammar."""

from __future__ import annotations

from collections.abc import Iterator

import pytest
from tests.fix.table_rows import column, relation

from pgrunbook.journey.workload.access import Access, Accesses, Writing
from pgrunbook.journey.workload.catalog import Catalog, catalog_of
from pgrunbook.journey.workload.walk import accesses_of
from pgrunbook.pg.parse import Parser

TABLES = {
    "public.users": "id:int8 email:varchar name:text active:bool created_at:timestamptz data:jsonb tags:text[]",
    "public.orders": "id:int8 user_id:int8 status:text total:numeric placed_on:date at:timestamp period:tsrange",
    "public.items": "id:int8 order_id:int8 sku:text Qty:int4",
    "shop.things": "id:int8 label:text body:text words:tsvector spot:point",
    "a.twice": "id:int8",
    "b.twice": "id:int8",
}


@pytest.fixture(scope="module")
def catalog() -> Catalog:
    relations, columns = [], []
    for oid, (table, specs) in enumerate(TABLES.items(), 1):
        relations.append(relation(oid, *table.split(".")))
        columns += [column(oid, table, place, spec) for place, spec in enumerate(specs.split(), 1)]
    return catalog_of(relations, columns)


@pytest.fixture(scope="module")
def parser() -> Iterator[Parser]:
    with Parser() as made:
        yield made


class Reader:
    def __init__(self, parser: Parser, catalog: Catalog) -> None:
        self.parser, self.catalog = parser, catalog

    def all(self, sql: str, policies: dict[str, str] | None = None) -> Accesses:
        trees = {name: self.parser.expression(text) for name, text in (policies or {}).items()}
        return accesses_of(
            self.parser.statement(sql),
            self.catalog,
            lambda table: [trees[table.relation.name]] if table.relation.name in trees else [],
        )

    def of(self, sql: str, table: str = "users", policies: dict[str, str] | None = None) -> Access:
        found = [a for a in self.all(sql, policies).accesses if self.name(a) == table]
        assert len(found) == 1, found
        return found[0]

    def name(self, access: Access) -> str:
        return self.catalog.tables[access.table_oid].relation.name


@pytest.fixture(scope="module")
def read(parser: Parser, catalog: Catalog) -> Reader:
    return Reader(parser, catalog)


def asked(access: Access) -> list[tuple[str, str]]:
    return [(p.key.canonical, p.operation.value) for p in access.predicates]


@pytest.mark.parametrize(
    "condition, expected",
    [
        ("email = $1", ("email", "equal")),
        ("$1 = email", ("email", "equal")),
        ("u.email = 'a'", ("email", "equal")),
        ("(u.email)::text = 'a'::text", ("email", "equal")),
        ("id in ($1, $2)", ("id", "equal")),
        ("id = any($1)", ("id", "equal")),
        ("id > $1", ("id", "range")),
        ("$1 > id", ("id", "range")),
        ("created_at between $1 and $2", ("created_at", "range")),
        ("(created_at, id) < ($1, $2)", ("created_at", "range")),
        ("created_at > now() - $1::interval", ("created_at", "range")),
        ("email is null", ("email", "is null")),
        ("email is not null", ("email", "is not null")),
        ("active", ("active", "is true")),
        ("not active", ("active", "is false")),
        ("active is true", ("active", "is true")),
        ("name like 'ab%'", ("name", "prefix")),
        ("name like '%ab'", ("name", "pattern")),
        ("name like $1", ("name", "pattern")),
        ("name ilike $1", ("name", "pattern")),
        ("name not like $1", ("?", "other")),
        ("lower(email) = lower($1)", ("lower(email)", "equal")),
        ("lower((email)::text) = $1", ("lower(email)", "equal")),
        ("lower(name) like 'a%'", ("lower(name)", "prefix")),
        ("data @> $1", ("data", "contains")),
        ("data ? $1", ("data", "contains")),
        ("data->>'k' = $1", ("(data ->> 'k')", "equal")),
        ("data->>$1 = $2", ("(data ->> $)", "equal")),
        ("tags @> array[$1]", ("tags", "contains")),
        ("tags && $1", ("tags", "contains")),
        ("$1 = any(tags)", ("tags", "element")),
        ("id <> $1", ("?", "other")),
        ("id = $1 + random()", ("?", "other")),
        ("id operator(pg_catalog.=) $1", ("id", "equal")),
        ("id is distinct from $1", ("?", "other")),
        ("id = (select max(id) from orders)", ("id", "equal")),
    ],
)
def test_a_condition_asks_something_of_a_key(read: Reader, condition: str, expected: tuple[str, str]) -> None:
    assert asked(read.of(f"select 1 from users u where {condition}")) == [expected]


@pytest.mark.parametrize(
    "condition, expected",
    [
        ("to_tsvector('english', body) @@ plainto_tsquery('english', $1)", ("to_tsvector('english',body)", "search")),
        ("to_tsvector($1, body) @@ to_tsquery($2)", ("to_tsvector($,body)", "search")),
        ("words @@ to_tsquery($1)", ("words", "search")),
        ("spot <@ $1", ("spot", "overlaps")),
    ],
)
def test_full_text_and_geometry(read: Reader, condition: str, expected: tuple[str, str]) -> None:
    assert asked(read.of(f"select 1 from shop.things where {condition}", "things")) == [expected]


def test_ranges_overlap(read: Reader) -> None:
    assert asked(read.of("select 1 from orders where period && $1", "orders")) == [("period", "overlaps")]


@pytest.mark.parametrize(
    "expression, is_refused",
    [
        ("lower(email)", False),
        ("date_trunc('day', created_at)", True),  # timestamptz: depends on the time zone
        ("created_at::date", True),
        ("date_trunc('day', at)", False),
        ("at::date", False),
        ("data->>'k'", False),
        ("(data->>'k')::int", False),
        ("my_function(email)", True),
        ("coalesce(email, '')", False),
        ("id::text", False),
    ],
)
def test_an_expression_says_whether_an_index_may_hold_it(read: Reader, *, expression: str, is_refused: bool) -> None:
    table = "orders" if "at)" in expression or expression == "at::date" else "users"
    table = "users" if "created_at" in expression else table
    (predicate,) = read.of(f"select 1 from {table} where {expression} = $1", table).predicates
    assert bool(predicate.key.refusal) is is_refused, predicate.key


def test_a_join_is_an_equality_on_both_sides(read: Reader) -> None:
    found = read.all("select * from users u join orders o on o.user_id = u.id where u.email = $1")
    users, orders = found.accesses
    assert asked(users) == [("id", "equal"), ("email", "equal")]
    assert asked(orders) == [("user_id", "equal")]
    assert (orders.predicates[0].joined, users.predicates[0].joined) == (users.number, orders.number)
    assert orders.predicates[0].joined_key is not None
    assert orders.predicates[0].joined_key.canonical == "id"


def test_an_outer_join_restricts_only_the_side_that_may_be_missing(read: Reader) -> None:
    sql = "select 1 from users u left join orders o on o.user_id = u.id and o.status = $1 and u.active"
    assert asked(read.of(sql, "orders")) == [("user_id", "equal"), ("status", "equal")]
    assert asked(read.of(sql, "users")) == []


def test_using_joins_both_sides(read: Reader) -> None:
    sql = "select id from users join orders using (id) where id = $1"
    assert ("id", "equal") in asked(read.of(sql, "orders"))


def test_exists_and_in_are_joins(read: Reader) -> None:
    exists = "select 1 from orders where exists (select from users u where u.id = orders.user_id and u.email = $1)"
    assert asked(read.of(exists, "users")) == [("id", "equal"), ("email", "equal")]
    assert ("user_id", "equal") in asked(read.of(exists, "orders"))
    within = "select 1 from orders where user_id in (select id from users where email = $1)"
    assert asked(read.of(within, "orders")) == [("user_id", "equal")]
    assert set(asked(read.of(within, "users"))) == {("id", "equal"), ("email", "equal")}


def test_a_correlated_subquery_looks_up_only_its_own_table(read: Reader) -> None:
    sql = "select (select count(*) from orders o where o.user_id = u.id) from users u where u.active"
    assert asked(read.of(sql, "orders")) == [("user_id", "equal")]
    assert asked(read.of(sql, "users")) == [("active", "is true")]


def test_a_lateral_subquery_sees_its_neighbours(read: Reader) -> None:
    sql = (
        "select 1 from users u cross join lateral"
        " (select * from orders o where o.user_id = u.id order by at desc limit 3) s where u.email = $1"
    )
    orders = read.of(sql, "orders")
    assert asked(orders) == [("user_id", "equal")]
    assert [(o.key.canonical, o.descending) for o in orders.order] == [("at", True)]
    assert orders.limited


def test_conditions_reach_through_subqueries_that_change_no_rows(read: Reader) -> None:
    sql = "select 1 from (select id as n, email from users) x where x.n = $1"
    assert asked(read.of(sql)) == [("id", "equal")]
    grouped = "select 1 from (select email, count(*) c from users group by email) x where x.email = $1"
    assert asked(read.of(grouped)) == []


def test_common_table_expressions(read: Reader) -> None:
    once = "with mine as (select * from orders where user_id = $1) select 1 from mine where status = $2"
    assert asked(read.of(once, "orders")) == [("user_id", "equal"), ("status", "equal")]
    twice = "with m as (select * from orders where user_id = $1) select 1 from m a, m b where a.status = $2"
    assert asked(read.of(twice, "orders")) == [("user_id", "equal")]
    kept = "with m as materialized (select * from orders) select 1 from m where status = $2"
    assert asked(read.of(kept, "orders")) == []


def test_a_recursive_query_joins_something_small(read: Reader) -> None:
    sql = (
        "with recursive t as (select id from orders where id = $1"
        " union all select i.id from items i join t on i.order_id = t.id) select * from t"
    )
    found = read.all(sql)
    (items,) = [a for a in found.accesses if read.name(a) == "items"]
    assert asked(items) == [("order_id", "equal")]
    assert items.predicates[0].joined in found.small


def test_or_gives_branches(read: Reader) -> None:
    access = read.of("select 1 from users where active and (email = $1 or name = $2 and id > $3)")
    assert asked(access) == [("active", "is true")]
    (group,) = access.alternatives
    assert [[p.key.canonical for p in branch] for branch in group] == [["email"], ["name", "id"]]


def test_order_limit_and_offset(read: Reader) -> None:
    access = read.of("select id, created_at as c from users where email = $1 order by c desc, 1 limit 5 offset $2")
    assert [(o.key.canonical, o.descending, o.nulls_first) for o in access.order] == [
        ("created_at", True, True),
        ("id", False, False),
    ]
    assert access.limited
    assert access.has_offset
    assert access.is_sole
    assert not access.is_result


def test_order_over_two_tables_is_no_order_of_either(read: Reader) -> None:
    sql = "select 1 from users u join orders o on o.user_id = u.id order by u.id, o.at limit 5"
    assert read.of(sql, "users").order == ()
    assert read.of(sql, "orders").order == ()


def test_a_lone_extreme_is_an_order_with_limit_one(read: Reader) -> None:
    access = read.of("select max(created_at) from users where active")
    assert [(o.key.canonical, o.descending) for o in access.order] == [("created_at", True)]
    assert access.limited


def test_grouping(read: Reader) -> None:
    access = read.of("select lower(email), count(*) from users group by 1 order by 2 limit 3")
    assert [key.canonical for key in access.groups] == ["lower(email)"]
    assert access.order == ()


def test_nearest_first(read: Reader) -> None:
    access = read.of("select 1 from shop.things order by spot <-> $1 limit 5", "things")
    assert [(o.key.canonical, o.nearest) for o in access.order] == [("spot", True)]


def test_columns_used(read: Reader) -> None:
    assert read.of("select id, lower(name) from users where email = $1").columns_used == {"id", "name", "email"}
    assert read.of("select u.* from users u").columns_used is None


def test_writes(read: Reader) -> None:
    update = read.of("update users set email = $1, active = true where lower(name) = $2")
    assert update.write is not None
    assert (update.write.kind, update.write.columns) == (Writing.UPDATE, {"email", "active"})
    assert asked(update) == [("lower(name)", "equal")]
    assert update.is_result
    delete = read.of("delete from orders using users u where orders.user_id = u.id and u.email = $1", "orders")
    assert delete.write is not None
    assert asked(delete) == [("user_id", "equal")]
    insert = read.all(
        "insert into orders (id) select id from users where email = $1 on conflict (id) do update set id = 1"
    )
    orders, users = insert.accesses
    assert orders.write is not None
    assert (orders.write.kind, orders.write.columns) == (Writing.INSERT, {"id"})
    assert asked(users) == [("email", "equal")]


def test_a_merge_looks_its_target_up(read: Reader) -> None:
    sql = (
        "merge into orders o using (values (1)) v(n) on o.user_id = v.n"
        " when matched then update set status = 'x' when not matched then do nothing"
    )
    orders = read.of(sql, "orders")
    assert asked(orders) == [("user_id", "equal")]
    assert orders.write is not None
    assert orders.write.columns == {"status"}


def test_names_are_found_as_a_search_path_would(read: Reader) -> None:
    assert asked(read.of("select 1 from things where label = $1", "things")) == [("label", "equal")]
    assert read.all("select 1 from twice where id = $1").unknown == ("twice",)
    assert asked(read.of("select 1 from b.twice where id = $1", "twice")) == [("id", "equal")]
    assert read.all("select 1 from nowhere where id = $1").unknown == ("nowhere",)
    assert asked(read.of('select 1 from items where "Qty" = $1', "items")) == [('"Qty"', "equal")]


def test_union_arms_are_read_each(read: Reader) -> None:
    sql = "select id from users where email = $1 union all select id from orders where status = $2 order by 1 limit 3"
    assert asked(read.of(sql, "users")) == [("email", "equal")]
    assert asked(read.of(sql, "orders")) == [("status", "equal")]
    assert not read.of(sql, "users").is_result


def test_only_a_lone_unchanged_table_gives_the_statements_rows(read: Reader) -> None:
    assert read.of("select * from users where email = $1").is_result
    for sql in (
        "select count(*) from users where email = $1",
        "select distinct name from users where email = $1",
        "select * from users where email = $1 limit 3",
        "select * from users u join orders o on true where email = $1",
        "select unnest(tags) from users where email = $1",
    ):
        assert not read.of(sql).is_result, sql


def test_policies_are_conditions_of_their_table(read: Reader) -> None:
    access = read.of(
        "select * from orders where status = $1",
        "orders",
        {"orders": "(user_id = auth.uid()) OR (EXISTS ( SELECT 1 FROM users u WHERE ((u.id = orders.user_id))))"},
    )
    assert asked(access) == [("status", "equal")]
    assert access.is_secured
    (group,) = access.alternatives
    assert [p.key.canonical for p in group[0]] == ["user_id"]
    assert group[0][0].by_policy
    simple = read.of("select * from orders", "orders", {"orders": "(user_id = ( SELECT auth.uid() AS uid))"})
    assert asked(simple) == [("user_id", "equal")]


def test_a_policy_that_asks_another_table_brings_that_access_along(read: Reader) -> None:
    found = read.all(
        "select * from items where sku = $1",
        {"items": "EXISTS ( SELECT 1 FROM orders o WHERE ((o.id = items.order_id) AND (o.user_id = auth.uid())))"},
    )
    orders = next(a for a in found.accesses if read.name(a) == "orders")
    items = next(a for a in found.accesses if read.name(a) == "items")
    assert asked(orders) == [("id", "equal"), ("user_id", "equal")]
    assert asked(items) == [("?", "other"), ("sku", "equal")]  # a policy's subselect is never made a join


ODD = (
    "values (1), (2)",
    "table users",
    "select",
    "select 1 where exists (select)",
    "select * from users u(a, b) where a = 1",
    "select u from users u where u = u",
    "select (u).email, u.*::text from users u where (u).email = $1",
    "select count(*) filter (where active), percentile_cont(0.5) within group (order by id) from users",
    "select a, b from (values (1, 2)) v(a, b) join users on users.id = v.a",
    "select * from users tablesample system (10) where email = $1",
    "select * from generate_series(1, 3) with ordinality g(i, n), users where id = g.i",
    "select * from rows from (unnest($1::int[]), unnest($2::int[])) as x(a, b) join users on id = x.a",
    "select email, sum(id) over (partition by name order by id rows between 1 preceding and current row) from users",
    "select name, grouping(name) from users group by grouping sets ((name), (email), ())",
    "select * from users where (id, email) in (select id, status from orders)",
    "select * from users where (id, email) = ($1, $2) or row(id, email) > row($1, $2)",
    "select * from users where (select email from users u2 where u2.id = users.id) = $1",
    "select * from users where id = all (select user_id from orders) and not (id in (select 1)) and id > some ($1)",
    "select * from users natural join orders cross join items",
    "select * from (users join orders using (id)) j where j.id = $1",
    "select * from (select * from users union select * from users) x where x.id = 1",
    "select * from users where data->'a'->>'b' = $1 and data #>> '{a,b}' = $2 and data['a'] = '1' and tags[1] = 'x'",
    "select * from users where created_at at time zone 'utc' > $1 and (created_at, created_at) overlaps ($1, $2)",
    "select * from users where case when active then id end = 1 and coalesce(id, 0) = 1 and nullif(id, 1) is null",
    "select * from users where email collate \"C\" like 'a%' and email similar to 'a' and email ~* $1 and name ^@ 'b'",
    "select * from users where xmlexists('//a' passing by ref $1) or data is json or id between symmetric 1 and 2",
    "select * from users where id is not distinct from $1 and active is not unknown and id in (1, (select 2))",
    "select * from json_table($1, '$[*]' columns (a int path '$.a')) t join users on users.id = t.a",
    "select * from xmltable('/a' passing $1 columns b int) x join users on users.id = x.b",
    "update users set (email, name) = (select status, status from orders o where o.user_id = users.id) where id = 1",
    "update users u set name = o.status from orders o join items i on i.order_id = o.id where o.user_id = u.id",
    "update users set name = 'x' where current of c",
    "insert into users default values returning *",
    "insert into users (id) values ((select max(id) from orders)) on conflict do nothing",
    "insert into nowhere select * from nowhere_else",
    "delete from users where ctid = any (array(select ctid from users limit 10))",
    "with a as (delete from orders where status = $1 returning user_id) select 1 from users join a on id = a.user_id",
    "with recursive t(n) as (values (1) union all select n + 1 from t where n < 9) select 1 from t, users where id = n",
    "with users as (select 1 as id) select * from users where id = 1",
    "merge into users u using orders o on u.id = o.user_id when matched and o.total > 1 then delete",
    "merge into users using (select 1) s on true when not matched then insert values (1)",
    "select distinct on (name) * from users order by name, created_at desc",
    "select * from users order by random() limit 1",
    "select * from users order by email using >",
    "select * from users order by 99, nosuch limit all offset 5 rows",
    "select * from users order by id fetch first 3 rows with ties",
    "select * from users for update skip locked",
    "select nosuch, u.nosuch, x.y.z, a.b.c.d from users u where nosuch = 1 and u.nosuch = 2 and x.y.z = 3",
    "select * from users u1, users u2 where email = $1",
    "select * from only users where id = cast($1 as bigint)",
    "declare c cursor for select * from users where email = $1",
    "explain analyze select * from users where email = $1",
    "create table copy as select * from users where email = $1",
    "copy (select * from users where email = $1) to stdout",
    "create materialized view v as select * from users",
    "vacuum users",
    "select * from users where email = $1::text::varchar(20) and $1 <@ tags and array[$1] <@ tags and tags = $2",
)


@pytest.mark.parametrize("sql", ODD)
def test_whatever_the_grammar_allows_is_walked(read: Reader, sql: str) -> None:
    found = read.all(sql)
    policies = {"users": "id in (select user_id from orders) or (select active from users u where u.id = users.id)"}
    secured = read.all(sql, policies)
    assert len({access.number for access in secured.accesses}) == len(secured.accesses) >= len(found.accesses)
