"""The three reviews of the calendar: dear statements, indexes, capacity.  They look, and make a report.

Each keeps what it saw, so that the next one knows what came in between: statements since the last review instead of
since the server's counters began, and how fast the database grows.
"""

from __future__ import annotations

import dataclasses
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime
from pathlib import Path
from typing import Any

from pgrunbook.errors import UsageError
from pgrunbook.journey.diagnose.health.asking import QUESTIONS as HEALTH_QUESTIONS
from pgrunbook.journey.diagnose.health.asking import health_of
from pgrunbook.journey.diagnose.request import Request, answer_from, look
from pgrunbook.journey.diagnose.seen import Seen
from pgrunbook.journey.diagnose.tables import bloat, indexes, queries, tables
from pgrunbook.journey.observe import snapshot_file
from pgrunbook.journey.observe.databases import DATABASES
from pgrunbook.journey.observe.host import Host, HostWatch
from pgrunbook.journey.observe.indexes import INDEXES
from pgrunbook.journey.observe.relations import RELATIONS
from pgrunbook.journey.observe.sessions import SESSIONS
from pgrunbook.journey.observe.settings import SETTINGS, by_name
from pgrunbook.journey.observe.statements import STATEMENTS, STATEMENTS_INFO
from pgrunbook.journey.observe.toast import TOAST
from pgrunbook.journey.observe.windowed import since
from pgrunbook.model import NotRead, Question, Snapshot, Value
from pgrunbook.model.health import Health
from pgrunbook.model.plan import TargetPrint
from pgrunbook.pg.connect import connect
from pgrunbook.pg.parse import Parser
from pgrunbook.procedures.maintain.ledger import Performance
from pgrunbook.procedures.maintain.tasks import Task
from pgrunbook.record import folder_for
from pgrunbook.report.health import formula_words, source_words, target_words, value_words
from pgrunbook.report.review import Review
from pgrunbook.report.table import Column, Table
from pgrunbook.report.words import counted, duration, figure, size

KEPT = "last-slow-queries.snapshot.json"
WATCHED_S = 5.0  # how long a capacity review watches, when nobody says
SHORTEST_GROWTH_S = 3600.0  # of a shorter time a rate would be noise
_FAMILIES: Mapping[Task, tuple[str, ...]] = {
    Task.SLOW_QUERIES: ("query", "no_query_statistics"),
    Task.INDEXES: ("index",),
    Task.CAPACITY: (
        "connection_saturation", "connection_churn", "sequence_exhaustion", "table_bloat", "memory_settings",
        "transaction_id_wraparound", "archiver_failing", "inactive_replication_slot",
    ),
}  # fmt: skip
_ALSO: Mapping[Task, tuple[Question[Any], ...]] = {
    Task.SLOW_QUERIES: (*queries.NEEDS, *queries.LIKES),
    Task.INDEXES: (*indexes.NEEDS, *indexes.LIKES, *bloat.NEEDS, *bloat.LIKES),
    Task.CAPACITY: (*HEALTH_QUESTIONS, *tables.NEEDS, *tables.LIKES, RELATIONS, INDEXES, TOAST, DATABASES, SESSIONS),
}
_TITLES = {
    Task.SLOW_QUERIES: "slow queries",
    Task.INDEXES: "indexes",
    Task.CAPACITY: "capacity",
}


@dataclass(frozen=True, slots=True, kw_only=True)
class Reviewed:
    """The report, what the journal keeps of it, and the snapshot for the next one."""

    review: Review
    figures: Mapping[str, Value]
    snapshot: Snapshot

    @property
    def target(self) -> TargetPrint:
        """The database that was looked at."""
        return TargetPrint.of(self.snapshot.server)


@dataclass(frozen=True, slots=True, kw_only=True)
class Observed:
    """What a review is made of; `host` is the server's machine, if we run on it."""

    snapshot: Snapshot
    host: Host | None = None


def ask(task: Task, request: Request, dsn: str) -> Observed:
    """Observe what the review of this task needs, for the request's window."""
    with connect(dsn, station="maintain") as conn:
        watch = HostWatch.beside(conn) if task is Task.CAPACITY else None
        snapshot = look(dataclasses.replace(request, only=_FAMILIES[task], skip=()), conn, also=_ALSO[task])
        return Observed(snapshot=snapshot, host=watch.look() if watch is not None else None)


def make(task: Task, request: Request, observed: Observed, earlier: Sequence[Performance]) -> Reviewed:
    """Make the report of what was observed.  `earlier` are past performances, for the growth since."""
    snapshot = observed.snapshot
    facts: list[str] = []
    if task is Task.SLOW_QUERIES and snapshot.earlier is None:
        snapshot, words = _since_last(snapshot)
        facts.append(words)
    diagnosis = answer_from(dataclasses.replace(request, only=_FAMILIES[task], skip=()), snapshot)
    with Parser() as parser:
        seen = Seen(snapshot=snapshot, parser=parser)
        figures: dict[str, Value] = {}
        if task is Task.SLOW_QUERIES:
            shown = [("What costs most", _shown(queries.table, seen, "queries"))]
        elif task is Task.INDEXES:
            shown = [
                ("Indexes, the largest first", _shown(indexes.table, seen, "indexes")),
                ("Air", _shown(bloat.table, seen, "bloat")),
            ]
        else:
            figures = _capacity_figures(seen)
            last = [one for one in earlier if one.task is task and one.end is not None and one.end.counts]
            health = health_of(snapshot, diagnosis, host=observed.host)
            facts += _capacity_facts(figures, last[-1] if last else None, seen.at, health)
            shown = [
                ("Key metrics", _metrics(health)),
                ("Tables, the largest first", _shown(tables.table, seen, "tables")),
            ]
    review = Review(
        title=_TITLES[task],
        server=snapshot.server,
        taken_at=snapshot.taken_at,
        facts=tuple(fact for fact in facts if fact),
        tables=tuple(shown),
        diagnosis=diagnosis,
    )
    return Reviewed(review=review, figures=figures, snapshot=snapshot)


