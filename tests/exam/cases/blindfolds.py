"""Places from which something cannot be seen: no rights, no extension, locks, a standby.  Silence would be a lie."""

from __future__ import annotations

import contextlib
from collections.abc import Iterator

import psycopg
from tests.exam.case import Blindfold, Staged
from tests.fix.replica import wait_for_replay
from tests.fix.server import FreshDatabase
from tests.fix.story import running, waits_for_a_lock

from pgrunbook.lab import start_replica
from pgrunbook.lab.template import SUPERUSER

# What reads pg_stat_statements.
STATEMENTS = (
    "deep_offset",
    "dominant_query",
    "generic_plan_regression",
    "high_planning_time",
    "low_hit_ratio_query",
    "materialized_view_candidate",
    "misestimate",
    "missing_extended_statistics",
    "missing_index",
    "non_sargable_predicate",
    "repeated_query",
    "row_by_row_insert",
    "slow_query",
    "temp_spill",
    "unbounded_result",
    "wasteful_read",
    "wrong_index_for_limit",
)
# What looks at the sessions of others.
SESSIONS = ("advisory_lock_leak", "blocked_sessions", "idle_in_transaction", "long_running_query", "xmin_horizon_held")
# What reads the planner's statistics of columns, which only those see who may read the columns.
VALUES = ("bloated_index", "low_cardinality_index", "sparse_index", "table_bloat")
SHOP = (
    "create table buyer (id int primary key, mail text, is_vip bool, city text)",
    "insert into buyer select g, nullif(g % 9, 1), g % 2 = 0, 'c' || g % 5000 from generate_series(1, 120000) as g",
    "create table purchase (id int primary key, buyer_id int references buyer, note text, labels text[])",
    "insert into purchase select g, g, 'n' || g, '{a}' from generate_series(1, 40000) as g",
    "create index buyer_mail on buyer (mail)",
    "create index buyer_vip on buyer (is_vip)",
    "create index purchase_note on purchase (note)",
    "create index purchase_note_again on purchase (note)",
    "create index buyer_low on buyer (lower(mail))",
    "create index buyer_low_again on buyer (lower(mail))",
    "vacuum analyze",
)
SEARCHED = (*SHOP, *("select * from buyer where city = 'c77'",) * 40)
COPIES = (("duplicate_index", "public.purchase_note_again"), ("duplicate_index", "public.buyer_low_again"))
HIDDEN_SCHEMA = ("create schema monitoring", "alter extension pg_stat_statements set schema monitoring")


@contextlib.contextmanager
def without_statistics(db: FreshDatabase) -> Iterator[None]:
    db.execute("drop extension pg_stat_statements")
    yield


@contextlib.contextmanager
def locked(db: FreshDatabase) -> Iterator[None]:
    """Somebody holds an ACCESS EXCLUSIVE lock on a table."""
    holder = db.connect(autocommit=False)
    holder.execute("lock table buyer in access exclusive mode")
    yield
    holder.rollback()


@contextlib.contextmanager
def awaited(db: FreshDatabase) -> Iterator[None]:
    """Somebody waits for one, and all who come after wait behind."""
    reader = db.connect(autocommit=False)
    reader.execute("select count(*) from buyer")
    with running(db, "alter table buyer add column note text") as ddl:
        waits_for_a_lock(db, ddl)
        yield
        reader.rollback()


@contextlib.contextmanager
def standby(db: FreshDatabase) -> Iterator[Staged]:
    conninfo = f"host='{db.cluster.socket_dir}' port={db.cluster.port} user={SUPERUSER}"
    with start_replica(db.cluster, slot="standby_1", settings={"primary_conninfo": conninfo}) as replica:
        wait_for_replay(db.cluster, replica)
        yield Staged(dsn=replica.dsn(db.name))


@contextlib.contextmanager
def hidden_sequence(db: FreshDatabase) -> Iterator[None]:
    with psycopg.connect(db.dsn, autocommit=True) as conn:
        conn.execute("revoke all on sequence ticket_id_seq from public")
    yield


@contextlib.contextmanager
def reset(db: FreshDatabase) -> Iterator[None]:
    with psycopg.connect(db.dsn, autocommit=True) as conn:
        conn.execute("select pg_stat_reset()")
    yield


CASES: list[Blindfold] = [
    Blindfold(
        name="a role with nothing",
        checks=(
            *STATEMENTS,
            *SESSIONS,
            *VALUES,
            "memory_settings",
            "overridden_setting",
            "replication_lag",
        ),
        sql=SHOP,
        role="login",
    ),
    Blindfold(
        name="a monitor that may not read the tables", checks=VALUES, sql=SHOP, role="login", member_of="pg_monitor"
    ),
    Blindfold(name="pg_stat_statements is not installed", checks=STATEMENTS, sql=SHOP, stage=without_statistics),
    Blindfold(
        name="a monitor without USAGE on the extension's schema",
        checks=STATEMENTS,
        sql=(*SHOP, *HIDDEN_SCHEMA),
        role="login",
        member_of="pg_monitor",
    ),
    Blindfold(
        name="a sequence that may not be read",
        checks=("sequence_exhaustion",),
        sql=("create table ticket (id serial primary key)", "select setval('ticket_id_seq', 2147483000)"),
        stage=hidden_sequence,
        role="login",
    ),
    Blindfold(
        name="a table that is locked",
        checks=("missing_index",),
        about="public.buyer",
        seen=COPIES,
        sql=SEARCHED,
        stage=locked,
    ),
    Blindfold(
        name="a table for whose lock somebody waits",
        checks=("missing_index",),
        about="public.buyer",
        seen=COPIES,
        sql=SEARCHED,
        stage=awaited,
    ),
    Blindfold(
        name="a standby",
        checks=("dead_rows", "stale_statistics", "never_analyzed"),
        seen=COPIES,
        sql=SHOP,
        stage=standby,
    ),
    Blindfold(name="counters that were just reset", checks=("unused_index",), sql=SHOP, stage=reset),
    Blindfold(
        name="a server that counts nothing",
        checks=("dead_rows", "stale_statistics", "unused_index"),
        sql=(*SHOP, "alter system set track_counts = off", "select pg_reload_conf()", "select pg_sleep(0.2)"),
    ),
    Blindfold(
        name="tables that nobody analysed",
        checks=("low_cardinality_index", "sparse_index"),
        sql=SHOP[:-1],
    ),
]
