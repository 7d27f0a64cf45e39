"""Pools in words: why each has its size and mode, and whether the application's own pools fit."""

from __future__ import annotations

from collections.abc import Iterator, Sequence

from pgrunbook.journey.advise.given import Given
from pgrunbook.journey.advise.pool.demand import Demand
from pgrunbook.journey.advise.pool.features import FOLLOWS_PREPARED, Feature
from pgrunbook.journey.advise.pool.sizing import CORE_FACTOR, SESSION, ClientSide, PoolSize, Room, Sizes
from pgrunbook.model import Kind, quote
from pgrunbook.model.counsel import Ground, Kept, Proposal, Takes
from pgrunbook.report.words import counted, number, one_line

SIZES = "Pool sizes"
MODES = "Pool mode"
CLIENTS = "The application's own pools"
SERVER = "The server"
LONG_TRANSACTION_S = 1.0
FEW_SAMPLES = 10


def pool(one: PoolSize, sizes: Sizes) -> Proposal:
    """One pool: what was measured, what bounds it."""
    demand = one.demand
    reasons = [_measured(demand), *_needs(one), *_bounds(one, sizes)]
    return Proposal(
        area=SIZES,
        kind=Kind.ROLE,
        object=f"{quote(demand.role)} in {quote(demand.database)}",
        title=f"A pool of {one.size} for {demand.name}",
        current=f"{counted(demand.sessions_max, 'session')}",
        proposed=f"pool_size {one.size}, {one.mode} mode",
        reason="  ".join(reasons),
        effect=_effect(one),
        takes=Takes.CONFIGURATION,
        ground=Ground.EVIDENCE,
        evidence={
            "database": demand.database,
            "role": demand.role,
            "pool_size": one.size,
            "needed": one.needed,
            "mode": one.mode,
            "sessions_max": demand.sessions_max,
            "busy_mean": round(demand.busy_mean, 2),
            "busy_max": demand.busy_max,
            "waiting_max": demand.waiting_max,
            "samples": demand.samples,
            "longest_transaction_s": demand.longest_transaction_s,
            "connection_limit": one.limit,
        },
    )


def _measured(demand: Demand) -> str:
    times = f"in {counted(demand.samples, 'look')}"
    words = (
        f"Of {counted(demand.sessions_max, 'session')}, {number(round(demand.busy_mean, 1))} held a transaction"
        " on average"
        f" and {demand.busy_max} at most, {times}."
    )
    if demand.waiting_max >= max(2, demand.busy_max / 3):
        words += f"  Up to {demand.waiting_max} of them waited for a lock: a larger pool would only let more wait."
    return words


def _needs(one: PoolSize) -> Iterator[str]:
    if one.mode == SESSION:
        yield f"In session mode each client keeps its own connection: {one.needed}, with a fifth to spare."
    else:
        yield f"{one.needed} are enough in 99 moments of 100, where clients come by chance."


def _bounds(one: PoolSize, sizes: Sizes) -> Iterator[str]:
    if one.limit is not None and one.limit < one.needed:
        yield f"Its own connection limit is {one.limit}."
    if not one.is_cut or one.limit == one.size:
        return
    if one.mode != SESSION and sizes.runnable is not None and sizes.runnable <= sizes.room.for_pools:
        yield (
            f"Cut to {one.size}: the cores run {sizes.runnable} at a time ({CORE_FACTOR} a core and one, by rule of"
            " thumb); the rest wait in the pooler, where they hold no lock and no memory of the server."
        )
    else:
        yield f"Cut to {one.size}: that is its share of the {sizes.room.for_pools} connections that pools may take."


def _effect(one: PoolSize) -> str:
    if one.mode == SESSION:
        return f"{counted(one.size, 'client')} at one time; one more waits until another leaves"
    saved = one.demand.sessions_max - one.size
    if saved > 0:
        return f"{counted(saved, 'connection')} of the server less for the same work"
    return f"room for {one.size} at a time, however many clients come"


