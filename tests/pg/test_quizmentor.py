"""QuizMentor's data set: deterministic, sick only in the runbook's ways, and the same under any names."""

from __future__ import annotations

import psycopg
import pytest
from tests.fix.quizmentor import SIZE, TABLES, USERS, checksums, rows

from pgrunbook.demo.operations import OPERATIONS, Form, scripts
from pgrunbook.demo.quizmentor import Names, Size, load, sicken_sessions
from pgrunbook.demo.quizmentor.names import vocabulary
from pgrunbook.errors import Refused, UsageError
from pgrunbook.lab import embedded_binaries
from pgrunbook.procedures.load import LoadSpec, run_load

COLUMNS = """
    select c.relname, a.attname, format_type(a.atttypid, a.atttypmod), a.attnotnull, a.attidentity, a.attgenerated
    from pg_class as c
    join pg_attribute as a on a.attrelid = c.oid and a.attnum > 0
    where c.relnamespace = 'public'::regnamespace and c.relkind = 'r'
    order by c.relname, a.attnum
"""
CONSTRAINTS = """
    select conrelid::regclass::text, conname, pg_get_constraintdef(oid), convalidated
    from pg_constraint where connamespace = 'public'::regnamespace order by 1, 2
"""
RIGHTS = """
    select relname, relacl::text, relrowsecurity
    from pg_class where relnamespace = 'public'::regnamespace and relkind in ('r', 'S') order by 1
"""
FUNCTIONS = """
    select oid::regprocedure::text, prosrc, provolatile
    from pg_proc where pronamespace in ('public'::regnamespace, 'auth'::regnamespace) order by 1
"""
POLICIES = "select tablename, policyname, permissive, roles::text, cmd, with_check from pg_policies order by 1, 2"
CONDITIONS = "select tablename, policyname, qual from pg_policies order by 1, 2"
INDEXES = "select indexname from pg_indexes where schemaname = 'public' order by 1"
SETTINGS = """
    select r.rolname, unnest(s.setconfig)
    from pg_db_role_setting as s
    join pg_database as d on d.oid = s.setdatabase and d.datname = current_database()
    left join pg_roles as r on r.oid = s.setrole
    order by 1, 2
"""
OPTIONS = """
    select relname, reloptions::text
    from pg_class where relnamespace = 'public'::regnamespace and reloptions is not null
"""


def test_sick_and_healthy_have_the_same_rows(quizmentors):
    sick, healthy = quizmentors.sick, quizmentors.healthy
    found = checksums(sick)
    assert found == checksums(healthy)
    assert found["users"][0] == USERS
    assert found["events"][0] == 50 * USERS
    assert all(count > 0 for count, _ in found.values())


def test_the_same_seed_gives_the_same_rows_and_another_seed_others(quizmentors):
    first = checksums(quizmentors.healthy)
    again = checksums(quizmentors.get("again", sick=False, seed=1))
    other = checksums(quizmentors.get("other", sick=True, seed=6))
    assert first == again
    assert all(first[table][1] != other[table][1] for table in TABLES)


def test_sick_and_healthy_differ_in_nothing_but_the_faults(quizmentors):
    sick, healthy = quizmentors.sick, quizmentors.healthy
    for question in (COLUMNS, CONSTRAINTS, RIGHTS, FUNCTIONS, POLICIES):
        assert rows(sick, question) == rows(healthy, question)
    assert rows(sick, CONDITIONS) != rows(healthy, CONDITIONS)
    assert rows(sick, INDEXES) != rows(healthy, INDEXES)
    assert [row for row in rows(sick, SETTINGS) if row[0] == "quizmentor_app"] == []
    assert [row[1] for row in rows(healthy, SETTINGS) if row[0] == "quizmentor_app"] == [
        "idle_in_transaction_session_timeout=10s",
        "lock_timeout=2s",
        "statement_timeout=5s",
    ]
    assert rows(sick, OPTIONS) == [("user_sessions", "{autovacuum_enabled=false}")]
    assert all("autovacuum_enabled" not in options for _, options in rows(healthy, OPTIONS))


