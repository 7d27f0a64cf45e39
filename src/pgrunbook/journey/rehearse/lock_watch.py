"""Looks at pg_locks while a step runs, and keeps the strongest lock on a table that it caught."""

from __future__ import annotations

import re
import threading
from types import TracebackType
from typing import Self

from pgrunbook.model import Lock
from pgrunbook.pg.connect import Session

_POLL_S = 0.001  # a step on empty tables lasts milliseconds
_HELD = """/* pgrunbook: held_locks */
select distinct l.mode
from pg_catalog.pg_locks as l
join pg_catalog.pg_class as c on c.oid = l.relation
where l.locktype = 'relation' and l.granted and l.pid = %(pid)s
  and c.oid >= 16384 and c.relkind in ('r', 'p', 'm') and c.relpersistence <> 't'"""
_STRENGTH = list(Lock)


class LockWatch:
    """Use as a context manager around the step; `seen` is None when nothing was caught."""

    def __init__(self, conn: Session, pid: int) -> None:
        self._conn = conn
        self._pid = pid
        self._over = threading.Event()
        self._thread = threading.Thread(target=self._look)
        self.seen: Lock | None = None

    def __enter__(self) -> Self:
        self._thread.start()
        return self

    def __exit__(
        self, kind: type[BaseException] | None, value: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._over.set()
        self._thread.join()

    def _look(self) -> None:
        while not self._over.wait(_POLL_S):
            for (mode,) in self._conn.execute(_HELD, {"pid": self._pid}).fetchall():
                self.seen = stronger(self.seen, lock_of(str(mode)))


def lock_of(mode: str) -> Lock:
    """A lock mode of pg_locks as its SQL name; the two that no step of ours names count as the next stronger one.

    >>> lock_of("ShareUpdateExclusiveLock").value, lock_of("ExclusiveLock").value
    ('SHARE UPDATE EXCLUSIVE', 'ACCESS EXCLUSIVE')
    """
    name = re.sub(r"(?<=[a-z])(?=[A-Z])", " ", mode.removesuffix("Lock")).upper()
    return {"ROW SHARE": Lock.ROW_EXCLUSIVE, "EXCLUSIVE": Lock.ACCESS_EXCLUSIVE}.get(name) or Lock(name)


def stronger(one: Lock | None, other: Lock) -> Lock:
    """The stronger of the two."""
    return other if one is None or _STRENGTH.index(other) > _STRENGTH.index(one) else one
