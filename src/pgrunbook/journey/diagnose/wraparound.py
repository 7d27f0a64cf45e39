"""What both wraparound checks share: ages of databases and tables against the limit of a forced freeze."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass

from pgrunbook.journey.diagnose.horizon import holders
from pgrunbook.journey.diagnose.seen import Seen
from pgrunbook.journey.observe.databases import DATABASES, Database
from pgrunbook.journey.observe.relations import RELATIONS, Relation
from pgrunbook.journey.observe.settings import SETTINGS, by_name
from pgrunbook.model import Advice, Finding, Kind, Lock, Severity, Verdict, dotted, quote

LAST = 2**31 - 1
FEW = 5  # up to so many tables to blame are named one by one


@dataclass(frozen=True, slots=True, kw_only=True)
class Clock:
    """One of the two counters that can wrap, and the degrees of its lateness."""

    setting: str
    overdue_factor: float
    warn_ratio: float
    critical_ratio: float
    of_database: Callable[[Database], int]
    of_catalogs: Callable[[Database], int | None]
    of_relation: Callable[[Relation], int | None]

    def severity(self, age: int, forced_at: float) -> Severity | None:
        """How bad this age is; None while it is well."""
        if age >= self.critical_ratio * LAST:
            return Severity.CRITICAL
        if age >= min(self.warn_ratio * LAST, self.overdue_factor * forced_at):
            return Severity.WARNING
        return None


def judge(seen: Seen, clock: Clock) -> Iterator[Verdict]:
    """The tables that are to blame where they are few, else their database; other databases as a whole."""
    setting = by_name(seen.rows(SETTINGS)).get(clock.setting)
    forced_at = setting.number if setting is not None else float(LAST)
    for database in seen.rows(DATABASES):
        to_blame = _to_blame(seen, clock, forced_at) if database.is_current else ()
        age = max(clock.of_database(database), *(clock.of_relation(relation) or 0 for relation in to_blame), 0)
        if (severity := clock.severity(age, forced_at)) is None:
            continue
        catalogs_are_well = clock.severity(clock.of_catalogs(database) or 0, forced_at) is None
        if 0 < len(to_blame) <= FEW and catalogs_are_well:
            for relation in to_blame:
                yield _of_table(seen, relation, clock, forced_at)
        else:
            yield _finding(
                seen,
                (Kind.DATABASE, quote(database.name), severity),
                age,
                forced_at,
                related=tuple(relation.qualified for relation in to_blame[:20]),
                advice=_freeze_all(database.name),
            )


def _to_blame(seen: Seen, clock: Clock, forced_at: float) -> Sequence[Relation]:
    aged = [
        (age, relation)
        for relation in seen.rows(RELATIONS)
        if relation.has_storage
        and (age := clock.of_relation(relation)) is not None
        and clock.severity(age, forced_at) is not None
    ]
    return [relation for _, relation in sorted(aged, key=lambda pair: (-pair[0], pair[1].qualified))]


def _of_table(seen: Seen, relation: Relation, clock: Clock, forced_at: float) -> Finding:
    age = clock.of_relation(relation) or 0
    severity = clock.severity(age, forced_at) or Severity.WARNING
    return _finding(
        seen,
        (Kind.TABLE, dotted(relation.schema, relation.name), severity),
        age,
        forced_at,
        related=(),
        advice=Advice(
            title=f"Freeze {relation.qualified}",
            sql=f"VACUUM (FREEZE, INDEX_CLEANUP off, TRUNCATE false) {relation.qualified};",
            lock=Lock.SHARE_UPDATE_EXCLUSIVE,
            risk="Reads the whole table and writes WAL; whoever holds an old snapshot must go first.",
        ),
    )


def _freeze_all(database: str) -> Advice:
    return Advice(
        title=f"Freeze all tables of database {quote(database)}",
        sql=f"-- in database {quote(database)}, as superuser\nVACUUM (FREEZE, INDEX_CLEANUP off, TRUNCATE false);",
        lock=Lock.SHARE_UPDATE_EXCLUSIVE,
        risk="Reads every table and writes WAL; whoever holds an old snapshot must go first.",
    )


def _finding(
    seen: Seen,
    subject: tuple[Kind, str, Severity],
    age: int,
    forced_at: float,
    *,
    related: tuple[str, ...],
    advice: Advice,
) -> Finding:
    kind, name, severity = subject
    holder = next((h for h in seen.derived(holders) if h.xid_age >= forced_at), None)
    return Finding(
        severity=severity,
        kind=kind,
        object=name,
        related=related,
        evidence={
            "age_transactions": age,
            "freeze_max_age": round(forced_at),
            "left_transactions": max(0, LAST - age),
            "used_ratio": round(age / LAST, 3),
            "held_by": f"{holder.type} {holder.object}" if holder is not None else None,
        },
        advice=(advice,),
    )
