"""The schema family on real servers: healthy, fault, fixed, blindfolded; and what must not be taken for a fault."""

from __future__ import annotations

import itertools
import threading
from typing import Any

import psycopg
import pytest
from tests.fix.server import FreshDatabase
from tests.fix.story import ask, counted, mend, objects, paste, the_finding, until

from pgrunbook.journey.diagnose.engine import diagnose
from pgrunbook.model import Kind, Severity

pytestmark = pytest.mark.pg("!= 15, != 16, != 17")  # test_every_check tells a story a check on those


def catalog(db: FreshDatabase) -> dict[str, list[tuple[Any, ...]]]:
    """What a dump would say of columns, constraints, triggers, sequences and options."""
    with psycopg.connect(db.dsn, autocommit=True) as conn:
        return {
            name: conn.execute(query.encode()).fetchall()
            for name, query in {
                "columns": "select attrelid::regclass::text, attname, format_type(atttypid, atttypmod), attnotnull,"
                " attidentity from pg_attribute where attrelid >= 16384 and attnum > 0 and not attisdropped"
                " order by 1, attnum",
                "constraints": "select conrelid::regclass::text, conname, pg_get_constraintdef(oid), convalidated"
                " from pg_constraint where connamespace <> 'pg_catalog'::regnamespace"
                " and connamespace <> 'information_schema'::regnamespace order by 1, 2",
                "triggers": "select tgrelid::regclass::text, regexp_replace(tgname, '_[0-9]+$', ''), tgenabled"
                " from pg_trigger order by 1, 2, 3",
                "sequences": "select seqrelid::regclass::text, seqtypid::regtype::text, seqmax, seqmin, seqcycle"
                " from pg_sequence order by 1",
                "tables": "select oid::regclass::text, relpersistence, relreplident from pg_class"
                " where oid >= 16384 and relkind in ('r', 'p') order by 1",
                "indexes": "select pg_get_indexdef(indexrelid) from pg_index where indrelid >= 16384"
                " and indrelid::regclass::text not like 'pg_toast%' order by 1",
            }.items()
        }


def tell_and_mend(
    db: FreshDatabase, check: str, name: str, kind: Kind, *, severity: Severity = Severity.WARNING
) -> None:
    """The fault is found, the advice mends it, the undo brings it back as it was."""
    before = catalog(db)
    found = the_finding(ask(db.dsn, check))
    assert (found.object, found.kind, found.severity) == (name, kind, severity)
    assert found.detail
    advice = mend(db, found)
    assert ask(db.dsn, check).ok == (check,)
    paste(db, advice.undo_sql)
    assert catalog(db) == before
    assert the_finding(ask(db.dsn, check)).object == name


# --- no_primary_key -------------------------------------------------------------------------------


def test_a_table_without_a_key_is_found_and_numbered(pg: FreshDatabase) -> None:
    pg.execute(
        "create table keyed (id int primary key)",
        "create view v as select 1 as a",
        "create materialized view m as select 1 as a",
        "create temp table t (a int)",
        "create table parts (id int, d date, primary key (id, d)) partition by range (d)",
        "create table parts1 partition of parts for values from ('2026-01-01') to ('2027-01-01')",
        "create table loose (id int, d date) partition by range (d)",
        "create table loose1 partition of loose for values from ('2026-01-01') to ('2027-01-01')",
        "alter table loose1 add primary key (id)",
        "create extension hstore",
    )
    assert ask(pg.dsn, "no_primary_key").ok == ("no_primary_key",)
    pg.execute("create table log (id int, line text)", "insert into log values (1, 'a'), (1, 'a')")
    tell_and_mend(pg, "no_primary_key", "public.log", Kind.TABLE)


def test_partitions_without_a_key_are_one_finding(pg: FreshDatabase) -> None:
    pg.execute(
        "create table p (id int, d date) partition by range (d)",
        "create table p1 partition of p for values from ('2026-01-01') to ('2027-01-01')",
        "create table p2 partition of p default",
    )
    assert objects(ask(pg.dsn, "no_primary_key")) == ["public.p"]


