"""What the configuration says of maintenance: `[maintain]` in pgrunbook.toml.

blackout        spans in which nothing is begun: ["Monday-Friday 08:00-18:00 Europe/Berlin"]
backup_command  a program with its arguments: ["pgbackrest", "--stanza=main", "backup"]
calendar        [[maintain.calendar.daily]] with task, time and impact, as in the runbook's YAML
pressure        [maintain.pressure]: when a database is too busy
low_traffic     [maintain.low_traffic]: when a table is used so little that it may be rewritten
max_steps, longest_s, catch_up_s
"""

from __future__ import annotations

import math
from collections.abc import Mapping
from dataclasses import dataclass, field, fields
from pathlib import Path
from typing import Any, TypeVar

from pgrunbook.config import Config
from pgrunbook.errors import UsageError
from pgrunbook.procedures.maintain import blackout, calendar_yaml, schedule
from pgrunbook.procedures.maintain.blackout import Blackout
from pgrunbook.procedures.maintain.calendar import CATCH_UP_S
from pgrunbook.procedures.maintain.schedule import Schedule

Limits = TypeVar("Limits", "PressureLimits", "LowTraffic")
LONGEST_S = 7 * 86_400.0


@dataclass(frozen=True, slots=True, kw_only=True)
class PressureLimits:
    """From when on a database is too busy for maintenance.

    `connections_ratio`: where the exporters' alerts begin.  `active_per_core`: two runnable sessions a core are a queue
    before every processor; where nobody knows the cores, `active_ratio` of the connections stands for it.
    `waiting_sessions` that have waited for a lock for a second: half of an application's pool.  A standby that is
    `lag_s` behind only falls further with the WAL of maintenance.
    """

    connections_ratio: float = 0.8
    active_per_core: float = 2.0
    active_ratio: float = 0.5
    waiting_sessions: int = 5
    lag_s: float = 60.0


@dataclass(frozen=True, slots=True, kw_only=True)
class LowTraffic:
    """When a table may be kept to ourselves for as long as a rewrite takes.

    Once a minute somebody reads it and a row in four seconds is written: that many wait or fail.  Counters that cover
    less than `known_s`, a day, have not seen the night's jobs.
    """

    scans_per_h: float = 60.0
    writes_per_h: float = 1000.0
    known_s: float = 86_400.0


@dataclass(frozen=True, slots=True, kw_only=True)
class Arrangements:
    """All of it.  `max_steps` is how many tables or indexes one run takes on, `longest_s` when it begins no more.

    `backup_command` is a program with its arguments; it finds the database in PG* variables.
    """

    schedule: Schedule
    blackouts: tuple[Blackout, ...] = ()
    backup_command: tuple[str, ...] = ()
    max_steps: int = 20
    longest_s: float = 4 * 3600.0
    pressure: PressureLimits = field(default_factory=PressureLimits)
    low_traffic: LowTraffic = field(default_factory=LowTraffic)


_KEYS = ("calendar", "blackout", "backup_command", "max_steps", "longest_s", "catch_up_s", "pressure", "low_traffic")


def arrangements(config: Config, *, calendar_file: Path | None = None) -> Arrangements:
    """The arrangements of a configuration; a calendar in a file of its own comes before the configuration's.

    Raises UsageError that names the key.
    """
    table = config.procedures.get("maintain", {})
    for key in table:
        if key not in _KEYS:
            raise UsageError(f"[maintain]: unknown key {key!r}", hint=f"Known keys: {', '.join(_KEYS)}.")
    return Arrangements(
        schedule=_schedule(table, config, calendar_file),
        blackouts=tuple(blackout.parse(text) for text in _texts(table, "blackout")),
        backup_command=_texts(table, "backup_command"),
        max_steps=round(_number(table, "max_steps", 20, 1, 1000)),
        longest_s=_number(table, "longest_s", 4 * 3600.0, 60, LONGEST_S),
        pressure=_limits(PressureLimits, table, "pressure"),
        low_traffic=_limits(LowTraffic, table, "low_traffic"),
    )


def _schedule(table: Mapping[str, Any], config: Config, file: Path | None) -> Schedule:
    catch_up_s = _number(table, "catch_up_s", CATCH_UP_S, 60, 86_400)
    if file is not None:
        return schedule.read(calendar_yaml.load(file), str(file), catch_up_s=catch_up_s)
    if "calendar" in table:
        origin = f"{config.origin('maintain.calendar')}: maintain.calendar"
        return schedule.read(table["calendar"], origin, catch_up_s=catch_up_s)
    return schedule.read(schedule.RUNBOOK, "the runbook's calendar", catch_up_s=catch_up_s)


def _texts(table: Mapping[str, Any], key: str) -> tuple[str, ...]:
    value = table.get(key, [])
    if not isinstance(value, list) or not all(isinstance(item, str) and item for item in value):
        raise UsageError(f"[maintain]: {key} must be a list of texts, not {value!r}")
    return tuple(value)


def _number(table: Mapping[str, Any], key: str, default: float, least: float, most: float) -> float:
    value = table.get(key, default)
    if isinstance(value, bool) or not isinstance(value, int | float) or not least <= value <= most:
        raise UsageError(f"[maintain]: {key} must be a number from {least:g} to {most:g}, not {value!r}")
    return float(value)


def _limits(kind: type[Limits], table: Mapping[str, Any], name: str) -> Limits:
    """A table of thresholds, each a number that is not negative."""
    known, given = [one.name for one in fields(kind)], table.get(name, {})
    if not isinstance(given, Mapping):
        raise UsageError(f"[maintain]: {name} must be a table: [maintain.{name}]")
    for key, value in given.items():
        if key not in known:
            raise UsageError(f"[maintain.{name}]: unknown key {key!r}", hint=f"Known keys: {', '.join(known)}.")
        if isinstance(value, bool) or not isinstance(value, int | float) or not 0 <= value < math.inf:
            raise UsageError(f"[maintain.{name}]: {key} must be a number from 0 on, not {value!r}")
    return kind(**given)
