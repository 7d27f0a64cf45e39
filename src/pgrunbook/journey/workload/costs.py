"""What each statement of the application cost: in the window between two readings, else since its counters began.

Takes a snapshot, with the earlier one beside it if there is one; asks no server.  Counters that were reset, lost in a
crash or thrown out for room between the two readings are recognised, never subtracted: what such an entry counts now
happened within the window (so its figures are right, if not all of it); where that cannot be told, the statement is
left out and counted as `unsure`.
"""

from __future__ import annotations

import math
from collections import defaultdict
from collections.abc import Iterable, Sequence
from dataclasses import dataclass, replace
from datetime import datetime
from typing import Final, TypeVar

from pgrunbook.journey.observe.statements import STATEMENTS, STATEMENTS_INFO, Statement, StatementsInfo
from pgrunbook.journey.workload.demand import is_application
from pgrunbook.model import NotRead, Snapshot, Unread

BLOCK_BYTES: Final = 8192
P95_DEVIATIONS: Final = 1.645  # of a normal distribution; the times of one statement are skewed, so it is an estimate
_NAME = "pg_stat_statements"


@dataclass(frozen=True, slots=True, kw_only=True)
class Cost:
    """One statement, all roles together.  `square_ms` is the sum of squared differences from the mean time.

    A driver that sends a number as smallint, integer or bigint, as its value asks, makes several entries of one text:
    they are one statement here.  `queryids` holds all of them, dearest first, and `queryid` is the first.
    `is_whole` is false where it counted before the period began, so that `min_ms` and `max_ms` may be older than it.
    `counted_since` is when its counters began, as far as the server says (17 and up).
    """

    queryids: tuple[int, ...]
    query: str
    roles: tuple[str, ...]
    is_toplevel: bool
    calls: int
    exec_ms: float
    square_ms: float
    min_ms: float
    max_ms: float
    plans: int
    plan_ms: float
    rows: int
    hit_blocks: int
    read_blocks: int
    temp_read_blocks: int
    temp_written_blocks: int
    block_read_ms: float
    wal_bytes: int
    is_whole: bool = True
    counted_since: datetime | None = None

    @property
    def queryid(self) -> int:
        """The entry's id; of several, the dearest one's."""
        return self.queryids[0]

    @property
    def object(self) -> str:
        """The queryid, signed, as findings name it."""
        return str(self.queryid)

    @property
    def mean_ms(self) -> float:
        """Execution time of one call."""
        return self.exec_ms / max(self.calls, 1)

    @property
    def deviation_ms(self) -> float:
        """Standard deviation of the execution time."""
        return math.sqrt(max(self.square_ms, 0.0) / max(self.calls, 1))

    @property
    def p95_ms(self) -> float:
        """Estimated from mean and deviation, and never above what was measured at most."""
        return min(self.mean_ms + P95_DEVIATIONS * self.deviation_ms, max(self.max_ms, self.mean_ms))

    @property
    def rows_per_call(self) -> float:
        """Rows that one call returned or wrote."""
        return self.rows / max(self.calls, 1)

    @property
    def blocks(self) -> int:
        """Blocks read from or found in shared buffers."""
        return self.hit_blocks + self.read_blocks

    @property
    def blocks_per_call(self) -> float:
        """Blocks that one call read from or found in shared buffers."""
        return self.blocks / max(self.calls, 1)

    @property
    def hit_ratio(self) -> float | None:
        """Share of the blocks that were in shared buffers; None when it touched none."""
        return self.hit_blocks / self.blocks if self.blocks else None

    @property
    def temp_bytes_per_call(self) -> float:
        """Bytes that one call wrote to temporary files."""
        return self.temp_written_blocks * BLOCK_BYTES / max(self.calls, 1)