def test_a_unique_index_that_could_be_the_key_makes_it_a_notice(pg: FreshDatabase) -> None:
    pg.execute("create table t (a int not null, b int)", "create unique index t_a on t (a)")
    tell_and_mend(pg, "no_primary_key", "public.t", Kind.TABLE, severity=Severity.NOTICE)
    pg.execute("create unique index t_b on t (b)", "drop index t_a")
    assert the_finding(ask(pg.dsn, "no_primary_key")).severity is Severity.WARNING


# --- sequence_exhaustion --------------------------------------------------------------------------

NEARLY_OVER = {
    "smallserial": ("create table t (c smallserial)", "select setval('t_c_seq', 32000)"),
    "serial": ("create table t (c serial)", "select setval('t_c_seq', 2000000000)"),
    "identity": (
        "create table t (c int generated always as identity)",
        "select setval(pg_get_serial_sequence('t', 'c'), 2100000000)",
    ),
    "bigint sequence into int": (
        "create sequence s",
        "create table t (c int default nextval('s'))",
        "select setval('s', 2100000000)",
    ),
    "owned only": (
        "create table t (c int)",
        "create sequence s owned by t.c",
        "select setval('s', 2100000000)",
    ),
    "its own limit": (
        "create sequence s maxvalue 1000",
        "create table t (c bigint default nextval('s'))",
        "select setval('s', 999)",
    ),
    "downwards": (
        "create sequence s increment -1 minvalue -2147483648 maxvalue 0 start 0",
        "create table t (c int default nextval('s'))",
        "select setval('s', -2100000000)",
    ),
    "of a domain": (
        "create domain number as int",
        "create sequence s",
        "create table t (c number default nextval('s'))",
        "select setval('s', 2100000000)",
    ),
    "turns round too late": (
        "create sequence s cycle",
        "create table t (c int default nextval('s'))",
        "select setval('s', 2100000000)",
    ),
}
FAR_FROM_OVER = {
    "unused": ("create table t (c serial)",),
    "half used": ("create table t (c serial)", "select setval('t_c_seq', 1000000000)"),
    "large in bigint": ("create table t (c bigserial)", "select setval('t_c_seq', 2100000000)"),
    "turns round": (
        "create sequence s as int cycle",
        "create table t (c int default nextval('s'))",
        "select setval('s', 2147483000)",
    ),
    "upwards from far below": (
        "create sequence s minvalue -2147483648 start -2147483648",
        "create table t (c int default nextval('s'))",
        "select setval('s', -2000000000)",
    ),
}


def in_schemas(db: FreshDatabase, cases: dict[str, tuple[str, ...]]) -> None:
    for number, case in enumerate(cases.values()):
        db.execute(f"create schema s{number}", f"set search_path = s{number}", *case)


def test_sequences_that_near_the_end_of_their_column_are_found_and_widened(pg: FreshDatabase) -> None:
    in_schemas(pg, {name: case for name, case in NEARLY_OVER.items() if name != "of a domain"})
    before = catalog(pg)
    answer = ask(pg.dsn, "sequence_exhaustion")
    assert objects(answer) == [f"s{number}.t.c" for number in range(len(NEARLY_OVER) - 1)]
    assert {found.severity for found in answer.findings} == {Severity.CRITICAL}
    assert {found.kind for found in answer.findings} == {Kind.COLUMN}
    for found in answer.findings:
        mend(pg, found)
    assert ask(pg.dsn, "sequence_exhaustion").ok == ("sequence_exhaustion",)
    for found in answer.findings:
        paste(pg, found.advice[0].undo_sql)
    assert catalog(pg) == before


def test_a_column_of_a_domain_counts_by_its_base_type(pg: FreshDatabase) -> None:
    pg.execute(*NEARLY_OVER["of a domain"])
    assert the_finding(ask(pg.dsn, "sequence_exhaustion")).evidence["limit"] == 2**31 - 1


def test_sequences_far_from_the_end_are_no_fault(pg: FreshDatabase) -> None:
    in_schemas(pg, FAR_FROM_OVER)
    assert ask(pg.dsn, "sequence_exhaustion").ok == ("sequence_exhaustion",)


