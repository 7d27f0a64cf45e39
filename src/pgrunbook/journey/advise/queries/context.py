"""What insights and rewrites may look at: the statement, its plan, and the catalog's facts."""

from __future__ import annotations

import dataclasses
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from functools import cached_property
from typing import Any, TypeVar

from pgrunbook.journey.advise.indexes import advise_indexes
from pgrunbook.journey.advise.queries.statement import Query
from pgrunbook.journey.diagnose.index_advice import taken_names
from pgrunbook.journey.diagnose.proposed_index import advice_for
from pgrunbook.journey.diagnose.seen import Seen
from pgrunbook.journey.diagnose.trees import table_trees
from pgrunbook.journey.observe.constraints import CONSTRAINTS
from pgrunbook.journey.observe.explaining import Identity
from pgrunbook.journey.observe.extended_statistics import EXTENDED_STATISTICS, ExtendedStatistics
from pgrunbook.journey.observe.inheritance import INHERITANCE
from pgrunbook.journey.observe.settings import SETTINGS, by_name
from pgrunbook.journey.observe.table_activity import TABLE_ACTIVITY, TableActivity
from pgrunbook.journey.observe.triggers import TRIGGERS, Trigger
from pgrunbook.journey.workload import reading
from pgrunbook.journey.workload.access import Access, Accesses, Operation
from pgrunbook.journey.workload.candidate import Candidate, IndexKey, order_key
from pgrunbook.journey.workload.candidates import Thresholds
from pgrunbook.journey.workload.catalog import Catalog
from pgrunbook.journey.workload.demand import Rules, TextStatement
from pgrunbook.journey.workload.estimate import usable
from pgrunbook.journey.workload.facts import Facts, TableFacts
from pgrunbook.journey.workload.proposals import Extensions, is_ordered_type, proposals
from pgrunbook.journey.workload.walk import accesses_of
from pgrunbook.model import Advice, NotRead, Question, Snapshot, Value
from pgrunbook.model.advice import ProposedIndex
from pgrunbook.model.explanation import Insight
from pgrunbook.model.query_plan import PlanNode, QueryPlan
from pgrunbook.pg.parse import ParseFailed, Parser, Tree
from pgrunbook.report.words import sentences

Row = TypeVar("Row")
MAX_WIDTH = 3
_PLACES = frozenset({"location", "rexpr_list_start", "rexpr_list_end", "list_start", "list_end"})

QUESTIONS: tuple[Question[Any], ...] = tuple(
    dict.fromkeys(
        (
            *reading.NEEDS,
            *reading.LIKES,
            CONSTRAINTS,
            EXTENDED_STATISTICS,
            INHERITANCE,
            SETTINGS,
            TABLE_ACTIVITY,
            TRIGGERS,
        )
    )
)
# One statement by itself: whether the index is worth its upkeep is for `advise indexes` to say.
_THIS_ONE = Thresholds(calls_min=1, saved_ms_min=0.0, load_ratio_min=0.0, gain_min=3.0)
_OFTEN = 1_000_000.0


@dataclass(frozen=True, slots=True, kw_only=True)
class IndexCure:
    """An index that would serve a scan.  `size_bytes` is None where statistics do not tell that it is worth it."""

    advice: Advice
    reason: str
    size_bytes: int | None = None


