"""Replicas, slots and the archive that are behind, gone or lying, and those that only look so."""

from __future__ import annotations

import contextlib
from collections.abc import Iterator
from typing import Any

import psycopg
from tests.exam.case import Decoy, Fault, Stage, Staged
from tests.fix.replica import wait_for_replay
from tests.fix.server import FreshDatabase
from tests.fix.story import until

from pgrunbook.lab import Cluster, start_replica
from pgrunbook.lab.template import SUPERUSER

COPY = "mkdir -p arch && test ! -f arch/%f && cp %p arch/%f"


def value(dsn: str, query: str) -> Any:
    with psycopg.connect(dsn, autocommit=True) as conn:
        row = conn.execute(query.encode()).fetchone()
    return row[0] if row else None


def follow(upstream: Cluster, name: str) -> Cluster:
    conninfo = f"host='{upstream.socket_dir}' port={upstream.port} user={SUPERUSER} application_name={name}"
    return start_replica(upstream, slot=name, settings={"primary_conninfo": conninfo})


@contextlib.contextmanager
def far_behind(db: FreshDatabase) -> Iterator[None]:
    """One of two replicas stores what it gets, and replays none of it."""
    with follow(db.cluster, "behind") as behind, follow(db.cluster, "well") as well:
        value(behind.dsn(), "select pg_wal_replay_pause()")
        db.execute(*["select pg_logical_emit_message(true, 'bulk', repeat('x', 22000000))"] * 5)
        wait_for_replay(db.cluster, well)
        yield


@contextlib.contextmanager
def idle_cascade(db: FreshDatabase) -> Iterator[None]:
    """A replica, its own replica, and one whose replay is paused with nothing to replay; nobody writes."""
    with follow(db.cluster, "near") as near, follow(near, "far") as far, follow(db.cluster, "paused") as paused:
        for standby in (near, far, paused):
            wait_for_replay(db.cluster, standby)
        value(paused.dsn(), "select pg_wal_replay_pause()")
        yield


@contextlib.contextmanager
def lost_slot(db: FreshDatabase) -> Iterator[None]:
    db.execute(
        "select pg_create_physical_replication_slot('late', true)",
        "alter system set max_slot_wal_keep_size = '1MB'",
        "select pg_reload_conf()",
    )

    def is_lost() -> bool:
        db.execute("select pg_logical_emit_message(true, 'x', 'y')", "select pg_switch_wal()", "checkpoint")
        return value(db.dsn, "select wal_status = 'lost' from pg_replication_slots") is True

    until(is_lost, "the slot is lost")
    yield


def archiving(command: str, condition: str) -> Stage:
    """Archive by a command until pg_stat_archiver says so."""

    @contextlib.contextmanager
    def stage(db: FreshDatabase) -> Iterator[None]:
        db.cluster.restart({"archive_mode": "on", "archive_command": command})
        db.execute("select pg_logical_emit_message(true, 'x', 'y')", "select pg_switch_wal()")
        until(lambda: value(db.dsn, f"select {condition} from pg_stat_archiver") is True, condition)
        yield

    return stage


@contextlib.contextmanager
def blocked_plugin(db: FreshDatabase) -> Iterator[None]:
    db.execute(
        "select pg_create_logical_replication_slot('cdc', 'test_decoding')",
        "alter system set output_plugin_libraries = 'pgoutput'",
        "select pg_reload_conf()",
    )
    until(lambda: value(db.dsn, "show output_plugin_libraries") == "pgoutput", "the setting is known")
    yield


@contextlib.contextmanager
def two_streaming(db: FreshDatabase) -> Iterator[None]:
    """Two replicas that keep up."""
    with follow(db.cluster, "one") as one, follow(db.cluster, "two") as two:
        for standby in (one, two):
            wait_for_replay(db.cluster, standby)
        yield


@contextlib.contextmanager
def one_of_two_killed(db: FreshDatabase) -> Iterator[None]:
    """One of two replicas died, its slot waits for it."""
    with follow(db.cluster, "one") as one, follow(db.cluster, "two") as two:
        wait_for_replay(db.cluster, one)
        two.kill()
        until(lambda: value(db.dsn, "select count(*) from pg_stat_replication") == 1, "the primary has noticed")
        yield


