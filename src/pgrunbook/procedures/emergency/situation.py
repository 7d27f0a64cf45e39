"""What is seen of all sessions at one time: who does what, who waits for whom, who may be touched, how full it is."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from datetime import datetime

from pgrunbook.errors import Unsupported
from pgrunbook.journey.diagnose.horizon import Holder, holders
from pgrunbook.journey.diagnose.seen import Seen
from pgrunbook.journey.observe import observe
from pgrunbook.journey.observe.locks import ADVISORY_LOCKS, BLOCKING, Waiter
from pgrunbook.journey.observe.prepared_transactions import PREPARED_TRANSACTIONS
from pgrunbook.journey.observe.replication_slots import REPLICATION_SLOTS
from pgrunbook.journey.observe.sessions import SESSIONS, Backend
from pgrunbook.journey.observe.settings import SETTINGS, by_name
from pgrunbook.journey.steps.session_guard import STATS_ROLE, Leave, protections
from pgrunbook.model import NotRead, Server, quote
from pgrunbook.pg.connect import Session, translated
from pgrunbook.pg.parse import Parser
from pgrunbook.procedures.emergency.limits import Limits
from pgrunbook.procedures.emergency.waits import Waits

RESERVED = ("superuser_reserved_connections", "reserved_connections")  # the latter from 16
PRESSED_ACTIVE_RATIO = 0.25  # of all connections at work at once: more than most machines have processors for
HELD_S = 5.0  # a younger snapshot is gone before a vacuum comes to its rows


@dataclass(frozen=True, slots=True, kw_only=True)
class Situation:
    """One look.  `usable` are the connections that ordinary roles may take, `used` those that clients have taken."""

    server: Server
    at: datetime
    sessions: tuple[Backend, ...]
    waits: Waits
    leave: Mapping[int, Leave]
    advisory: frozenset[int]
    usable: int
    horizon: tuple[Holder, ...] = ()

    @property
    def waiters(self) -> Mapping[int, Waiter]:
        """Who waits for a lock, by pid."""
        return self.waits.waiters

    @property
    def clients(self) -> tuple[Backend, ...]:
        """Sessions of clients, but for our own."""
        return tuple(one for one in self.sessions if one.is_client and not one.is_ours)

    @property
    def used(self) -> int:
        """How many connections clients have taken, ours included."""
        return sum(one.is_client for one in self.sessions)

    @property
    def used_ratio(self) -> float:
        """The share of usable connections that is taken."""
        return self.used / max(self.usable, 1)

    @property
    def active(self) -> int:
        """Clients at work who wait for no lock."""
        return sum(one.state == "active" and one.pid not in self.waiters for one in self.clients)

    def session(self, pid: int) -> Backend | None:
        """The session of this pid."""
        return next((one for one in self.sessions if one.pid == pid), None)

    def pressure(self, limits: Limits) -> tuple[str, ...]:
        """Why the server is under pressure, in words; () when it is not."""
        reasons = []
        waiting = [w for w in self.waiters.values() if (w.waiting_s or 0.0) >= min(limits.blocking_for_s, 1.0)]
        if waiting:
            reasons.append(f"{len(waiting)} wait for a lock")
        if self.used_ratio >= limits.saturation_ratio:
            reasons.append(f"{self.used} of {self.usable} connections are taken")
        if self.active > max(4.0, PRESSED_ACTIVE_RATIO * self.usable):
            reasons.append(f"{self.active} sessions are at work at once")
        return tuple(reasons)

    def horizon_holder(self) -> Holder | None:
        """Who holds the oldest snapshot of this database, so that VACUUM removes nothing that died since."""
        for holder in self.horizon:
            is_old = holder.held_s is None or holder.held_s >= HELD_S
            if holder.holds_rows_of(self.server.database) and is_old and holder.xid_age > 0:
                return holder
        return None


def look(conn: Session, limits: Limits) -> Situation:
    """Ask once, without waiting for any lock.  Raises Unsupported when too little can be seen."""
    snapshot = observe(conn, (SESSIONS, BLOCKING, ADVISORY_LOCKS, SETTINGS, REPLICATION_SLOTS, PREPARED_TRANSACTIONS))
    with translated("asking whom the guard would leave alone"):
        leave = protections(conn, spared_roles=limits.spared_roles, spared_applications=limits.spared_applications)
    server = snapshot.server
    try:
        sessions, settings = snapshot.rows(SESSIONS), by_name(snapshot.rows(SETTINGS))
        waits = Waits(snapshot.rows(BLOCKING))
    except NotRead as exc:
        raise Unsupported(f"the sessions cannot be seen: {exc.unread.reason}", hint=exc.unread.cure) from exc
    others = [one for one in sessions if one.is_client and not one.is_self]
    if not server.may(STATS_ROLE) and others and not any(one.is_visible for one in others):
        raise Unsupported(
            f"{server.user} does not see what other roles' sessions do",
            hint=f"GRANT {STATS_ROLE} TO {quote(server.user)};",
        )
    usable = settings["max_connections"].number - sum(settings[name].number for name in RESERVED if name in settings)
    seen = Seen(snapshot=snapshot, parser=Parser())
    return Situation(
        server=server,
        at=snapshot.taken_at,
        sessions=sessions,
        waits=waits,
        leave=leave,
        advisory=frozenset(one.pid for one in seen.rows_or_none(ADVISORY_LOCKS) or ()),
        usable=round(usable),
        horizon=holders(seen),
    )
