"""The calendar as a whole: which task is planned when, read from the configuration or a YAML file, and what is due.

A slot may be begun for some hours (a whole day, a whole week) and is over then: a rewrite of the night that was missed
does not come at noon.  What has run since the slot began is not due again.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from datetime import datetime
from typing import Any

from pgrunbook.errors import UsageError
from pgrunbook.procedures.maintain.calendar import CATCH_UP_S, Frequency, Rule, Slot, parse
from pgrunbook.procedures.maintain.tasks import Task, task_named

IMPACTS = ("none", "minimal", "moderate", "high", "varies")
_KEYS = ("task", "time", "impact")
RUNBOOK: Mapping[str, list[Mapping[str, str]]] = {
    "daily": [
        {"task": "VACUUM ANALYZE high_traffic_tables", "time": "02:00 UTC", "impact": "minimal"},
        {"task": "Update table statistics", "time": "03:00 UTC", "impact": "none"},
    ],
    "weekly": [
        {"task": "REINDEX CONCURRENTLY bloated_indexes", "time": "Sunday 04:00 UTC", "impact": "minimal"},
        {"task": "Full database backup", "time": "Sunday 05:00 UTC", "impact": "minimal"},
    ],
    "monthly": [
        {"task": "VACUUM FULL low_traffic_tables", "time": "First Sunday 06:00 UTC", "impact": "moderate"},
        {"task": "Analyze slow query log", "time": "First Monday", "impact": "none"},
    ],
    "quarterly": [
        {"task": "Review and update indexes", "time": "First week", "impact": "varies"},
        {"task": "Capacity planning review", "time": "Second week", "impact": "none"},
    ],
}


@dataclass(frozen=True, slots=True, kw_only=True)
class Entry:
    """One line of the calendar.  `words` are its own, `impact` what it says of itself."""

    task: Task
    words: str
    rule: Rule
    impact: str = ""


@dataclass(frozen=True, slots=True, kw_only=True)
class Schedule:
    """All lines, in the order of their frequency and as they were written; `origin` says where."""

    entries: tuple[Entry, ...]
    origin: str
    catch_up_s: float = CATCH_UP_S

    def due(self, at: datetime, last_runs: Mapping[Task, datetime]) -> tuple[tuple[Entry, Slot], ...]:
        """The lines whose slot holds this moment and whose task has not run since it began, earliest first.

        A task that two lines name is due once.
        """
        found: dict[Task, tuple[Entry, Slot]] = {}
        for entry in self.entries:
            slot = entry.rule.latest(at, catch_up_s=self.catch_up_s)
            ran_at = last_runs.get(entry.task)
            if slot is None or not slot.holds(at) or (ran_at is not None and ran_at >= slot.starts_at):
                continue
            if entry.task not in found or slot.starts_at < found[entry.task][1].starts_at:
                found[entry.task] = (entry, slot)
        return tuple(sorted(found.values(), key=lambda pair: (pair[1].starts_at, list(Task).index(pair[0].task))))

    def missed(self, at: datetime, last_runs: Mapping[Task, datetime]) -> tuple[tuple[Entry, Slot], ...]:
        """The lines whose newest slot is over and whose task has run before, but not since that slot began."""
        found = []
        for entry in self.entries:
            slot = entry.rule.latest(at, catch_up_s=self.catch_up_s)
            ran_at = last_runs.get(entry.task)
            if slot is not None and slot.ends_at <= at and ran_at is not None and ran_at < slot.starts_at:
                found.append((entry, slot))
        return tuple(found)


def default() -> Schedule:
    """The runbook's own calendar."""
    return read(RUNBOOK, "the runbook's calendar")


def read(content: Any, origin: str, *, catch_up_s: float = CATCH_UP_S) -> Schedule:
    """A calendar from what a TOML or YAML file held.  Raises UsageError that names the line, and gives an example."""
    known = [frequency.value for frequency in Frequency]
    if not isinstance(content, Mapping):
        raise UsageError(f"{origin}: a calendar must be a table of {', '.join(known)}")
    for key in content:
        if key not in known:
            raise UsageError(f"{origin}: {key!r} is no frequency", hint=f"Known: {', '.join(known)}.")
    entries = []
    for frequency in Frequency:
        lines = content.get(frequency.value, [])
        if not isinstance(lines, list | tuple):
            raise UsageError(f"{origin}: {frequency} must be a list of tasks")
        entries += [_entry(line, frequency, f"{origin}: {frequency} task {n}") for n, line in enumerate(lines, start=1)]
    if not entries:
        raise UsageError(f"{origin}: the calendar is empty", hint="Leave it out to have the runbook's own.")
    return Schedule(entries=tuple(entries), origin=origin, catch_up_s=catch_up_s)


def _entry(line: Any, frequency: Frequency, what: str) -> Entry:
    if not isinstance(line, Mapping):
        raise UsageError(f"{what} must be a table of {', '.join(_KEYS)}, not {line!r}")
    for key, value in line.items():
        if key not in _KEYS:
            raise UsageError(f"{what}: unknown key {key!r}", hint=f"Known keys: {', '.join(_KEYS)}.")
        if not isinstance(value, str):
            raise UsageError(f"{what}: {key} must be a text, not {value!r}", hint='Put it in quotes: "02:00 UTC".')
    for key in ("task", "time"):
        if not line.get(key, "").strip():
            raise UsageError(f"{what} has no {key}")
    impact = line.get("impact", "").lower()
    if impact and impact not in IMPACTS:
        raise UsageError(f"{what}: impact must be one of {', '.join(IMPACTS)}, not {line['impact']!r}")
    try:
        return Entry(
            task=task_named(line["task"]), words=line["task"], rule=parse(line["time"], frequency), impact=impact
        )
    except UsageError as exc:
        raise UsageError(f"{what}: {exc.message}", hint=exc.hint) from exc