@dataclass(frozen=True, slots=True, kw_only=True)
class Costs:
    """Every statement of the application, dearest first.  `period_s` is how long they were counted, if anybody knows.

    `is_window`: counted between two readings.  `unsure`: statements left out because they cannot be compared.
    `evictions`: how often the server threw entries out for room in that time; None when it does not say.
    """

    costs: tuple[Cost, ...]
    is_window: bool
    period_s: float | None
    unsure: int = 0
    evictions: int | None = None
    track: str = "top"

    @property
    def toplevel(self) -> tuple[Cost, ...]:
        """What clients sent; statements within functions are part of those."""
        return tuple(cost for cost in self.costs if cost.is_toplevel)

    @property
    def exec_ms(self) -> float:
        """Execution time of all that clients sent."""
        return sum(cost.exec_ms for cost in self.costs if cost.is_toplevel)

    @property
    def calls(self) -> int:
        """How many statements clients sent."""
        return sum(cost.calls for cost in self.costs if cost.is_toplevel)


def costs_of(snapshot: Snapshot) -> Costs:
    """What the statements cost.  NotRead when pg_stat_statements, or the window asked for, cannot be had."""
    rows = snapshot.rows(STATEMENTS)
    info = _info(snapshot)
    if info is not None and info.track == "none":
        cure = f"ALTER SYSTEM SET {_NAME}.track = 'top'; SELECT pg_reload_conf();"
        raise NotRead(Unread(reason=f"{_NAME} is switched off (track = none)", cure=cure))
    track = info.track if info is not None else "top"
    earlier = snapshot.earlier
    if earlier is None:
        return Costs(
            costs=_merged([_whole(row) for row in rows if is_application(row)]),
            is_window=False,
            period_s=_age_s(info),
            evictions=info.evictions if info is not None else None,
            track=track,
        )
    was = _info(earlier)
    _refuse_other_counters(snapshot, was, info)
    seconds = (snapshot.reading(STATEMENTS).taken_at - earlier.reading(STATEMENTS).taken_at).total_seconds()
    if was is not None and info is not None:
        seconds = (info.read_at - was.read_at).total_seconds()  # by the server's own clock
    if _was_reset(was, info):
        return Costs(
            costs=_merged([_whole(row) for row in rows if is_application(row)]),
            is_window=True,
            period_s=min(seconds, _age_s(info) or seconds),
            evictions=info.evictions if info is not None else None,
            track=track,
        )
    evictions = info.evictions - was.evictions if was is not None and info is not None else None
    found, unsure = _compared(earlier.rows(STATEMENTS), rows, may_be_evicted=evictions != 0)
    return Costs(
        costs=_merged(found), is_window=True, period_s=seconds, unsure=unsure, evictions=evictions, track=track
    )


def _info(snapshot: Snapshot) -> StatementsInfo | None:
    try:
        return next(iter(snapshot.rows(STATEMENTS_INFO)), None)
    except NotRead:
        return None


def _age_s(info: StatementsInfo | None) -> float | None:
    if info is None or info.stats_reset is None:
        return None
    return max(0.0, (info.read_at - info.stats_reset).total_seconds())


def _was_reset(was: StatementsInfo | None, info: StatementsInfo | None) -> bool:
    """Whether all counters were reset, or lost in a crash, since the first reading."""
    if was is None or info is None or info.stats_reset is None:
        return False
    return info.stats_reset != was.stats_reset


def _refuse_other_counters(snapshot: Snapshot, was: StatementsInfo | None, info: StatementsInfo | None) -> None:
    """A standby counts its own statements: an older snapshot of another node says nothing about this one."""
    earlier = snapshot.earlier
    if earlier is None:
        return
    is_other = (
        earlier.server.role is not snapshot.server.role and earlier.server.started_at != snapshot.server.started_at
    )
    if was is not None and info is not None and info.stats_reset is not None and info.stats_reset != was.stats_reset:
        is_other = info.stats_reset <= was.read_at
    if is_other:
        raise NotRead(
            Unread(
                reason="the older reading counts the statements of another server (a standby has counters of its own)",
                cure="Compare with an older snapshot of this very server.",
            )
        )


