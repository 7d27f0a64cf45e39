"""Checkpoints forced by the amount of WAL instead of the clock.

Asks:    what share of the checkpoints came early because max_wal_size was reached?
Unit:    forced_ratio of all checkpoints since the counters began, or in the window if it is long enough.
Source:  pg_stat_checkpointer from 17, pg_stat_bgwriter before; pg_stat_wal.  Requested checkpoints that the amount of
         WAL does not explain (CHECKPOINT, backups, new databases) are not counted.
Blind:   counters younger than one hour.
Says:    {forced_ratio} of {checkpoints} checkpoints were forced by the amount of WAL.  One came every {interval_s}
         instead of every {checkpoint_timeout_s}, and after each whole pages are written into the WAL again.
         The server writes {wal_bytes_per_s} of WAL, and max_wal_size is {max_wal_size_bytes}.
         {advised_bytes} would suit it.
Section: Supabase Performance Settings
Leads:   ALTER SYSTEM SET max_wal_size
"""

from __future__ import annotations

import math
from collections.abc import Iterator
from dataclasses import dataclass, replace

from pgrunbook.journey.diagnose import mending
from pgrunbook.journey.diagnose.check import Check
from pgrunbook.journey.diagnose.seen import Seen
from pgrunbook.journey.observe.checkpoints import CHECKPOINTS
from pgrunbook.journey.observe.recovery import RECOVERY
from pgrunbook.journey.observe.settings import SETTINGS, Setting, by_name
from pgrunbook.model import Blind, Finding, Kind, NotRead, Severity, Verdict

GIB = 1024**3
_RISK = "pg_wal may grow to that size (look at the disk first), and recovery after a crash takes longer."


@dataclass(frozen=True, slots=True, kw_only=True)
class Limits:
    """Of every hour and more: half of the checkpoints early is the point from which spreading them no longer works.

    Five of them at least, for a load of data now and then is no reason to keep more WAL for ever.
    """

    counters_s: float = 3600.0
    forced_ratio: float = 0.5
    forced: int = 5


@dataclass(frozen=True, slots=True, kw_only=True)
class _Span:
    """What happened in `seconds`."""

    timed: int
    requested: int
    wal_bytes: float
    seconds: float


def judge(seen: Seen, limits: Limits) -> Iterator[Verdict]:
    """One finding.  A standby makes restart points at its primary's pace: nothing is to be set there."""
    (recovery,) = seen.rows(RECOVERY)
    if recovery.is_standby:
        return
    span = _window(seen, limits) or _since_reset(seen)
    if span is None or span.seconds < limits.counters_s:
        covered = f"the counters cover {span.seconds:.0f} s" if span is not None else "the counters have no beginning"
        yield Blind(reason=f"{covered}, less than {limits.counters_s:.0f} s", cure="Ask again later.")
        return
    settings = by_name(seen.rows(SETTINGS))
    size, target = settings["max_wal_size"], settings["checkpoint_completion_target"]
    trigger_bytes = size.number / (1 + target.number)  # so that one and the next fit in max_wal_size
    forced = min(span.requested, round(span.wal_bytes / trigger_bytes))
    total = span.timed + span.requested
    if forced >= limits.forced and forced > limits.forced_ratio * total:
        yield _finding(span, forced, size, settings["checkpoint_timeout"].number, target.number)


def _since_reset(seen: Seen) -> _Span | None:
    """Both views since they began; WAL is brought to the length of the other's counting."""
    (row,) = seen.rows(CHECKPOINTS)
    if not row.counters_age_s or not row.wal_counters_age_s:
        return None
    wal_bytes = row.wal_bytes * row.counters_age_s / row.wal_counters_age_s
    return _Span(timed=row.timed, requested=row.requested, wal_bytes=wal_bytes, seconds=row.counters_age_s)


def _window(seen: Seen, limits: Limits) -> _Span | None:
    try:
        window = seen.window(CHECKPOINTS)
    except NotRead:
        return None
    if window is None or window.seconds < limits.counters_s:
        return None
    (before,), (after,) = window.before, window.after
    if after.requested < before.requested or after.timed < before.timed or after.wal_bytes < before.wal_bytes:
        return None  # reset in between
    return _Span(
        timed=after.timed - before.timed,
        requested=after.requested - before.requested,
        wal_bytes=after.wal_bytes - before.wal_bytes,
        seconds=window.seconds,
    )


def _finding(span: _Span, forced: int, size: Setting, timeout_s: float, target: float) -> Finding:
    rate = span.wal_bytes / span.seconds
    wanted = rate * timeout_s * (1 + target) * 1.25  # the WAL of one interval and its spread, and a quarter of room
    advised_gib = max(math.ceil(wanted / GIB), math.ceil(2 * size.number / GIB))
    return Finding(
        severity=Severity.WARNING,
        kind=Kind.SERVER,
        object="server",
        evidence={
            "forced_ratio": round(forced / (span.timed + span.requested), 3),
            "checkpoints": span.timed + span.requested,
            "interval_s": round(span.seconds / (span.timed + span.requested), 1),
            "checkpoint_timeout_s": timeout_s,
            "wal_bytes_per_s": round(rate),
            "max_wal_size_bytes": round(size.number),
            "advised_bytes": advised_gib * GIB,
            "counters_s": round(span.seconds),
        },
        advice=(replace(mending.set_system(size, f"{advised_gib}GB"), risk=_RISK),),
    )


CHECK = Check(needs=(RECOVERY, CHECKPOINTS, SETTINGS), judge=judge, limits=Limits())
