"""Rows for advisors, as a PostgreSQL 18 with its defaults and three healthy days would give them; to be changed."""

from __future__ import annotations

import dataclasses
from collections.abc import Mapping
from datetime import datetime, timedelta
from typing import Any

from tests.fix.statement_rows import AT, RESET_AT, info
from tests.fix.table_rows import relation

from pgrunbook.journey.observe.checkpoints import Checkpoints
from pgrunbook.journey.observe.counters import Counters
from pgrunbook.journey.observe.databases import Database
from pgrunbook.journey.observe.machine import Machine
from pgrunbook.journey.observe.parallel_work import JitWork, ParallelWork
from pgrunbook.journey.observe.processors import Processors
from pgrunbook.journey.observe.recovery import Recovery
from pgrunbook.journey.observe.roles import Role
from pgrunbook.journey.observe.session_tally import SessionTally, TempTables
from pgrunbook.journey.observe.sessions import Backend
from pgrunbook.journey.observe.settings import Setting
from pgrunbook.journey.observe.statements import Statement
from pgrunbook.journey.observe.table_activity import TableActivity
from pgrunbook.journey.observe.write_work import BufferWrites, WalWork
from pgrunbook.model import Reading, Server, ServerRole, Service, Snapshot, Unread

GB = 1024**3
DAYS_S = 3 * 86400.0
SERVER = Server(
    database="shop",
    version="18.6",
    major=18,
    version_num=180006,
    role=ServerRole.PRIMARY,
    service=Service.PLAIN,
    user="postgres",
    is_superuser=True,
    system_identifier="7",
)
# name: value, unit, context
DEFAULTS: Mapping[str, tuple[str, str | None, str]] = {
    "shared_buffers": ("16384", "8kB", "postmaster"),
    "effective_cache_size": ("524288", "8kB", "user"),
    "work_mem": ("4096", "kB", "user"),
    "maintenance_work_mem": ("65536", "kB", "user"),
    "autovacuum_work_mem": ("-1", "kB", "sighup"),
    "max_connections": ("100", None, "postmaster"),
    "superuser_reserved_connections": ("3", None, "postmaster"),
    "reserved_connections": ("0", None, "postmaster"),
    "max_wal_size": ("1024", "MB", "sighup"),
    "checkpoint_timeout": ("300", "s", "sighup"),
    "checkpoint_completion_target": ("0.9", None, "sighup"),
    "wal_compression": ("off", None, "superuser"),
    "wal_buffers": ("512", "8kB", "postmaster"),
    "bgwriter_lru_maxpages": ("100", None, "sighup"),
    "max_worker_processes": ("8", None, "postmaster"),
    "max_parallel_workers": ("8", None, "user"),
    "max_parallel_workers_per_gather": ("2", None, "user"),
    "random_page_cost": ("4", None, "user"),
    "effective_io_concurrency": ("16", None, "user"),
    "jit": ("on", None, "user"),
    "track_counts": ("on", None, "superuser"),
    "autovacuum": ("on", None, "sighup"),
    "autovacuum_naptime": ("60", "s", "sighup"),
    "autovacuum_max_workers": ("3", None, "sighup"),
    "autovacuum_worker_slots": ("16", None, "postmaster"),
    "autovacuum_vacuum_threshold": ("50", None, "sighup"),
    "autovacuum_vacuum_scale_factor": ("0.2", None, "sighup"),
    "autovacuum_vacuum_max_threshold": ("100000000", None, "sighup"),
    "autovacuum_vacuum_insert_threshold": ("1000", None, "sighup"),
    "autovacuum_vacuum_insert_scale_factor": ("0.2", None, "sighup"),
    "autovacuum_analyze_threshold": ("50", None, "sighup"),
    "autovacuum_analyze_scale_factor": ("0.1", None, "sighup"),
    "autovacuum_freeze_max_age": ("200000000", None, "postmaster"),
    "autovacuum_multixact_freeze_max_age": ("400000000", None, "postmaster"),
    "autovacuum_vacuum_cost_delay": ("2", "ms", "sighup"),
    "autovacuum_vacuum_cost_limit": ("-1", None, "sighup"),
    "vacuum_cost_delay": ("0", "ms", "user"),
    "vacuum_cost_limit": ("200", None, "user"),
    "vacuum_cost_page_dirty": ("20", None, "user"),
    "vacuum_cost_page_miss": ("2", None, "user"),
    "statement_timeout": ("0", "ms", "user"),
}


