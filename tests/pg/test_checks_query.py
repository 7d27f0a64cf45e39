"""The query checks on real servers: healthy, silent; fault made, found; mended, silent; without rights, blind.

The statements run as in an application; the counters are reset where the story begins anew.
"""

from __future__ import annotations

import contextlib
import threading
from collections.abc import Iterator
from dataclasses import dataclass, replace
from pathlib import Path

import psycopg
import pytest
from tests.fix.server import FreshDatabase
from tests.fix.story import ask, objects, the_finding, until

from pgrunbook.journey.diagnose.engine import choose, diagnose, judge, questions_of
from pgrunbook.journey.observe import observe
from pgrunbook.journey.observe.statements import STATEMENTS, STATEMENTS_INFO
from pgrunbook.journey.observe.windowed import observe_window, since
from pgrunbook.journey.workload.costs import costs_of
from pgrunbook.model import Finding, Kind, Question, Severity, Unread
from pgrunbook.model.diagnosis import Diagnosis

oldest = pytest.mark.pg("== 14")
newest = pytest.mark.pg("== 18")
OLDEST_AND_NEWEST = "!= 15, != 16, != 17"
both = pytest.mark.pg(OLDEST_AND_NEWEST)

PEOPLE = (
    "create extension pg_stat_statements",
    (
        "create table people (id bigint generated always as identity primary key, email text not null,"
        " name text not null, city int not null, born date not null, created_at timestamptz not null)"
    ),
    (
        "insert into people (email, name, city, born, created_at) select 'P' || i || '@example.org', md5(i::text),"
        " i % 200, date '1950-01-01' + i % 20000, timestamptz '2024-01-01' + i * interval '5 minutes'"
        " from generate_series(1, 20000) i"
    ),
    "create index people_email_idx on people (email)",
    "create index people_created_at_idx on people (created_at)",
    "create index people_city_idx on people (city)",
    "vacuum analyze people",
)
QUERY_CHECKS = (
    "deep_offset",
    "dominant_query",
    "high_planning_time",
    "low_hit_ratio_query",
    "materialized_view_candidate",
    "non_sargable_predicate",
    "repeated_query",
    "row_by_row_insert",
    "slow_query",
    "temp_spill",
    "unbounded_result",
    "wasteful_read",
)


def people(pg: FreshDatabase, *more: str, rows: int = 20_000) -> None:
    pg.execute(*(statement.replace("(1, 20000)", f"(1, {rows})") for statement in PEOPLE), *more)
    forget(pg)


def forget(pg: FreshDatabase) -> None:
    pg.execute("select pg_stat_statements_reset()")


def run(pg: FreshDatabase, query: str, calls: int = 30, *before: str) -> str:
    """Run a statement so many times; return the queryid of the one that was run most often since."""
    with psycopg.connect(pg.dsn, autocommit=True, prepare_threshold=None) as conn:
        for statement in before:
            conn.execute(statement)
        for _ in range(calls):
            conn.execute(query)
        row = conn.execute(
            "select queryid from pg_stat_statements where calls >= %s and query not like 'insert into people%%'"
            " and dbid = (select oid from pg_database where datname = current_database())"
            " order by calls desc limit 1",
            (calls,),
        ).fetchone()
    assert row is not None
    return str(row[0])


def query_family(pg: FreshDatabase) -> Diagnosis:
    return diagnose(pg.dsn, only=["query"])


def warned(diagnosis: Diagnosis) -> list[tuple[str, str]]:
    return [(f.check, f.object) for f in diagnosis.findings if f.severity is not Severity.NOTICE]


def is_query(finding: Finding, queryid: str, severity: Severity = Severity.WARNING) -> None:
    assert (finding.kind, finding.object, finding.severity) == (Kind.QUERY, queryid, severity)
    assert finding.evidence["counted"] == "cumulative"
    assert finding.evidence["counters_age_s"] is not None
    assert finding.detail