def test_four_fifths_are_a_warning_and_each_column_of_a_shared_sequence_counts(pg: FreshDatabase) -> None:
    pg.execute(
        "create sequence s",
        "create table a (c int default nextval('s'))",
        "create table b (c int default nextval('s'))",
        "create table d (c bigint default nextval('s'))",
        "select setval('s', 1750000000)",
    )
    answer = ask(pg.dsn, "sequence_exhaustion")
    assert [(f.object, f.severity) for f in answer.findings] == [
        ("public.a.c", Severity.WARNING),
        ("public.b.c", Severity.WARNING),
    ]


def test_the_columns_of_partitions_are_those_of_their_parent(pg: FreshDatabase) -> None:
    pg.execute(
        "create table p (c serial, d date) partition by range (d)",
        "create table p1 partition of p for values from ('2026-01-01') to ('2027-01-01')",
        "select setval('p_c_seq', 2100000000)",
    )
    assert objects(ask(pg.dsn, "sequence_exhaustion")) == ["public.p.c"]


def test_sequences_that_may_not_be_read_are_blind_with_the_grant(pg: FreshDatabase) -> None:
    pg.execute(*NEARLY_OVER["serial"])
    for rights in ("", "pg_monitor"):
        role = pg.role(f"plain{rights}", member_of=rights)
        answer = ask(pg.dsn_as(role), "sequence_exhaustion")
        assert answer.findings == ()
        (blind,) = answer.blind
        assert blind.object == "public.t_c_seq"
        paste(pg, blind.cure)
        assert objects(ask(pg.dsn_as(role), "sequence_exhaustion")) == ["public.t.c"]


def test_a_sequence_that_is_being_altered_is_blind_alone(pg: FreshDatabase) -> None:
    pg.execute("create table t (c serial)", "create table u (c serial)", "select setval('u_c_seq', 2100000000)")
    with pg.connect(autocommit=False) as holder:
        holder.execute("alter sequence t_c_seq maxvalue 100")
        answer = ask(pg.dsn, "sequence_exhaustion")
        assert objects(answer) == ["public.u.c"]
        assert [blind.object for blind in answer.blind] == ["public.t_c_seq"]


# --- constraints ----------------------------------------------------------------------------------


def test_constraints_that_were_never_validated_are_found_and_validated(pg: FreshDatabase) -> None:
    pg.execute(
        "create table p (id int primary key)",
        "create table t (id int primary key, a int check (a > 0), b int references p)",
        "create domain d as int",
    )
    assert ask(pg.dsn, "not_validated_constraint").ok == ("not_validated_constraint",)
    pg.execute("alter table t add constraint positive check (b > 0) not valid")
    tell_and_mend(pg, "not_validated_constraint", "public.t.positive", Kind.CONSTRAINT)
    pg.execute(
        "alter table t validate constraint positive",
        "alter table t add constraint to_p foreign key (a) references p not valid",
    )
    tell_and_mend(pg, "not_validated_constraint", "public.t.to_p", Kind.CONSTRAINT)
    pg.execute(
        "alter table t validate constraint to_p", "alter domain d add constraint small check (value < 9) not valid"
    )
    mend(pg, the_finding(ask(pg.dsn, "not_validated_constraint")))
    assert ask(pg.dsn, "not_validated_constraint").ok == ("not_validated_constraint",)


def test_a_constraint_that_children_inherit_is_one_finding(pg: FreshDatabase) -> None:
    pg.execute(
        "create table p (a int) partition by list (a)",
        "create table p1 partition of p for values in (1)",
        "create table q (a int)",
        "create table r () inherits (q)",
        "alter table q add constraint positive check (a > 0) not valid",
        "alter table p add constraint few check (a < 9) not valid",
    )
    assert objects(ask(pg.dsn, "not_validated_constraint")) == ["public.p.few", "public.q.positive"]


@pytest.mark.pg(">= 18")
def test_not_null_may_wait_for_validation_and_not_enforced_is_meant_so(pg: FreshDatabase) -> None:
    pg.execute(
        "create table t (a int, b int, constraint c check (a > 0) not enforced)",
        "alter table t add constraint b_known not null b not valid",
    )
    found = the_finding(ask(pg.dsn, "not_validated_constraint"))
    assert (found.object, found.evidence["type"]) == ("public.t.b_known", "not null")
    mend(pg, found)
    assert ask(pg.dsn, "not_validated_constraint").ok == ("not_validated_constraint",)


