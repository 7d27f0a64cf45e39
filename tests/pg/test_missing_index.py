"""Missing indexes: found from what statements ask, silent once the advice was followed, blind without rights."""

from __future__ import annotations

import pytest
from tests.fix.server import FreshDatabase

from pgrunbook.journey.diagnose.engine import diagnose
from pgrunbook.model import Finding
from pgrunbook.model.diagnosis import Diagnosis

pytestmark = pytest.mark.pg("!= 15, != 16, != 17")  # the oldest and the newest: the questions have tests of their own
CALLS = 16
PEOPLE = (
    (
        "create table people (id int8 generated always as identity primary key, email text not null, city int not null,"
        " active boolean not null, born date not null, joined timestamptz not null, manager bigint,"
        " data jsonb not null, tags text[] not null, bio text not null, stay tstzrange not null, spot point not null)"
    ),
    (
        "insert into people (email, city, active, born, joined, manager, data, tags, bio, stay, spot)"
        " select 'Person' || i || '@example.com', i % 599, i % 10 <> 0, date '1950-01-01' + i % 20000,"
        " timestamptz '2024-01-01' + i * interval '1 minute', case when i % 20 = 0 then i % 4000 end,"
        " jsonb_build_object('badge', i, 'kind', i % 3), array['t' || i % 5000, 'all'],"
        " 'some words about nr' || i || ' and then ' || md5(i::text),"
        " tstzrange(timestamptz '2024-01-01' + i * interval '1 h', timestamptz '2024-01-02' + i * interval '1 h'),"
        " point(i % 1000, i / 1000) from generate_series(1, 24000) i"
    ),
    "vacuum analyze people",
)


def people(pg: FreshDatabase, *more: str) -> None:
    pg.execute("create extension pg_stat_statements", *PEOPLE, *more, "select pg_stat_statements_reset()")


def run(pg: FreshDatabase, query: str, calls: int = CALLS, user: str | None = None) -> None:
    conn = pg.connect_as(user) if user else pg.connect()
    for _ in range(calls):
        conn.execute(query)


def look(pg: FreshDatabase, user: str | None = None) -> Diagnosis:
    return diagnose(pg.dsn_as(user) if user else pg.dsn, only=["missing_index"])


def follow(pg: FreshDatabase, finding: Finding, *, undo: bool = False) -> None:
    for advice in finding.advice:
        text = advice.undo_sql if undo else advice.sql
        assert text is not None
        pg.execute(*(line for line in text.split("\n") if line))


SHAPES = {
    "equality": ("select * from people where email = 'Person77@example.com'", ("email",), "btree"),
    "equality within an aggregate": ("select count(*) from people where email = 'x'", ("email",), "btree"),
    "two equalities": ("select * from people where city = 5 and born = '1960-01-01'", ("born",), "btree"),
    "equality and order": (
        "select * from people where city = 5 order by joined desc limit 10",
        ("city", "joined"),
        "btree",
    ),
    "order and limit": ("select id, email from people order by joined desc limit 10", ("joined",), "btree"),
    "order, limit and offset": (
        "select id from people order by joined, id limit 10 offset 40",
        ("joined", "id"),
        "btree",
    ),
    "latest": ("select max(joined) from people", ("joined",), "btree"),
    "narrow range": (
        "select * from people where joined > timestamptz '2024-01-01 10:00' and joined < '2024-01-01 10:30'",
        ("joined",),
        "btree",
    ),
    "lower": ("select * from people where lower(email) = lower('PERSON7@example.com')", ("lower(email)",), "btree"),
    "in": ("select * from people where email in ('a', 'b')", ("email",), "btree"),
    "jsonb contains": ("""select * from people where data @> '{"badge": 7}'""", ("data",), "gin"),
    "jsonb has key": ("select count(*) from people where data ? 'nothing'", ("data",), "gin"),
    "array contains": ("select * from people where tags @> array['t77']", ("tags",), "gin"),
    "full text": (
        "select id from people where to_tsvector('english', bio) @@ to_tsquery('english', 'nr77')",
        ("to_tsvector('english', bio)",),
        "gin",
    ),
    "letters": ("select id from people where bio ilike '%nr77 %'", ("bio",), "gin"),
    "ranges": ("select id from people where stay @> timestamptz '2024-02-02'", ("stay",), "gist"),
    "points": ("select id from people where spot <@ box '((5,5),(6,6))'", ("spot",), "gist"),
    "nearest": ("select id from people order by spot <-> point(5,5) limit 3", ("spot",), "gist"),
    "mostly NULL": ("select * from people where manager = 20", ("manager",), "btree"),
    "update": ("update people set city = city where email = 'Person9@example.com'", ("email",), "btree"),
    "delete": ("delete from people where email = 'nobody'", ("email",), "btree"),
    "foreign rows": (
        "select p.email from people p join people m on m.manager = p.id where p.id = 40",
        ("manager",),
        "btree",
    ),
    "exists": (
        "select id from people p where id in (20, 40) and exists (select from people m where m.manager = p.id)",
        ("manager",),
        "btree",
    ),
}