# --- healthy databases -----------------------------------------------------------------------------------------------


@both
def test_nothing_is_said_of_a_healthy_workload(pg: FreshDatabase) -> None:
    people(pg, "create index people_lower_idx on people (lower(name))", "create table log (at timestamptz, what text)")
    with psycopg.connect(pg.dsn, autocommit=True, prepare_threshold=None) as app:
        for number in range(400):
            app.execute("select * from people where id = %s", (number,))
        for number in range(30):
            app.execute("select id, name from people order by created_at desc limit 20 offset 20")
            app.execute("select id from people where lower(name) = %s", (str(number),))
            app.execute("select * from people where created_at >= %s and created_at < '2024-02-02'", ("2024-02-01",))
            app.execute("insert into log select now(), 'x' from generate_series(1, 500)")
        for _ in range(2):
            app.execute("select pg_sleep(0.3), count(*) as a_rare_report from people")
        app.execute("set work_mem = '64kB'")
        for _ in range(3):
            app.execute("select * from people order by name, born limit 1 offset 2")
        app.execute("vacuum analyze people")
        with app.cursor().copy("copy people to stdout") as copy:
            for _ in copy:
                pass
        for _ in range(25):
            app.execute("reindex index people_lower_idx")
    assert not query_family(pg).findings


@both
def test_an_empty_database_is_healthy(pg: FreshDatabase) -> None:
    pg.execute("create extension pg_stat_statements")
    assert not query_family(pg).findings


# --- blindfolded -----------------------------------------------------------------------------------------------------


@both
@pytest.mark.parametrize(
    "missing, cure",
    [
        ("extension", "CREATE EXTENSION pg_stat_statements;"),
        ("right", 'GRANT "pg_read_all_stats" TO "app";'),
        ("usage", 'GRANT USAGE ON SCHEMA "hidden" TO "app";'),
    ],
)
def test_every_query_check_is_blind_and_names_the_cure(pg: FreshDatabase, missing: str, cure: str) -> None:
    role = pg.role("app", member_of="pg_monitor" if missing == "usage" else "")
    if missing != "extension":
        pg.execute("create schema hidden", "create extension pg_stat_statements schema hidden")
    seen = diagnose(pg.dsn_as(role) if missing != "extension" else pg.dsn, only=["query"])
    assert sorted({blind.check for blind in seen.blind}) == list(QUERY_CHECKS)
    assert {blind.cure for blind in seen.blind} == {cure}
    if missing == "usage":
        pg.execute(cure)
        assert ask(pg.dsn_as(role), "slow_query").ok == ("slow_query",)


@newest
def test_what_is_dropped_while_it_is_read_is_no_error(pg: FreshDatabase, tmp_path: Path) -> None:
    """An extension's function meets a table that was listed a moment before."""
    pg.execute("create extension pgstattuple")
    (tmp_path / "gone.pg14.sql").write_text(
        "select approx_free_percent as share from {extension_schema}.pgstattuple_approx(4294967000::oid::regclass)"
    )

    @dataclass(frozen=True, slots=True, kw_only=True)
    class Share:
        share: float

    question = Question(name="gone", row=Share, folder=tmp_path, extension="pgstattuple")
    unread = observe(pg.dsn, [question]).readings["gone"]
    assert isinstance(unread, Unread)
    assert unread.reason.startswith("it changed while it was read: could not open relation with OID")


@newest
def test_a_monitor_sees_what_a_superuser_sees(pg: FreshDatabase) -> None:
    people(pg)
    queryid = run(pg, "select pg_sleep(0.06)", 20)
    monitor = pg.role("monitor", member_of="pg_monitor")
    assert objects(ask(pg.dsn_as(monitor), "slow_query")) == [queryid]


