"""What advisors print runs on a real server, and its undo leaves nothing behind; a real PgBouncer takes the file."""

from __future__ import annotations

import dataclasses
import hashlib
from collections.abc import Iterator, Mapping
from datetime import timedelta
from pathlib import Path
from typing import Any

import psycopg
import pytest
from tests.fix import counsel_rows as rows
from tests.fix.counsel_rows import GB
from tests.fix.readings import check_types
from tests.fix.server import FreshDatabase, unavailable
from tests.fix.story import until
from tests.fix.supabase import OPEN, act_as, supabase

from pgrunbook.journey.advise.asking import TOPICS, Inquiry, ask, counsel_of, look
from pgrunbook.journey.advise.given import Given, Storage
from pgrunbook.journey.observe import observe
from pgrunbook.journey.observe.parallel_work import JIT_WORK, PARALLEL_WORK, JitWork
from pgrunbook.journey.observe.session_tally import SESSION_TALLY, TEMP_TABLES
from pgrunbook.journey.observe.table_activity import TABLE_ACTIVITY
from pgrunbook.journey.observe.write_work import BUFFER_WRITES, WAL_WORK, BufferWrites, WalWork
from pgrunbook.journey.steps import load
from pgrunbook.lab import Pgbouncer, pgbouncer_path
from pgrunbook.lab.home import Home
from pgrunbook.model import Advice, Reading, Snapshot, Unread
from pgrunbook.model.counsel import Counsel
from pgrunbook.pg.connect import connect

OLDEST_AND_NEWEST = pytest.mark.pg("!= 15, != 16, != 17")
NEWEST = pytest.mark.pg("== 18")
MB = 1024**2


def run(db: FreshDatabase, text: str) -> None:
    """As psql would: statement by statement; in a transaction where the text begins one."""
    with psycopg.connect(db.dsn, autocommit=True) as conn:
        for statement in text.split(";\n"):
            conn.execute(statement.encode())


def state(db: FreshDatabase) -> list[Any]:
    """All that advice can change."""
    with psycopg.connect(db.dsn, autocommit=True) as conn:
        return [
            conn.execute(query.encode()).fetchall()
            for query in (
                "select setdatabase, setrole::regrole::text, setconfig from pg_db_role_setting order by 1, 2",
                "select name, setting from pg_file_settings where sourcefile like '%auto.conf' order by name",
                (
                    "select oid::regclass::text, reloptions from pg_class where relnamespace = 'public'::regnamespace"
                    " order by 1"
                ),
                "select tablename, policyname, roles, cmd, qual, with_check from pg_policies order by 1, 2",
            )
        ]


def forth_and_back(db: FreshDatabase, advice: Advice) -> bool:
    """Run the advice and its undo; whether it had one.  What it changed is as it was."""
    before = state(db)
    run(db, advice.sql)
    if advice.undo_sql is None:
        return False
    assert state(db) != before, advice.sql
    run(db, advice.undo_sql)
    assert state(db) == before, advice.undo_sql
    return True


def with_rows(snapshot: Snapshot, **changed: tuple[Any, ...]) -> Snapshot:
    """What was really seen, with some of it replaced by what a busier server would say."""
    new: dict[str, Reading[Any]] = {
        name: Reading(rows=found, taken_at=snapshot.taken_at) for name, found in changed.items()
    }
    return dataclasses.replace(snapshot, readings={**snapshot.readings, **new})


def looked(db: FreshDatabase, topic: str, dsn: str = "") -> Snapshot:
    with connect(dsn or db.dsn, station="test") as conn:
        return look(conn, Inquiry(topic=topic, window_s=0))


def test_readings_have_the_types_that_they_say(pg: FreshDatabase) -> None:
    pg.execute("create extension pg_stat_statements")
    pg.role("app")
    client = pg.connect_as("app", autocommit=False)
    client.execute("create temp table x (i int)")
    questions: tuple[Any, ...] = (WAL_WORK, BUFFER_WRITES, PARALLEL_WORK, JIT_WORK, SESSION_TALLY, TEMP_TABLES)
    until(lambda: looked_like_one_in_transaction(pg), "the client's state is shown")
    seen = observe(pg.dsn, questions)
    for question in questions:
        if question is JIT_WORK and pg.major == 14:
            assert isinstance(seen.readings[question.name], Unread)
            continue
        assert seen.rows(question), question.name
        check_types(question, seen.rows(question))
    (app,) = [tally for tally in seen.rows(SESSION_TALLY) if tally.role == "app"]
    assert (app.sessions, app.in_transaction, app.busy) == (1, 1, 1)
    plain = observe(pg.dsn_as("app"), questions)
    assert isinstance(plain.readings[JIT_WORK.name], Unread)
    assert plain.rows(WAL_WORK)


