"""A logical slot whose output plugin the server no longer allows.

Asks:    which logical slots need a plugin that output_plugin_libraries does not name?
Source:  pg_replication_slots, pg_settings.  Servers before the minor releases that brought this setting
         (15.19, 18.6 and their like) allow every plugin.
Says:    Slot {object} needs plugin {plugin}, which output_plugin_libraries ({allowed}) does not name.  Nobody can read
         from it until it does, and meanwhile it keeps WAL.
         Its reader {reader_pid} goes on until it has to connect again.
Section: Read Replica Implementation
Leads:   ALTER SYSTEM SET output_plugin_libraries
"""

from __future__ import annotations

from collections.abc import Iterator

from pgrunbook.journey.diagnose import output_plugins
from pgrunbook.journey.diagnose.check import Check, NoLimits
from pgrunbook.journey.diagnose.seen import Seen
from pgrunbook.journey.observe.replication_slots import REPLICATION_SLOTS
from pgrunbook.journey.observe.settings import SETTINGS
from pgrunbook.model import Finding, Kind, Severity, Verdict, quote


def judge(seen: Seen, limits: NoLimits) -> Iterator[Verdict]:  # noqa: ARG001 - no thresholds
    """One finding a slot."""
    for slot, setting in output_plugins.blocked(seen):
        yield Finding(
            severity=Severity.WARNING,
            kind=Kind.SLOT,
            object=quote(slot.name),
            evidence={
                "plugin": slot.plugin,
                "allowed": setting.value or "none",
                "database": slot.database,
                "reader_pid": slot.active_pid,
                "retained_bytes": slot.retained_bytes,
            },
            advice=(output_plugins.allow(setting, str(slot.plugin)),),
        )


CHECK = Check(needs=(SETTINGS, REPLICATION_SLOTS), judge=judge, limits=NoLimits())
