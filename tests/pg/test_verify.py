"""Does the verifier see what a step did: under a small real load, without any, and when it must not be believed."""

from __future__ import annotations

import contextlib
import threading
from collections.abc import Iterator, Sequence

import psycopg
import pytest
from tests.fix.server import FreshDatabase

from pgrunbook.journey.observe.observer import Observer
from pgrunbook.journey.steps import Step, spec_of
from pgrunbook.journey.steps.create_index import CreateIndex
from pgrunbook.journey.steps.drop_index import DropIndex
from pgrunbook.journey.steps.replace_policy import ReplacePolicy
from pgrunbook.journey.steps.runner import run_step
from pgrunbook.journey.steps.set_autovacuum import SetAutovacuum
from pgrunbook.journey.verify import QueryVerifier
from pgrunbook.journey.verify.estimate import Estimator, NoEstimate
from pgrunbook.journey.verify.window import Patience
from pgrunbook.model.plan import Judgement, MeasuredQuery, PlannedStep
from pgrunbook.pg.connect import connect
from pgrunbook.pg.parse import Parser

QUICK = Patience(min_window_s=0.5, idle_s=0.75, max_wait_s=20.0, settle_s=5.0)
BY_CUSTOMER = "select sum(amount) from orders where customer_id = %s"
BY_AMOUNT = "select count(*) from orders where amount >= %s"
USEFUL = CreateIndex(schema="public", table="orders", keys=("customer_id",))
USELESS = CreateIndex(schema="public", table="orders", keys=("id", "note"))


@pytest.fixture
def shop(pg: FreshDatabase) -> FreshDatabase:
    pg.execute(
        "create extension pg_stat_statements",
        "create table orders (id int primary key, customer_id int, amount int, note text)",
        "insert into orders select g, g % 500, g % 7, 'note' from generate_series(1, 20000) as g",
        "analyze orders",
        "select pg_stat_statements_reset()",
    )
    return pg


@contextlib.contextmanager
def load(pg: FreshDatabase, *queries: str, role: str = "postgres") -> Iterator[None]:
    """One client that calls the queries in turn until told to stop."""
    over = threading.Event()
    begun = threading.Event()

    def call() -> None:
        with psycopg.connect(pg.dsn_as(role), autocommit=True) as conn:
            number = 0
            while not over.wait(0.002):
                for query in queries:
                    conn.execute(query, [number % 500])
                number += 1
                if number == 3:
                    begun.set()

    caller = threading.Thread(target=call)
    caller.start()
    try:
        assert begun.wait(30)
        yield
    finally:
        over.set()
        caller.join()


def named(pg: FreshDatabase, part: str) -> tuple[MeasuredQuery, ...]:
    rows = pg.connect().execute(
        "select queryid, query from pg_stat_statements where query like %(part)s"
        " and dbid = (select oid from pg_database where datname = current_database())"
        " and query like 'select%%from orders%%'",
        {"part": f"%{part}%"},
    )
    return tuple(MeasuredQuery(text=text, queryid=queryid) for queryid, text in rows.fetchall())


def proven(pg: FreshDatabase, step: Step, queries: Sequence[MeasuredQuery] = ()) -> Judgement:
    """Measure, do, measure, judge: as acting does."""
    planned = PlannedStep(step=spec_of(step), queries=tuple(queries))
    verifier = QueryVerifier(patience=QUICK)
    with connect(pg.dsn, station="act") as conn:
        before = verifier.measure(conn, planned)
        run_step(step, conn, Observer(conn).server)
        after = verifier.measure(conn, planned)
        assert conn.info.transaction_status == psycopg.pq.TransactionStatus.IDLE
        assert conn.execute("select count(*) from pg_prepared_statements").fetchone() == (0,)
    return verifier.judge(planned, before, after)