def looked_like_one_in_transaction(db: FreshDatabase) -> bool:
    return any(tally.in_transaction for tally in observe(db.dsn, (SESSION_TALLY,)).rows(SESSION_TALLY))


@OLDEST_AND_NEWEST
def test_every_setting_can_be_set_and_is_taken_back(pg: FreshDatabase) -> None:
    """The settings are the server's own; the load that makes them look wrong is invented."""
    pg.role("report")
    pg.execute(
        "create extension pg_stat_statements",
        "alter system set checkpoint_completion_target = 0.5",
        "alter system set autovacuum_vacuum_cost_delay = 20",
        "alter system set autovacuum_naptime = 600",
        "alter system set work_mem = 64",
        "select pg_reload_conf()",
    )
    until(lambda: shown(pg, "work_mem") == "64kB", "the settings hold")
    for _ in range(4):
        report(pg)
    real = looked(pg, "settings")
    busy = with_rows(
        real,
        databases=(rows.database(name=pg.name, blocks_read=4_000_000, blocks_hit=6_000_000),),
        checkpoints=(rows.checkpoints(timed=10, requested=5000, wal_bytes=3 * 86400 * 4 * MB),),
        wal_work=(
            WalWork(
                records=1,
                page_images=90_000_000,
                wal_bytes=900 * GB,
                buffers_full=900_000,
                counters_age_s=rows.DAYS_S,
            ),
        ),
        buffer_writes=(
            BufferWrites(
                checkpoint_pages=100,
                background_pages=100_000,
                session_pages=200_000,
                background_stops=60_000,
                counters_age_s=rows.DAYS_S,
            ),
        ),
        jit_work=(JitWork(statements=5, functions=100, compile_ms=900_000.0, exec_ms=1_000_000.0),),
    )
    given = Given(memory_bytes=16 * GB, cores=4, storage=Storage.SSD)
    counsel = counsel_of(Inquiry(topic="settings", given=given), busy)
    named = {one.title.split()[1] for one in counsel.proposals}
    wanted = {
        "work_mem",
        "max_wal_size",
        "checkpoint_timeout",
        "checkpoint_completion_target",
        "wal_compression",
        "wal_buffers",
        "bgwriter_lru_maxpages",
        "autovacuum_naptime",
        "autovacuum_vacuum_cost_delay",
        "random_page_cost",
        "jit",
    }
    assert wanted <= named, wanted - named
    assert [one.object for one in counsel.proposals if "work_mem" in one.title] == ["report"]
    (memory,) = [one for one in counsel.proposals if one.object == "report"]
    run(pg, memory.advice[0].sql)
    before = spilled_blocks(pg)
    report(pg)
    assert spilled_blocks(pg) == before > 0
    run(pg, memory.advice[0].undo_sql or "")
    for one in counsel.proposals:
        assert forth_and_back(pg, one.advice[0]), one.title
        if one.step is not None:
            assert load(one.step).statements()


def report(db: FreshDatabase) -> None:
    """Sort some 25 MB, in a session of its own."""
    with db.connect_as("report") as conn:
        conn.execute(
            "select count(*) from (select repeat('x', 100), i from generate_series(1, 200000) i order by 1, 2) s"
        )


def spilled_blocks(db: FreshDatabase) -> int:
    with psycopg.connect(db.dsn, autocommit=True) as conn:
        row = conn.execute(
            "select sum(temp_blks_written)::int from pg_stat_statements where userid = 'report'::regrole"
        ).fetchone()
    return int(row[0]) if row else 0


def shown(db: FreshDatabase, name: str) -> str:
    with psycopg.connect(db.dsn, autocommit=True) as conn:
        row = conn.execute("select current_setting(%s)", (name,)).fetchone()
    return str(row[0]) if row else ""


