"""Workload and planning engine → the set of indexes worth making within a budget, with before and after.

The sibling of `indexes`, which reckons by statistics alone and needs no planner.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from contextlib import ExitStack
from dataclasses import dataclass, replace
from typing import Final

from pgrunbook.errors import Unsupported
from pgrunbook.journey.advise.choosing import CALLS_MAX, UNLIMITED, Chooser, ChosenSet, Wanted
from pgrunbook.journey.advise.declining import declined_of
from pgrunbook.journey.advise.dropping import WORSE_RATIO, Drops, drops_of
from pgrunbook.journey.advise.indexes import superseded
from pgrunbook.journey.advise.shapes import Limits
from pgrunbook.journey.advise.sizes import Sizes
from pgrunbook.journey.advise.trust import confidence, past_row_security, unread_of
from pgrunbook.journey.advise.weighed import (
    Demand,
    Weighed,
    demand_of_counted,
    demand_of_file,
    excerpt,
    tables_of,
    usable,
)
from pgrunbook.journey.diagnose.index_advice import Taken, taken_names
from pgrunbook.journey.diagnose.proposed_index import advice_for
from pgrunbook.journey.diagnose.seen import Seen
from pgrunbook.journey.diagnose.trees import TableTree, table_trees
from pgrunbook.journey.diagnose.workload_blind import blind_spots
from pgrunbook.journey.planner.engine import Engine, TriedIndex
from pgrunbook.journey.planner.sizes import PAGE_BYTES
from pgrunbook.journey.planner.twin.agreement import Agreement
from pgrunbook.journey.workload.access import Write
from pgrunbook.journey.workload.candidate import Candidate
from pgrunbook.journey.workload.candidates import SCANNED_ROW_MS, Thresholds, choose
from pgrunbook.journey.workload.demand import Asked
from pgrunbook.journey.workload.facts import Facts
from pgrunbook.journey.workload.reading import Reckoned, extensions_of, reckon
from pgrunbook.journey.workload.upkeep import write_cost_ms, writes_of
from pgrunbook.model import Blind, Snapshot
from pgrunbook.model.advice import HelpedQuery, IndexAdvice, PlannerReport, ProposedIndex
from pgrunbook.pg.parse import Parser
from pgrunbook.report.words import counted

COST_MS: Final = SCANNED_ROW_MS / 0.0125  # a unit of the planner's cost: a scan counts 0.0125 for a row and condition
COST_FLOOR: Final = 10.0  # of all runs in a file together: less is a few microseconds
HELPED_RATIO: Final = 0.99
SPACE_RATIO: Final = 0.02
ROOMY_RATIO: Final = 0.5  # of the tables' size: a tighter budget has no room for indexes that carry columns besides
MARGIN_RATIO: Final = 0.07  # of a budget, where no existing index shows how good the sizes are; measured on TPC-H
STATEMENTS_MAX: Final = 400


class NothingPlanned(Unsupported):
    """Not one statement could be planned; the message says why."""


Agreeing = Callable[[Sequence[str]], Agreement]


@dataclass(frozen=True, slots=True, kw_only=True)
class Order:
    """What somebody asks for.  `text` is a file of statements; None: those that the server has counted.

    `by_engine_sizes`: reckon the budget in the engine's own sizes instead of the corrected model's.
    """

    text: str | None = None
    budget_bytes: int | None = None
    max_width: int = 3
    calls_max: int = CALLS_MAX
    by_engine_sizes: bool = False
    includes: bool = True


def advise_index_set(
    snapshot: Snapshot, engine: Engine, order: Order, *, agreeing: Agreeing | None = None, parser: Parser | None = None
) -> IndexAdvice:
    """Choose indexes with a planner.  `agreeing` compares it with the database's own, on the statements' texts.

    The snapshot must hold the readings of `workload.reading.NEEDS` (STATEMENTS only without a text); raises NotRead.
    Those of `dropping.questions` let it say which indexes can go.
    """
    with ExitStack() as stack:
        own = parser if parser is not None else stack.enter_context(Parser())
        return _Advisor(snapshot, engine, order, own).advice(agreeing)


class _Advisor:
    def __init__(self, snapshot: Snapshot, engine: Engine, order: Order, parser: Parser) -> None:
        self._seen = Seen(snapshot=snapshot, parser=parser)
        self._order = order
        self._engine = engine
        self._facts = Facts(snapshot, parser)
        self._is_counted = order.text is None
        self._demand, self._reckoned = _demand(snapshot, parser, self._facts, order)
        ranked = sorted(self._demand.statements, key=lambda s: -s.weight)
        self._statements, self._unseen = past_row_security(
            engine, ranked[:STATEMENTS_MAX], self._facts.catalog, snapshot.server.user
        )
        self._cut = ranked[STATEMENTS_MAX:]
        self._trees: Mapping[int, TableTree] = table_trees(self._seen)
        self._taken: Taken = taken_names(self._seen)
        self._sizes = Sizes(self._facts, tables_of(self._statements))
        self._writes = _counted_writes(self._demand, self._facts)

    def advice(self, agreeing: Agreeing | None) -> IndexAdvice:
        agreed = agreeing([s.text for s in self._statements]) if agreeing is not None and self._statements else None
        chosen = self._choose()
        if self._statements and len(chosen.prices.failed) == len(self._statements):
            why = next(iter(chosen.prices.failed.values()))
            raise NothingPlanned(
                f"none of {counted(len(self._statements), 'statement')} could be planned: {why}",
                hint="Advise as a role that may read the tables (pg_read_all_data), or --engine statistics.",
            )
        proposed = sorted(self._proposed(chosen), key=lambda index: index.write_cost_ms - index.saved_ms)
        drops = self._drops(chosen, proposed)
        return IndexAdvice(
            proposed=tuple(proposed),
            declined=tuple(declined_of(chosen, self._facts, self._statements, self._reckoned.choice)),
            blind=(*self._demand.blind, *self._blind(chosen), *drops.blind),
            workload_ms=self._demand.workload.total_ms,
            engine=self._engine.name,
            budget_bytes=self._order.budget_bytes,
            planner=self._report(chosen, agreed, drops.calls),
            dropped=drops.dropped,
        )

    def _drops(self, chosen: ChosenSet, proposed: Sequence[ProposedIndex]) -> Drops:
        made = [chosen.prices.definitions[number] for number in chosen.numbers]
        return drops_of(self._seen, self._engine, self._statements, proposed, made)

    def _choose(self) -> ChosenSet:
        order, thresholds = self._order, Thresholds()
        tables = [self._facts.of(oid) for oid in tables_of(self._statements)]
        tables_bytes = sum({t.table.oid: t.pages for t in tables}.values()) * PAGE_BYTES
        budget_bytes = self._room() if order.budget_bytes is not None else UNLIMITED
        includes = order.includes and budget_bytes >= ROOMY_RATIO * tables_bytes
        wanted = Wanted(
            budget_bytes=budget_bytes,
            gain_min=thresholds.saved_ms_min if self._is_counted else COST_FLOOR * COST_MS,
            space_ratio=SPACE_RATIO if order.budget_bytes is None else 0.0,
            tables_bytes=tables_bytes,
            calls_max=order.calls_max,
            limits=Limits(max_width=order.max_width, includes=includes),
        )
        chooser = Chooser(self._engine, self._statements, self._facts, extensions_of(self._seen.snapshot, self._facts))
        return chooser.choose(wanted, sizing=self._size, weighing=_weight, upkeep=self._upkeep)

    def _room(self) -> int:
        """The budget less what modelled sizes may be wrong by, so that the real ones keep within it."""
        budget_bytes = self._order.budget_bytes or 0
        if self._order.by_engine_sizes:
            return budget_bytes
        error = self._sizes.calibration.error_ratio
        return round(budget_bytes * (1 - min(MARGIN_RATIO, error if error is not None else MARGIN_RATIO)))

    def _size(self, candidate: Candidate, tried: TriedIndex) -> int:
        knows_share = bool(candidate.where) and self._engine.name == "twin"  # which rows it holds, by its statistics
        return tried.size_bytes if self._order.by_engine_sizes or knows_share else self._sizes.of(candidate)

    def _upkeep(self, candidate: Candidate) -> float:
        return write_cost_ms(candidate, self._writes)

    def _proposed(self, chosen: ChosenSet) -> Iterator[ProposedIndex]:
        locked = self._facts.locked
        for number in chosen.numbers:
            candidate = chosen.pool.candidates[number]
            tree, table = self._trees[candidate.table_oid], self._facts.of(candidate.table_oid)
            if locked & {member.oid for member in tree.members}:
                continue
            advice = advice_for(candidate, tree, self._taken)
            name = advice.step.params["name"] if advice.step is not None else advice.title.rpartition(" ")[2]
            helped = [
                q for q in _merged(self._helped(chosen, 1 << number)) if q.cost_after < q.cost_before * HELPED_RATIO
            ]
            if candidate.include:
                reason = f"is read by {', '.join(candidate.columns)} without looking into the table"
            else:
                reason = f"finds or orders rows by {', '.join(candidate.columns)}"
            yield ProposedIndex(
                table=table.qualified,
                name=str(name),
                method=candidate.method,
                columns=candidate.columns,
                predicate=candidate.where_sql,
                advice=advice,
                size_bytes=chosen.sizes[number],
                saved_ms=round(sum(query.saved_ms for query in helped), 3),
                write_cost_ms=round(self._upkeep(candidate), 3),
                queries=tuple(sorted(helped, key=lambda query: -query.saved_ms)),
                reason=reason,
                superseded=superseded(candidate, table),
            )

    def _helped(self, chosen: ChosenSet, index: int) -> Iterator[HelpedQuery]:
        """The statements that read an index; what they spare is shared by the new indexes that they read."""
        for query, statement in enumerate(self._statements):
            plan = chosen.prices.plan(query, chosen.config) if chosen.cost(query, 0) is not None else None
            if plan is not None and plan.used & index:
                yield _query(chosen, query, statement, shared_by=plan.used.bit_count())

    def _report(self, chosen: ChosenSet, agreed: Agreement | None, more_calls: int) -> PlannerReport:
        everything = _merged(
            _query(chosen, query, statement)
            for query, statement in enumerate(self._statements)
            if chosen.cost(query, 0) is not None
        )
        unit = 1.0 if self._is_counted else COST_MS
        level, reason = confidence(self._engine, agreed, list(self._blind(chosen)))
        return PlannerReport(
            total_before=round(chosen.total(0) / unit, 2),
            total_after=round(chosen.total(chosen.config) / unit, 2),
            unit="ms" if self._is_counted else "cost",
            whatif_calls=chosen.prices.calls + more_calls,
            statements=len(everything),
            confidence=level,
            confidence_reason=reason,
            worsened=tuple(q for q in everything if q.cost_after > WORSE_RATIO * q.cost_before),
            size_error_ratio=self._sizes.calibration.error_ratio,
        )

    def _blind(self, chosen: ChosenSet) -> Iterator[Blind]:
        for query, reason in chosen.prices.failed.items():
            yield Blind(reason=f"{excerpt(self._statements[query].text)}: {reason}")
        if self._cut:
            yield Blind(reason=f"{len(self._cut)} statements that weigh least were left out")
        yield from self._unseen
        spots = list(blind_spots(self._seen, self._reckoned))
        yield from spots
        yield from unread_of(self._engine, spots)
        locked = self._facts.locked
        for oid in dict.fromkeys(chosen.pool.candidates[n].table_oid for n in chosen.numbers):
            if locked & {member.oid for member in self._trees[oid].members}:
                yield Blind(
                    object=self._trees[oid].qualified,
                    reason="its index definitions are locked, so that an index may be there already",
                    cure="Try again when the lock is gone.",
                )


def _demand(snapshot: Snapshot, parser: Parser, facts: Facts, order: Order) -> tuple[Demand, Reckoned]:
    """The statements to plan for; and what statistics say of them, for the reasons of what they decline."""
    thresholds = Thresholds()
    if order.text is None:
        reckoned = reckon(snapshot, parser, thresholds=thresholds, max_width=order.max_width, facts=facts)
        return demand_of_counted(snapshot, reckoned.workload, facts.catalog, parser), reckoned
    demand = usable(demand_of_file(order.text, parser, facts.catalog))
    extensions = extensions_of(snapshot, facts)
    choice = choose(demand.workload, facts, extensions, thresholds=thresholds, max_width=order.max_width)
    return demand, Reckoned(choice=choice, workload=demand.workload, facts=facts)


def _weight(statement: Weighed, cost: float) -> float:
    """Milliseconds for a unit of a statement's cost: as measured, or as usual times the weight."""
    asked = statement.asked
    if not asked.is_counted:
        return statement.weight * COST_MS
    measured_ms = asked.total_ms / max(cost, 0.01)
    is_write = any(access.write is not None for access in asked.accesses.accesses)
    return min(measured_ms, asked.calls * COST_MS) if is_write else measured_ms  # writing is no part of a plan's cost


