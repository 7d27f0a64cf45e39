"""Connection pools: sizes from what clients really hold, the mode that their statements allow, and a pgbouncer.ini.

In: a snapshot with `QUESTIONS`, best of some seconds under load, so that its sessions were counted many times.  Out: a
Counsel with the file as a fragment.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from typing import Any

from pgrunbook.journey.advise.given import Given
from pgrunbook.journey.advise.machine import machine_of
from pgrunbook.journey.advise.pool import words
from pgrunbook.journey.advise.pool.demand import Demand, demands, others, transactions
from pgrunbook.journey.advise.pool.features import Feature, features
from pgrunbook.journey.advise.pool.ini import ini
from pgrunbook.journey.advise.pool.sizing import SESSION, Room, Sizes, sizes
from pgrunbook.journey.advise.span import period_words, unread_blind
from pgrunbook.journey.diagnose.autovacuum import settings_of
from pgrunbook.journey.diagnose.engine import choose, judge, questions_of
from pgrunbook.journey.diagnose.seen import Seen
from pgrunbook.journey.observe.databases import DATABASES
from pgrunbook.journey.observe.locks import ADVISORY_LOCKS
from pgrunbook.journey.observe.machine import MACHINE
from pgrunbook.journey.observe.processors import PROCESSORS
from pgrunbook.journey.observe.roles import ROLES
from pgrunbook.journey.observe.session_tally import SESSION_TALLY, TEMP_TABLES
from pgrunbook.journey.observe.sessions import SESSIONS
from pgrunbook.journey.observe.settings import SETTINGS
from pgrunbook.journey.observe.statements import STATEMENTS, STATEMENTS_INFO
from pgrunbook.model import Blind, NotRead, Question, Service, quote
from pgrunbook.model.counsel import Counsel, Fragment, Ground, Input, Kept, Proposal, Takes
from pgrunbook.model.diagnosis import Diagnosis
from pgrunbook.report.words import counted, duration, number

LIMITS = "Time limits"
_CHECKS = ("missing_timeouts",)
QUESTIONS: tuple[Question[Any], ...] = tuple(
    dict.fromkeys(
        (
            SESSION_TALLY,
            SETTINGS,
            ROLES,
            DATABASES,
            SESSIONS,
            STATEMENTS,
            STATEMENTS_INFO,
            ADVISORY_LOCKS,
            TEMP_TABLES,
            MACHINE,
            PROCESSORS,
            *questions_of(choose(only=_CHECKS)),
        )
    )
)
_UNDER_LOAD = "Ask again under the usual load, with --window 60."


def advise_pool(seen: Seen, given: Given) -> Counsel:
    """Sizes, mode, the application's own pools, and time limits."""
    machine, diagnosis = machine_of(seen, given), judge(seen.snapshot, choose(only=_CHECKS))
    blind = [spot for spot in machine.unknown if "cores" in spot.reason]
    found, done = demands(seen), transactions(seen)
    habits = features(seen)
    room = _room(seen)
    modes = {feature.role: SESSION for feature in habits}
    sized = sizes(
        found,
        room,
        cores=machine.cores,
        hold_ratio=done.hold_ratio if done is not None else 1.0,
        limits=_limits(seen, found),
        modes=modes,
    )
    blind += _unseen(seen, found)
    blind += unread_blind(seen, STATEMENTS, "whether statements need a session of their own is not known")
    proposals = [words.pool(one, sized) for one in sized.pools]
    proposals += [words.mode(role, mine, given.pooler_version) for role, mine in _by_role(habits).items()]
    side = list(words.client_side(given, sized, room))
    proposals += [word for word in side if isinstance(word, Proposal)]
    proposals += _time_limits(diagnosis)
    kept = [words.server(sized, _peak(seen)), *(word for word in side if isinstance(word, Kept))]
    return Counsel(
        topic="pool",
        server=seen.server,
        taken_at=seen.at,
        duration_s=seen.snapshot.duration_s,
        period=period_words(seen),
        inputs=tuple(_inputs(seen, given, sized, machine.inputs)),
        proposals=tuple(proposals),
        kept=tuple(kept),
        blind=(*blind, *diagnosis.blind),
        notes=tuple(_notes(seen, given)),
        fragments=_fragments(seen, given, sized),
    )


def _room(seen: Seen) -> Room:
    settings = seen.derived(settings_of)
    reserved = ("superuser_reserved_connections", "reserved_connections")  # the latter from 16
    return Room(
        max_connections=round(settings["max_connections"].number),
        reserved=round(sum(settings[name].number for name in reserved if name in settings)),
        outside=sum(demand.sessions_max for demand in others(seen)),
    )


