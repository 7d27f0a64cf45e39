"""Which existing indexes can go: nothing reads them, another one does their work, or a proposed one will.

What may go is judged by the checks of `diagnose` (scans, constraints, foreign keys, replica identity), and by what the
proposed indexes supersede.  The engine must agree: the workload is planned with the proposed indexes, with and without
those that are to go, and what a statement would miss stays.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Any, Final

from pgrunbook.journey.advise.weighed import Weighed
from pgrunbook.journey.diagnose.check import all_checks
from pgrunbook.journey.diagnose.engine import judge
from pgrunbook.journey.diagnose.index_advice import definitions, drop_index
from pgrunbook.journey.diagnose.seen import Seen
from pgrunbook.journey.diagnose.trees import IndexTree, TableTree, index_trees, roots, table_trees
from pgrunbook.journey.planner.engine import CannotPlan, Engine, Explained, Trial, nodes
from pgrunbook.model import Advice, Blind, Finding, Question
from pgrunbook.model.advice import DroppedIndex, ProposedIndex

CHECKS: Final = ("duplicate_index", "redundant_index", "unused_index")
_WHY: Final = {"duplicate_index": "duplicate", "redundant_index": "redundant", "unused_index": "unused"}
WORSE_RATIO: Final = 1.05  # more than this is said, and no index is dropped for it


def questions() -> tuple[Question[Any], ...]:
    """What the checks ask of the server."""
    chosen = [all_checks()[name].check for name in CHECKS]
    return tuple(dict.fromkeys(question for check in chosen for question in (*check.needs, *check.likes)))


@dataclass(frozen=True, slots=True, kw_only=True)
class Drops:
    """What can go, the largest first; what could not be judged; how many what-if plans that took."""

    dropped: tuple[DroppedIndex, ...] = ()
    blind: tuple[Blind, ...] = ()
    calls: int = 0


def drops_of(
    seen: Seen, engine: Engine, statements: Sequence[Weighed], proposed: Sequence[ProposedIndex], made: Sequence[str]
) -> Drops:
    """Judge the existing indexes beside the proposed ones, which `made` gives as statements for the engine."""
    candidates, blind = _candidates(seen, proposed)
    if not candidates:
        return Drops(blind=blind)
    trial = _Verification(engine, statements, made, seen)
    kept, unverified = trial.kept(candidates)
    dropped = [_alone(one) if one.because_of in kept else one for one in candidates if one.name in kept]
    return Drops(
        dropped=tuple(sorted(dropped, key=lambda one: (-one.size_bytes, one.name))),
        blind=(*blind, *unverified),
        calls=trial.calls,
    )


def _candidates(seen: Seen, proposed: Sequence[ProposedIndex]) -> tuple[list[DroppedIndex], tuple[Blind, ...]]:
    """Each index once: what a proposed one supersedes first, for that holds whatever its counters say."""
    found = {one.name: one for one in _superseded(seen, proposed)}
    diagnosis = judge(seen.snapshot, [all_checks()[name] for name in CHECKS])
    for finding in diagnosis.findings:
        for one in _from_finding(finding, seen):
            found.setdefault(one.name, one)
    blind = tuple(replace(each, reason=f"indexes to drop: {each.reason}") for each in diagnosis.blind)
    return list(found.values()), blind


def _superseded(seen: Seen, proposed: Sequence[ProposedIndex]) -> Iterator[DroppedIndex]:
    texts = definitions(seen)
    by_name = {tree.root.qualified: tree for tree in roots(seen.derived(index_trees).values())}
    for new in proposed:
        for name in new.superseded:
            tree = by_name.get(name)
            if tree is None or not tree.root.is_valid or tree.root.is_clustered or tree.root.of_extension:
                continue
            yield _dropped(
                tree,
                drop_index(tree, texts.get(tree.root.oid)),
                why="superseded",
                reason=f"{new.name}, which is proposed, begins with its keys and serves what it serves",
                because_of=new.name,
            )


def _from_finding(finding: Finding, seen: Seen) -> Iterator[DroppedIndex]:
    """The indexes that the finding's advice drops."""
    because = finding.related[0] if finding.check != "unused_index" and finding.related else ""
    by_title = {}
    for tree in roots(seen.derived(index_trees).values()):
        if (
            tree.root.table in {finding.evidence.get("table"), *finding.related}
            or tree.root.qualified == finding.object
        ):
            by_title[drop_index(tree, None).title] = tree
    for advice in finding.advice:
        tree_of = by_title.get(advice.title)
        if tree_of is not None:  # else it drops a constraint, which is no matter of speed
            yield _dropped(
                tree_of, advice, why=_WHY[finding.check], reason=finding.detail.rstrip("."), because_of=because
            )


