"""Does the twin plan as its source does?  The same queries are explained on both, without any tried index.

What differs lowers the confidence in all that the twin says.
"""

from __future__ import annotations

import statistics
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from typing import Any, Final

import psycopg
from psycopg.pq import ExecStatus

from pgrunbook.errors import Unreachable
from pgrunbook.journey.planner.engine import CannotPlan, Engine, Explained, explained
from pgrunbook.pg.connect import Session, first_line

EXPLAIN_TIMEOUT_MS: Final = 10_000
LOCK_TIMEOUT_MS: Final = 500
GOOD_RATIO: Final = 0.95
FAIR_RATIO: Final = 0.75
CLOSE: Final = 0.05  # a cost that is five per cent off hardly ever changes a choice
_SHAPE: Final = (
    "Node Type",
    "Join Type",
    "Strategy",
    "Partial Mode",
    "Parent Relationship",
    "Relation Name",
    "Alias",
    "Index Name",
    "Scan Direction",
    "Workers Planned",
    "Operation",
    "Subplan Name",
    "Parallel Aware",
)
_BEGIN: Final = (
    f"begin transaction read only; set local lock_timeout = {LOCK_TIMEOUT_MS};"
    f" set local statement_timeout = {EXPLAIN_TIMEOUT_MS}; set local jit = off;"
    " set local plan_cache_mode = force_generic_plan"
)


@dataclass(frozen=True, slots=True, kw_only=True)
class Compared:
    """One query on both sides."""

    query: str
    is_same_plan: bool
    source_cost: float
    twin_cost: float

    @property
    def cost_error_ratio(self) -> float:
        """How far the twin's cost is off, as a share of the source's."""
        return abs(self.twin_cost - self.source_cost) / max(self.source_cost, 0.01)


@dataclass(frozen=True, slots=True, kw_only=True)
class Agreement:
    """How far the twin plans as its source."""

    compared: tuple[Compared, ...]
    refused: tuple[tuple[str, str], ...] = ()

    @property
    def same_ratio(self) -> float | None:
        """The share of queries with the same plan; None when none was compared."""
        if not self.compared:
            return None
        return sum(one.is_same_plan for one in self.compared) / len(self.compared)

    @property
    def alike_ratio(self) -> float | None:
        """The share with the same plan or nearly the same cost: majors place a Gather differently for nothing."""
        if not self.compared:
            return None
        return sum(one.is_same_plan or one.cost_error_ratio <= CLOSE for one in self.compared) / len(self.compared)

    @property
    def median_cost_error_ratio(self) -> float | None:
        """The middle one of the cost errors."""
        return statistics.median(one.cost_error_ratio for one in self.compared) if self.compared else None

    @property
    def confidence(self) -> str:
        """`good`, `fair`, `poor`; `unknown` when nothing could be compared."""
        alike, error = self.alike_ratio, self.median_cost_error_ratio
        if alike is None or error is None:
            return "unknown"
        if alike >= GOOD_RATIO and error <= CLOSE:
            return "good"
        return "fair" if alike >= FAIR_RATIO else "poor"

    def in_words(self) -> str:
        """One line."""
        same, error = self.same_ratio, self.median_cost_error_ratio
        if same is None or error is None:
            return "the twin could not be compared with the database"
        count = sum(one.is_same_plan for one in self.compared)
        return (
            f"twin and database plan {count} of {len(self.compared)} queries alike;"
            f" median cost error {error:.2%}: confidence {self.confidence}"
        )


def agreement(source: Session, engine: Engine, queries: Iterable[str]) -> Agreement:
    """Explain every query on both sides.  Nothing is run."""
    compared, refused = [], []
    with engine.trying() as trial:
        for query in queries:
            try:
                there, here = explain_on(source, query), trial.explain(query)
            except CannotPlan as exc:
                refused.append((query, exc.message))
                continue
            compared.append(
                Compared(
                    query=query,
                    is_same_plan=shape(there.plan) == shape(here.plan),
                    source_cost=there.cost,
                    twin_cost=here.cost,
                )
            )
    return Agreement(compared=tuple(compared), refused=tuple(refused))


def shape(plan: Mapping[str, Any], names: Mapping[str, str] | None = None) -> tuple[Any, ...]:
    """What makes two plans the same: operations, relations, indexes (renamed by `names`), workers; no figures."""
    renamed = names or {}
    own = tuple((key, _told_alike(key, plan[key], renamed)) for key in _SHAPE if key in plan)
    return (*own, tuple(shape(child, names) for child in plan.get("Plans", ())))


def _told_alike(key: str, value: Any, renamed: Mapping[str, str]) -> Any:
    """What majors print differently and mean alike."""
    if key == "Index Name":
        return renamed.get(value, value)
    if key == "Scan Direction":  # before 16 an index without an order showed NoMovement
        return "Forward" if value == "NoMovement" else value
    if key == "Subplan Name":  # "InitPlan 1 (returns $0)" before 17
        return str(value).partition(" (")[0]
    return value


def explain_on(source: Session, query: str) -> Explained:
    """EXPLAIN on a database, in a transaction that can only read; a query with $1 gets its generic plan."""
    text = query.strip().rstrip(";")
    try:
        source.execute(_BEGIN)
        with source.lock:
            parsed = source.pgconn.prepare(b"", text.encode())
            if parsed.status != ExecStatus.COMMAND_OK:
                said = parsed.error_message.decode("utf-8", "replace").strip().splitlines()
                raise CannotPlan(f"the database refuses this query: {said[0] if said else 'no reason given'}")
            parameters = source.pgconn.describe_prepared(b"").nparams
        if parameters == 0:
            return _answer(source, f"explain (format json) {text}")
        source.execute(f"prepare pgrunbook_agreement as {text}".encode(), binary=True)
        try:
            nulls = ", ".join(["null"] * parameters)
            return _answer(source, f"explain (format json) execute pgrunbook_agreement({nulls})")
        finally:
            if source.info.transaction_status.name == "INTRANS":
                source.execute("deallocate pgrunbook_agreement")
    except psycopg.Error as exc:
        if source.closed:
            raise Unreachable(f"the connection was lost while explaining: {first_line(exc)}") from exc
        raise CannotPlan(f"the database refuses this query: {first_line(exc)}") from exc
    finally:
        if not source.closed:
            source.execute("rollback")


def _answer(source: Session, asked: str) -> Explained:
    row = source.execute(asked.encode(), binary=True).fetchone()
    assert row is not None  # noqa: S101 - EXPLAIN answers with one row
    return explained(row[0][0]["Plan"])
