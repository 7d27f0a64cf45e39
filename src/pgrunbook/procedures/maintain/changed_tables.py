"""Where to gather statistics: tables that changed much, and partitioned tables as a whole, which autovacuum never does.

ANALYZE of a partitioned table gathers its own statistics and those of every partition, so it takes their place.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from datetime import datetime, timedelta

from pgrunbook.journey.diagnose.autovacuum import NEEDS as UPKEEP
from pgrunbook.journey.diagnose.autovacuum import Upkeep, upkeep
from pgrunbook.journey.diagnose.seen import Seen
from pgrunbook.journey.diagnose.trees import TableTree, table_trees
from pgrunbook.journey.observe.relations import Relation
from pgrunbook.journey.observe.table_activity import TABLE_ACTIVITY, TableActivity
from pgrunbook.journey.steps.analyze import Analyze
from pgrunbook.procedures.maintain.may_maintain import MAY_MAINTAIN
from pgrunbook.procedures.maintain.selection import Chosen, LeftOut, Selection, limited
from pgrunbook.report.words import counted, figure, number

NEEDS = (*UPKEEP, MAY_MAINTAIN)
LIKES = ()
SAME_ROUND = timedelta(hours=1)  # ANALYZE of a tree comes to its leaves after its root


@dataclass(frozen=True, slots=True, kw_only=True)
class Limits:
    """A table at `ahead_ratio` of what makes autovacuum analyze it is done tonight rather than by day.

    Below `min_rows` the planner's sums hardly move; below `never_rows`, autovacuum's own threshold, its defaults serve.
    A partitioned table is stale when a `tree_ratio` of its rows changed or was analyzed anew since: autovacuum's own
    scale factor.
    """

    ahead_ratio: float = 0.5
    min_rows: int = 500
    never_rows: int = 50
    tree_ratio: float = 0.1


LIMITS = Limits()


@dataclass(frozen=True, slots=True, kw_only=True)
class _Want:
    relation: Relation
    reason: str
    weight: float


def choose(seen: Seen, max_steps: int) -> Selection:
    """A step for each table, the most changed first."""
    mine = {row.oid for row in seen.rows(MAY_MAINTAIN)}
    whole = _trees(seen)
    covered = {
        leaf.oid for tree in seen.derived(table_trees).values() if tree.root.oid in whole for leaf in tree.leaves
    }
    single = [
        want
        for table in seen.derived(upkeep)
        if table.relation.oid not in covered and (want := _want(table)) is not None
    ]
    left_out, chosen = [], []
    for want in sorted((*whole.values(), *single), key=lambda want: (-want.weight, want.relation.qualified)):
        if want.relation.oid not in mine:
            reason = f"it belongs to {want.relation.owner}"
            left_out.append(LeftOut(object=want.relation.qualified, reason=reason))
        else:
            step = Analyze(schema=want.relation.schema, table=want.relation.name)
            chosen.append(Chosen.of(step, want.reason))
    return limited(chosen, left_out, max_steps)


def _want(table: Upkeep) -> _Want | None:
    changed = table.activity.modified_rows
    if table.was_never_analyzed and table.activity.live_rows >= LIMITS.never_rows:
        words = f"never analyzed; {counted(table.activity.live_rows, 'row')}"
        return _Want(relation=table.relation, reason=words, weight=float("inf"))
    if changed < max(LIMITS.min_rows, LIMITS.ahead_ratio * table.analyze_trigger_rows):
        return None
    words = (
        f"{counted(changed, 'row')} changed since ANALYZE (autovacuum comes at {number(table.analyze_trigger_rows)})"
    )
    return _Want(relation=table.relation, reason=words, weight=changed / max(table.analyze_trigger_rows, 1.0))


def _trees(seen: Seen) -> Mapping[int, _Want]:
    """The partitioned tables that want ANALYZE as a whole, by OID."""
    activity = {row.oid: row for row in seen.rows(TABLE_ACTIVITY)}
    found = {}
    for tree in {tree.root.oid: tree for tree in seen.derived(table_trees).values() if tree.is_partitioned}.values():
        want = _tree(tree, activity)
        if want is not None:
            found[tree.root.oid] = want
    return found


def _tree(tree: TableTree, activity: Mapping[int, TableActivity]) -> _Want | None:
    leaves = [activity[leaf.oid] for leaf in tree.leaves if leaf.oid in activity]
    rows = max(tree.rows, 1.0)
    own = activity.get(tree.root.oid)
    last = own.last_analyze_at if own is not None else None
    if last is None:
        if sum(leaf.live_rows for leaf in leaves) < LIMITS.min_rows:
            return None
        words = f"partitioned, {counted(round(tree.rows), 'row')}, and never analyzed as a whole; autovacuum never does"
        return _Want(relation=tree.root, reason=words, weight=float("inf"))
    renewed = sum(leaf.live_rows if _was_renewed(leaf, last) else leaf.modified_rows for leaf in leaves)
    if renewed < max(LIMITS.min_rows, LIMITS.tree_ratio * rows):
        return None
    share = figure("share_ratio", round(min(renewed / rows, 1.0), 3))
    words = f"{share} of its rows lie in partitions that changed or were analyzed anew since it was, as a whole"
    return _Want(relation=tree.root, reason=words, weight=renewed / (LIMITS.tree_ratio * rows))


def _was_renewed(leaf: TableActivity, since: datetime) -> bool:
    by_hand, by_server = leaf.last_analyze_at, leaf.last_autoanalyze_at
    return (by_hand is not None and by_hand > since + SAME_ROUND) or (by_server is not None and by_server > since)