@newest
def test_a_server_that_counts_nothing_is_blind(pg: FreshDatabase) -> None:
    pg.execute("create extension pg_stat_statements")
    pg.cluster.shutdown()
    pg.cluster.settings = {**pg.cluster.settings, "pg_stat_statements.track": "none"}
    pg.cluster.start()
    (blind,) = ask(pg.dsn, "slow_query").blind
    assert "switched off" in blind.reason
    assert "track" in blind.cure


# --- slow_query, dominant_query --------------------------------------------------------------------------------------


@both
def test_a_slow_query_is_found_and_a_rare_one_is_not(pg: FreshDatabase) -> None:
    people(pg)
    run(pg, "select pg_sleep(0.2), 1 as rare", 4)
    assert ask(pg.dsn, "slow_query").ok == ("slow_query",)
    queryid = run(pg, "select pg_sleep(0.06)", 25)
    found = the_finding(ask(pg.dsn, "slow_query"))
    is_query(found, queryid)
    assert found.evidence["calls"] == 25
    mean_ms = found.evidence["mean_ms"]
    assert isinstance(mean_ms, float)
    assert mean_ms >= 60
    forget(pg)
    run(pg, "select pg_sleep(0.001)", 25)
    assert ask(pg.dsn, "slow_query", busy_mean_ms=1000.0).ok == ("slow_query",)


@newest
def test_the_plan_of_a_slow_query_can_be_asked_for_as_printed(pg: FreshDatabase) -> None:
    people(pg)
    run(pg, "select count(*) from people where city = 5 and name like 'a%' and created_at > date '2024-01-02'", 20)
    (advice,) = the_finding(ask(pg.dsn, "slow_query", mean_ms=0.0, calls=20)).advice
    with psycopg.connect(pg.dsn) as conn:
        assert conn.execute(advice.sql.encode()).fetchall()


@newest
def test_a_query_that_takes_most_of_the_time_is_found(pg: FreshDatabase) -> None:
    people(pg)
    run(pg, "select * from people where id = 7", 300)
    queryid = run(pg, "select pg_sleep(0.005)", 420)
    found = the_finding(ask(pg.dsn, "dominant_query"))
    is_query(found, queryid)
    ratio = found.evidence["time_ratio"]
    assert isinstance(ratio, float)
    assert 0.5 < ratio <= 1


# --- deep_offset -----------------------------------------------------------------------------------------------------

DEEP = {
    "by the primary key": "select id, name from people order by id limit 20 offset 50000",
    "backwards by an index": "select * from people order by created_at desc limit 20 offset 50000",
    "without an index": "select * from people order by name limit 20 offset 50000",
    "from an index alone": "select id from people order by id limit 20 offset 50000",
    "in a subselect": "select * from (select * from people order by id limit 20 offset 50000) as page",
}


@both
def test_a_deep_offset_is_found(pg: FreshDatabase) -> None:
    people(pg, rows=60_000)
    for name, query in DEEP.items():
        forget(pg)
        queryid = run(pg, query, 11)
        assert objects(ask(pg.dsn, "deep_offset")) == [queryid], name
    is_query(the_finding(ask(pg.dsn, "deep_offset")), queryid)


@newest
def test_a_deep_offset_is_found_in_a_table_that_nobody_analysed(pg: FreshDatabase) -> None:
    people(pg, "delete from pg_statistic where starelid = 'people'::regclass", rows=60_000)
    queryid = run(pg, DEEP["by the primary key"])
    until(lambda: objects(ask(pg.dsn, "deep_offset")) == [queryid], "the offset is found")


@newest
def test_what_the_advice_says_reads_no_more_than_the_page(pg: FreshDatabase) -> None:
    people(pg, rows=60_000)
    run(pg, DEEP["by the primary key"])
    (advice,) = the_finding(ask(pg.dsn, "deep_offset")).advice
    assert "WHERE (id) > (last_1) ORDER BY id ASC" in advice.sql
    forget(pg)
    run(pg, "select id, name from people where (id) > (50000) order by id asc limit 20")
    run(pg, "select id, name from people order by id limit 20 offset 20")
    run(pg, "select city, count(*) from people group by city order by count(*) desc limit 20 offset 40")
    assert ask(pg.dsn, "deep_offset").ok == ("deep_offset",)


