"""From pgbench's per-transaction log to percentiles; pure.

In: records of requests, and which clients were lost.  Out: a `LoadResult`.  A request that is still running when the
window ends counts with its age so far, for else a server that answers nobody would look fine.
"""

from __future__ import annotations

import math
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass

from pgrunbook.procedures.load.pacing import Pacing

TIMELINE_POINTS = 120
BUCKET_MIN_S = 1.0
LOG_FIELDS = 6


@dataclass(frozen=True, slots=True, kw_only=True)
class Line:
    """One line of the log, as pgbench wrote it; `elapsed_us` is None for a transaction that failed."""

    client: int
    script: int
    elapsed_us: int | None
    ended_at_s: float  # seconds since 1970


@dataclass(frozen=True, slots=True, kw_only=True)
class Request:
    """One finished request without its time to think; `latency_ms` is None when it failed."""

    client: int
    script: int
    latency_ms: float | None
    ended_at_s: float


@dataclass(frozen=True, slots=True, kw_only=True)
class Lost:
    """A user whose client gave up after an error; pgbench does not replace it."""

    client: int
    script: int | None
    lost_at_s: float


@dataclass(frozen=True, slots=True, kw_only=True)
class ScriptResult:
    """Figures of one kind of request."""

    samples: int
    failed: int
    p50_ms: float | None
    p95_ms: float | None
    p99_ms: float | None
    mean_ms: float | None


@dataclass(frozen=True, slots=True, kw_only=True)
class Point:
    """One stretch of the timeline; `t_s` is its end, counted from the start of the load."""

    t_s: float
    p95_ms: float | None  # None: nothing ended in this stretch
    throughput_per_s: float


@dataclass(frozen=True, slots=True, kw_only=True)
class LoadResult:
    """What a window of load says.  Percentiles are over ended and unfinished requests; `samples` are the ended ones."""

    users: int
    samples: int
    failed: int
    unfinished: int
    lost_users: int
    p50_ms: float
    p95_ms: float
    p99_ms: float
    mean_ms: float
    throughput_per_s: float
    per_script: Mapping[str, ScriptResult]
    timeline: tuple[Point, ...]
    other_cpu_ratio: float
    window_s: float


def parse_line(text: str) -> Line | None:
    """Read `client transaction time script epoch microseconds`; None for a line that was cut off or is no record."""
    parts = text.split()
    if len(parts) < LOG_FIELDS or not all(parts[i].isdecimal() for i in (0, 1, 3, 4, 5)):
        return None
    try:
        elapsed_us = int(parts[2])
    except ValueError:  # "failed", "serialization", "deadlock"
        elapsed_us = None
    return Line(
        client=int(parts[0]),
        script=int(parts[3]),
        elapsed_us=elapsed_us,
        ended_at_s=int(parts[4]) + int(parts[5]) / 1e6,
    )


class Requests:
    """The requests of a load in the order in which they ended, and how far each client has come."""

    def __init__(self, *, users: int, pacing: Pacing) -> None:
        self.users = users
        self.ended: list[Request] = []
        self.lost: list[Lost] = []
        self.started_at_s: float | None = None
        self._pacing = pacing
        self._turns = [0] * users

    def add(self, line: Line) -> None:
        """Take the time to think off, which depends on how many requests the client has made before."""
        turn = self._turns[line.client]
        self._turns[line.client] = turn + 1
        latency_ms = None
        if line.elapsed_us is not None:
            latency_ms = max(0, line.elapsed_us - self._pacing.think_us(line.client, turn)) / 1e3
            if turn == 0:
                began_at_s = line.ended_at_s - line.elapsed_us / 1e6
                if self.started_at_s is None or began_at_s < self.started_at_s:
                    self.started_at_s = began_at_s
        self.ended.append(
            Request(client=line.client, script=line.script, latency_ms=latency_ms, ended_at_s=line.ended_at_s)
        )

    def unfinished_ms(self, at_s: float) -> list[float]:
        """Ages of the requests that were under way at a moment; who thinks or is lost has none."""
        if self.started_at_s is None:
            return []
        since = [self.started_at_s] * self.users
        turns = [0] * self.users
        for request in self.ended:
            if request.ended_at_s <= at_s:
                since[request.client] = request.ended_at_s
                turns[request.client] += 1
        gone = {lost.client for lost in self.lost if lost.lost_at_s <= at_s}
        ages_s = (
            at_s - since[client] - self._pacing.think_us(client, turns[client]) / 1e6
            for client in range(self.users)
            if client not in gone
        )
        return [1e3 * age_s for age_s in ages_s if age_s > 0]


