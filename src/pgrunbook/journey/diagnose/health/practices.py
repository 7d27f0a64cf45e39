"""The runbook's ten best practices: met, not met or cannot tell, each with what the database shows of it."""

from __future__ import annotations

import re
from collections.abc import Collection, Iterator, Sequence
from dataclasses import dataclass

from pgrunbook.journey.diagnose.check import all_checks
from pgrunbook.journey.diagnose.health.metrics import CALLS_MIN
from pgrunbook.journey.diagnose.query_texts import statement_costs
from pgrunbook.journey.diagnose.seen import Seen
from pgrunbook.journey.observe.archiver import ARCHIVER
from pgrunbook.journey.observe.databases import DATABASES
from pgrunbook.journey.observe.replication import REPLICATION
from pgrunbook.journey.observe.sessions import SESSIONS
from pgrunbook.model import Finding, NotRead, ServerRole, Severity
from pgrunbook.model.diagnosis import Diagnosis
from pgrunbook.model.health import Mark, Metric, Practice
from pgrunbook.report.words import counted, duration

NEEDED = (ARCHIVER, DATABASES, REPLICATION, SESSIONS)

POOLED_SESSION_S = 60.0  # a pooled connection lives for minutes …
POOLED_TRANSACTIONS = 100.0  # … and runs transaction after transaction
STALE_ARCHIVE_S = 86400.0
# What programs that watch databases call themselves.
_WATCHERS = re.compile(
    r"pgwatch|postgres_exporter|pg_exporter|pganalyze|datadog|pghero|powa|zabbix|telegraf|newrelic|netdata|prometheus"
    r"|grafana|check_postgres|pgmonitor|pgcenter|temboard|pmm|pgrunbook/watch",
    re.IGNORECASE,
)
_POOLERS = re.compile(r"pgbouncer|pgcat|odyssey|supavisor|pgpool", re.IGNORECASE)
_UNSEEN_IN_APPLICATION = "it is in the application, which the database does not see"


@dataclass(frozen=True, slots=True, kw_only=True)
class _Card:
    """What a practice is judged by."""

    mark: Mark
    evidence: str
    cure: str = ""


@dataclass(frozen=True, slots=True, kw_only=True)
class Around:
    """What is known beside the database: the diagnosis, the metrics, and how many changes the journal holds."""

    diagnosis: Diagnosis
    metrics: tuple[Metric, ...]
    journalled: int | None


def practices(seen: Seen, around: Around) -> tuple[Practice, ...]:
    """All ten, in the runbook's order."""
    judged = (
        ("Monitor continuously", "Set up alerts before issues occur", _monitored),
        ("Index strategically", "Don't over-index, maintain regularly", _indexed),
        ("Pool connections", "Never connect directly from application", _pooled),
        ("Cache aggressively", "Reduce database load with Redis", _cached),
        ("Optimize queries", "Profile and improve slow queries", _optimized),
        ("Plan capacity", "Scale before hitting limits", _planned),
        ("Backup regularly", "Test restore procedures", _backed_up),
        ("Document changes", "Track all optimizations", _documented),
        ("Use read replicas", "Distribute read load", _replicated),
        ("Implement circuit breakers", "Fail fast when overloaded", _broken_off),
    )
    made = []
    for number, (title, advice, judge) in enumerate(judged, start=1):
        try:
            card = judge(seen, around)
        except NotRead as exc:
            card = _Card(mark=Mark.CANNOT_TELL, evidence=exc.unread.reason, cure=exc.unread.cure)
        made.append(
            Practice(number=number, title=title, advice=advice, mark=card.mark, evidence=card.evidence, cure=card.cure)
        )
    return tuple(made)


def _monitored(seen: Seen, around: Around) -> _Card:
    uncounted = _findings(around, {"no_query_statistics"})
    if uncounted:
        return _Card(mark=Mark.NOT_MET, evidence="nobody counts what queries cost", cure=uncounted[0].advice[0].sql)
    watchers = sorted({b.application or "" for b in seen.rows(SESSIONS) if _WATCHERS.search(b.application or "")})
    if watchers:
        return _Card(mark=Mark.MET, evidence=f"connected now: {', '.join(watchers)}; queries are counted")
    counts = "queries are counted" if seen.server.has_extension("pg_stat_statements") else "queries are not counted"
    return _Card(
        mark=Mark.CANNOT_TELL,
        evidence=f"{counts}, but no program that watches is connected at this moment; alerts live outside the database",
    )