@contextlib.contextmanager
def cut_off(db: FreshDatabase) -> Iterator[Staged]:
    """A standby whose way to its primary is gone, asked itself."""
    with follow(db.cluster, "cut") as cut:
        wait_for_replay(db.cluster, cut)
        with psycopg.connect(cut.dsn(), autocommit=True) as conn:
            conn.execute("alter system set primary_conninfo = 'host=/nowhere port=1'")
            conn.execute("select pg_reload_conf()")
        until(lambda: value(cut.dsn(), "select count(*) from pg_stat_wal_receiver") == 0, "it is cut off")
        yield Staged(dsn=cut.dsn(db.name))


@contextlib.contextmanager
def forced(db: FreshDatabase) -> Iterator[None]:
    """Writes that need a checkpoint each few seconds, under a limit for WAL that is far too small."""
    view = "pg_stat_checkpointer" if db.major >= 17 else "pg_stat_bgwriter"
    column = "num_requested" if db.major >= 17 else "checkpoints_req"
    db.cluster.restart({"max_wal_size": "32MB", "min_wal_size": "32MB"})
    db.execute(f"select pg_stat_reset_shared('{'checkpointer' if db.major >= 17 else 'bgwriter'}')")
    db.execute("select pg_stat_reset_shared('wal')")
    for number in range(1, 7):
        db.execute("select pg_logical_emit_message(true, 'bulk', repeat('x', 20000000))")
        until(lambda number=number: value(db.dsn, f"select {column} from {view}") >= number, "one was forced")
    until(lambda: value(db.dsn, "select wal_bytes > 100000000 from pg_stat_wal") is True, "the WAL is counted")
    yield


CASES: list[Fault | Decoy] = [
    Fault(
        name="one of two replicas is far behind",
        check="replication_lag",
        object="behind",
        severity=("warning", "critical"),
        stage=far_behind,
        blindfold="login",
    ),
    Decoy(name="an idle cascade, and a replica paused with nothing to replay", stage=idle_cascade),
    Fault(
        name="a slot whose WAL is gone",
        check="lost_replication_slot",
        object="late",
        severity=("critical",),
        stage=lost_slot,
    ),
    Fault(
        name="an archive command that fails",
        check="archiver_failing",
        object="server",
        severity=("critical",),
        stage=archiving("/bin/false %p", "failed_count > 0"),
    ),
    Fault(
        name="an archive command that does nothing",
        check="archiver_suspicious",
        object="server",
        stage=archiving("/bin/true", "archived_count > 0"),
    ),
    Fault(
        name="an archive command that hides its failures",
        check="archiver_suspicious",
        object="server",
        stage=archiving("cp %p /nowhere/%f 2>/dev/null || true", "archived_count > 0"),
    ),
    Fault(
        name="an archive command that nobody runs",
        check="archiver_suspicious",
        object="server",
        sql=(f"alter system set archive_command = '{COPY}'", "select pg_reload_conf()"),
    ),
    Decoy(name="an archive that works", stage=archiving(COPY, "archived_count > 0")),
    Decoy(
        name="an archive that failed once and caught up",
        stage=archiving(f"mkdir tried || {COPY}; test -f arch/%f", "archived_count > 0"),
    ),
    Fault(
        name="a slot whose plugin is not allowed",
        check="blocked_output_plugin",
        object="cdc",
        stage=blocked_plugin,
        majors=">= 18",
    ),
    Decoy(name="checkpoints by hand", sql=("checkpoint",) * 8, limits={"forced_checkpoints": {"counters_s": 0.0}}),
    Fault(
        name="checkpoints that the amount of WAL forces",
        check="forced_checkpoints",
        object="server",
        stage=forced,
        limits={"forced_checkpoints": {"counters_s": 0.0}},
    ),
    Fault(
        name="one of two replicas is gone",
        check="missing_replica",
        object="server",
        stage=one_of_two_killed,
        expect={"replicas": 2},
        blindfold="login",
    ),
    Decoy(name="as many replicas as there should be", stage=two_streaming, expect={"replicas": 2}),
    Decoy(name="more replicas than there must be", stage=two_streaming, expect={"replicas": 1}),
    Fault(
        name="a standby that is cut off from its primary",
        check="replication_lag",
        object="server",
        severity=("warning", "critical"),
        stage=cut_off,
    ),
]
