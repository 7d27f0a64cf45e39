"""What every planning engine can do: try indexes, leave out existing ones, and say what a query would then cost.

An engine changes nothing that others see.  All its figures are the planner's estimates, in the planner's cost units.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from contextlib import AbstractContextManager
from dataclasses import dataclass
from types import MappingProxyType, TracebackType
from typing import Any, Protocol, Self

from pgrunbook.errors import Refused

NO_SETTINGS: Mapping[str, str] = MappingProxyType({})


class CannotPlan(Refused):
    """The planner did not plan this query; the message says why.  Others can still be planned."""


@dataclass(frozen=True, slots=True, kw_only=True)
class TriedIndex:
    """One index that was asked for.

    `name` is what plans will show, for each partition's part of it too; "" when it could not be tried.
    `size_bytes` is modelled, never measured, and of all partitions together.
    `refused` says why it could not be tried; None when it could.
    """

    definition: str
    name: str
    size_bytes: int
    refused: str | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class Explained:
    """What the planner made of one query; `plan` is the root node of EXPLAIN (FORMAT JSON)."""

    cost: float
    rows: float
    plan: Mapping[str, Any]

    @property
    def used(self) -> frozenset[str]:
        """The indexes that the plan reads."""
        return frozenset(str(node["Index Name"]) for node in nodes(self.plan) if "Index Name" in node)


def nodes(plan: Mapping[str, Any]) -> Iterator[Mapping[str, Any]]:
    """The node and all below it, each before those below it."""
    waiting = [plan]
    while waiting:
        node = waiting.pop()
        yield node
        waiting.extend(reversed(node.get("Plans", ())))


def explained(plan: Mapping[str, Any]) -> Explained:
    """The answer of EXPLAIN (FORMAT JSON) as a value; `plan` is its root node."""
    return Explained(cost=float(plan["Total Cost"]), rows=float(plan["Plan Rows"]), plan=plan)


class Trial(Protocol):
    """Some indexes there, some not; lasts as long as its context."""

    @property
    def indexes(self) -> tuple[TriedIndex, ...]:
        """What was asked for, in the order given."""
        ...

    def explain(self, query: str, *, role: str | None = None, settings: Mapping[str, str] = NO_SETTINGS) -> Explained:
        """Plan one statement, which may hold $1 and so on (then its generic plan); raises CannotPlan."""
        ...


class Engine(Protocol):
    """Plans with indexes that are not there and without some that are.  Close it; it is its own context manager."""

    @property
    def name(self) -> str:
        """`twin` or `hypopg`."""
        ...

    def trying(self, indexes: Sequence[str] = (), dropped: Sequence[str] = ()) -> AbstractContextManager[Trial]:
        """Try CREATE INDEX statements (a name and CONCURRENTLY are ignored), without the existing indexes `dropped`.

        `dropped` holds qualified, quoted names.  An index that cannot be tried is `refused` in the trial; the others
        are tried.  One trial at a time.
        """
        ...

    def close(self) -> None:
        """Leave nothing behind."""
        ...

    def __enter__(self) -> Self: ...

    def __exit__(
        self, kind: type[BaseException] | None, value: BaseException | None, trace: TracebackType | None
    ) -> None: ...
