"""The index family on real servers: healthy, fault, fixed, blindfolded; and what must not be taken for a fault."""

from __future__ import annotations

import threading
from collections.abc import Sequence

import psycopg
import pytest
from tests.fix.server import FreshDatabase
from tests.fix.story import ask, counted, mend, objects, paste, the_finding, until

from pgrunbook.journey.diagnose.engine import diagnose
from pgrunbook.model import Kind, Severity

pytestmark = pytest.mark.pg("!= 15, != 16, != 17")  # test_every_check tells a story a check on those

HOSTILE = 'we"ird; \n%s 😀 ' + "x" * 46  # 63 bytes with the sign of four


def definitions(db: FreshDatabase) -> list[tuple[str, bool]]:
    """Every index as PostgreSQL prints it, and whether it is valid."""
    with psycopg.connect(db.dsn, autocommit=True) as conn:
        rows = conn.execute(
            "select pg_get_indexdef(i.indexrelid), i.indisvalid from pg_index i join pg_class c on c.oid = i.indexrelid"
            " where c.relnamespace <> 'pg_catalog'::regnamespace and c.relnamespace <> 'pg_toast'::regnamespace"
            " order by 1"
        ).fetchall()
    return [(str(text), bool(valid)) for text, valid in rows]


def orders(db: FreshDatabase, rows: int = 5000) -> None:
    """A table with customers, analysed."""
    db.execute(
        "create table customers (id int primary key, name text)",
        "create table orders (id int primary key, customer_id int references customers, note text, status text,"
        " total numeric, placed_at timestamptz)",
        "insert into customers select i, 'n' || i from generate_series(1, 100) i",
        f"insert into orders select i, 1 + i % 100, 'x' || i, 'open', i, now() from generate_series(1, {rows}) i",
        "analyze",
    )


def in_schemas(db: FreshDatabase, cases: Sequence[Sequence[str]]) -> None:
    """Run each case in a schema of its own, s0, s1, …: one database, many small worlds."""
    for number, case in enumerate(cases):
        schema = f"s{number:02}"
        db.execute(f"create schema if not exists {schema}", f"set search_path = {schema}, public", *case)


def in_each(cases: Sequence[object], name: str) -> list[str]:
    """The object of that name in the schema of each case."""
    return [f"s{number:02}.{name}" for number in range(len(cases))]


def tell_and_mend_all(db: FreshDatabase, check: str, names: Sequence[str]) -> None:
    """All faults are found, the advice mends each, the undo brings them back as they were."""
    before = definitions(db)
    answer = ask(db.dsn, check)
    assert objects(answer) == sorted(names)
    for found in answer.findings:
        mend(db, found)
    assert ask(db.dsn, check).ok == (check,)
    for found in answer.findings:
        paste(db, found.advice[0].undo_sql)
    assert definitions(db) == before


def tell_and_mend(db: FreshDatabase, check: str, name: str, *, severity: Severity = Severity.WARNING) -> None:
    """The fault is found, the advice mends it, the undo brings it back as it was."""
    before = definitions(db)
    found = the_finding(ask(db.dsn, check))
    assert (found.object, found.kind, found.severity) == (name, Kind.INDEX, severity)
    assert found.detail
    advice = mend(db, found)
    assert ask(db.dsn, check).ok == (check,)
    paste(db, advice.undo_sql)
    assert definitions(db) == before


# --- unindexed_foreign_key ------------------------------------------------------------------------


def test_a_foreign_key_without_index_is_found_and_indexed(pg: FreshDatabase) -> None:
    orders(pg)
    before = definitions(pg)
    found = the_finding(ask(pg.dsn, "unindexed_foreign_key"))
    assert (found.severity, found.kind, found.object) == (Severity.WARNING, Kind.TABLE, "public.orders")
    assert found.evidence["columns"] == ("customer_id",)
    assert found.evidence["rows"] == 5000

    advice = mend(pg, found)
    assert ask(pg.dsn, "unindexed_foreign_key").ok == ("unindexed_foreign_key",)
    paste(pg, advice.undo_sql)
    assert definitions(pg) == before


def test_a_foreign_key_of_a_small_table_is_a_notice(pg: FreshDatabase) -> None:
    orders(pg, rows=50)
    assert the_finding(ask(pg.dsn, "unindexed_foreign_key")).severity is Severity.NOTICE


SERVING = [
    "create index on k (a, b)",
    "create index on k (b, a)",
    "create index on k (b, a, c)",
    "create index on k (a desc, b) include (c)",
    "create unique index on k (b, a, id)",
    "create index on k (a, b) where a is not null",
]
NOT_SERVING = [
    "create index on k (a)",
    "create index on k (c, a, b)",
    "create index on k (a, c, b)",
    "create index on k (a) include (b)",
    "create index on k (a, b) where c > 0",
    "create index on k (a, b) where c is not null",
    "create index on k using brin (a, b)",
    "create index on k ((a + 0), b)",
]


COMPOSITE = (
    "create table p (a int, b int, primary key (a, b))",
    "create table k (id int primary key, a int, b int, c int, foreign key (a, b) references p)",
    "insert into k select i, null, i, i from generate_series(1, 2000) i",
    "analyze k",
)


def test_an_index_that_leads_with_the_columns_in_any_order_serves(pg: FreshDatabase) -> None:
    in_schemas(pg, [(*COMPOSITE, sql) for sql in SERVING])
    assert ask(pg.dsn, "unindexed_foreign_key").ok == ("unindexed_foreign_key",)


def test_an_index_that_leads_with_something_else_does_not_serve(pg: FreshDatabase) -> None:
    in_schemas(pg, [(*COMPOSITE, sql) for sql in NOT_SERVING])
    answer = ask(pg.dsn, "unindexed_foreign_key")
    assert objects(answer) == in_each(NOT_SERVING, "k")
    assert {found.evidence["columns"] for found in answer.findings} == {("a", "b")}


