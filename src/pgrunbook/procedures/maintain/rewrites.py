"""Which tables to rewrite: mostly air by the check `table_bloat`, and so little used that nobody will miss them."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from pgrunbook.errors import UsageError
from pgrunbook.journey.diagnose.check import all_checks
from pgrunbook.journey.diagnose.engine import judge
from pgrunbook.journey.diagnose.seen import Seen
from pgrunbook.journey.observe.archiver import ARCHIVER
from pgrunbook.journey.observe.counters import COUNTERS
from pgrunbook.journey.observe.relations import RELATIONS
from pgrunbook.journey.observe.replication_slots import REPLICATION_SLOTS
from pgrunbook.journey.observe.table_activity import TABLE_ACTIVITY, TableActivity
from pgrunbook.journey.steps import repack_client
from pgrunbook.journey.steps.repack_client import Leftovers
from pgrunbook.journey.steps.vacuum_full import PG_REPACK, VACUUM, VacuumFull
from pgrunbook.model import Finding
from pgrunbook.procedures.maintain.arrangements import LowTraffic
from pgrunbook.procedures.maintain.bloated_indexes import room_words
from pgrunbook.procedures.maintain.may_maintain import MAY_MAINTAIN
from pgrunbook.procedures.maintain.repack_leftovers import REPACK_LEFTOVERS, left_by_killed_runs
from pgrunbook.procedures.maintain.selection import Chosen, LeftOut, Selection, limited
from pgrunbook.report.words import duration, number

_BLOAT = all_checks()["table_bloat"]
NEEDS = (*_BLOAT.check.needs, TABLE_ACTIVITY, RELATIONS, COUNTERS, MAY_MAINTAIN)
LIKES = (*_BLOAT.check.likes, REPLICATION_SLOTS, ARCHIVER, REPACK_LEFTOVERS)
WAYS = ("auto", VACUUM, PG_REPACK)


def choose(
    seen: Seen,
    max_steps: int,
    *,
    limits: Mapping[str, Mapping[str, Any]],
    low: LowTraffic,
    free_bytes: int | None,
    way: str = "auto",
) -> Selection:
    """A step for each table, the most air first.  `way` is one of WAYS."""
    by, note = _by(seen, way)
    found = judge(seen.snapshot, (_BLOAT,), limits=limits)
    mine = {row.oid for row in seen.rows(MAY_MAINTAIN)}
    relations = {relation.qualified: relation for relation in seen.rows(RELATIONS)}
    activity = {row.oid: row for row in seen.rows(TABLE_ACTIVITY)}
    counted_s = seen.rows(COUNTERS)[0].age_s
    left, left_out, chosen = left_by_killed_runs(seen), [], []
    for finding in sorted(found.findings, key=lambda finding: (-_air(finding), finding.object)):
        relation = relations[finding.object]
        why = _stuck(seen) or (
            f"it belongs to {relation.owner}"
            if relation.oid not in mine
            else _busy(activity.get(relation.oid), counted_s, low)
        )
        if why:
            left_out.append(LeftOut(object=finding.object, reason=why))
            continue
        step = VacuumFull(schema=relation.schema, table=relation.name, by=by)
        reason = f"{finding.detail}  {_use(activity[relation.oid], counted_s)}"
        if (own := left.pop(finding.object, None)) is not None:
            reason += f"  What a killed pg_repack left there is cleared away first: {', '.join(own.names)}."
        chosen.append(Chosen.of(step, reason, finding=finding.fingerprint))
    left_out += [LeftOut(object=name, reason=_left_words(own)) for name, own in left.items()]
    notes = (*room_words(free_bytes), *((note,) if note else ()))
    return limited(chosen, left_out, max_steps, blind=found.blind, notes=notes)


def _by(seen: Seen, way: str) -> tuple[str, str]:
    """VACUUM FULL or pg_repack, and why not the latter."""
    if way not in WAYS:
        raise UsageError(f"there is no way {way!r} to rewrite a table", hint=f"It is one of {', '.join(WAYS)}.")
    if way == VACUUM:
        return VACUUM, ""
    why = repack_client.why_not(seen.server)
    if why is None:
        return PG_REPACK, ""
    if way == PG_REPACK:
        raise UsageError(f"pg_repack cannot be used: {why}", hint="Leave --by away for VACUUM FULL.")
    return VACUUM, f"By VACUUM FULL, which keeps everybody out of the table: {why}."


def _per_h(amount: int, counted_s: float) -> float:
    return amount / max(counted_s / 3600.0, 1e-9)


def _writes(row: TableActivity) -> int:
    return row.rows_inserted + row.rows_updated + row.rows_deleted


def _busy(row: TableActivity | None, counted_s: float, low: LowTraffic) -> str:
    """Why a table cannot be kept to ourselves; "" when it can."""
    if row is None or counted_s < low.known_s:
        return f"its traffic is not known: the counters cover {duration(counted_s)}, not {duration(low.known_s)}"
    scans, writes = _per_h(row.seq_scans + row.index_scans, counted_s), _per_h(_writes(row), counted_s)
    if scans > low.scans_per_h:
        return f"it is read {number(scans)} times an hour (more than {number(low.scans_per_h)})"
    if writes > low.writes_per_h:
        return f"{number(writes)} rows an hour are written (more than {number(low.writes_per_h)})"
    return ""


def _use(row: TableActivity, counted_s: float) -> str:
    scans, writes = row.seq_scans + row.index_scans, _writes(row)
    return f"It was read {number(scans)} times and {number(writes)} rows were written in {duration(counted_s)}."


def _stuck(seen: Seen) -> str:
    """Where WAL does not leave, that of a rewrite fills the disk."""
    for slot in seen.rows_or_none(REPLICATION_SLOTS) or ():
        if not slot.is_active and not slot.is_lost:
            return f"replication slot {slot.name} has no reader: the rewrite's WAL would pile up behind it"
    for archiver in seen.rows_or_none(ARCHIVER) or ():
        if archiver.is_at_work and archiver.last_try_failed:
            return "the archiver is failing: the rewrite's WAL would pile up before it"
    return ""


def _left_words(own: Leftovers) -> str:
    sql = " ".join(f"{statement};" for statement in own.statements)
    return f"a killed pg_repack left {', '.join(own.names)}; away with it: {sql}"


def _air(finding: Finding) -> float:
    air = finding.evidence.get("bloat_bytes")
    return float(air) if isinstance(air, int | float) else 0.0
