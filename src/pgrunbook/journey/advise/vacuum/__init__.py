"""Vacuum: what holds it back, which tables need it now and why, and autovacuum settings by real write rates.

In: a snapshot with `QUESTIONS`, best with an earlier one.  Out: a Counsel.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from typing import Any

from pgrunbook.journey.advise.given import Given
from pgrunbook.journey.advise.span import period_words
from pgrunbook.journey.advise.vacuum.needs import Ages, Need, needs, proposal
from pgrunbook.journey.advise.vacuum.rates import rates
from pgrunbook.journey.advise.vacuum.tuning import tune
from pgrunbook.journey.diagnose.autovacuum import NEEDS, Upkeep, counting_blind, settings_of, standby_blind, upkeep
from pgrunbook.journey.diagnose.engine import choose, judge, questions_of
from pgrunbook.journey.diagnose.horizon import Holder, holders
from pgrunbook.journey.diagnose.seen import Seen
from pgrunbook.journey.observe.counters import COUNTERS
from pgrunbook.journey.observe.indexes import INDEXES
from pgrunbook.journey.observe.vacuum_progress import VACUUM_PROGRESS
from pgrunbook.model import Blind, Finding, NotRead, Question
from pgrunbook.model.counsel import Counsel, Ground, Input, Kept, Proposal, Takes
from pgrunbook.report.words import counted, duration, figures

BACK = "What holds vacuum back"
REWRITE = "More air than rows"
KEPT_MAX = 12
HOLDER_S = 5.0  # a younger snapshot is gone before VACUUM comes
# Checks whose findings are part of this advice, and under which heading.
_CHECKS = {
    "xmin_horizon_held": BACK,
    "autovacuum_disabled": BACK,
    "autovacuum_starved": BACK,
    "table_bloat": REWRITE,
    "toast_bloat": REWRITE,
}
_EFFECTS = {
    "xmin_horizon_held": "VACUUM can remove what died since",
    "autovacuum_disabled": "it is vacuumed and analyzed by itself again",
    "autovacuum_starved": "tables past their triggers wait less",
}
QUESTIONS: tuple[Question[Any], ...] = tuple(
    dict.fromkeys((*NEEDS, COUNTERS, INDEXES, VACUUM_PROGRESS, *questions_of(choose(only=tuple(_CHECKS)))))
)


def advise_vacuum(seen: Seen, given: Given) -> Counsel:
    """What is in the way, what is due, what should come by itself, what only a rewrite mends."""
    diagnosis = judge(seen.snapshot, choose(only=tuple(_CHECKS)), expectations=seen.expectations)
    found = [_of_finding(finding, _CHECKS[finding.check]) for finding in diagnosis.findings]
    blind = list(diagnosis.blind)
    due: list[Proposal] = []
    tuned: list[Proposal | Kept] = []
    notes: list[str] = []
    if (unable := standby_blind(seen) or counting_blind(seen)) is not None:
        blind = [unable]
    else:
        due = _due(seen)
        tuned, unknown = _tuned(seen, given)
        blind += unknown
        notes += _running(seen)
    kept = [word for word in tuned if isinstance(word, Kept)]
    if len(kept) > KEPT_MAX:
        notes.append(f"{counted(len(kept) - KEPT_MAX, 'more table')} with settings that fit their write rates.")
    return Counsel(
        topic="vacuum",
        server=seen.server,
        taken_at=seen.at,
        duration_s=seen.snapshot.duration_s,
        period=period_words(seen),
        inputs=(Input(name="a visit about every", value=duration(given.every_s), source=_source(given)),),
        proposals=(
            *(p for p in found if p.area == BACK),
            *due,
            *(word for word in tuned if isinstance(word, Proposal)),
            *(p for p in found if p.area == REWRITE),
        ),
        kept=tuple(kept[:KEPT_MAX]),
        blind=tuple(blind),
        notes=tuple(notes),
    )


def _source(given: Given) -> str:
    return "as is usual; --every HOURS asks for another" if given.every_s == Given().every_s else "--every"


def _due(seen: Seen) -> list[Proposal]:
    settings, holder = seen.derived(settings_of), _holder(seen)
    ages = Ages(
        freeze_max=settings["autovacuum_freeze_max_age"].number,
        multixact_freeze_max=settings["autovacuum_multixact_freeze_max_age"].number,
    )
    found: list[tuple[float, Upkeep, list[Need]]] = []
    for table in seen.derived(upkeep):
        reasons = list(needs(table, ages))
        if reasons:
            found.append((max(need.weight for need in reasons), table, reasons))
    found.sort(key=lambda each: (-each[0], each[1].relation.qualified))
    return [proposal(table, reasons, holder) for _, table, reasons in found]


def _holder(seen: Seen) -> Holder | None:
    """The oldest snapshot that keeps dead rows of this database."""
    return next(
        (
            holder
            for holder in seen.derived(holders)
            if holder.holds_rows_of(seen.server.database)
            and holder.xid_age > 0
            and (holder.held_s is None or holder.held_s >= HOLDER_S)
        ),
        None,
    )


def _tuned(seen: Seen, given: Given) -> tuple[list[Proposal | Kept], list[Blind]]:
    known = seen.derived(rates)
    if not known and seen.derived(upkeep):
        return [], [
            Blind(
                reason="the counters are too young to say how fast tables are written (a day is the least)", cure=_WATCH
            )
        ]
    settings, pages = seen.derived(settings_of), _index_pages(seen)
    words = [word for one in known for word in tune(one, given.every_s, settings, pages.get(one.table.relation.oid, 0))]
    return words, []


_WATCH = "Watch it under its usual load: --window 600, or --since an older snapshot."


def _index_pages(seen: Seen) -> dict[int, int]:
    found: dict[int, int] = {}
    for index in seen.rows_or_none(INDEXES) or ():
        found[index.table_oid] = found.get(index.table_oid, 0) + index.pages
    return found


def _running(seen: Seen) -> Iterator[str]:
    names = {table.relation.oid: table.relation.qualified for table in _tables(seen)}
    for row in seen.rows_or_none(VACUUM_PROGRESS) or ():
        if row.database == seen.server.database and row.table_oid in names:
            yield f"A vacuum of {names[row.table_oid]} runs now (process {row.pid}, {row.phase or 'phase not shown'})."


def _tables(seen: Seen) -> Iterable[Upkeep]:
    try:
        return seen.derived(upkeep)
    except NotRead:
        return ()


def _of_finding(finding: Finding, area: str) -> Proposal:
    """What a check found, in this form."""
    effect = figures(finding.effect.figures) if finding.effect is not None else ""
    return Proposal(
        area=area,
        kind=finding.kind,
        object=finding.object,
        title=f"{finding.object}: {finding.title[:1].lower()}{finding.title[1:]}",
        current="",
        proposed="",
        reason=finding.detail,
        effect=effect or _EFFECTS.get(finding.check, ""),
        takes=Takes.AT_ONCE,
        ground=Ground.EVIDENCE,
        evidence=finding.evidence,
        advice=finding.advice,
    )
