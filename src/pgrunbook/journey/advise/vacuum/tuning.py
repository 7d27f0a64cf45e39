"""Per-table autovacuum settings from real write rates: triggers so that a visit comes about every N hours.

What a visit costs grows with the table and its indexes, what it brings with the dead rows.  So a trigger is never less
than a hundredth of the rows (a visit for less reads the indexes for nothing), and never more than a tenth of them or a
gigabyte.  A trigger that follows from the rate is a plain number of rows, as a table that grows is not written faster.
"""

from __future__ import annotations

import math
from collections.abc import Iterator, Mapping
from dataclasses import dataclass

from pgrunbook.journey.advise.vacuum.rates import Rates
from pgrunbook.journey.diagnose import mending
from pgrunbook.journey.observe.settings import Setting
from pgrunbook.model import Kind, Value
from pgrunbook.model.counsel import Ground, Kept, Proposal, Takes
from pgrunbook.report.words import counted, duration, figure, number, size

AREA = "Autovacuum settings"
GB = 1024**3
PAGE_BYTES = 8192
ROWS_MIN = 10_000  # a smaller table is vacuumed in a moment, whenever
FLOOR_ROWS = 1000
LEAST_SHARE = 0.01
MOST_SHARE = 0.1
LATE_FACTOR = 2.0
EAGER_FACTOR = 4.0
LONGEST_S = 30 * 86400.0  # what gathers more slowly is no matter for settings
INSERT_SHARE_MAX = 0.2
BUSY_SHARE = 0.25  # of the time between two visits that a visit may take
LIMIT_MAX = 5000.0
PAGE_READ_COST = 2.0
_SCALE, _THRESHOLD = "scale_factor", "threshold"


@dataclass(frozen=True, slots=True, kw_only=True)
class Trigger:
    """threshold + scale × rows."""

    threshold: int
    scale: float

    def rows(self, of: float) -> float:
        """At how many rows it fires."""
        return self.threshold + self.scale * of

    def options(self, prefix: str) -> dict[str, str]:
        """As storage parameters."""
        return {f"{prefix}_{_THRESHOLD}": str(self.threshold), f"{prefix}_{_SCALE}": f"{self.scale:g}"}


def trigger(per_s: float, every_s: float, rows: float, row_bytes: float) -> Trigger:
    """The trigger that fires every so often at this rate, within what a visit is worth.

    >>> trigger(1.0, 21_600, 1_000_000, 100)
    Trigger(threshold=22000, scale=0.0)
    >>> trigger(0.001, 21_600, 1_000_000, 100), trigger(100.0, 21_600, 1_000_000, 100)
    (Trigger(threshold=1000, scale=0.01), Trigger(threshold=1000, scale=0.1))
    """
    wanted = per_s * every_s
    by_size = GB / max(row_bytes, 1.0)
    least, most = max(FLOOR_ROWS, LEAST_SHARE * rows), max(FLOOR_ROWS, MOST_SHARE * rows)
    if wanted > by_size and most > by_size >= least:
        return Trigger(threshold=round_to_two(by_size), scale=0.0)
    if wanted <= least:
        return Trigger(threshold=FLOOR_ROWS, scale=LEAST_SHARE if LEAST_SHARE * rows > FLOOR_ROWS else 0.0)
    if wanted >= most:
        return Trigger(threshold=round_to_two(min(FLOOR_ROWS, LEAST_SHARE * rows)), scale=MOST_SHARE)
    return Trigger(threshold=round_to_two(wanted), scale=0.0)


def round_to_two(value: float) -> int:
    """Two digits are as exact as any rate is.

    >>> round_to_two(21_600), round_to_two(1034)
    (22000, 1000)
    """
    digits = max(0, int(math.log10(max(value, 1.0))) - 1)
    return int(round(value / 10**digits) * 10**digits)