# --- temp_spill ------------------------------------------------------------------------------------------------------


@newest
def test_a_sort_on_disk_is_found_and_mended(pg: FreshDatabase) -> None:
    people(pg)
    pg.role("app", options="login superuser")
    pg.execute("alter role app set work_mem = '64kB'")
    query = "select id, name from people order by name, born"

    def sort() -> None:
        with psycopg.connect(pg.dsn_as("app"), autocommit=True) as conn:
            for _ in range(12):
                conn.execute(query)

    sort()
    found = the_finding(ask(pg.dsn, "temp_spill"))
    assert found.evidence["roles"] == ("app",)
    pg.execute(found.advice[0].sql)
    forget(pg)
    sort()
    assert ask(pg.dsn, "temp_spill").ok == ("temp_spill",)


# --- low_hit_ratio_query ---------------------------------------------------------------------------------------------


@newest
def test_a_query_that_fetches_its_table_again_and_again_is_found(pg: FreshDatabase) -> None:
    pg.execute(
        "create extension pg_stat_statements",
        "create table wide (id int, filler text)",
        "insert into wide select g, repeat('x', 900) from generate_series(1, 20000) g",  # 20 MB of 32 MB buffers
        "vacuum analyze wide",
    )
    forget(pg)
    query = "select sum(length(filler)) from wide"
    run(pg, query, 2)
    assert ask(pg.dsn, "low_hit_ratio_query", calls=2).ok == ("low_hit_ratio_query",)
    pg.cluster.shutdown()
    pg.cluster.settings = {**pg.cluster.settings, "shared_buffers": "1MB"}
    pg.cluster.start()
    forget(pg)
    queryid = run(pg, query, 20, "set max_parallel_workers_per_gather = 0")
    is_query(the_finding(ask(pg.dsn, "low_hit_ratio_query")), queryid)


# --- wasteful_read ---------------------------------------------------------------------------------------------------


@both
def test_a_query_that_reads_a_table_for_one_row_is_found_and_mended(pg: FreshDatabase) -> None:
    people(pg)
    query = "select * from people where name = 'c4ca4238a0b923820dcc509a6f75849b'"
    queryid = run(pg, query)
    is_query(the_finding(ask(pg.dsn, "wasteful_read", blocks=200)), queryid)
    missing = the_finding(ask(pg.dsn, "missing_index"))
    pg.execute(missing.advice[0].sql)
    forget(pg)
    run(pg, query)
    run(pg, "select count(*) from people where born > '1960-01-01'")
    assert ask(pg.dsn, "wasteful_read", blocks=200).ok == ("wasteful_read",)


@newest
def test_a_delete_that_reads_a_table_for_each_row_is_found(pg: FreshDatabase) -> None:
    people(pg)
    queryid = run(pg, "delete from people where name = 'nobody'")
    is_query(the_finding(ask(pg.dsn, "wasteful_read", blocks=200)), queryid)


# --- non_sargable_predicate ------------------------------------------------------------------------------------------

WRAPPED = (
    ("select * from people where lower(email) = 'p7@example.org'", "email"),
    ("select * from people where created_at::date = '2024-02-01'", "created_at"),
    ("select * from people where date_trunc('day', created_at) = '2024-02-01'", "created_at"),
    ("select * from people where extract(epoch from created_at) = 5", "created_at"),
    ("select * from people where to_char(created_at, 'YYYY-MM-DD') = '2024-02-01'", "created_at"),
    ("select * from people where id + 1 = 77", "id"),
    ("select * from people where id::text = '77'", "id"),
    ("select * from people where coalesce(email, '') = 'x'", "email"),
    ("select * from people where id = 77::numeric", "id"),
    ("update people set city = 1 where lower(email) = 'nobody'", "email"),
    ("select p.name from people p where upper(p.email) = 'X' and p.born > '1900-01-01'", "email"),
)


