"""What the journal knows of maintenance: when each task was begun, how it ended, and what it counted.

Two records a task, beside those of the run that it made: `task_started` and `task_ended`.  One without the other is a
task whose process died; it has not run.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from datetime import datetime
from enum import StrEnum
from pathlib import Path
from typing import Any

from pgrunbook.model import Value
from pgrunbook.procedures.maintain.tasks import Task
from pgrunbook.record import Journal, read
from pgrunbook.record.journal import Record


class End(StrEnum):
    """How a task ended.  `in_part`: something was refused, and would be again a quarter of an hour later."""

    DONE = "done"
    IN_PART = "in part"
    REFUSED = "refused"
    FAILED = "failed"
    INTERRUPTED = "interrupted"

    @property
    def counts(self) -> bool:
        """Whether the task has run as far as the calendar is concerned."""
        return self in {End.DONE, End.IN_PART}


@dataclass(frozen=True, slots=True, kw_only=True)
class Performance:
    """One time that a task was begun.  `end` is None when its process died or is still at work."""

    key: str
    task: Task
    at: datetime
    ended_at: datetime | None = None
    end: End | None = None
    reason: str = ""
    figures: Mapping[str, Value] = field(default_factory=dict)


def performances(records: Iterable[Record]) -> tuple[Performance, ...]:
    """All of them, oldest first; tasks that this version does not know are left out."""
    known: dict[str, Performance] = {}
    tasks = {task.value: task for task in Task}
    for record in records:
        at = datetime.fromisoformat(record["at"])
        if record["type"] == "task_started" and record["task"] in tasks:
            known[record["key"]] = Performance(key=record["key"], task=tasks[record["task"]], at=at)
        elif record["type"] == "task_ended" and record["key"] in known:
            begun = known[record["key"]]
            known[begun.key] = Performance(
                key=begun.key,
                task=begun.task,
                at=begun.at,
                ended_at=at,
                end=End(record["end"]),
                reason=record["reason"],
                figures={name: _value(value) for name, value in record["figures"].items()},
            )
    return tuple(known.values())


def last_runs(known: Iterable[Performance]) -> dict[Task, datetime]:
    """When each task was last begun that came to its end."""
    return {one.task: one.at for one in known if one.end is not None and one.end.counts}


def load(folder: Path) -> tuple[Performance, ...]:
    """What the journal in this folder knows.  Raises Refused when it is damaged."""
    return performances(read(folder))


def begin(journal: Journal, task: Task) -> str:
    """Write down that a task begins; the key that its end takes."""
    record = journal.append("task_started", task=task.value, key=f"task-{_next(journal)}")
    return str(record["key"])


def finish(
    journal: Journal, key: str, end: End, *, reason: str = "", figures: Mapping[str, Value] | None = None
) -> None:
    """Write down how it ended."""
    journal.append("task_ended", key=key, end=end.value, reason=reason, figures=dict(figures or {}))


def _next(journal: Journal) -> int:
    return 1 + len([record for record in journal.records() if record["type"] == "task_started"])


def _value(value: Any) -> Value:
    return tuple(value) if isinstance(value, list) else value
