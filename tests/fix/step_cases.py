"""One case a step: a database in which it has something to do, and the step made for it."""

from __future__ import annotations

import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Any

import psycopg
from tests.fix.server import FreshDatabase

from pgrunbook.journey.steps import Step
from pgrunbook.journey.steps.alter_sequence_type import AlterSequenceType
from pgrunbook.journey.steps.analyze import Analyze
from pgrunbook.journey.steps.cancel_query import CancelQuery
from pgrunbook.journey.steps.create_extension import CreateExtension
from pgrunbook.journey.steps.create_index import CreateIndex
from pgrunbook.journey.steps.create_partitioned_index import CreatePartitionedIndex
from pgrunbook.journey.steps.create_statistics import CreateStatistics
from pgrunbook.journey.steps.drop_index import DropIndex
from pgrunbook.journey.steps.drop_invalid_index import DropInvalidIndex
from pgrunbook.journey.steps.drop_slot import DropSlot
from pgrunbook.journey.steps.enable_row_security import EnableRowSecurity
from pgrunbook.journey.steps.end_session import EndSession
from pgrunbook.journey.steps.reindex import Reindex
from pgrunbook.journey.steps.replace_policy import ReplacePolicy
from pgrunbook.journey.steps.set_autovacuum import SetAutovacuum
from pgrunbook.journey.steps.set_database_setting import SetDatabaseSetting
from pgrunbook.journey.steps.set_role_setting import SetRoleSetting
from pgrunbook.journey.steps.set_system_setting import SetSystemSetting
from pgrunbook.journey.steps.vacuum import Vacuum
from pgrunbook.journey.steps.vacuum_full import VacuumFull
from pgrunbook.journey.steps.validate_constraint import ValidateConstraint

HOSTILE = "we\"ird; %s drop\n'table' \\ 🐘"
LONG = "ä" * 31 + "x"  # 63 bytes
TABLE = (
    """create table {table} (id int primary key, {column} int, owner text, email text)
         with (fillfactor = 90, autovacuum_enabled = false, toast.autovacuum_enabled = false)""",
    "insert into {table} select g, g % 7, 'owner' || g % 3, 'e' || g || '@x.org' from generate_series(1, 500) as g",
)


@dataclass(frozen=True, slots=True, kw_only=True)
class StepCase:
    """`setup` may hold `{table}`, `{column}`, `{name}` and `{role}`, quoted; `make` gets them bare."""

    kind: str
    make: Callable[[FreshDatabase, Names], Step]
    setup: tuple[str, ...] = ()


@dataclass(frozen=True, slots=True, kw_only=True)
class Names:
    """What everything is called."""

    table: str = "orders"
    column: str = "customer_id"
    name: str = "orders_old"
    role: str = "app"


PLAIN = Names()
STRANGE = Names(table=HOSTILE, column=HOSTILE.upper(), name=LONG, role="a\"p'p %")


def prepare(database: FreshDatabase, case: StepCase, names: Names = PLAIN, *, table: bool = True) -> Step:
    """Set the database up for this case, with or without making its table first, and make its step."""
    quoted = {field: quoted_name(getattr(names, field)) for field in ("table", "column", "name", "role")}
    with psycopg.connect(database.dsn, autocommit=True) as conn:
        for statement in (*(TABLE if table else ()), *case.setup):
            text = statement
            for field, value in quoted.items():
                text = text.replace("{" + field + "}", value)
            if text.startswith("may fail: "):
                try:
                    conn.execute(text.removeprefix("may fail: ").encode())
                except psycopg.errors.UniqueViolation:
                    continue
            else:
                conn.execute(text.encode())
    return case.make(database, names)


def start_over(database: FreshDatabase) -> None:
    """Take away what `prepare` made."""
    database.execute(
        'drop table if exists orders, "par""ted"',
        "drop table if exists orders_old",  # in other cases an index, which went with its table
        "drop extension if exists citext",
        "alter system reset work_mem",
        "select pg_reload_conf()",
        "select pg_drop_replication_slot(slot_name) from pg_replication_slots",
        f"alter database {database.name} reset all",
        "do $$ begin if exists (select from pg_roles where rolname = 'app') then"
        " drop owned by app; drop role app; end if; end $$",
    )


def quoted_name(name: str) -> str:
    return '"' + name.replace('"', '""') + '"'


def _drop_slot(database: FreshDatabase, names: Names) -> Step:
    with psycopg.connect(database.dsn) as conn:
        (lsn,) = _row(conn, "select restart_lsn::text from pg_replication_slots where slot_name = 'forgotten'")
    return DropSlot(name="forgotten", restart_lsn=lsn)


