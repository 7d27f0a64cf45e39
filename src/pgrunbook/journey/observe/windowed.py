"""Two observations some seconds apart, so that counters become rates (`--window`, `--since`)."""

from __future__ import annotations

import dataclasses
import time
from collections.abc import Callable, Sequence
from typing import Any

from pgrunbook.errors import UsageError
from pgrunbook.journey.observe.observer import observe
from pgrunbook.model import Question, Snapshot
from pgrunbook.pg.connect import Session, connect


def observe_window(
    dsn_or_conn: str | Session,
    questions: Sequence[Question[Any]],
    *,
    window_s: float,
    wait: Callable[[float], None] = time.sleep,
) -> Snapshot:
    """Ask the counters, wait, then ask everything; the first answers are the snapshot's `earlier`."""
    if isinstance(dsn_or_conn, str):
        with connect(dsn_or_conn, station="observe") as conn:
            return observe_window(conn, questions, window_s=window_s, wait=wait)
    earlier = observe(dsn_or_conn, [question for question in questions if question.counters])
    wait(window_s)
    return dataclasses.replace(observe(dsn_or_conn, questions), earlier=earlier)


def since(snapshot: Snapshot, earlier: Snapshot) -> Snapshot:
    """Let rates be reckoned from an older snapshot.  UsageError unless it is one of the same database."""
    was, now = earlier.server, snapshot.server
    if was.database != now.database:
        raise UsageError(f"the older snapshot is of database {was.database}, not of {now.database}")
    if None not in (was.system_identifier, now.system_identifier) and was.system_identifier != now.system_identifier:
        raise UsageError(
            "the older snapshot is of another server:"
            f" its system identifier is {was.system_identifier}, this one's {now.system_identifier}"
        )
    if earlier.taken_at >= snapshot.taken_at:
        raise UsageError(
            f"the older snapshot was taken at {earlier.taken_at:%Y-%m-%d %H:%M:%S} UTC, which is not before this one"
        )
    return dataclasses.replace(snapshot, earlier=dataclasses.replace(earlier, earlier=None))