def test_the_sick_one_has_the_faults_that_live_in_the_catalog(quizmentors):
    sick = quizmentors.sick
    assert rows(sick, "select indexrelid::regclass::text from pg_index where not indisvalid") == [
        ("users_display_name_key",)
    ]
    duplicates = rows(
        sick,
        """
        select count(*) from (
            select indrelid, indkey::text from pg_index where indisvalid and indrelid > 16384
            group by 1, 2 having count(*) > 1
        ) as d
        """,
    )
    assert duplicates[0][0] >= 3
    size = "select pg_relation_size('user_sessions')"
    changed = "select n_mod_since_analyze > 2 * n_live_tup, n_dead_tup > n_live_tup from pg_stat_user_tables"
    changed += " where relname = 'user_sessions'"
    healthy = quizmentors.healthy
    assert rows(sick, size)[0][0] > 3 * rows(healthy, size)[0][0]
    assert rows(sick, changed) == [(True, True)]
    assert rows(healthy, changed) == [(False, False)]
    without_index = """
        select count(*) from pg_constraint as c
        where c.contype = 'f' and not exists (
            select from pg_index as i where i.indrelid = c.conrelid and i.indisvalid and i.indkey[0] = c.conkey[1]
        )
    """
    assert rows(sick, without_index)[0][0] >= 8
    assert rows(healthy, without_index)[0][0] == 0


def test_faults_of_sessions_last_as_long_as_their_block(quizmentors):
    sick = quizmentors.sick
    slots = "select slot_name, active, restart_lsn is not null from pg_replication_slots"
    idle = """
        select state, backend_xmin is not null, usename
        from pg_stat_activity where application_name = 'quizmentor-report'
    """
    dead = "select n_dead_tup from pg_stat_user_tables where relname = 'user_performance'"
    before = checksums(sick)
    with sicken_sessions(sick) as made:
        assert rows(sick, slots) == [(made.slot, False, True)]
        assert rows(sick, idle) == [("idle in transaction", True, "quizmentor_app")]
        rows(sick, "select 1")
        with psycopg.connect(sick, autocommit=True) as conn:
            conn.execute("vacuum user_performance")
            conn.execute("select pg_stat_force_next_flush()")
        assert rows(sick, dead)[0][0] >= 0.3 * 10 * USERS
        assert checksums(sick) == before
    assert rows(sick, slots) == []
    assert rows(sick, idle) == []


def test_a_cure_may_take_the_session_and_the_slot_away(quizmentors):
    sick = quizmentors.sick
    with sicken_sessions(sick) as made:
        rows(sick, f"select pg_terminate_backend({made.idle_pid}, 10000)")
        rows(sick, f"select pg_drop_replication_slot('{made.slot}')")
    assert rows(sick, "select slot_name from pg_replication_slots") == []


def test_a_database_with_tables_is_refused_and_left_alone(quizmentors):
    before = checksums(quizmentors.sick)
    with pytest.raises(Refused, match="not empty"):
        load(quizmentors.sick, users=USERS, sick=True)
    assert checksums(quizmentors.sick) == before


@pytest.mark.parametrize("users", [0, 499, 1_000_001])
def test_a_size_that_cannot_be_made_is_refused(users):
    with pytest.raises(UsageError, match="users"):
        Size(users=users)


def test_progress_grows_to_the_whole(quizmentors):
    told = []
    quizmentors.get("told", sick=True, progress=lambda what, ratio: told.append((what, ratio)))
    ratios = [ratio for _, ratio in told]
    assert ratios == sorted(ratios)
    assert ratios[-1] == 1.0


def test_renamed_keeps_no_name_of_the_application_and_all_of_its_rows(quizmentors):
    names = Names.renamed("x")
    renamed = quizmentors.get("renamed", sick=True, rename="x")
    used = {
        row[0]
        for row in rows(
            renamed,
            """
            select relname from pg_class where relnamespace = 'public'::regnamespace
            union select attname from pg_attribute as a join pg_class as c on c.oid = a.attrelid
                where c.relnamespace = 'public'::regnamespace and c.relkind = 'r' and attnum > 0
            union select conname from pg_constraint where connamespace = 'public'::regnamespace
            union select policyname from pg_policies
            """,
        )
    }
    assert used
    assert all(name.startswith("x") for name in used)
    assert not used & set(vocabulary())
    assert checksums(renamed, names) == checksums(quizmentors.sick)


def test_odd_names_are_quoted(quizmentors):
    odd = Names(mapping={name: f'{name} "odd"; drop' for name in vocabulary()})
    dsn = quizmentors.get("odd", sick=False, rename=odd)
    assert checksums(dsn, odd) == checksums(quizmentors.healthy)


@pytest.mark.parametrize("form", list(Form))
def test_every_operation_runs_under_load_whatever_its_names(quizmentors, form):
    renamed = quizmentors.get("busy", sick=True, rename="x")
    spec = LoadSpec(
        users=6, think_s=0.02, warmup_s=0.2, duration_s=2.0, scripts=scripts(form, SIZE, Names.renamed("x"))
    )
    dsn = psycopg.conninfo.make_conninfo(renamed, user="quizmentor_app")
    result = run_load(spec, dsn, embedded_binaries())
    assert (result.failed, result.lost_users) == (0, 0)
    assert {name for name, each in result.per_script.items() if each.samples} == {o.name for o in OPERATIONS}