def test_a_useful_index_is_measured_to_have_improved(shop: FreshDatabase) -> None:
    with load(shop, BY_CUSTOMER):
        judgement = proven(shop, USEFUL, named(shop, "customer_id ="))
    assert judgement.improved is True
    assert judgement.figures["basis"] == "measured"
    assert judgement.figures["gain_ratio"] > 0.5
    assert min(judgement.figures["calls_before"] + judgement.figures["calls_after"]) >= 5
    assert judgement.figures["blocks_per_call_after"][0] < judgement.figures["blocks_per_call_before"][0]


def test_a_useful_index_is_estimated_to_improve_without_load(shop: FreshDatabase) -> None:
    shop.execute(BY_CUSTOMER.replace("%s", "7"))
    judgement = proven(shop, USEFUL, named(shop, "customer_id ="))
    assert judgement.improved is True
    assert judgement.figures["basis"] == "estimated"
    assert judgement.reason.startswith("estimated: the planner's cost fell")


@pytest.mark.pg("== 18")
def test_a_useless_index_has_not_improved_under_load_or_without(shop: FreshDatabase) -> None:
    with load(shop, BY_AMOUNT):
        queries = named(shop, "amount >=")
        measured = proven(shop, USELESS, queries)
    assert (measured.improved, measured.figures["basis"]) == (False, "measured")
    shop.execute("drop index orders_id_note_idx")
    estimated = proven(shop, USELESS, queries)
    assert (estimated.improved, estimated.figures["basis"]) == (False, "estimated")


@pytest.mark.pg("== 18")
def test_without_named_queries_all_that_touch_the_table_count(shop: FreshDatabase) -> None:
    with load(shop, BY_CUSTOMER, "select %s::int"):
        judgement = proven(shop, USEFUL)
    assert judgement.improved is True
    assert judgement.figures["queryids"] == tuple(query.queryid for query in named(shop, "customer_id ="))


@pytest.mark.pg("== 18")
@pytest.mark.parametrize("keys, verdict", [("customer_id", "worse"), ("amount", "unchanged")])
def test_a_dropped_index_must_not_make_a_query_dearer(shop: FreshDatabase, keys: str, verdict: str) -> None:
    definition = f"CREATE INDEX orders_gone ON public.orders USING btree ({keys})"
    shop.execute(definition, BY_CUSTOMER.replace("%s", "7"))
    judgement = proven(shop, DropIndex(schema="public", name="orders_gone", definition=definition))
    assert judgement.figures["verdict"] == verdict
    assert judgement.figures["basis"] == "estimated"
    assert judgement.improved is (False if verdict == "worse" else None)


@pytest.mark.pg("== 18")
def test_a_reset_within_the_window_leaves_it_unverified(shop: FreshDatabase) -> None:
    """The queries cannot be explained either: their text is gone."""
    over = threading.Event()

    def reset() -> None:
        with psycopg.connect(shop.dsn, autocommit=True) as conn:
            while not over.wait(0.1):
                conn.execute("select pg_stat_statements_reset()")

    with load(shop, BY_CUSTOMER):
        (query,) = named(shop, "customer_id =")
        resetting = threading.Thread(target=reset)
        resetting.start()
        try:
            judgement = proven(shop, USEFUL, [MeasuredQuery(text="<hidden>", queryid=query.queryid)])
        finally:
            over.set()
            resetting.join()
    assert judgement.improved is None
    assert judgement.reason.startswith("unverified: ")
    assert "was reset" in judgement.reason


@pytest.mark.pg("== 18")
def test_without_pg_stat_statements_named_queries_are_still_estimated(pg: FreshDatabase) -> None:
    pg.execute(
        "create table orders (id int primary key, customer_id int)",
        "insert into orders select g, g % 500 from generate_series(1, 20000) as g",
        "analyze orders",
    )
    query = MeasuredQuery(text="select * from orders where customer_id = $1")
    assert proven(pg, CreateIndex(schema="public", table="orders", keys=("customer_id",)), [query]).improved is True
    judgement = proven(pg, CreateIndex(schema="public", table="orders", keys=("id", "customer_id")))
    assert judgement.improved is None
    assert "pg_stat_statements is not installed" in judgement.reason


