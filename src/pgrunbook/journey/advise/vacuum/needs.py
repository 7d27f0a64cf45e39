"""Which tables need a vacuum now, and why: dead rows, rows only added, old transaction numbers, the visibility map."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass, replace

from pgrunbook.journey.advise.vacuum.tuning import share
from pgrunbook.journey.diagnose import mending
from pgrunbook.journey.diagnose.autovacuum import Upkeep
from pgrunbook.journey.diagnose.horizon import Holder
from pgrunbook.journey.observe.relations import Relation
from pgrunbook.model import Advice, Kind, Lock, Value
from pgrunbook.model.counsel import Ground, Proposal, Takes
from pgrunbook.report.words import counted, number, size

AREA = "Needs a vacuum now"
DEAD_MIN = 1000
FREEZE_SHARE = 0.75  # of autovacuum_freeze_max_age, where a forced one comes whatever else goes on
PAGES_MIN = 1000
SCANS_MIN = 1000
VISIBLE_SHARE = 0.5


@dataclass(frozen=True, slots=True, kw_only=True)
class Need:
    """One reason why a table needs a vacuum; `is_freeze` asks for VACUUM (FREEZE)."""

    words: str
    weight: float
    is_freeze: bool = False


@dataclass(frozen=True, slots=True, kw_only=True)
class Ages:
    """autovacuum_freeze_max_age and its kin, as the server has them."""

    freeze_max: float
    multixact_freeze_max: float


def needs(table: Upkeep, ages: Ages) -> Iterator[Need]:
    """Every reason, with its weight: how far it is past what would be well."""
    yield from _dead(table)
    yield from _inserted(table)
    yield from _freeze(table.relation, ages)
    yield from _visibility(table)


def _dead(table: Upkeep) -> Iterator[Need]:
    dead, trigger = table.activity.dead_rows, table.vacuum_trigger_rows
    if dead < DEAD_MIN or not (dead > trigger or table.dead_ratio >= 0.2):
        return
    live = table.activity.live_rows
    comes = f"autovacuum comes at {number(round(trigger))}" if table.is_enabled else "autovacuum is off for it"
    yield Need(
        words=f"{counted(dead, 'dead row')}, {share(dead, dead + live)} of it ({comes})",
        weight=dead / max(trigger, 1.0),
    )


def _inserted(table: Upkeep) -> Iterator[Need]:
    added = table.activity.inserted_since_vacuum_rows
    trigger = table.insert_trigger_rows
    at = trigger if trigger is not None else 1000 + 0.2 * table.rows
    if added < DEAD_MIN or added <= at:
        return
    comes = f"autovacuum comes at {number(round(at))}" if trigger is not None else "visits for them are switched off"
    yield Need(words=f"{counted(added, 'row')} added since the last vacuum ({comes})", weight=added / max(at, 1.0))


def _freeze(relation: Relation, ages: Ages) -> Iterator[Need]:
    for age, ceiling, option, noun in (
        (relation.frozen_xid_age, ages.freeze_max, "autovacuum_freeze_max_age", "transaction"),
        (
            relation.min_mxid_age,
            ages.multixact_freeze_max,
            "autovacuum_multixact_freeze_max_age",
            "multixact",
        ),
    ):
        own = relation.option(option)
        forced_at = min(ceiling, float(own)) if own is not None else ceiling
        if age is not None and age >= FREEZE_SHARE * forced_at:
            yield Need(
                words=f"its oldest row is {counted(age, noun)} old; a freeze is forced at {number(forced_at)}",
                weight=age / forced_at,
                is_freeze=True,
            )


def _visibility(table: Upkeep) -> Iterator[Need]:
    """Index-only scans look into the table for each page that is not marked all-visible."""
    relation, counts = table.relation, table.activity
    if relation.pages < PAGES_MIN or counts.index_scans < SCANS_MIN:
        return
    if relation.all_visible_pages >= VISIBLE_SHARE * relation.pages:
        return
    if not (counts.dead_rows or counts.inserted_since_vacuum_rows or counts.last_vacuum_at is None):
        return
    yield Need(
        words=f"only {share(relation.all_visible_pages, relation.pages)} of its {counted(relation.pages, 'page')} are"
        f" marked all-visible: index-only scans look into the others ({counted(counts.index_scans, 'index scan')})",
        weight=1.0,
    )


def proposal(table: Upkeep, found: list[Need], holder: Holder | None) -> Proposal:
    """A vacuum with all its reasons.  `holder` keeps it from removing what died since."""
    relation, is_freeze = table.relation, any(need.is_freeze for need in found)
    held = ""
    if holder is not None and table.activity.dead_rows:
        held = f"  Dead rows that {holder.type} {holder.object} may still see stay; see what holds vacuum back."
    reasons = "; ".join(need.words for need in found)
    return Proposal(
        area=AREA,
        kind=Kind.TABLE,
        object=relation.qualified,
        title=f"{'Freeze' if is_freeze else 'Vacuum'} {relation.qualified}",
        current=_state(table),
        proposed="vacuumed and frozen" if is_freeze else "vacuumed and analyzed",
        reason=f"{reasons[0].upper()}{reasons[1:]}.{held}",
        effect=_effect(table, is_freeze=is_freeze),
        takes=Takes.AT_ONCE,
        ground=Ground.EVIDENCE,
        evidence=_evidence(table),
        advice=(freeze(relation) if is_freeze else mending.vacuum(relation),),
    )


def freeze(relation: Relation) -> Advice:
    """Freeze one table.  There is no step for it: near the end of the numbers a person should watch."""
    plain = mending.vacuum(relation)
    return replace(
        plain,
        title=f"Freeze {relation.qualified}",
        sql=f"VACUUM (FREEZE, ANALYZE, TRUNCATE false) {relation.qualified};",
        lock=Lock.SHARE_UPDATE_EXCLUSIVE,
        risk="Reads the whole table and writes WAL for what it freezes.",
        step=None,
    )


def _state(table: Upkeep) -> str:
    return f"{size(table.relation.size_bytes)}, {counted(round(table.rows), 'row')}"


def _effect(table: Upkeep, *, is_freeze: bool) -> str:
    parts = []
    if table.dead_bytes >= 1:
        parts.append(f"about {size(table.dead_bytes)} of it free for new rows")
    if is_freeze:
        parts.append("no forced freeze at a bad time")
    return "; ".join(parts) or "index-only scans stay in the index"


def _evidence(table: Upkeep) -> dict[str, Value]:
    counts, relation = table.activity, table.relation
    last = max((at for at in (counts.last_vacuum_at, counts.last_autovacuum_at) if at is not None), default=None)
    return {
        "dead_rows": counts.dead_rows,
        "live_rows": counts.live_rows,
        "inserted_since_vacuum_rows": counts.inserted_since_vacuum_rows,
        "trigger_rows": round(table.vacuum_trigger_rows),
        "frozen_xid_age": relation.frozen_xid_age,
        "all_visible_ratio": round(relation.all_visible_pages / relation.pages, 3) if relation.pages else None,
        "last_vacuum_at": last.isoformat(timespec="seconds") if last is not None else None,
        "size_bytes": relation.size_bytes,
    }
