"""Choosing a set of indexes under a budget from what is known of costs: greedy by gain for size, then exchanges.

The model: a statement costs the least of its known plans whose indexes are all there.  It never promises too much, so
what it chooses can be verified by asking, and each answer makes it better.
"""

from __future__ import annotations

import bisect
from collections.abc import Sequence
from dataclasses import dataclass
from operator import itemgetter, mul

from pgrunbook.journey.advise.pricing import Known, bits

EXPONENTS = (1.0, 0.6)  # how much size counts against gain; the best result is taken
TRIALS_MAX = 50  # of the exchanges in one choice; a count, so that the same answers give the same choice


@dataclass(frozen=True, slots=True, kw_only=True)
class Terms:
    """What a choice must keep to.  `upkeep` is what each index costs in writes, in the unit of weighted costs.

    `gain_min`: what an index must spare in all.
    """

    sizes: Sequence[int]
    upkeep: Sequence[float]
    weights: Sequence[float]
    budget_bytes: int
    count_max: int
    gain_min: float


@dataclass(slots=True)
class State:
    """A set of indexes, what each statement costs with it, and what each bundle would spare beside it, writes apart."""

    config: int
    costs: list[float]
    spared: list[float]

    def copy(self) -> State:
        """The same, to be changed apart."""
        return State(config=self.config, costs=list(self.costs), spared=list(self.spared))

    def total(self, model: Model) -> float:
        """Weighted costs of all statements, and of the writes."""
        weighted: float = sum(map(mul, model.terms.weights, self.costs))
        return weighted + model.upkeep(self.config)


class Model:
    """The known plans of each statement, those that no other one beats."""

    def __init__(self, facts: Sequence[Sequence[Known]], terms: Terms) -> None:
        self.terms = terms
        self._sizes: dict[int, int] = {}
        self._touched: dict[int, list[int]] = {}
        self.plans: list[list[tuple[int, float]]] = [_best(of_one) for of_one in facts]
        self.affected: dict[int, list[int]] = {}
        self.bundles: list[int] = []
        self._masks = [_union(plans) for plans in self.plans]
        self._costs: list[dict[int, float]] = [{} for _ in self.plans]
        self._of_bundle: dict[int, int] = {}
        self._on_query: dict[int, list[int]] = {}
        for query in range(len(self.plans)):
            for number in bits(self._masks[query]):
                self.affected.setdefault(number, []).append(query)
        for bundle in dict.fromkeys(used for plans in self.plans for used, _ in plans if used):
            if self.size(bundle) <= terms.budget_bytes:
                self._add(bundle)

    def size(self, config: int) -> int:
        """Bytes of a set."""
        known = self._sizes.get(config)
        if known is None:
            known = self._sizes[config] = sum(self.terms.sizes[n] for n in bits(config))
        return known

    def upkeep(self, config: int) -> float:
        """What the writes of a set cost."""
        return sum(self.terms.upkeep[n] for n in bits(config))

    def touched(self, config: int) -> list[int]:
        """The statements with a plan that uses any of these."""
        known = self._touched.get(config)
        if known is None:
            known = sorted({query for n in bits(config) for query in self.affected.get(n, ())})
            self._touched[config] = known
        return known

    def cost(self, query: int, config: int) -> float:
        """The least of the known plans that need nothing else."""
        part = config & self._masks[query]
        known = self._costs[query].get(part)
        if known is None:
            known = self._costs[query][part] = self._least(query, part)
        return known

    def _least(self, query: int, config: int) -> float:
        for used, cost in self.plans[query]:
            if not used & ~config:
                return cost
        return float("inf") if self.plans[query] else 0.0

    def total(self, config: int) -> float:
        """Weighted costs of all statements, and of the writes."""
        weights = self.terms.weights
        return sum(weights[q] * self.cost(q, config) for q in range(len(self.plans))) + self.upkeep(config)

    def state(self, config: int) -> State:
        """What each statement costs with a set, and what each bundle would spare beside it."""
        costs = [self.cost(q, config) for q in range(len(self.plans))]
        spared = [self._spared(bundle, config, costs) for bundle in self.bundles]
        return State(config=config, costs=costs, spared=spared)

    def fill(self, state: State, exponent: float, *, without: int = 0) -> State:
        """Add what gains most for its size until nothing more fits or gains."""
        state = state.copy()
        while best := self.best(state, exponent, without=without):
            self.move(state, state.config | best)
        return state

    def best(self, state: State, exponent: float, *, without: int = 0) -> int:
        """The bundle that gains most for its size beside a set; 0 when none fits and gains enough."""
        terms, floor = self.terms, self.terms.gain_min
        left = terms.budget_bytes - self.size(state.config)
        best, best_score = 0, 0.0
        count_left = terms.count_max - state.config.bit_count()
        for number, spared in enumerate(state.spared):
            if spared <= floor:
                continue
            bundle = self.bundles[number]
            missing = bundle & ~state.config
            if not missing or bundle & without:
                continue
            size = self.size(missing)
            gain = spared - self.upkeep(missing)
            if size > left or missing.bit_count() > count_left or gain <= floor * missing.bit_count():
                continue
            score = gain / max(size, 8192) ** exponent
            if score > best_score:
                best, best_score = bundle, score
        return best

    def score(self, state: State, bundle: int) -> float:
        """What a bundle gains for a byte beside a set; 0 of none."""
        missing = bundle & ~state.config
        if not missing:
            return 0.0
        gain = state.spared[self._of_bundle[bundle]] - self.upkeep(missing)
        return gain / max(self.size(missing), 8192)

    def learn(self, query: int, fact: Known, state: State) -> None:
        """Take one more answer into account, here and in a state."""
        if any(u == fact.used and c <= fact.cost for u, c in self.plans[query]):
            return
        on_query, here = self._on_query.setdefault(query, []), state.config
        before = [self.cost(query, here | self.bundles[number]) for number in on_query]
        bisect.insort(self.plans[query], (fact.used, fact.cost), key=itemgetter(1))
        self._costs[query].clear()
        self._reach(query, fact.used)
        before += [state.costs[query]] * (len(on_query) - len(before))
        self._shift(query, state, before, here)
        if fact.used and fact.used not in self._of_bundle and self.size(fact.used) <= self.terms.budget_bytes:
            self._add(fact.used)
            state.spared.append(self._spared(fact.used, here, state.costs))

    def _reach(self, query: int, used: int) -> None:
        """Note that a statement has a plan with these indexes."""
        new = used & ~self._masks[query]
        if not new:
            return
        for number in bits(new):
            self.affected.setdefault(number, []).append(query)
        on_query = self._on_query[query]
        on_query += [n for n, b in enumerate(self.bundles) if b & new and not b & self._masks[query]]
        self._masks[query] |= new
        self._touched.clear()

    def _shift(self, query: int, state: State, before: Sequence[float], config: int) -> None:
        """Change what bundles would spare by what one statement's part of it has changed."""
        mask, known, weight = self._masks[query], self._costs[query], self.terms.weights[query]
        old, new = state.costs[query], self.cost(query, config)
        for number, was in zip(self._on_query.get(query, ()), before, strict=True):
            whole = (config | self.bundles[number]) & mask
            cost = known.get(whole)
            if cost is None:
                cost = self.cost(query, whole)
            changed = (new - cost) - (old - was)
            if changed:
                state.spared[number] += weight * changed
        state.costs[query] = new

    def _add(self, bundle: int) -> None:
        number = self._of_bundle[bundle] = len(self.bundles)
        self.bundles.append(bundle)
        for query in self.touched(bundle):
            self._on_query.setdefault(query, []).append(number)

    def move(self, state: State, config: int) -> None:
        """Go on to another set, reckoning anew only what that changes."""
        here = state.config
        for query in self.touched(here ^ config):
            mask, known = self._masks[query], self._costs[query]
            before = []
            for number in self._on_query.get(query, ()):
                whole = (here | self.bundles[number]) & mask
                cost = known.get(whole)
                before.append(self.cost(query, whole) if cost is None else cost)
            self._shift(query, state, before, config)
        state.config = config

    def _spared(self, bundle: int, config: int, costs: Sequence[float]) -> float:
        """What the statements would be spared by a bundle beside a set."""
        spared, whole = 0.0, config | bundle
        for query in self.touched(bundle & ~config):
            spared += self.terms.weights[query] * (costs[query] - self.cost(query, whole))
        return spared

    def pruned(self, config: int) -> int:
        """Without what spares too little beside the others, least useful first."""
        while True:
            losses = {n: self._loss(n, config) for n in bits(config)}
            worst = min(losses, key=lambda n: losses[n], default=None)
            if worst is None or losses[worst] > self.terms.gain_min:
                return config
            config &= ~(1 << worst)

    def making_room(self, config: int, entering: int) -> int:
        """A set with one more index, without those that lose least for their size as far as it does not fit."""
        config |= entering
        while self.size(config) > self.terms.budget_bytes or config.bit_count() > self.terms.count_max:
            others = bits(config & ~entering)
            config &= ~(1 << min(others, key=lambda n: self._loss(n, config) / max(self.terms.sizes[n], 8192)))
        return config

    def _loss(self, number: int, config: int) -> float:
        weights, rest = self.terms.weights, config & ~(1 << number)
        lost = sum(weights[q] * (self.cost(q, rest) - self.cost(q, config)) for q in self.affected.get(number, ()))
        return lost - self.terms.upkeep[number]