def _indexed(seen: Seen, around: Around) -> _Card:  # noqa: ARG001 - judged by the findings alone
    return _by_findings(around, {"index"}, "indexes")


def _optimized(seen: Seen, around: Around) -> _Card:
    card = _by_findings(around, {"query"}, "queries")
    calls = seen.derived(statement_costs).calls
    if card.mark is Mark.MET and calls < CALLS_MIN:
        return _Card(mark=Mark.CANNOT_TELL, evidence=f"only {counted(calls, 'call')} of statements were seen")
    return card


def _by_findings(around: Around, families: Collection[str], what: str) -> _Card:
    """Not met with a warning; met when the checks looked and found none; else cannot tell."""
    names = {named.name for named in all_checks().values() if named.family in families}
    found = _findings(around, names)
    if found:
        checks = sorted({finding.check for finding in found})
        words = f"{counted(len(found), 'warning')}: {', '.join(checks)}"
        return _Card(mark=Mark.NOT_MET, evidence=words, cure=f"pgrunbook advise {what}")
    unseen = [blind for blind in around.diagnosis.blind if blind.check in names and blind.object is None]
    blinded = {blind.check for blind in unseen} - {"high_planning_time"}  # measured only where somebody asked for it
    looked = names & set(around.diagnosis.ok)
    if blinded or not looked:
        reason = next((blind for blind in unseen if blind.check in blinded), None)
        return _Card(
            mark=Mark.CANNOT_TELL,
            evidence=reason.reason if reason is not None else "no check of them could look",
            cure=reason.cure if reason is not None else "",
        )
    return _Card(mark=Mark.MET, evidence=f"{counted(len(looked), 'check')} looked and found nothing to warn of")


def _findings(around: Around, names: Collection[str]) -> list[Finding]:
    return [f for f in around.diagnosis.findings if f.check in names and f.severity is not Severity.NOTICE]


def _pooled(seen: Seen, around: Around) -> _Card:
    churn = _findings(around, {"connection_churn", "connection_saturation"})
    if churn:
        return _Card(mark=Mark.NOT_MET, evidence=churn[0].detail, cure="pgrunbook advise sessions")
    if seen.server.through_pooler:
        return _Card(mark=Mark.MET, evidence="this very connection came through a pooler")
    poolers = sorted({b.application or "" for b in seen.rows(SESSIONS) if _POOLERS.search(b.application or "")})
    if poolers:
        return _Card(mark=Mark.MET, evidence=f"connected now: {', '.join(poolers)}")
    row = next((row for row in seen.rows(DATABASES) if row.is_current), None)
    if row is None or row.sessions < 1:
        return _Card(mark=Mark.CANNOT_TELL, evidence="no session of an application has ended yet")
    each, life_s = (row.commits + row.rollbacks) / row.sessions, row.session_time_s / row.sessions
    words = f"{counted(row.sessions, 'session')} so far ran {each:.1f} transactions in {duration(life_s)} on average"
    if each >= POOLED_TRANSACTIONS and life_s >= POOLED_SESSION_S:
        return _Card(mark=Mark.MET, evidence=f"{words}: they are kept and used again")
    return _Card(mark=Mark.CANNOT_TELL, evidence=f"{words}; whether a pool stands between, the database does not see")


def _cached(seen: Seen, around: Around) -> _Card:  # noqa: ARG001 - judged by the findings alone
    repeated = {"dominant_query", "repeated_query", "materialized_view_candidate"}
    found = [finding for finding in around.diagnosis.findings if finding.check in repeated]
    if found:
        words = f"the database answers the same again and again: {', '.join(sorted({f.check for f in found}))}"
        return _Card(mark=Mark.NOT_MET, evidence=words, cure="pgrunbook advise queries")
    return _Card(
        mark=Mark.CANNOT_TELL, evidence=f"no query asks to be cached; a cache cannot be seen: {_UNSEEN_IN_APPLICATION}"
    )


