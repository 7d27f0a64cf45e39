"""Two readings of pg_stat_statements and what happened to some queries between them, under the target's own load.

An entry whose counters went backwards, or that is another one by now, was reset or thrown out: it is not counted, and
never gives a negative figure.  pg_stat_statements counts a call when it ends, so executions that run when we begin are
waited for: after a step they may still use the old plan.
"""

from __future__ import annotations

import math
import time
from collections import defaultdict
from collections.abc import Collection, Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any, TypeAlias

from psycopg import sql
from psycopg.rows import dict_row

from pgrunbook.journey.verify.measurement import QueryFigures
from pgrunbook.pg import sqlfile
from pgrunbook.pg.connect import Session, into

POLL_S = 0.25
_HERE = Path(__file__).parent
Key: TypeAlias = tuple[int, int, bool]


@dataclass(frozen=True, slots=True, kw_only=True)
class Counter:
    """The counters of one entry: a statement of one role."""

    queryid: int
    role_oid: int
    toplevel: bool
    calls: int
    total_ms: float
    stddev_ms: float
    rows: int
    blocks: int
    stats_since: str | None

    @property
    def key(self) -> Key:
        """What identifies the entry."""
        return self.queryid, self.role_oid, self.toplevel

    @property
    def squares(self) -> float:
        """The sum of squared deviations of its times from their mean."""
        return self.stddev_ms**2 * self.calls


@dataclass(frozen=True, slots=True, kw_only=True)
class Patience:
    """How long to measure.

    The window ends when queries with `enough_ratio` of all their time were called `min_calls` times, at the latest
    after `max_wait_s`.  A query that nobody has called within `idle_s` is not waited for; when that holds for all,
    there is no load to measure under.
    """

    min_calls: int = 5
    enough_ratio: float = 0.8
    min_window_s: float = 2.0
    max_wait_s: float = 20.0
    idle_s: float = 3.0
    settle_s: float = 10.0


@dataclass(frozen=True, slots=True, kw_only=True)
class Moment:
    """All counters at one time of our own clock: where a window begins or ends."""

    counters: Mapping[Key, Counter]
    at: float


@dataclass(frozen=True, slots=True, kw_only=True)
class Seen:
    """What the window showed: the wanted queries, all others, how many entries could not be trusted, and its end."""

    wanted: Mapping[int, QueryFigures]
    others: Sequence[QueryFigures]
    window_s: float
    distrusted: frozenset[int]
    end: Moment | None = None


def moment(conn: Session, schema: str) -> Moment:
    """Read all counters now."""
    return Moment(counters=read(conn, schema), at=time.monotonic())


def watch(
    conn: Session,
    schema: str,
    queryids: Collection[int],
    roles: Collection[int],
    patience: Patience,
    *,
    since: Moment | None = None,
) -> Seen:
    """Measure these queries; `roles` are OIDs, () for everybody's.

    The window begins now, or at an earlier moment `since`: then it has often seen enough already.
    """
    if since is None:
        _settle(conn, queryids, patience)
        since = moment(conn, schema)
    asked_at = quiet_since = time.monotonic()
    while True:
        last = moment(conn, schema)
        now = last.at
        seen = replace(difference(since.counters, last.counters, queryids, roles, now - since.at), end=last)
        calls = [seen.wanted[queryid].calls if queryid in seen.wanted else 0 for queryid in queryids]
        is_running = bool(_running(conn, queryids))
        if any(calls) or is_running:
            quiet_since = now
        waited_s = now - asked_at
        if waited_s >= patience.idle_s and not is_running:
            calls = [count for count in calls if count]  # the others are not part of this load
        enough_ratio = _seen_ratio(seen, last.counters, queryids, patience.min_calls)
        is_enough = any(calls) and (min(calls) >= patience.min_calls or enough_ratio >= patience.enough_ratio)
        if is_enough and seen.window_s >= patience.min_window_s:
            return seen
        if waited_s >= patience.max_wait_s or now - quiet_since >= patience.idle_s:
            return seen
        time.sleep(POLL_S)


def _seen_ratio(seen: Seen, counters: Mapping[Key, Counter], queryids: Collection[int], min_calls: int) -> float:
    """The share of these queries' time so far that belongs to queries which the window saw often enough."""
    total_ms: dict[int, float] = defaultdict(float)
    for counter in counters.values():
        if counter.queryid in queryids:
            total_ms[counter.queryid] += counter.total_ms
    often = {queryid for queryid, figures in seen.wanted.items() if figures.calls >= min_calls}
    whole_ms = sum(total_ms.values())
    return sum(spent for queryid, spent in total_ms.items() if queryid in often) / whole_ms if whole_ms else 0.0