def test_a_foreign_key_of_another_type_is_found_and_converted(pg: FreshDatabase) -> None:
    pg.execute(
        "create domain number as bigint",
        "create table p (id bigint primary key, code varchar(10) unique, n numeric(9) unique)",
        "insert into p values (1, 'a', 1)",
        "create table fine (id int primary key, p bigint references p, c text references p (code),"
        " d number references p, n numeric(5) references p (n))",
    )
    assert ask(pg.dsn, "foreign_key_type_mismatch").ok == ("foreign_key_type_mismatch",)
    pg.execute(
        "create table t (id int primary key, p_id int constraint to_p references p)", "insert into t values (1, 1)"
    )
    tell_and_mend(pg, "foreign_key_type_mismatch", "public.t.to_p", Kind.CONSTRAINT)


def test_a_second_foreign_key_between_the_same_columns_is_found_and_dropped(pg: FreshDatabase) -> None:
    pg.execute(
        "create table p (a int, b int, c int unique, primary key (a, b))",
        "create table t (a int, b int, c int, x int, constraint one foreign key (a, b) references p,"
        " constraint other foreign key (a, x) references p, constraint third foreign key (c) references p (c))",
    )
    assert ask(pg.dsn, "duplicate_foreign_key").ok == ("duplicate_foreign_key",)
    pg.execute("alter table t add constraint two foreign key (b, a) references p (b, a) on delete cascade")
    tell_and_mend(pg, "duplicate_foreign_key", "public.t.two", Kind.CONSTRAINT)


def test_foreign_keys_of_partitions_are_those_of_their_parent(pg: FreshDatabase) -> None:
    pg.execute(
        "create table r (id int primary key) partition by range (id)",
        "create table r1 partition of r for values from (0) to (10)",
        "create table r2 partition of r for values from (10) to (20)",
        "create table p (id int, r_id bigint references r) partition by range (id)",
        "create table p1 partition of p for values from (0) to (10)",
    )
    assert ask(pg.dsn, "duplicate_foreign_key").ok == ("duplicate_foreign_key",)
    assert objects(ask(pg.dsn, "foreign_key_type_mismatch")) == ["public.p.p_r_id_fkey"]


# --- disabled_trigger -----------------------------------------------------------------------------

TRIGGER = "create function f() returns trigger language plpgsql as 'begin return new; end'"


def test_a_disabled_trigger_is_found_and_enabled(pg: FreshDatabase) -> None:
    pg.execute(
        TRIGGER,
        "create table t (a int)",
        'create trigger "of T" before insert on t for each row execute function f()',
        "create trigger replicating before insert on t for each row execute function f()",
        "alter table t enable replica trigger replicating",
    )
    assert ask(pg.dsn, "disabled_trigger").ok == ("disabled_trigger",)
    pg.execute('alter table t disable trigger "of T"')
    tell_and_mend(pg, "disabled_trigger", 'public.t."of T"', Kind.TRIGGER)


def test_a_foreign_key_whose_triggers_are_off_is_found_and_enabled(pg: FreshDatabase) -> None:
    pg.execute(
        "create table p (id int primary key)",
        "create table t (p int constraint to_p references p)",
        "alter table t disable trigger all",
    )
    tell_and_mend(pg, "disabled_trigger", "public.t.to_p", Kind.TRIGGER)
    mend(pg, the_finding(ask(pg.dsn, "disabled_trigger")))
    with pytest.raises(psycopg.errors.ForeignKeyViolation):
        pg.execute("insert into t values (1)")


def test_the_triggers_of_partitions_are_those_of_their_parent(pg: FreshDatabase) -> None:
    pg.execute(
        TRIGGER,
        "create table p (a int) partition by list (a)",
        "create table p1 partition of p for values in (1)",
        "create table p2 partition of p for values in (2)",
        "create trigger tr after insert on p for each row execute function f()",
        "alter table p1 disable trigger tr",
        "alter table p2 disable trigger tr",
    )
    found = the_finding(ask(pg.dsn, "disabled_trigger"))
    assert found.object == "public.p.tr"
    mend(pg, found)
    assert ask(pg.dsn, "disabled_trigger").ok == ("disabled_trigger",)


# --- unlogged_table -------------------------------------------------------------------------------