def test_a_hash_or_gist_index_serves_and_one_of_another_collation_does_not(pg: FreshDatabase) -> None:
    pg.execute(
        "create table p (t text primary key)",
        "create table h (t text references p)",
        "create table c (t text references p)",
        "create index on h using hash (t)",
        'create index on c (t collate "C")',
        "insert into c select null from generate_series(1, 2000)",
        "insert into h select null from generate_series(1, 2000)",
        "analyze",
    )
    assert objects(ask(pg.dsn, "unindexed_foreign_key")) == ["public.c"]


def test_an_invalid_index_does_not_serve(pg: FreshDatabase) -> None:
    orders(pg)
    pg.execute("create index orders_c on orders (customer_id)")
    pg.execute("update pg_index set indisvalid = false where indexrelid = 'orders_c'::regclass")
    assert objects(ask(pg.dsn, "unindexed_foreign_key")) == ["public.orders"]


def partitioned(db: FreshDatabase) -> None:
    """Three levels, with a name that wants quoting."""
    db.execute(
        "create table customers (id int primary key)",
        "insert into customers select generate_series(0, 99)",
        "create table p (id int, d date, customer_id int references customers, kind int, note text)"
        " partition by range (d)",
        "create table p1 partition of p for values from ('2026-01-01') to ('2026-07-01')",
        "create table p2 partition of p for values from ('2026-07-01') to ('2027-01-01') partition by list (kind)",
        "create table p2a partition of p2 for values in (0, 1)",
        'create table "P 2 b" partition of p2 default',
        "insert into p select i, '2026-01-01'::date + i % 360, i % 100, i % 4, 'x' || i"
        " from generate_series(1, 5000) i",
        "analyze",
    )


def test_a_foreign_key_of_a_partitioned_table_is_one_finding(pg: FreshDatabase) -> None:
    partitioned(pg)
    before = definitions(pg)
    found = the_finding(ask(pg.dsn, "unindexed_foreign_key"))
    assert (found.object, found.severity) == ("public.p", Severity.WARNING)
    advice = mend(pg, found)
    assert all(valid for _, valid in definitions(pg))
    assert ask(pg.dsn, "unindexed_foreign_key").ok == ("unindexed_foreign_key",)
    assert ask(pg.dsn, "invalid_index").ok == ("invalid_index",)
    paste(pg, advice.undo_sql)
    assert definitions(pg) == before


def test_indexes_that_each_partition_has_for_itself_serve_too(pg: FreshDatabase) -> None:
    partitioned(pg)
    pg.execute(*(f"create index on {name} (customer_id)" for name in ("p1", "p2a", '"P 2 b"')))
    assert ask(pg.dsn, "unindexed_foreign_key").ok == ("unindexed_foreign_key",)


def test_names_that_want_quoting_survive_finding_fix_and_undo(pg: FreshDatabase) -> None:
    assert len(HOSTILE.encode()) == 63
    quoted = '"' + HOSTILE.replace('"', '""') + '"'
    for schema in ("public", quoted):
        pg.execute(
            f"create schema if not exists {schema}".encode(),  # type: ignore[arg-type]
            f"create table {schema}.{quoted} (id int primary key, {quoted} int)".encode(),  # type: ignore[arg-type]
            f"alter table {schema}.{quoted} add foreign key ({quoted}) references {schema}.{quoted}".encode(),  # type: ignore[arg-type]
            f"insert into {schema}.{quoted} select i, null from generate_series(1, 2000) i".encode(),  # type: ignore[arg-type]
            f"analyze {schema}.{quoted}".encode(),  # type: ignore[arg-type]
        )
    before = definitions(pg)
    answer = ask(pg.dsn, "unindexed_foreign_key")
    assert sorted(objects(answer)) == sorted([f"public.{quoted}", f"{quoted}.{quoted}"])
    for found in answer.findings:
        assert found.evidence["columns"] == (HOSTILE,)
        mend(pg, found)
    assert ask(pg.dsn, "unindexed_foreign_key").ok == ("unindexed_foreign_key",)
    for found in answer.findings:
        paste(pg, found.advice[0].undo_sql)
    assert definitions(pg) == before


# --- invalid_index --------------------------------------------------------------------------------


def test_a_failed_unique_build_is_found_and_dropped(pg: FreshDatabase) -> None:
    orders(pg)
    assert ask(pg.dsn, "invalid_index").ok == ("invalid_index",)
    with pytest.raises(psycopg.errors.UniqueViolation):
        pg.execute("create unique index concurrently orders_status_key on orders (status)")
    found = the_finding(ask(pg.dsn, "invalid_index"))
    assert (found.object, found.kind, found.severity) == ("public.orders_status_key", Kind.INDEX, Severity.WARNING)
    mend(pg, found)
    assert ask(pg.dsn, "invalid_index").ok == ("invalid_index",)


def test_a_build_that_was_cut_short_can_be_finished_instead(pg: FreshDatabase) -> None:
    orders(pg)
    pg.execute("create index orders_note on orders (note)")
    pg.execute("update pg_index set indisvalid = false where indexrelid = 'orders_note'::regclass")
    found = the_finding(ask(pg.dsn, "invalid_index"))
    paste(pg, found.advice[1].sql)
    assert ask(pg.dsn, "invalid_index").ok == ("invalid_index",)
    assert any("orders_note" in text and valid for text, valid in definitions(pg))


def test_what_a_reindex_left_behind_is_dropped_not_finished(pg: FreshDatabase) -> None:
    orders(pg)
    with pg.connect(autocommit=False) as holder:
        holder.execute("insert into customers values (1000, 'open')")
        with pg.connect(options="-c statement_timeout=500ms") as conn, pytest.raises(psycopg.errors.QueryCanceled):
            conn.execute("reindex index concurrently customers_pkey")
    found = the_finding(ask(pg.dsn, "invalid_index"))
    assert found.object == "public.customers_pkey_ccnew"
    assert len(found.advice) == 1
    mend(pg, found)
    assert ask(pg.dsn, "invalid_index").ok == ("invalid_index",)


