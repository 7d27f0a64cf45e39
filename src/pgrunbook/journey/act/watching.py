"""Looks over the server's shoulder while a step works: how far its build, vacuum or analyze has come.

A second connection, opened only when the step lasts; without one there is simply nothing to show.
"""

from __future__ import annotations

import contextlib
import threading
from collections.abc import Callable
from types import TracebackType
from typing import Self

import psycopg

from pgrunbook.errors import ServerError
from pgrunbook.pg.connect import Session, connect

PATIENCE_S = 0.5  # what is over sooner needs no progress bar
POLL_S = 0.5

_WORK = """/* pgrunbook: work_progress */
select p.phase, case when p.total > 0 then least(p.done::float8 / p.total, 1.0) end
from (
  select b.pid, b.phase, case when b.blocks_total > 0 then b.blocks_done else b.tuples_done end,
         case when b.blocks_total > 0 then b.blocks_total else b.tuples_total end
  from pg_catalog.pg_stat_progress_create_index as b
  union all
  select v.pid, v.phase, v.heap_blks_scanned, v.heap_blks_total from pg_catalog.pg_stat_progress_vacuum as v
  union all
  select a.pid, a.phase, a.sample_blks_scanned, a.sample_blks_total from pg_catalog.pg_stat_progress_analyze as a
  union all
  select c.pid, c.command || ': ' || c.phase,
         case when c.heap_blks_total > 0 then c.heap_blks_scanned else c.heap_tuples_written end,
         case when c.heap_blks_total > 0 then c.heap_blks_total else c.heap_tuples_scanned end
  from pg_catalog.pg_stat_progress_cluster as c
) as p (pid, phase, done, total)
where p.pid = %(pid)s"""


class Watching:
    """Use as a context manager around the work of backend `pid`.  `tell` is called from another thread."""

    def __init__(self, dsn: str, pid: int, tell: Callable[[str, float | None], None]) -> None:
        self._dsn = dsn
        self._pid = pid
        self._tell = tell
        self._over = threading.Event()
        self._thread = threading.Thread(target=self._watch, name="pgrunbook progress", daemon=True)

    def __enter__(self) -> Self:
        self._thread.start()
        return self

    def __exit__(
        self, kind: type[BaseException] | None, value: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._over.set()
        self._thread.join()

    def _watch(self) -> None:
        if self._over.wait(PATIENCE_S):
            return
        with (
            contextlib.suppress(ServerError, psycopg.Error),
            connect(self._dsn, station="act") as conn,
        ):
            while not self._over.wait(POLL_S):
                self._look(conn)

    def _look(self, conn: Session) -> None:
        row = conn.execute(_WORK, {"pid": self._pid}).fetchone()
        if row is not None:
            self._tell(str(row[0]), float(row[1]) if row[1] is not None else None)
