"""Who waits for which lock, and who holds it."""

from __future__ import annotations

from collections.abc import Iterator

from pgrunbook.journey.diagnose.seen import Seen
from pgrunbook.journey.diagnose.sessions import hidden_blind
from pgrunbook.journey.observe.locks import ADVISORY_LOCKS, BLOCKING, Waiter
from pgrunbook.journey.observe.sessions import SESSIONS, Backend
from pgrunbook.model import Value
from pgrunbook.report.table import Column, Table

NEEDS = (BLOCKING, SESSIONS)
LIKES = (ADVISORY_LOCKS,)

COLUMNS = (
    Column(name="pid"),
    Column(name="waiting_s", title="waits"),
    Column(name="lock"),
    Column(name="on"),
    Column(name="role"),
    Column(name="blocked_by", title="blocked by"),
    Column(name="blocker_state", title="which is"),
    Column(name="query", is_long=True),
    Column(name="blocker_query", title="its query", is_long=True),
)


def table(seen: Seen) -> Table:
    """A row for each pair of who waits and who stands before it, longest wait first; then held advisory locks."""
    backends = {backend.pid: backend for backend in seen.rows(SESSIONS)}
    waiters = sorted(seen.rows(BLOCKING), key=lambda w: (-(w.waiting_s or 0.0), w.pid))
    rows = [row for waiter in waiters for row in _pairs(waiter, backends)]
    held = seen.rows_or_none(ADVISORY_LOCKS) or ()
    for lock in held:
        holder = backends.get(lock.pid)
        keys = f"{', '.join(lock.keys)}{' …' if lock.locks > len(lock.keys) else ''}"
        rows.append((lock.pid, None, "advisory, held", keys, _role(holder), None, None, _query(holder), None))
    blind = hidden_blind(seen)
    return Table(
        name="locks",
        columns=COLUMNS,
        rows=tuple(rows),
        notes=(f"{blind.reason}.  {blind.cure}",) if blind is not None else (),
        empty="Nobody waits for a lock, and nobody holds an advisory lock.",
    )


def _pairs(waiter: Waiter, backends: dict[int, Backend]) -> Iterator[tuple[Value, ...]]:
    victim = backends.get(waiter.pid)
    for pid in waiter.blocked_by or (None,):
        blocker = backends.get(pid) if pid else None
        name = str(pid) if pid else ("prepared " + ", ".join(waiter.prepared_gids)).strip()
        yield (
            waiter.pid,
            round(waiter.waiting_s, 1) if waiter.waiting_s is not None else None,
            f"{waiter.mode} ({waiter.lock_type})",
            waiter.relation,
            _role(victim),
            name if pid is not None else None,
            blocker.state if blocker is not None else None,
            _query(victim),
            _query(blocker),
        )


def _role(backend: Backend | None) -> str | None:
    return backend.role if backend is not None else None


def _query(backend: Backend | None) -> str | None:
    return (backend.query or None) if backend is not None else None
