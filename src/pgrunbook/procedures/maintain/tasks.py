"""The names of the tasks, and the words by which the runbook's calendar calls them."""

from __future__ import annotations

from enum import StrEnum

from pgrunbook.errors import UsageError


class Task(StrEnum):
    """What maintenance can do."""

    VACUUM = "vacuum"
    STATISTICS = "statistics"
    REINDEX = "reindex"
    VACUUM_FULL = "vacuum-full"
    SLOW_QUERIES = "slow-queries"
    INDEXES = "indexes"
    CAPACITY = "capacity"
    BACKUP = "backup"

    @property
    def is_review(self) -> bool:
        """Whether it only looks, and writes a report."""
        return self in {Task.SLOW_QUERIES, Task.INDEXES, Task.CAPACITY}

    @property
    def says(self) -> str:
        """What it does, in words."""
        return _SAYS[self]


_SAYS = {
    Task.VACUUM: "vacuum and analyze the tables that are written most",
    Task.STATISTICS: "gather statistics where much has changed",
    Task.REINDEX: "rebuild bloated indexes while the application works",
    Task.VACUUM_FULL: "rewrite bloated tables that are hardly used",
    Task.SLOW_QUERIES: "report the statements that cost most",
    Task.INDEXES: "report indexes that are missing, unused or in excess",
    Task.CAPACITY: "report sizes, growth, connections and load",
    Task.BACKUP: "run the configured backup command",
}
_PHRASES = {
    "VACUUM ANALYZE high_traffic_tables": Task.VACUUM,
    "Update table statistics": Task.STATISTICS,
    "REINDEX CONCURRENTLY bloated_indexes": Task.REINDEX,
    "Full database backup": Task.BACKUP,
    "VACUUM FULL low_traffic_tables": Task.VACUUM_FULL,
    "Analyze slow query log": Task.SLOW_QUERIES,
    "Review and update indexes": Task.INDEXES,
    "Capacity planning review": Task.CAPACITY,
}


def task_named(text: str) -> Task:
    """The task of this name, or of this phrase of the runbook.  Raises UsageError.

    >>> task_named("vacuum-full"), task_named("Update table statistics")
    (<Task.VACUUM_FULL: 'vacuum-full'>, <Task.STATISTICS: 'statistics'>)
    """
    wanted = " ".join(text.split()).lower()
    for known, task in (*((task.value, task) for task in Task), *_PHRASES.items()):
        if wanted == known.lower():
            return task
    phrases = "; ".join(f'"{phrase}"' for phrase in _PHRASES)
    raise UsageError(
        f"there is no maintenance task {text!r}",
        hint=f"Tasks: {', '.join(task.value for task in Task)}; or the runbook's words: {phrases}.",
    )