@OLDEST_AND_NEWEST
def test_vacuum_strategy_names_reasons_and_its_settings_run_and_are_taken_back(pg: FreshDatabase) -> None:
    pg.execute(
        "create table busy (id int primary key, v text)",
        "insert into busy select i, 'x' from generate_series(1, 30000) i",
        "create table log (id int, v text) with (autovacuum_vacuum_insert_threshold = -1)",
        "insert into log select i, 'x' from generate_series(1, 30000) i",
        'create table "odd ""table" (id int) with (autovacuum_enabled = off)',
        'insert into "odd ""table" select generate_series(1, 3000)',
        "vacuum analyze",
        "update busy set v = 'y' where id <= 12000",
        "select pg_stat_reset_shared('bgwriter')",
    )
    holder = pg.connect(autocommit=False)
    holder.execute("select txid_current()")
    until(lambda: 12000 in dead_rows(pg), "the dead rows are counted")
    real = looked(pg, "vacuum")
    half_a_day_ago = dataclasses.replace(
        with_rows(
            real,
            table_activity=tuple(
                dataclasses.replace(row, rows_updated=0, rows_inserted=0, dead_rows=0, rows_hot_updated=0)
                for row in real.rows(TABLE_ACTIVITY)
            ),
        ),
        taken_at=real.taken_at - timedelta(hours=12),
    )
    earlier = {
        name: dataclasses.replace(reading, taken_at=reading.taken_at - timedelta(hours=12))
        for name, reading in half_a_day_ago.readings.items()
        if isinstance(reading, Reading)
    }
    watched = dataclasses.replace(real, earlier=dataclasses.replace(half_a_day_ago, readings=earlier))
    counsel = counsel_of(Inquiry(topic="vacuum", given=Given(every_s=3600.0)), watched)
    found = {(one.area, one.object) for one in counsel.proposals}
    assert ("Needs a vacuum now", "public.busy") in found
    assert ("What holds vacuum back", 'public."odd ""table"') in found
    assert ("Autovacuum settings", "public.busy") in found
    assert ("Autovacuum settings", "public.log") in found
    holder.rollback()
    undone = [forth_and_back(pg, one.advice[0]) for one in counsel.proposals if one.kind.value == "table"]
    assert undone.count(False) == sum(one.area == "Needs a vacuum now" for one in counsel.proposals)
    until(lambda: max(dead_rows(pg)) < 1000, "the vacuums are counted")


def dead_rows(db: FreshDatabase) -> set[int]:
    return {row.dead_rows for row in looked(db, "vacuum").rows(TABLE_ACTIVITY)}


MINE = "owner = auth.uid()"
POLICIES = (
    "create extension pg_stat_statements",
    "create table team (user_id uuid, org text)",
    "insert into team select md5((i % 5)::text)::uuid, 'org' || i % 3 from generate_series(1, 40) i",
    "create table note (id int primary key, owner uuid, org text, is_open boolean)",
    """insert into note select i, md5((i % 20)::text)::uuid, 'org' || i % 4, i % 50 = 0
       from generate_series(1, 3000) i""",
    "alter table note enable row level security",
    f"create policy mine on note for select to authenticated using ({MINE})",
    "create policy open on note for select to authenticated using (is_open)",
    """create policy of_team on note for select to authenticated using
       (exists (select 1 from team t where t.org = note.org and t.user_id = auth.uid()))""",
    f"create policy add on note for insert to authenticated with check ({MINE})",
    f"create policy change on note for update to authenticated using ({MINE}) with check ({MINE})",
    "create policy fine on note for delete to authenticated using (owner = (select auth.uid()))",
    """create function sees(wanted text) returns boolean language sql stable as
       $$ select exists (select from team where org = wanted and user_id = auth.uid()) $$""",
    "create table held (id int primary key, org text)",
    "alter table held enable row level security",
    "create policy by_hand on held for select to authenticated using (sees(org))",
    OPEN.format(table="note, team, held"),
    "vacuum analyze note",
    "vacuum analyze team",
)


