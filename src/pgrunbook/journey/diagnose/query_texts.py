"""What query checks share: costs, parse trees made when first asked for, and the evidence about a statement."""

from __future__ import annotations

import re
from collections.abc import Iterator, Sequence
from functools import cached_property
from typing import Any, Final

from pgrunbook.journey.diagnose.seen import Seen
from pgrunbook.journey.observe.policies import POLICIES
from pgrunbook.journey.observe.roles import ROLES
from pgrunbook.journey.observe.statements import STATEMENTS, STATEMENTS_INFO, first_word
from pgrunbook.journey.workload import facts as table_facts
from pgrunbook.journey.workload.access import Accesses
from pgrunbook.journey.workload.costs import Cost, Costs, costs_of
from pgrunbook.journey.workload.demand import MAX_STATEMENTS, Rules
from pgrunbook.journey.workload.facts import Facts
from pgrunbook.journey.workload.walk import accesses_of
from pgrunbook.model import Advice, Blind, Question, Value
from pgrunbook.pg.parse import ParseFailed, Tree

COSTS: Final[tuple[Question[Any], ...]] = (STATEMENTS,)
COSTS_LIKE: Final[tuple[Question[Any], ...]] = (STATEMENTS_INFO,)
TEXTS: Final[tuple[Question[Any], ...]] = (STATEMENTS, *table_facts.NEEDS)
TEXTS_LIKE: Final[tuple[Question[Any], ...]] = (STATEMENTS_INFO, *table_facts.LIKES, POLICIES, ROLES)

SHORT_WINDOW_S = 3600.0  # a window of less shows a part of what goes on: a quarter of the calls is enough in it
FEWEST_CALLS = 3
FEW = 3  # statements that are named one by one
QUERY_MAX_CHARS = 1000
GENERIC_PLAN_SINCE = 16
NOTHING_TO_UNDO = "-- nothing to undo"
# A constant with its type before it; the server's grammar takes no parameter there.
_TYPED = re.compile(r"\b(date|time|timetz|timestamp|timestamptz|interval|json|jsonb|uuid)\s+(\$\d+)\b", re.IGNORECASE)
BULK_ROWS = 100  # a call that writes so many rows is bulk work …
BULK_ROW_MS = 1.0  # … and fast enough if a row takes no longer than this


def statement_costs(seen: Seen) -> Costs:
    """What each statement cost, in the window if there is one."""
    return costs_of(seen.snapshot)