def test_an_unlogged_table_with_rows_is_found_and_logged(pg: FreshDatabase) -> None:
    pg.execute("create unlogged table u (id int primary key)", "create table l (id int primary key)")
    assert ask(pg.dsn, "unlogged_table").ok == ("unlogged_table",)
    pg.execute("insert into u select generate_series(1, 10)")
    counted(pg, "relname = 'u' and n_live_tup = 10")
    tell_and_mend(pg, "unlogged_table", "public.u", Kind.TABLE)


# --- expired_partitions ---------------------------------------------------------------------------


def events(db: FreshDatabase, *bounds: str, key: str = "timestamptz", name: str = "ev") -> None:
    """A table partitioned by time; bounds are SQL expressions, each partition from one to the next."""
    db.execute(
        f"create table {name} (id int generated always as identity, at {key}, note text) partition by range (at)"
    )
    for number, (low, high) in enumerate(itertools.pairwise(bounds)):
        db.execute(
            f"do $$ begin execute format('create table {name}{number} partition of {name}"
            f" for values from (%L) to (%L)', ({low})::{key}, ({high})::{key}); end $$"
        )


MONTH = "date_trunc('month', now())"
MONTHS = [f"{MONTH} + interval '{number} months'" for number in range(-6, 4)]
LAST_YEAR = [f"{MONTH} - interval '{number} months'" for number in (14, 13, 12)]


def test_a_table_that_has_run_out_of_partitions_is_found_and_gets_some(pg: FreshDatabase) -> None:
    events(pg, *LAST_YEAR)
    found = the_finding(ask(pg.dsn, "expired_partitions"))
    assert (found.severity, found.kind, found.object) == (Severity.WARNING, Kind.TABLE, "public.ev")
    before = catalog(pg)
    advice = mend(pg, found)
    assert ask(pg.dsn, "expired_partitions").ok == ("expired_partitions",)
    pg.execute("insert into ev (at) values (now())")
    with pytest.raises(psycopg.errors.RaiseException, match="it has rows by now"):
        paste(pg, "\n".join(reversed((advice.undo_sql or "").splitlines())))
    pg.execute("delete from ev")
    for statement in (advice.undo_sql or "").splitlines():
        with psycopg.connect(pg.dsn, autocommit=True) as conn, conn.transaction():
            conn.execute(statement.replace("DROP TABLE", "DROP TABLE IF EXISTS").encode())
    assert catalog(pg) == before


@pytest.mark.parametrize("key", ["date", "timestamp", "timestamp(3) with time zone"])
def test_all_kinds_of_time_can_run_out(pg: FreshDatabase, key: str) -> None:
    events(pg, *LAST_YEAR, key=key)
    events(pg, "now() - interval '9 days'", "now() - interval '2 days'", key=key, name="weekly")
    answer = ask(pg.dsn, "expired_partitions")
    assert objects(answer) == ["public.ev", "public.weekly"]
    for found in answer.findings:
        mend(pg, found)
    assert ask(pg.dsn, "expired_partitions").ok == ("expired_partitions",)


def test_tables_with_room_ahead_are_no_fault(pg: FreshDatabase) -> None:
    events(pg, *MONTHS)
    events(pg, *MONTHS[:-3], "'infinity'", name="endless")
    events(pg, f"{MONTH} - interval '1 year'", f"{MONTH} + interval '1 year'", name="wide")
    pg.execute(
        "create table open (at date) partition by range (at)",
        "create table open1 partition of open for values from ('2020-01-01') to (maxvalue)",
        "create table spare partition of ev default",
        "create table hashed (a int) partition by hash (a)",
        "create table hashed0 partition of hashed for values with (modulus 1, remainder 0)",
        "create table ids (a int) partition by range (a)",
        "create table ids0 partition of ids for values from (0) to (10)",
        "create table listed (a text) partition by list (a)",
        "create table listed1 partition of listed for values in ('a')",
        "create table rest partition of listed default",
    )
    assert ask(pg.dsn, "expired_partitions").ok == ("expired_partitions",)


def test_the_end_that_is_near_is_told(pg: FreshDatabase) -> None:
    events(pg, "now() - interval '30 days'", "now() + interval '1 day'")
    found = the_finding(ask(pg.dsn, "expired_partitions"))
    assert found.evidence["ahead_s"] == pytest.approx(86400, abs=300)
    assert "ends in" in found.detail


