"""A changed setting that waits for a restart.

Asks:    which settings read otherwise in the configuration files than the running server has them?
Source:  pg_settings.pending_restart.
Says:    {object} was changed in the configuration files and still is {value} until the server restarts.
Section: Maintenance Operations
Leads:   a restart in a maintenance window
"""

from __future__ import annotations

from collections.abc import Iterator

from pgrunbook.journey.diagnose.check import Check, NoLimits
from pgrunbook.journey.diagnose.seen import Seen
from pgrunbook.journey.observe.settings import SETTINGS
from pgrunbook.model import Finding, Kind, Severity, Verdict


def judge(seen: Seen, limits: NoLimits) -> Iterator[Verdict]:  # noqa: ARG001 - no thresholds
    """One finding a setting."""
    for setting in seen.rows(SETTINGS):
        if setting.pending_restart:
            yield Finding(
                severity=Severity.NOTICE,
                kind=Kind.SETTING,
                object=setting.name,
                evidence={"value": setting.value, "unit": setting.unit},
            )


CHECK = Check(needs=(SETTINGS,), judge=judge, limits=NoLimits())
