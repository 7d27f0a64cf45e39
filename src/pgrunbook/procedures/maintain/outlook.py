"""Is now a good time?  Blackouts, pressure, long transactions, backups that run: what speaks against maintenance now.

In: one observation and the arrangements.  Out: signs, some of which forbid maintenance; what could not be seen is said.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from datetime import datetime
from enum import StrEnum

from pgrunbook.journey.diagnose.horizon import Holder, holders
from pgrunbook.journey.diagnose.seen import Seen
from pgrunbook.journey.diagnose.sessions import hidden_blind, is_tool, runs_maintenance
from pgrunbook.journey.observe.index_work import INDEX_WORK
from pgrunbook.journey.observe.locks import BLOCKING
from pgrunbook.journey.observe.prepared_transactions import PREPARED_TRANSACTIONS
from pgrunbook.journey.observe.processors import PROCESSORS
from pgrunbook.journey.observe.replication import REPLICATION
from pgrunbook.journey.observe.replication_slots import REPLICATION_SLOTS
from pgrunbook.journey.observe.sessions import SESSIONS, Backend
from pgrunbook.journey.observe.settings import SETTINGS, by_name
from pgrunbook.model import Blind, ServerRole
from pgrunbook.procedures.maintain.arrangements import Arrangements, PressureLimits
from pgrunbook.report.words import counted, duration, one_line, size

NEEDS = (SESSIONS, SETTINGS)
LIKES = (BLOCKING, REPLICATION, PROCESSORS, INDEX_WORK, PREPARED_TRANSACTIONS, REPLICATION_SLOTS)
LONG_S = 300.0  # the runbook's five minutes
WAITED_S = 1.0  # shorter waits are the daily life of row locks
_BACKUPS = ("pg_dump", "pg_basebackup", "pgbackrest", "barman", "wal-g", "pg_probackup")


class Hindrance(StrEnum):
    """What kind of thing speaks against it."""

    STANDBY = "standby"
    BLACKOUT = "blackout"
    PRESSURE = "pressure"
    TRANSACTION = "long transaction"
    BACKUP = "backup running"
    BUILD = "index build running"


@dataclass(frozen=True, slots=True, kw_only=True)
class Sign:
    """One thing that speaks against maintenance.  `forbids`: it is refused unless somebody insists."""

    hindrance: Hindrance
    words: str
    forbids: bool


@dataclass(frozen=True, slots=True, kw_only=True)
class Outlook:
    """What speaks against it now; nothing is a good time."""

    at: datetime
    signs: tuple[Sign, ...]
    blind: tuple[Blind, ...]

    @property
    def forbidding(self) -> tuple[Sign, ...]:
        """The signs for which maintenance is refused."""
        return tuple(sign for sign in self.signs if sign.forbids)

    @property
    def is_standby(self) -> bool:
        """Whether this is the wrong server, whoever insists."""
        return any(sign.hindrance is Hindrance.STANDBY for sign in self.signs)

    @property
    def is_good(self) -> bool:
        """Whether nothing forbids it."""
        return not self.forbidding


def outlook(seen: Seen, arrangements: Arrangements, *, cores: int | None = None) -> Outlook:
    """Look at one observation.  `cores` are the machine's, where somebody knows them better than the server tells."""
    signs = [
        *_standby(seen),
        *_blackouts(seen, arrangements),
        *_pressure(seen, arrangements.pressure, cores),
        *_transactions(seen),
        *_backups(seen),
        *_builds(seen),
    ]
    return Outlook(at=seen.at, signs=tuple(signs), blind=tuple(_blind(seen)))


def _standby(seen: Seen) -> Iterator[Sign]:
    if seen.server.role is ServerRole.STANDBY:
        yield Sign(
            hindrance=Hindrance.STANDBY, words="this server is a standby; the primary is maintained", forbids=True
        )


def _blackouts(seen: Seen, arrangements: Arrangements) -> Iterator[Sign]:
    for span in arrangements.blackouts:
        ends_at = span.end_at(seen.at)
        if ends_at is not None:
            words = f"blackout {span.text}, which ends at {ends_at:%Y-%m-%d %H:%M} UTC"
            yield Sign(hindrance=Hindrance.BLACKOUT, words=words, forbids=True)


def _pressure(seen: Seen, limits: PressureLimits, cores: int | None) -> Iterator[Sign]:
    for words in (
        *_connections(seen, limits),
        *_active(seen, limits, cores),
        *_waiting(seen, limits),
        *_lagging(seen, limits),
    ):
        yield Sign(hindrance=Hindrance.PRESSURE, words=words, forbids=True)