def read(conn: Session, schema: str) -> Mapping[Key, Counter]:
    """All counters of this database, without texts."""
    text = sqlfile.load(_HERE, "counters").text_for(conn.info.server_version // 10_000)
    query: Any = sql.SQL(text).format(extension_schema=sql.Identifier(schema))
    with conn.cursor(row_factory=into(Counter)) as cursor:
        return {row.key: row for row in cursor.execute(query).fetchall()}


def difference(
    first: Mapping[Key, Counter],
    last: Mapping[Key, Counter],
    queryids: Collection[int],
    roles: Collection[int],
    window_s: float,
) -> Seen:
    """What happened in between, by query."""
    parts: dict[int, list[_Part]] = defaultdict(list)
    distrusted: set[int] = set()
    for key, before in first.items():
        after = last.get(key)
        if after is None or not _is_later(before, after):
            distrusted.add(before.queryid)
    for key, after in last.items():
        is_wanted = after.queryid in queryids
        if after.queryid in distrusted or (is_wanted and roles and after.role_oid not in roles):
            continue
        part = _between(first.get(key), after)
        if part.calls:
            parts[after.queryid].append(part)
    wanted = {queryid: _figures(queryid, parts[queryid]) for queryid in queryids if queryid in parts}
    others = [_figures(queryid, found) for queryid, found in parts.items() if queryid not in queryids]
    return Seen(wanted=wanted, others=others, window_s=window_s, distrusted=frozenset(distrusted))


def _is_later(before: Counter, after: Counter) -> bool:
    """Whether it is the same entry, further on."""
    return (
        after.stats_since == before.stats_since
        and after.calls >= before.calls
        and after.total_ms >= before.total_ms
        and after.rows >= before.rows
        and after.blocks >= before.blocks
    )


@dataclass(frozen=True, slots=True, kw_only=True)
class _Part:
    """What one entry did within the window; `squares` as in Counter."""

    calls: int
    total_ms: float
    squares: float
    rows: int
    blocks: int


def _between(before: Counter | None, after: Counter) -> _Part:
    if before is None:
        return _Part(
            calls=after.calls, total_ms=after.total_ms, squares=after.squares, rows=after.rows, blocks=after.blocks
        )
    calls, total_ms = after.calls - before.calls, after.total_ms - before.total_ms
    squares = after.squares - before.squares
    if calls and before.calls:  # the pooled sum of squares holds the distance of the two means, too
        gap = total_ms / calls - before.total_ms / before.calls
        squares -= gap**2 * calls * before.calls / after.calls
    return _Part(
        calls=calls,
        total_ms=total_ms,
        squares=max(squares, 0.0),
        rows=after.rows - before.rows,
        blocks=after.blocks - before.blocks,
    )


def _figures(queryid: int, parts: Sequence[_Part]) -> QueryFigures:
    calls = sum(part.calls for part in parts)
    mean_ms = sum(part.total_ms for part in parts) / calls
    squares = sum(part.squares + part.calls * (part.total_ms / part.calls - mean_ms) ** 2 for part in parts)
    return QueryFigures(
        queryid=queryid,
        calls=calls,
        mean_ms=round(mean_ms, 4),
        stderr_ms=round(math.sqrt(squares / (calls - 1) / calls), 4) if calls > 1 else None,
        blocks_per_call=round(sum(part.blocks for part in parts) / calls, 2),
        rows_per_call=round(sum(part.rows for part in parts) / calls, 3),
    )


def _running(conn: Session, queryids: Collection[int]) -> frozenset[tuple[int, str]]:
    text: Any = sqlfile.load(_HERE, "running").text_for(conn.info.server_version // 10_000)
    with conn.cursor(row_factory=dict_row) as cursor:
        rows = cursor.execute(text, {"queryids": list(queryids)}).fetchall()
    return frozenset((row["pid"], row["since"]) for row in rows)


def _settle(conn: Session, queryids: Collection[int], patience: Patience) -> None:
    """Wait, within bounds, for the executions that run now."""
    deadline = time.monotonic() + patience.settle_s
    left = _running(conn, queryids)
    while left and time.monotonic() < deadline:
        time.sleep(POLL_S)
        left &= _running(conn, queryids)
