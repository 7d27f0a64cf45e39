"""How busy the database is at which hour: one line in a file each time that maintenance looks at it.

The server keeps no history, but cron asks every quarter of an hour what is due: after some days that tells the quiet
hours.  The file lies beside the journal, holds counters only, and forgets what is older than five weeks.
"""

from __future__ import annotations

import contextlib
import json
import os
from collections import defaultdict
from collections.abc import Sequence
from dataclasses import asdict, dataclass
from datetime import UTC, datetime, timedelta
from itertools import pairwise
from pathlib import Path

from pgrunbook.journey.observe.databases import DATABASES
from pgrunbook.model import NotRead, Snapshot

FILE = "activity.jsonl"
KEPT = timedelta(weeks=5)
LONGEST_GAP_S = 2 * 3600.0  # a longer one tells nothing of any hour
SHORTEST_GAP_S = 60.0
LEAST_DAYS = 3
LEAST_HOURS = 20  # of the 24, each seen at least once


@dataclass(frozen=True, slots=True, kw_only=True)
class Sample:
    """The transactions of this database since its counters began, at one time."""

    at: str
    transactions: int


@dataclass(frozen=True, slots=True, kw_only=True)
class QuietHour:
    """The next hour that is usually the quietest of the day."""

    starts_at: datetime
    transactions_per_s: float
    usual_per_s: float
    days: int


def note_down(folder: Path, snapshot: Snapshot) -> None:
    """Add what was seen.  Where nothing can be written there is simply no history."""
    try:
        row = next((row for row in snapshot.rows(DATABASES) if row.is_current), None)
    except NotRead:
        return
    if row is None:
        return
    at = snapshot.taken_at.astimezone(UTC)
    sample = Sample(at=at.isoformat(timespec="seconds"), transactions=row.commits + row.rollbacks)
    with contextlib.suppress(OSError):
        folder.mkdir(mode=0o700, parents=True, exist_ok=True)
        known = [one for one in load(folder) if at - datetime.fromisoformat(one.at) < KEPT]
        text = "".join(json.dumps(asdict(one)) + "\n" for one in (*known, sample))
        partial = folder / f".{FILE}.{os.getpid()}"
        partial.write_text(text, encoding="ascii")
        partial.replace(folder / FILE)


def load(folder: Path) -> tuple[Sample, ...]:
    """What is known, oldest first; a line that cannot be read is none."""
    try:
        lines = (folder / FILE).read_text(encoding="ascii", errors="replace").splitlines()
    except OSError:
        return ()
    found = []
    for line in lines:
        with contextlib.suppress(ValueError, TypeError, KeyError):
            read = json.loads(line)
            at = datetime.fromisoformat(read["at"])
            if at.tzinfo is not None:
                found.append(Sample(at=read["at"], transactions=int(read["transactions"])))
    return tuple(sorted(found, key=lambda sample: datetime.fromisoformat(sample.at)))


def quiet_hour(samples: Sequence[Sample], now: datetime) -> QuietHour | str:
    """The next of the quietest hours of the day (UTC), or why none is known."""
    by_hour: dict[int, list[tuple[float, float]]] = defaultdict(list)
    days = set()
    for first, second in pairwise(samples):
        begins, ends = datetime.fromisoformat(first.at), datetime.fromisoformat(second.at)
        seconds, amount = (ends - begins).total_seconds(), second.transactions - first.transactions
        if SHORTEST_GAP_S <= seconds <= LONGEST_GAP_S and amount >= 0:  # fewer than before is a reset
            middle = (begins + (ends - begins) / 2).astimezone(UTC)
            by_hour[middle.hour].append((amount, seconds))
            days.add(middle.date())
    if len(days) < LEAST_DAYS or len(by_hour) < LEAST_HOURS:
        return (
            f"activity was seen in {len(by_hour)} hours of the day, on {len(days)} days (needed: {LEAST_HOURS} and"
            f" {LEAST_DAYS}); `pgrunbook maintain run --due` from cron collects it"
        )
    rates = {hour: sum(a for a, _ in seen) / sum(s for _, s in seen) for hour, seen in by_hour.items()}
    usual = sum(rates.values()) / len(rates)
    hour = min(rates, key=lambda hour: (rates[hour], hour))
    start = now.astimezone(UTC).replace(minute=0, second=0, microsecond=0) + timedelta(hours=1)
    start += timedelta(hours=(hour - start.hour) % 24)
    return QuietHour(starts_at=start, transactions_per_s=rates[hour], usual_per_s=usual, days=len(days))