def setting(name: str, value: str | None = None) -> Setting:
    """One of the defaults, perhaps with another value in the same unit."""
    default, unit, context = DEFAULTS[name]
    return Setting(
        name=name,
        value=value if value is not None else default,
        unit=unit,
        type="string",
        context=context,
        source="default" if value is None else "configuration file",
        source_file=None,
        boot_value=default,
        reset_value=value if value is not None else default,
        pending_restart=False,
    )


def settings(**values: str) -> tuple[Setting, ...]:
    return tuple(setting(name, values.get(name)) for name in DEFAULTS)


def database(**changes: Any) -> Database:
    """`shop`, whose blocks are nearly all found in its cache."""
    base = Database(
        name="shop",
        is_current=True,
        is_template=False,
        allows_connections=True,
        connection_limit=-1,
        frozen_xid_age=1000,
        min_mxid_age=0,
        catalog_xid_age=1000,
        catalog_mxid_age=0,
        backends=5,
        commits=1_000_000,
        rollbacks=0,
        blocks_read=10_000,
        blocks_hit=100_000_000,
        rows_returned=0,
        rows_fetched=0,
        rows_inserted=0,
        rows_updated=0,
        rows_deleted=0,
        conflicts=0,
        temp_files=0,
        temp_bytes=0,
        deadlocks=0,
        checksum_failures=None,
        last_checksum_failure_age_s=None,
        sessions=100,
        session_time_s=100_000.0,
        active_time_s=50_000.0,
        idle_in_transaction_time_s=5_000.0,
        sessions_abandoned=0,
        sessions_fatal=0,
        sessions_killed=0,
        reset_at=RESET_AT,
        counters_age_s=DAYS_S,
    )
    return dataclasses.replace(base, **changes)


def checkpoints(**changes: Any) -> Checkpoints:
    base = Checkpoints(timed=860, requested=4, counters_age_s=DAYS_S, wal_bytes=10 * GB, wal_counters_age_s=DAYS_S)
    return dataclasses.replace(base, **changes)


def activity(oid: int, **changes: Any) -> TableActivity:
    """A table that somebody reads, and nobody writes."""
    base = TableActivity(
        oid=oid,
        seq_scans=1,
        seq_rows_read=0,
        index_scans=100,
        index_rows_fetched=0,
        rows_inserted=0,
        rows_updated=0,
        rows_deleted=0,
        rows_hot_updated=0,
        live_rows=100_000,
        dead_rows=0,
        modified_rows=0,
        inserted_since_vacuum_rows=0,
        last_vacuum_at=None,
        last_autovacuum_at=AT - timedelta(days=1),
        last_analyze_at=None,
        last_autoanalyze_at=AT - timedelta(days=1),
        vacuums=0,
        autovacuums=3,
        analyzes=0,
        autoanalyzes=3,
    )
    return dataclasses.replace(base, **changes)


def backend(pid: int, **changes: Any) -> Backend:
    base = Backend(
        pid=pid,
        is_self=False,
        backend_type="client backend",
        database="shop",
        role="app",
        application="shop",
        client="10.0.0.1",
        state="idle",
        backend_started_at=AT - timedelta(hours=2),
        transaction_started_at=None,
        query_started_at=None,
        state_changed_at=None,
        backend_age_s=60.0,
        transaction_age_s=None,
        query_age_s=1.0,
        state_age_s=1.0,
        wait_event_type=None,
        wait_event=None,
        xid_age=None,
        xmin_age=None,
        leader_pid=None,
        query_id=None,
        query="select ?",
    )
    return dataclasses.replace(base, **changes)


