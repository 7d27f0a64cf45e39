"""Autovacuum of the whole server: on, fast enough, often enough, with enough workers.  Tables: `advise vacuum`.

Evidence: tables past their triggers although it is on, workers that are all busy, and what its cost limit lets it do.
"""

from __future__ import annotations

from collections.abc import Iterator

from pgrunbook.journey.advise.given import Storage
from pgrunbook.journey.advise.settings.look import PAGE_BYTES, Look, Word
from pgrunbook.journey.diagnose.autovacuum import Upkeep, nap_s, upkeep
from pgrunbook.journey.observe.sessions import SESSIONS
from pgrunbook.model import Blind, NotRead, ServerRole, quote
from pgrunbook.model.counsel import Ground
from pgrunbook.report.words import counted, duration, figure

AREA = "Autovacuum"
DEFAULT_DELAY_S = 0.002  # since version 12; 20 ms before
DEFAULT_LIMIT = 200.0
LATE_FACTOR = 1.5
LATE_ROWS = 1000
NAP_MAX_S = 300.0
LIMIT_ON_HDD = 400.0
LIMIT_ELSEWHERE = 1000.0


def judge(look: Look) -> Iterator[Word]:
    """Everything that counts for all tables together."""
    if look.seen.server.role is ServerRole.STANDBY:
        yield Blind(reason="a standby does not vacuum", cure="Ask the primary.")
        return
    for name, words in (
        ("autovacuum", "Nobody removes dead rows, gathers statistics and keeps transaction numbers from running out."),
        ("track_counts", "Nobody counts dead rows, so that autovacuum never knows when to come."),
    ):
        if not look.settings[name].is_on:
            yield look.propose(
                AREA, name, "on", reason=words, effect="tables are kept by themselves again", ground=Ground.RULE
            )
    if not look.settings["autovacuum"].is_on:
        return
    try:
        late = [table for table in look.seen.derived(upkeep) if _is_late(table)]
    except NotRead as exc:
        yield Blind(reason=f"whether autovacuum keeps up cannot be told: {exc.unread.reason}", cure=exc.unread.cure)
        return
    yield from _naptime(look)
    yield from _workers(look, late)
    yield from _speed(look, late)


def _is_late(table: Upkeep) -> bool:
    dead = table.activity.dead_rows
    return table.is_enabled and dead >= LATE_ROWS and dead > LATE_FACTOR * table.vacuum_trigger_rows


def _naptime(look: Look) -> Iterator[Word]:
    name, now = "autovacuum_naptime", nap_s(look.seen)
    if now > NAP_MAX_S:
        yield look.propose(
            AREA,
            name,
            "1min",
            reason=f"It comes to each database every {duration(now)}: what dies meanwhile lies there whatever the"
            " triggers of the tables say.",
            effect=f"a table past its trigger waits for 1 min at most, not for {duration(now)}",
            ground=Ground.RULE,
        )
    else:
        yield look.keep(AREA, name, "a table past its trigger does not wait long")


def _workers(look: Look, late: list[Upkeep]) -> Iterator[Word]:
    name, most = "autovacuum_max_workers", round(look.number("autovacuum_max_workers"))
    sessions = look.seen.rows_or_none(SESSIONS) or ()
    if not any(s.is_visible and not s.is_client for s in sessions):
        yield Blind(reason="how busy autovacuum's workers are is not shown to this role", cure=_grant(look))
        return
    busy = sum(session.backend_type == "autovacuum worker" for session in sessions)
    if busy < most or len(late) < max(2, most):
        yield look.keep(AREA, name, f"{busy} of {most} at work now, {_late_words(late)}")
        return
    slots = look.settings.get("autovacuum_worker_slots")  # from 18: no restart within them
    value = most * 2 if slots is None else min(most * 2, round(slots.number))
    if value <= most:
        yield look.keep(AREA, name, f"all {most} at work, and autovacuum_worker_slots allows no more without a restart")
        return
    yield look.propose(
        AREA,
        name,
        str(value),
        reason=f"All {most} workers are at work while {_late_words(late)}.",
        effect=f"{value} tables at a time; they share one cost limit, so raise that, too",
        ground=Ground.EVIDENCE,
        busy_workers=busy,
        late_tables=len(late),
    )


def _grant(look: Look) -> str:
    return f"GRANT pg_read_all_stats TO {quote(look.seen.server.user)};"


def _late_words(late: list[Upkeep]) -> str:
    if not late:
        return "no table is past its trigger"
    dead = sum(table.activity.dead_rows for table in late)
    verb = "is" if len(late) == 1 else "are"
    return f"{counted(len(late), 'table')} {verb} past the trigger with {counted(dead, 'dead row')}"


def _speed(look: Look, late: list[Upkeep]) -> Iterator[Word]:
    """How much its cost limit lets it write when each page that it touches becomes dirty."""
    delay = _own_or(look, "autovacuum_vacuum_cost_delay", "vacuum_cost_delay")
    limit = _own_or(look, "autovacuum_vacuum_cost_limit", "vacuum_cost_limit") or DEFAULT_LIMIT
    dirty = look.number("vacuum_cost_page_dirty")
    if delay <= 0 or dirty <= 0:
        yield look.keep(AREA, "autovacuum_vacuum_cost_delay", "nothing holds it back")
        return
    rate = limit / dirty * PAGE_BYTES / delay
    if delay > 2 * DEFAULT_DELAY_S:
        yield look.propose(
            AREA,
            "autovacuum_vacuum_cost_delay",
            "2ms",
            reason=f"It rests {duration(delay)} after each {limit:.0f} points of cost, so that all workers together may"
            f" write {figure('_bytes_per_s', rate)}; since version 12 the default is 2 ms.",
            effect=f"up to {figure('_bytes_per_s', rate * delay / DEFAULT_DELAY_S)}",
            ground=Ground.RULE,
            write_bytes_per_s=round(rate),
        )
        return
    name = "autovacuum_vacuum_cost_limit"
    wanted = LIMIT_ON_HDD if look.machine.storage is Storage.HDD else LIMIT_ELSEWHERE
    if not late or limit >= wanted:
        yield look.keep(AREA, name, f"{_late_words(late)}; it may write {figure('_bytes_per_s', rate)}")
        return
    yield look.propose(
        AREA,
        name,
        f"{wanted:.0f}",
        reason=f"{_late_words(late)[0].upper()}{_late_words(late)[1:]}, and all workers together may write only"
        f" {figure('_bytes_per_s', rate)}.",
        effect=f"up to {figure('_bytes_per_s', rate * wanted / limit)}: a table is done in"
        f" {figure('_ratio', limit / wanted)} of the time",
        ground=Ground.EVIDENCE,
        risk="More reading and writing beside the application." if look.machine.storage is not Storage.SSD else "",
        late_tables=len(late),
        write_bytes_per_s=round(rate),
    )


def _own_or(look: Look, own: str, general: str) -> float:
    """Autovacuum's own value, or VACUUM's where it says -1."""
    value = look.number(own)
    return value if value >= 0 else look.number(general)
