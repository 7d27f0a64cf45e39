"""Autovacuum that cannot keep up.

Asks:    are all workers busy while tables past their trigger wait; or is it throttled or sent to sleep by its settings?
Unit:    waiting_tables; write_bytes_per_s that its cost limit allows; naptime_s.
Source:  pg_stat_activity (autovacuum workers), pg_stat_progress_vacuum, pg_stat_user_tables, pg_settings.
Blind:   workers without pg_read_all_stats; on a standby.
Says:    All {workers} workers have been busy for {busy_s} while {waiting_tables} tables past their trigger wait.
         Its cost limit lets it write {write_bytes_per_s}.  It comes every {naptime_s}.
Section: Maintenance Operations
Leads:   ALTER SYSTEM SET autovacuum_max_workers, autovacuum_vacuum_cost_limit, autovacuum_naptime
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass

from pgrunbook.journey.diagnose import mending
from pgrunbook.journey.diagnose.autovacuum import NEEDS, Upkeep, is_running, nap_s, standby_blind, upkeep
from pgrunbook.journey.diagnose.check import Check
from pgrunbook.journey.diagnose.seen import Seen
from pgrunbook.journey.diagnose.sessions import hidden_blind
from pgrunbook.journey.observe.sessions import SESSIONS
from pgrunbook.journey.observe.settings import SETTINGS, Setting, by_name
from pgrunbook.journey.observe.vacuum_progress import VACUUM_PROGRESS
from pgrunbook.model import Advice, Finding, Kind, Severity, Value, Verdict

PAGE_BYTES = 8192
DEFAULT_COST_LIMIT = 200.0  # vacuum_cost_limit, which -1 stands for


@dataclass(frozen=True, slots=True, kw_only=True)
class Limits:
    """When it starves.

    Tables wait in vain when every worker has been at its work for a nap (`min_busy_s` at least) and there are as many
    waiting tables as workers, two at least, with `min_rows` dead rows each.  `write_bytes_per_s`: the defaults allow
    40 MB/s, those before 12 4 MB/s; a table of 10 GB takes five hours at half a megabyte.  `naptime_s`: an hour, sixty
    times the default, lets dead rows of an hour pile up whatever the triggers say.
    """

    min_busy_s: float = 5.0
    min_rows: int = 1000
    trigger_factor: float = 1.2
    write_bytes_per_s: float = 512 * 1024.0
    naptime_s: float = 3600.0


def judge(seen: Seen, limits: Limits) -> Iterator[Verdict]:
    """One finding about the server, with every cause.  Switched off is another check's."""
    if (blind := standby_blind(seen)) is not None:
        yield blind
        return
    if not is_running(seen):
        return
    settings = by_name(seen.rows(SETTINGS))
    evidence: dict[str, Value] = {}
    advice: list[Advice] = []
    _throttled(settings, limits, evidence, advice)
    if nap_s(seen) >= limits.naptime_s:
        evidence["naptime_s"] = nap_s(seen)
        advice.append(mending.set_system(settings["autovacuum_naptime"], "1min"))
    if (blind := hidden_blind(seen)) is not None:
        yield blind
    else:
        _busy(seen, settings, limits, evidence, advice)
    if evidence:
        yield Finding(
            severity=Severity.WARNING, kind=Kind.SERVER, object="server", evidence=evidence, advice=tuple(advice)
        )


def _throttled(
    settings: Mapping[str, Setting], limits: Limits, evidence: dict[str, Value], advice: list[Advice]
) -> None:
    """How much a worker may write when every page it touches becomes dirty; all workers share this."""
    delay_s = _own_or(settings, "autovacuum_vacuum_cost_delay", "vacuum_cost_delay")
    limit = _own_or(settings, "autovacuum_vacuum_cost_limit", "vacuum_cost_limit") or DEFAULT_COST_LIMIT
    dirty = settings["vacuum_cost_page_dirty"].number
    if delay_s <= 0 or dirty <= 0:
        return
    write_bytes_per_s = limit / dirty * PAGE_BYTES / delay_s
    if write_bytes_per_s < limits.write_bytes_per_s:
        evidence["write_bytes_per_s"] = round(write_bytes_per_s)
        if settings["autovacuum_vacuum_cost_delay"].number != 0.002:
            advice.append(mending.set_system(settings["autovacuum_vacuum_cost_delay"], "2ms"))
        if 0 < settings["autovacuum_vacuum_cost_limit"].number < DEFAULT_COST_LIMIT:
            advice.append(mending.set_system(settings["autovacuum_vacuum_cost_limit"], f"{DEFAULT_COST_LIMIT:.0f}"))


def _own_or(settings: Mapping[str, Setting], own: str, general: str) -> float:
    """Autovacuum's own value, or VACUUM's where it says -1."""
    value = settings[own].number
    return value if value >= 0 else settings[general].number


def _busy(
    seen: Seen, settings: Mapping[str, Setting], limits: Limits, evidence: dict[str, Value], advice: list[Advice]
) -> None:
    workers = [backend for backend in seen.rows(SESSIONS) if backend.backend_type == "autovacuum worker"]
    most = round(settings["autovacuum_max_workers"].number)
    busy_s = min((backend.transaction_age_s or backend.backend_age_s or 0.0 for backend in workers), default=0.0)
    if len(workers) < most or busy_s < max(limits.min_busy_s, nap_s(seen)):
        return
    in_work = {row.table_oid for row in seen.rows_or_none(VACUUM_PROGRESS) or ()}
    waiting = [table for table in seen.derived(upkeep) if _waits(table, limits) and table.relation.oid not in in_work]
    if len(waiting) >= max(2, most):
        evidence |= {"workers": most, "busy_s": round(busy_s, 1), "waiting_tables": len(waiting)}
        evidence["waiting"] = tuple(table.relation.qualified for table in waiting[:10])
        advice.append(mending.set_system(settings["autovacuum_max_workers"], str(most * 2)))


def _waits(table: Upkeep, limits: Limits) -> bool:
    dead = table.activity.dead_rows
    return table.is_enabled and dead >= limits.min_rows and dead > limits.trigger_factor * table.vacuum_trigger_rows


CHECK = Check(needs=(*NEEDS, SESSIONS), likes=(VACUUM_PROGRESS,), judge=judge, limits=Limits())
