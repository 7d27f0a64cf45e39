"""Which output plugins a server allows, and how to allow one more."""

from __future__ import annotations

import re
from collections.abc import Iterator, Sequence

from pgrunbook.journey.diagnose.seen import Seen
from pgrunbook.journey.observe.replication_slots import REPLICATION_SLOTS, ReplicationSlot
from pgrunbook.journey.observe.settings import SETTINGS, Setting, by_name
from pgrunbook.model import Advice, literal

_SETTING = "output_plugin_libraries"
_NAME = re.compile(r'\s*(?:"((?:[^"]|"")*)"|([^",]+))\s*(?:,|\Z)')


def blocked(seen: Seen) -> Iterator[tuple[ReplicationSlot, Setting]]:
    """Slots whose plugin is not named by the setting; none on servers without it.  Names are compared exactly."""
    setting = by_name(seen.rows(SETTINGS)).get(_SETTING)
    if setting is None:
        return
    allowed = names(setting.value)
    for slot in seen.rows(REPLICATION_SLOTS):
        if slot.plugin is not None and slot.plugin not in allowed and not (slot.is_lost or slot.is_temporary):
            yield slot, setting


def names(value: str) -> tuple[str, ...]:
    """The names in a list of libraries, of which some may be quoted.

    >>> names('pgoutput, "my, plugin",wal2json'), names("")
    (('pgoutput', 'my, plugin', 'wal2json'), ())
    """
    return tuple(
        match[1].replace('""', '"') if match[1] is not None else match[2].strip() for match in _NAME.finditer(value)
    )


def allow(setting: Setting, plugin: str) -> Advice:
    """Name it as well.  Each name is a constant of its own: one with commas would be one name."""
    allowed, load = names(setting.value), "SELECT pg_reload_conf();"
    was_ours = (setting.source_file or "").endswith("postgresql.auto.conf")
    before = f"SET {_SETTING} = {_list(allowed or ('',))}" if was_ours else f"RESET {_SETTING}"
    return Advice(
        title=f"Allow output plugin {plugin}",
        sql=f"ALTER SYSTEM SET {_SETTING} = {_list((*allowed, plugin))};\n{load}",
        undo_sql=f"ALTER SYSTEM {before};\n{load}",
        risk="Every role with REPLICATION may use the plugin then: allow it only if it is safe in everybody's hands.",
    )


def _list(libraries: Sequence[str]) -> str:
    return ", ".join(literal(name) for name in libraries)