def what_everybody_sees(db: FreshDatabase) -> Mapping[str, Any]:
    """Rows that each user reads, changes and deletes."""
    seen: dict[str, Any] = {}
    for user in range(7):
        uid = hashlib.md5(str(user).encode(), usedforsecurity=False).hexdigest()
        conn = act_as(db, "authenticated", {"sub": uid})
        conn.autocommit = False
        seen[uid] = [
            conn.execute(query.encode()).fetchall()
            for query in (
                "select count(*), sum(id) from note",
                "with done as (update note set is_open = is_open returning id) select count(*), sum(id) from done",
                "with done as (delete from note returning id) select count(*), sum(id) from done",
            )
        ]
        conn.close()
    return seen


@OLDEST_AND_NEWEST
def test_policies_said_more_cheaply_let_everybody_see_the_same(pg: FreshDatabase) -> None:
    supabase(pg, *POLICIES)
    before, at_first = state(pg), what_everybody_sees(pg)
    counsel = ask(Inquiry(topic="policies"), pg.dsn)
    areas = [one.area for one in counsel.proposals]
    assert areas.count("What policies cost") == 5
    assert "Indexes that policies search by" in areas
    assert areas[-1] == "Policies that are one"
    assert "public.note.fine" not in {one.object for one in counsel.proposals}
    mine = next(one for one in counsel.proposals if one.object == "public.note.mine")
    assert mine.evidence["calls"] == 7 * 3
    assert "execution time (21 calls)" in mine.reason
    (by_hand,) = [one for one in counsel.proposals if not one.advice]
    assert by_hand.object == "public.held.by_hand"
    assert "SECURITY DEFINER function" in by_hand.reason
    doable = [one for one in counsel.proposals if one.advice]
    for one in doable:
        run(pg, one.advice[0].sql)
        assert what_everybody_sees(pg) == at_first, one.title
    again = ask(Inquiry(topic="policies"), pg.dsn)
    assert [one.object for one in again.proposals] == ["public.held.by_hand"]
    for one in reversed(doable):
        run(pg, one.advice[0].undo_sql or "")
        assert what_everybody_sees(pg) == at_first, one.title
    assert state(pg) == before


class FromFile(Pgbouncer):
    """A pooler of the advised file; where it listens and whom it trusts here stands at the end of its last section."""

    fragment = ""

    def _write_files(self) -> Path:
        ini = super()._write_files()
        _, _, mine = ini.read_text().partition("[pgbouncer]\n")
        return self._owned_file(ini, self.fragment + mine)


@pytest.fixture
def advised_pool(server18: FreshDatabase) -> Iterator[tuple[FromFile, Counsel]]:
    """A shop with two roles at work, and the pooler that was advised for it."""
    program = pgbouncer_path()
    if program is None:
        unavailable("pgbouncer is not installed")
        return
    server18.role("shop app")
    server18.role("jobs")
    server18.execute(
        "create extension pg_stat_statements", "create table t (i int)", 'grant all on t to "shop app", jobs'
    )
    listener = server18.connect_as("jobs")
    listener.execute("listen work")
    busy = [server18.connect_as("shop app", autocommit=False) for _ in range(3)]
    for conn in busy:
        conn.execute("insert into t values (1)")
    idle = [server18.connect_as("shop app") for _ in range(9)]
    given = Given(address=f"host={server18.cluster.socket_dir} port={server18.cluster.port}", cores=8)
    counsel = ask(Inquiry(topic="pool", given=given, window_s=3.0), server18.dsn)
    for conn in (*busy, *idle):
        conn.close()
    home = Home.create(prefix="pgrb", account=server18.cluster.home.account, program=program)
    pooler = FromFile(home=home, program=program, cluster=server18.cluster, settings={})
    pooler.fragment = counsel.fragments[0].text
    try:
        pooler.start()
        yield pooler, counsel
    finally:
        pooler.stop()


def console(pooler: Pgbouncer, command: str) -> list[dict[str, Any]]:
    with psycopg.connect(
        pooler.admin_dsn(), autocommit=True, cursor_factory=psycopg.ClientCursor, row_factory=psycopg.rows.dict_row
    ) as conn:
        return conn.execute(command.encode()).fetchall()