def to_keep(task: Task, reviewed: Reviewed) -> tuple[Path, bytes] | None:
    """What the next review wants to know of this one: a file's place and content, or nothing."""
    if task is not Task.SLOW_QUERIES:
        return None
    wanted = {question.name for question in (STATEMENTS, STATEMENTS_INFO)}
    readings = {name: found for name, found in reviewed.snapshot.readings.items() if name in wanted}
    small = dataclasses.replace(reviewed.snapshot, readings=readings, earlier=None)
    return folder_for(reviewed.target) / KEPT, snapshot_file.to_bytes(small)


def _since_last(snapshot: Snapshot) -> tuple[Snapshot, str]:
    """The statements since the last review, if it was of these counters."""
    path = folder_for(TargetPrint.of(snapshot.server)) / KEPT
    if not path.exists():
        return snapshot, "This is the first review: statements are counted since the counters began."
    try:
        earlier = snapshot_file.load(path, (STATEMENTS, STATEMENTS_INFO))
        earlier.reading(STATEMENTS)
        both = since(snapshot, earlier)
    except (UsageError, NotRead) as exc:
        return snapshot, f"What the last review saw cannot be used: {exc}."
    age = (snapshot.taken_at - earlier.taken_at).total_seconds()
    return both, f"Statements since the last review, {duration(age)} ago."


def _shown(make_table: Any, seen: Seen, name: str) -> Table:
    """The table, or an empty one that says why."""
    try:
        made: Table = make_table(seen)
    except NotRead as exc:
        why = f"It could not be looked at: {exc.unread.reason}.  {exc.unread.cure}".strip()
        return Table(name=name, columns=(), rows=(), empty=why)
    return made


def _metrics(health: Health) -> Table:
    columns = (
        Column(name="metric", is_text=True),
        Column(name="target", is_text=True),
        Column(name="now", is_text=True),
        Column(name="stands", is_text=True),
        Column(name="source", is_long=True),
    )
    rows = [(m.title, target_words(m), value_words(m), m.mark.value, source_words(m)) for m in health.metrics]
    return Table(name="metrics", columns=columns, rows=tuple(rows))


def _capacity_figures(seen: Seen) -> dict[str, Value]:
    """What grows: bytes as the last VACUUM or ANALYZE saw them, connections now, commits since the counters began."""
    tables_bytes = sum(relation.size_bytes for relation in seen.rows(RELATIONS))
    indexes_bytes = sum(index.size_bytes for index in seen.rows_or_none(INDEXES) or ())
    toast_bytes = sum(toast.size_bytes for toast in seen.rows_or_none(TOAST) or ())
    settings = by_name(seen.rows_or_none(SETTINGS) or ())
    limit = settings["max_connections"].number if "max_connections" in settings else None
    here = next((row for row in seen.rows_or_none(DATABASES) or () if row.is_current), None)
    return {
        "tables_bytes": tables_bytes,
        "indexes_bytes": indexes_bytes,
        "toast_bytes": toast_bytes,
        "whole_bytes": tables_bytes + indexes_bytes + toast_bytes,
        "connections": sum(one.is_client and not one.is_ours for one in seen.rows_or_none(SESSIONS) or ()),
        "max_connections": round(limit) if limit is not None else None,
        "commits": here.commits if here is not None else None,
    }


def _capacity_facts(figures: Mapping[str, Value], last: Performance | None, at: datetime, health: Health) -> list[str]:
    parts = [f"{name} {figure(f'{name}_bytes', figures[f'{name}_bytes'])}" for name in ("tables", "indexes", "toast")]
    facts = [
        f"{figure('whole_bytes', figures['whole_bytes'])} in all ({', '.join(parts)}), as of each one's last VACUUM.",
        f"{figure('', figures['connections'])} of {figure('', figures['max_connections'])} connections taken now.",
        f"Load capacity by the runbook's rule of thumb: {formula_words(health.capacity)}.",
    ]
    return [*facts, _growth(figures, last, at)]


def _growth(figures: Mapping[str, Value], last: Performance | None, at: datetime) -> str:
    was, now = last.figures.get("whole_bytes") if last is not None else None, figures["whole_bytes"]
    if last is None or not isinstance(was, int) or not isinstance(now, int):
        return "Growth: not known yet; the next review compares with this one."
    seconds = (at - last.at).total_seconds()
    if seconds < SHORTEST_GROWTH_S:
        return f"Growth: the last review was only {duration(max(seconds, 0.0))} ago."
    per_day = (now - was) * 86_400 / seconds
    ahead = f"; at this rate {size(now + 90 * per_day)} in 90 days" if per_day > 0 else ""
    return (
        f"Growth since the last review, {counted(round(seconds / 86_400), 'day')} ago: {size(was)} → {size(now)},"
        f" {size(per_day)} a day{ahead}."
    )
