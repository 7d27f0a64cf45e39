"""Indexes that are missing under a foreign key, broken, idle, too many or of the wrong kind; and healthy ones."""

from __future__ import annotations

import contextlib
import threading
from collections.abc import Iterator

import psycopg
from tests.exam.case import Decoy, Fault
from tests.fix.server import FreshDatabase
from tests.fix.story import counted, until

SHOP = (
    "create table buyer (id int primary key, mail text)",
    (
        "create table purchase (id bigint primary key, buyer_id int references buyer, code text, state text,"
        " gift_note text, labels text[], extra jsonb, paid bool, at timestamptz)"
    ),
    "insert into buyer select g, 'b' || g from generate_series(1, 500) as g",
    (
        "insert into purchase select g, 1 + g % 500, 'c' || g, (array['new', 'paid', 'sent'])[1 + g % 3],"
        " case when g % 40 = 0 then 'for you' || g end, array['l' || g % 50], jsonb_build_object('k', g % 90),"
        " g % 2 = 0, now() - g * interval '1 minute' from generate_series(1, 30000) as g"
    ),
    "analyze buyer, purchase",
)
INDEXED = (*SHOP, "create index purchase_buyer on purchase (buyer_id)")


@contextlib.contextmanager
def looked_up(db: FreshDatabase) -> Iterator[None]:
    """A few hundred purchases were looked up by their key and by their buyer."""
    with psycopg.connect(db.dsn, autocommit=True) as conn:
        for number in range(1, 301):
            conn.execute(f"select * from purchase where id = {number}")
            conn.execute(f"select * from purchase where buyer_id = {number}")
    counted(db, "relname = 'purchase' and idx_scan >= 600")
    yield


@contextlib.contextmanager
def new_index(db: FreshDatabase) -> Iterator[None]:
    """The same, and an index that was made a moment ago."""
    with looked_up(db):
        db.execute("create index purchase_at on purchase (at)", "analyze purchase")
        yield


@contextlib.contextmanager
def failed_build(db: FreshDatabase) -> Iterator[None]:
    """A concurrent build that ended in an error."""
    with contextlib.suppress(psycopg.errors.UniqueViolation):
        db.execute("create unique index concurrently purchase_state_key on purchase (state)")
    yield


@contextlib.contextmanager
def cut_short_reindex(db: FreshDatabase) -> Iterator[None]:
    """A concurrent rebuild that was cancelled while it waited."""
    with db.connect(autocommit=False) as holder:
        holder.execute("insert into purchase (id) values (0)")
        with (
            db.connect(options="-c statement_timeout=700ms") as conn,
            contextlib.suppress(psycopg.errors.QueryCanceled),
        ):
            conn.execute("reindex index concurrently purchase_buyer")
        holder.rollback()
    yield


SLOW = (
    (
        "create function slow(int) returns int language plpgsql immutable set search_path = ''"
        " as 'begin perform pg_catalog.pg_sleep(0.05); return $1; end'"
    ),
)


@contextlib.contextmanager
def running_build(db: FreshDatabase) -> Iterator[None]:
    """A concurrent build that is busy with its table."""
    with db.connect() as builder:

        def build() -> None:
            with contextlib.suppress(psycopg.errors.QueryCanceled):
                builder.execute("create index concurrently buyer_slow on buyer (slow(id))")

        building = threading.Thread(target=build)
        building.start()

        def is_begun() -> bool:
            with psycopg.connect(db.dsn, autocommit=True) as conn:
                row = conn.execute("select count(*) from pg_index where not indisvalid").fetchone()
            return row == (1,)

        try:
            until(is_begun, "the build has begun")
            yield
        finally:
            builder.cancel()
            building.join()


@contextlib.contextmanager
def rewritten(db: FreshDatabase) -> Iterator[None]:
    """Updates of indexed columns, and their counters."""
    db.execute("update wide set c1 = c1 + 1, c2 = c2 + 1, c3 = 0")
    counted(db, "relname = 'wide' and n_tup_upd >= 5000")
    yield


