"""A setting that lets a crash destroy the data.

Asks:    are fsync and full_page_writes on?
Source:  pg_settings.
Says:    {object} is off.  A crash of the machine can leave the whole cluster damaged beyond repair.
Section: Backup and Recovery
Leads:   ALTER SYSTEM SET
"""

from __future__ import annotations

from collections.abc import Iterator

from pgrunbook.journey.diagnose import mending
from pgrunbook.journey.diagnose.check import Check, NoLimits
from pgrunbook.journey.diagnose.seen import Seen
from pgrunbook.journey.observe.settings import SETTINGS, by_name
from pgrunbook.model import Finding, Kind, Severity, Verdict

_VITAL = ("fsync", "full_page_writes")


def judge(seen: Seen, limits: NoLimits) -> Iterator[Verdict]:  # noqa: ARG001 - no thresholds
    """One finding a setting."""
    settings = by_name(seen.rows(SETTINGS))
    for name in _VITAL:
        if name in settings and not settings[name].is_on:
            yield Finding(
                severity=Severity.CRITICAL,
                kind=Kind.SETTING,
                object=name,
                evidence={"value": settings[name].value, "source": settings[name].source},
                advice=(mending.set_system(settings[name], "on"),),
            )


CHECK = Check(needs=(SETTINGS,), judge=judge, limits=NoLimits())
