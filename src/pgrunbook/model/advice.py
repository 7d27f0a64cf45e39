"""What an advisor says about indexes: what to make, what it would bring and cost, what was declined and why."""

from __future__ import annotations

from dataclasses import dataclass

from pgrunbook.model.verdict import Advice, Blind


@dataclass(frozen=True, slots=True, kw_only=True)
class HelpedQuery:
    """A statement that an index would make cheaper.  Rows and costs are a call's, in that index's table.

    `queryid` is None for a statement that came from a file.  Reckoned by statistics, costs are in rows of a sequential
    scan; a planner's costs are in its own units, with all proposed indexes there, and it counts no rows of the table.
    """

    queryid: int | None
    role: str | None
    text: str
    calls: int
    mean_ms: float | None
    rows_before: float | None
    rows_after: float | None
    cost_before: float
    cost_after: float
    saved_ms: float


@dataclass(frozen=True, slots=True, kw_only=True)
class ProposedIndex:
    """One index to make.  Every figure is an estimate.

    `saved_ms` is what the counted statements would have spared, `write_cost_ms` what keeping the index up to date would
    have cost in the same time.  `superseded` are existing indexes that it makes superfluous.
    """

    table: str
    name: str
    method: str
    columns: tuple[str, ...]
    predicate: str | None
    advice: Advice
    size_bytes: int
    saved_ms: float
    write_cost_ms: float
    queries: tuple[HelpedQuery, ...]
    reason: str
    superseded: tuple[str, ...] = ()

    @property
    def net_ms(self) -> float:
        """What it spares, writes paid for."""
        return self.saved_ms - self.write_cost_ms


@dataclass(frozen=True, slots=True, kw_only=True)
class DeclinedIndex:
    """What was thought of, or asked for by a condition, and gets no index.  `columns` may be expressions."""

    table: str
    columns: tuple[str, ...]
    reason: str
    queryids: tuple[int, ...] = ()


@dataclass(frozen=True, slots=True, kw_only=True)
class DroppedIndex:
    """One existing index that can go, with all proposed ones there.  `why`: unused, duplicate, redundant or superseded.

    `because_of` is the index that does its work, "" where none has to.  `scans` are those that the server has counted.
    """

    table: str
    name: str
    why: str
    reason: str
    because_of: str
    advice: Advice
    size_bytes: int
    scans: int | None


@dataclass(frozen=True, slots=True, kw_only=True)
class PlannerReport:
    """What a planner says of the whole, and how far it is to be trusted.

    Totals are in `unit`: `ms` of the counted statements' time, shared out as their costs change; or `cost`, the
    planner's unit times the weights of a file.  `worsened` are statements that cost 5 % more or worse still.
    `size_error_ratio`: how far the sizes of existing indexes are from what the model says of them.
    """

    total_before: float
    total_after: float
    unit: str
    whatif_calls: int
    statements: int
    confidence: str
    confidence_reason: str
    worsened: tuple[HelpedQuery, ...] = ()
    size_error_ratio: float | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class IndexAdvice:
    """All of it, the most worth first.  `engine` says what reckoned: `statistics`, or a planner, which then reports.

    `engine_reason` says why it was not the one that was wished for.  `dropped` only a planner proposes: without them
    no statement costs 5 % more.
    """

    proposed: tuple[ProposedIndex, ...]
    declined: tuple[DeclinedIndex, ...]
    blind: tuple[Blind, ...]
    workload_ms: float
    engine: str = "statistics"
    budget_bytes: int | None = None
    planner: PlannerReport | None = None
    engine_reason: str = ""
    dropped: tuple[DroppedIndex, ...] = ()

    @property
    def size_bytes(self) -> int:
        """What all proposed indexes take together."""
        return sum(index.size_bytes for index in self.proposed)

    @property
    def saved_ms(self) -> float:
        """What all proposed indexes spare together."""
        return sum(index.saved_ms for index in self.proposed)
