"""Who is connected, and what each session does."""

from __future__ import annotations

from pgrunbook.journey.diagnose.seen import Seen
from pgrunbook.journey.diagnose.sessions import hidden_blind
from pgrunbook.journey.observe.locks import BLOCKING
from pgrunbook.journey.observe.sessions import SESSIONS, Backend
from pgrunbook.model import Value
from pgrunbook.report.table import Column, Table
from pgrunbook.report.words import counted

NEEDS = (SESSIONS,)
LIKES = (BLOCKING,)

COLUMNS = (
    Column(name="pid"),
    Column(name="database"),
    Column(name="role"),
    Column(name="application"),
    Column(name="client"),
    Column(name="state"),
    Column(name="state_age_s", title="since"),
    Column(name="transaction_age_s", title="transaction"),
    Column(name="waits_for", title="waits for"),
    Column(name="blocked_by", title="blocked by"),
    Column(name="query", is_long=True),
)
_ORDER = {"active": 0, "idle in transaction (aborted)": 1, "idle in transaction": 2}


def table(seen: Seen) -> Table:
    """Client sessions of all databases but ours: those at work first, then those that were idle longest."""
    backends = [backend for backend in seen.rows(SESSIONS) if backend.is_client and not backend.is_ours]
    blocked = {waiter.pid: waiter.blocked_by for waiter in seen.rows_or_none(BLOCKING) or ()}
    backends.sort(key=lambda b: (_ORDER.get(b.state or "", 3), -(b.state_age_s or 0.0), b.pid))
    servants = sum(not backend.is_client for backend in seen.rows(SESSIONS))
    notes = [f"{counted(servants, 'process', 'processes')} of the server itself, which are no sessions, left out."]
    blind = hidden_blind(seen)
    if blind is not None:
        notes.append(f"{blind.reason}.  {blind.cure}")
    return Table(
        name="sessions",
        columns=COLUMNS,
        rows=tuple(_row(backend, blocked.get(backend.pid, ())) for backend in backends),
        notes=tuple(notes),
        empty="No client is connected but pgrunbook.",
    )


def _row(backend: Backend, blocked_by: tuple[int, ...]) -> tuple[Value, ...]:
    waits = None
    if backend.wait_event_type is not None and backend.wait_event_type != "Client":
        waits = f"{backend.wait_event_type}: {backend.wait_event}"
    return (
        backend.pid,
        backend.database,
        backend.role,
        backend.application or None,
        backend.client,
        backend.state,
        _rounded(backend.state_age_s),
        _rounded(backend.transaction_age_s),
        waits,
        tuple(str(pid) for pid in blocked_by) or None,
        backend.query or None,
    )


def _rounded(seconds: float | None) -> float | None:
    return round(max(seconds, 0.0), 1) if seconds is not None else None