@dataclass(frozen=True, kw_only=True)
class Context:
    """One statement with its plan and the facts; `path` is the search path along which its names are found.

    `volatile` are the names of volatile functions that running it would call; `is_veiled`: some of them stand in views
    or policies (or defaults), so that nobody knows which part of the statement calls them.
    """

    query: Query
    plan: QueryPlan
    snapshot: Snapshot
    parser: Parser
    identity: Identity
    path: tuple[str, ...]
    time_zone: str
    volatile: frozenset[str] = frozenset()
    is_veiled: bool = False

    @cached_property
    def facts(self) -> Facts:
        """Tables, columns, statistics, indexes."""
        return Facts(self.snapshot, self.parser)

    def with_query(self, query: Query) -> Context:
        """The same ground for another statement; what is known of tables is not gathered again."""
        made = dataclasses.replace(self, query=query)
        made.__dict__.update({name: self.__dict__[name] for name in ("facts", "seen") if name in self.__dict__})
        return made

    @cached_property
    def seen(self) -> Seen:
        """The observation as checks see it."""
        return Seen(snapshot=self.snapshot, parser=self.parser)

    @cached_property
    def catalog(self) -> Catalog:
        """What names mean along the search path."""
        return self.facts.catalog.along(self.path)

    @cached_property
    def accesses(self) -> Accesses:
        """What the statement asks of each table, row security counted in."""
        rules = Rules(self.snapshot, self.parser)
        return accesses_of(self.query.tree, self.catalog, rules.for_role(self.identity.name))

    @cached_property
    def candidates(self) -> tuple[ProposedIndex, ...]:
        """Indexes that statistics say would serve this statement."""
        weight = float(self.query.asked.calls or 0) or _OFTEN
        statement = TextStatement(text=self.query.text, weight=max(weight, _OFTEN))
        advice = advise_indexes(self.snapshot, statements=[statement], thresholds=_THIS_ONE, parser=self.parser)
        return advice.proposed

    def indexes_for(self, table: TableFacts) -> tuple[IndexCure, ...]:
        """Indexes on one table: those worth it by statistics of columns, else the widest that its conditions ask for.

        The planner may know a rare value where the reckoning knows the average one only.
        """
        found = tuple(
            IndexCure(advice=index.advice, reason=index.reason, size_bytes=index.size_bytes)
            for index in self.candidates
            if index.table == table.qualified
        )
        return found or tuple(self._by_shape(table))

    def _by_shape(self, table: TableFacts) -> Iterator[IndexCure]:
        for access in self.accesses_of_table(table):
            shapes = [*proposals(access, table, Extensions(), max_width=MAX_WIDTH), *_plain_shape(access, table)]
            wider = [c for c in shapes if c.keys and (c.equal or c.where) and not _exists(c, table)]
            if wider:
                best = max(wider, key=lambda c: (len(c.equal) + len(c.where), len(c.tail)))
                asked = [*best.columns, *(condition.sql for condition in best.where)]
                advice = self.advice_to_make(best)
                if advice is not None:
                    yield IndexCure(advice=advice, reason=f"it holds {', '.join(asked)}")
                return

    def sql(self, tree: Tree) -> str:
        """A statement's tree as text, read back to see that it says what was meant; raises ParseFailed where not."""
        text = self.parser.sql(tree)
        if _canonical(self.parser.statement(text)) != _canonical(tree):
            raise ParseFailed("the rewritten statement cannot be written down as it was meant")
        return text

    def advice_to_make(self, candidate: Candidate) -> Advice | None:
        """How to make an index; None where its table's definitions could not be read."""
        tree = self.seen.derived(table_trees).get(candidate.table_oid)
        if tree is None or candidate.table_oid in self.facts.locked:
            return None
        return advice_for(candidate, tree, taken_names(self.seen))

    @staticmethod
    def equal_columns(access: Access) -> tuple[str, ...]:
        """The plain columns that are compared with values for equality."""
        return tuple(
            dict.fromkeys(
                p.key.columns[0]
                for p in access.predicates
                if p.key.is_column and p.joined is None and p.operation in {Operation.EQUAL, Operation.IS_NULL}
            )
        )

    def optional(self, question: Question[Row]) -> tuple[Row, ...]:
        """The rows of a reading, none where it could not be had."""
        try:
            return self.snapshot.rows(question)
        except NotRead:
            return ()

    def known(self, question: Question[Row]) -> tuple[Row, ...] | None:
        """The rows of a reading on which a proof stands; None where it could not be had, so that nothing is proven."""
        try:
            return self.snapshot.rows(question)
        except NotRead:
            return None

    @cached_property
    def _activity(self) -> dict[int, TableActivity]:
        return {row.oid: row for row in self.optional(TABLE_ACTIVITY)}

    def activity(self, oid: int) -> TableActivity | None:
        """The counters of one table."""
        return self._activity.get(oid)

    @cached_property
    def _oids(self) -> dict[str, int]:
        return {table.relation.qualified: oid for oid, table in self.facts.catalog.tables.items()}

    def oid_of(self, node: PlanNode) -> int | None:
        """The table that a node reads (a partition itself, not its root)."""
        return self._oids.get(node.relation) if node.relation else None

    def table_of(self, node: PlanNode) -> TableFacts | None:
        """The facts of the table, or the partition tree, that a node reads."""
        oid = self.oid_of(node)
        return self.facts.of(oid) if oid is not None else None

    def accesses_of_table(self, table: TableFacts) -> tuple[Access, ...]:
        """What the statement asks of this table, once for each time that it names it."""
        root = table.table.oid
        return tuple(a for a in self.accesses.accesses if self.facts.catalog.root(a.table_oid) == root)

    @cached_property
    def extended(self) -> tuple[ExtendedStatistics, ...]:
        """Extended statistics objects."""
        return self.optional(EXTENDED_STATISTICS)

    def triggers_of(self, oid: int) -> tuple[Trigger, ...] | None:
        """Triggers that people made on a table; None where that is not known."""
        rows = self.known(TRIGGERS)
        return None if rows is None else tuple(t for t in rows if t.table_oid == oid and not t.is_internal)

    def setting_bytes(self, name: str, default: float) -> float:
        """A setting that is a size."""
        found = by_name(self.optional(SETTINGS)).get(name)
        return found.number if found is not None else default

    def setting_number(self, name: str, default: float) -> float:
        """A setting that is a number."""
        return self.setting_bytes(name, default)