_Key = tuple[str | None, int, bool]


def _compared(
    before: Sequence[Statement], after: Sequence[Statement], *, may_be_evicted: bool
) -> tuple[list[Cost], int]:
    """What each entry counted between the two readings, and how many entries cannot be compared."""
    known: dict[_Key, list[Statement]] = defaultdict(list)
    for row in before:
        known[_key(row)].append(row)
    now: dict[_Key, list[Statement]] = defaultdict(list)
    for row in after:
        if is_application(row):
            now[_key(row)].append(row)
    found, unsure = [], 0
    for key, rows in now.items():
        earlier = known.get(key, [])
        if len(rows) > 1 or len(earlier) > 1:  # roles that were dropped since have no name to tell them apart
            unsure += len(rows)
            continue
        cost = _between(earlier[0] if earlier else None, rows[0], may_be_evicted=may_be_evicted)
        if cost is None:
            unsure += 1
        elif cost.calls > 0:
            found.append(cost)
    return found, unsure


def _key(row: Statement) -> _Key:
    return (row.role, row.queryid, row.toplevel)


def _between(before: Statement | None, after: Statement, *, may_be_evicted: bool) -> Cost | None:
    """One entry's part of the window; None where nobody can tell whether it is the same entry still."""
    if before is None or _is_anew(before, after):
        return _whole(after)
    is_told = before.stats_since is not None and after.stats_since is not None
    if may_be_evicted and not is_told and before.calls != after.calls and not _has_same_extreme(before, after):
        return None
    calls = after.calls - before.calls
    exec_ms = after.total_exec_ms - before.total_exec_ms
    return replace(
        _whole(after),
        calls=calls,
        exec_ms=max(exec_ms, 0.0),
        square_ms=_squares_between(before, after, calls, exec_ms),
        plans=after.plans - before.plans,
        plan_ms=max(after.total_plan_ms - before.total_plan_ms, 0.0),
        rows=after.rows - before.rows,
        hit_blocks=after.shared_hit_blocks - before.shared_hit_blocks,
        read_blocks=after.shared_read_blocks - before.shared_read_blocks,
        temp_read_blocks=after.temp_read_blocks - before.temp_read_blocks,
        temp_written_blocks=after.temp_written_blocks - before.temp_written_blocks,
        block_read_ms=max(after.shared_block_read_ms - before.shared_block_read_ms, 0.0),
        wal_bytes=after.wal_bytes - before.wal_bytes,
        is_whole=False,
    )


_COUNTERS: Final = (
    "calls",
    "plans",
    "total_exec_ms",
    "total_plan_ms",
    "rows",
    "shared_hit_blocks",
    "shared_read_blocks",
    "temp_read_blocks",
    "temp_written_blocks",
    "wal_bytes",
)


def _is_anew(before: Statement, after: Statement) -> bool:
    """Whether the entry began again: the server says so, or something went back that can only grow."""
    if before.stats_since is not None and after.stats_since is not None:
        return after.stats_since != before.stats_since
    if any(getattr(after, name) < getattr(before, name) for name in _COUNTERS):
        return True
    calls = after.calls - before.calls
    if calls == 0:
        return after.total_exec_ms > before.total_exec_ms
    mean_ms = (after.total_exec_ms - before.total_exec_ms) / calls
    slack_ms = 0.001 + 1e-9 * after.total_exec_ms  # the counters are sums of doubles
    is_impossible = mean_ms > after.max_exec_ms + slack_ms or mean_ms < after.min_exec_ms - slack_ms
    return is_impossible or after.max_exec_ms < before.max_exec_ms or after.min_exec_ms > before.min_exec_ms


