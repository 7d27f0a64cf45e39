"""Rehearsals: the same steps on a copy of the schema; good ones pass, broken ones stop before the target."""

from __future__ import annotations

import psycopg
import pytest
from tests.fix.server import FreshDatabase

from pgrunbook.errors import Refused, RehearsalFailed
from pgrunbook.journey.rehearse import raise_if_failed, rehearse
from pgrunbook.journey.rehearse.lock_watch import lock_of, stronger
from pgrunbook.journey.steps import Before, Step
from pgrunbook.journey.steps.analyze import Analyze
from pgrunbook.journey.steps.create_index import CreateIndex
from pgrunbook.journey.steps.drop_index import DropIndex
from pgrunbook.journey.steps.drop_invalid_index import DropInvalidIndex
from pgrunbook.journey.steps.drop_slot import DropSlot
from pgrunbook.journey.steps.replace_policy import ReplacePolicy
from pgrunbook.journey.steps.validate_constraint import ValidateConstraint
from pgrunbook.lab import Pgbouncer
from pgrunbook.lab.schema import dump
from pgrunbook.model import Kind, Lock
from pgrunbook.model.plan import MeasuredQuery
from pgrunbook.model.rehearsal import Rehearsal, RehearsalState
from pgrunbook.pg.connect import Session

HOSTILE = "t a'b; \\ drop\ntable %s big;--\"x 🐘"
QUOTED = '"' + HOSTILE.replace('"', '""') + '"'


def states(rehearsal: Rehearsal) -> list[str]:
    return [step.state.value for step in rehearsal.steps]


def schema_of(pg: FreshDatabase) -> list[str]:
    done = pg.cluster.run("pg_dump", "--schema-only", f"--dbname={pg.dsn}")
    assert done.returncode == 0, done.stderr
    return [line for line in done.stdout.splitlines() if not line.startswith("\\")]


def test_good_steps_pass_with_their_undo_and_the_target_is_untouched(pg: FreshDatabase) -> None:
    pg.role("app")
    pg.execute(
        "create table orders (id int primary key, customer_id int, word text)",
        "create index orders_word_idx on orders (word)",
        f"create table {QUOTED} (id int primary key, owner int)",
        f"alter table {QUOTED} enable row level security",
        "create function uid() returns int language sql stable as 'select 1'",
        f'create policy "p\'ol""x" on {QUOTED} for select to app using (owner = uid())',
    )
    before = schema_of(pg)
    steps: list[Step] = [
        CreateIndex(schema="public", table="orders", keys=("customer_id",)),
        CreateIndex(schema="public", table=HOSTILE, keys=("owner",)),
        DropIndex(schema="public", name="orders_word_idx"),
        Analyze(schema="public", table="orders"),
        ReplacePolicy(
            schema="public",
            table=HOSTILE,
            name="p'ol\"x",
            using="(owner = (select public.uid()))",
            old_using="(owner = public.uid())",
        ),
    ]
    rehearsal = rehearse(steps, pg.dsn)
    assert states(rehearsal) == ["passed"] * 5, rehearsal.steps
    assert [step.undo_checked for step in rehearsal.steps] == [True, True, True, False, True]
    assert all(step.duration_on_empty_s is not None for step in rehearsal.steps)
    assert rehearsal.scratch_version == pg.cluster.binaries.version
    assert rehearsal.left_out == ()
    raise_if_failed(rehearsal)
    assert schema_of(pg) == before


@pytest.mark.pg("== 18")
def test_broken_steps_fail_with_the_servers_own_words(pg: FreshDatabase) -> None:
    pg.execute("create table orders (id int primary key, word text)")
    rehearsal = rehearse(
        [
            CreateIndex(schema="public", table="orders", keys=("nope",)),
            CreateIndex(schema="public", table="orders", keys=("word int4_ops",)),
            CreateIndex(schema="public", table="orders", keys=("word",)),
        ],
        pg.dsn,
    )
    assert states(rehearsal) == ["failed", "failed", "passed"]
    assert 'column "nope" does not exist' in rehearsal.steps[0].reason
    assert 'operator class "int4_ops" does not accept data type text' in rehearsal.steps[1].reason
    with pytest.raises(RehearsalFailed) as failed:
        raise_if_failed(rehearsal)
    assert failed.value.exit_code == 4
    assert 'column "nope" does not exist' in failed.value.message
    assert pg.connect().execute("select count(*) from pg_index where indrelid = 'orders'::regclass").fetchone() == (1,)