def _counted_writes(demand: Demand, facts: Facts) -> Mapping[int, Sequence[tuple[Asked, Write]]]:
    """The writes; of a file's statements nobody has counted the rows: one for each run."""
    asked = tuple(a if a.is_counted else replace(a, rows=a.calls) for a in demand.workload.asked)
    return writes_of(replace(demand.workload, asked=asked), facts)


def _merged(queries: Iterable[HelpedQuery]) -> list[HelpedQuery]:
    """A statement that was planned in several ways as one again: the mean of its costs, the sum of its times."""
    groups: dict[tuple[int | None, str | None, str], list[HelpedQuery]] = {}
    for query in queries:
        groups.setdefault((query.queryid, query.role, query.text), []).append(query)
    return [
        replace(
            many[0],
            mean_ms=round(sum(one.mean_ms or 0.0 for one in many), 3) if many[0].mean_ms is not None else None,
            cost_before=round(sum(one.cost_before for one in many) / len(many), 2),
            cost_after=round(sum(one.cost_after for one in many) / len(many), 2),
            saved_ms=round(sum(one.saved_ms for one in many), 3),
        )
        for many in groups.values()
    ]


def _query(chosen: ChosenSet, query: int, statement: Weighed, *, shared_by: int = 1) -> HelpedQuery:
    asked = statement.asked
    before, after = chosen.cost(query, 0) or 0.0, chosen.cost(query, chosen.config) or 0.0
    return HelpedQuery(
        queryid=asked.queryids[0] if asked.is_counted else None,
        role=asked.role,
        text=asked.query,
        calls=asked.calls,
        mean_ms=round(asked.mean_ms, 3) if asked.is_counted else None,
        rows_before=None,
        rows_after=None,
        cost_before=round(before, 2),
        cost_after=round(after, 2),
        saved_ms=round(chosen.weights[query] * (before - after) / max(1, shared_by), 3),
    )
