"""A session for which others wait.

Asks:    who stands at the root of each queue of lock waits, who waits behind it, and for how long?
Unit:    waiting_s by the server's clock.
Source:  pg_blocking_pids() of every waiting session, pg_locks (waitstart), pg_prepared_xacts.
Blind:   what the root does, without pg_read_all_stats (the queue itself everybody may see).
Says:    {victims} sessions wait behind {object}, the first for {waiting_s}.  The root's state is: {state}.
         It runs as {role}, called {application}.  Its last statement was: {query}.
         {ddl_waiter} waits for {ddl_mode} on {relation}, and everybody else queues behind that.
Section: Emergency Procedures
Leads:   end_session
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass

from pgrunbook.journey.diagnose import mending
from pgrunbook.journey.diagnose.check import Check
from pgrunbook.journey.diagnose.seen import Seen
from pgrunbook.journey.diagnose.sessions import Blockade, backends, blockades, hidden_blind, who
from pgrunbook.journey.observe.locks import BLOCKING
from pgrunbook.journey.observe.sessions import SESSIONS, Backend
from pgrunbook.model import Advice, Finding, Kind, Severity, Value, Verdict


@dataclass(frozen=True, slots=True, kw_only=True)
class Limits:
    """Degrees.

    `waiting_s` is deadlock_timeout's default: after it the server itself looks whether a wait will ever end.  Shorter
    ones are the daily life of row locks.  Critical with `critical_victims` (an application's pool is then half gone) or
    after `critical_s` (twice the half minute after which gateways give up).
    """

    waiting_s: float = 1.0
    critical_victims: int = 5
    critical_s: float = 60.0


def judge(seen: Seen, limits: Limits) -> Iterator[Verdict]:
    """One finding a root; its victims are `related`."""
    if (blind := hidden_blind(seen)) is not None:
        yield blind
    sessions = backends(seen)
    for blockade in seen.derived(blockades):
        if blockade.longest_wait_s >= limits.waiting_s:
            yield _finding(blockade, sessions.get(blockade.pid), limits)


def _finding(blockade: Blockade, root: Backend | None, limits: Limits) -> Finding:
    is_urgent = len(blockade.victims) >= limits.critical_victims or blockade.longest_wait_s >= limits.critical_s
    is_prepared = blockade.pid == 0 and blockade.gid is not None
    return Finding(
        severity=Severity.CRITICAL if is_urgent else Severity.WARNING,
        kind=Kind.TRANSACTION if is_prepared else Kind.SESSION,
        object=str(blockade.gid) if is_prepared else str(blockade.pid),
        related=tuple(str(victim.pid) for victim in blockade.victims),
        evidence={
            **(who(root) if root is not None else {}),
            "victims": len(blockade.victims),
            "waiting_s": round(blockade.longest_wait_s, 1),
            "transaction_age_s": _rounded(root.transaction_age_s if root is not None else None),
            **_queue(blockade),
        },
        advice=_advice(blockade, root),
    )


def _queue(blockade: Blockade) -> dict[str, Value]:
    """What is waited for; a waiting ACCESS EXCLUSIVE lock makes even readers queue."""
    first = blockade.victims[0]
    ddl = next((victim for victim in blockade.victims if victim.mode == "AccessExclusiveLock"), None)
    shown = ddl if ddl is not None else next((v for v in blockade.victims if v.relation is not None), first)
    return {
        "lock_type": shown.lock_type,
        "mode": shown.mode,
        "relation": shown.relation,
        "ddl_waiter": str(ddl.pid) if ddl is not None and len(blockade.victims) > 1 else None,
        "ddl_mode": "ACCESS EXCLUSIVE" if ddl is not None else None,
    }


def _advice(blockade: Blockade, root: Backend | None) -> tuple[Advice, ...]:
    if blockade.pid == 0:
        return (mending.roll_back(blockade.gid),) if blockade.gid is not None else ()
    if root is None or root.state is None or not root.is_client:
        return ()  # an autovacuum that prevents wraparound gives way to nobody, and comes back if it is ended
    if root.state == "active":
        return (mending.cancel_query(root), mending.end_session(root))
    return (mending.end_session(root),)


def _rounded(value: float | None) -> float | None:
    return round(value, 1) if value is not None else None


CHECK = Check(needs=(BLOCKING, SESSIONS), judge=judge, limits=Limits())
