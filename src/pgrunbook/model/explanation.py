"""What the query advisor says of one statement: its plan, what is wrong with it, what else would give the same rows."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from datetime import datetime

from pgrunbook.model.query_plan import QueryPlan
from pgrunbook.model.server import Server
from pgrunbook.model.verdict import Advice, Basis, Blind, Value


@dataclass(frozen=True, slots=True, kw_only=True)
class Asked:
    """The statement.  `source` says where it is from; counters are None where the server has not counted it."""

    text: str
    source: str
    parameters: int = 0
    queryid: int | None = None
    role: str | None = None
    calls: int | None = None
    mean_ms: float | None = None
    rows_per_call: float | None = None
    blocks_per_call: float | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class Insight:
    """One thing that the plan shows.  `nodes` are numbers of plan nodes; evidence has units in its names.

    `share` is the part of time (or cost) that is spent there, as far as it can be told.
    """

    name: str
    title: str
    detail: str
    nodes: tuple[int, ...] = ()
    evidence: Mapping[str, Value] = field(default_factory=dict)
    cures: tuple[Advice, ...] = ()
    share: float | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class Weight:
    """What a statement costs: the planner's units always, time and blocks where it was run."""

    cost: float
    basis: Basis
    ms: float | None = None
    blocks: int | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class Comparison:
    """The rows that both statements gave now, as evidence, never as proof.  `note` says what was compared."""

    before_rows: int
    after_rows: int
    is_equal: bool
    note: str = ""


@dataclass(frozen=True, slots=True, kw_only=True)
class Rewrite:
    """Another statement in the place of this one.

    `same` says in what sense it gives the same; `facts` are what the catalog says that makes it so, `why` the argument.
    `caveat` is what the facts do not cover.  `before` and `after` are of one basis; None where it cannot be planned
    (`unplanned` says why).  `needs` is advice without which it brings nothing, such as an index.
    """

    name: str
    title: str
    sql: str
    same: str
    why: str
    facts: tuple[str, ...]
    caveat: str = ""
    before: Weight | None = None
    after: Weight | None = None
    unplanned: str = ""
    comparison: Comparison | None = None
    not_compared: str = ""
    needs: tuple[Advice, ...] = ()

    @property
    def helps(self) -> bool | None:
        """Whether it is cheaper; by time where that was measured.  None: not known, or not yet what it needs."""
        if self.before is None or self.after is None:
            return None
        cheaper = self.after.cost < 0.95 * self.before.cost
        if self.before.ms is not None and self.after.ms is not None:
            cheaper = self.after.ms < 0.9 * self.before.ms
        return None if self.needs and not cheaper else cheaper


@dataclass(frozen=True, slots=True, kw_only=True)
class Note:
    """Something to consider that is no rewrite: a materialised view, a cache, another kind of index."""

    name: str
    title: str
    reason: str
    advice: tuple[Advice, ...] = ()


@dataclass(frozen=True, slots=True, kw_only=True)
class Explanation:
    """All of it.  Most costly insights first; rewrites that help first."""

    server: Server
    taken_at: datetime
    asked: Asked
    plan: QueryPlan
    as_whom: str
    insights: tuple[Insight, ...] = ()
    rewrites: tuple[Rewrite, ...] = ()
    notes: tuple[Note, ...] = ()
    blind: tuple[Blind, ...] = ()