def _planned(seen: Seen, around: Around) -> _Card:  # noqa: ARG001 - judged by the metrics
    wanted = ("pool_ratio", "cpu_ratio", "memory_ratio", "disk_wait_ratio")
    used = [metric for metric in around.metrics if metric.name in wanted]
    over = [metric.title for metric in used if metric.mark is Mark.NOT_MET]
    if over:
        return _Card(mark=Mark.NOT_MET, evidence=f"above its target: {', '.join(over)}")
    unseen = [metric for metric in used if metric.mark is Mark.CANNOT_TELL]
    if unseen:
        names = ", ".join(metric.title for metric in unseen)
        return _Card(mark=Mark.CANNOT_TELL, evidence=f"not known: {names}", cure=unseen[0].cure)
    return _Card(mark=Mark.MET, evidence="connections, processors, memory and disks are all below their targets")


def _backed_up(seen: Seen, around: Around) -> _Card:
    broken = _findings(around, {"archiver_failing", "archiver_suspicious"})
    if broken:
        return _Card(mark=Mark.NOT_MET, evidence=broken[0].detail, cure="pgrunbook diagnose --only replication")
    (archiver,) = seen.rows(ARCHIVER)
    if not archiver.is_at_work:
        why = f"WAL is not archived here (archive_mode = {archiver.mode}); whether dumps are made, it does not know"
        return _Card(mark=Mark.CANNOT_TELL, evidence=why)
    age_s = archiver.last_archived_age_s
    if age_s is None:
        return _Card(mark=Mark.CANNOT_TELL, evidence="WAL is to be archived, but no segment has been yet")
    words = f"the last WAL segment was archived {duration(age_s)} ago; that restores are tested, nobody can see here"
    if age_s > STALE_ARCHIVE_S and archiver.segments_behind:
        return _Card(mark=Mark.NOT_MET, evidence=words)
    return _Card(mark=Mark.MET, evidence=words)


def _documented(seen: Seen, around: Around) -> _Card:  # noqa: ARG001 - the journal is no matter of the server
    if around.journalled:
        words = f"the journal of this database holds {counted(around.journalled, 'change')}"
        return _Card(mark=Mark.MET, evidence=words, cure="pgrunbook journal export")
    return _Card(
        mark=Mark.CANNOT_TELL,
        evidence="the journal on this machine holds no change of this database; others may be written down elsewhere",
    )


def _replicated(seen: Seen, around: Around) -> _Card:  # noqa: ARG001 - the server knows
    if seen.server.role is ServerRole.STANDBY:
        return _Card(mark=Mark.MET, evidence="this server is a replica, and it can be read from")
    standbys = [receiver for receiver in seen.rows(REPLICATION) if receiver.is_standby]
    if not standbys:
        return _Card(mark=Mark.NOT_MET, evidence="no replica receives this server's WAL")
    names = ", ".join(sorted({standby.application_name for standby in standbys}))
    return _Card(
        mark=Mark.MET,
        evidence=f"{counted(len(standbys), 'replica')} connected ({names}); whether reads go there, ask the replica",
    )


def _broken_off(seen: Seen, around: Around) -> _Card:  # noqa: ARG001 - judged by the findings
    found = [finding for finding in around.diagnosis.findings if finding.check == "missing_timeouts"]
    if found:
        names = ", ".join(_some([finding.object for finding in found]))
        words = f"nothing ends a statement that takes too long: no timeouts for {names}"
        return _Card(mark=Mark.NOT_MET, evidence=words, cure=found[0].advice[0].sql if found[0].advice else "")
    blind = next((blind for blind in around.diagnosis.blind if blind.check == "missing_timeouts"), None)
    if blind is not None:
        return _Card(mark=Mark.CANNOT_TELL, evidence=blind.reason, cure=blind.cure)
    return _Card(
        mark=Mark.CANNOT_TELL,
        evidence=f"timeouts are set where they are needed; a circuit breaker cannot be seen: {_UNSEEN_IN_APPLICATION}",
    )


def _some(names: Sequence[str], most: int = 3) -> Iterator[str]:
    yield from names[:most]
    if len(names) > most:
        yield f"{len(names) - most} more"