def test_what_a_reindex_left_on_the_toast_table_is_dropped_too(pg: FreshDatabase) -> None:
    orders(pg)
    with pg.connect(autocommit=False) as holder:
        holder.execute("insert into customers values (1000, 'open')")
        with pg.connect(options="-c statement_timeout=500ms") as conn, pytest.raises(psycopg.errors.QueryCanceled):
            conn.execute("reindex table concurrently customers")
        holder.rollback()
    answer = ask(pg.dsn, "invalid_index")
    toast, own = (found.object for found in answer.findings)
    assert toast.startswith("pg_toast.pg_toast_")
    assert own == "public.customers_pkey_ccnew"
    for found in answer.findings:
        mend(pg, found)
    assert ask(pg.dsn, "invalid_index").ok == ("invalid_index",)


def test_an_index_that_is_being_built_is_no_fault(pg: FreshDatabase) -> None:
    orders(pg)
    with pg.connect(autocommit=False) as holder:
        holder.execute("update orders set note = 'held' where id = 1")
        builder = pg.connect()
        building = threading.Thread(target=lambda: builder.execute("create index concurrently slow on orders (note)"))
        building.start()
        try:
            until(lambda: any("slow" in text for text, _ in definitions(pg)), "the build has begun")
            assert ask(pg.dsn, "invalid_index").ok == ("invalid_index",)
            plain = pg.role("nobody")
            assert ask(pg.dsn_as(plain), "invalid_index").ok == ("invalid_index",)
        finally:
            holder.rollback()
            building.join()
    assert all(valid for _, valid in definitions(pg))


def test_an_index_that_is_being_dropped_is_no_fault(pg: FreshDatabase) -> None:
    orders(pg)
    pg.execute("create index going on orders (note)")
    with pg.connect(autocommit=False) as holder:
        holder.execute("update orders set note = 'held' where id = 1")
        dropper = pg.connect()
        dropping = threading.Thread(target=lambda: dropper.execute("drop index concurrently going"))
        dropping.start()
        try:
            until(lambda: any("going" in text and not valid for text, valid in definitions(pg)), "the drop has begun")
            assert ask(pg.dsn, "invalid_index").ok == ("invalid_index",)
        finally:
            holder.rollback()
            dropping.join()


def test_a_partitioned_index_is_completed(pg: FreshDatabase) -> None:
    partitioned(pg)
    pg.execute("create index p_note on only p (note desc) where note is not null", "create index p1_id on p1 (id)")
    pg.execute("create index p_id on only p (id)")
    answer = ask(pg.dsn, "invalid_index")
    assert objects(answer) == ["public.p_id", "public.p_note"]
    for found in answer.findings:
        mend(pg, found)
    assert ask(pg.dsn, "invalid_index").ok == ("invalid_index",)
    assert all(valid for _, valid in definitions(pg))
    assert "ATTACH PARTITION public.p1_id" in answer.findings[0].advice[0].sql


# --- duplicate_index and redundant_index ----------------------------------------------------------

COPIES = [
    ("create index a on t (x)", "create index b on t (x)"),
    ("create index a on t (x, y desc)", "create index b on t (x, y desc)"),
    ("create index a on t (lower(s))", "create index b on t (lower(s::text))"),
    ("create index a on t (x) where y > 1", "create index b on t (x) where (y > 1)"),
    ("create index a on t (x) include (y, z)", "create index b on t (x) include (z, y)"),
    ("create unique index a on t (x)", "create index b on t (x)"),
    ("create unique index a on t (x)", "create unique index b on t (x)"),
    ("alter table t add constraint a unique (x)", "create index b on t (x)"),
    ("alter table t add constraint a unique (x)", "create unique index b on t (x)"),
    ("create index a on t using gin (tags)", "create index b on t using gin (tags)"),
    ("create index a on t (x) with (fillfactor = 70)", "create index b on t (x)"),
    ("alter table t add constraint a unique (x) deferrable", "create index b on t (x)"),
    ("alter table t add constraint a unique (x)", "alter table t add constraint b unique (x)"),
]
NO_COPIES = [
    ("create index a on t (x)", "create index b on t (y)"),
    ("create index a on t (x, y)", "create index b on t (y, x)"),
    ("create index a on t (x)", "create index b on t (x desc nulls last)"),
    ("create index a on t (s)", 'create index b on t (s collate "C")'),
    ("create index a on t (s)", "create index b on t (s text_pattern_ops)"),
    ("create index a on t (x)", "create index b on t using hash (x)"),
    ("create index a on t (x) where y > 1", "create index b on t (x) where y > 2"),
    ("create index a on t (x)", "create index b on t (x) where y > 2"),
    ("create index a on t (lower(s))", "create index b on t (upper(s))"),
    ("alter table t add constraint a unique (x)", "create index b on t (x) include (y)"),
    ("alter table t add constraint a unique (x) deferrable", "create unique index b on t (x)"),
    ("create index a on t using brin (x)", "create index b on t using brin (x) with (pages_per_range = 4)"),
]
TABLE = "create table t (id int primary key, x int, y int, z int, s varchar, tags int[])"


def test_copies_are_found_and_dropped(pg: FreshDatabase) -> None:
    in_schemas(pg, [(TABLE, first) for first, _ in COPIES])
    assert ask(pg.dsn, "duplicate_index").ok == ("duplicate_index",)
    in_schemas(pg, [(second,) for _, second in COPIES])
    assert ask(pg.dsn, "redundant_index").ok == ("redundant_index",)
    tell_and_mend_all(pg, "duplicate_index", in_each(COPIES, "b"))


