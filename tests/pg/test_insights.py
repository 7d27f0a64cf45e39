"""What a plan shows, with evidence and a cure: each thing on data made for it, and silence on a healthy plan."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import psycopg
import pytest
from tests.fix.server import FreshDatabase, Servers, installed, unavailable

from pgrunbook.journey.advise.queries.advisor import Wish, explain
from pgrunbook.model.explanation import Explanation, Insight
from pgrunbook.pg.parse import Parser

MADE = """
create table car (id int primary key, maker text not null, model text not null, color text not null,
  word text not null);
insert into car select i, 'm' || i % 50, 'x' || i % 100, 'c' || (hashint4(i) & 7), md5(i::text)
from generate_series(1, 40000) i;
create table trip (id int primary key, car_id int not null, at timestamp not null, state text not null, note text);
insert into trip select i, 1 + hashint4(i) & 16383, timestamp '2024-01-01' + i * interval '1 minute',
  case when i % 1000 = 0 then 'lost' else 'home' end, repeat('n', 100) from generate_series(1, 60000) i;
create index trip_at on trip (at);
create table unlooked (id int, v int) with (autovacuum_enabled = off);
insert into unlooked select i, i % 10 from generate_series(1, 20000) i;
create table grown (id int, v int) with (autovacuum_enabled = off);
insert into grown select i, 1 from generate_series(1, 100) i;
analyze grown;
"""


class Garage:
    def __init__(self, database: FreshDatabase, parser: Parser) -> None:
        self.database = database
        self._parser = parser

    def explained(self, text: str, *, analyze: bool = True, **settings: str) -> Explanation:
        options = " ".join(f"-c {name}={value}" for name, value in settings.items())
        dsn = self.database.cluster.dsn(self.database.name, options=options or "-c jit=off")
        return explain(dsn, Wish(text=text, analyze=analyze), parser=self._parser)

    def insights(self, text: str, **wish: Any) -> dict[str, Insight]:
        return {one.name: one for one in self.explained(text, **wish).insights}


@pytest.fixture(scope="module")
def garage(servers: Servers) -> Iterator[Garage]:
    if 18 not in installed():
        unavailable("PostgreSQL 18 is not installed")
    with servers.fresh_database(18) as database:
        database.execute(MADE, "vacuum analyze car, trip")
        with psycopg.connect(database.dsn, autocommit=True) as conn:
            conn.execute("insert into grown select i, i from generate_series(1, 30000) i")
        with Parser() as parser:
            yield Garage(database, parser)


def test_columns_that_depend_on_each_other_get_the_statistics_that_mend_it(garage: Garage) -> None:
    text = "select * from car where maker = 'm7' and model = 'x57'"
    one = garage.insights(text)["misestimate"]
    assert one.evidence["rows_actual"] == 400
    assert "maker, model" in one.detail
    assert "independent" in one.detail
    (cure,) = one.cures
    with psycopg.connect(garage.database.dsn, autocommit=True) as conn:
        for statement in cure.sql.split("\n"):
            conn.execute(statement.encode())
        assert "misestimate" not in garage.insights(text)
        assert cure.undo_sql is not None
        conn.execute(cure.undo_sql.encode())


def test_a_scan_that_an_index_would_spare_names_it(garage: Garage) -> None:
    text = "select * from trip where state = 'lost' order by at limit 50"
    one = garage.insights("select * from trip where state = 'lost'")["slow_scan"]
    assert (one.evidence["rows_read"], one.evidence["rows_kept"]) == (60000, 60)
    assert "(state)" in one.cures[0].sql
    walked = garage.insights(text, enable_seqscan="off", enable_bitmapscan="off")["inefficient_index"]
    assert walked.evidence["index"] == "trip_at"
    assert "(state, at)" in walked.cures[0].sql
    planned = garage.insights("select * from trip where state = 'lost'", analyze=False)["slow_scan"]
    assert planned.evidence["rows_read_planned"] == 60000


def test_what_does_not_fit_into_memory_says_how_much_would_do(garage: Garage) -> None:
    text = "select * from trip order by note, at, state"
    one = garage.insights(text, work_mem="1MB")["disk_sort"]
    assert int(str(one.evidence["disk_bytes"])) > 1_000_000
    needed = str(one.cures[0].sql.split("'")[1])
    assert "disk_sort" not in garage.insights(text, work_mem=needed)
    assert "disk_sort" in garage.insights(text, work_mem="1MB", analyze=False)
    hashed = "select c.word, t.id from car c join trip t on t.car_id = c.id"
    spilled = garage.insights(hashed, work_mem="256kB", enable_mergejoin="off", enable_nestloop="off")["hash_spill"]
    assert int(str(spilled.evidence["batches"])) > 1


def test_statistics_that_are_missing_or_old_are_told(garage: Garage) -> None:
    never = garage.insights("select * from unlooked where v = 3", analyze=False)["stale_statistics"]
    assert "never been analysed" in never.detail
    old = garage.insights("select * from grown where id > 200")
    assert "rows changed since it was analysed" in old["stale_statistics"].detail
    assert old["stale_statistics"].cures[0].sql == "ANALYZE public.grown;"
    assert "misestimate" not in old or "old" in old["misestimate"].detail


def test_loops_that_read_too_much_are_told(garage: Garage) -> None:
    text = "select c.id, t.id from car c join trip t on t.car_id = c.id and t.state = 'lost' where c.color = 'c1'"
    one = garage.insights(
        "select count(*) from (select * from car limit 300) c join unlooked u on u.id = c.id",
        enable_hashjoin="off",
        enable_mergejoin="off",
        enable_material="off",
        enable_memoize="off",
    )["nested_loop_blowup"]
    assert one.evidence["table"] == "public.unlooked"
    assert "(id)" in one.cures[0].sql
    assert "nested_loop_blowup" not in garage.insights(text)
    sub = garage.insights("select c.id, (select count(*) from trip t where t.id = c.id) from car c where c.id < 5000")
    assert sub["subquery_per_row"].evidence["loops"] == 4999


def test_a_large_offset_a_lossy_bitmap_and_a_late_filter_are_told(garage: Garage) -> None:
    paged = garage.explained("select id from trip order by id limit 10 offset 40000")
    assert paged.insights[0].evidence["rows_skipped"] == 40000
    assert paged.rewrites[0].name == "keyset_for_offset"
    assert paged.rewrites[0].before is not None
    assert "large_offset" in garage.insights("select id from trip order by id limit 10 offset 40000", analyze=False)
    lossy = garage.insights(
        "select * from trip where at > '2024-01-01' and note like 'm%'",
        work_mem="64kB",
        enable_seqscan="off",
        enable_indexscan="off",
    )["lossy_bitmap"]
    assert int(str(lossy.evidence["lossy_blocks"])) > 0
    late = garage.insights("select c.id from car c join trip t on t.car_id = c.id where c.word = 'a' or t.note = 'b'")[
        "late_filter"
    ]
    assert int(str(late.evidence["rows_removed"])) > 10_000


def test_compiling_that_costs_more_than_it_brings_is_told(garage: Garage) -> None:
    plan = garage.explained("select count(*) from car where id < 10", jit_above_cost="0", jit_optimize_above_cost="0")
    if plan.plan.jit is None or plan.plan.jit.total_ms < 20:
        pytest.skip("this server has no just-in-time compiler")
    assert "jit_cost" in {one.name for one in plan.insights}


def test_a_healthy_statement_has_nothing_to_mend(garage: Garage) -> None:
    for text in ("select * from car where id = 7", "select color, count(*) from car group by color"):
        found = garage.explained(text)
        assert found.insights == ()
        assert sum(found.plan.share(node) for node in found.plan.nodes) == pytest.approx(1.0, abs=0.05)


def test_what_else_could_be_done_is_said_where_it_applies(garage: Garage) -> None:
    garage.database.execute(
        "create table booking (id int primary key, during daterange not null, code text not null)",
        (
            "insert into booking select i, daterange(date '2024-01-01' + i, date '2024-01-03' + i),"
            " repeat(md5(i::text), 4) from generate_series(1, 5000) i"
        ),
        "analyze booking",
    )

    def notes(text: str) -> set[str]:
        return {note.name for note in garage.explained(text, analyze=False).notes}

    assert notes("select state, count(*) from trip group by state") == {"materialized_view"}
    assert notes("select * from booking where during && daterange('2024-05-01', '2024-05-02')") == {"gist_index"}
    assert notes("select * from booking where code = 'x'") == {"hash_index"}
    garage.database.execute("create index on booking using gist (during)")
    assert notes("select * from booking where during && daterange('2024-05-01', '2024-05-02')") == set()
    assert notes("select * from booking where id = 3") == set()


def test_row_security_is_not_judged_for_somebody_who_is_no_application(garage: Garage) -> None:
    garage.database.execute(
        "create table mine (id int primary key, owner text)",
        "alter table mine enable row level security",
        "create policy own on mine using (owner = current_user)",
    )
    found = garage.explained("select * from mine", analyze=False)
    assert [blind.object for blind in found.blind] == ["public.mine"]
    assert "--role" in found.blind[0].cure


def test_a_table_that_is_sorted_for_its_first_rows_gets_the_order_as_an_index(garage: Garage) -> None:
    one = garage.insights("select * from car order by word limit 10")["sort_for_limit"]
    assert (one.evidence["rows_sorted"], one.evidence["rows_wanted"]) == (40000, 10)
    assert "(word)" in one.cures[0].sql
    assert "sort_for_limit" not in garage.insights("select * from trip order by at limit 10")
