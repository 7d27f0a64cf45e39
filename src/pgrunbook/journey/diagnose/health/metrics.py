"""The runbook's key metrics against its targets.  What nobody measured is "cannot tell", never "met"."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

from pgrunbook.journey.diagnose.health.quantile import quantile_ms
from pgrunbook.journey.diagnose.query_texts import statement_costs
from pgrunbook.journey.diagnose.seen import Seen
from pgrunbook.journey.observe.databases import DATABASES, Database
from pgrunbook.journey.observe.host import Host
from pgrunbook.journey.observe.machine import MACHINE
from pgrunbook.journey.observe.processors import PROCESSORS
from pgrunbook.journey.observe.recovery import RECOVERY, WAL_RECEIVER
from pgrunbook.journey.observe.replication import REPLICATION
from pgrunbook.journey.observe.sessions import SESSIONS
from pgrunbook.journey.observe.settings import SETTINGS, by_name
from pgrunbook.journey.workload.costs import Costs
from pgrunbook.model import Basis, NotRead, ServerRole
from pgrunbook.model.health import Mark, Metric
from pgrunbook.report.words import counted, duration

NEEDED = (DATABASES, SESSIONS, SETTINGS, REPLICATION, RECOVERY, WAL_RECEIVER, PROCESSORS, MACHINE)

CALLS_MIN = 20  # fewer make no P95
BLOCKS_MIN = 1000  # fewer make no ratio
WATCH_MIN_S = 1.0  # of the processors; a shorter look shows ourselves
NO_HOST = "the server does not run on this machine, and its kernel's figures are not ours to read"
NO_HOST_CURE = (
    "Name its node exporter, or the metrics endpoint of its Supabase project, as metrics_url in pgrunbook.toml; or ask"
    " on the server's machine, or as a member of pg_read_server_files."
)


@dataclass(frozen=True, slots=True, kw_only=True)
class Targets:
    """The runbook's "Key Metrics to Track"."""

    p95_ms: float = 100.0
    pool_ratio: float = 0.8
    cpu_ratio: float = 0.7
    memory_ratio: float = 0.8
    disk_wait_ratio: float = 0.1
    replication_lag_s: float = 1.0
    cache_hit_ratio: float = 0.95


def metrics(seen: Seen, host: Host | None, targets: Targets) -> tuple[Metric, ...]:
    """All seven, in the runbook's order."""
    made: tuple[tuple[str, str, float, Callable[[], Metric]], ...] = (
        ("p95_ms", "Query response time P95", targets.p95_ms, lambda: _p95(seen, targets)),
        ("pool_ratio", "Connection pool utilization", targets.pool_ratio, lambda: _pool(seen, targets)),
        ("cpu_ratio", "CPU utilization", targets.cpu_ratio, lambda: _cpu(seen, host, targets)),
        ("memory_ratio", "Memory usage", targets.memory_ratio, lambda: _memory(seen, host, targets)),
        ("disk_wait_ratio", "Disk I/O wait", targets.disk_wait_ratio, lambda: _disk(seen, host, targets)),
        ("replication_lag_s", "Replication lag", targets.replication_lag_s, lambda: _lag(seen, targets)),
        ("cache_hit_ratio", "Cache hit ratio", targets.cache_hit_ratio, lambda: _hits(seen, targets)),
    )
    found = []
    for name, title, target, make in made:
        try:
            found.append(make())
        except NotRead as exc:
            unread = exc.unread
            found.append(unknown(name, title, target, unread.reason, unread.cure, is_floor=name == "cache_hit_ratio"))
    return tuple(found)


def unknown(name: str, title: str, target: float, why: str, cure: str = "", *, is_floor: bool = False) -> Metric:
    """A metric that nobody can tell."""
    return Metric(
        name=name, title=title, target=target, value=None, mark=Mark.CANNOT_TELL, is_floor=is_floor, why=why, cure=cure
    )


def _known(
    name: str, title: str, target: float, value: float, source: str, *, basis: Basis = Basis.MEASURED, why: str = ""
) -> Metric:
    return Metric(
        name=name,
        title=title,
        target=target,
        value=value,
        mark=Mark.MET if value < target else Mark.NOT_MET,
        basis=basis,
        source=source,
        why=why,
    )


def _p95(seen: Seen, targets: Targets) -> Metric:
    name, title = "p95_ms", "Query response time P95"
    costs = seen.derived(statement_costs)
    value = quantile_ms(costs.toplevel, 0.95) if costs.calls >= CALLS_MIN else None
    if value is None:
        return unknown(name, title, targets.p95_ms, f"only {counted(costs.calls, 'call')} of statements {_span(costs)}")
    source = (
        f"mean and standard deviation of {counted(len(costs.toplevel), 'statement')}, {counted(costs.calls, 'call')}"
        f" {_span(costs)} (pg_stat_statements); time in the server only"
    )
    return _known(name, title, targets.p95_ms, round(value, 2), source, basis=Basis.ESTIMATED)


