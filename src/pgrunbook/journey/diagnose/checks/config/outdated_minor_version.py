"""A server that lacks the fixes of newer minor releases.

Asks:    how many minor releases of its major is the server behind the newest that this version of pgrunbook knows?
Unit:    releases_behind; a minor release comes every quarter and needs no more than a restart.
Source:  server_version; a table of releases kept by hand from https://www.postgresql.org/support/versioning/, of the
         day that {known_on} names.
Blind:   where that table is so old that newer releases must be out, and the server is not behind even by it.
Says:    The server runs {version}; {newest} is out ({releases_behind} releases behind, as known on {known_on}).
         It lacks a fix for damage to data: {damage}.  PostgreSQL {major} has had no fixes since {end_of_life}.
Section: Maintenance Operations
Leads:   a minor upgrade in a maintenance window
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from datetime import UTC, date, datetime

from pgrunbook.journey.diagnose.check import Check
from pgrunbook.journey.diagnose.seen import Seen
from pgrunbook.model import Blind, Finding, Kind, Severity, Verdict

# The newest minor release of each major on that day (the releases of August 2026; a later one for 15).
KNOWN_ON = date(2026, 8, 31)
NEWEST_KNOWN = {14: 24, 15: 20, 16: 15, 17: 11, 18: 6}

# The last day of support: https://www.postgresql.org/support/versioning/
END_OF_LIFE = {
    14: date(2026, 11, 12),
    15: date(2027, 11, 11),
    16: date(2028, 11, 9),
    17: date(2029, 11, 8),
    18: date(2030, 11, 14),
}

# Fixes whose lack damages data: the first minor that has them, and what happens without.
DAMAGE = {14: (4, "CREATE INDEX CONCURRENTLY and REINDEX CONCURRENTLY could leave rows out of the index (14.4)")}


@dataclass(frozen=True, slots=True, kw_only=True)
class Limits:
    """Degrees, in quarterly releases.

    Two are the next maintenance window of somebody who plans; three are a notice, five (more than a year) a warning, as
    is any release without a fix for damaged data.  The end of a major's support becomes a notice after a quarter.
    After `table_days` two releases have come that the table does not know.
    """

    notice_behind: int = 3
    warn_behind: int = 5
    grace_days: int = 90
    table_days: int = 200


def judge(seen: Seen, limits: Limits) -> Iterator[Verdict]:
    """One finding about the server."""
    major, minor = seen.server.major, seen.server.version_num % 10_000
    newest = NEWEST_KNOWN.get(major)
    behind = max(0, newest - minor) if newest is not None else 0
    fixed_in, damage = DAMAGE.get(major, (0, ""))
    lacks_fix = minor < fixed_in
    end = END_OF_LIFE.get(major)
    is_over = (
        end is not None and (seen.at - datetime(end.year, end.month, end.day, tzinfo=UTC)).days > limits.grace_days
    )
    if behind < limits.notice_behind and not lacks_fix and not is_over:
        yield from _too_old_to_tell(seen, limits)
        return
    is_warning = behind >= limits.warn_behind or lacks_fix
    yield Finding(
        severity=Severity.WARNING if is_warning else Severity.NOTICE,
        kind=Kind.SERVER,
        object="server",
        evidence={
            "version": seen.server.version,
            "newest": f"{major}.{newest}" if behind else None,
            "releases_behind": behind or None,
            "known_on": KNOWN_ON.isoformat() if behind else None,
            "damage": damage if lacks_fix else None,
            "major": str(major),
            "end_of_life": end.isoformat() if is_over and end is not None else None,
        },
    )


def _too_old_to_tell(seen: Seen, limits: Limits) -> Iterator[Blind]:
    age_days = (seen.at.date() - KNOWN_ON).days
    if age_days > limits.table_days or seen.server.major not in NEWEST_KNOWN:
        yield Blind(
            reason=f"the releases of PostgreSQL {seen.server.major} are known here as of {KNOWN_ON.isoformat()} only,"
            f" {age_days} days before this observation",
            cure="pip install --upgrade pgrunbook",
        )


CHECK = Check(needs=(), judge=judge, limits=Limits())
