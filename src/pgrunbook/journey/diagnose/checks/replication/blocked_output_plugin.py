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

import re
from collections.abc import Iterator, Sequence

from pgrunbook.journey.diagnose.check import Check, NoLimits
from pgrunbook.journey.diagnose.seen import Seen
from pgrunbook.journey.observe.replication_slots import REPLICATION_SLOTS
from pgrunbook.journey.observe.settings import SETTINGS, Setting, by_name
from pgrunbook.model import Advice, Finding, Kind, Severity, Verdict, literal, quote

_SETTING = "output_plugin_libraries"
_NAME = re.compile(r'\s*(?:"((?:[^"]|"")*)"|([^",]+))\s*(?:,|\Z)')


def judge(seen: Seen, limits: NoLimits) -> Iterator[Verdict]:  # noqa: ARG001 - no thresholds
    """One finding a slot; names are compared exactly, as the server does."""
    setting = by_name(seen.rows(SETTINGS)).get(_SETTING)
    if setting is None:
        return
    allowed = _names(setting.value)
    for slot in seen.rows(REPLICATION_SLOTS):
        if slot.plugin is not None and slot.plugin not in allowed and not (slot.is_lost or slot.is_temporary):
            yield Finding(
                severity=Severity.WARNING,
                kind=Kind.SLOT,
                object=quote(slot.name),
                evidence={
                    "plugin": slot.plugin,
                    "allowed": setting.value or "(none)",
                    "database": slot.database,
                    "reader_pid": slot.active_pid,
                    "retained_bytes": slot.retained_bytes,
                },
                advice=(_allow(setting, allowed, slot.plugin),),
            )


def _names(value: str) -> tuple[str, ...]:
    return tuple(
        match[1].replace('""', '"') if match[1] is not None else match[2].strip() for match in _NAME.finditer(value)
    )


def _allow(setting: Setting, allowed: Sequence[str], plugin: str) -> Advice:
    """Name it as well.  Each name is a constant of its own: one with commas would be one name."""
    load = "SELECT pg_reload_conf();"
    was_ours = (setting.source_file or "").endswith("postgresql.auto.conf")
    before = f"SET {_SETTING} = {_list(allowed)}" if was_ours and allowed else f"RESET {_SETTING}"
    return Advice(
        title=f"Allow output plugin {plugin}",
        sql=f"ALTER SYSTEM SET {_SETTING} = {_list((*allowed, plugin))};\n{load}",
        undo_sql=f"ALTER SYSTEM {before};\n{load}",
        risk="Every role with REPLICATION may use the plugin then: allow it only if it is safe in everybody's hands.",
    )


def _list(names: Sequence[str]) -> str:
    return ", ".join(literal(name) for name in names)


CHECK = Check(needs=(SETTINGS, REPLICATION_SLOTS), judge=judge, limits=NoLimits())