def test_indexes_that_differ_are_no_copies(pg: FreshDatabase) -> None:
    in_schemas(pg, [(TABLE, *case) for case in NO_COPIES])
    assert ask(pg.dsn, "duplicate_index").ok == ("duplicate_index",)


def test_a_copy_of_the_primary_key_is_found(pg: FreshDatabase) -> None:
    pg.execute(TABLE, "create unique index t_id on t (id)")
    tell_and_mend(pg, "duplicate_index", "public.t_id")


@pytest.mark.pg(">= 15")
def test_nulls_not_distinct_is_a_difference(pg: FreshDatabase) -> None:
    pg.execute(TABLE, "create unique index a on t (x)", "create unique index b on t (x) nulls not distinct")
    found = the_finding(ask(pg.dsn, "duplicate_index")) if False else ask(pg.dsn, "duplicate_index")
    assert [f.object for f in found.findings] == []


def test_an_index_that_a_foreign_key_refers_to_is_not_dropped(pg: FreshDatabase) -> None:
    pg.execute(
        "create table t (x int)",
        "alter table t add constraint a unique (x)",
        "create unique index b on t (x)",
        "create table c (x int primary key, foreign key (x) references t (x))",
    )
    for found in ask(pg.dsn, "duplicate_index").findings:
        mend(pg, found)
    assert ask(pg.dsn, "duplicate_index").ok == ("duplicate_index",)


def test_copies_in_two_schemas_are_told_apart(pg: FreshDatabase) -> None:
    pg.execute(
        "create schema other",
        "create table t (x int)",
        "create table other.t (x int)",
        "create index i on t (x)",
        "create index i on other.t (x)",
        "create index i2 on other.t (x)",
    )
    assert objects(ask(pg.dsn, "duplicate_index")) == ["other.i2"]


def test_copies_of_partitioned_indexes_are_one_finding(pg: FreshDatabase) -> None:
    partitioned(pg)
    pg.execute("create index one on p (note)", "create index two on p (note)")
    tell_and_mend(pg, "duplicate_index", "public.two")


def test_a_copy_that_each_partition_has_is_one_finding(pg: FreshDatabase) -> None:
    partitioned(pg)
    pg.execute(
        "create index one on p (note)",
        "create index own1 on p1 (note)",
        "create index own2 on p2a (note)",
    )
    found = the_finding(ask(pg.dsn, "duplicate_index"))
    assert found.object == "public.own1"
    assert len(found.advice) == found.evidence["copies"] == 2
    for advice in found.advice:
        paste(pg, advice.sql)
    assert ask(pg.dsn, "duplicate_index").ok == ("duplicate_index",)


REDUNDANT = [
    ("create index a on t (x)", "create index b on t (x, y)"),
    ("create index a on t (x desc)", "create index b on t (x, y)"),
    ("create index a on t (x desc nulls last, y)", "create index b on t (x nulls first, y desc, z)"),
    ("create index a on t (x) include (z)", "create index b on t (x, y) include (z)"),
    ("create index a on t (x)", "create index b on t (x) include (y)"),
    ("create index a on t (x) include (y)", "create index b on t (x, y)"),
    ("create index a on t (x)", "alter table t add constraint b unique (x, y)"),
    ("create index a on t (lower(s))", "create index b on t (lower(s), x)"),
    ("create index a on t (x) where y > 1", "create index b on t (x, z) where y > 1"),
    ("create index a on t (id)", "alter table t drop constraint t_pkey, add constraint b primary key (id, x)"),
]
NOT_REDUNDANT = [
    ("create index a on t (y)", "create index b on t (x, y)"),
    ("create index a on t (x desc, y)", "create index b on t (x, y, z)"),
    ("create index a on t (x nulls first)", "create index b on t (x, y)"),
    ("create index a on t (s)", 'create index b on t (s collate "C", x)'),
    ("create index a on t (s text_pattern_ops)", "create index b on t (s, x)"),
    ("create index a on t (x) include (z)", "create index b on t (x, y)"),
    ("create unique index a on t (x)", "create index b on t (x, y)"),
    ("create index a on t (x)", "create index b on t (x, y) where z > 0"),
    ("create index a on t (x) where z > 0", "create index b on t (x, y)"),
    ("create index a on t using hash (x)", "create index b on t (x, y)"),
    ("create index a on t using brin (x)", "create index b on t using brin (x, y)"),
    ("create index a on t (lower(s))", "create index b on t (s, x)"),
    ("create index a on t (id, x)", "create index b on t (y)"),
]


def test_left_prefixes_are_found_and_dropped(pg: FreshDatabase) -> None:
    in_schemas(pg, [(TABLE, *case) for case in REDUNDANT])
    assert ask(pg.dsn, "duplicate_index").ok == ("duplicate_index",)
    tell_and_mend_all(pg, "redundant_index", in_each(REDUNDANT, "a"))


def test_an_index_that_a_longer_one_cannot_stand_for_is_kept(pg: FreshDatabase) -> None:
    in_schemas(pg, [(TABLE, *case) for case in NOT_REDUNDANT])
    assert ask(pg.dsn, "redundant_index").ok == ("redundant_index",)


def test_of_three_nested_indexes_the_longest_is_kept(pg: FreshDatabase) -> None:
    pg.execute(TABLE, *(f"create index i{n} on t ({', '.join('xyz'[:n])})" for n in (1, 2, 3)))
    answer = ask(pg.dsn, "redundant_index")
    assert [(f.object, f.related) for f in answer.findings] == [
        ("public.i1", ("public.i3",)),
        ("public.i2", ("public.i3",)),
    ]