def _clients(seen: Seen) -> list[Backend]:
    return [backend for backend in seen.rows(SESSIONS) if backend.is_client and not backend.is_ours]


def _usable(seen: Seen) -> float:
    settings = by_name(seen.rows(SETTINGS))
    reserved = ("superuser_reserved_connections", "reserved_connections")  # the latter from 16
    usable = settings["max_connections"].number - sum(settings[n].number for n in reserved if n in settings)
    return max(usable, 1.0)


def _connections(seen: Seen, limits: PressureLimits) -> Iterator[str]:
    used, usable = len(_clients(seen)), _usable(seen)
    if used / usable >= limits.connections_ratio:
        yield f"{used} of the {usable:.0f} connections are taken"


def _active(seen: Seen, limits: PressureLimits, cores: int | None) -> Iterator[str]:
    """Sessions that want a processor: who waits for a client, a lock or a nap does not."""
    idle_waits = {"Client", "Lock", "Timeout", "Activity", "Extension"}
    busy = sum(
        backend.state == "active" and backend.wait_event_type not in idle_waits and not runs_maintenance(backend)
        for backend in _clients(seen)
    )
    told = seen.rows_or_none(PROCESSORS)
    known = told[0].cores if told else cores
    limit = limits.active_per_core * known if known else limits.active_ratio * _usable(seen)
    if busy >= max(limit, 2.0):
        against = f"{counted(known, 'core')}" if known else f"{_usable(seen):.0f} connections"
        yield f"{counted(busy, 'session')} at work on {against}"


def _waiting(seen: Seen, limits: PressureLimits) -> Iterator[str]:
    waiters = [w for w in seen.rows_or_none(BLOCKING) or () if (w.waiting_s or 0.0) >= WAITED_S]
    if len(waiters) >= limits.waiting_sessions:
        yield f"{counted(len(waiters), 'session')} wait for locks"


def _lagging(seen: Seen, limits: PressureLimits) -> Iterator[str]:
    for receiver in seen.rows_or_none(REPLICATION) or ():
        lag_s, lag_bytes = receiver.replay_lag_s or 0.0, receiver.lag_bytes or 0
        if receiver.is_standby and lag_s >= limits.lag_s and lag_bytes > 0:
            name = one_line(receiver.application_name)
            yield f"standby {name} is {duration(lag_s)} ({size(lag_bytes)}) behind"


def _transactions(seen: Seen) -> Iterator[Sign]:
    """Dead rows that are younger than these cannot be removed, and builds wait for them."""
    for holder in long_holders(seen):
        held = f" for {duration(holder.held_s)}" if holder.held_s is not None else ""
        who = one_line(holder.backend.application or "") if holder.backend is not None else ""
        named = f"{holder.type} {holder.object}" + (f" ({who})" if who else "")
        yield Sign(
            hindrance=Hindrance.TRANSACTION,
            words=f"{one_line(named)} has held its snapshot{held}: rows that died since stay, and builds wait",
            forbids=False,
        )


def long_holders(seen: Seen) -> tuple[Holder, ...]:
    """Who has kept dead rows of this database for longer than the runbook allows."""
    return tuple(
        holder
        for holder in seen.derived(holders)
        if holder.holds_rows_of(seen.server.database) and holder.held_s is not None and holder.held_s >= LONG_S
    )


def _backups(seen: Seen) -> Iterator[Sign]:
    for backend in seen.rows(SESSIONS):
        name = backend.application or ""
        is_copy = backend.backend_type == "walsender" and (backend.query or "").upper().startswith("BASE_BACKUP")
        if is_copy or (is_tool(backend) and name.lower().startswith(_BACKUPS)):
            yield Sign(
                hindrance=Hindrance.BACKUP,
                words=f"{one_line(name) or 'a base backup'} is at work (pid {backend.pid})",
                forbids=False,
            )


def _builds(seen: Seen) -> Iterator[Sign]:
    for pid in sorted({work.pid for work in seen.rows_or_none(INDEX_WORK) or () if work.is_build}):
        yield Sign(hindrance=Hindrance.BUILD, words=f"backend {pid} builds an index", forbids=False)


def _blind(seen: Seen) -> Iterator[Blind]:
    hidden = hidden_blind(seen)
    if hidden is not None:
        yield hidden
