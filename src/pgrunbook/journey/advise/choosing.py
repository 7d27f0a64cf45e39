"""Workload and engine → a set of indexes: look, walk, verify by asking, take out and walk again.

At each step every statement is asked what it would use beside the set of everything that still fits; what it then
reads is asked about alone, dearest promise for its size first.  Most answers are implied by earlier ones, so that some
twenty questions a statement are enough.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Sequence
from contextlib import suppress
from dataclasses import dataclass, field
from itertools import zip_longest

from pgrunbook.journey.advise.exploring import WORTH, Explorer, Pool, union, upto
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
FAIR_SHARES = 2  # of all questions divided by the statements: so many at most for one of them
SHARE_MIN = 10
VAIN_MAX = 20  # moves in a row that gave no better set: then nothing more is looked for
IMPOSSIBLE = 1 << 61  # the size of what the engine refused to try


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
        used = self._explore(explorer, prices, wanted, sizing)
        sizes = self._sizes(prices, explorer.pool, sizing)
        weights = [
            weighing(statement, cost) if (cost := prices.known(query, 0)) is not None else 0.0
            for query, statement in enumerate(self._statements)
        ]
        prices.reserve = min(len(self._all), wanted.calls_max // 4)  # for what the set chosen really costs
        terms = self._terms(wanted, prices, sizes, weights, [upkeep(c) for c in explorer.pool.candidates])
        config = _Search(prices, explorer, terms, used, sizes).best() if wanted.budget_bytes > 0 else 0
        numbers = tuple(bits(config))
        return ChosenSet(numbers=numbers, pool=explorer.pool, prices=prices, sizes=sizes, weights=weights, terms=terms)

    def _explore(self, explorer: Explorer, prices: Prices, wanted: Wanted, sizing: Sizing) -> int:
        for query in self._all:
            explorer.offer_own(query, self._statements[query])
        sizes = self._sizes(prices, explorer.pool, sizing)
        fitting = upto((1 << len(sizes)) - 1, sizes, min(wanted.budget_bytes, IMPOSSIBLE - 1))
        try:
            for query in self._all:
                prices.ask([query], 0)
            prices.reserve = prices.left // 2
            prices.share_max = max(SHARE_MIN, round(FAIR_SHARES * wanted.calls_max / max(1, len(self._all))))
            for scope in (explorer.narrow, explorer.plain, fitting):
                for query in self._all:
                    explorer.first_look(query, scope & fitting)
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
    """Walks that ask at each step: from nothing, then from the best set without one of its indexes."""

    def __init__(self, prices: Prices, explorer: Explorer, terms: Terms, used: int, sizes: Sequence[int]) -> None:
        self._prices = prices
        self._explorer = explorer
        self._terms = terms
        self._used = used
        self._sizes = sizes
        self._all = range(len(terms.weights))
        self._best = 0
        self._model = Model(prices.facts, terms)

    def best(self) -> int:
        """The best set that was verified, or, when no questions are left, the best by what is known."""
        with suppress(SpentError):
            self._walk(0, self._explorer.narrow)
            self._exchange()
        model = Model(self._prices.facts, self._terms)
        config = choose(model, self._best)
        self._prices.reserve, self._prices.share_max = 0, self._prices.calls + 1
        with suppress(SpentError):
            self._explorer.show(config)
            self._prices.ask(self._all, config)
        return Model(self._prices.facts, self._terms).pruned(config)

    def _walk(self, start: int, vocabulary: int, *, without: int = 0) -> None:
        """Take what gains most for its size, step by step; keep the set if it is the best so far.

        When the questions end half-way, what is known of the set must do.
        """
        model = self._model
        state = model.state(start)
        try:
            self._learn(state, self._all, start)
            while True:
                self._look(state, vocabulary & ~without, without=without)
                found = model.best(state, 1.0, without=without)
                if not found:
                    break
                model.move(state, state.config | found)
                self._learn(state, [q for q in self._all if self._prices.relevant[q] & found], state.config)
        finally:
            self._best = min((self._best, model.pruned(state.config)), key=model.total)

    def _look(self, state: State, vocabulary: int, *, without: int) -> None:
        """Ask what each statement would use beside a set, and what each of these indexes would do alone."""
        model, here = self._model, state.config
        vocabulary = upto(vocabulary, self._sizes, self._terms.budget_bytes - model.size(here))
        promised, readers = self._promised(state, vocabulary)
        density = {n: gain / max(self._sizes[n], 8192) for n, gain in promised.items()}
        for number in sorted(density, key=lambda n: -density[n]):
            if density[number] <= model.score(state, model.best(state, 1.0, without=without)):
                break
            self._learn(state, readers[number], here | 1 << number)

    def _promised(self, state: State, vocabulary: int) -> tuple[dict[int, float], dict[int, list[int]]]:
        """What each index could gain at most of those that statements would use beside a set, and which would."""
        config = state.config | vocabulary
        self._learn(state, self._all, config)
        promised: dict[int, float] = {}
        readers: dict[int, list[int]] = {}
        for query in self._all:
            plan = self._prices.plan(query, config)
            if plan is None or plan.cost >= WORTH * state.costs[query]:
                continue
            for number in bits(plan.used & ~state.config):
                gain = self._terms.weights[query] * (state.costs[query] - plan.cost)
                promised[number] = promised.get(number, -self._terms.upkeep[number]) + gain
                readers.setdefault(number, []).append(query)
        return {n: gain for n, gain in promised.items() if gain > self._terms.gain_min}, readers

    def _learn(self, state: State, queries: Iterable[int], config: int) -> None:
        facts = self._prices.facts
        before = {query: len(facts[query]) for query in queries}
        try:
            self._prices.ask(before, config)
        finally:
            for query, count in before.items():
                for fact in facts[query][count:]:
                    self._model.learn(query, fact, state)

    def _exchange(self) -> None:
        """Force in what promises most, or take out what is largest, and walk on, until that is mostly in vain."""
        tried: set[tuple[int, int, int]] = set()
        vocabulary = self._explorer.narrow | self._used
        vain = 0
        while vain < VAIN_MAX and (
            moves := [move for move in self._moves(vocabulary) if (self._best, *move) not in tried]
        ):
            entering, leaving = moves[0]
            tried.add((self._best, entering, leaving))
            start = self._best & ~leaving if leaving else self._model.making_room(self._best, entering)
            before = self._best
            self._walk(start, vocabulary, without=leaving)
            vain = vain + 1 if self._best == before else 0

    def _moves(self, vocabulary: int) -> list[tuple[int, int]]:
        """Which index to force into the best set, or else to take out of it, in turn."""
        fitting = upto(vocabulary, self._sizes, self._terms.budget_bytes)
        promised, _ = self._promised(self._model.state(self._best), fitting)
        entering = sorted(promised, key=lambda n: -promised[n])
        leaving = sorted(bits(self._best), key=lambda n: -self._sizes[n])
        moves = []
        for put_in, taken_out in zip_longest(entering, leaving):
            if put_in is not None:
                moves.append((1 << put_in, 0))
            if taken_out is not None:
                moves.append((0, 1 << taken_out))
        return moves