def _has_same_extreme(before: Statement, after: Statement) -> bool:
    """The shortest or longest time is the same to the last digit: an entry that began again would hardly hit it."""
    return after.min_exec_ms == before.min_exec_ms or after.max_exec_ms == before.max_exec_ms


def _squares_between(before: Statement, after: Statement, calls: int, exec_ms: float) -> float:
    """The squared differences of the new calls alone, by the rule that combines two samples, turned round."""
    if calls <= 0 or before.calls <= 0:
        return 0.0
    old, new = before.total_exec_ms / before.calls, exec_ms / calls
    whole, part = after.stddev_exec_ms**2 * after.calls, before.stddev_exec_ms**2 * before.calls
    return max(0.0, whole - part - (new - old) ** 2 * before.calls * calls / after.calls)


def _whole(row: Statement) -> Cost:
    """All that an entry counts."""
    return Cost(
        queryids=(row.queryid,),
        query=row.query,
        roles=(row.role,) if row.role is not None else (),
        is_toplevel=row.toplevel,
        calls=row.calls,
        exec_ms=row.total_exec_ms,
        square_ms=row.stddev_exec_ms**2 * row.calls,
        min_ms=row.min_exec_ms,
        max_ms=row.max_exec_ms,
        plans=row.plans,
        plan_ms=row.total_plan_ms,
        rows=row.rows,
        hit_blocks=row.shared_hit_blocks,
        read_blocks=row.shared_read_blocks,
        temp_read_blocks=row.temp_read_blocks,
        temp_written_blocks=row.temp_written_blocks,
        block_read_ms=row.shared_block_read_ms,
        wal_bytes=row.wal_bytes,
        counted_since=row.stats_since,
    )


def _merged(costs: Iterable[Cost]) -> tuple[Cost, ...]:
    """One statement of several roles as one, dearest first; what clients send and what functions do stay apart."""
    of_id: dict[tuple[int, bool], Cost] = {}
    for cost in costs:
        if cost.calls > 0:
            _add(of_id, (cost.queryid, cost.is_toplevel), cost)
    of_text: dict[tuple[str, bool], Cost] = {}
    for cost in sorted(of_id.values(), key=lambda cost: (-cost.exec_ms, cost.queryid)):
        _add(of_text, (cost.query, cost.is_toplevel), cost)
    return tuple(sorted(of_text.values(), key=lambda cost: (-cost.exec_ms, cost.queryid)))


_Group = TypeVar("_Group")


def _add(groups: dict[_Group, Cost], key: _Group, cost: Cost) -> None:
    groups[key] = _together(groups[key], cost) if key in groups else cost


def _together(a: Cost, b: Cost) -> Cost:
    starts = [start for start in (a.counted_since, b.counted_since) if start is not None]
    apart_ms = b.mean_ms - a.mean_ms
    return replace(
        a,
        queryids=tuple(dict.fromkeys((*a.queryids, *b.queryids))),
        roles=tuple(sorted({*a.roles, *b.roles})),
        calls=a.calls + b.calls,
        exec_ms=a.exec_ms + b.exec_ms,
        square_ms=a.square_ms + b.square_ms + apart_ms**2 * a.calls * b.calls / (a.calls + b.calls),
        min_ms=min(a.min_ms, b.min_ms),
        max_ms=max(a.max_ms, b.max_ms),
        plans=a.plans + b.plans,
        plan_ms=a.plan_ms + b.plan_ms,
        rows=a.rows + b.rows,
        hit_blocks=a.hit_blocks + b.hit_blocks,
        read_blocks=a.read_blocks + b.read_blocks,
        temp_read_blocks=a.temp_read_blocks + b.temp_read_blocks,
        temp_written_blocks=a.temp_written_blocks + b.temp_written_blocks,
        block_read_ms=a.block_read_ms + b.block_read_ms,
        wal_bytes=a.wal_bytes + b.wal_bytes,
        is_whole=a.is_whole and b.is_whole,
        counted_since=min(starts) if starts else None,
    )