@contextlib.contextmanager
def emptied(db: FreshDatabase) -> Iterator[None]:
    """Nine tenths of a table were deleted and vacuumed away."""
    db.execute("delete from purchase where id % 10 <> 0")
    db.execute("vacuum analyze purchase")
    counted(db, "relname = 'purchase' and n_mod_since_analyze = 0 and n_dead_tup = 0")
    yield


WIDE = (
    f"create table wide (id int primary key, {', '.join(f'c{n} int' for n in range(1, 11))})",
    "insert into wide select g, "
    + ", ".join(f"g % {n * 997}" for n in range(1, 11))
    + " from generate_series(1, 5000) g",
    *(f"create index wide_c{n} on wide (c{n})" for n in range(1, 11)),
    "analyze wide",
)

CASES: list[Fault | Decoy] = [
    Fault(
        name="a foreign key that no index serves",
        check="unindexed_foreign_key",
        object="public.purchase",
        columns=("buyer_id",),
        sql=SHOP,
    ),
    Fault(
        name="only partial, BRIN and trailing indexes under a foreign key",
        check="unindexed_foreign_key",
        object="public.purchase",
        columns=("buyer_id",),
        sql=(
            *SHOP,
            "create index on purchase (buyer_id) where state = 'new'",
            "create index on purchase using brin (buyer_id)",
            "create index on purchase (code, buyer_id)",
        ),
    ),
    Fault(
        name="a foreign key of a partitioned table",
        check="unindexed_foreign_key",
        object="public.visit",
        sql=(
            *SHOP,
            (
                "create table visit (id int, buyer_id int references buyer, day date, primary key (id, day))"
                " partition by range (day)"
            ),
            "create table visit_a partition of visit for values from ('2000-01-01') to ('2040-01-01')",
            "create table visit_b partition of visit for values from ('2040-01-01') to (maxvalue)",
            "insert into visit select g, 1 + g % 500, '2020-01-01' from generate_series(1, 9000) as g",
            "analyze",
        ),
    ),
    Decoy(
        name="foreign keys served in any order, by a hash, and on a small table",
        sql=(
            *INDEXED,
            (
                "create table pair (a int, b int, c int, primary key (b, a), foreign key (a) references buyer,"
                " foreign key (b) references buyer)"
            ),
            "create index pair_a on pair using hash (a)",
            "insert into pair select g % 500 + 1, g % 499 + 1, 0 from generate_series(1, 3000) g",
            "create table tiny (id int primary key, buyer_id int references buyer)",
            "insert into tiny values (1, 1)",
            "analyze",
        ),
    ),
    Fault(
        name="what a failed concurrent build left",
        check="invalid_index",
        object="public.purchase_state_key",
        sql=INDEXED,
        stage=failed_build,
    ),
    Fault(
        name="what a cancelled concurrent rebuild left",
        check="invalid_index",
        object="public.purchase_buyer_ccnew",
        sql=INDEXED,
        stage=cut_short_reindex,
    ),
    Decoy(name="a concurrent build that is under way", sql=(*INDEXED, *SLOW), stage=running_build),
    Fault(
        name="an index that nobody reads",
        check="unused_index",
        object="public.purchase_code",
        sql=(*INDEXED, "create index purchase_code on purchase (code)"),
        stage=looked_up,
    ),
    Decoy(
        name="indexes that nobody reads but which enforce, identify or serve something",
        sql=(
            *INDEXED,
            "create extension btree_gist",
            "create unique index purchase_code on purchase (code)",
            "alter table purchase add constraint once exclude using gist (code with =)",
            "alter table buyer add unique (mail)",
        ),
        stage=looked_up,
    ),
    Decoy(name="an index that was made a moment ago", sql=INDEXED, stage=new_index),
    Fault(
        name="an index that begins a longer one",
        check="redundant_index",
        object="public.purchase_state",
        sql=(
            *INDEXED,
            "create index purchase_state on purchase (code)",
            "create index purchase_state_at on purchase (code, at)",
        ),
    ),
    Fault(
        name="an index that begins a longer one, nothing of it read",
        check="redundant_index",
        object="public.purchase_at",
        sql=(
            *INDEXED,
            "create index purchase_at on purchase (at desc)",
            "create index purchase_at_code on purchase (at desc, code)",
        ),
        stage=looked_up,
    ),
    Decoy(
        name="indexes that only look like beginnings of others",
        sql=(
            *INDEXED,
            "create unique index a on purchase (code)",
            "create index b on purchase (code, at)",
            "create index c on purchase (at) where paid",
            "create index d on purchase (at, code)",
            'create index e on purchase (gift_note collate "C") where gift_note is not null',
            "create index f on purchase (gift_note, at) where gift_note is not null",
        ),
    ),
    Fault(
        name="ten indexes, and updates that write to each",
        check="overindexed_table",
        object="public.wide",
        sql=WIDE,
        stage=rewritten,
    ),
    Fault(
        name="an index on a coin",
        check="low_cardinality_index",
        object="public.purchase_paid",
        severity=("warning", "notice"),
        sql=(*INDEXED, "create index purchase_paid on purchase (paid)"),
        blindfold="login",
    ),
    Fault(
        name="an index on three states",
        check="low_cardinality_index",
        object="public.purchase_state",
        severity=("warning", "notice"),
        sql=(*INDEXED, "create index purchase_state on purchase (state)"),
        stage=looked_up,
    ),
    Decoy(
        name="few values, but rare ones, or a partial index, or further columns",
        sql=(
            *INDEXED,
            "update purchase set state = 'lost' where id % 3000 = 0",
            "analyze purchase",
            "create index a on purchase (at) where state = 'new'",
            "create index b on purchase (state, at)",
        ),
    ),
    Fault(
        name="an index of NULLs",
        check="sparse_index",
        object="public.purchase_gift",
        severity=("warning", "notice"),
        sql=(*INDEXED, "create index purchase_gift on purchase (gift_note)"),
        blindfold="login",
    ),
    Decoy(
        name="an index that leaves the NULLs out",
        sql=(*INDEXED, "create index purchase_gift on purchase (gift_note) where gift_note is not null"),
    ),
    Fault(
        name="a B-tree on an array",
        check="wrong_index_type",
        object="public.purchase_labels",
        sql=(*INDEXED, "create index purchase_labels on purchase (labels)"),
    ),
    Fault(
        name="a B-tree on documents",
        check="wrong_index_type",
        object="public.purchase_extra",
        sql=(*INDEXED, "create index purchase_extra on purchase using btree (extra)"),
    ),
    Decoy(
        name="GIN on arrays and documents, a B-tree on one key",
        sql=(
            *INDEXED,
            "create index a on purchase using gin (labels)",
            "create index b on purchase using gin (extra jsonb_path_ops)",
            "create index c on purchase ((extra ->> 'k'))",
        ),
    ),
    Fault(
        name="an index full of air, estimated",
        check="bloated_index",
        object="public.purchase_air",
        sql=(*INDEXED, "create index purchase_air on purchase (code, at)"),
        stage=emptied,
        blindfold="login",
    ),
    Fault(
        name="an index full of air, measured",
        check="bloated_index",
        object="public.purchase_air",
        sql=(*INDEXED, "create extension pgstattuple", "create index purchase_air on purchase (code, at)"),
        stage=emptied,
    ),
    Decoy(
        name="an index that is loose on purpose, a deduplicated one, one of random keys",
        sql=(
            *INDEXED,
            "create index a on purchase (code) with (fillfactor = 40)",
            "create table token (id uuid primary key default gen_random_uuid(), body text)",
            "insert into token (body) select md5(g::text) from generate_series(1, 60000) g",
            "vacuum analyze token",
            "vacuum analyze purchase",
        ),
    ),
]