def _limits(seen: Seen, found: tuple[Demand, ...]) -> Mapping[tuple[str, str], int]:
    """The tightest connection limit of each pool: its role's, its database's."""
    roles = {role.name: role.connection_limit for role in seen.rows_or_none(ROLES) or ()}
    databases = {row.name: row.connection_limit for row in seen.rows_or_none(DATABASES) or ()}
    limits = {}
    for demand in found:
        known = [n for n in (roles.get(demand.role, -1), databases.get(demand.database, -1)) if n >= 0]
        if known:
            limits[demand.database, demand.role] = min(known)
    return limits


def _unseen(seen: Seen, found: tuple[Demand, ...]) -> Iterator[Blind]:
    if not found:
        yield Blind(
            reason="no session of an application was there to be measured, so no pool is sized", cure=_UNDER_LOAD
        )
        return
    hidden = sum(demand.unseen for demand in found)
    if hidden:
        yield Blind(
            reason=f"what {counted(hidden, 'session')} of other roles do is not shown to this role, so that"
            " they count as"
            " idle",
            cure=f"GRANT pg_read_all_stats TO {quote(seen.server.user)};",
        )
    samples = found[0].samples
    if samples < words.FEW_SAMPLES:
        yield Blind(
            reason=f"sessions were counted {counted(samples, 'time')} only: a moment, no measure", cure=_UNDER_LOAD
        )
    elif not any(demand.busy_max for demand in found):
        yield Blind(
            reason="no session held a transaction at any moment: the sizes are the least there are", cure=_UNDER_LOAD
        )


def _by_role(found: tuple[Feature, ...]) -> Mapping[str, list[Feature]]:
    by_role: dict[str, list[Feature]] = {}
    for feature in found:
        by_role.setdefault(feature.role, []).append(feature)
    return by_role


def _peak(seen: Seen) -> int:
    return sum(demand.sessions_max for demand in (*demands(seen), *others(seen)))


def _time_limits(diagnosis: Diagnosis) -> list[Proposal]:
    """Behind a pooler a limit that is sent at start-up is lost: it must be the role's own."""
    return [
        Proposal(
            area=LIMITS,
            kind=finding.kind,
            object=finding.object,
            title=finding.advice[0].title if finding.advice else finding.title,
            current="no limit",
            proposed="the role's own limits",
            reason=f"{finding.detail}  A limit that a client sends at start-up is refused or lost behind a transaction"
            " pooler.",
            effect="a statement without end gives its connection back",
            takes=Takes.NEW_SESSIONS,
            ground=Ground.RULE,
            evidence=finding.evidence,
            advice=finding.advice,
        )
        for finding in diagnosis.findings
    ]


def _inputs(seen: Seen, given: Given, sized: Sizes, machine: tuple[Input, ...]) -> Iterator[Input]:
    room = sized.room
    yield Input(
        name="max_connections",
        value=str(room.max_connections),
        source=f"{room.reserved} reserved, {room.usable} for ordinary roles",
    )
    yield from (line for line in machine if line.name == "cores")
    done = transactions(seen)
    if done is not None:
        yield Input(
            name="at work",
            value=f"{done.active:.2f} sessions",
            source=f"on average {done.span.words}, by the database's own clock",
        )
        if done.mean_s is not None and done.per_s is not None:
            per_s = number(round(done.per_s, 1))
            source = f"holds a connection on average {done.span.words}, at {per_s} transactions/s"
            yield Input(name="transaction", value=duration(done.mean_s), source=source)
    if given.instances is not None:
        each = f" of {given.client_pool_size}" if given.client_pool_size is not None else ""
        yield Input(name="application", value=f"{counted(given.instances, 'instance')}{each}", source="--instances")


def _notes(seen: Seen, given: Given) -> Iterator[str]:
    yield words.prepared_note(given.pooler_version)
    if seen.server.service is Service.SUPABASE:
        yield (
            "Supabase runs a pooler of its own (Supavisor): its pool size is set in the project's database"
            " settings, and"
            " the file is for a PgBouncer of yours."
        )
    try:
        (temp,) = seen.rows(TEMP_TABLES)
    except NotRead:
        return
    if temp.tables:
        yield (
            f"{counted(temp.tables, 'temporary table')} of {counted(temp.schemas, 'session')} are in this database: in"
            " transaction mode they must be made ON COMMIT DROP."
        )


def _fragments(seen: Seen, given: Given, sized: Sizes) -> tuple[Fragment, ...]:
    if not sized.pools:
        return ()
    clients = None
    if given.instances is not None and given.client_pool_size is not None:
        clients = given.instances * given.client_pool_size
    address = given.address if not seen.server.through_pooler else ""
    return (
        Fragment(name="pgbouncer.ini", text=ini(sized, address=address, clients=clients, version=given.pooler_version)),
    )
