"""From demand to pool sizes: what is needed, what the cores can run, and what the server lets in.

The runbook counts instances × pool size against max_connections; that is checked, too, but it says how many clients may
come, not how many are of use.  More connections at work than the machine can run wait for each other inside the
server, holding locks and memory; in the pooler's queue they hold nothing.
"""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace

from pgrunbook.journey.advise.pool.demand import Demand

CORE_FACTOR = 2  # a core can run one while another waits for the disk
SPARE_SHARE = 0.1  # of what ordinary roles may take, for people, migrations and backups
SPARE_MIN = 3
RESERVE_SHARE = 0.2
RESERVE_MAX = 20
SESSION_ROOM = 0.2  # a client more than was seen waits until another leaves, which may be never
TRANSACTION, SESSION = "transaction", "session"  # as PgBouncer calls them


@dataclass(frozen=True, slots=True, kw_only=True)
class Room:
    """What the server lets in.  `outside` sessions do not come through the pooler."""

    max_connections: int
    reserved: int
    outside: int

    @property
    def usable(self) -> int:
        """Connections for ordinary roles."""
        return self.max_connections - self.reserved

    @property
    def spare(self) -> int:
        """Left free on purpose."""
        return max(SPARE_MIN, math.ceil(SPARE_SHARE * self.usable))

    @property
    def for_pools(self) -> int:
        """What pools may take all together."""
        return max(1, self.usable - self.outside - self.spare)


@dataclass(frozen=True, slots=True, kw_only=True)
class PoolSize:
    """One pool.  `limit` is its role's or database's own limit of connections, if there is one."""

    demand: Demand
    size: int
    needed: int
    limit: int | None = None
    mode: str = TRANSACTION

    @property
    def is_cut(self) -> bool:
        """Whether it gets less than it asks for."""
        return self.size < self.needed


@dataclass(frozen=True, slots=True, kw_only=True)
class Sizes:
    """All pools, and what bounds them.  `runnable` is what the cores can run, None where they are not known."""

    pools: tuple[PoolSize, ...]
    room: Room
    runnable: int | None
    reserve: int

    @property
    def total(self) -> int:
        """Connections of all pools together, without their reserve."""
        return sum(pool.size for pool in self.pools)

    def of_database(self, name: str) -> tuple[PoolSize, ...]:
        """The pools of one database."""
        return tuple(pool for pool in self.pools if pool.demand.database == name)


def sizes(
    demands: Sequence[Demand],
    room: Room,
    *,
    cores: int | None,
    hold_ratio: float = 1.0,
    limits: Mapping[tuple[str, str], int] | None = None,
    modes: Mapping[str, str] | None = None,
) -> Sizes:
    """Size every pool.  `limits` are connection limits by database and role, `modes` pool modes by role.

    What the cores can run bounds pools in transaction mode; in session mode each client keeps its connection, at work
    or not, so that only what the server lets in bounds them.
    """
    asked = [_asked(demand, limits or {}, modes or {}) for demand in demands]
    runnable = math.ceil((CORE_FACTOR * cores + 1) * hold_ratio) if cores is not None else None
    held = {one.demand: one.size for one in asked if one.mode == SESSION}
    shared = {one.demand: one.size for one in asked if one.mode != SESSION}
    reserve = _reserve(sum(shared.values()), room.for_pools - sum(held.values()))
    given = dict(shared_out(held, max(room.for_pools - reserve - len(shared), len(held))))
    bound = room.for_pools - reserve - sum(given.values())
    if runnable is not None:
        bound = min(bound, max(runnable, 2 * len(shared)))
    given |= shared_out(shared, max(bound, len(shared)))
    pools = tuple(replace(one, size=given[one.demand]) for one in asked)
    return Sizes(pools=pools, room=room, runnable=runnable, reserve=reserve)


def _asked(demand: Demand, limits: Mapping[tuple[str, str], int], modes: Mapping[str, str]) -> PoolSize:
    """What one pool would like to have."""
    mode, limit = modes.get(demand.role, TRANSACTION), limits.get((demand.database, demand.role))
    needed = math.ceil((1 + SESSION_ROOM) * max(1, demand.sessions_max)) if mode == SESSION else demand.needed
    size = min(needed, limit) if limit is not None else needed
    return PoolSize(demand=demand, size=size, needed=needed, limit=limit, mode=mode)


def _reserve(total: int, room: int) -> int:
    """For moments of more: a fifth, as far as there is room."""
    return max(0, min(math.ceil(RESERVE_SHARE * total), room - total, RESERVE_MAX))


def shared_out(wanted: Mapping[Demand, int], bound: int) -> Mapping[Demand, int]:
    """Everyone's wish if they fit into the bound; else in proportion, one at least, together no more than the bound."""
    total = sum(wanted.values())
    if total <= bound:
        return dict(wanted)
    exact = {demand: size * bound / total for demand, size in wanted.items()}
    given = {demand: max(1, math.floor(share)) for demand, share in exact.items()}
    left = bound - sum(given.values())
    for demand in sorted(exact, key=lambda d: math.floor(exact[d]) - exact[d])[: max(0, left)]:
        given[demand] += 1
    while sum(given.values()) > bound and any(size > 1 for size in given.values()):
        largest = max(given, key=lambda d: given[d])
        given[largest] -= 1
    return given


@dataclass(frozen=True, slots=True, kw_only=True)
class ClientSide:
    """The application's own pools: instances × pool size, as the runbook counts."""

    instances: int
    pool_size: int | None

    @property
    def total(self) -> int | None:
        """Connections that all instances may open together."""
        return self.instances * self.pool_size if self.pool_size is not None else None

    def direct_size(self, room: Room) -> int:
        """What each instance may keep without a pooler in front."""
        return max(1, room.for_pools // self.instances)

    def pooled_size(self, pools_total: int) -> int:
        """What each instance should keep before a pooler: its share, and twice as many that wait."""
        return max(2, math.ceil(3 * pools_total / self.instances))