def _end_session(database: FreshDatabase, names: Names) -> Step:
    """A client that reads within a transaction and then says nothing more; it is closed with the database."""
    idler = database.connect_as(names.role, autocommit=False)
    idler.execute("select 1")
    with psycopg.connect(database.dsn) as conn:
        pid, *times = _row(
            conn,
            "select pid, backend_start, xact_start, query_start, state_change from pg_stat_activity"
            f" where pid = {idler.info.backend_pid}",
        )
    fields = ("backend_start", "xact_start", "query_start", "state_change")
    return EndSession(pid=pid, **dict(zip(fields, (at.isoformat() for at in times), strict=True)))


def _cancel_query(database: FreshDatabase, names: Names) -> Step:
    """A client whose statement would run for an hour."""
    sleeper = database.connect_as(names.role)
    sleeper.pgconn.send_query(b"select pg_sleep(3600)")
    columns = "pid, backend_start, xact_start, query_start, state_change"
    with psycopg.connect(database.dsn, autocommit=True) as conn:
        look = (
            f"select {columns} from pg_stat_activity where pid = {sleeper.info.backend_pid} and wait_event = 'PgSleep'"
        )
        while (row := conn.execute(look.encode()).fetchone()) is None:
            time.sleep(0.01)
    fields = ("backend_start", "xact_start", "query_start", "state_change")
    return CancelQuery(pid=row[0], **dict(zip(fields, (at.isoformat() for at in row[1:]), strict=True)))


def _set_system_setting(database: FreshDatabase, names: Names) -> Step:
    """With another value there before, which has come to every new session."""
    deadline = time.monotonic() + 30.0
    while time.monotonic() < deadline:
        with psycopg.connect(database.dsn) as conn:
            if _row(conn, "select setting from pg_settings where name = 'work_mem'") == ("6144",):
                break
    return SetSystemSetting(name="work_mem", value="7MB")


def _row(conn: psycopg.Connection[Any], query: str) -> Sequence[Any]:
    row = conn.execute(query.encode()).fetchone()
    assert row is not None
    return row


ROLE = (
    "create role {role} login",
    "grant all on {table} to {role}",
    "alter role {role} set work_mem = '5MB'",
    "alter role {role} set search_path = '$user', 'We', public",
    "alter role {role} set statement_timeout = '1h'",
    "alter role {role} set jit = off",
)

