"""Which tables to vacuum tonight: those whose activity left dead rows, or added many that no vacuum has seen."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass

from pgrunbook.journey.diagnose.autovacuum import NEEDS as UPKEEP
from pgrunbook.journey.diagnose.autovacuum import Upkeep, server_now, upkeep
from pgrunbook.journey.diagnose.seen import Seen
from pgrunbook.journey.observe.counters import COUNTERS
from pgrunbook.journey.observe.vacuum_progress import VACUUM_PROGRESS
from pgrunbook.journey.steps.vacuum import Vacuum
from pgrunbook.procedures.maintain.may_maintain import MAY_MAINTAIN
from pgrunbook.procedures.maintain.selection import Chosen, LeftOut, Selection, limited
from pgrunbook.report.words import counted, duration, figure

NEEDS = (*UPKEEP, MAY_MAINTAIN)
LIKES = (COUNTERS, VACUUM_PROGRESS)


@dataclass(frozen=True, slots=True, kw_only=True)
class Limits:
    """`dead_rows` is the runbook's; a share of dead rows below `dead_ratio` costs no scan anything to speak of.

    Before daytime comes, a table at `ahead_ratio` of what makes autovacuum come is vacuumed now rather than then.
    """

    dead_rows: int = 1000
    dead_ratio: float = 0.02
    ahead_ratio: float = 0.5


LIMITS = Limits()


def choose(seen: Seen, max_steps: int) -> Selection:
    """A step for each hot table, most work first."""
    mine = {row.oid for row in seen.rows(MAY_MAINTAIN)}
    running = {
        row.table_oid: row.pid
        for row in seen.rows_or_none(VACUUM_PROGRESS) or ()
        if row.database == seen.server.database
    }
    hot = sorted((table for table in seen.derived(upkeep) if _why(table, seen)), key=_order)
    left_out, chosen = [], []
    for table in hot:
        relation = table.relation
        if relation.oid not in mine:
            left_out.append(LeftOut(object=relation.qualified, reason=f"it belongs to {relation.owner}"))
        elif relation.oid in running:
            left_out.append(
                LeftOut(object=relation.qualified, reason=f"backend {running[relation.oid]} vacuums it now")
            )
        else:
            step = Vacuum(schema=relation.schema, table=relation.name)
            chosen.append(Chosen.of(step, "; ".join(_why(table, seen))))
    return limited(chosen, left_out, max_steps)


def _order(table: Upkeep) -> tuple[float, str]:
    return -(table.activity.dead_rows + table.activity.inserted_since_vacuum_rows), table.relation.qualified


def _why(table: Upkeep, seen: Seen) -> list[str]:
    """The reasons; none for a table that can wait."""
    reasons = [*_dead(table), *_inserted(table)]
    times = [at for at in (table.activity.last_vacuum_at, table.activity.last_autovacuum_at) if at is not None]
    if reasons:
        last = max(times, default=None)
        ago = (server_now(seen) - last).total_seconds() if last is not None else None
        reasons.append(f"vacuumed {duration(max(0.0, ago))} ago" if ago is not None else "never vacuumed")
    return reasons


def _dead(table: Upkeep) -> Iterator[str]:
    dead, is_near = table.activity.dead_rows, table.activity.dead_rows > LIMITS.ahead_ratio * table.vacuum_trigger_rows
    if dead >= LIMITS.dead_rows and (is_near or table.dead_ratio >= LIMITS.dead_ratio):
        yield f"{counted(dead, 'dead row')} ({figure('dead_ratio', round(table.dead_ratio, 4))})"


def _inserted(table: Upkeep) -> Iterator[str]:
    inserted, trigger = table.activity.inserted_since_vacuum_rows, table.insert_trigger_rows
    enough = LIMITS.ahead_ratio * trigger if trigger is not None else table.vacuum_trigger_rows
    if inserted >= max(LIMITS.dead_rows, enough):
        yield f"{counted(inserted, 'row')} added that no vacuum has seen"
