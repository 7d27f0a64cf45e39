"""A query that has been running for long.

Asks:    which clients' statements have been running, not waiting for a lock, longer than anyone waits for an answer?
Unit:    running_s by the server's clock.
Source:  pg_stat_activity: state active, query_start.  Left out: maintenance statements, programs that copy or maintain,
         replication, and victims of a lock (blocked_sessions names whom they wait for).
Blind:   sessions of other roles without pg_read_all_stats.
Says:    Session {object} of role {role} has been running one statement for {running_s}: {query}.
         It calls itself {application}.  It waits for {wait_event}.
Section: Emergency Procedures
Leads:   pg_cancel_backend
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass

from pgrunbook.journey.diagnose import mending
from pgrunbook.journey.diagnose.check import Check
from pgrunbook.journey.diagnose.seen import Seen
from pgrunbook.journey.diagnose.sessions import hidden_blind, is_tool, runs_maintenance, who
from pgrunbook.journey.observe.sessions import SESSIONS, Backend
from pgrunbook.journey.observe.vacuum_progress import VACUUM_PROGRESS
from pgrunbook.model import Finding, Kind, Severity, Verdict


@dataclass(frozen=True, slots=True, kw_only=True)
class Limits:
    """Half a minute: nobody waits any more.

    The gateways before an application give up by then (30 s is their usual limit), and it is the statement_timeout that
    the runbook sets in an emergency.
    """

    running_s: float = 30.0


def judge(seen: Seen, limits: Limits) -> Iterator[Verdict]:
    """One finding a session."""
    if (blind := hidden_blind(seen)) is not None:
        yield blind
    vacuuming = {row.pid for row in seen.rows_or_none(VACUUM_PROGRESS) or ()}
    for backend in seen.rows(SESSIONS):
        if _is_candidate(backend) and backend.pid not in vacuuming:
            running_s = backend.query_age_s or 0.0
            if running_s >= limits.running_s:
                yield _finding(backend, running_s)


def _is_candidate(backend: Backend) -> bool:
    return (
        backend.is_client
        and backend.state == "active"
        and backend.wait_event_type != "Lock"
        and not backend.is_ours
        and not is_tool(backend)
        and not runs_maintenance(backend)
    )


def _finding(backend: Backend, running_s: float) -> Finding:
    is_waiting = backend.wait_event_type is not None
    return Finding(
        severity=Severity.WARNING,
        kind=Kind.SESSION,
        object=str(backend.pid),
        evidence={
            **who(backend),
            "running_s": round(running_s, 1),
            "wait_event": f"{backend.wait_event_type} {backend.wait_event}" if is_waiting else None,
            "query_id": str(backend.query_id) if backend.query_id else None,
        },
        advice=(mending.cancel_query(backend),),
    )


CHECK = Check(needs=(SESSIONS,), likes=(VACUUM_PROGRESS,), judge=judge, limits=Limits())