def choose(model: Model, start: int = 0) -> int:
    """The best set that is found: several greedy ones, then exchanges of one index for others."""
    empty = model.state(0)
    starts = {model.pruned(model.fill(empty, exponent).config) for exponent in EXPONENTS}
    if model.size(start) <= model.terms.budget_bytes:
        starts.add(start)
    return _exchanged(model, min(sorted(starts), key=model.total))


def _exchanged(model: Model, config: int) -> int:
    """Take one index out and fill the room anew, as long as that makes things better; so many times at most."""
    state = model.state(config)
    total = state.total(model)
    trials = TRIALS_MAX
    improved = True
    while improved:
        improved = False
        for number in sorted(bits(state.config), key=lambda n: -model.terms.sizes[n]):
            if not state.config >> number & 1:
                continue
            for exponent in EXPONENTS:
                if not trials:
                    return state.config
                trials -= 1
                found = _without(model, state, number, exponent)
                value = found.total(model)
                if value < total * (1 - 1e-6):
                    state, total, improved = found, value, True
                    break
    return state.config


def _without(model: Model, state: State, number: int, exponent: float) -> State:
    """What comes of a set when one index is taken out and the room is filled with others."""
    trial = state.copy()
    model.move(trial, state.config & ~(1 << number))
    found = model.fill(trial, exponent, without=1 << number)
    pruned = model.pruned(found.config)
    if pruned != found.config:
        model.move(found, pruned)
    return found


def _best(facts: Sequence[Known]) -> list[tuple[int, float]]:
    """Plans by cost; those left out need more and cost no less."""
    kept: list[tuple[int, float]] = []
    for fact in sorted(facts, key=lambda f: (f.cost, f.used.bit_count())):
        if not any(not used & ~fact.used for used, _ in kept):
            kept.append((fact.used, fact.cost))
    return kept


def _union(plans: Sequence[tuple[int, float]]) -> int:
    union = 0
    for used, _ in plans:
        union |= used
    return union
