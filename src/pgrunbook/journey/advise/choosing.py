"""Workload and engine → a set of indexes: explore, choose by what is known, verify by asking, exchange, verify again.

The search works on what the planner has answered and asks on only where that could change the choice, so that a few
questions a statement are enough.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass, field

from pgrunbook.journey.advise.exploring import Explorer, Pool, union
from pgrunbook.journey.advise.pricing import Priced, Prices, SpentError, bits
from pgrunbook.journey.advise.search import Model, State, Terms, choose
from pgrunbook.journey.advise.shapes import Limits
from pgrunbook.journey.advise.weighed import Weighed
from pgrunbook.journey.planner.engine import Engine, TriedIndex
from pgrunbook.journey.workload.candidate import Candidate
from pgrunbook.journey.workload.facts import Facts
from pgrunbook.journey.workload.proposals import Extensions

CALLS_MAX = 2500
UNLIMITED = 1 << 62
IMPOSSIBLE = 1 << 61  # the size of what the engine refused to try
CHAIN_MAX = 6
BRANCHES = ((1, 3), (4, 3), (16, 3))  # of the budget such a part, and so many questions a statement
WALKS = (1.0,)  # how much size counts against gain
PARTS = (16, 4, 2, 8)  # of the budget: how large what is looked at beside a choice may be, round by round
RESERVE_SHARE = 0.45  # of the questions, kept from exploring for choosing


@dataclass(frozen=True, slots=True, kw_only=True)
class Wanted:
    """What the set must keep to.

    `gain_ratio_min`: of all costs, what each index must spare, and `gain_min` the same in their unit.
    `space_ratio`: of all costs, what an index as large as all tables must spare where no budget says what space is
    worth.
    """

    budget_bytes: int = UNLIMITED
    count_max: int = 100
    gain_ratio_min: float = 0.0002
    gain_min: float = 0.0
    space_ratio: float = 0.0
    tables_bytes: int = 1
    calls_max: int = CALLS_MAX
    limits: Limits = field(default_factory=Limits)


@dataclass(frozen=True, slots=True, kw_only=True)
class ChosenSet:
    """The set by numbers, and all that was learnt on the way.  `weights` turn a statement's cost into the total's."""

    numbers: tuple[int, ...]
    pool: Pool
    prices: Prices
    sizes: Sequence[int]
    weights: Sequence[float]
    terms: Terms

    @property
    def config(self) -> int:
        """The set as bits."""
        return union(1 << number for number in self.numbers)

    def cost(self, query: int, config: int) -> float | None:
        """What a statement costs with a set, at most; None when it could not be planned."""
        if query in self.prices.failed or not self.prices.facts[query]:
            return None
        return self.prices.ceiling(query, config)

    def total(self, config: int) -> float:
        """Weighted costs of all statements that were planned."""
        costs = [self.cost(query, config) for query in range(len(self.weights))]
        return sum(weight * cost for weight, cost in zip(self.weights, costs, strict=True) if cost is not None)


Sizing = Callable[[Candidate, TriedIndex], int]
Weighing = Callable[[Weighed, float], float]
Upkeep = Callable[[Candidate], float]


class Chooser:
    """One search.  `sizing` says how large an index is, `weighing` what a unit of a statement's cost counts."""

    def __init__(self, engine: Engine, statements: Sequence[Weighed], facts: Facts, extensions: Extensions) -> None:
        self._engine = engine
        self._statements = statements
        self._facts = facts
        self._extensions = extensions
        self._all = range(len(statements))

    def choose(self, wanted: Wanted, *, sizing: Sizing, weighing: Weighing, upkeep: Upkeep) -> ChosenSet:
        """Search.  Asks the engine at most `wanted.calls_max` questions."""
        priced = [Priced(text=s.text, role=s.role, settings=s.settings) for s in self._statements]
        prices = Prices(self._engine, priced, calls_max=wanted.calls_max)
        explorer = Explorer(prices, self._facts, self._extensions, wanted.limits)
        prices.reserve = round(wanted.calls_max * RESERVE_SHARE)
        used = self._explore(explorer, prices)
        sizes = self._sizes(prices, explorer.pool, sizing)
        room = min(wanted.budget_bytes, sum(sizes[n] for n in bits(used) if sizes[n] < IMPOSSIBLE))
        try:
            for query in self._all:
                explorer.chain(query, _upto(used, sizes, room), sizes, asks_max=CHAIN_MAX)
            for query in self._all:
                explorer.singles(query, _upto(used, sizes, room))
            for part, asks_max in BRANCHES:
                for query in self._all:
                    explorer.branch(query, _upto(used, sizes, room // part), asks_max=asks_max)
        except SpentError:
            pass  # what is known by now must do
        prices.reserve = 0
        weights = [
            weighing(statement, cost) if (cost := prices.known(query, 0)) is not None else 0.0
            for query, statement in enumerate(self._statements)
        ]
        terms = self._terms(wanted, prices, sizes, weights, [upkeep(c) for c in explorer.pool.candidates])
        config = _Search(prices, explorer, terms, used, sizes).best() if wanted.budget_bytes > 0 else 0
        numbers = tuple(bits(config))
        return ChosenSet(numbers=numbers, pool=explorer.pool, prices=prices, sizes=sizes, weights=weights, terms=terms)

    def _explore(self, explorer: Explorer, prices: Prices) -> int:
        for query in self._all:
            explorer.offer_own(query, self._statements[query])
        try:
            for query in self._all:
                explorer.first_look(query)
        except SpentError:
            for query in self._all:
                if not prices.facts[query]:
                    prices.failed.setdefault(query, "the questions to the planner were spent on dearer statements")
        return explorer.widen(self._statements)

    def _sizes(self, prices: Prices, pool: Pool, sizing: Sizing) -> list[int]:
        """The size of every candidate; those that nobody has tried are tried now, in one go."""
        missing = [n for n in range(len(prices.definitions)) if n not in prices.tried]
        with self._engine.trying([prices.definitions[n] for n in missing]) as trial:
            prices.tried.update(zip(missing, trial.indexes, strict=True))
        return [
            sizing(candidate, prices.tried[n]) if prices.tried[n].refused is None else IMPOSSIBLE
            for n, candidate in enumerate(pool.candidates)
        ]

    def _terms(
        self, wanted: Wanted, prices: Prices, sizes: Sequence[int], weights: Sequence[float], upkeep: Sequence[float]
    ) -> Terms:
        total = sum(weights[q] * (prices.known(q, 0) or 0.0) for q in self._all)
        space = wanted.space_ratio * total / max(1, wanted.tables_bytes)
        return Terms(
            sizes=sizes,
            upkeep=[cost + space * size for cost, size in zip(upkeep, sizes, strict=True)],
            weights=weights,
            budget_bytes=wanted.budget_bytes,
            count_max=wanted.count_max,
            gain_min=max(wanted.gain_min, wanted.gain_ratio_min * total),
        )


class _Search:
    """Greedy walks that ask after each step, then exchanges that are asked about."""

    def __init__(self, prices: Prices, explorer: Explorer, terms: Terms, used: int, sizes: Sequence[int]) -> None:
        self._prices = prices
        self._explorer = explorer
        self._terms = terms
        self._used = used
        self._sizes = sizes
        self._all = range(len(terms.weights))
        self._best: tuple[float, int] = (float("inf"), 0)

    def best(self) -> int:
        """The best set that was verified, or, when no questions are left, the best by what is known."""
        self._offer(0)
        try:
            for exponent in WALKS:
                self._walk(exponent)
            self._exchange()
        except SpentError:
            if not self._best[1]:
                self._offer(choose(self._model()))
        return self._model().pruned(self._best[1])

    def _model(self) -> Model:
        return Model(self._prices.facts, self._terms)

    def _offer(self, config: int) -> None:
        self._best = min(self._best, (self._model().total(config), config))

    def _walk(self, exponent: float) -> None:
        model = self._model()
        state = model.state(0)
        while found := model.best(state, exponent):
            model.move(state, state.config | found)
            self._verify(model, state, [q for q in self._all if self._prices.relevant[q] & found])
        self._explorer.show(state.config)
        self._verify(model, state, self._all)
        self._offer(self._model().pruned(state.config))

    def _verify(self, model: Model, state: State, queries: Iterable[int]) -> None:
        facts = self._prices.facts
        before = {query: len(facts[query]) for query in queries}
        try:
            self._prices.ask(before, state.config)
        finally:
            for query, count in before.items():
                for fact in facts[query][count:]:
                    model.learn(query, fact, state)

    def _exchange(self) -> None:
        """Choose by all that is known, ask what that really costs, look around it, until nothing new is chosen."""
        tried: set[int] = set()
        for part in PARTS:
            config = choose(self._model(), self._best[1])
            if config not in tried:
                tried.add(config)
                self._explorer.show(config)
                self._prices.ask(self._all, config)
                self._offer(config)
            config = self._best[1]
            taken = sum(self._sizes[n] for n in bits(config))
            room = max(self._terms.budget_bytes // part, self._terms.budget_bytes - taken)
            before = self._prices.calls
            for query in self._all:
                self._explorer.branch(query, config | _upto(self._used, self._sizes, room), asks_max=2)
            if self._prices.calls == before and part == PARTS[-1]:
                return


def _upto(config: int, sizes: Sequence[int], limit_bytes: int) -> int:
    """Those of a set that are no larger."""
    return union(1 << n for n in bits(config) if sizes[n] <= limit_bytes)