def mode(role: str, found: Sequence[Feature], version: tuple[int, ...] | None) -> Proposal:
    """A role that needs sessions, until its statements are changed."""
    habits = list({feature.habit.consequence: feature for feature in found}.values())
    shown = "  ".join(f"{one_line(feature.evidence)}: {feature.habit.consequence}." for feature in habits)
    instead = "  ".join(f"{feature.habit.instead[0].upper()}{feature.habit.instead[1:]}" for feature in habits)
    return Proposal(
        area=MODES,
        kind=Kind.ROLE,
        object=quote(role),
        title=f"Session mode for {role}, or other statements",
        current="what a transaction pooler breaks",
        proposed="pool_mode=session for this role",
        reason=f"{shown}  Instead: {instead}",
        effect="nothing breaks; but each of its clients keeps a connection of the server",
        takes=Takes.CONFIGURATION,
        ground=Ground.EVIDENCE,
        evidence={
            "queryids": tuple(feature.queryid for feature in found if feature.queryid is not None),
            "calls": sum(feature.calls for feature in found),
            "pooler_version": ".".join(map(str, version)) if version is not None else None,
        },
    )


def prepared_note(version: tuple[int, ...] | None) -> str:
    """What only the drivers know."""
    if version is not None and version >= FOLLOWS_PREPARED:
        return "Prepared statements by protocol work in transaction mode: max_prepared_statements is set below."
    known = f"PgBouncer {'.'.join(map(str, version))}" if version is not None else "PgBouncer before 1.21"
    return (
        f"Whether drivers prepare by protocol leaves no trace on the server.  {known} loses such statements in"
        " transaction"
        " mode: turn that off in the driver (prepare_threshold=None, prepareThreshold=0, statement_cache_size=0)"
        + ("." if version is not None else ", or give --pooler-version if it is newer.")
    )


def client_side(given: Given, sizes: Sizes, room: Room) -> Iterator[Proposal | Kept]:
    """The runbook's sum, against what there is."""
    if given.instances is None:
        return
    side = ClientSide(instances=given.instances, pool_size=given.client_pool_size)
    pooled, direct = side.pooled_size(sizes.total or room.for_pools), side.direct_size(room)
    if side.total is None or side.pool_size is None:
        return
    total = f"{counted(side.instances, 'instance')} × {side.pool_size} = {counted(side.total, 'connection')}"
    if side.total <= room.for_pools:
        yield Kept(
            area=CLIENTS,
            object="max of each instance",
            value=str(side.pool_size),
            reason=f"{total}, and {room.for_pools} are free for pools: they fit even without a pooler",
        )
        return
    yield Proposal(
        area=CLIENTS,
        kind=Kind.SERVER,
        object="max of each instance",
        title=f"{direct} for each instance without a pooler, or a pooler in front",
        current=f"{side.pool_size} each, {side.total} in all",
        proposed=f"{direct} each directly, about {min(pooled, side.pool_size)} each through PgBouncer",
        reason=f"{total}, but the server has {room.usable} for ordinary roles, of which {room.for_pools} are"
        " free for pools"
        f" ({room.outside} go past them, {room.spare} stay free).  The last to come are refused: too many clients.",
        effect="no instance is refused at its start; clients wait in a queue instead of failing",
        takes=Takes.CONFIGURATION,
        ground=Ground.RULE,
        evidence={"instances": side.instances, "pool_size": side.pool_size, "total": side.total, "usable": room.usable},
    )


def server(sizes: Sizes, peak: int) -> Kept:
    """max_connections against what pools need."""
    room = sizes.room
    return Kept(
        area=SERVER,
        object="max_connections",
        value=str(room.max_connections),
        reason=f"{room.reserved} are reserved, {room.outside} went past a pooler, {room.spare} stay free:"
        f" {room.for_pools}"
        f" for pools, which take {sizes.total} and {sizes.reserve} in reserve; {peak} sessions at most were seen",
    )
