"""Learning which indexes a workload could use, with few questions to the planner.

A few questions a statement, without any index and with all its candidates at once, name what it would use best (as
DB2Advis does): those of one key first, whose sets are common to many statements, then wider ones, then those that
carry columns; and of each what it would use instead.  What one statement uses is offered to the others; prefixes and
unions of what is carried join the pool.
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

    @property
    def narrow(self) -> int:
        """Those of one key that carry nothing."""
        return union(1 << n for n, c in enumerate(self.pool.candidates) if len(c.keys) == 1 and not c.include)

    @property
    def plain(self) -> int:
        """Those that carry nothing."""
        return union(1 << n for n, c in enumerate(self.pool.candidates) if not c.include)

    def first_look(self, query: int, scope: int) -> None:
        """What it would use of its own candidates in a scope; and of the rest, when those are not there."""
        offered = self._own[query] & scope
        if query in self._prices.failed or not offered:
            return
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


def upto(config: int, sizes: Sequence[int], limit_bytes: int) -> int:
    """Those of a set that are no larger."""
    return union(1 << n for n in bits(config) if sizes[n] <= limit_bytes)


def union(masks: Iterable[int]) -> int:
    """All of them together."""
    result = 0
    for mask in masks:
        result |= mask
    return result