def _span(costs: Costs) -> str:
    if costs.is_window:
        return f"in {duration(costs.period_s or 0.0)}"
    age = f"in the {duration(costs.period_s)} since the counters began" if costs.period_s is not None else "in all"
    return f"{age}, cumulative"


def usable_connections(seen: Seen) -> int:
    """Connections that ordinary roles may take."""
    settings = by_name(seen.rows(SETTINGS))
    reserved = ("superuser_reserved_connections", "reserved_connections")  # the latter from 16
    return round(settings["max_connections"].number - sum(settings[n].number for n in reserved if n in settings))


def clients(seen: Seen) -> int:
    """Client sessions of all databases but our own."""
    return sum(backend.is_client and not backend.is_ours for backend in seen.rows(SESSIONS))


def _pool(seen: Seen, targets: Targets) -> Metric:
    used, limit = clients(seen), usable_connections(seen)
    source = f"{counted(used, 'client session')} now of {limit} that max_connections leaves to ordinary roles"
    return _known("pool_ratio", "Connection pool utilization", targets.pool_ratio, used / max(limit, 1), source)


@dataclass(frozen=True, slots=True, kw_only=True)
class _Shares:
    cpu_ratio: float
    disk_wait_ratio: float
    source: str


def _shares(seen: Seen, host: Host | None) -> _Shares | None:
    """What the processors did: as a named exporter or the server's kernel counts it, or else this machine's."""
    named = _shares_of(host) if host is not None and host.is_named else None
    return named or _shares_by_sql(seen) or _shares_of(host)


def _shares_by_sql(seen: Seen) -> _Shares | None:
    rows = seen.rows_or_none(PROCESSORS)
    window = seen.window(PROCESSORS) if rows and seen.snapshot.earlier is not None else None
    if window is not None and window.before:
        before, after = window.before[0], window.after[0]
        busy, idle = after.busy_ticks - before.busy_ticks, after.idle_ticks - before.idle_ticks
        waiting = max(0, after.waiting_ticks - before.waiting_ticks)  # the kernel itself calls it unreliable
        whole = busy + idle + waiting
        if busy >= 0 and idle >= 0 and whole > 0:
            where = f"/proc/stat of the server's machine, {counted(after.cores, 'core')}, {duration(window.seconds)}"
            return _Shares(cpu_ratio=busy / whole, disk_wait_ratio=waiting / whole, source=where)
    return None


def _shares_of(host: Host | None) -> _Shares | None:
    if host is None or host.cpu_ratio is None or host.disk_wait_ratio is None or host.seconds < WATCH_MIN_S:
        return None
    where = f"{host.where}, {counted(host.cores or 1, 'core')}, {duration(host.seconds)}"
    return _Shares(cpu_ratio=host.cpu_ratio, disk_wait_ratio=host.disk_wait_ratio, source=where)


def _no_host(name: str, title: str, target: float, host: Host | None) -> Metric:
    """Nobody can tell; of a named exporter it is said what it answered."""
    if host is not None and host.is_named and host.why:
        return unknown(name, title, target, host.why, host.cure)
    if host is not None and host.seconds < WATCH_MIN_S:
        return unknown(name, title, target, "the look was too short to watch processors", "Watch: --window 10.")
    return unknown(name, title, target, NO_HOST, NO_HOST_CURE)


def _cpu(seen: Seen, host: Host | None, targets: Targets) -> Metric:
    shares = _shares(seen, host)
    if shares is None:
        return _no_host("cpu_ratio", "CPU utilization", targets.cpu_ratio, host)
    value = round(shares.cpu_ratio, 4)
    return _known("cpu_ratio", "CPU utilization", targets.cpu_ratio, value, shares.source)


def _disk(seen: Seen, host: Host | None, targets: Targets) -> Metric:
    shares = _shares(seen, host)
    if shares is None:
        return _no_host("disk_wait_ratio", "Disk I/O wait", targets.disk_wait_ratio, host)
    value = round(shares.disk_wait_ratio, 4)
    return _known("disk_wait_ratio", "Disk I/O wait", targets.disk_wait_ratio, value, shares.source)


def _memory(seen: Seen, host: Host | None, targets: Targets) -> Metric:
    name, title = "memory_ratio", "Memory usage"
    if host is not None and host.is_named and host.memory_ratio is not None:
        return _known(name, title, targets.memory_ratio, round(host.memory_ratio, 4), f"{host.where}, now")
    machine = next(iter(seen.rows_or_none(MACHINE) or ()), None)
    if machine is not None and machine.memory_bytes and machine.available_bytes is not None:
        value = 1 - machine.available_bytes / machine.memory_bytes
        return _known(name, title, targets.memory_ratio, round(value, 4), "/proc/meminfo of the server's machine, now")
    if host is not None and host.memory_ratio is not None:
        return _known(name, title, targets.memory_ratio, round(host.memory_ratio, 4), f"{host.where}, now")
    return _no_host(name, title, targets.memory_ratio, host)