def _alone(one: DroppedIndex) -> DroppedIndex:
    """Its stand-in goes, too: the checks call a stand-in unused only where neither of the two is read."""
    reason = f"nothing has read it, nor {one.because_of}, which could do its work and goes as well"
    return replace(one, why="unused", because_of="", reason=reason)


def _dropped(tree: IndexTree, advice: Advice, *, why: str, reason: str, because_of: str) -> DroppedIndex:
    index = tree.root
    return DroppedIndex(
        table=index.table,
        name=index.qualified,
        why=why,
        reason=reason,
        because_of=because_of,
        advice=advice,
        size_bytes=tree.size_bytes,
        scans=tree.scans,
    )


class _Verification:
    """Plans the workload with the proposed indexes, and then without those that are to go."""

    def __init__(self, engine: Engine, statements: Sequence[Weighed], made: Sequence[str], seen: Seen) -> None:
        self._engine = engine
        self._statements = statements
        self._made = made
        self._tables: Mapping[int, TableTree] = seen.derived(table_trees)
        all_indexes = roots(seen.derived(index_trees).values())
        self._parts = {t.root.qualified: frozenset(member.name for member in t.members) for t in all_indexes}
        self._table_names = {t.root.qualified: self._names_of_table(t.root.table_oid) for t in all_indexes}
        self.calls = 0

    def kept(self, candidates: Sequence[DroppedIndex]) -> tuple[frozenset[str], tuple[Blind, ...]]:
        """The names of those that no statement misses, and what could not be tried."""
        gone = [one.name for one in candidates]
        with self._engine.trying(self._made) as trial:
            before = {n: plan for n in range(len(self._statements)) if (plan := self._plan(trial, n)) is not None}
        read = {name: [n for n, plan in before.items() if plan.used & self._parts[name]] for name in gone}
        gone = [one.name for one in candidates if one.why != "unused" or not read[one.name]]
        while gone:
            try:
                missed = self._missed(gone, before)
            except CannotPlan as exc:
                return self._unread(gone, read, exc)
            if not missed:
                break
            gone = [name for name in gone if name not in missed]
        return frozenset(gone), ()

    def _missed(self, gone: Sequence[str], before: Mapping[int, Explained]) -> frozenset[str]:
        """Those that a statement misses which gets dearer without all of these."""
        missed: set[str] = set()
        with self._engine.trying(self._made, gone) as trial:
            for n, plan in before.items():
                touched = {name for name in gone if self._touches(plan, name)}
                after = self._plan(trial, n) if touched else None
                if after is not None and after.cost > WORSE_RATIO * plan.cost:
                    missed |= {name for name in touched if plan.used & self._parts[name]} or touched
        return frozenset(missed)

    def _unread(
        self, gone: Sequence[str], read: Mapping[str, Sequence[int]], exc: CannotPlan
    ) -> tuple[frozenset[str], tuple[Blind, ...]]:
        """The engine cannot leave indexes out: what no plan reads can go all the same."""
        unknown = [name for name in gone if read[name]]
        blind = [
            Blind(object=name, reason=f"whether it can be dropped could not be tried: {exc.message}", cure=exc.hint)
            for name in unknown
        ]
        return frozenset(gone) - frozenset(unknown), tuple(blind)

    def _plan(self, trial: Trial, number: int) -> Explained | None:
        statement = self._statements[number]
        self.calls += 1
        try:
            return trial.explain(statement.text, role=statement.role, settings=statement.settings)
        except CannotPlan:
            return None

    def _touches(self, plan: Explained, name: str) -> bool:
        tables = self._table_names[name]
        return any(node.get("Relation Name") in tables for node in nodes(plan.plan))

    def _names_of_table(self, oid: int) -> frozenset[str]:
        tree = self._tables.get(oid)
        return frozenset(member.name for member in tree.members) if tree is not None else frozenset()