def tune(one: Rates, every_s: float, settings: Mapping[str, Setting], index_pages: int) -> Iterator[Proposal | Kept]:
    """One proposal a table with all its options, or that it is well; nothing for small and quiet ones."""
    table, rows = one.table, one.table.rows
    if rows < ROWS_MIN or not table.is_enabled:
        return
    options: dict[str, str] = {}
    said: list[str] = []
    effects: list[str] = []
    _for_dead_rows(one, every_s, options, said, effects)
    _for_inserts(one, every_s, options, said, effects)
    _for_statistics(one, every_s, options, said)
    _for_cost(one, every_s, settings, options, said, index_pages=index_pages)
    if not options:
        yield from _well(one)
        return
    advice = mending.set_table_options(table.relation, options)
    yield Proposal(
        area=AREA,
        kind=Kind.TABLE,
        object=table.relation.qualified,
        title=f"Set autovacuum of {table.relation.qualified} by its write rate",
        current=_now(one, options),
        proposed=_then(options, rows),
        reason="  ".join(said) + f"  Rates {one.words}.",
        effect="; ".join(effects) or f"statistics about every {duration(every_s)}",
        takes=Takes.AT_ONCE,
        ground=Ground.EVIDENCE,
        evidence=_evidence(one),
        advice=(advice,),
    )


def _for_dead_rows(one: Rates, every_s: float, options: dict[str, str], said: list[str], effects: list[str]) -> None:
    table, now, takes_s = one.table, one.table.vacuum_trigger_rows, one.time_to_vacuum_s
    if takes_s is None:
        return
    wanted = trigger(one.dead_per_s, every_s, table.rows, one.row_bytes)
    at = wanted.rows(table.rows)
    is_late = now > LATE_FACTOR * at and at / one.dead_per_s <= LONGEST_S
    is_eager = now < at / EAGER_FACTOR and table.relation.size_bytes >= GB and takes_s < every_s / EAGER_FACTOR
    if not (is_late or is_eager):
        return
    options |= wanted.options("autovacuum_vacuum")
    said.append(
        f"{number(round(one.dead_per_s * 3600, 1))} rows an hour die, and autovacuum comes at"
        f" {counted(round(now), 'dead row')}: every {duration(takes_s)}."
    )
    then_s = at / one.dead_per_s
    effects.append(
        f"a visit about every {duration(then_s)} instead of every {duration(takes_s)},"
        f" {size(at * one.row_bytes)} of dead rows at most instead of {size(now * one.row_bytes)}"
    )


def _for_inserts(one: Rates, every_s: float, options: dict[str, str], said: list[str], effects: list[str]) -> None:
    """A table that is only added to is vacuumed for its visibility map, and so that old rows are frozen in time."""
    table, now = one.table, one.table.insert_trigger_rows
    if one.inserted_per_s <= 0 or one.inserted_per_s < 10 * one.dead_per_s:
        return
    wanted = trigger(one.inserted_per_s, every_s, table.rows, one.row_bytes)
    at = wanted.rows(table.rows)
    if at / one.inserted_per_s > LONGEST_S:
        return
    if now is not None and now <= LATE_FACTOR * at:
        return
    options |= wanted.options("autovacuum_vacuum_insert")
    rate = f"{number(round(one.inserted_per_s * 3600, 1))} rows an hour are added and hardly any die"
    if now is None:
        said.append(f"{rate}; visits for inserted rows are switched off.")
        effects.append(f"a visit about every {duration(at / one.inserted_per_s)} for the visibility map and freezing")
        return
    takes_s = now / one.inserted_per_s
    said.append(f"{rate}; autovacuum comes at {counted(round(now), 'inserted row')}: every {duration(takes_s)}.")
    effects.append(
        f"a visit for the visibility map about every {duration(at / one.inserted_per_s)} instead of every"
        f" {duration(takes_s)}"
    )


def _for_statistics(one: Rates, every_s: float, options: dict[str, str], said: list[str]) -> None:
    """Together with the others only, or where a tenth of the table is far from being enough."""
    table, now = one.table, one.table.analyze_trigger_rows
    if one.changed_per_s <= 0:
        return
    wanted = trigger(one.changed_per_s, every_s, table.rows, one.row_bytes)
    at = wanted.rows(table.rows)
    if now <= LATE_FACTOR * at or at / one.changed_per_s > LONGEST_S:
        return
    options |= wanted.options("autovacuum_analyze")
    said.append(
        f"Statistics are gathered after {counted(round(now), 'change')}, every {duration(now / one.changed_per_s)}."
    )


