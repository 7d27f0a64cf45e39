"""Findings → Plan: the steps that mend them, each with the queries that it should make faster."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import replace
from datetime import UTC, datetime

from pgrunbook.journey.advise.expecting import Sizes, expect
from pgrunbook.journey.observe.statements import STATEMENTS, Statement
from pgrunbook.model import Finding, NotRead, Severity, Snapshot
from pgrunbook.model.advice import IndexAdvice
from pgrunbook.model.plan import Expected, MeasuredQuery, Plan, PlannedStep, TargetPrint


def plan_of(findings: Sequence[Finding], snapshot: Snapshot, *, least: Severity = Severity.WARNING) -> Plan:
    """The first step that each finding of at least this severity advises; findings without a step are left out."""
    statements = _by_queryid(snapshot)
    sizes = Sizes.of(snapshot)
    steps = [
        PlannedStep(
            step=advice.step,
            finding=finding.fingerprint,
            queries=_queries(finding, statements),
            expected=expect(advice.step, sizes),
        )
        for finding in findings
        if finding.severity.rank <= least.rank
        for advice in [next((a for a in finding.advice if a.step is not None), None)]
        if advice is not None and advice.step is not None
    ]
    return Plan(target=TargetPrint.of(snapshot.server), steps=tuple(steps), made_at=datetime.now(UTC))


def plan_of_indexes(advice: IndexAdvice, snapshot: Snapshot) -> Plan:
    """The indexes that the advisor proposes, each with the statements that it should help, and those that can go."""
    sizes = Sizes.of(snapshot)
    made = [
        PlannedStep(
            step=index.advice.step,
            queries=tuple(MeasuredQuery(text=q.text, queryid=q.queryid, role=q.role) for q in index.queries),
            expected=_with_disk(expect(index.advice.step, sizes), index.size_bytes),
        )
        for index in advice.proposed
        if index.advice.step is not None
    ]
    gone = [
        PlannedStep(step=index.advice.step, expected=expect(index.advice.step, sizes))
        for index in advice.dropped
        if index.advice.step is not None
    ]
    return Plan(target=TargetPrint.of(snapshot.server), steps=(*made, *gone), made_at=datetime.now(UTC))


def _with_disk(expected: Expected | None, disk_bytes: int) -> Expected | None:
    """The advisor knows the columns' widths."""
    return replace(expected, disk_bytes=disk_bytes) if expected is not None else None


def _by_queryid(snapshot: Snapshot) -> Mapping[int, Statement]:
    try:
        return {row.queryid: row for row in snapshot.rows(STATEMENTS)}
    except NotRead:
        return {}


def _queries(finding: Finding, statements: Mapping[int, Statement]) -> tuple[MeasuredQuery, ...]:
    """The statements that the finding names as those which suffer."""
    named = finding.evidence.get("queryids")
    if not isinstance(named, tuple):
        return ()
    known = (statements.get(int(queryid)) for queryid in named if queryid is not None)
    return tuple(MeasuredQuery(text=row.query, queryid=row.queryid, role=row.role) for row in known if row is not None)