@pytest.mark.parametrize("bounds", [MONTHS[:7], ["now() - interval '40 days'", "now() - interval '30 days'"]])
def test_rows_in_the_default_partition_are_found_and_moved(pg: FreshDatabase, bounds: list[str]) -> None:
    events(pg, *bounds)
    pg.execute("create table rest partition of ev default")
    if bounds is MONTHS[:7]:
        assert ask(pg.dsn, "expired_partitions").ok == ("expired_partitions",)
    pg.execute("insert into ev (at, note) select now() + interval '40 days' * i, 'x' from generate_series(0, 9) i")
    counted(pg, "relname = 'rest' and n_live_tup > 0")
    found = the_finding(ask(pg.dsn, "expired_partitions"))
    assert (found.object, found.severity) == ("public.ev", Severity.WARNING)
    mend(pg, found)
    counted(pg, "relname = 'rest' and n_live_tup = 0 and n_tup_del > 0")
    with psycopg.connect(pg.dsn) as conn:
        assert conn.execute("select count(*) from rest").fetchone() == (0,)
        assert conn.execute("select count(*) from ev").fetchone() == (10,)
    assert ask(pg.dsn, "expired_partitions").findings == ()


def test_a_default_for_the_rest_of_a_list_is_a_notice(pg: FreshDatabase) -> None:
    pg.execute(
        "create table l (a text) partition by list (a)",
        "create table l1 partition of l for values in ('a')",
        "create table l2 partition of l default",
        "insert into l values ('b')",
    )
    counted(pg, "relname = 'l2' and n_live_tup > 0")
    assert the_finding(ask(pg.dsn, "expired_partitions")).severity is Severity.NOTICE


# --- no_replica_identity --------------------------------------------------------------------------


def test_a_published_table_without_identity_is_found_and_gets_one(pg: FreshDatabase) -> None:
    pg.execute(
        "create table keyed (id int primary key)",
        "create table whole (a int)",
        "alter table whole replica identity full",
        "create table chosen (a int not null)",
        "create unique index chosen_a on chosen (a)",
        "alter table chosen replica identity using index chosen_a",
        "create table apart (a int)",
        "create table appended (a int)",
        "create publication good for table keyed, whole, chosen",
        "create publication inserts for table appended with (publish = 'insert')",
    )
    assert ask(pg.dsn, "no_replica_identity").ok == ("no_replica_identity",)
    pg.execute("create table t (a int not null)", "alter publication good add table t")
    tell_and_mend(pg, "no_replica_identity", "public.t", Kind.TABLE)
    pg.execute("create unique index t_a on t (a)")
    assert "USING INDEX t_a" in the_finding(ask(pg.dsn, "no_replica_identity")).advice[0].sql
    tell_and_mend(pg, "no_replica_identity", "public.t", Kind.TABLE)


def test_all_tables_are_published_but_unlogged_ones(pg: FreshDatabase) -> None:
    pg.execute(
        "create table t (a int)",
        "create unlogged table u (a int)",
        "create table n (id int primary key)",
        "alter table n replica identity nothing",
        "create table p (a int) partition by list (a)",
        "create table p1 partition of p for values in (1)",
        "create table p2 partition of p for values in (2)",
        "create publication everything for all tables",
    )
    assert objects(ask(pg.dsn, "no_replica_identity")) == ["public.n", "public.p", "public.t"]


@pytest.mark.pg(">= 15")
def test_a_schema_may_be_published(pg: FreshDatabase) -> None:
    pg.execute(
        "create schema s",
        "create table s.t (a int)",
        "create table t (a int)",
        "create publication of_schema for tables in schema s",
    )
    assert objects(ask(pg.dsn, "no_replica_identity")) == ["s.t"]


# --- discouraged_type and nested_views ------------------------------------------------------------


