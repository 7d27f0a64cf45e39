"""Does what a finding advises, as a person would paste it, and asks again; then undoes it, and asks once more."""

from __future__ import annotations

import time
from collections.abc import Callable, Mapping

import psycopg

from pgrunbook.model import Advice, Finding

WAIT_S = 12.0  # counters travel by way of a collector before 15; a signalled session takes a moment to go
LEFT_OUT: Mapping[str, str] = {
    "archiver_suspicious": "archive_mode needs a restart",
    "archiver_failing": "only whoever runs the archive can mend it",
    "checksums": "a damaged page comes back from a backup, checksums come with a stopped server",
    "connection_churn": "counted since the statistics began; a pool in the application ends it",
    "connection_saturation": "the sessions belong to the application",
    "deadlocks": "counted since the statistics began; the application takes its locks in one order",
    "deep_offset": "counted; the application asks in another way",
    "dominant_query": "counted; what to change, EXPLAIN says",
    "generic_plan_regression": "counted; new sessions plan for their values",
    "high_planning_time": "counted; the application prepares",
    "low_hit_ratio_query": "counted",
    "materialized_view_candidate": "counted; the application reads the view",
    "memory_settings": "shared_buffers needs a restart",
    "misestimate": "counted; the next calls are planned with what was learnt",
    "missing_replica": "somebody looks at the standby",
    "outdated_minor_version": "installed by the system's packages",
    "overridden_setting": "the file is the administrator's",
    "pending_restart": "needs the restart",
    "repeated_query": "counted; the application asks in one go",
    "replication_lag": "the standby's own connection, or time",
    "row_by_row_insert": "counted; the application sends batches",
    "slow_query": "counted; what to change, EXPLAIN says",
    "temp_spill": "counted",
    "transaction_pooler_misuse": "counted; the application uses transactions",
    "unbounded_result": "counted; the application sets a limit",
    "wrong_index_for_limit": "counted; an index serves the next calls",
    "wasteful_read": "counted; an index serves the next calls",
    "non_sargable_predicate": "counted; rewritten in the application, or by an index on the expression",
}

NOT_BY_SQL: Mapping[str, str] = {
    "nested_views": "which layer is needless, people know",
    "policy_subquery_per_row": "a scalar sub-select has no one rewriting",
    "policy_trusts_user_metadata": "a helper's own text is changed by hand",
    "rls_without_policy": "which rows are whose, people know",
}
UNSEEN_AFTERWARDS: Mapping[str, str] = {
    "invalid_index": "the undo builds the index anew, and then it is valid",
    "unused_index": "a new index is not judged",
}


def statements(text: str | None) -> list[str]:
    """What psql would send: statements without those that are comments altogether."""
    parts = [part for part in (text or "").split(";\n") if part.strip()]
    return [p for p in parts if any(line.strip() and not line.lstrip().startswith("--") for line in p.splitlines())]


def try_out(finding: Finding, dsn: str, ask: Callable[[], Finding | None]) -> str:
    """What came of it, to stand behind the case's row; "" when all is well.  `ask` gives the finding again, or None.

    The first advice is followed; where it is one part of the cure the others are, too.
    """
    if finding.check in LEFT_OUT:
        return ""
    if not finding.advice or not statements(finding.advice[0].sql):
        return "" if finding.check in NOT_BY_SQL else "  [NOTHING TO RUN]"
    done: list[Advice] = []
    try:
        for advice in finding.advice:
            _run(dsn, advice.sql)
            done.append(advice)
            if _becomes(ask, there=False, within_s=WAIT_S if advice is finding.advice[-1] else 2.0):
                break
        else:
            return "  [NOT MENDED]"
    except psycopg.Error as exc:
        return f"  [NOT MENDED: {str(exc).splitlines()[0]}]"
    return _undo(finding, done, dsn, ask)


def _undo(finding: Finding, done: list[Advice], dsn: str, ask: Callable[[], Finding | None]) -> str:
    undoing = [advice for advice in reversed(done) if statements(advice.undo_sql)]
    if not undoing or finding.check in UNSEEN_AFTERWARDS:
        return ""
    try:
        for advice in undoing:
            _run(dsn, advice.undo_sql)
    except psycopg.Error as exc:
        return f"  [NOT UNDONE: {str(exc).splitlines()[0]}]"
    return "" if _becomes(ask, there=True, within_s=WAIT_S) else "  [NOT UNDONE]"


def _run(dsn: str, text: str | None) -> None:
    with psycopg.connect(dsn, autocommit=True) as conn:
        for statement in statements(text):
            conn.execute(statement.encode())


def _becomes(ask: Callable[[], Finding | None], *, there: bool, within_s: float) -> bool:
    deadline = time.monotonic() + within_s
    while (ask() is not None) is not there:
        if time.monotonic() > deadline:
            return False
        time.sleep(0.2)
    return True