def often_enough(costs: Costs, calls: int) -> int:
    """How many calls are enough to judge by: `calls` of a long time, fewer in a short window."""
    if costs.is_window and (costs.period_s or 0.0) < SHORT_WINDOW_S:
        return max(FEWEST_CALLS, calls // 4)
    return calls


def is_bulk_write(cost: Cost) -> bool:
    """Whether it writes many rows a call at a good speed, so that a call's length says nothing."""
    is_write = first_word(cost.query) in {"insert", "update", "delete", "merge"}
    return is_write and cost.rows_per_call >= BULK_ROWS and cost.mean_ms / cost.rows_per_call <= BULK_ROW_MS


def about(cost: Cost, costs: Costs, seen: Seen, **figures: Value) -> dict[str, Value]:
    """The evidence that each finding about a statement has: what it is, how often it ran, and in how long a time.

    `window_s` where it was counted between two readings; else the figures are cumulative and `counters_age_s` old.
    """
    age_s = costs.period_s
    if cost.counted_since is not None:
        age_s = max(0.0, (seen.at - cost.counted_since).total_seconds())
    window_s = costs.period_s if costs.is_window else None
    return {
        "calls": cost.calls,
        "mean_ms": round(cost.mean_ms, 3),
        "total_ms": round(cost.exec_ms, 1),
        **figures,
        "counted": "window" if costs.is_window else "cumulative",
        "window_s": round(window_s, 1) if window_s is not None else None,
        "counters_age_s": round(age_s) if age_s is not None and not costs.is_window else None,
        "calls_per_s": round(cost.calls / window_s, 3) if window_s else None,
        "roles": cost.roles,
        "queryids": tuple(map(str, cost.queryids)) if len(cost.queryids) > 1 else None,
        "query": shown(cost.query),
    }


def shown(query: str) -> str:
    r"""A statement's text on one line, as long as a reader bears.

    >>> shown("select 1\n  from t")
    'select 1 from t'
    """
    line = " ".join(query[: 4 * QUERY_MAX_CHARS].split())
    return line if len(line) <= QUERY_MAX_CHARS else f"{line[:QUERY_MAX_CHARS]} …"


def look_at_plan(cost: Cost, seen: Seen) -> tuple[Advice, ...]:
    """The statement that shows its plan, where the server can plan a text with parameters."""
    if seen.server.major < GENERIC_PLAN_SINCE or len(cost.query) > QUERY_MAX_CHARS or ";" in cost.query:
        return ()
    if seen.derived(query_texts).tree(cost) is None:
        return ()
    query = _TYPED.sub(r"\2::\1", cost.query)
    return (Advice(title="Look at its plan", sql=f"EXPLAIN (GENERIC_PLAN) {query};", undo_sql=NOTHING_TO_UNDO),)


def in_application(title: str, *lines: str, risk: str = "") -> Advice:
    """Advice that only the application's authors can follow: its SQL is a comment that says how."""
    return Advice(title=title, sql="\n".join(f"-- {line}" for line in lines), undo_sql=NOTHING_TO_UNDO, risk=risk)


def gathered_facts(seen: Seen) -> Facts:
    """What is known of the tables, gathered once for all checks."""
    return Facts(seen.snapshot, seen.parser)


class QueryTexts:
    """Parse trees and accesses of statements, made when a check first asks; `unparsed` are queryids without a tree.

    `unread` are those that came when enough had been parsed.
    """

    def __init__(self, seen: Seen) -> None:
        self._seen = seen
        self._trees: dict[str, Tree | None] = {}
        self._accesses: dict[tuple[str, str | None], Accesses | None] = {}
        self.unparsed: set[int] = set()
        self.unread: set[int] = set()

    @cached_property
    def facts(self) -> Facts:
        """What is known of the tables."""
        return self._seen.derived(gathered_facts)

    @cached_property
    def _rules(self) -> Rules:
        return Rules(self._seen.snapshot, self._seen.parser)

    def tree(self, cost: Cost) -> Tree | None:
        """The statement's parse tree."""
        if cost.query not in self._trees:
            self._trees[cost.query] = self._parse(cost)
        return self._trees[cost.query]

    def _parse(self, cost: Cost) -> Tree | None:
        if len(self._trees) >= MAX_STATEMENTS:
            self.unread.add(cost.queryid)
            return None
        try:
            return self._seen.parser.statement(cost.query)
        except ParseFailed:
            self.unparsed.add(cost.queryid)
            return None

    def accesses(self, cost: Cost) -> Accesses | None:
        """What it asks of each table, as the first of its roles asks it."""
        tree, role = self.tree(cost), next(iter(cost.roles), None)
        if tree is None:
            return None
        if (cost.query, role) not in self._accesses:
            self._accesses[cost.query, role] = accesses_of(tree, self.facts.catalog, self._rules.for_role(role))
        return self._accesses[cost.query, role]


def query_texts(seen: Seen) -> QueryTexts:
    """One for all checks of an observation."""
    return QueryTexts(seen)


def unreadable(seen: Seen, looked_at: Sequence[Cost]) -> Iterator[Blind]:
    """A Blind for those of these statements that have no parse tree: each by itself where they are few."""
    texts = seen.derived(query_texts)
    broken = [cost for cost in looked_at if cost.queryid in texts.unparsed]
    words = "could not be parsed: too long, cut off or of another grammar"
    if len(broken) > FEW:
        yield Blind(reason=f"the texts of {len(broken)} statements {words}")
    else:
        yield from (Blind(object=cost.object, reason=f"its text {words}") for cost in broken)
    left = sum(cost.queryid in texts.unread for cost in looked_at)
    if left:
        yield Blind(reason=f"{left} statements were not looked at: only {MAX_STATEMENTS} are parsed, the dearest first")


def unsure(seen: Seen) -> Iterator[Blind]:
    """A Blind when the server threw entries out between the two readings, so that some could not be compared."""
    costs = seen.derived(statement_costs)
    if costs.unsure:
        yield Blind(
            reason=f"{costs.unsure} statements cannot be compared: entries were thrown out between the readings",
            cure="ALTER SYSTEM SET pg_stat_statements.max = 20000; -- then restart the server",
        )
