"""Rows of pg_stat_statements and snapshots of them, to be changed one figure at a time."""

from __future__ import annotations

import dataclasses
from datetime import UTC, datetime, timedelta
from typing import Any

from tests.fix import diagnoses

from pgrunbook.journey.observe.statements import Statement, StatementsInfo
from pgrunbook.model import Reading, Snapshot, Unread

AT = datetime(2026, 11, 24, 9, 30, tzinfo=UTC)
RESET_AT = AT - timedelta(days=3)


def statement(queryid: int = 1, *, calls: int = 100, mean_ms: float = 1.0, **changes: Any) -> Statement:
    """A statement whose calls all took about as long."""
    base = Statement(
        role="app",
        queryid=queryid,
        toplevel=True,
        query=f"select * from t{queryid} where id = $1",
        calls=calls,
        plans=0,
        total_exec_ms=calls * mean_ms,
        mean_exec_ms=mean_ms,
        min_exec_ms=mean_ms / 2,
        max_exec_ms=mean_ms * 2,
        stddev_exec_ms=0.0,
        total_plan_ms=0.0,
        rows=calls,
        shared_hit_blocks=4 * calls,
        shared_read_blocks=0,
        shared_dirtied_blocks=0,
        shared_written_blocks=0,
        local_hit_blocks=0,
        local_read_blocks=0,
        local_dirtied_blocks=0,
        local_written_blocks=0,
        temp_read_blocks=0,
        temp_written_blocks=0,
        shared_block_read_ms=0.0,
        shared_block_write_ms=0.0,
        temp_block_read_ms=0.0,
        temp_block_write_ms=0.0,
        wal_bytes=0,
        stats_since=None,
    )
    return dataclasses.replace(base, **changes)


def info(**changes: Any) -> StatementsInfo:
    base = StatementsInfo(evictions=0, stats_reset=RESET_AT, read_at=AT, max_statements=5000, track="top")
    return dataclasses.replace(base, **changes)


def snapshot(
    *rows: Statement,
    about: StatementsInfo | None = None,
    earlier: Snapshot | None = None,
    at: datetime = AT,
    started_at: datetime | None = RESET_AT,
    **readings: Reading[Any] | Unread,
) -> Snapshot:
    """A snapshot of these statements; `about` None: an extension too old to say anything about itself."""
    known: dict[str, Any] = {"statements": Reading(rows=rows, taken_at=at), **readings}
    known["statements_info"] = (
        Reading(rows=(dataclasses.replace(about, read_at=at),), taken_at=at)
        if about is not None
        else Unread(reason="extension pg_stat_statements 1.8 is older than 1.9")
    )
    server = dataclasses.replace(diagnoses.server(), started_at=started_at)
    return Snapshot(server=server, taken_at=at, duration_s=0.1, readings=known, earlier=earlier)