@pytest.mark.pg("== 18")
def test_a_step_about_a_slot_is_not_passed_off_as_rehearsed(pg: FreshDatabase) -> None:
    rehearsal = rehearse([DropSlot(name="forgotten", restart_lsn="0/0")], pg.dsn)
    assert states(rehearsal) == ["not_rehearsable"]
    assert "slot" in rehearsal.steps[0].reason
    assert rehearsal.scratch_version is None
    raise_if_failed(rehearsal)


@pytest.mark.pg("== 18")
def test_a_policy_that_calls_what_does_not_exist_fails(pg: FreshDatabase) -> None:
    pg.execute(
        "create table t (owner int)",
        "alter table t enable row level security",
        "create policy p on t using (owner = 1)",
    )
    rehearsal = rehearse([ReplacePolicy(schema="public", table="t", name="p", using="(owner = nobody())")], pg.dsn)
    assert states(rehearsal) == ["failed"]
    assert "nobody() does not exist" in rehearsal.steps[0].reason


@pytest.mark.pg("== 18")
def test_the_step_runs_with_the_rights_that_it_will_have(pg: FreshDatabase) -> None:
    role = pg.role("reader")
    pg.execute("create table t (i int)", "grant select on t to reader")
    rehearsal = rehearse([CreateIndex(schema="public", table="t", keys=("i",))], pg.dsn_as(role))
    assert states(rehearsal) == ["failed"]
    assert "must be owner of table t" in rehearsal.steps[0].reason


@pytest.mark.pg("== 18")
def test_a_table_that_could_not_be_copied_is_said_to_be_so(pg: FreshDatabase) -> None:
    """A foreign table is left out; an ANALYZE of it can be tried on the target only."""
    pg.execute(
        "create extension file_fdw",
        "create server files foreign data wrapper file_fdw",
        "create foreign table far (i int) server files options (filename '/dev/null')",
        "create table near (i int)",
    )
    rehearsal = rehearse(
        [Analyze(schema="public", table="far"), CreateIndex(schema="public", table="near", keys=("i",))], pg.dsn
    )
    assert states(rehearsal) == ["not_rehearsable", "passed"]
    assert "could not be copied" in rehearsal.steps[0].reason


