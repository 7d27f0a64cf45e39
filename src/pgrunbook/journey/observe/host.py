"""The machine we run on, watched from within by psutil, for the case that the server runs on it as well.

In: a connection.  Out: a Host, or None when the server's process is not one of this machine's.  What a privileged role
may read through SQL (processors, machine) is better and works from afar; this serves the others.
"""

from __future__ import annotations

import time
from dataclasses import dataclass
from typing import Any, Self

import psutil

from pgrunbook.pg.connect import Session


@dataclass(frozen=True, slots=True, kw_only=True)
class Host:
    """Shares of the processors' time between two looks, and of the memory now; None where nobody knows, and `why`.

    `is_named`: the configuration names its exporter, which is then asked before anybody else.
    """

    where: str
    seconds: float
    cpu_ratio: float | None = None
    disk_wait_ratio: float | None = None
    memory_ratio: float | None = None
    memory_bytes: int | None = None
    cores: int | None = None
    is_named: bool = False
    why: str = ""
    cure: str = ""


class HostWatch:
    """Counts from when it is made; `look` says what happened since."""

    def __init__(self) -> None:
        self._began = time.monotonic()
        self._times = psutil.cpu_times()

    @classmethod
    def beside(cls, conn: Session) -> Self | None:
        """A watch if the process that serves this connection runs on our machine, else None."""
        row = conn.execute("/* pgrunbook: own_pid */ select pg_catalog.pg_backend_pid()").fetchone()
        return cls() if row is not None and serves_here(int(row[0])) else None

    def look(self) -> Host:
        """What the machine did since the watch began."""
        now, memory = psutil.cpu_times(), psutil.virtual_memory()
        whole = max(_total(now) - _total(self._times), 1e-9)
        waited = getattr(now, "iowait", 0.0) - getattr(self._times, "iowait", 0.0)
        idled = now.idle - self._times.idle
        return Host(
            where="this machine, on which the server runs",
            cpu_ratio=min(1.0, max(0.0, 1 - (idled + waited) / whole)),
            disk_wait_ratio=min(1.0, max(0.0, waited / whole)),
            memory_ratio=1 - memory.available / memory.total,
            memory_bytes=memory.total,
            cores=psutil.cpu_count() or 1,
            seconds=time.monotonic() - self._began,
        )


def serves_here(pid: int) -> bool:
    """Whether this machine has a process of that number that is a PostgreSQL server's.

    A server elsewhere has processes of its own numbers: that ours with the same number were a `postgres`, too, would
    be a chance in thousands, and where it is so, a server does run here.
    """
    try:
        process = psutil.Process(pid)
        return process.name().startswith("postgres") and process.status() != psutil.STATUS_ZOMBIE
    except psutil.Error:
        return False


def _total(times: Any) -> float:
    """All of it once: Linux counts guests within user and nice."""
    guests = getattr(times, "guest", 0.0) + getattr(times, "guest_nice", 0.0)
    return float(sum(times) - guests)