CASES = (
    StepCase(
        kind="create_index",
        make=lambda _, n: CreateIndex(
            schema="public", table=n.table, keys=(quoted_name(n.column), "(lower(email)) DESC"), where="id > 10"
        ),
    ),
    StepCase(
        kind="create_partitioned_index",
        make=lambda _, __: CreatePartitionedIndex(
            schema="public",
            table='par"ted',
            keys=("email", "(lower(owner)) DESC"),
            where="id > 0",
            leaf_schemas=("public", "public"),
            leaf_tables=("par %s 2a", "par %s 2b"),
        ),
        setup=(
            'create table "par""ted" (id int, owner text, email text) partition by range (id)',
            'create table par_1 partition of "par""ted" for values from (0) to (100)',
            'create table par_2 partition of "par""ted" for values from (100) to (300) partition by list (id)',
            'create table "par %s 2a" partition of par_2 for values in (100, 101)',
            'create table "par %s 2b" (email text, id int, owner text)',
            'alter table par_2 attach partition "par %s 2b" default',
            """insert into "par""ted" select g, 'o' || g, 'e' || g from generate_series(1, 250) as g""",
            "create index it_had_one on par_1 (email, (lower(owner)) desc) where id > 0",
            "create index and_another on par_1 (email)",
        ),
    ),
    StepCase(
        kind="drop_index",
        make=lambda _, n: DropIndex(schema="public", name=n.name),
        setup=(
            "create index {name} on {table} (email desc, (lower(owner)))",
            "comment on index {name} is 'it''s \\ old'",
            "alter index {name} alter column 2 set statistics 500",
            "alter table {table} cluster on {name}",
        ),
    ),
    StepCase(
        kind="drop_invalid_index",
        make=lambda _, n: DropInvalidIndex(schema="public", name=n.name),
        setup=("may fail: create unique index concurrently {name} on {table} (owner)",),
    ),
    StepCase(
        kind="reindex",
        make=lambda _, n: Reindex(schema="public", name=n.name),
        setup=("create index {name} on {table} (email)",),
    ),
    StepCase(kind="analyze", make=lambda _, n: Analyze(schema="public", table=n.table)),
    StepCase(kind="vacuum", make=lambda _, n: Vacuum(schema="public", table=n.table)),
    StepCase(kind="vacuum_full", make=lambda _, n: VacuumFull(schema="public", table=n.table)),
    StepCase(
        kind="set_autovacuum",
        make=lambda _, n: SetAutovacuum(
            schema="public",
            table=n.table,
            options=("fillfactor=80", "autovacuum_vacuum_scale_factor=0.05"),
            reset=("autovacuum_enabled", "toast.autovacuum_enabled"),
        ),
    ),
    StepCase(
        kind="set_role_setting",
        make=lambda _, n: SetRoleSetting(
            role=n.role,
            settings=("statement_timeout=30s", "idle_in_transaction_session_timeout=1min", 'app.it=a "quoted" \\ \'x'),
            reset=("search_path",),
        ),
        setup=ROLE,
    ),
    StepCase(
        kind="set_database_setting",
        make=lambda d, _: SetDatabaseSetting(
            database=d.name, settings=("lock_timeout=3s",), reset=("search_path", "work_mem")
        ),
        setup=(
            (
                "do $$ begin"
                " execute format('alter database %I set search_path = public, %L', current_database(), 'We');"
                " execute format('alter database %I set work_mem = ''6MB''', current_database());"
                " execute format('alter database %I set lock_timeout = ''9s''', current_database()); end $$"
            ),
        ),
    ),
    StepCase(
        kind="replace_policy",
        make=lambda _, n: ReplacePolicy(
            schema="public",
            table=n.table,
            name=n.name,
            using=f"{quoted_name(n.column)} > 0 and owner = (select current_user)",
            old_using=f"(({quoted_name(n.column)} > 0) AND (owner = CURRENT_USER))",
        ),
        setup=(
            *ROLE,
            "alter table {table} enable row level security",
            (
                "create policy {name} on {table} for all to {role} using ({column} > 0 and owner = current_user)"
                " with check (owner = current_user and exists (select from {table} as x where x.id = {table}.id))"
            ),
        ),
    ),
    StepCase(
        kind="enable_row_security",
        make=lambda _, n: EnableRowSecurity(
            schema="public", table=n.table, partitions=(f"public.{quoted_name(n.name)}",)
        ),
        setup=(
            "drop table if exists {name}",
            "create table {name} (like {table})",
            "create policy {name} on {table} using (id > 0)",
        ),
    ),
    StepCase(
        kind="drop_slot",
        make=_drop_slot,
        setup=("select pg_create_physical_replication_slot('forgotten', true)",),
    ),
    StepCase(
        kind="set_system_setting",
        make=_set_system_setting,
        setup=("alter system set work_mem = '6MB'", "select pg_reload_conf()"),
    ),
    StepCase(
        kind="create_statistics",
        make=lambda _, n: CreateStatistics(
            schema="public", table=n.table, keys=(quoted_name(n.column), "owner", "(lower(email))"), kinds=("mcv",)
        ),
    ),
    StepCase(
        kind="validate_constraint",
        make=lambda _, n: ValidateConstraint(schema="public", table=n.table, name=n.name),
        setup=(
            "alter table {table} add constraint {name} check ({column} < 100 and owner <> ' NOT VALID') not valid",
            "comment on constraint {name} on {table} is 'it''s \\ old'",
        ),
    ),
    StepCase(
        kind="alter_sequence_type",
        make=lambda _, n: AlterSequenceType(schema="public", name=n.name),
        setup=(
            "create sequence {name} as integer minvalue 5 maxvalue 5000",
            "alter table {table} add column wide bigint",
            "alter sequence {name} owned by {table}.wide",
        ),
    ),
    StepCase(kind="create_extension", make=lambda _, __: CreateExtension(name="citext")),
    StepCase(kind="end_session", make=_end_session, setup=ROLE),
    StepCase(kind="cancel_query", make=_cancel_query, setup=ROLE),
)

_WORLD = (
    (
        "select indexrelid::regclass::text, indisvalid, pg_get_indexdef(indexrelid) from pg_index"
        " where indexrelid >= 16384 and indexrelid::regclass::text !~ '^pg_toast' order by 1"
    ),
    "select relname::text, reloptions from pg_class where oid >= 16384 and relkind = 'r' order by 1",
    "select reloptions from pg_class where oid >= 16384 and relkind = 't' and reloptions is not null order by 1",
    (
        "select r.rolname::text, s.setconfig from pg_db_role_setting as s left join pg_roles as r on r.oid = s.setrole"
        " order by 1, 2"
    ),
    (
        "select polname::text, pg_get_expr(polqual, polrelid), pg_get_expr(polwithcheck, polrelid)"
        " from pg_policy order by 1"
    ),
    "select slot_name::text from pg_replication_slots where not temporary",
    "select name, setting from pg_file_settings where sourcefile like '%/postgresql.auto.conf' order by 1",
    "select name, setting, source, pending_restart from pg_settings order by 1",
)


def world(database: FreshDatabase) -> str:
    """Everything that a step could change: the schema as pg_dump tells it, options, settings, slots."""
    dump = database.cluster.run("pg_dump", "-s", "--restrict-key=x", "-d", database.name)
    assert dump.returncode == 0, dump.stderr
    with psycopg.connect(database.dsn, autocommit=True) as conn:
        rows = [repr(conn.execute(query.encode()).fetchall()) for query in _WORLD]
    return "\n".join([dump.stdout, *rows])