def _for_cost(
    one: Rates,
    every_s: float,
    settings: Mapping[str, Setting],
    options: dict[str, str],
    said: list[str],
    *,
    index_pages: int,
) -> None:
    """A visit that takes too much of the time between two is given more room."""
    limit, delay = _cost_settings(one, settings)
    if delay <= 0 or one.dead_per_s <= 0:
        return
    at = min(
        one.table.vacuum_trigger_rows,
        trigger(one.dead_per_s, every_s, one.table.rows, one.row_bytes).rows(one.table.rows),
    )
    takes_s = visit_s(one, settings, at, index_pages, limit=limit, delay_s=delay)
    between_s = min(at / one.dead_per_s, LONGEST_S)
    if takes_s <= BUSY_SHARE * between_s:
        return
    wanted = min(LIMIT_MAX, math.ceil(limit * takes_s / (BUSY_SHARE * between_s) / 100) * 100)
    if wanted < 1.5 * limit:
        return
    options["autovacuum_vacuum_cost_limit"] = f"{wanted:.0f}"
    said.append(
        f"At a cost limit of {limit:.0f} a visit takes about {duration(takes_s)} (estimated), too long for one every"
        f" {duration(between_s)}."
    )


def visit_s(
    one: Rates, settings: Mapping[str, Setting], dead_rows: float, index_pages: int, *, limit: float, delay_s: float
) -> float:
    """How long a visit takes at this limit, when every page is read and those with dead rows are written."""
    relation = one.table.relation
    pages = max(0, relation.pages - relation.all_visible_pages) + index_pages
    dirty = min(pages, dead_rows)
    read_cost = settings["vacuum_cost_page_miss"].number if "vacuum_cost_page_miss" in settings else PAGE_READ_COST
    cost = pages * read_cost + dirty * settings["vacuum_cost_page_dirty"].number
    return cost / limit * delay_s


def _cost_settings(one: Rates, settings: Mapping[str, Setting]) -> tuple[float, float]:
    """Limit and delay of this table: its own, autovacuum's, VACUUM's."""

    def of(name: str) -> float:
        own = one.table.relation.option(f"autovacuum_{name}")
        if own is not None and float(own) >= 0:
            return float(own) / (1000 if name.endswith("delay") else 1)
        value = settings[f"autovacuum_{name}"].number
        return value if value >= 0 else settings[name].number

    return of("vacuum_cost_limit") or 200.0, of("vacuum_cost_delay")


def _well(one: Rates) -> Iterator[Kept]:
    takes_s = one.time_to_vacuum_s
    if takes_s is None or takes_s > LONGEST_S:
        return
    reason = f"{number(round(one.dead_per_s * 3600, 1))} rows an hour die: a visit about every {duration(takes_s)}"
    came = f"; autovacuum came {counted(one.vacuums, 'time')}" if one.vacuums else ""
    yield Kept(
        area=AREA,
        object=one.table.relation.qualified,
        value=_now(one, {}),
        reason=f"{reason}{came} ({one.words})",
    )


def _now(one: Rates, options: Mapping[str, str]) -> str:
    inserts = one.table.insert_trigger_rows
    if "autovacuum_vacuum_insert_threshold" in options and "autovacuum_vacuum_threshold" not in options:
        return f"at {counted(round(inserts), 'inserted row')}" if inserts is not None else "never for inserted rows"
    return f"at {counted(round(one.table.vacuum_trigger_rows), 'dead row')}"


def _then(options: Mapping[str, str], rows: float) -> str:
    if "autovacuum_vacuum_threshold" in options:
        at = float(options["autovacuum_vacuum_threshold"]) + float(options["autovacuum_vacuum_scale_factor"]) * rows
        return f"at {counted(round(at), 'dead row')}"
    if "autovacuum_vacuum_insert_threshold" in options:
        at = float(options["autovacuum_vacuum_insert_threshold"])
        at += float(options["autovacuum_vacuum_insert_scale_factor"]) * rows
        return f"at {counted(round(at), 'inserted row')}"
    return ", ".join(f"{name.removeprefix('autovacuum_')} {value}" for name, value in options.items())


def _evidence(one: Rates) -> dict[str, Value]:
    return {
        "rows": round(one.table.rows),
        "size_bytes": one.table.relation.size_bytes,
        "dead_per_s": round(one.dead_per_s, 4),
        "inserted_per_s": round(one.inserted_per_s, 4),
        "changed_per_s": round(one.changed_per_s, 4),
        "autovacuums": one.vacuums,
        "counted_s": round(one.seconds),
        "trigger_rows": round(one.table.vacuum_trigger_rows),
        "hot_ratio": round(one.table.activity.rows_hot_updated / max(one.table.activity.rows_updated, 1), 3),
    }


def share(part: float, whole: float) -> str:
    """A share as people read it."""
    return figure("_ratio", part / whole if whole else 0.0)
