"""An index that nothing has read although its table is in use.

Asks:    which indexes were never scanned while their table was scanned many times, or for a long time?
Unit:    scans since the counters began; partitions are added up.
Source:  pg_stat_user_indexes, pg_stat_user_tables; the age of the counters from pg_stat_database and the server-wide
         statistics, which a crash resets; pg_stat_replication and pg_replication_slots.
Blind:   counters that are too young on a table that is too quiet; on a standby.
Says:    Nothing has read {object} in the {counters_age_s} that the counters cover, while its table was scanned
         {table_scans} times by other means.
         It was last read {last_scan_age_s} ago, though the table is in use.
         Each write keeps it, and it takes {size_bytes}.  Whether a replica uses it is {replica_use}.
Section: Indexing Strategies
Leads:   drop_index
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from datetime import datetime

from pgrunbook.journey.diagnose.check import Check
from pgrunbook.journey.diagnose.foreign_keys import serving_indexes
from pgrunbook.journey.diagnose.index_advice import definitions, drop_index
from pgrunbook.journey.diagnose.index_copies import keepers
from pgrunbook.journey.diagnose.seen import Seen
from pgrunbook.journey.diagnose.trees import IndexTree, TableTree, index_trees, roots, table_trees
from pgrunbook.journey.observe.constraints import CONSTRAINTS
from pgrunbook.journey.observe.counters import COUNTERS, Counters
from pgrunbook.journey.observe.indexes import INDEX_DEFINITIONS, INDEX_USAGE, INDEXES, Index
from pgrunbook.journey.observe.relations import RELATIONS
from pgrunbook.journey.observe.table_activity import TABLE_ACTIVITY
from pgrunbook.model import Blind, Finding, Kind, ServerRole, Severity, Verdict
from pgrunbook.report.words import duration

RECENT_S = 7 * 86400.0  # a table whose other indexes were read within a week is in use
PAGE_BYTES = 8192
OWN_PLANS = 4  # who makes an index plans a few statements to see what it does; each touches one block


@dataclass(frozen=True, slots=True, kw_only=True)
class Limits:
    """When "never read" means something.

    Either the counters are old (`counters_age_s`: 35 days span a month's end, with its reports), and the table was
    scanned at all; or the table was scanned `table_scans` times by other means, however young the counters are: the
    same work will go on without this index.  From 16 on an index that was read, but not for `counters_age_s`, counts
    as unused too.  An index is brand-new while nobody has written to its table or planned a query on it since (VACUUM
    alone touches one block of it each time, CREATE INDEX CONCURRENTLY each block once), unless `old_xids` transactions
    have passed.  `small_bytes` is where dropping saves little (eight pages).
    """

    counters_age_s: float = 35 * 86400.0
    table_scans: int = 50
    old_xids: int = 1000
    small_bytes: int = 65536


def judge(seen: Seen, limits: Limits) -> Iterator[Verdict]:
    """One finding an index (partitioned ones as a whole); one Blind for all that the counters cannot tell of."""
    counters = seen.rows(COUNTERS)[0]
    if not counters.is_counting:
        yield Blind(reason="track_counts is off: nobody counts scans", cure="ALTER SYSTEM SET track_counts = on;")
        return
    if seen.server.role is ServerRole.STANDBY:
        yield Blind(reason="a standby counts its own scans only", cure="Ask the primary, and each standby beside it.")
        return
    tables, texts, needed = seen.derived(table_trees), definitions(seen), _needed(seen)
    latest, stands_for = _latest_scans(seen), seen.derived(keepers)
    young: list[str] = []
    for tree in roots(seen.derived(index_trees).values()):
        table = tables.get(tree.root.table_oid)
        if table is None or not _may_go(tree.root) or tree.root.oid in needed:
            continue
        idle_s = _idle_s(tree, latest.get(table.root.oid), counters)
        if stands_for.get(tree.root.oid) or (tree.scans and idle_s < limits.counters_age_s):
            continue  # read, or to be read once the index is gone that it makes superfluous
        is_new = tree.age_xids < limits.old_xids and _is_as_it_was_made(tree, table, limits)
        if not is_new and (tree.scans or _can_tell(table, counters, limits)):
            yield _finding(tree, table, counters, limits, texts.get(tree.root.oid), idle_s=idle_s)
        else:
            young.append(tree.root.qualified)
    if young:
        yield _too_early(young, counters)


def _is_as_it_was_made(tree: IndexTree, table: TableTree, limits: Limits) -> bool:
    """Nothing but its making and VACUUM seems to have touched it.  Only of B-trees it is known what making touches.

    A plain build asks for no block; one that is concurrent reads all but the metapage once more to validate itself
    (a few blocks tell nothing: a few plans touch as many).
    """
    if tree.root.access_method != "btree":
        return True
    if tree.blocks_touched <= table.vacuums:
        return True
    pages = tree.size_bytes // PAGE_BYTES
    validated = range(pages - len(tree.members), pages + table.vacuums + OWN_PLANS + 1)
    return tree.size_bytes >= limits.small_bytes and tree.blocks_touched in validated


def _too_early(young: Sequence[str], counters: Counters) -> Blind:
    which = f"index {young[0]}" if len(young) == 1 else f"{len(young)} indexes"
    return Blind(
        object=young[0] if len(young) == 1 else None,
        reason=f"too early to judge {which} that nothing has read: the counters cover {duration(counters.age_s)}, "
        "and the table was hardly scanned in them, or the index is new",
        cure="Ask again when the application has run for longer.",
    )


def _latest_scans(seen: Seen) -> dict[int, datetime]:
    """When any index of each table was read last, by the OID of the tree's root (16 and up)."""
    tables, latest = seen.derived(table_trees), dict[int, datetime]()
    for tree in roots(seen.derived(index_trees).values()):
        table = tables.get(tree.root.table_oid)
        if table is not None and tree.last_scan_at is not None:
            latest[table.root.oid] = max(tree.last_scan_at, latest.get(table.root.oid, tree.last_scan_at))
    return latest


def _idle_s(tree: IndexTree, latest: datetime | None, counters: Counters) -> float:
    """How long this index was not read while another one of its table was; 0 when nobody knows."""
    if tree.last_scan_at is None or latest is None or (counters.now_at - latest).total_seconds() > RECENT_S:
        return 0.0
    return (counters.now_at - tree.last_scan_at).total_seconds()


def _may_go(index: Index) -> bool:
    """An ordinary, valid index; those that enforce or identify something earn their keep without being read."""
    return (
        index.is_valid
        and not index.is_unique
        and not index.backs_constraint
        and not index.is_replica_identity
        and not index.is_clustered
        and not index.of_extension
    )


def _needed(seen: Seen) -> frozenset[int]:
    """Indexes that serve a foreign key which no index that is read or stays anyway serves: rare deletes need them."""
    serving, trees = seen.derived(serving_indexes), seen.derived(index_trees)
    kept = [oid for oid in serving if trees[oid].scans or not _may_go(trees[oid].root)]
    served = frozenset(key for oid in kept for key in serving[oid])
    return frozenset(oid for oid, keys in serving.items() if not keys <= served)


def _can_tell(table: TableTree, counters: Counters, limits: Limits) -> bool:
    return table.scans >= limits.table_scans or (counters.age_s >= limits.counters_age_s and table.scans > 0)


def _finding(
    tree: IndexTree,
    table: TableTree,
    counters: Counters,
    limits: Limits,
    definition: str | None,
    *,
    idle_s: float,
) -> Finding:
    index = tree.root
    return Finding(
        severity=Severity.NOTICE if tree.size_bytes < limits.small_bytes else Severity.WARNING,
        kind=Kind.INDEX,
        object=index.qualified,
        related=(index.table,),
        evidence={
            "table": index.table,
            "size_bytes": tree.size_bytes,
            "table_scans": table.scans,
            "table_writes": table.writes,
            "counters_age_s": None if tree.scans else round(counters.age_s),
            "last_scan_age_s": round(idle_s) if tree.scans else None,
            "replica_use": "unknown" if counters.may_have_replicas else None,
            "replicas": counters.walsenders,
        },
        advice=(drop_index(tree, definition),),
    )


CHECK = Check(
    needs=(INDEXES, INDEX_USAGE, RELATIONS, TABLE_ACTIVITY, COUNTERS, CONSTRAINTS),
    likes=(INDEX_DEFINITIONS,),
    judge=judge,
    limits=Limits(),
)