def test_a_much_wider_index_makes_a_notice(pg: FreshDatabase) -> None:
    pg.execute(
        TABLE,
        "insert into t select i, i % 5, 0, 0, repeat('wide', 50) || i from generate_series(1, 5000) i",
        "create index a on t (x)",
        "create index b on t (x, s)",
    )
    tell_and_mend(pg, "redundant_index", "public.a", severity=Severity.NOTICE)


def test_a_redundant_partitioned_index_is_dropped_at_its_root(pg: FreshDatabase) -> None:
    partitioned(pg)
    pg.execute("create index short on p (note)", "create index long on p (note, id)")
    tell_and_mend(pg, "redundant_index", "public.short")


# --- unused_index ---------------------------------------------------------------------------------


def busy(db: FreshDatabase, queries: int = 100, table: str = "orders", rows: int = 5000) -> None:
    """Look rows up by their key, in a session of its own, and wait until that is counted."""
    with psycopg.connect(db.dsn, autocommit=True) as conn:
        for number in range(queries):
            conn.execute(f"select * from {table} where id = {1 + number % rows}")
    counted(db, f"relid = '{table}'::regclass and seq_scan + coalesce(idx_scan, 0) >= {queries}")


def test_an_index_that_nothing_reads_on_a_busy_table_is_found_and_dropped(pg: FreshDatabase) -> None:
    orders(pg)
    pg.execute("create index orders_customer on orders (customer_id)", "create index orders_note on orders (note)")
    assert not ask(pg.dsn, "unused_index").findings
    busy(pg)
    tell_and_mend(pg, "unused_index", "public.orders_note")


def test_a_quiet_table_tells_nothing_about_its_indexes(pg: FreshDatabase) -> None:
    orders(pg)
    pg.execute("create index orders_note on orders (note)")
    busy(pg, queries=10)
    answer = ask(pg.dsn, "unused_index")
    assert answer.findings == ()
    assert answer.blind[0].object == "public.orders_note"
    assert "too early" in answer.blind[0].reason


def test_counters_that_were_reset_tell_nothing(pg: FreshDatabase) -> None:
    orders(pg)
    pg.execute("create index orders_note on orders (note)")
    busy(pg)
    assert objects(ask(pg.dsn, "unused_index")) == ["public.orders_note"]
    pg.execute("select pg_stat_reset()")
    counted(pg, "relname = 'orders' and seq_scan + idx_scan = 0")
    answer = ask(pg.dsn, "unused_index")
    assert answer.findings == ()
    assert [blind.check for blind in answer.blind] == ["unused_index"]


def test_a_brand_new_index_is_not_yet_judged(pg: FreshDatabase) -> None:
    orders(pg)
    busy(pg, queries=200)
    pg.execute("create index fresh on orders (total)", "analyze orders")
    assert ask(pg.dsn, "unused_index").findings == ()
    pg.execute("vacuum orders")
    counted(pg, "relname = 'orders' and vacuum_count > 0")
    assert ask(pg.dsn, "unused_index").findings == ()


def test_an_index_is_as_new_when_it_was_built_concurrently_or_is_no_btree(pg: FreshDatabase) -> None:
    orders(pg)
    busy(pg, queries=200)
    pg.execute("create index concurrently fresh on orders (total)", "create index hashed on orders using hash (total)")
    pg.execute("explain select * from orders where total = 1")
    counted(pg, "pg_stat_get_blocks_fetched('fresh'::regclass) > 10")
    answer = ask(pg.dsn, "unused_index")
    assert answer.findings == ()
    assert "2 indexes" in answer.blind[0].reason
    busy(pg, queries=200)
    for _ in range(6):
        with psycopg.connect(pg.dsn) as conn:
            conn.execute("explain select * from orders where total = 1")
    until(lambda: objects(ask(pg.dsn, "unused_index")) == ["public.fresh"], "others have planned with it")


def test_indexes_that_earn_their_keep_without_being_read_are_kept(pg: FreshDatabase) -> None:
    orders(pg)
    pg.execute(
        "create extension if not exists btree_gist",
        "create unique index orders_total on orders (total)",
        "alter table orders add constraint orders_note_key unique (note)",
        "alter table orders add exclude using gist (note with =)",
        "create index orders_customer on orders (customer_id)",
        "alter table orders alter total set not null",
        "alter table orders replica identity using index orders_total",
    )
    busy(pg)
    assert ask(pg.dsn, "unused_index").ok == ("unused_index",)


def test_an_index_that_is_read_is_kept_and_small_ones_are_notices(pg: FreshDatabase) -> None:
    orders(pg)
    pg.execute(
        "create index orders_note on orders (note)",
        "create index orders_part on orders (total) where total < 100",
    )
    with psycopg.connect(pg.dsn, autocommit=True) as conn:
        conn.execute("set enable_seqscan = off")
        conn.execute("select * from orders where note = 'x7'")
    busy(pg)
    found = the_finding(ask(pg.dsn, "unused_index"))
    assert (found.object, found.severity) == ("public.orders_part", Severity.NOTICE)


def test_the_parts_of_a_partitioned_index_are_judged_together(pg: FreshDatabase) -> None:
    partitioned(pg)
    pg.execute("create index p_customer on p (customer_id)", "create index p_id on p (id)")
    pg.execute("create index p_note on p (note)")
    with psycopg.connect(pg.dsn, autocommit=True) as conn:
        conn.execute("set enable_seqscan = off")
        for number in range(100):
            conn.execute(f"select * from p1 where id = {number}")
    counted(pg, "relname = 'p1' and idx_scan >= 100")
    tell_and_mend(pg, "unused_index", "public.p_note")


def test_a_waiting_replica_makes_it_less_certain(pg: FreshDatabase) -> None:
    orders(pg)
    pg.execute("create index orders_note on orders (note)", "select pg_create_physical_replication_slot('standby')")
    busy(pg)
    found = the_finding(ask(pg.dsn, "unused_index"))
    assert found.evidence["replica_use"] == "unknown"
    assert "Whether a replica uses it is unknown." in found.detail