@pytest.mark.parametrize("method", ["btree", "gin", "gist"])
def test_a_missing_index_is_found_and_its_advice_silences_it(pg: FreshDatabase, method: str) -> None:
    people(pg, "alter database " + pg.name + " set default_text_search_config = 'pg_catalog.english'")
    assert look(pg).ok == ("missing_index",)
    for shape, (query, columns, its_method) in SHAPES.items():
        if its_method != method:
            continue
        pg.execute("select pg_stat_statements_reset()")
        run(pg, query)
        found = look(pg).findings
        assert [f.evidence["columns"] for f in found] == [columns], shape
        (finding,) = found
        assert (finding.object, finding.evidence["method"]) == ("public.people", method), shape
        assert (finding.severity.value, finding.evidence["calls"]) == ("warning", CALLS), shape
        follow(pg, finding)
        run(pg, query)
        assert look(pg).ok == ("missing_index",), shape
        follow(pg, finding, undo=True)
        run(pg, query)
        assert [f.fingerprint for f in look(pg).findings] == [finding.fingerprint], shape


DECOYS = {
    "most rows match": "select * from people where active",
    "a third matches": "select count(*) from people where data->>'kind' = '1'",
    "few distinct values": "select count(*) from people where active = true and city > 3",
    "by primary key": "select * from people where id = 77",
    "everything is counted": "select count(*) from people",
    "everything is sorted": "select id from people order by joined",
    "half of a range": "select count(*) from people where joined > timestamptz '2024-01-01'",
    "grouped": "select city, count(*) from people group by city",
    "joined whole": "select count(*) from people a join people b on b.id = a.manager",
    "any few": "select * from people limit 10",
    "not equal": "select count(*) from people where city <> 5",
    "a date made of a moment": "select count(*) from people where joined::date = '2024-02-02'",
    "an element": "select count(*) from people where 'nobody' = any(tags)",
}


@pytest.mark.pg("== 18")  # pure judging
def test_silent_where_an_index_would_not_help(pg: FreshDatabase) -> None:
    people(pg)
    for decoy, query in DECOYS.items():
        pg.execute("select pg_stat_statements_reset()")
        run(pg, query)
        assert look(pg).ok == ("missing_index",), decoy


SERVED = [
    ("(email)", "select * from people where email = 'x'"),
    ("(email, joined)", "select * from people where email = 'x'"),
    ("using hash (email)", "select * from people where email = 'x'"),
    ("(lower(email))", "select * from people where lower(email) = 'x'"),
    ("(email) where active", "select * from people where email = 'x' and active"),
    ("(email) where city = 5", "select * from people where email = 'x' and city = 5"),
    ("(joined, id)", "select * from people order by joined desc limit 5"),
    ("(city, joined desc)", "select * from people where city = 5 order by joined desc limit 5"),
    ("using gin (data)", """select * from people where data @> '{"badge": 7}'"""),
    ("using gin (data jsonb_path_ops)", """select * from people where data @> '{"badge": 7}'"""),
    ("((data->>'badge'))", "select * from people where data->>'badge' = '7'"),
    ("using gin (to_tsvector('simple', bio))", "select 1 from people where to_tsvector('simple', bio) @@ 'nr7'"),
    ("(email text_pattern_ops)", "select * from people where email = 'x'"),
    ("(manager) where manager is not null", "select * from people where manager = 7"),
]


