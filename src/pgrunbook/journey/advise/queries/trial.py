"""Tries a rewrite: the server plans it, runs it where that was asked for, and its rows are compared with the old ones.

What is planned is told apart from what was run: both sides of a comparison are of one kind.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

from pgrunbook.errors import RunbookError, UsageError
from pgrunbook.journey.advise.queries.statement import Query
from pgrunbook.journey.observe.explaining import Explainer
from pgrunbook.model import Basis
from pgrunbook.model.explanation import Comparison, Weight
from pgrunbook.model.query_plan import QueryPlan


@dataclass(frozen=True, slots=True, kw_only=True)
class Pair:
    """Two reads whose rows must be the same; `note` says what they are where they are not the two statements."""

    before: str
    after: str
    note: str = ""


@dataclass(frozen=True, slots=True, kw_only=True)
class Tried:
    """What both cost.  `trouble` says why that is not known; `is_refused`: the server does not take the text."""

    before: Weight | None = None
    after: Weight | None = None
    trouble: str = ""
    is_refused: bool = False


MakePair = Callable[["Trial"], Pair | None]


class Trial:
    """The statement at hand, and how far its rewrites are tried."""

    def __init__(
        self,
        explainer: Explainer,
        query: Query,
        plan: QueryPlan,
        *,
        analyze: bool,
        compare: bool,
        timeout_s: float,
        incomparable: str = "",
    ) -> None:
        self._explainer = explainer
        self._query = query
        self._plan = plan
        self._analyze = analyze
        self.compare = compare
        self._timeout_s = timeout_s
        self._incomparable = incomparable
        self._warm: QueryPlan | None = None

    def weigh(self, sql: str, *, parameters: int, may_run: bool) -> Tried:
        """What both cost: run where that was asked for and the rewrite can be, else planned."""
        try:
            if self._analyze and may_run and parameters == 0:
                after = self._explainer.run(sql, timeout_s=self._timeout_s)
                return Tried(before=weight_of(self._run_again()), after=weight_of(after))
            after = self._explainer.plan(sql, parameters=parameters)
            before = self._plan
            if before.is_measured:
                before = self._explainer.plan(self._query.text, parameters=self._query.asked.parameters)
        except RunbookError as exc:
            return Tried(trouble=exc.message, is_refused=isinstance(exc, UsageError))
        return Tried(before=weight_of(before), after=weight_of(after))

    def _run_again(self) -> QueryPlan:
        """The statement once more: its first run may have found cold caches, which a rewrite no longer does."""
        if self._warm is None:
            self._warm = self._explainer.run(self._query.text, timeout_s=self._timeout_s)
        return self._warm

    def compared(self, make: MakePair) -> tuple[Comparison | None, str]:
        """The rows of both sides, or why they were not compared."""
        if not self.compare or self._incomparable:
            return None, self._incomparable
        try:
            pair = make(self)
            if pair is None:
                return None, "its parameters have no values"
            before = self._explainer.digest(pair.before, timeout_s=self._timeout_s)
            after = self._explainer.digest(pair.after, timeout_s=self._timeout_s)
        except RunbookError as exc:
            return None, exc.message
        return (
            Comparison(before_rows=before.rows, after_rows=after.rows, is_equal=before == after, note=pair.note),
            "",
        )

    def first_row(self, sql: str) -> tuple[object, ...] | None:
        """The first row of a read."""
        return self._explainer.values(sql, timeout_s=self._timeout_s)

    def parameter_types(self) -> tuple[str, ...]:
        """What the server takes the statement's parameters for; () where it cannot say."""
        try:
            return self._explainer.parameter_types(self._query.text)
        except RunbookError:
            return ()


def weight_of(plan: QueryPlan) -> Weight:
    """A plan's cost, and its time and blocks where it was run."""
    blocks = plan.root.blocks
    return Weight(
        cost=plan.root.total_cost,
        basis=Basis.MEASURED if plan.is_measured else Basis.ESTIMATED,
        ms=plan.execution_ms,
        blocks=blocks.shared if blocks is not None else None,
    )
