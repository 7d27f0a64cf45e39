"""What session checks share: who may be judged, who blocks whom, and the words of evidence about a session."""

from __future__ import annotations

import re
from collections.abc import Mapping
from dataclasses import dataclass

from pgrunbook.journey.diagnose.seen import Seen
from pgrunbook.journey.observe.locks import BLOCKING, Waiter
from pgrunbook.journey.observe.sessions import SESSIONS, Backend
from pgrunbook.model import Blind, Value, quote

STATS_ROLE = "pg_read_all_stats"

# Programs that copy or maintain; their sessions idle in transactions and run for hours by design.
_TOOLS = re.compile(
    r"(pg_dump|pg_dumpall|pg_restore|pg_basebackup|pg_receivewal|pg_recvlogical|pg_amcheck|pgbackrest|barman|wal-g"
    r"|pg_repack|pg_squeeze|patroni|repmgr|vacuumdb|reindexdb|pg_upgrade)",
    re.IGNORECASE,
)
_MAINTENANCE = re.compile(
    r"(vacuum|analyze|analyse|create\s+(unique\s+)?index|reindex|cluster|repack|refresh|copy|alter|checkpoint"
    r"|create\s+database|create\s+subscription|listen|start_replication|base_backup)\b",
    re.IGNORECASE,
)


def is_tool(backend: Backend) -> bool:
    """A session of a backup or maintenance program, by the name it gives itself."""
    return _TOOLS.match(backend.application or "") is not None


def runs_maintenance(backend: Backend) -> bool:
    """A session whose statement may take long by its nature: VACUUM, CREATE INDEX, COPY and their kin."""
    return _MAINTENANCE.match((backend.query or "").lstrip()) is not None


def hidden_blind(seen: Seen) -> Blind | None:
    """Without pg_read_all_stats the state of other roles' sessions is hidden."""
    if seen.server.may(STATS_ROLE):
        return None
    return Blind(
        reason=f"{seen.server.user} is no member of {STATS_ROLE}: what other roles' sessions do is hidden",
        cure=f"GRANT {STATS_ROLE} TO {quote(seen.server.user)};",
    )


def who(backend: Backend) -> dict[str, Value]:
    """Evidence that tells a person which session it is."""
    return {
        "database": backend.database,
        "role": backend.role,
        "application": backend.application or None,
        "client": backend.client,
        "state": backend.state,
        "query": backend.query or None,
    }


@dataclass(frozen=True, slots=True, kw_only=True)
class Blockade:
    """Everyone who waits, directly or in line, behind one root: a session, or a prepared transaction (pid 0)."""

    pid: int
    gid: str | None
    victims: tuple[Waiter, ...]

    @property
    def longest_wait_s(self) -> float:
        """How long the first in line has waited."""
        return max((victim.waiting_s or 0.0 for victim in self.victims), default=0.0)


def blockades(seen: Seen) -> tuple[Blockade, ...]:
    """Each root blocker with its victims.  In a circle (a deadlock not yet broken) the smallest pid is the root."""
    waiters = {waiter.pid: waiter for waiter in seen.rows(BLOCKING)}
    roots: dict[tuple[int, str | None], list[Waiter]] = {}
    for waiter in waiters.values():
        for root in _roots_of(waiter, waiters):
            roots.setdefault(root, []).append(waiter)
    return tuple(
        Blockade(pid=pid, gid=gid, victims=tuple(sorted(victims, key=lambda v: (-(v.waiting_s or 0.0), v.pid))))
        for (pid, gid), victims in sorted(roots.items(), key=lambda item: (item[0][0], item[0][1] or ""))
    )


def blocked_by(seen: Seen) -> Mapping[int, tuple[Waiter, ...]]:
    """The victims of each session that is a root blocker."""
    if seen.rows_or_none(BLOCKING) is None:
        return {}
    return {blockade.pid: blockade.victims for blockade in seen.derived(blockades) if blockade.pid}


def backends(seen: Seen) -> Mapping[int, Backend]:
    """Sessions by pid."""
    return {backend.pid: backend for backend in seen.rows(SESSIONS)}


def _roots_of(waiter: Waiter, waiters: Mapping[int, Waiter]) -> set[tuple[int, str | None]]:
    found: set[tuple[int, str | None]] = set()
    reached: set[int] = set()
    todo = [waiter]
    while todo:
        current = todo.pop()
        for pid in current.blocked_by:
            if pid == 0:
                found |= {(0, gid) for gid in current.prepared_gids or (None,)}
            elif pid not in waiters:
                found.add((pid, None))
            elif pid not in reached:
                reached.add(pid)
                todo.append(waiters[pid])
    if not found and reached:
        found.add((min(reached), None))
    return found