@pytest.mark.pg("== 18")  # pure judging
def test_silent_where_an_index_serves_already(pg: FreshDatabase) -> None:
    people(pg)
    for index, query in SERVED:
        pg.execute(f"create index there on people {index}", "analyze people", "select pg_stat_statements_reset()")
        run(pg, query)
        assert look(pg).ok == ("missing_index",), index
        pg.execute("drop index there")


USELESS = [
    ("(joined, email)", "select * from people where email = 'x'", ("email",)),
    ("(email) where not active", "select * from people where email = 'x'", ("email",)),
    ("(email) where city = 5", "select * from people where email = 'x'", ("email",)),
    ("(upper(email))", "select * from people where lower(email) = 'x'", ("lower(email)",)),
    ("using brin (email)", "select * from people where email = 'Person500@'", ("email",)),
    ("using gin (data jsonb_path_ops)", "select count(*) from people where data ? 'none'", ("data",)),
]


@pytest.mark.pg("== 18")  # pure judging
def test_an_index_that_does_not_serve_counts_for_nothing(pg: FreshDatabase) -> None:
    people(pg)
    for index, query, columns in USELESS:
        pg.execute(f"create index there on people {index}", "analyze people", "select pg_stat_statements_reset()")
        run(pg, query, calls=60)
        assert [f.evidence["columns"] for f in look(pg).findings] == [columns], index
        pg.execute("drop index there")


def test_an_invalid_index_serves_nobody(pg: FreshDatabase) -> None:
    people(pg, "create index broken on people (email)")
    pg.execute("update pg_index set indisvalid = false where indexrelid = 'broken'::regclass")
    run(pg, "select * from people where email = 'x'")
    (finding,) = look(pg).findings
    assert finding.evidence["columns"] == ("email",)


def test_silent_on_small_tables_and_rare_statements(pg: FreshDatabase) -> None:
    people(pg, "create table small as select i, i % 700 as k from generate_series(1, 700) i", "analyze small")
    run(pg, "select * from small where k = 5", calls=200)
    run(pg, "select * from people where email = 'x'", calls=3)
    assert look(pg).ok == ("missing_index",)


@pytest.mark.pg("== 18")  # pure judging
def test_silent_where_writes_would_pay_more_than_reads_save(pg: FreshDatabase) -> None:
    people(pg)
    run(pg, "select * from people where email = 'x'", calls=10)
    pg.execute(
        "set pg_stat_statements.track = 'all'; do $$ begin for i in 1..20000 loop"
        " insert into people (email, city, active, born, joined, data, tags, bio, stay, spot)"
        " values ('new', 1, true, now(), now(), '{}', '{}', '', 'empty', '(1,1)'); end loop; end $$"
    )
    assert look(pg).findings == ()


@pytest.mark.pg("== 18")  # pure judging
def test_one_index_for_several_statements(pg: FreshDatabase) -> None:
    people(pg)
    run(pg, "select * from people where city = 5 order by joined desc limit 10")
    run(pg, "select * from people where city = 7")
    run(pg, "select id from people where city = 9 and born = '1977-01-01'")
    (finding,) = look(pg).findings
    assert finding.evidence["columns"] == ("city", "joined")
    assert len(finding.evidence["queryids"]) == 3  # type: ignore[arg-type]
    assert finding.evidence["calls"] == 3 * CALLS


@pytest.mark.pg("== 18")  # pure judging
def test_two_defects_of_one_table_are_two_findings(pg: FreshDatabase) -> None:
    people(pg)
    run(pg, "select * from people where email = 'x'")
    run(pg, "select * from people where tags @> array['t77']")
    found = look(pg).findings
    assert {f.evidence["columns"] for f in found} == {("email",), ("tags",)}
    assert len({f.fingerprint for f in found}) == 2


def test_partitions_are_one_finding_on_the_root(pg: FreshDatabase) -> None:
    pg.execute(
        "create extension pg_stat_statements",
        "create table logs (at timestamptz not null, actor int, note text) partition by range (at)",
        *(
            f"create table logs_{m} partition of logs for values from ('2024-0{m}-01') to ('2024-0{m + 1}-01')"
            for m in (1, 2, 3)
        ),
        "insert into logs select timestamptz '2024-01-01' + i * interval '1 minute', i % 9000, md5(i::text)"
        " from generate_series(1, 100000) i",
        "analyze logs",
        "select pg_stat_statements_reset()",
    )
    run(pg, "select * from logs where actor = 77")
    run(pg, "select * from logs_2 where actor = 77")
    (finding,) = look(pg).findings
    assert (finding.object, finding.evidence["columns"]) == ("public.logs", ("actor",))
    follow(pg, finding)
    run(pg, "select * from logs where actor = 77")
    assert look(pg).ok == ("missing_index",)
    follow(pg, finding, undo=True)
    assert len(look(pg).findings) == 1


