"""Nearly all connections taken.

Asks:    how many client sessions are there against what the server, a role or a database lets in?
Unit:    used_ratio, 0..1 of the connections that ordinary roles may take.
Source:  pg_stat_activity (client backends only) against max_connections without its reserved part, rolconnlimit and
         datconnlimit.
Blind:   how they divide by state, without pg_read_all_stats (their number everybody may see).
Says:    {used} of the {limit} connections for {object} are taken ({used_ratio}).  Most belong to {top_roles}.
         They call themselves {top_applications}.  {idle} of them are idle.
         {idle_in_transaction} of them idle in a transaction.
Section: Connection Pool Management
Leads:   a pooler, or fewer connections in the applications' pools
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass

from pgrunbook.journey.diagnose.check import Check
from pgrunbook.journey.diagnose.seen import Seen
from pgrunbook.journey.diagnose.sessions import hidden_blind
from pgrunbook.journey.observe.databases import DATABASES
from pgrunbook.journey.observe.roles import ROLES
from pgrunbook.journey.observe.sessions import SESSIONS, Backend
from pgrunbook.journey.observe.settings import SETTINGS, by_name
from pgrunbook.model import Finding, Kind, Severity, Verdict, quote


@dataclass(frozen=True, slots=True, kw_only=True)
class Limits:
    """Degrees: 80 % is where the exporters' alerts begin, 95 % the runbook's critical alert (its warning is at 90 %).

    `min_limit`: a role that may open one or two connections is full by design.
    """

    warn_ratio: float = 0.8
    critical_ratio: float = 0.95
    min_limit: int = 5


def judge(seen: Seen, limits: Limits) -> Iterator[Verdict]:
    """One finding about the server, one for each role or database at its own limit."""
    if (blind := hidden_blind(seen)) is not None:
        yield blind
    clients = [backend for backend in seen.rows(SESSIONS) if backend.is_client and not backend.is_self]
    for kind, name, limit, mine in _limited(seen, clients):
        if limit < limits.min_limit and kind is not Kind.SERVER:
            continue
        ratio = len(mine) / max(limit, 1)
        if ratio >= limits.warn_ratio:
            severity = Severity.CRITICAL if ratio >= limits.critical_ratio else Severity.WARNING
            yield _finding(kind, name, severity, limit, mine)


def _limited(seen: Seen, clients: Sequence[Backend]) -> Iterator[tuple[Kind, str, int, list[Backend]]]:
    """Everything that has a limit: what it is, its name, how many it lets in, and who is in."""
    settings = by_name(seen.rows(SETTINGS))
    reserved = ("superuser_reserved_connections", "reserved_connections")  # the latter from 16
    usable = settings["max_connections"].number - sum(settings[n].number for n in reserved if n in settings)
    yield Kind.SERVER, "server", round(usable), list(clients)
    for role in seen.rows_or_none(ROLES) or ():
        if role.connection_limit > 0 and not role.is_superuser:
            mine = [backend for backend in clients if backend.role == role.name]
            yield Kind.ROLE, quote(role.name), role.connection_limit, mine
    for database in seen.rows_or_none(DATABASES) or ():
        if database.connection_limit > 0:
            inside = [backend for backend in clients if backend.database == database.name]
            yield Kind.DATABASE, quote(database.name), database.connection_limit, inside


def _finding(kind: Kind, name: str, severity: Severity, limit: int, mine: Sequence[Backend]) -> Finding:
    states = Counter(backend.state for backend in mine)
    is_known = any(backend.is_visible for backend in mine)
    return Finding(
        severity=severity,
        kind=kind,
        object=name,
        evidence={
            "used": len(mine),
            "limit": limit,
            "used_ratio": round(len(mine) / max(limit, 1), 3),
            "top_roles": _top(backend.role for backend in mine),
            "top_applications": _top(backend.application for backend in mine) or None,
            "active": states["active"] if is_known else None,
            "idle": states["idle"] if is_known else None,
            "idle_in_transaction": sum(backend.is_in_transaction for backend in mine) or None,
        },
    )


def _top(names: Iterable[str | None]) -> tuple[str, ...]:
    return tuple(f"{name} ({count})" for name, count in Counter(name for name in names if name).most_common(3))


CHECK = Check(needs=(SESSIONS, SETTINGS), likes=(ROLES, DATABASES), judge=judge, limits=Limits())
