"""How autovacuum sees each table: whether it is on, and how many dead or changed rows make it come.

The same sums as the server's own (relation_needs_vacanalyze): threshold + scale factor × rows, with the table's options
before the server's settings.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime

from pgrunbook.journey.diagnose.seen import Seen
from pgrunbook.journey.diagnose.trees import TableTree, table_trees
from pgrunbook.journey.observe.counters import COUNTERS
from pgrunbook.journey.observe.relations import RELATIONS, Relation
from pgrunbook.journey.observe.settings import SETTINGS, Setting, by_name
from pgrunbook.journey.observe.table_activity import TABLE_ACTIVITY, TableActivity
from pgrunbook.model import Blind, Question, ServerRole

_FALSE = ("off", "false", "no", "0", "f", "n", "of", "fa", "fal", "fals")  # what parse_bool() takes for false
RELATED_MAX = 20  # partitions named in one finding


@dataclass(frozen=True, slots=True, kw_only=True)
class Upkeep:
    """One table that holds rows, its counters, and when autovacuum would come."""

    relation: Relation
    activity: TableActivity
    is_enabled: bool
    vacuum_trigger_rows: float
    analyze_trigger_rows: float
    insert_trigger_rows: float | None

    @property
    def rows(self) -> float:
        """Live rows: as the last VACUUM or ANALYZE counted them, or by the counters where none ever did."""
        return self.relation.estimated_rows if self.relation.estimated_rows > 0 else float(self.activity.live_rows)

    @property
    def dead_ratio(self) -> float:
        """The dead part of all rows, 0..1."""
        whole = self.activity.live_rows + self.activity.dead_rows
        return self.activity.dead_rows / whole if whole else 0.0

    @property
    def needs_vacuum(self) -> bool:
        """Whether autovacuum would come for its dead rows (if it is on)."""
        return self.activity.dead_rows > self.vacuum_trigger_rows

    @property
    def was_never_analyzed(self) -> bool:
        """Neither VACUUM nor ANALYZE ever counted its rows; or VACUUM did, and no ANALYZE is on record."""
        counts = self.activity
        if counts.last_analyze_at is not None or counts.last_autoanalyze_at is not None:
            return False
        if self.relation.estimated_rows < 0:
            return True
        vacuumed = counts.last_vacuum_at is not None or counts.last_autovacuum_at is not None
        return vacuumed and counts.modified_rows >= max(self.rows, 1.0)

    @property
    def dead_bytes(self) -> float:
        """About how much of the table the dead rows fill, if they are as wide as the live ones."""
        return self.relation.size_bytes * self.dead_ratio


NEEDS: tuple[Question[Relation], Question[TableActivity], Question[Setting]] = (RELATIONS, TABLE_ACTIVITY, SETTINGS)


def settings_of(seen: Seen) -> Mapping[str, Setting]:
    """Settings by their names; to be asked through `seen.derived`, once for all tables."""
    return by_name(seen.rows(SETTINGS))


def upkeep(seen: Seen) -> tuple[Upkeep, ...]:
    """Every table and materialised view of the database as autovacuum sees it.  Needs `NEEDS`."""
    defaults = {row.name: row.number for row in seen.rows(SETTINGS) if row.name.startswith("autovacuum")}
    activity = {row.oid: row for row in seen.rows(TABLE_ACTIVITY)}
    return tuple(
        _upkeep(relation, activity[relation.oid], defaults)
        for relation in seen.rows(RELATIONS)
        if relation.has_storage and relation.oid in activity
    )


def is_running(seen: Seen) -> bool:
    """Whether the server's autovacuum is on (it needs track_counts)."""
    settings = seen.derived(settings_of)
    return all(settings[name].is_on for name in ("autovacuum", "track_counts") if name in settings)


def nap_s(seen: Seen) -> float:
    """The pause between two visits of autovacuum to one database."""
    naptime = seen.derived(settings_of).get("autovacuum_naptime")
    return naptime.number if naptime is not None else 60.0


def server_now(seen: Seen) -> datetime:
    """The server's clock at the time of the observation; our own where nobody asked for COUNTERS."""
    counters = seen.rows_or_none(COUNTERS)
    return counters[0].now_at if counters else seen.at


def says_false(value: str | None) -> bool:
    """Whether a storage parameter's text means false.

    >>> says_false("off"), says_false("FALSE"), says_false("1"), says_false(None)
    (True, True, False, False)
    """
    return value is not None and value.lower() in _FALSE


def _upkeep(relation: Relation, activity: TableActivity, defaults: Mapping[str, float]) -> Upkeep:
    rows = max(relation.estimated_rows, 0.0)

    def of(name: str) -> float:
        own = relation.option(name)
        if own is not None:
            return float(own)
        return defaults.get(name, -1.0)

    vacuum = of("autovacuum_vacuum_threshold") + of("autovacuum_vacuum_scale_factor") * rows
    ceiling = of("autovacuum_vacuum_max_threshold")  # from 18
    inserts = of("autovacuum_vacuum_insert_threshold")
    return Upkeep(
        relation=relation,
        activity=activity,
        is_enabled=not says_false(relation.option("autovacuum_enabled")),
        vacuum_trigger_rows=min(vacuum, ceiling) if ceiling >= 0 else vacuum,
        analyze_trigger_rows=of("autovacuum_analyze_threshold") + of("autovacuum_analyze_scale_factor") * rows,
        insert_trigger_rows=inserts + of("autovacuum_vacuum_insert_scale_factor") * rows if inserts >= 0 else None,
    )


def standby_blind(seen: Seen) -> Blind | None:
    """On a standby nobody counts writes and nothing is vacuumed: the primary must be asked."""
    if seen.server.role is ServerRole.STANDBY:
        return Blind(reason="a standby neither counts writes nor vacuums", cure="Ask the primary.")
    return None


def counting_blind(seen: Seen) -> Blind | None:
    """Without track_counts no dead or changed row is counted."""
    track = seen.derived(settings_of).get("track_counts")
    if track is not None and not track.is_on:
        return Blind(
            reason="track_counts is off: nobody counts dead and changed rows",
            cure="ALTER SYSTEM SET track_counts = on; SELECT pg_reload_conf();",
        )
    return None


def by_tree(seen: Seen, faulty: Iterable[Upkeep]) -> list[tuple[TableTree, tuple[Upkeep, ...]]]:
    """Faulty tables gathered under the root of their partition tree, in the order of names."""
    trees: Mapping[int, TableTree] = seen.derived(table_trees)
    groups: dict[int, list[Upkeep]] = {}
    for table in faulty:
        groups.setdefault(trees[table.relation.oid].root.oid, []).append(table)
    found = [(trees[oid], tuple(tables)) for oid, tables in groups.items()]
    return sorted(found, key=lambda pair: pair[0].qualified)


def leaves_of(tree: TableTree, tables: Sequence[Upkeep]) -> tuple[str, ...]:
    """The partitions that a finding about their root speaks of; none for an ordinary table."""
    return tuple(table.relation.qualified for table in tables if table.relation.oid != tree.root.oid)[:RELATED_MAX]
