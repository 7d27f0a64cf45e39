"""The vacuum, session and config families together: an incident is answered, healthy servers are left in peace."""

from __future__ import annotations

import contextlib
import subprocess
from collections.abc import Iterator

import psycopg
from tests.fix.replica import wait_for_replay
from tests.fix.server import FreshDatabase
from tests.fix.story import objects, run, running, until, waits_for_a_lock

from pgrunbook.journey.diagnose.engine import diagnose
from pgrunbook.lab import Cluster, Pgbouncer, start_cluster, start_replica
from pgrunbook.model.diagnosis import Diagnosis
from pgrunbook.report.json import render as render_json
from pgrunbook.report.markdown import render as render_markdown

FAMILIES = ("vacuum", "session", "config", "inactive_replication_slot")
NOT_DURABLE = ("unsafe_durability",)  # throw-away servers run without fsync on purpose


def examined(dsn: str) -> Diagnosis:
    return diagnose(dsn, only=FAMILIES, skip=NOT_DURABLE)


@contextlib.contextmanager
def pgbench(db: FreshDatabase, *args: str) -> Iterator[None]:
    """Pgbench against the database, as a process of its own, ended at the end."""
    command = [str(db.cluster.binaries.tool("pgbench")), *args, db.dsn]
    with subprocess.Popen(command, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL) as process:
        try:
            yield
        finally:
            process.terminate()
            process.wait(30)


def transactions(db: FreshDatabase) -> int:
    with psycopg.connect(db.dsn, autocommit=True) as conn:
        row = conn.execute("select n_tup_ins from pg_stat_user_tables where relname = 'pgbench_history'").fetchone()
    return row[0] if row is not None else 0


def test_a_stock_server_has_no_findings() -> None:
    with start_cluster(durable=True) as cluster:
        diagnosis = diagnose(cluster.dsn(), only=FAMILIES)
        assert objects(diagnosis) == []
        assert {blind.check for blind in diagnosis.blind} <= {"memory_settings", "connection_churn"}


def test_a_busy_healthy_database_has_no_findings(pg: FreshDatabase) -> None:
    tool = str(pg.cluster.binaries.tool("pgbench"))
    subprocess.run([tool, "-i", "-s", "2", pg.dsn], check=True, capture_output=True)
    run(pg, "create extension pg_stat_statements", "vacuum (analyze)")
    pg.role("watcher", member_of="pg_monitor")
    with pgbench(pg, "-c", "8", "-T", "60", "--rate", "200"):
        until(lambda: transactions(pg) > 300, "pgbench works")
        assert objects(examined(pg.dsn)) == []
        assert objects(examined(pg.dsn_as("watcher"))) == []


def test_a_backup_and_a_replica_at_work_are_no_findings(server18: FreshDatabase) -> None:
    run(
        server18,
        "create table t (id int primary key, pad text)",
        "insert into t select i, repeat('x', 100) from generate_series(1, 20000) i",
        "create extension pg_stat_statements",
    )
    run(server18, "vacuum (analyze) t")
    with start_replica(server18.cluster, slot="fed", settings={"hot_standby_feedback": "on"}) as standby:
        wait_for_replay(server18.cluster, standby)
        dump = server18.connect(autocommit=False, application_name="pg_dump")
        dump.execute("set transaction isolation level repeatable read, read only")
        dump.execute("select count(*) from t")
        with psycopg.connect(standby.dsn(server18.name)) as reader:
            reader.execute("select count(*) from t")
            assert objects(examined(server18.dsn)) == []
            assert objects(examined(standby.dsn(server18.name))) == []


def test_an_incident_is_answered_and_other_findings_stay(pg: FreshDatabase) -> None:
    """DDL waits behind an idle reader, readers wait behind the DDL, and hardly a connection is left."""
    pg.execute(
        "create table t (id int primary key, v int)",
        "create table other (id int primary key, v int) with (autovacuum_enabled = off)",
        "insert into other select i, i from generate_series(1, 2000) i",
        "analyze other",
    )
    root = pg.connect(autocommit=False)
    root.execute("select * from t")
    with running(pg, "alter table t add column w int") as ddl:
        waits_for_a_lock(pg, ddl)
        with running(pg, "select * from t") as reader:
            waits_for_a_lock(pg, reader)
            for _ in range(52):
                pg.connect()
            diagnosis = diagnose(
                pg.dsn,
                only=FAMILIES,
                skip=NOT_DURABLE,
                limits={"blocked_sessions": {"waiting_s": 0.0}, "idle_in_transaction": {"blocking_s": 0.0}},
            )
            found = {(finding.check, finding.object) for finding in diagnosis.findings}
            assert {
                ("blocked_sessions", str(root.info.backend_pid)),
                ("idle_in_transaction", str(root.info.backend_pid)),
                ("connection_saturation", "server"),
                ("autovacuum_disabled", "public.other"),
            } <= found
            assert {blind.check for blind in diagnosis.blind} <= {"memory_settings", "connection_churn"}
            root.rollback()


