"""The planner twin plans as its source does, with indexes that are nowhere built."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import psycopg
import pytest
from tests.fix.server import FreshDatabase

from pgrunbook.errors import Refused
from pgrunbook.journey.planner.engine import CannotPlan
from pgrunbook.journey.planner.twin import Twin, agreement, open_twin
from pgrunbook.journey.planner.twin.agreement import explain_on, shape
from pgrunbook.lab import Pgbouncer
from pgrunbook.pg.connect import connect

SHOP = (
    "create type state as enum ('new', 'paid', 'sent')",
    """create table orders (gone int, id bigserial primary key, customer int not null, state state not null,
    at timestamptz not null, note text, tags text[])""",
    "alter table orders drop column gone",
    """insert into orders (customer, state, at, note, tags)
    select i * 7919 % 500, (array['new','paid','sent','sent'])[1 + i * 31 % 4]::state,
    timestamptz '2024-01-01 00:00Z' + i * interval '1 minute', md5(i::text), array['t' || i % 50, 'all']
    from generate_series(1, 20000) as i""",
    "create index orders_at_idx on orders (at)",
    "create index orders_customer_idx on orders (customer)",
    "create statistics orders_two (ndistinct, dependencies, mcv) on customer, state from orders",
    "create statistics orders_lower on lower(note) from orders",
    "create table parts (id int not null, day date not null, n int) partition by range (day)",
    "create table parts_1 partition of parts for values from ('2024-01-01') to ('2024-07-01')",
    "create table parts_2 partition of parts for values from ('2024-07-01') to ('2025-01-01')",
    "insert into parts select i, date '2024-01-01' + i % 366, i % 100 from generate_series(1, 10000) as i",
    "create table secret (id int primary key, owner text not null, body text)",
    "insert into secret select i, 'user' || i % 100, repeat('x', 100) from generate_series(1, 5000) as i",
    "alter table secret enable row level security",
    "create policy own on secret using (owner = current_user)",
    "vacuum analyze",
)
QUERIES = (
    "select * from orders where customer = 42",
    "select * from orders where customer = 42 and state = 'new'",
    "select count(*) from orders where at > timestamptz '2024-01-14 00:00Z'",
    "select customer, count(*) from orders group by customer, state",
    "select * from orders where lower(note) = 'abc'",
    "select * from orders order by at desc limit 10",
    "select o.* from orders as o join parts as p on p.id = o.id where p.day = '2024-03-01'",
    "select * from parts where n = 5",
    "select * from orders where customer = $1 limit $2",
    "update orders set note = 'x' where id = 5",
)
TRIED = (
    ("create index on orders (customer, state)", "select * from orders where customer = 42 and state = 'new'"),
    ("create index on orders (lower(note))", "select * from orders where lower(note) = 'abc'"),
    ("create index on orders (at) where state = 'new'", "select * from orders where state = 'new' order by at limit 5"),
    ("create index on orders using gin (tags)", "select * from orders where tags @> array['t7']"),
    ("create index on orders using brin (at)", "select sum(id) from orders where at < timestamptz '2024-01-02 00:00Z'"),
    ("create index on orders using hash (note)", "select * from orders where note = 'abc'"),
    ("create index on parts (n)", "select * from parts where n = 5"),
    ("create index on orders (note, id)", "select count(*) from orders where note > 'z'"),
    ("create index on orders (id desc, note)", "select * from orders where id < 0"),
    ("create index on parts (day)", "select * from parts where day > '2030-01-01' or day < '2000-01-01'"),
    ("create unique index on orders (id) include (customer)", "select id, customer from orders where id < 100"),
)


def make_shop(pg: FreshDatabase) -> None:
    pg.execute(*SHOP)


@pytest.fixture
def twin(pg: FreshDatabase) -> Iterator[Twin]:
    make_shop(pg)
    with connect(pg.dsn, station="test") as source, open_twin(source) as made:
        yield made


def real_plan(pg: FreshDatabase, statement: str, query: str) -> tuple[Any, float, dict[str, str]]:
    """The plan with the index really built, which is dropped again."""
    with psycopg.connect(pg.dsn, autocommit=True) as conn:
        before = {row[0] for row in conn.execute("select indexrelid::regclass::text from pg_index")}
        conn.execute(statement)
        conn.execute("analyze orders" if "orders" in statement else "analyze parts")
        made = [
            row[0] for row in conn.execute("select indexrelid::regclass::text from pg_index") if row[0] not in before
        ]
        with connect(pg.dsn, station="test") as source:
            plan = explain_on(source, query)
        conn.execute(f"drop index {', '.join(n for n in made if not n.startswith(('parts_1', 'parts_2')))}")
    return plan.plan, plan.cost, dict.fromkeys(made, "tried")


@pytest.mark.pg(">= 14")
def test_the_twin_of_every_major_plans_as_its_source_and_as_with_the_real_index(pg: FreshDatabase) -> None:
    make_shop(pg)
    with connect(pg.dsn, station="test") as source, open_twin(source) as twin:
        agreed = agreement(source, twin, QUERIES)
        assert agreed.refused == ()
        differing = [one for one in agreed.compared if not one.is_same_plan]
        assert len(differing) <= (0 if pg.major >= 17 else 1), differing
        assert agreed.median_cost_error_ratio == pytest.approx(0, abs=0.01)
        assert [blind for blind in twin.blind if blind.object != "public.secret"] == []
        tried = []
        for statement, query in TRIED:
            with twin.trying([statement]) as trial:
                (index,) = trial.indexes
                assert index.refused is None, index
                assert index.size_bytes >= 8192
                tried.append((statement, query, trial.explain(query)))
    existing = {"orders_pkey", "orders_at_idx", "orders_customer_idx", "secret_pkey"}
    for statement, query, found in tried:
        plan, cost, names = real_plan(pg, statement, query)
        ours = dict.fromkeys(found.used - existing, "tried")
        assert shape(found.plan, ours) == shape(plan, names), (statement, found.plan, plan)
        assert found.cost == pytest.approx(cost, rel=0.25), statement


@pytest.mark.pg("== 18")
def test_an_existing_index_is_left_out_and_comes_back(twin: Twin) -> None:
    query = "select * from orders where id = 7"
    with twin.trying(dropped=["public.orders_pkey"]) as trial:
        assert trial.explain(query).used == frozenset()
    with twin.trying() as trial:
        assert trial.explain(query).used == {"orders_pkey"}


@pytest.mark.pg("== 18")
def test_what_cannot_be_tried_or_planned_is_refused_with_its_reason_and_the_rest_goes_on(twin: Twin) -> None:
    wrong = ["drop table orders", "create index on nowhere (x)", "create index on orders (nothing)"]
    with twin.trying([*wrong, "create index concurrently named on orders (note);"]) as trial:
        assert ["CREATE INDEX" in (one.refused or "") for one in trial.indexes] == [True, False, False, False]
        assert [one.refused is None for one in trial.indexes] == [False, False, False, True]
        for query in ("select * from nowhere", "select 1; drop table orders", "not sql", "drop table orders", ""):
            with pytest.raises(CannotPlan):
                trial.explain(query)
        assert trial.explain("select * from orders where note = 'x'").used == {"orders_note_idx"}
    with pytest.raises(CannotPlan, match="nowhere"), twin.trying(dropped=["public.nowhere"]):
        pass


@pytest.mark.pg("== 18")
def test_two_statements_in_an_index_definition_do_nothing(twin: Twin) -> None:
    with twin.trying(["create index on orders (note); drop table parts"]) as trial:
        assert "multiple commands" in (trial.indexes[0].refused or "")
        assert trial.explain("select * from parts").cost > 0


@pytest.mark.pg("== 18")
def test_policies_count_for_a_role_and_settings_for_a_query(pg: FreshDatabase) -> None:
    pg.role("reader")
    make_shop(pg)
    pg.execute("grant select on secret to reader")
    with connect(pg.dsn, station="test") as source, open_twin(source) as twin, twin.trying() as trial:
        query = "select * from secret"
        assert "Filter" in trial.explain(query, role="reader").plan
        assert "Filter" not in trial.explain(query).plan
        assert "Filter" not in trial.explain(query, role="postgres").plan  # who is no superuser on the twin
        forced = trial.explain("select * from orders where customer = 42", settings={"enable_bitmapscan": "off"})
        assert forced.plan["Node Type"] == "Index Scan"
        with pytest.raises(CannotPlan, match="permission denied"):
            trial.explain("select * from orders", role="reader")


@pytest.mark.pg("== 18")
def test_a_role_with_few_rights_gets_a_twin_that_says_what_it_does_not_know(pg: FreshDatabase) -> None:
    make_shop(pg)
    pg.role("few")
    pg.execute("grant select on orders to few")
    with connect(pg.dsn_as("few"), station="test") as source, open_twin(source) as twin:
        assert {blind.object for blind in twin.blind} >= {"public.secret", "public.parts", "public.orders_two"}
        with twin.trying(["create index on orders (customer, at)"]) as trial:
            assert trial.explain("select * from orders where customer = 3 order by at limit 1").used == {
                "orders_customer_at_idx"
            }


@pytest.mark.pg("== 18")
def test_functions_of_the_source_have_no_powers_on_this_machine(pg: FreshDatabase) -> None:
    pg.execute(
        """create function deed() returns void language plpgsql volatile security definer as
        $$begin copy (select 1) to program 'true'; end$$""",
        """create function evil(i int) returns int language plpgsql immutable security definer as
        $$begin perform deed(); return i; end$$""",
        "create table t (i int)",
    )
    tried = ["create index on t (evil(7))", "create index on t ((i + evil(1)))"]
    with (
        connect(pg.dsn, station="test") as source,
        open_twin(source) as twin,
        twin.trying(tried) as trial,
        pytest.raises(CannotPlan, match="permission denied to COPY"),
    ):
        trial.explain("select * from t where i = evil(3)")


@pytest.mark.pg("== 18")
def test_nothing_is_written_to_the_source_and_nothing_stays_when_the_twin_is_closed(pg: FreshDatabase) -> None:
    make_shop(pg)
    with connect(pg.dsn, station="test") as source:
        twin = open_twin(source)
        place = twin.built.copy.cluster.home.path
        with twin.trying(["create index on orders (note)"]):
            pass
        twin.close()
        assert not place.exists()
    with psycopg.connect(pg.dsn) as conn:
        row = conn.execute("select count(*) from pg_class where relname = 'orders_note_idx'").fetchone()
    assert row == (0,)


@pytest.mark.pg("== 18")
def test_a_sample_of_rows_serves_expressions_over_several_columns(pg: FreshDatabase) -> None:
    make_shop(pg)
    query = "select * from orders where customer + id % 2 = 7"
    statement = ["create index on orders ((customer + id % 2))"]
    with connect(pg.dsn, station="test") as source:
        with open_twin(source, read_rows=True) as twin, twin.trying(statement) as trial:
            assert 20 <= trial.explain(query).rows <= 80
        with open_twin(source) as twin, twin.trying(statement) as trial:
            assert trial.explain(query).rows == 100  # the planner's guess: half a per cent


def test_a_pooler_is_refused(pgbouncer: Pgbouncer, server18: FreshDatabase) -> None:
    with (
        connect(pgbouncer.dsn(server18.name), station="test") as source,
        pytest.raises(Refused, match="pooler"),
        open_twin(source),
    ):
        pass