def test_nothing_is_known_where_nobody_counts(pg: FreshDatabase) -> None:
    orders(pg)
    pg.execute("create index orders_note on orders (note)")
    pg.execute("alter system set track_counts = off", "select pg_reload_conf()")
    until(lambda: "track_counts" in "".join(b.reason for b in ask(pg.dsn, "unused_index").blind), "counters are off")


def test_an_index_that_takes_over_from_a_redundant_one_is_not_called_unused(pg: FreshDatabase) -> None:
    orders(pg)
    pg.execute("create index short on orders (note)", "create index long on orders (note, total)")
    with psycopg.connect(pg.dsn, autocommit=True) as conn:
        for number in range(100):
            conn.execute(f"select * from orders where note = 'x{number}'")
    counted(pg, "relname = 'orders' and idx_scan >= 100")
    answer = diagnose(pg.dsn, only=["unused_index", "redundant_index"])
    assert [(f.check, f.object) for f in answer.findings] == [("redundant_index", "public.short")]


def test_of_two_nested_indexes_that_nothing_reads_both_may_go(pg: FreshDatabase) -> None:
    orders(pg)
    pg.execute("create index short on orders (note)", "create index long on orders (note, total)")
    busy(pg)
    answer = diagnose(pg.dsn, only=["unused_index", "redundant_index"])
    assert [(f.check, f.object) for f in answer.findings] == [
        ("redundant_index", "public.short"),
        ("unused_index", "public.long"),
    ]
    for found in answer.findings:
        mend(pg, found)
    assert diagnose(pg.dsn, only=["unused_index", "redundant_index"]).findings == ()


# --- what ANALYZE knows: low_cardinality_index, sparse_index --------------------------------------


def flags(db: FreshDatabase, rows: int = 20_000) -> None:
    db.execute(
        "create table f (id int primary key, flag bool, rare bool, kind text, gone_at int, half int, at timestamptz)",
        "insert into f select i, i % 2 = 0, i % 1000 = 0, 'k' || i % 500, case when i % 20 = 0 then i end,"
        f" case when i % 2 = 0 then i end, now() from generate_series(1, {rows}) i",
        "analyze f",
    )


def test_an_index_on_a_coin_is_found_and_dropped(pg: FreshDatabase) -> None:
    flags(pg)
    pg.execute(
        "create index f_rare on f (rare)",
        "create index f_kind on f (kind)",
        "create index f_at on f (at)",
        "create index f_part on f (id) where flag",
        "create index f_both on f (flag, kind)",
    )
    assert ask(pg.dsn, "low_cardinality_index").ok == ("low_cardinality_index",)
    pg.execute("create index f_flag on f (flag)")
    tell_and_mend(pg, "low_cardinality_index", "public.f_flag")


def test_a_small_table_with_a_coin_is_a_notice_and_a_tiny_one_is_none(pg: FreshDatabase) -> None:
    flags(pg, rows=2000)
    pg.execute("create index f_flag on f (flag)")
    tell_and_mend(pg, "low_cardinality_index", "public.f_flag", severity=Severity.NOTICE)
    pg.execute("delete from f where id > 500")
    pg.execute("vacuum (full, analyze) f")
    counted(pg, "relname = 'f' and n_mod_since_analyze = 0 and n_live_tup = 500")
    assert ask(pg.dsn, "low_cardinality_index").ok == ("low_cardinality_index",)


def test_an_index_of_few_values_that_a_foreign_key_needs_is_kept(pg: FreshDatabase) -> None:
    pg.execute(
        "create table kinds (id int primary key)",
        "insert into kinds values (0), (1)",
        "create table t (id int primary key, kind int references kinds)",
        "insert into t select i, i % 2 from generate_series(1, 20000) i",
        "create index t_kind on t (kind)",
        "analyze",
    )
    assert ask(pg.dsn, "low_cardinality_index").ok == ("low_cardinality_index",)


def test_an_index_full_of_nulls_is_found_and_replaced(pg: FreshDatabase) -> None:
    flags(pg)
    pg.execute(
        "create index f_half on f (half)",
        "create index f_partial on f (gone_at) where gone_at is not null",
        "create index f_second on f (kind, gone_at)",
        "alter table f add unique (gone_at)",
    )
    assert ask(pg.dsn, "sparse_index").ok == ("sparse_index",)
    pg.execute("create index f_gone on f (gone_at desc, id) include (kind) with (fillfactor = 80)")
    tell_and_mend(pg, "sparse_index", "public.f_gone", severity=Severity.NOTICE)


def test_many_nulls_are_a_warning(pg: FreshDatabase) -> None:
    flags(pg, rows=200_000)
    pg.execute("create index f_gone on f (gone_at)")
    assert the_finding(ask(pg.dsn, "sparse_index")).severity is Severity.WARNING


def test_a_sparse_partitioned_index_is_replaced_everywhere(pg: FreshDatabase) -> None:
    partitioned(pg)
    pg.execute("alter table p add gone int", "update p set gone = id where id % 20 = 0", "analyze p")
    pg.execute("create index p_gone on p (gone)")
    before = [text for text, _ in definitions(pg) if " p_gone " in text]
    found = the_finding(ask(pg.dsn, "sparse_index"))
    advice = mend(pg, found)
    assert ask(pg.dsn, "sparse_index").ok == ("sparse_index",)
    assert all(valid for _, valid in definitions(pg))
    paste(pg, advice.undo_sql)
    assert [text for text, _ in definitions(pg) if " p_gone " in text] == before