@pytest.mark.parametrize(
    "declared,value",
    [
        ("timestamp", "'2026-01-02 03:04:05'"),
        ("timestamp(3)", "'2026-01-02 03:04:05'"),
        ("money", "12.5"),
        ("char(7)", "'ab'"),
        ("character", "'a'"),
    ],
)
def test_a_discouraged_type_is_noticed_and_changed(pg: FreshDatabase, declared: str, value: str) -> None:
    pg.execute(
        'create table t (id int primary key, c varchar(9), d timestamptz, e "char", f numeric, g text, h date)',
        "create view v as select now()::timestamp as at",
    )
    assert ask(pg.dsn, "discouraged_type").ok == ("discouraged_type",)
    pg.execute(f"alter table t add x {declared}", f"insert into t (id, x) values (1, {value})")
    tell_and_mend(pg, "discouraged_type", "public.t.x", Kind.COLUMN, severity=Severity.NOTICE)
    with psycopg.connect(pg.dsn) as conn:
        assert conn.execute(f"select x = {value}::{declared} from t").fetchone() == (True,)


def test_a_pile_of_views_is_noticed_once(pg: FreshDatabase) -> None:
    pg.execute(
        "create table t (a int)",
        "create view v1 as select * from t",
        "create view v2 as select * from v1 union all select * from v1",
        "create view v3 as select * from v2",
        "create materialized view m as select * from v3",
        "create view w1 as select * from m",
        "create view w2 as select * from w1",
        "create recursive view r (n) as select 1 union all select n + 1 from r where n < 9",
    )
    assert objects(ask(pg.dsn, "nested_views")) == []
    pg.execute(
        "refresh materialized view m", "create view v4 as select * from v3", "create view v5 as select * from v4"
    )
    answer = ask(pg.dsn, "nested_views")
    found = next(f for f in answer.findings if f.object == "public.v5")
    assert (found.kind, found.severity, found.evidence["depth"]) == (Kind.VIEW, Severity.NOTICE, 5)
    assert "v5 → public.v4 → public.v3 → public.v2 → public.v1" in found.detail


def test_views_that_read_each_other_do_not_hang_us(pg: FreshDatabase) -> None:
    pg.execute(
        "create view a as select 1 as x",
        "create view b as select x from a",
        "create or replace view a as select x from b",
    )
    assert ask(pg.dsn, "nested_views").ok == ("nested_views",)


# --- what all of them have in common --------------------------------------------------------------


def test_an_empty_database_is_healthy(pg: FreshDatabase) -> None:
    answer = diagnose(pg.dsn, only=["schema"])
    assert (answer.findings, answer.blind) == ((), ())


def test_names_that_want_quoting_survive(pg: FreshDatabase) -> None:
    name = '"t %s ""q"" 😀"'
    pg.execute(
        f"create schema {name}",
        f"create table {name}.{name} ({name} serial, x int)",
        f"alter table {name}.{name} add constraint {name} check (x > 0) not valid",
    )
    answer = diagnose(pg.dsn, only=["schema"])
    assert [(f.check, f.object) for f in answer.findings] == [
        ("no_primary_key", f"{name}.{name}"),
        ("not_validated_constraint", f"{name}.{name}.{name}"),
    ]
    for found in answer.findings:
        mend(pg, found)
    assert diagnose(pg.dsn, only=["schema"]).findings == ()


def test_a_lock_queue_hides_no_finding(pg: FreshDatabase) -> None:
    pg.execute(
        "create table t (id serial, x int)",
        "alter table t add constraint positive check (x > 0) not valid",
        "create table u (id serial primary key, x int)",
        "alter table u add constraint positive check (x > 0) not valid",
    )
    before = [(f.check, f.object) for f in diagnose(pg.dsn, only=["schema"]).findings]
    reader = pg.connect(autocommit=False)
    reader.execute("select count(*) from t")
    waiting = pg.connect()
    alter = threading.Thread(target=lambda: waiting.execute("alter table t add y int"))
    alter.start()
    try:
        until(
            lambda: pg.connect().execute("select count(*) from pg_locks where not granted").fetchone() == (1,),
            "ALTER TABLE waits",
        )
        answer = diagnose(pg.dsn, only=["schema"])
        assert [(f.check, f.object) for f in answer.findings] == before
        undo = {f.object: f.advice[0].undo_sql for f in answer.findings if f.check == "not_validated_constraint"}
        assert undo["public.t.positive"] is None
        assert undo["public.u.positive"] is not None
    finally:
        reader.rollback()
        alter.join()