def _canonical(tree: Any) -> Any:
    """A tree without places in the text, and with an AND within an AND taken as one."""
    if isinstance(tree, list | tuple):
        return [_canonical(item) for item in tree]
    if not isinstance(tree, Mapping):
        return tree
    made = {key: _canonical(value) for key, value in tree.items() if key not in _PLACES}
    node = made.get("bool_expr")
    if node is not None and node.get("boolop", "AND_EXPR") != "NOT_EXPR":
        args: list[Any] = []
        for arg in node.get("args", ()):
            inner = arg.get("bool_expr", {})
            args += inner["args"] if inner and inner.get("boolop") == node.get("boolop") else [arg]
        made = {"bool_expr": {**node, "args": args}}
    return made


def _plain_shape(access: Access, table: TableFacts) -> Iterator[Candidate]:
    """Columns compared by equality, then the order where only its beginning is wanted."""
    compared = [p for p in usable(access, table) if p.is_equality and p.joined is None and not p.key.refusal]
    plain = [p for p in compared if is_ordered_type(p.key, table)]
    equal = tuple(dict.fromkeys(IndexKey(key=p.key) for p in plain))[:MAX_WIDTH]
    is_ordered = access.limited and not any(order.nearest or order.key.refusal for order in access.order)
    tail = tuple(order_key(order) for order in access.order if order.key.is_column) if is_ordered else ()
    if equal:
        yield Candidate(table_oid=table.table.oid, equal=equal, tail=tuple(k for k in tail if k not in equal))


def _exists(candidate: Candidate, table: TableFacts) -> bool:
    """Whether a valid index begins with the candidate's keys (a partial one, if the candidate is partial)."""
    wanted = [key.key.canonical for key in candidate.keys]
    for existing in table.indexes:
        held = [key.canonical if key is not None else "" for key in existing.keys]
        is_alike = existing.is_partial == bool(candidate.where)
        if existing.index.is_valid and is_alike and held[: len(wanted)] == wanted:
            return True
    return False


def insight(
    name: str,
    title: str,
    says: str,
    *nodes: PlanNode,
    plan: QueryPlan,
    cures: tuple[Any, ...] = (),
    share: float | None = None,
    **evidence: Value,
) -> Insight:
    """An insight whose words are made from its evidence: a sentence with a figure that is missing is left out."""
    known = {key: value for key, value in evidence.items() if value is not None}
    if share is None and nodes:
        share = max(plan.share(node) for node in nodes)
    return Insight(
        name=name,
        title=title,
        detail=sentences(says, evidence),
        nodes=tuple(node.number for node in nodes),
        evidence=known,
        cures=cures,
        share=round(share, 4) if share is not None else None,
    )
