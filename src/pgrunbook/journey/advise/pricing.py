"""What each statement costs with each set of indexes, asked as seldom as can be.

Indexes are numbers, sets of them the bits of an integer.  An answer is a fact: with the set `asked`, the plan costs so
much and uses `used`.  It holds for every set between the two, because the planner takes the cheapest plan it has, so
most questions are answered by what is known; and a set that holds `used` costs no more.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field

from pgrunbook.journey.planner.engine import CannotPlan, Engine, Trial, TriedIndex

NEAR = 0.001  # costs this near are the same


class SpentError(Exception):
    """The budget of what-if questions is spent."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Priced:
    """A statement as it is explained."""

    text: str
    role: str | None = None
    settings: Mapping[str, str] = field(default_factory=dict)


@dataclass(frozen=True, slots=True)
class Known:
    """One answer of the planner."""

    asked: int
    used: int
    cost: float


class Prices:
    """Asks the engine and remembers.  `relevant[q]` are the indexes that statement q could use.

    `reserve` is how many questions are kept for later, `share_max` how many one statement may take: the planner can
    contradict itself where many tables are joined (it then searches at random), and such plans take longest.
    """

    def __init__(self, engine: Engine, statements: Sequence[Priced], *, calls_max: int) -> None:
        self._engine = engine
        self.statements = tuple(statements)
        self.relevant = [0] * len(statements)
        self.definitions: list[str] = []
        self.tried: dict[int, TriedIndex] = {}
        self.failed: dict[int, str] = {}
        self.calls = 0
        self._calls_max = calls_max
        self.reserve = 0
        self.share_max = calls_max
        self.facts: list[list[Known]] = [[] for _ in statements]

    @property
    def left(self) -> int:
        """How many questions may still be asked."""
        return self._calls_max - self.calls - self.reserve

    def add(self, definition: str) -> int:
        """Make an index known; its number."""
        self.definitions.append(definition)
        return len(self.definitions) - 1

    def known(self, query: int, config: int) -> float | None:
        """What a statement costs with a set of indexes, if that follows from what was answered."""
        config &= self.relevant[query]
        above, below = float("inf"), 0.0
        for fact in self.facts[query]:
            if not fact.used & ~config:
                above = min(above, fact.cost)
                if not config & ~fact.asked:
                    return fact.cost
            if not config & ~fact.asked:
                below = max(below, fact.cost)
        return above if above <= below * (1 + NEAR) else None

    def plan(self, query: int, config: int) -> Known | None:
        """The cheapest plan that is known for a set of indexes."""
        config &= self.relevant[query]
        usable = [fact for fact in self.facts[query] if not fact.used & ~config]
        return min(usable, key=lambda fact: fact.cost, default=None)

    def ceiling(self, query: int, config: int) -> float:
        """At most this, from what was answered: a plan that is known needs no more than these indexes."""
        config &= self.relevant[query]
        return min((fact.cost for fact in self.facts[query] if not fact.used & ~config), default=float("inf"))

    def ask(self, queries: Iterable[int], config: int) -> None:
        """Find out what these statements cost with a set of indexes, those of them that do not follow.

        Raises SpentError when no question is left.
        """
        wanted = [q for q in queries if self._may_ask(q) and self.known(q, config) is None]
        if not wanted:
            return
        shown = 0
        for query in wanted:
            shown |= self.relevant[query]
        numbers = bits(config & shown)
        with self._engine.trying([self.definitions[n] for n in numbers]) as trial:
            names = {}
            for number, tried in zip(numbers, trial.indexes, strict=True):
                self.tried[number] = tried
                if tried.refused is None:
                    names[tried.name] = number
            for query in wanted:
                if self.left <= 0:
                    raise SpentError
                self._explain(trial, query, config & shown, names)

    def _may_ask(self, query: int) -> bool:
        return query not in self.failed and len(self.facts[query]) < self.share_max

    def _explain(self, trial: Trial, query: int, config: int, names: Mapping[str, int]) -> None:
        statement = self.statements[query]
        self.calls += 1
        try:
            answer = trial.explain(statement.text, role=statement.role, settings=statement.settings)
        except CannotPlan as exc:
            self.failed[query] = exc.message
            return
        used = 0
        for name in answer.used:
            if name in names:
                used |= 1 << names[name]
        self.relevant[query] |= used  # another statement's index, which was there too
        self.facts[query].append(Known(config, used, answer.cost))


def bits(mask: int) -> list[int]:
    """The numbers in a set."""
    found = []
    while mask:
        low = mask & -mask
        found.append(low.bit_length() - 1)
        mask ^= low
    return found
