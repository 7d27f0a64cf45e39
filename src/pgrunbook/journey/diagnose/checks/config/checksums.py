"""Damaged pages, or no way to notice them.

Asks:    are data checksums on, and did any page fail its checksum?
Unit:    failures since the counters began.
Source:  pg_settings.data_checksums, pg_stat_database.checksum_failures.
Says:    {failures} pages of {databases} failed their checksum, the last {last_failure_age_s} ago.  The storage or the
         memory of this machine is damaged.  Data checksums are {state}, so damage by the storage goes unnoticed.
Section: Backup and Recovery
Leads:   a restore from a backup that is older than the damage; pg_checksums --enable on a stopped server
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass

from pgrunbook.journey.diagnose.check import Check
from pgrunbook.journey.diagnose.seen import Seen
from pgrunbook.journey.observe.databases import DATABASES
from pgrunbook.journey.observe.settings import SETTINGS, by_name
from pgrunbook.model import Finding, Kind, Severity, Verdict, quote


@dataclass(frozen=True, slots=True, kw_only=True)
class Limits:
    """A failure is critical; one that is older than `old_s` and was not repeated has probably been dealt with."""

    old_s: float = 30 * 86400.0


def judge(seen: Seen, limits: Limits) -> Iterator[Verdict]:
    """One finding about the server."""
    damaged = [database for database in seen.rows(DATABASES) if database.checksum_failures]
    if damaged:
        ages = [d.last_checksum_failure_age_s for d in damaged if d.last_checksum_failure_age_s is not None]
        is_old = bool(ages) and min(ages) > limits.old_s
        yield Finding(
            severity=Severity.WARNING if is_old else Severity.CRITICAL,
            kind=Kind.SERVER,
            object="server",
            related=tuple(quote(database.name) for database in damaged),
            evidence={
                "failures": sum(database.checksum_failures or 0 for database in damaged),
                "databases": tuple(database.name for database in damaged),
                "last_failure_age_s": round(min(ages)) if ages else None,
            },
        )
        return
    setting = by_name(seen.rows(SETTINGS)).get("data_checksums")
    if setting is not None and setting.value != "on":
        yield Finding(severity=Severity.NOTICE, kind=Kind.SERVER, object="server", evidence={"state": setting.value})


CHECK = Check(needs=(DATABASES, SETTINGS), judge=judge, limits=Limits())