@pytest.mark.parametrize("rights", ["", "pg_monitor"])
def test_columns_that_may_not_be_looked_at_are_blind_with_the_cure(pg: FreshDatabase, rights: str) -> None:
    flags(pg)
    pg.execute("create index f_gone on f (gone_at)", "create index f_flag on f (flag)")
    role = pg.role("blindfolded", member_of=rights)
    for check in ("sparse_index", "low_cardinality_index"):
        answer = ask(pg.dsn_as(role), check)
        assert answer.findings == ()
        (blind,) = answer.blind
        assert blind.object == "public.f"
    paste(pg, blind.cure)
    for check, name in (("sparse_index", "public.f_gone"), ("low_cardinality_index", "public.f_flag")):
        answer = ask(pg.dsn_as(role), check)
        assert ([found.object for found in answer.findings], answer.blind) == ([name], ())


def test_row_security_hides_columns_and_the_cure_says_so(pg: FreshDatabase) -> None:
    flags(pg)
    role = pg.role("tenant")
    pg.execute(
        "create index f_flag on f (flag)", "grant select on f to tenant", "alter table f enable row level security"
    )
    (blind,) = ask(pg.dsn_as(role), "low_cardinality_index").blind
    paste(pg, blind.cure)
    assert objects(ask(pg.dsn_as(role), "low_cardinality_index")) == ["public.f_flag"]


def test_a_table_that_nobody_has_analysed_is_blind_with_the_cure(pg: FreshDatabase) -> None:
    pg.execute(
        "create table f (id int primary key, flag bool) with (autovacuum_enabled = off)",
        "insert into f select i, null from generate_series(1, 5000) i",
        "create index i on f (flag)",
        "delete from pg_statistic where starelid = 'f'::regclass",
    )
    for check in ("sparse_index", "low_cardinality_index"):
        counted(pg, "relname = 'f' and n_live_tup = 5000")
        (blind,) = ask(pg.dsn, check).blind
        assert blind.cure == "ANALYZE public.f;"
    paste(pg, blind.cure)
    assert ask(pg.dsn, "sparse_index").blind == ask(pg.dsn, "low_cardinality_index").blind == ()


# --- wrong_index_type -----------------------------------------------------------------------------

WRONG = ["(tags)", "(doc)", "(words)", "((doc -> 'a'))", "using hash (doc)", "(id, tags)", "(tags) where id > 5"]
RIGHT = [
    "using gin (tags)",
    "using gin (doc jsonb_path_ops)",
    "((doc ->> 'a'))",
    "(id) include (tags)",
    "using gist (words)",
    "((tags[1]))",
]


DOCUMENTS = (
    "create table d (id int primary key, tags text[], doc jsonb, words tsvector)",
    "insert into d select i, array['t'], jsonb_build_object('a', i), to_tsvector('w') from generate_series(1, 99) i",
    "analyze d",
)


def test_btrees_on_composite_values_are_found_and_replaced(pg: FreshDatabase) -> None:
    in_schemas(pg, [(*DOCUMENTS, f"create index i on d {what}") for what in WRONG])
    tell_and_mend_all(pg, "wrong_index_type", in_each(WRONG, "i"))


def test_an_index_that_suits_its_type_is_no_fault(pg: FreshDatabase) -> None:
    in_schemas(pg, [(*DOCUMENTS, f"create index i on d {what}") for what in RIGHT])
    assert ask(pg.dsn, "wrong_index_type").ok == ("wrong_index_type",)


def test_whole_documents_may_be_unique(pg: FreshDatabase) -> None:
    pg.execute(*DOCUMENTS, "alter table d add unique (doc)", "create unique index on d (words, id)")
    assert ask(pg.dsn, "wrong_index_type").ok == ("wrong_index_type",)


# --- overindexed_table ----------------------------------------------------------------------------


def wide(db: FreshDatabase, indexes: int) -> None:
    columns = [f"c{number}" for number in range(indexes)]
    db.execute(
        f"create table w (id int primary key, {', '.join(f'{c} int' for c in columns)}) with (fillfactor = 50)",
        "insert into w select i from generate_series(1, 3000) i",
        *(f"create index w_{c} on w ({c})" for c in columns),
    )


def test_a_table_whose_updates_write_to_many_indexes_is_found(pg: FreshDatabase) -> None:
    wide(pg, 9)
    (blind,) = ask(pg.dsn, "overindexed_table").blind
    assert blind.object == "public.w"
    pg.execute("update w set c0 = 1, c3 = 2")
    counted(pg, "n_tup_upd = 3000")
    before = definitions(pg)
    found = the_finding(ask(pg.dsn, "overindexed_table"))
    assert (found.severity, found.kind, found.object) == (Severity.WARNING, Kind.TABLE, "public.w")
    assert found.evidence["indexes"] == 10
    for advice in found.advice:
        paste(pg, advice.sql)
    assert ask(pg.dsn, "overindexed_table").ok == ("overindexed_table",)
    for advice in found.advice:
        paste(pg, advice.undo_sql)
    assert definitions(pg) == before


def test_heap_only_updates_and_few_indexes_are_no_fault(pg: FreshDatabase) -> None:
    wide(pg, 9)
    pg.execute("alter table w add loose int", "create table n (id int primary key, v int)", "create index on n (v)")
    pg.execute("insert into n select i from generate_series(1, 3000) i", "update n set v = 1")
    for _ in range(3):
        pg.execute("update w set loose = 1 where id <= 1000")
        pg.execute("vacuum w")
    busy(pg, queries=400, table="w", rows=3000)
    counted(pg, "relname = 'w' and n_tup_hot_upd > 2500")
    counted(pg, "relname = 'n' and n_tup_upd = 3000")
    assert ask(pg.dsn, "overindexed_table").ok == ("overindexed_table",)


# --- bloated_index --------------------------------------------------------------------------------