def role(name: str, **changes: Any) -> Role:
    base = Role(
        oid=1,
        name=name,
        may_login=True,
        is_superuser=False,
        may_replicate=False,
        bypasses_rls=False,
        inherits=True,
        may_create_roles=False,
        may_create_databases=False,
        connection_limit=-1,
        valid_until=None,
        member_of=(),
        owned_tables=0,
        granted_tables=0,
        may_connect=True,
    )
    return dataclasses.replace(base, **changes)


def tally(second: int, name: str = "app", **changes: Any) -> SessionTally:
    """The sessions of a role at one second of the look."""
    base = SessionTally(
        sampled_at=AT + timedelta(seconds=second),
        database="shop",
        role=name,
        sessions=20,
        active=2,
        in_transaction=0,
        idle=18,
        waiting=0,
        unseen=0,
        longest_transaction_s=0.1,
    )
    return dataclasses.replace(base, **changes)


def recovery(*, is_standby: bool = False) -> Recovery:
    return Recovery(
        is_standby=is_standby,
        received_position=None,
        replayed_position=None,
        pause_state=None,
        last_transaction_age_s=None,
        follows_primary=None,
        min_apply_delay_s=None,
        receiver_timeout_s=None,
        startup_waits_for=None,
    )


def readings(
    *statements: Statement, at: datetime = AT, changed: Mapping[str, str] | None = None, **rows: Any
) -> dict[str, Reading[Any] | Unread]:
    """All readings of all advisors; a reading is replaced by its name: rows, or Unread."""
    healthy: dict[str, Any] = {
        "settings": settings(**(changed or {})),
        "role_settings": (),
        "databases": (database(),),
        "checkpoints": (checkpoints(),),
        "wal_work": (WalWork(records=1, page_images=1000, wal_bytes=10 * GB, buffers_full=5, counters_age_s=DAYS_S),),
        "buffer_writes": (
            BufferWrites(
                checkpoint_pages=90_000,
                background_pages=10_000,
                session_pages=500,
                background_stops=3,
                counters_age_s=DAYS_S,
            ),
        ),
        "parallel_work": (ParallelWork(workers_wanted=1000, workers_launched=999, counters_age_s=DAYS_S),),
        "jit_work": (JitWork(statements=3, functions=30, compile_ms=500.0, exec_ms=1_000_000.0),),
        "machine": (Machine(memory_bytes=16 * GB, available_bytes=8 * GB, group_limit_bytes=None),),
        "processors": (Processors(cores=4, busy_ticks=1, idle_ticks=1, waiting_ticks=0),),
        "recovery": (recovery(),),
        "counters": (
            Counters(
                reset_at=RESET_AT, kept_since_at=RESET_AT, now_at=at, walsenders=0, physical_slots=0, is_counting=True
            ),
        ),
        "relations": (relation(1, "public", "orders"),),
        "indexes": (),
        "table_activity": (activity(1),),
        "sessions": (backend(1), backend(2, backend_type="checkpointer", database=None, role=None)),
        "session_tally": (tally(0),),
        "temp_tables": (TempTables(tables=0, schemas=0),),
        "roles": (role("app"), role("postgres", is_superuser=True)),
        "advisory_locks": (),
        "vacuum_progress": (),
        "statements": statements,
        "statements_info": (dataclasses.replace(info(), read_at=at),),
        **rows,
    }
    return {
        name: found if isinstance(found, Unread) else Reading(rows=found, taken_at=at)
        for name, found in healthy.items()
    }


def snapshot(
    *statements: Statement,
    server: Server = SERVER,
    at: datetime = AT,
    earlier: Snapshot | None = None,
    changed: Mapping[str, str] | None = None,
    **rows: Any,
) -> Snapshot:
    """One observation of the healthy server, with what was changed of it."""
    return Snapshot(
        server=server,
        taken_at=at,
        duration_s=0.1,
        readings=readings(*statements, at=at, changed=changed, **rows),
        earlier=earlier,
    )
