"""Learning which indexes a workload could use, with few questions to the planner.

Two questions a statement, without any index and with all its candidates at once, name what it would use best (as
DB2Advis does).  Then what was used is taken away, the largest first, which names what would do instead, at less size.
What one statement uses is offered to the others; prefixes and unions of what is carried join the pool.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass, field

from pgrunbook.journey.advise import shapes
from pgrunbook.journey.advise.pricing import Known, Prices, bits
from pgrunbook.journey.advise.weighed import Weighed
from pgrunbook.journey.workload.access import Access
from pgrunbook.journey.workload.candidate import Candidate
from pgrunbook.journey.workload.facts import Facts
from pgrunbook.journey.workload.proposals import Extensions

WORTH = 0.995  # a plan that costs more of the present one's cost teaches nothing


@dataclass(slots=True, kw_only=True)
class Pool:
    """The candidates by number."""

    candidates: list[Candidate] = field(default_factory=list)
    numbers: dict[Candidate, int] = field(default_factory=dict)

    def number(self, candidate: Candidate, prices: Prices, facts: Facts) -> int:
        """The candidate's number, a new one for a new candidate."""
        known = self.numbers.get(candidate)
        if known is None:
            known = self.numbers[candidate] = prices.add(shapes.definition(candidate, facts))
            self.candidates.append(candidate)
        return known


class Explorer:
    """Asks about one statement after the other."""

    def __init__(self, prices: Prices, facts: Facts, extensions: Extensions, limits: shapes.Limits) -> None:
        self.pool = Pool()
        self._prices = prices
        self._facts = facts
        self._extensions = extensions
        self._limits = limits
        self._own: dict[int, int] = {}
        self._tables: dict[int, frozenset[int]] = {}

    def offer_own(self, query: int, statement: Weighed) -> None:
        """Make a statement's own candidates known, plain ones first."""
        mask = 0
        for access in statement.asked.accesses.accesses:
            facts = self._facts.of(access.table_oid)
            for candidate in shapes.candidates(access, facts, self._extensions, self._limits):
                mask |= 1 << self.pool.number(candidate, self._prices, self._facts)
        self._own[query] = mask
        roots = (self._facts.catalog.root(access.table_oid) for access in statement.asked.accesses.accesses)
        self._tables[query] = frozenset(roots)
        self._prices.relevant[query] |= mask

    def first_look(self, query: int) -> None:
        """What it costs now; what it would use of all its candidates; and of the rest, when those are not there."""
        self._prices.ask([query], 0)
        own = self._own[query]
        if query in self._prices.failed or not own:
            return
        plain = own & ~union(1 << n for n in bits(own) if self.pool.candidates[n].include)
        for offered in dict.fromkeys((plain, own)):
            first = self._ask(query, offered)
            if first is not None and self.teaches(query, first):
                self._ask(query, offered & ~first.used)

    def widen(self, statements: Sequence[Weighed]) -> int:
        """Offer what is used to all statements that could use it, with prefixes and unions; the pool as a set."""
        used = 0
        for query, known in enumerate(self._prices.facts):
            for fact in known:
                if self.teaches(query, fact):
                    used |= fact.used
        chosen = [self.pool.candidates[n] for n in bits(used)]
        more = [narrower for each in chosen if (narrower := shapes.first_of(each)) is not None]
        more += [shapes.without_carried(each) for each in chosen if each.include]
        more += shapes.merged([*chosen, *more])
        for candidate in more:
            used |= 1 << self.pool.number(candidate, self._prices, self._facts)
        by_table: dict[int, list[int]] = {}
        for number in bits(used):
            by_table.setdefault(self.pool.candidates[number].table_oid, []).append(number)
        for query, statement in enumerate(statements):
            for access in statement.asked.accesses.accesses:
                root = self._facts.catalog.root(access.table_oid)
                for number in by_table.get(root, ()):
                    if could_serve(self.pool.candidates[number], access):
                        self._prices.relevant[query] |= 1 << number
        return used

    def show(self, config: int) -> None:
        """Let every statement see those of a set that are on its tables, whether or not they seem to be of use."""
        for query, tables in self._tables.items():
            shown = union(1 << number for number in bits(config) if self.pool.candidates[number].table_oid in tables)
            self._prices.relevant[query] |= shown

    def chain(self, query: int, offered: int, sizes: Sequence[int], *, asks_max: int) -> None:
        """Take the largest index that a plan uses away and ask again, so that ever smaller sets are known."""
        config = offered & self._prices.relevant[query]
        for _ in range(asks_max):
            fact = self._ask(query, config)
            if fact is None or not self.teaches(query, fact):
                return
            config &= ~(1 << max(bits(fact.used), key=lambda number: sizes[number]))

    def singles(self, query: int, offered: int) -> None:
        """Ask what each index of a plan with several spares alone."""
        known = self._prices.facts[query]
        several = [fact.used for fact in known if fact.used.bit_count() > 1 and self.teaches(query, fact)]
        for number in bits(union(several) & offered):
            self._ask(query, 1 << number)

    def branch(self, query: int, offered: int, *, asks_max: int) -> None:
        """Take away what a plan uses, one index at a time, and ask again; dearest plans last, so many at most."""
        waiting = [offered & self._prices.relevant[query]]
        seen: set[int] = set()
        before = self._prices.calls
        while waiting and self._prices.calls - before < asks_max:
            config = waiting.pop(0)
            if config in seen:
                continue
            seen.add(config)
            fact = self._ask(query, config)
            if fact is not None and self.teaches(query, fact):
                waiting.extend(config & ~(1 << number) for number in bits(fact.used))

    def teaches(self, query: int, fact: Known) -> bool:
        """Whether a plan is worth remembering indexes for."""
        base = self._prices.known(query, 0)
        return bool(fact.used) and base is not None and fact.cost <= WORTH * base

    def _ask(self, query: int, config: int) -> Known | None:
        self._prices.ask([query], config)
        if query in self._prices.failed:
            return None
        return self._prices.plan(query, config)


def could_serve(candidate: Candidate, access: Access) -> bool:
    """Whether a B-tree that another statement wants could help here: by its first key, or because it holds all."""
    if candidate.method != "btree" or candidate.where:
        return False
    wanted = {p.key.canonical for p in access.predicates if not p.key.refusal}
    wanted |= {p.key.canonical for group in access.alternatives for branch in group for p in branch}
    wanted |= {key.canonical for key in access.groups} | {o.key.canonical for o in access.order[:1]}
    if candidate.keys[0].key.canonical in wanted:
        return True
    used = access.columns_used
    return used is not None and used <= set(candidate.base_columns)


def union(masks: Iterable[int]) -> int:
    """All of them together."""
    result = 0
    for mask in masks:
        result |= mask
    return result