def test_a_real_pgbouncer_takes_the_file_and_serves_by_it(
    server18: FreshDatabase, advised_pool: tuple[FromFile, Counsel]
) -> None:
    pooler, counsel = advised_pool
    sized = {str(one.evidence["role"]): one.evidence for one in counsel.proposals if one.area == "Pool sizes"}
    assert (sized["shop app"]["sessions_max"], sized["shop app"]["busy_max"]) == (12, 3)
    assert sized["shop app"]["pool_size"] == 8  # 3 + 2.33 x sqrt(3)
    assert (sized["jobs"]["mode"], sized["shop app"]["mode"]) == ("session", "transaction")
    (database,) = [row for row in console(pooler, "show databases") if row["name"] == server18.name]
    assert int(database["pool_size"]) == 8
    config = {row["key"]: row["value"] for row in console(pooler, "show config")}
    assert (config["pool_mode"], config["max_client_conn"]) == ("transaction", "1000")
    modes = {row["name"]: row["pool_mode"] for row in console(pooler, "show users")}
    assert modes["jobs"] == "session"
    dsn = pooler.dsn(server18.name, "shop app")
    with psycopg.connect(dsn, autocommit=True, prepare_threshold=None) as conn:
        assert conn.execute("select current_user, count(*) from t").fetchone() == ("shop app", 0)
    given = Given(address=f"host={pooler.socket_dir} port={pooler.port}")
    behind = ask(Inquiry(topic="pool", given=given, window_s=0.5), pooler.dsn(server18.name))
    assert " = host=SERVER port=5432 " in behind.fragments[0].text


@OLDEST_AND_NEWEST
def test_plans_tell_which_bitmaps_do_not_fit_and_what_holds_them(pg: FreshDatabase) -> None:
    """A bitmap of 1,500 pages needs 94 kB; the server itself says whether it was lossy."""
    pg.role("app")
    pg.execute(
        "create extension pg_stat_statements",
        "create table t (id int, k int, pad text)",
        "insert into t select i, i % 50, repeat('x', 50) from generate_series(1, 150000) i",
        "create index on t (k)",
        "vacuum analyze t",
        "grant select on t to app",
        "alter system set work_mem = 64",
        "alter system set jit = off",
        "select pg_reload_conf()",
    )
    until(lambda: shown(pg, "work_mem") == "64kB", "the setting holds")
    with pg.connect_as("app") as conn:
        for key in range(5):
            conn.execute(f"select count(pad) from t where k = {key}")
    counsel = ask(Inquiry(topic="settings", plans=True, given=Given(memory_bytes=4 * GB, cores=2)), pg.dsn)
    (one,) = [one for one in counsel.proposals if "work_mem" in one.title]
    assert (one.object, one.evidence["exact_pages"]) == ("app", 1024)
    assert lossy_pages(pg, "64kB") > 0
    run(pg, one.advice[0].sql)
    with pg.connect_as("app") as conn:
        row = conn.execute("select current_setting('work_mem')").fetchone()
    assert row == ("4MB",)
    assert lossy_pages(pg, "4MB") == 0
    run(pg, one.advice[0].undo_sql or "")


def lossy_pages(db: FreshDatabase, work_mem: str) -> int:
    with psycopg.connect(db.dsn, autocommit=True) as conn:
        conn.execute(f"set work_mem = '{work_mem}'".encode())
        conn.execute("set max_parallel_workers_per_gather = 0")
        row = conn.execute("explain (analyze, format json) select count(pad) from t where k = 7").fetchone()
    assert row is not None
    return int(row[0][0]["Plan"]["Plans"][0].get("Lossy Heap Blocks", 0))


@NEWEST
def test_every_topic_answers_a_role_without_rights(pg: FreshDatabase) -> None:
    pg.execute("create extension pg_stat_statements", "create table t (i int)", "vacuum analyze t")
    pg.execute(*(f"select pg_stat_reset_shared('{what}')" for what in ("bgwriter", "wal", "archiver")))
    if pg.major >= 17:
        pg.execute("select pg_stat_reset_shared('checkpointer')")  # earlier tests made it work
    pg.role("nobody")
    for topic in TOPICS:
        counsel = ask(Inquiry(topic=topic, window_s=0), pg.dsn_as("nobody"))
        assert counsel.topic == topic
        assert [
            one for one in counsel.proposals if one.kind.value == "setting" and "ALTER SYSTEM" in one.advice[0].sql
        ] == []