@pytest.mark.pg("== 18")
def test_a_locked_table_ends_the_rehearsal_in_bounded_time(pg: FreshDatabase, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(dump, "LOCK_WAIT_MS", 200)
    pg.execute("create table t (i int)")
    locker = pg.connect(autocommit=False)
    locker.execute("lock table t in access exclusive mode")
    with pytest.raises(RehearsalFailed, match="holds ACCESS EXCLUSIVE") as failed:
        rehearse([CreateIndex(schema="public", table="t", keys=("i",))], pg.dsn)
    assert failed.value.exit_code == 4
    assert failed.value.hint
    locker.rollback()


def test_a_pooler_is_refused_because_pg_dump_would_leave_its_settings_behind(
    server18: FreshDatabase, pgbouncer: Pgbouncer
) -> None:
    server18.execute("create table t (i int)")
    with pytest.raises(Refused, match="pooler") as refused:
        rehearse([CreateIndex(schema="public", table="t", keys=("i",))], pgbouncer.dsn(server18.name))
    assert "server itself" in refused.value.hint


class WrongUndo(DropIndex):
    """A drop whose undo makes another index."""

    __slots__ = ()

    def undo(self, conn: Session, before: Before) -> None:
        assert before["valid"]
        conn.execute("create index other on public.t (j)")


class Understated(DropIndex):
    """A drop that holds a table far harder than it says, for long enough to be seen."""

    __slots__ = ()

    def do(self, conn: Session) -> None:
        with conn.transaction():
            conn.execute("lock table public.t in access exclusive mode")
            conn.execute("select pg_sleep(0.5)")
            conn.execute("drop index public.t_i")


@pytest.mark.pg("== 18")
def test_an_undo_that_does_not_restore_the_schema_is_found(pg: FreshDatabase) -> None:
    pg.execute("create table t (i int, j int)", "create index t_i on t (i)")
    good = CreateIndex(schema="public", table="t", keys=("j", "i"))
    rehearsal = rehearse([good, WrongUndo(schema="public", name="t_i")], pg.dsn)
    assert states(rehearsal) == ["passed", "failed"]
    assert "its undo does not restore the schema" in rehearsal.steps[1].reason
    assert "CREATE INDEX other" in rehearsal.steps[1].reason


@pytest.mark.pg("== 18")
def test_a_step_that_locks_harder_than_it_says_fails(pg: FreshDatabase) -> None:
    pg.execute("create table t (i int)", "create index t_i on t (i)")
    rehearsal = rehearse([Understated(schema="public", name="t_i")], pg.dsn)
    assert states(rehearsal) == ["failed"]
    assert rehearsal.steps[0].lock_seen is Lock.ACCESS_EXCLUSIVE
    assert rehearsal.steps[0].reason == ("it took ACCESS EXCLUSIVE on a table although it says SHARE UPDATE EXCLUSIVE")


@pytest.mark.pg("== 18")
def test_every_lock_mode_of_the_server_has_a_name(pg: FreshDatabase) -> None:
    pg.execute("create table t (i int)")
    conn = pg.connect(autocommit=False)
    modes = "access share,row share,row exclusive,share update exclusive,share,share row exclusive,exclusive"
    strongest: Lock | None = None
    for mode in (*modes.split(","), "access exclusive"):
        conn.execute(f"lock table t in {mode} mode")
        rows = conn.execute("select mode from pg_locks where relation = 't'::regclass").fetchall()
        for (name,) in rows:
            strongest = stronger(strongest, lock_of(name))
    assert strongest is Lock.ACCESS_EXCLUSIVE
    conn.rollback()


@pytest.mark.pg("== 18")
def test_a_step_that_was_done_before_has_nothing_to_rehearse(pg: FreshDatabase) -> None:
    pg.execute("create table t (i int)")
    rehearsal = rehearse([DropIndex(schema="public", name="long_gone")], pg.dsn)
    assert states(rehearsal) == ["passed"]
    assert "already" in rehearsal.steps[0].reason
    assert rehearsal.steps[0].state is RehearsalState.PASSED
    assert rehearsal.steps[0].spec.kind == "drop_index"
    assert DropIndex(schema="public", name="long_gone").object[0] is Kind.INDEX
    with psycopg.connect(pg.dsn) as conn:
        assert conn.execute("select count(*) from pg_class where relname = 'long_gone'").fetchone() == (0,)


@pytest.mark.pg("== 18")
def test_with_data_times_and_disk_are_measured_on_the_tables_concerned_alone(pg: FreshDatabase) -> None:
    """Its foreign keys lead to a table that is not copied; the rows come nevertheless."""
    pg.execute(
        "create table customers (id int primary key)",
        "insert into customers select g from generate_series(1, 1000) as g",
        "create table orders (id int primary key, customer_id int references customers, word text) ",
        "insert into orders select g, 1 + g % 1000, 'w' || g from generate_series(1, 20000) as g",
        "create index orders_word_idx on orders (word)",
        "alter table orders add constraint positive check (id > 0) not valid",
        "analyze",
    )
    steps: list[Step] = [
        ValidateConstraint(schema="public", table="orders", name="positive"),
        CreateIndex(schema="public", table="orders", keys=("customer_id",)),
        DropIndex(schema="public", name="orders_word_idx"),
    ]
    asked = MeasuredQuery(text="select * from orders where customer_id = $1")
    rehearsal = rehearse(steps, pg.dsn, data_limit_bytes=64 * 1024**2, queries=[(), (asked,), ()])
    assert states(rehearsal) == ["passed"] * 3, rehearsal.steps
    assert rehearsal.cloned_tables == ('"public"."orders"',)
    assert rehearsal.cloned_bytes > 20_000 * 30
    checked, made, dropped = rehearsal.steps
    assert all(step.duration_s and step.duration_on_empty_s is None for step in rehearsal.steps)
    assert checked.disk_bytes == 0
    assert (made.disk_bytes or 0) > 100_000
    assert (dropped.disk_bytes or 0) < 0
    assert made.cost_ratio is not None
    assert made.cost_ratio < 0.5
    assert checked.cost_ratio is None
    with pytest.raises(Refused, match="more than the 0 MB"):
        rehearse(steps, pg.dsn, data_limit_bytes=100_000)


@pytest.mark.pg("== 18")
def test_dropping_an_invalid_index_cannot_be_rehearsed_and_why_is_said(pg: FreshDatabase) -> None:
    pg.execute("create table t (i int)", "insert into t values (1), (1)")
    with psycopg.connect(pg.dsn, autocommit=True) as conn, pytest.raises(psycopg.errors.UniqueViolation):
        conn.execute("create unique index concurrently left_over on t (i)")
    rehearsal = rehearse([DropInvalidIndex(schema="public", name="left_over")], pg.dsn)
    assert states(rehearsal) == ["not_rehearsable"]
    assert rehearsal.steps[0].reason.startswith("an invalid index is in no dump of a schema")