def test_policies_are_conditions_too(pg: FreshDatabase) -> None:
    app = pg.role("app")
    people(
        pg,
        f"grant select on people to {app}",
        "alter table people enable row level security",
        f"create policy mine on people for select to {app}"
        " using (city = (select nullif(current_setting('app.city', true), '')::int))",
        f"alter role {app} set app.city = '5'",
    )
    run(pg, "select id, email from people", user=app)
    (finding,) = look(pg).findings
    assert finding.evidence["columns"] == ("city",)
    follow(pg, finding)
    run(pg, "select id, email from people", user=app)
    assert look(pg).ok == ("missing_index",)


def test_under_row_security_an_operator_that_may_leak_gets_no_index(pg: FreshDatabase) -> None:
    app = pg.role("app")
    people(
        pg,
        f"grant select on people to {app}",
        "alter table people enable row level security",
        "create policy everyone on people for select using (born > '1900-01-01')",
    )
    run(pg, "select id from people where tags @> array['t77']", user=app)
    assert look(pg).ok == ("missing_index",)


def test_strange_names_are_quoted(pg: FreshDatabase) -> None:
    pg.execute(
        "create extension pg_stat_statements",
        'create schema "Od d"',
        'create table "Od d"."Ta ""ble" (id int, "Col umn%" int, "select" text)',
        'insert into "Od d"."Ta ""ble" select i, i, i::text from generate_series(1, 50000) i',
        'analyze "Od d"."Ta ""ble"',
        "select pg_stat_statements_reset()",
    )
    query = 'select * from "Od d"."Ta ""ble" where "Col umn%" = 5 and "select" = \'7\''
    run(pg, query)
    (finding,) = look(pg).findings
    assert finding.object == '"Od d"."Ta ""ble"'
    assert finding.evidence["columns"] in {("Col umn%",), ("select",)}
    follow(pg, finding)
    run(pg, query)
    assert look(pg).ok == ("missing_index",)


def test_trigrams_name_the_schema_of_their_extension(pg: FreshDatabase) -> None:
    people(pg, "create schema ext", "create extension pg_trgm schema ext")
    run(pg, "select id from people where bio ilike '%nr77 %'")
    (finding,) = look(pg).findings
    assert "ext.gin_trgm_ops" in finding.advice[0].sql
    assert finding.advice[0].step is not None
    follow(pg, finding)
    assert look(pg).ok == ("missing_index",)


def test_names_that_the_counted_text_hides_are_seen_in_sessions_that_are_there(pg: FreshDatabase) -> None:
    people(pg)
    query = "select id from people where data->>'badge' = '7'"
    pg.execute(*[query] * CALLS)  # on a connection that is gone afterwards
    found = look(pg)
    assert found.findings == ()
    assert [(b.object, b.cure.split()[0]) for b in found.blind] == [("public.people", "Look")]
    staying = pg.connect()
    staying.execute(query)
    found = look(pg)
    assert [f.evidence["columns"] for f in found.findings] == [("(data ->> 'badge')",)]
    follow(pg, found.findings[0])
    assert look(pg).ok == ("missing_index",)


@pytest.mark.pg("== 18")  # pure judging
def test_a_text_search_configuration_is_seen_or_guessed(pg: FreshDatabase) -> None:
    people(pg, "alter database " + pg.name + " set default_text_search_config = 'pg_catalog.simple'")
    query = "select id from people where to_tsvector('german', bio) @@ to_tsquery('german', 'nr77')"
    staying = pg.connect()
    for _ in range(CALLS):
        staying.execute(query)
    (finding,) = look(pg).findings
    assert finding.evidence["columns"] == ("to_tsvector('german', bio)",)
    assert "compare" not in finding.advice[0].risk
    staying.close()
    (finding,) = look(pg).findings
    assert finding.evidence["columns"] == ("to_tsvector('english', bio)",)
    assert "compare" in finding.advice[0].risk


