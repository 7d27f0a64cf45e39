"""Range partitions as points on a line: their bounds parsed, their step, and the ones that should come next."""

from __future__ import annotations

import re
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from datetime import UTC, date, datetime, time, timedelta

from pgrunbook.journey.observe.partitions import Partition

TIMES = frozenset({"date", "timestamp without time zone", "timestamp with time zone"})
_RANGE = re.compile(r"FOR VALUES FROM \((?P<low>'[^']*'|[^,()]+).*?\) TO \((?P<high>'[^']*'|[^,()]+)", re.DOTALL)


@dataclass(frozen=True, slots=True, kw_only=True)
class Span:
    """The first key column of one range partition; None is MINVALUE or MAXVALUE.  Without zone it is UTC."""

    low: datetime | None
    high: datetime | None


@dataclass(frozen=True, slots=True, kw_only=True)
class Step:
    """The length of a partition: whole months where the bounds are firsts of months, else a length of time."""

    months: int
    length: timedelta

    def after(self, start: datetime) -> datetime:
        """The bound that follows."""
        if not self.months:
            return start + self.length
        years, month = divmod(start.month - 1 + self.months, 12)
        return start.replace(year=start.year + years, month=month + 1)

    @property
    def interval(self) -> str:
        """As an SQL interval."""
        return f"{self.months} months" if self.months else f"{self.length.total_seconds():.6f} seconds"


def is_time(key_type: str) -> bool:
    """Whether a type as PostgreSQL prints it is a date or a timestamp, of whatever precision.

    >>> is_time("timestamp(3) with time zone"), is_time("bigint")
    (True, False)
    """
    return re.sub(r"\(\d+\)", "", key_type) in TIMES


def span_of(partition: Partition) -> Span | None:
    """The bounds of a partition by time; None for others, and for what Python's calendar does not know."""
    match = _RANGE.match(partition.bound or "")
    if match is None or not is_time(partition.key_type):
        return None
    try:
        return Span(low=_moment(match["low"]), high=_moment(match["high"]))
    except ValueError:
        return None


def _moment(text: str) -> datetime | None:
    bare = text.strip().strip("'")
    if bare in {"MINVALUE", "MAXVALUE", "infinity", "-infinity"}:
        return None
    if len(bare) == len("2026-01-01"):
        return datetime.combine(date.fromisoformat(bare), time(), UTC)
    found = datetime.fromisoformat(bare)
    return found if found.tzinfo is not None else found.replace(tzinfo=UTC)


def step_of(spans: Sequence[Span]) -> Step | None:
    """The step of the newest partition that has two ends."""
    ends = [(span.low, span.high) for span in spans if span.low is not None and span.high is not None]
    if not ends:
        return None
    low, high = max(ends, key=lambda pair: pair[1])
    months = (high.year - low.year) * 12 + high.month - low.month
    is_monthly = low.day == high.day == 1 and low.time() == high.time() == time() and months >= 1
    return Step(months=months if is_monthly else 0, length=high - low)


def coming(last: datetime, step: Step, now: datetime, *, most: int = 12) -> Iterator[tuple[datetime, datetime]]:
    """What is missing after `last` until one whole step ahead of now; only the last few where much is missing."""
    missing: list[tuple[datetime, datetime]] = []
    low = last
    while low <= step.after(now):
        missing.append((low, step.after(low)))
        low = missing[-1][1]
    return iter(missing if len(missing) <= most else missing[-2:])