@both
def test_a_wrapped_column_is_found(pg: FreshDatabase) -> None:
    people(pg)
    wanted = {run(pg, f"{query} -- {number}", 12 + number): column for number, (query, column) in enumerate(WRAPPED)}
    found = ask(pg.dsn, "non_sargable_predicate").findings
    assert {finding.object: finding.evidence["columns"] for finding in found} == {
        queryid: (column,) for queryid, column in wanted.items()
    }
    for finding in found:
        is_query(finding, finding.object)


@newest
def test_the_index_that_is_proposed_for_the_expression_mends_it(pg: FreshDatabase) -> None:
    people(pg)
    query = "select * from people where lower(email) = 'p7@example.org'"
    run(pg, query, 12)
    advice = the_finding(ask(pg.dsn, "non_sargable_predicate")).advice[1]
    pg.execute(advice.sql, "analyze people")
    assert ask(pg.dsn, "non_sargable_predicate").ok == ("non_sargable_predicate",)
    assert advice.undo_sql is not None
    pg.execute(advice.undo_sql)
    assert len(ask(pg.dsn, "non_sargable_predicate").findings) == 1


@newest
def test_the_rewriting_that_is_proposed_uses_the_index(pg: FreshDatabase) -> None:
    people(pg)
    run(pg, "select * from people where created_at::date = '2024-02-01'", 12)
    assert "created_at >= first_moment" in the_finding(ask(pg.dsn, "non_sargable_predicate")).advice[0].sql
    forget(pg)
    run(pg, "select * from people where created_at >= '2024-02-01' and created_at < '2024-02-02'", 12)
    assert ask(pg.dsn, "non_sargable_predicate").ok == ("non_sargable_predicate",)


@newest
def test_a_join_whose_types_do_not_fit_is_found_and_mended(pg: FreshDatabase) -> None:
    people(
        pg,
        "create table badge (code int not null, person numeric not null)",
        "insert into badge select g, g from generate_series(1, 5000) g",
        "create index on badge (code)",
        "analyze badge",
    )
    query = "select p.name from badge b join people p on p.id = b.person where b.code = 77"
    queryid = run(pg, query, 12)
    found = the_finding(ask(pg.dsn, "non_sargable_predicate"))
    is_query(found, queryid)
    assert found.evidence["columns"] == ("id",)
    assert "numeric" in str(found.evidence["condition"])
    pg.execute("alter table badge alter column person type bigint", "analyze badge")
    forget(pg)
    run(pg, query, 12)
    assert ask(pg.dsn, "non_sargable_predicate").ok == ("non_sargable_predicate",)


@newest
def test_conditions_that_are_served_otherwise_are_no_fault(pg: FreshDatabase) -> None:
    people(
        pg,
        "create index on people ((date(born::timestamp)))",
        "create index on people (upper(email))",
        "create table few (id int primary key, word text)",
        "insert into few select g, g::text from generate_series(1, 100) g",
        "create index on few (word)",
        "create table plain (id int primary key, word text)",
        "insert into plain select g, g::text from generate_series(1, 20000) g",
        "analyze",
    )
    for query in (
        "select * from people where upper(email) = 'X'",
        "select * from people where city = 5 and lower(email) = 'x'",  # another index leads to the rows
        "select * from few where lower(word) = '7'",
        "select * from plain where lower(word) = '7'",  # no index on word: missing_index speaks of it
        "select count(*) from people where lower(email) > 'a' group by city",  # wants most rows
    ):
        run(pg, query, 12)
    found = ask(pg.dsn, "non_sargable_predicate")
    assert found.ok == ("non_sargable_predicate",), [f.detail for f in found.findings]