@pytest.fixture
def shared(pg: FreshDatabase) -> FreshDatabase:
    pg.role("anon")
    pg.execute(
        "create extension pg_stat_statements",
        "create function caller() returns int language plpgsql stable cost 1000 as 'begin return 7; end'",
        "create table orders (id int primary key, customer_id int)",
        "insert into orders select g, g % 500 from generate_series(1, 20000) as g",
        "alter table orders enable row level security",
        "create policy own on orders for select to anon using (customer_id = public.caller())",
        "grant select on orders to anon",
        "analyze orders",
    )
    return pg


POLICY = ReplacePolicy(schema="public", table="orders", name="own", using="(customer_id = (select public.caller()))")


@pytest.mark.pg("== 18")
def test_a_policy_that_asks_once_is_measured_to_have_improved(shared: FreshDatabase) -> None:
    with load(shared, "select count(*) from orders where id > %s", role="anon"):
        judgement = proven(shared, POLICY)
    assert judgement.improved is True
    assert judgement.figures["basis"] == "measured"
    assert judgement.figures["metric"] == "time per call"


def test_a_policy_is_estimated_as_the_role_that_it_binds(shared: FreshDatabase) -> None:
    query = MeasuredQuery(text="select count(*) from orders where id > $1", role="anon")
    judgement = proven(shared, POLICY, [query])
    assert (judgement.improved, judgement.figures["basis"]) == (True, "estimated")


@pytest.mark.pg("== 18")
def test_steps_that_owe_nothing_to_queries_are_not_measured(shop: FreshDatabase) -> None:
    step = SetAutovacuum(schema="public", table="orders")
    planned = PlannedStep(step=spec_of(step))
    verifier = QueryVerifier(patience=QUICK)
    with connect(shop.dsn, station="act") as conn:
        assert verifier.measure(conn, planned) == {}
    assert verifier.judge(planned, {}, {}).improved is None


def estimate(pg: FreshDatabase, text: str, role: str | None = None) -> float:
    with connect(pg.dsn, station="test") as conn, Parser() as parser:
        conn.execute("set search_path = pg_catalog")
        estimator = Estimator(conn, parser, schema="public")
        try:
            return estimator.cost(MeasuredQuery(text=text, role=role), as_role=False)
        finally:
            assert conn.execute("show search_path").fetchone() == ("pg_catalog",)
            assert conn.execute("select count(*) from pg_prepared_statements").fetchone() == (0,)


def test_normalised_texts_are_estimated_whatever_was_left_of_their_constants(shop: FreshDatabase) -> None:
    shop.execute("create table events (at timestamptz, day date)")
    for text in (
        "select * from orders where customer_id = $1 limit $2",
        "select * from events where at > now() - interval $1 and day = date $2",
        "update orders set note = $1 where id = $2",
        "insert into orders values ($1, $2, $3, $4)",
        "with x as (delete from orders where id = $1 returning *) select * from x",
        "select 100 %% 7 as percent, '%s' as format from orders".replace("%%", "%"),
    ):
        assert estimate(shop, text) > 0, text


@pytest.mark.pg("== 18")
def test_estimating_neither_writes_nor_runs_a_second_statement(shop: FreshDatabase) -> None:
    for text in (
        "select 1; drop table orders",
        "drop table orders",
        "commit",
        "select 1 from nowhere",
        "select $1 is null",
        "select '",
    ):
        with pytest.raises(NoEstimate):
            estimate(shop, text)
    assert estimate(shop, "delete from orders") > 0
    assert shop.connect().execute("select count(*) from orders").fetchone() == (20000,)


@pytest.mark.pg("== 18")
def test_the_search_path_of_the_role_is_used(shop: FreshDatabase) -> None:
    role = shop.role("app")
    shop.execute(
        'create schema "my app"',
        'create table "my app".things (id int)',
        'grant usage on schema "my app" to app',
        'grant select on "my app".things to app',
        'alter role app set search_path = "my app"',
    )
    assert estimate(shop, "select * from things where id = $1", role=role) > 0
    with pytest.raises(NoEstimate, match="does not exist"):
        estimate(shop, "select * from things where id = $1")
