"""Autovacuum switched off, for a table or for the whole server.

Asks:    which tables carry autovacuum_enabled = off (or their TOAST tables), and are autovacuum and track_counts on?
Unit:    rows; writes are updates and deletes since the counters began.
Source:  pg_class.reloptions, pg_settings, pg_stat_user_tables.
Says:    Autovacuum is off for {object}, which has {rows} rows and {writes} updates and deletes on record.
         The setting {setting} is off, so no table of the whole server is vacuumed or analyzed by itself.
Section: Maintenance Operations
Leads:   set_autovacuum
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass

from pgrunbook.journey.diagnose import mending
from pgrunbook.journey.diagnose.autovacuum import NEEDS, Upkeep, by_tree, leaves_of, says_false, upkeep
from pgrunbook.journey.diagnose.check import Check
from pgrunbook.journey.diagnose.seen import Seen
from pgrunbook.journey.diagnose.trees import TableTree
from pgrunbook.journey.observe.relations import Relation
from pgrunbook.journey.observe.settings import SETTINGS, by_name
from pgrunbook.model import Finding, Kind, Severity, Verdict

_OPTION = "autovacuum_enabled"


@dataclass(frozen=True, slots=True, kw_only=True)
class Limits:
    """Where it matters: `rows` to be kept in order, or `writes` that leave dead rows behind.

    A small list that nobody changes needs no vacuum; that is a notice.  50 is autovacuum_vacuum_threshold's default:
    below it autovacuum would not come either.
    """

    rows: int = 1000
    writes: int = 50


def judge(seen: Seen, limits: Limits) -> Iterator[Verdict]:
    """One finding for the server, one for each table; partitions are gathered under their root."""
    settings = by_name(seen.rows(SETTINGS))
    for name in ("autovacuum", "track_counts"):
        if name in settings and not settings[name].is_on:
            yield Finding(
                severity=Severity.CRITICAL,
                kind=Kind.SERVER,
                object="server",
                evidence={"setting": name, "source": settings[name].source},
                advice=(mending.set_system(settings[name], "on"),),
            )
            break
    off = [table for table in seen.derived(upkeep) if _options_off(table.relation)]
    for tree, tables in by_tree(seen, off):
        yield _finding(tree, tables, limits)


def _options_off(relation: Relation) -> tuple[str, ...]:
    """The options that switch it off: the table's own, its TOAST table's."""
    toast = next((o.partition("=")[2] for o in relation.toast_options if o.startswith(f"{_OPTION}=")), None)
    return tuple(
        name for name, value in ((_OPTION, relation.option(_OPTION)), (f"toast.{_OPTION}", toast)) if says_false(value)
    )


def _finding(tree: TableTree, tables: tuple[Upkeep, ...], limits: Limits) -> Finding:
    rows = sum(max(table.rows, float(table.activity.live_rows + table.activity.dead_rows)) for table in tables)
    writes = sum(table.activity.rows_updated + table.activity.rows_deleted for table in tables)
    matters = rows >= limits.rows or writes >= limits.writes
    return Finding(
        severity=Severity.WARNING if matters else Severity.NOTICE,
        kind=Kind.TABLE,
        object=tree.qualified,
        related=leaves_of(tree, tables),
        evidence={
            "rows": round(rows),
            "writes": writes,
            "dead_rows": sum(table.activity.dead_rows for table in tables),
            "options": tuple(sorted({name for table in tables for name in _options_off(table.relation)})),
        },
        advice=tuple(
            mending.reset_table_options(table.relation, _options_off(table.relation)) for table in tables[:20]
        ),
    )


CHECK = Check(needs=NEEDS, judge=judge, limits=Limits())