def summarise(
    requests: Requests,
    names: Sequence[str],
    *,
    from_s: float,
    until_s: float,
    other_cpu_ratio: float,
) -> LoadResult | None:
    """Figures of what ended in a window (seconds since 1970) and of what was unfinished at its end; None if nothing."""
    ended = [each for each in requests.ended if from_s < each.ended_at_s <= until_s]
    lost = [each for each in requests.lost if from_s < each.lost_at_s <= until_s]
    good = [each.latency_ms for each in ended if each.latency_ms is not None]
    unfinished = requests.unfinished_ms(until_s)
    all_ms = sorted([*good, *unfinished])
    if not all_ms:
        return None
    window_s = until_s - from_s
    return LoadResult(
        users=requests.users,
        samples=len(good),
        failed=len(ended) - len(good) + len(lost),
        unfinished=len(unfinished),
        lost_users=sum(each.lost_at_s <= until_s for each in requests.lost),
        p50_ms=percentile(all_ms, 0.50),
        p95_ms=percentile(all_ms, 0.95),
        p99_ms=percentile(all_ms, 0.99),
        mean_ms=math.fsum(all_ms) / len(all_ms),
        throughput_per_s=len(good) / window_s,
        per_script={name: _of_script(ended, lost, number) for number, name in enumerate(names)},
        timeline=timeline(requests, until_s),
        other_cpu_ratio=other_cpu_ratio,
        window_s=window_s,
    )


def percentile(ascending: Sequence[float], share: float) -> float:
    """The smallest value that at least `share` of all do not exceed (nearest rank; no value is invented).

    >>> percentile([1.0, 2.0, 3.0, 4.0], 0.5), percentile([1.0, 2.0, 3.0, 4.0], 0.95)
    (2.0, 4.0)
    """
    return ascending[max(0, math.ceil(share * len(ascending)) - 1)]


def timeline(requests: Requests, until_s: float) -> tuple[Point, ...]:
    """The whole load in stretches of at least a second, warm-up included; the last, incomplete stretch is left out."""
    start_s = requests.started_at_s
    if start_s is None:
        return ()
    bucket_s = max(BUCKET_MIN_S, math.ceil((until_s - start_s) / TIMELINE_POINTS))
    count = int((until_s - start_s) / bucket_s)
    buckets: list[list[float]] = [[] for _ in range(count)]
    for request in requests.ended:
        number = int((request.ended_at_s - start_s) / bucket_s)
        if request.latency_ms is not None and number < count:
            buckets[number].append(request.latency_ms)
    return tuple(
        Point(
            t_s=(number + 1) * bucket_s,
            p95_ms=percentile(sorted(bucket), 0.95) if bucket else None,
            throughput_per_s=len(bucket) / bucket_s,
        )
        for number, bucket in enumerate(buckets)
    )


def _of_script(ended: Iterable[Request], lost: Iterable[Lost], script: int) -> ScriptResult:
    mine = [request.latency_ms for request in ended if request.script == script]
    good = sorted(latency_ms for latency_ms in mine if latency_ms is not None)
    return ScriptResult(
        samples=len(good),
        failed=len(mine) - len(good) + sum(each.script == script for each in lost),
        p50_ms=percentile(good, 0.50) if good else None,
        p95_ms=percentile(good, 0.95) if good else None,
        p99_ms=percentile(good, 0.99) if good else None,
        mean_ms=math.fsum(good) / len(good) if good else None,
    )
