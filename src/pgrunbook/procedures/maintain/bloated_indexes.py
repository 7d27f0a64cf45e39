"""Which indexes to rebuild: those that the check `bloated_index` finds, measured with pgstattuple where it may be."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from pgrunbook.journey.diagnose.check import all_checks
from pgrunbook.journey.diagnose.engine import judge
from pgrunbook.journey.diagnose.seen import Seen
from pgrunbook.journey.observe.indexes import INDEXES
from pgrunbook.journey.steps.create_index import SAFE_FROM
from pgrunbook.journey.steps.reindex import Reindex
from pgrunbook.model import Finding
from pgrunbook.procedures.maintain.may_maintain import MAY_MAINTAIN
from pgrunbook.procedures.maintain.selection import Chosen, LeftOut, Selection, limited
from pgrunbook.report.words import size

_CHECKS = ("bloated_index", "invalid_index")
NEEDS = (*(q for name in _CHECKS for q in all_checks()[name].check.needs), MAY_MAINTAIN, INDEXES)
LIKES = tuple(q for name in _CHECKS for q in all_checks()[name].check.likes)
ROOM = 1.2  # of the index: its copy, and what is sorted for it


def choose(seen: Seen, max_steps: int, *, limits: Mapping[str, Mapping[str, Any]], free_bytes: int | None) -> Selection:
    """A step for each bloated index, the most air first.  Invalid ones are named, for they may have to be dropped."""
    found = judge(seen.snapshot, tuple(all_checks()[name] for name in _CHECKS), limits=limits)
    mine = {row.oid for row in seen.rows(MAY_MAINTAIN)}
    indexes = {index.qualified: index for index in seen.rows(INDEXES)}
    left_out, chosen = [], []
    for finding in sorted(found.findings, key=lambda finding: (-_wasted(finding), finding.object)):
        if finding.check != "bloated_index":
            why = "it is invalid: pgrunbook apply --only invalid_index"
            left_out.append(LeftOut(object=finding.object, reason=why))
            continue
        index = indexes[finding.object]
        if index.table_oid not in mine:
            left_out.append(LeftOut(object=finding.object, reason="its table is not ours to maintain"))
        elif index.is_exclusion:
            why = "it backs an exclusion constraint, and cannot be rebuilt while others work"
            left_out.append(LeftOut(object=finding.object, reason=why))
        elif seen.server.version_num < SAFE_FROM:
            why = f"PostgreSQL {seen.server.version} can corrupt it; update to 14.4 first"
            left_out.append(LeftOut(object=finding.object, reason=why))
        elif free_bytes is not None and free_bytes < ROOM * index.size_bytes:
            why = f"its copy needs {size(ROOM * index.size_bytes)}; only {size(free_bytes)} are free on its disk"
            left_out.append(LeftOut(object=finding.object, reason=why))
        else:
            step = Reindex(schema=index.schema, name=index.name)
            chosen.append(Chosen.of(step, finding.detail, finding=finding.fingerprint))
    return limited(chosen, left_out, max_steps, blind=found.blind, notes=room_words(free_bytes))


def room_words(free_bytes: int | None) -> tuple[str, ...]:
    """What is known of the disk on which copies are made."""
    if free_bytes is None:
        return ("How much disk is free is unknown: the server is not on this machine, or does not tell its folders.",)
    return (f"{size(free_bytes)} are free on the database's disk.",)


def _wasted(finding: Finding) -> float:
    figures = finding.effect.figures if finding.effect is not None else {}
    wasted = figures.get("wasted_bytes")
    return float(wasted) if isinstance(wasted, int | float) else 0.0