@newest
def test_an_index_that_a_wrapped_column_leaves_unused_is_not_to_be_dropped(pg: FreshDatabase) -> None:
    people(pg)
    run(pg, "select * from people where lower(email) = 'p7@example.org'", 60)
    pg.execute("update people set city = city where id < 3")
    seen = diagnose(pg.dsn, only=["unused_index", "non_sargable_predicate"])
    assert [f.check for f in seen.findings if f.object == "public.people_email_idx"] == []
    assert [f.check for f in seen.findings if f.check == "non_sargable_predicate"]


# --- unbounded_result, row_by_row_insert, high_planning_time, materialized_view_candidate ----------------------------


@newest
def test_a_result_without_limit_is_found(pg: FreshDatabase) -> None:
    people(pg)
    queryid = run(pg, "select id, email from people where id > 8000", 6)
    is_query(the_finding(ask(pg.dsn, "unbounded_result")), queryid, Severity.NOTICE)
    forget(pg)
    run(pg, "select id, email from people where id > 8000 limit 30000", 6)
    assert ask(pg.dsn, "unbounded_result").ok == ("unbounded_result",)


@both
@pytest.mark.parametrize("in_one_transaction", [True, False])
def test_rows_inserted_one_by_one_are_found(pg: FreshDatabase, *, in_one_transaction: bool) -> None:
    pg.execute("create extension pg_stat_statements", "create table log (id int, what text)")
    forget(pg)
    with psycopg.connect(pg.dsn, autocommit=not in_one_transaction) as conn:
        for number in range(500):
            conn.execute("insert into log (id, what) values (%s, 'x')", (number,))
    until(lambda: len(ask(pg.dsn, "row_by_row_insert").findings) == 1, "the inserts are found")
    found = the_finding(ask(pg.dsn, "row_by_row_insert"))
    assert found.severity is Severity.NOTICE
    assert found.related == ("log",)
    forget(pg)
    with psycopg.connect(pg.dsn, autocommit=True) as conn:
        for _ in range(300):
            conn.execute("insert into log (id, what) values (1, 'x'), (2, 'y')")
            conn.execute("insert into log (id, what) select * from unnest(%s::int[], %s::text[])", ([1, 2], ["a", "b"]))
    assert ask(pg.dsn, "row_by_row_insert").ok == ("row_by_row_insert",)


@newest
def test_many_inserts_in_each_transaction_are_a_warning(pg: FreshDatabase) -> None:
    pg.execute("create extension pg_stat_statements", "create table log (id int, what text)")
    forget(pg)
    with psycopg.connect(pg.dsn) as conn, conn.pipeline():
        for number in range(6000):
            conn.execute("insert into log (id, what) values (%s, 'x')", (number,))
    until(lambda: bool(objects(ask(pg.dsn, "row_by_row_insert"))), "the inserts are found")
    ratio = the_finding(ask(pg.dsn, "row_by_row_insert")).evidence["inserts_per_transaction"]
    assert isinstance(ratio, float)
    assert ratio > 10


@newest
def test_planning_is_judged_only_where_it_is_measured(pg: FreshDatabase) -> None:
    people(pg)
    (blind,) = ask(pg.dsn, "high_planning_time").blind
    assert "track_planning" in blind.cure
    joins = " join ".join(["people as p0", *(f"people as p{n} on p{n}.id = p{n - 1}.city" for n in range(1, 9))])
    query = f"select 1 from {joins} where p0.id = 1"
    queryid = run(pg, query, 20, "set pg_stat_statements.track_planning = on", "set join_collapse_limit = 9")
    is_query(the_finding(ask(pg.dsn, "high_planning_time", mean_plan_ms=1.0)), queryid, Severity.NOTICE)
    forget(pg)
    run(pg, "select * from people where id = 1", 20, "set pg_stat_statements.track_planning = on")
    assert ask(pg.dsn, "high_planning_time").ok == ("high_planning_time",)


