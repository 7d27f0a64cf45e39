"""Explaining harms nothing: what is refused, as whom it plans, and what it leaves behind; on every major."""

from __future__ import annotations

import psycopg
import pytest
from tests.fix.server import FreshDatabase

from pgrunbook.errors import Refused, RunbookError, ServerError, Unsupported, UsageError
from pgrunbook.journey.advise.queries.advisor import Wish, explain
from pgrunbook.model.explanation import Explanation

MADE = (
    "create extension pg_stat_statements",
    "create table item (id int primary key, kind text not null, at date not null)",
    "insert into item select i, 'k' || i % 9, date '2024-01-01' + i % 90 from generate_series(1, 5000) i",
    "create table spy (who text)",
    (
        "create function peek() returns text volatile language plpgsql as"
        " $$ begin insert into spy values (current_user); return 'k1'; end $$"
    ),
    ("create function lie() returns text immutable language plpgsql as $$ begin return peek(); end $$"),
    "create view hiding as select i.*, peek() as p from item i",
    "vacuum analyze item",
)


def asked(dsn: str, text: str, **wish: object) -> Explanation:
    return explain(dsn, Wish(text=text, **wish))  # type: ignore[arg-type]  # names of fields


def refused(dsn: str, text: str, **wish: object) -> RunbookError:
    with pytest.raises(RunbookError) as caught:
        asked(dsn, text, **wish)
    return caught.value


def test_plans_are_read_as_somebody_who_may_do_little_and_leave_nothing(pg: FreshDatabase) -> None:
    pg.execute(*MADE)
    found = asked(pg.dsn, "select * from item where kind = $1 and at > $2 limit $3")
    assert found.plan.is_generic
    assert found.plan.role == "pg_read_all_data"
    assert found.plan.nodes[-1].relation == "public.item"
    assert "$1" in found.plan.nodes[-1].filter
    ran = asked(pg.dsn, "select kind, count(*) from item where at = date '2024-01-05' group by kind", analyze=True)
    (scan,) = [node for node in ran.plan.nodes if node.relation]
    assert scan.actual is not None
    assert scan.blocks is not None
    assert (scan.actual.total_rows, scan.actual.filter_removed_rows) == (56, 4944)
    assert scan.blocks.shared > 0
    assert ran.plan.execution_ms is not None
    superuser = asked(pg.dsn, "update item set kind = 'x' where id = 1", as_superuser=True)
    assert superuser.plan.root.kind == "ModifyTable"
    role = pg.role("clerk")
    pg.execute("grant select on item to clerk")
    assert asked(pg.dsn, "select * from item", role=role).plan.role == "clerk"
    assert asked(pg.dsn_as(role), "select * from item").as_whom == "clerk"
    _refusals(pg, role)
    with pg.connect() as conn:
        assert conn.execute("select count(*) from spy").fetchone() == (0,)
        assert conn.execute("select count(*) from item where kind = 'x'").fetchone() == (0,)
        left = conn.execute(
            "select count(*) from pg_stat_activity where application_name like 'pgrunbook%' and pid <> pg_backend_pid()"
        ).fetchone()
        assert left is not None
        assert left[0] == 0


def _refusals(pg: FreshDatabase, role: str) -> None:
    for text, kind in (
        ("insert into item values (0, 'x', now())", Refused),
        ("with gone as (delete from item returning *) select * from gone", Refused),
        ("select * from item for share", Refused),
        ("select peek()", Refused),
        ("select id, p from hiding", Refused),  # the view calls it
        ("select pg_catalog.pg_notify('a', 'b')", Refused),
        ("select * from item where id = $1", UsageError),
        ("select count(*) from item where kind = lie() or 1 / (id - id) = 1", RunbookError),
    ):
        assert isinstance(refused(pg.dsn, text, analyze=True), kind), text
    # what a view calls belongs to the statement: nothing is said otherwise, and nothing run for its rows
    assert asked(pg.dsn, "select id, p from hiding where id = $1", compare=True).rewrites == ()
    looked = asked(pg.dsn, "select id, p from hiding where at::date = '2024-01-05'", compare=True)
    assert all(one.comparison is None and "peek" in one.not_compared for one in looked.rewrites)
    assert "batch_for_lookup" in {one.name for one in asked(pg.dsn, "select id from item where id = $1").rewrites}
    assert refused(pg.dsn, "select * from item where kind = lie()").exit_code in {3, 4}  # evaluated while planning
    for text in (
        "",
        "-- nothing",
        "selec 1",
        "select 1; drop table item",
        "vacuum item",
        "create table x (i int)",
        "explain select 1",
        "select * into y from item",
        "select * from nowhere",
        "select nothing from item",
        "select * from item where kind = 'a' + 1",
        "select $1",
    ):
        error = refused(pg.dsn, text) if text != "select $1" else None
        assert error is None or (error.exit_code, "\n" in error.message) == (64, False), text
    assert isinstance(refused(pg.dsn, "select * from item", role="nobody"), UsageError)
    assert isinstance(refused(pg.dsn, "select * from item", role="postgres"), Refused)
    assert isinstance(refused(pg.dsn_as(role), "select * from spy"), Unsupported)
    assert isinstance(refused(pg.dsn_as(role), "select 1", as_superuser=True), UsageError)
    assert isinstance(refused(pg.dsn_as(role), "select 1", role="pg_monitor"), Refused)
    with pytest.raises(UsageError, match="no statement with queryid"):
        explain(pg.dsn, Wish(queryid=17))


@pytest.mark.pg(">= 18")
def test_a_counted_statement_is_explained_as_its_role_with_its_counters(pg: FreshDatabase) -> None:
    pg.execute(*MADE)
    pg.role("clerk")
    pg.execute("create schema own authorization clerk", "grant usage on schema public to clerk")
    pg.execute("create table own.item2 as select * from item", "alter table own.item2 owner to clerk")
    pg.execute("alter role clerk set search_path = own")
    with pg.connect_as("clerk") as conn:
        for number in range(12):
            conn.execute("select * from item2 where kind = %s and at >= date '2024-01-02'", (f"k{number % 9}",))
    with pg.connect() as conn:
        row = conn.execute("select queryid from pg_stat_statements where query like 'select * from item2%'").fetchone()
    assert row is not None
    found = explain(pg.dsn, Wish(queryid=row[0]))
    assert (found.asked.calls, found.asked.role, found.plan.role) == (12, "clerk", "clerk")
    assert found.plan.root.relation == "own.item2"
    assert found.plan.is_generic


@pytest.mark.pg(">= 18")
def test_a_locked_table_and_a_slow_statement_end_with_one_message(pg: FreshDatabase) -> None:
    pg.execute(*MADE)
    holder = pg.connect(autocommit=False)
    holder.execute("lock table item in access exclusive mode")
    error = refused(pg.dsn, "select * from item")
    assert isinstance(error, ServerError)
    assert "locked" in error.message
    holder.rollback()
    slow = "select count(*) from item a, item b, item c where a.id + b.id + c.id < 0"
    assert "gave up" in refused(pg.dsn, slow, analyze=True, timeout_s=0.3).message
    with psycopg.connect(pg.dsn) as conn:
        conn.execute("select 1")
