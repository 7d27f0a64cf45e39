"""A statement's plan as frozen values: what EXPLAIN says of each node, with times and rows summed over its loops.

What EXPLAIN gives for one loop is multiplied where the name says `total_`; `self_ms` is without the nodes below.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field

from pgrunbook.model.verdict import Basis


@dataclass(frozen=True, slots=True, kw_only=True)
class Blocks:
    """Blocks of 8 kB that a node and all below it asked for: found in shared buffers, read, written, spilled."""

    shared_hit: int = 0
    shared_read: int = 0
    shared_dirtied: int = 0
    shared_written: int = 0
    local: int = 0
    temp_read: int = 0
    temp_written: int = 0

    @property
    def shared(self) -> int:
        """Blocks asked for, wherever they were found."""
        return self.shared_hit + self.shared_read


@dataclass(frozen=True, slots=True, kw_only=True)
class Actual:
    """What happened in a node that was run.  `loop_rows` is the mean of its loops; all else is summed over them.

    Of a node in parallel workers `inclusive_ms` is the time that passed, not the time that all workers spent.
    """

    loops: float
    loop_rows: float
    total_rows: float
    startup_ms: float
    inclusive_ms: float
    self_ms: float
    filter_removed_rows: float = 0.0
    join_filter_removed_rows: float = 0.0
    recheck_removed_rows: float = 0.0
    heap_fetches: int = 0
    exact_blocks: int = 0
    lossy_blocks: int = 0
    workers_launched: int = 0


@dataclass(frozen=True, slots=True, kw_only=True)
class Memory:
    """What a sort, a hash or an aggregate held in memory and spilled to disk.  `method` is a sort's."""

    method: str = ""
    memory_bytes: int = 0
    disk_bytes: int = 0
    batches: int = 1
    planned_batches: int = 1

    @property
    def spilled(self) -> bool:
        """Whether it did not fit into memory."""
        return self.disk_bytes > 0 or self.batches > 1


@dataclass(frozen=True, slots=True, kw_only=True)
class PlanNode:
    """One node.  Costs and `rows` are the planner's, for one loop; `self_cost` is what the node adds to its children.

    `number` counts from 1 in the order that EXPLAIN prints.  `relation` is qualified and quoted; conditions are texts
    as EXPLAIN prints them.  `is_cut_short`: a node above may have stopped it before its last row (LIMIT, EXISTS).
    """

    number: int
    depth: int
    kind: str
    relation: str = ""
    alias: str = ""
    index: str = ""
    relationship: str = ""
    subplan: str = ""
    cte: str = ""
    function: str = ""
    join: str = ""
    strategy: str = ""
    startup_cost: float
    total_cost: float
    self_cost: float
    rows: float
    width_bytes: int
    index_cond: str = ""
    recheck_cond: str = ""
    filter: str = ""
    join_filter: str = ""
    join_cond: str = ""
    sort_keys: tuple[str, ...] = ()
    group_keys: tuple[str, ...] = ()
    workers_planned: int = 0
    is_parallel_aware: bool = False
    is_cut_short: bool = False
    actual: Actual | None = None
    memory: Memory | None = None
    blocks: Blocks | None = None
    self_blocks: Blocks | None = None
    children: tuple[PlanNode, ...] = ()

    @property
    def is_scan_of_table(self) -> bool:
        """Whether it reads a table's rows (an index below a bitmap reads none)."""
        return bool(self.relation) and self.kind != "Bitmap Index Scan"

    @property
    def loops(self) -> float:
        """How often it ran; 1 where nobody has counted."""
        return self.actual.loops if self.actual is not None else 1.0

    @property
    def misestimate(self) -> float | None:
        """How many times more (> 1) or fewer (< 1) rows a loop gave than planned; None when it did not run."""
        if self.actual is None or self.actual.loops == 0:
            return None
        return max(self.actual.loop_rows, 1.0) / max(self.rows, 1.0)

    def walk(self) -> Iterator[PlanNode]:
        """The node and all below it, each before those below it."""
        yield self
        for child in self.children:
            yield from child.walk()


@dataclass(frozen=True, slots=True, kw_only=True)
class Jit:
    """What compiling the plan took."""

    functions: int
    total_ms: float
    optimization_ms: float = 0.0


@dataclass(frozen=True, slots=True, kw_only=True)
class QueryPlan:
    """A whole plan.  `role` is whose rights and policies counted.

    `is_generic`: planned for any value of its parameters.  `basis` is measured when the statement was run;
    `execution_ms` is then set.
    """

    root: PlanNode
    basis: Basis
    is_generic: bool = False
    role: str = ""
    planning_ms: float | None = None
    execution_ms: float | None = None
    jit: Jit | None = None
    settings: Mapping[str, str] = field(default_factory=dict)

    @property
    def is_measured(self) -> bool:
        """Whether the statement was run."""
        return self.basis is Basis.MEASURED

    @property
    def nodes(self) -> tuple[PlanNode, ...]:
        """Every node, in the order that EXPLAIN prints."""
        return tuple(self.root.walk())

    def share(self, node: PlanNode) -> float:
        """The node's own part of the whole, 0 to 1: of the time where it was measured, else of the cost."""
        if self.is_measured and self.root.actual is not None and node.actual is not None:
            return _part(node.actual.self_ms, self.root.actual.inclusive_ms)
        return _part(node.self_cost, self.root.total_cost)

    def inclusive_share(self, node: PlanNode) -> float:
        """The part of the node with all below it."""
        if self.is_measured and self.root.actual is not None and node.actual is not None:
            return _part(node.actual.inclusive_ms, self.root.actual.inclusive_ms)
        return _part(node.total_cost, self.root.total_cost)

    def parent_of(self, node: PlanNode) -> PlanNode | None:
        """The node right above."""
        return next((one for one in self.nodes if node in one.children), None)


def _part(amount: float, whole: float) -> float:
    return min(1.0, max(0.0, amount / whole)) if whole > 0 else 0.0