@newest
def test_a_summary_of_quiet_tables_is_a_candidate_for_a_materialized_view(pg: FreshDatabase) -> None:
    people(pg)
    pg.execute("analyze people")  # in a session of its own: the inserts' counts have been handed in by then
    query = "select city, count(*), max(born) from people group by city"
    queryid = run(pg, query, 20)
    found = the_finding(ask(pg.dsn, "materialized_view_candidate", mean_ms=0.1, blocks=200))
    is_query(found, queryid, Severity.NOTICE)
    assert found.evidence["tables"] == ("public.people",)
    pg.execute("update people set city = city + 1")
    until(
        lambda: (
            ask(pg.dsn, "materialized_view_candidate", mean_ms=0.1, blocks=200).ok == ("materialized_view_candidate",)
        ),
        "the table's changes are counted",
    )


# --- repeated_query --------------------------------------------------------------------------------------------------

CHILDREN = (
    (
        "create table pet (id bigint generated always as identity primary key, owner bigint not null references people,"
        " name text)"
    ),
    "insert into pet (owner, name) select 1 + g % 20000, 'n' from generate_series(1, 20000) g",
    "create index on pet (owner)",
    "analyze pet",
)
CHILD = "select * from pet where owner = %s"


def n_plus_one(conn: psycopg.Connection[tuple[object, ...]], rows: int = 100) -> None:
    for (number,) in conn.execute("select id from people where city = 3 limit %s", (rows,)).fetchall():
        conn.execute(CHILD, (number,))


@both
def test_a_look_up_for_each_row_of_another_query_is_noticed(pg: FreshDatabase) -> None:
    people(pg, *CHILDREN)
    with psycopg.connect(pg.dsn, autocommit=True, prepare_threshold=None) as conn:
        for _ in range(5):
            n_plus_one(conn, 80)
    found = the_finding(ask(pg.dsn, "repeated_query"))
    assert found.severity is Severity.NOTICE
    assert found.evidence["parent_rows"] == 400
    assert found.evidence["columns"] == ("owner",)
    forget(pg)
    with psycopg.connect(pg.dsn, autocommit=True, prepare_threshold=None) as conn:
        for _ in range(5):
            conn.execute("select p.id, q.* from people p join pet q on q.owner = p.id where p.city = 3 limit 80")
    assert ask(pg.dsn, "repeated_query").ok == ("repeated_query",)


@both
def test_a_look_up_that_is_seen_to_repeat_within_one_transaction_is_a_warning(pg: FreshDatabase) -> None:
    people(pg, *CHILDREN)
    with _application(pg):
        until(lambda: bool(objects(ask(pg.dsn, "repeated_query", repeats=3))), "the repeats are seen")


@contextlib.contextmanager
def _application(pg: FreshDatabase) -> Iterator[None]:
    stop = threading.Event()

    def work() -> None:
        with psycopg.connect(pg.dsn, prepare_threshold=None) as conn:
            while not stop.is_set():
                n_plus_one(conn, 80)
                conn.commit()

    thread = threading.Thread(target=work)
    thread.start()
    try:
        yield
    finally:
        stop.set()
        thread.join()


@newest
def test_fast_look_ups_by_key_are_no_pattern(pg: FreshDatabase) -> None:
    people(pg)
    run(pg, "select * from people where id = 77", 1000)
    assert ask(pg.dsn, "repeated_query").ok == ("repeated_query",)


# --- windows ---------------------------------------------------------------------------------------------------------


def in_window(pg: FreshDatabase, check: str, then: object) -> Diagnosis:
    """What the check says of what happens between two readings."""
    chosen = choose([check])
    assert callable(then)
    return judge(observe_window(pg.dsn, questions_of(chosen), window_s=0.0, wait=lambda _: then()), chosen)