def full_of_air(db: FreshDatabase, *, keep_every: int = 10) -> None:
    db.execute(
        "create table b (id int primary key, note text, few int) with (autovacuum_enabled = off)",
        "insert into b select i, md5(i::text), i % 7 from generate_series(1, 60000) i",
        "create index b_note on b (note)",
        "create index b_few on b (few)",
        "create index b_loose on b (note) with (fillfactor = 50)",
        "vacuum analyze b",
    )
    db.execute(f"delete from b where id % {keep_every} <> 0")
    db.execute("vacuum analyze b")
    counted(db, "relname = 'b' and n_mod_since_analyze = 0")


def test_an_index_full_of_air_is_found_and_rebuilt(pg: FreshDatabase) -> None:
    full_of_air(pg)
    estimated = ask(pg.dsn, "bloated_index")
    pg.execute("create extension pgstattuple")
    answer = ask(pg.dsn, "bloated_index")
    assert set(objects(estimated)) == set(objects(answer))
    assert {found.evidence["basis"] for found in estimated.findings} == {"estimated"}
    assert set(objects(answer)) >= {"public.b_note", "public.b_loose", "public.b_pkey"}
    for found in answer.findings:
        assert (found.kind, found.evidence["basis"]) == (Kind.INDEX, "measured")
        assert found.evidence["wasted_ratio"] == pytest.approx(0.9, abs=0.1)
        mend(pg, found)
    assert ask(pg.dsn, "bloated_index").ok == ("bloated_index",)


def test_healthy_indexes_of_all_kinds_are_not_called_bloated(pg: FreshDatabase) -> None:
    pg.execute(
        "create table b (id int primary key, note text, few int, u uuid default gen_random_uuid(), n int)",
        "create index on b (u)",  # random inserts leave pages a third empty
        "insert into b select i, md5(i::text), i % 7, gen_random_uuid(), case when i % 9 = 0 then i end"
        " from generate_series(1, 60000) i",
        "create index on b (few)",
        "create index on b (note) with (fillfactor = 50)",
        "create index on b (few, id)",
        "create index on b (n)",
        "create index on b (n, note) include (few)",
        "create index on b (lower(note))",
        "create index on b (few) with (deduplicate_items = off)",
    )
    pg.execute("vacuum analyze b")
    counted(pg, "relname = 'b' and n_mod_since_analyze = 0 and n_live_tup > 0")
    assert ask(pg.dsn, "bloated_index").ok == ("bloated_index",)
    pg.execute("create extension pgstattuple")
    assert ask(pg.dsn, "bloated_index").ok == ("bloated_index",)


def test_stale_statistics_give_no_estimate(pg: FreshDatabase) -> None:
    full_of_air(pg)
    pg.execute("update b set few = few + 1 where id % 2 = 0")
    counted(pg, "relname = 'b' and n_mod_since_analyze > 4000")
    answer = ask(pg.dsn, "bloated_index")
    assert answer.findings == ()
    assert "too old" in answer.blind[0].reason


def test_what_may_not_be_measured_or_estimated_is_blind(pg: FreshDatabase) -> None:
    full_of_air(pg)
    role = pg.role("plain")
    answer = ask(pg.dsn_as(role), "bloated_index")
    assert answer.findings == ()
    (blind,) = answer.blind
    paste(pg, blind.cure)
    assert ask(pg.dsn_as(role), "bloated_index").findings


# --- what all of them have in common --------------------------------------------------------------

FAMILY = [
    "unindexed_foreign_key",
    "invalid_index",
    "unused_index",
    "duplicate_index",
    "redundant_index",
    "overindexed_table",
    "low_cardinality_index",
    "sparse_index",
    "wrong_index_type",
    "bloated_index",
]


def said(db: FreshDatabase, checks: Sequence[str] = FAMILY) -> list[tuple[str, str]]:
    return [(f.check, f.object) for f in diagnose(db.dsn, only=checks).findings]


def test_an_empty_database_is_healthy(pg: FreshDatabase) -> None:
    answer = diagnose(pg.dsn, only=FAMILY)
    assert (answer.findings, answer.blind) == ((), ())


def test_a_lock_queue_takes_away_the_undo_of_the_locked_table_only(pg: FreshDatabase) -> None:
    pg.execute(
        "create table locked (x int)",
        "create table open (x int)",
        *(f"create index {table}_{n} on {table} (x)" for table in ("locked", "open") for n in (1, 2)),
    )
    before = said(pg)
    reader = pg.connect(autocommit=False)
    reader.execute("select count(*) from locked")
    waiting = pg.connect()
    alter = threading.Thread(target=lambda: waiting.execute("alter table locked add y int"))
    alter.start()
    try:
        until(
            lambda: pg.connect().execute("select count(*) from pg_locks where not granted").fetchone() == (1,),
            "ALTER TABLE waits",
        )
        answer = diagnose(pg.dsn, only=FAMILY)
        assert [(f.check, f.object) for f in answer.findings] == before
        undo = {f.object: f.advice[0].undo_sql for f in answer.findings}
        assert undo["public.locked_2"] is None
        assert undo["public.open_2"] is not None
    finally:
        reader.rollback()
        alter.join()


def test_the_reason_stands_beside_an_unused_index_with_the_same_advice(pg: FreshDatabase) -> None:
    flags(pg)
    pg.execute("create index f_flag on f (flag)", "create index f_gone on f (gone_at)")
    busy(pg, table="f")
    answer = diagnose(pg.dsn, only=FAMILY)
    assert [(f.check, f.object, f.advice[0].sql) for f in answer.findings if f.severity is Severity.WARNING] == [
        ("low_cardinality_index", "public.f_flag", "DROP INDEX CONCURRENTLY public.f_flag;"),
        ("unused_index", "public.f_flag", "DROP INDEX CONCURRENTLY public.f_flag;"),
        ("unused_index", "public.f_gone", "DROP INDEX CONCURRENTLY public.f_gone;"),
    ]
    sparse = next(f for f in answer.findings if f.check == "sparse_index")
    assert sparse.advice[0].sql == "DROP INDEX CONCURRENTLY public.f_gone;"