def _lag(seen: Seen, targets: Targets) -> Metric:
    name, title = "replication_lag_s", "Replication lag"
    if seen.server.role is ServerRole.STANDBY:
        return _own_lag(seen, targets)
    standbys = [receiver for receiver in seen.rows(REPLICATION) if receiver.is_standby]
    if not standbys:
        return unknown(name, title, targets.replication_lag_s, "no replica receives this server's WAL")
    lags = []
    for standby in standbys:
        if not standby.lag_bytes:
            lags.append(0.0)
        elif standby.replay_lag_s is not None:
            lags.append(max(standby.replay_lag_s, 0.0))
    if len(lags) < len(standbys):
        why = "a replica is behind, and the server has not measured by how long"
        return unknown(name, title, targets.replication_lag_s, why, "Ask again in ten seconds.")
    source = f"the slowest of {counted(len(standbys), 'replica')}, as the primary measures its replay"
    return _known(name, title, targets.replication_lag_s, round(max(lags), 3), source)


def _own_lag(seen: Seen, targets: Targets) -> Metric:
    name, title = "replication_lag_s", "Replication lag"
    (recovery,) = seen.rows(RECOVERY)
    receiver = next(iter(seen.rows_or_none(WAL_RECEIVER) or ()), None)
    end = receiver.sender_end_position if receiver is not None else None
    if end is None or recovery.replayed_position is None:
        why = "this standby has no connection to the server that it follows: how far that is, it cannot know"
        return unknown(name, title, targets.replication_lag_s, why, "Ask the primary as well.")
    if recovery.replayed_position >= end:
        return _known(name, title, targets.replication_lag_s, 0.0, "this standby has replayed all that it was sent")
    age_s = receiver.sender_end_age_s if receiver is not None else None
    if age_s is None:
        return unknown(name, title, targets.replication_lag_s, "it is behind, and nobody measured by how long")
    return _known(name, title, targets.replication_lag_s, round(age_s, 3), "since the sender's WAL last grew, at least")


def hit_ratio(seen: Seen) -> tuple[float | None, str]:
    """The share of the blocks that were in shared buffers, and what it was reckoned from.

    In a window of the application's own statements, for on a quiet server most blocks would be asked for by us.
    """
    found = _statement_blocks(seen) or _database_blocks(seen)
    if isinstance(found, str):
        return None, found
    hit, read, words = found
    if hit + read < BLOCKS_MIN:
        return None, f"only {counted(hit + read, 'block')} were asked for {words}"
    return hit / (hit + read), f"{counted(hit + read, 'block')} {words}"


def _statement_blocks(seen: Seen) -> tuple[int, int, str] | None:
    """Hits and reads of the application's statements in the window."""
    try:
        costs = seen.derived(statement_costs)
    except NotRead:
        return None
    if not costs.is_window:
        return None
    hit, read = sum(cost.hit_blocks for cost in costs.toplevel), sum(cost.read_blocks for cost in costs.toplevel)
    return hit, read, f"by the application's statements in {duration(costs.period_s or 0.0)} (pg_stat_statements)"


def _database_blocks(seen: Seen) -> tuple[int, int, str] | str:
    """Hits and reads of this database, ours among them; or why they say nothing."""
    now = _own(seen.rows(DATABASES))
    if now is None:
        return "this database is not among the statistics"
    window = seen.window(DATABASES)
    if window is None:
        age_s = now.counters_age_s
        span = f"in the {duration(age_s)} since the counters began, cumulative" if age_s else "in all, cumulative"
        return now.blocks_hit, now.blocks_read, f"{span} (pg_stat_database)"
    before = _own(window.before)
    if before is None or before.blocks_hit > now.blocks_hit or before.blocks_read > now.blocks_read:
        return "the counters were reset between the two readings"
    hit, read = now.blocks_hit - before.blocks_hit, now.blocks_read - before.blocks_read
    return hit, read, f"in {duration(window.seconds)}, our own among them (pg_stat_database)"


def _own(rows: tuple[Database, ...]) -> Database | None:
    return next((row for row in rows if row.is_current), None)


def _hits(seen: Seen, targets: Targets) -> Metric:
    name, title, target = "cache_hit_ratio", "Cache hit ratio", targets.cache_hit_ratio
    ratio, source = hit_ratio(seen)
    if ratio is None:
        return unknown(name, title, target, source, "Ask while the application works, or for longer.", is_floor=True)
    mark = Mark.MET if ratio > target else Mark.NOT_MET
    return Metric(name=name, title=title, target=target, value=round(ratio, 4), mark=mark, is_floor=True, source=source)