@both
def test_in_a_window_only_what_runs_in_it_is_judged(pg: FreshDatabase) -> None:
    people(pg)
    run(pg, "select pg_sleep(0.06)", 20)
    assert in_window(pg, "slow_query", lambda: run(pg, "select 1", 30)).ok == ("slow_query",)
    found = the_finding(in_window(pg, "slow_query", lambda: run(pg, "select pg_sleep(0.07), 1", 8)))
    assert (found.evidence["counted"], found.evidence["calls"]) == ("window", 8)
    assert found.evidence["counters_age_s"] is None
    assert found.evidence["calls_per_s"] is not None


@both
def test_a_reset_within_the_window_gives_what_was_counted_since(pg: FreshDatabase) -> None:
    people(pg)
    run(pg, "select pg_sleep(0.06)", 25)

    def reset_and_work() -> None:
        forget(pg)
        run(pg, "select pg_sleep(0.06)", 6)

    found = the_finding(in_window(pg, "slow_query", reset_and_work))
    assert (found.evidence["counted"], found.evidence["calls"]) == ("window", 6)


@both
@pytest.mark.parametrize("mode", ["fast", "immediate"])
def test_a_restart_or_a_crash_within_the_window_gives_nothing_wrong(pg: FreshDatabase, mode: str) -> None:
    people(pg)
    run(pg, "select pg_sleep(0.06)", 25)
    questions = [STATEMENTS, STATEMENTS_INFO]
    before = observe(pg.dsn, questions)
    pg.cluster.shutdown(mode)
    pg.cluster.start()
    run(pg, "select pg_sleep(0.06)", 6)
    costs = costs_of(since(observe(pg.dsn, questions), before))
    (slow,) = [cost for cost in costs.costs if cost.query == "select pg_sleep($1)"]
    assert slow.calls == 6
    assert 360 <= slow.exec_ms < 6000
    assert all(cost.calls > 0 and cost.exec_ms >= 0 and cost.rows >= 0 for cost in costs.costs)


@both
def test_statements_that_were_thrown_out_for_room_are_never_wrong(pg: FreshDatabase) -> None:
    pg.cluster.shutdown()
    pg.cluster.settings = {**pg.cluster.settings, "pg_stat_statements.max": "100"}
    pg.cluster.start()
    people(pg)
    run(pg, "select pg_sleep(0.01), 7 as marked", 12)
    questions = [STATEMENTS, STATEMENTS_INFO]
    before = observe(pg.dsn, questions)
    names = ", ".join(f"c{number}" for number in range(400))
    pg.execute(f"create table wide ({names.replace(',', ' int,')} int)")
    with psycopg.connect(pg.dsn, autocommit=True) as conn:
        for number in range(400):
            conn.execute(f"select c{number} from wide".encode())
    run(pg, "select pg_sleep(0.002), 7 as marked", 14)
    after = observe(pg.dsn, questions)
    costs = costs_of(since(after, before))
    assert costs.evictions
    assert all(cost.calls > 0 and cost.exec_ms >= 0 and cost.blocks >= 0 for cost in costs.costs)
    for cost in costs.costs:
        if "marked" in cost.query:
            assert cost.calls == 14
            assert cost.mean_ms < 10


@newest
def test_a_snapshot_of_another_server_is_refused(pg: FreshDatabase) -> None:
    people(pg)
    questions = [STATEMENTS, STATEMENTS_INFO]
    before = observe(pg.dsn, questions)
    forget(pg)
    now = observe(pg.dsn, questions)
    reading = now.reading(STATEMENTS_INFO)
    elsewhere = replace(reading.rows[0], stats_reset=before.taken_at.replace(year=2020))
    mixed = replace(now, readings={**now.readings, "statements_info": replace(reading, rows=(elsewhere,))})
    chosen = choose(["slow_query"])
    (blind,) = judge(since(mixed, before), chosen).blind
    assert "another server" in blind.reason