def test_blind_without_statistics_rights_or_extension(pg: FreshDatabase) -> None:
    watcher, stranger = pg.role("watcher", member_of="pg_monitor"), pg.role("stranger")
    people(pg, "create table fresh as select i, md5(i::text) as t from generate_series(1, 50000) i")
    run(pg, "select * from people where email = 'x'")

    (blind,) = look(pg, watcher).blind
    assert (blind.object, blind.cure) == ("public.people", "GRANT SELECT ON public.people TO watcher;")
    pg.execute(blind.cure)
    assert len(look(pg, watcher).findings) == 1

    (blind,) = look(pg, stranger).blind
    assert "pg_read_all_stats" in blind.cure

    pg.execute(
        "alter table fresh set (autovacuum_enabled = false)",
        "delete from pg_statistic where starelid = 'fresh'::regclass",
    )
    run(pg, "select count(*) from fresh where t = 'x'")
    (blind,) = look(pg).blind
    assert (blind.object, blind.cure) == ("public.fresh", "ANALYZE public.fresh;")

    pg.execute("drop extension pg_stat_statements")
    (blind,) = look(pg).blind
    assert "CREATE EXTENSION pg_stat_statements" in blind.cure


def test_a_row_count_stands_in_for_statistics_that_nobody_gathered(pg: FreshDatabase) -> None:
    pg.execute(
        "create extension pg_stat_statements",
        "create table fresh (i int, t text) with (autovacuum_enabled = false)",
        "insert into fresh select i, md5(i::text) from generate_series(1, 50000) i",
    )
    run(pg, "select * from fresh where t = 'x'")
    assert [f.evidence["columns"] for f in look(pg).findings] == [("t",)]


def test_names_are_found_along_the_search_path_of_the_role(pg: FreshDatabase) -> None:
    app = pg.role("app")
    people(
        pg,
        f"create schema app authorization {app}",
        "create table app.people as select * from people",
        "vacuum analyze app.people",
        f"grant select on app.people to {app}",
        f"alter role {app} in database {pg.name} set search_path = app, public",
    )
    run(pg, "select * from people where email = 'x'", user=app)
    assert [f.object for f in look(pg).findings] == ["app.people"]


def test_a_name_that_several_schemas_have_is_blind_when_the_path_leads_to_none(pg: FreshDatabase) -> None:
    people(pg, "create schema one", "create schema two", "create table two.people as select * from people")
    pg.execute("alter table people set schema one", "analyze two.people")
    with pg.connect(options="-c search_path=one") as conn:
        for _ in range(CALLS):
            conn.execute("select * from people where email = 'x'")
    seen = look(pg)
    assert seen.findings == ()
    assert [("people" in blind.reason, "search_path" in blind.cure) for blind in seen.blind] == [(True, True)]


def test_entries_of_one_text_are_one_statement(pg: FreshDatabase) -> None:
    people(pg)
    conn = pg.connect()
    for number in (*range(1, 9), *range(40_000, 40_008)):  # smallint, then integer: two entries of eight calls each
        conn.execute("select * from people where manager = %s", (number,))
    (finding,) = look(pg).findings
    assert finding.evidence["calls"] == 16
    assert len(finding.evidence["queryids"]) == 2  # type: ignore[arg-type]


def test_blind_where_row_security_hides_the_statistics(pg: FreshDatabase) -> None:
    watcher = pg.role("watcher", member_of="pg_monitor")
    people(pg, f"grant select on people to {watcher}", "alter table people enable row level security")
    run(pg, "select * from people where email = 'x'")
    (blind,) = look(pg, watcher).blind
    assert (blind.object, blind.cure) == ("public.people", "ALTER ROLE watcher BYPASSRLS;")


def test_a_locked_table_is_blind_and_others_are_judged(pg: FreshDatabase) -> None:
    people(pg, "create table others as select * from people", "vacuum analyze others")
    run(pg, "select * from people where email = 'x'")
    run(pg, "select * from others where email = 'x'")
    holder = pg.connect(autocommit=False)
    holder.execute("lock table people in access exclusive mode")
    found = look(pg)
    assert [f.object for f in found.findings] == ["public.others"]
    assert [b.object for b in found.blind] == ["public.people"]
    holder.rollback()