def test_a_standby_is_judged_without_errors(server18: FreshDatabase, replica: Cluster) -> None:
    diagnosis = examined(replica.dsn(server18.name))
    assert objects(diagnosis) == []
    assert {"dead_rows", "stale_statistics", "never_analyzed"} <= {blind.check for blind in diagnosis.blind}


HOSTILE = (
    "statement_timeout = 1",
    "lock_timeout = 1",
    "idle_in_transaction_session_timeout = 500",
    "default_transaction_isolation = 'serializable'",
    "search_path = 'nowhere'",
    "datestyle = 'German'",
    "intervalstyle = 'sql_standard'",
    "standard_conforming_strings = off",
    "extra_float_digits = -15",
    "bytea_output = 'escape'",
    "row_security = off",
    "work_mem = '64kB'",
    "array_nulls = off",
)


def test_a_roles_own_settings_change_no_verdict(server18: FreshDatabase) -> None:
    server18.execute(
        "create table t (id int primary key, x int, y timestamp)",
        "create index a on t (x)",
        "create index b on t (x)",
        "create extension pg_stat_statements",
    )
    role = server18.role("odd", member_of="pg_monitor")

    def asked() -> list[str]:
        answer = diagnose(server18.dsn_as(role), skip=("session", "query"))
        return [f.fingerprint for f in answer.findings] + [f"{b.check} {b.object}" for b in answer.blind]

    before = asked()
    server18.execute(*(f"alter role odd set {setting}" for setting in HOSTILE))
    assert asked() == before


def told(dsn: str) -> list[tuple[str, str, str]]:
    return [(f.fingerprint, f.severity.value, f.object) for f in diagnose(dsn, skip=("session",)).findings]


def test_a_transaction_pooler_in_between_changes_no_verdict(server18: FreshDatabase, pgbouncer: Pgbouncer) -> None:
    server18.execute(
        "create extension pg_stat_statements",
        "create table t (id int primary key, x int, y timestamp)",
        "insert into t select g, g, now() from generate_series(1, 20000) g",
        "create index a on t (x)",
        "create index b on t (x)",
        "analyze t",
        *(["select * from t where y = '2000-01-01'"] * 40),
    )
    role = server18.role("app", member_of="pg_monitor, pg_read_all_data")
    direct = told(server18.dsn_as(role))
    assert {"duplicate_index", "missing_index"} <= {f.check for f in diagnose(server18.dsn_as(role)).findings}
    assert told(pgbouncer.dsn(server18.name, user=role)) == direct


def test_bytes_of_no_encoding_and_endless_texts_are_no_trouble(server18: FreshDatabase) -> None:
    admin = server18.connect()
    admin.execute("create database odd encoding 'SQL_ASCII' template template0 lc_collate 'C' lc_ctype 'C'")
    dsn = server18.cluster.dsn("odd")
    with psycopg.connect(dsn, autocommit=True, client_encoding="latin1") as conn:
        conn.execute("create extension pg_stat_statements")
        conn.execute('create table "gr\u00fc\u00dfe \x1b[31m\n%s" (id int primary key, x int)')
        for name in "ab":
            conn.execute(f'create index "{name} \u00fc" on "gr\u00fc\u00dfe \x1b[31m\n%s" (x)')
        long = (
            "select /* \x1b[2J\x07 " + "x" * 1_000_000 + ' */ count(*) from "gr\u00fc\u00dfe \x1b[31m\n%s" where x = 1'
        )
        for _ in range(30):
            conn.execute(long.encode("latin1"))
    seen = diagnose(dsn, only=("duplicate_index", "query", "missing_index"))
    (copy,) = [f for f in seen.findings if f.check == "duplicate_index"]
    assert copy.object == 'public."b \udcfc"'
    for text in (render_json(seen), render_markdown(seen)):
        assert "\x1b" not in text
        text.encode("utf-8")
