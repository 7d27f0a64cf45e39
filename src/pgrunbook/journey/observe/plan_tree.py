"""EXPLAIN (FORMAT JSON) → a QueryPlan.  Pure: takes what the server answered, asks nothing.

EXPLAIN's times and rows are means of one loop, and in parallel workers means of one process; here they are put together
so that parts of the whole add up.  The time of a CTE or an InitPlan is counted where it was waited for, though EXPLAIN
prints it elsewhere.
"""

from __future__ import annotations

import dataclasses
from collections.abc import Iterator, Mapping
from typing import Any, TypeAlias

from pgrunbook.model import Basis, dotted
from pgrunbook.model.query_plan import Actual, Blocks, Jit, Memory, PlanNode, QueryPlan

Json: TypeAlias = Mapping[str, Any]

_KB = 1024
_ONCE = "InitPlan"


def plan_of(explained: Json, *, is_generic: bool = False, role: str = "") -> QueryPlan:
    """The plan; `explained` is the one element of EXPLAIN's JSON array."""
    root = _Builder().build(explained["Plan"])
    measured = "Execution Time" in explained
    return QueryPlan(
        root=_settled(root),
        basis=Basis.MEASURED if measured else Basis.ESTIMATED,
        is_generic=is_generic,
        role=role,
        planning_ms=explained.get("Planning Time"),
        execution_ms=explained.get("Execution Time"),
        jit=_jit(explained.get("JIT")),
        settings={str(name): str(value) for name, value in explained.get("Settings", {}).items()},
    )


def texts(explained: Json) -> Iterator[str]:
    """Every expression that a verbose plan shows: what is called after views, policies and SQL functions came in."""
    waiting: list[Any] = [explained.get("Plan", {})]
    while waiting:
        here = waiting.pop()
        if isinstance(here, Mapping):
            waiting.extend(here.values())
        elif isinstance(here, list):
            waiting.extend(here)
        elif isinstance(here, str):
            yield here


@dataclasses.dataclass(slots=True, kw_only=True)
class _Place:
    """Where a node stands: its depth, how many processes share it, whether something above may stop it early."""

    depth: int = 0
    processes: float = 1.0
    is_cut_short: bool = False


class _Builder:
    def __init__(self) -> None:
        self._count = 0

    def build(self, node: Json, place: _Place | None = None) -> PlanNode:
        here = place if place is not None else _Place()
        self._count += 1
        number = self._count
        children = tuple(self.build(child, _below(node, child, here)) for child in node.get("Plans", ()))
        return PlanNode(
            number=number,
            depth=here.depth,
            kind=str(node.get("Node Type", "")),
            relation=_relation(node),
            alias=str(node.get("Alias", "")),
            index=str(node.get("Index Name", "")),
            relationship=str(node.get("Parent Relationship", "")),
            subplan=str(node.get("Subplan Name", "")),
            cte=str(node.get("CTE Name", "")),
            function=str(node.get("Function Name", "")),
            join=str(node.get("Join Type", "")),
            strategy=str(node.get("Strategy", "")),
            startup_cost=float(node.get("Startup Cost", 0.0)),
            total_cost=float(node.get("Total Cost", 0.0)),
            self_cost=_self_cost(node, children),
            rows=float(node.get("Plan Rows", 0.0)),
            width_bytes=int(node.get("Plan Width", 0)),
            index_cond=str(node.get("Index Cond", "")),
            recheck_cond=str(node.get("Recheck Cond", "")),
            filter=str(node.get("Filter", node.get("One-Time Filter", ""))),
            join_filter=str(node.get("Join Filter", "")),
            join_cond=str(node.get("Hash Cond", node.get("Merge Cond", ""))),
            sort_keys=tuple(map(str, node.get("Sort Key", ()))),
            group_keys=tuple(map(str, node.get("Group Key", ()))),
            workers_planned=int(node.get("Workers Planned", 0)),
            is_parallel_aware=bool(node.get("Parallel Aware", False)),
            is_cut_short=here.is_cut_short,
            actual=_actual(node, children, here.processes),
            memory=_memory(node),
            blocks=_blocks(node),
            self_blocks=_self_blocks(node),
            children=children,
        )


def _below(node: Json, child: Json, here: _Place) -> _Place:
    kind = node.get("Node Type")
    processes = here.processes
    if kind in {"Gather", "Gather Merge"} and node.get("Actual Loops"):
        processes *= max(1.0, float(child.get("Actual Loops", 1)) / float(node["Actual Loops"]))
    once = child.get("Parent Relationship") == _ONCE
    stops = kind == "Limit" or (kind == "Nested Loop" and node.get("Join Type") in {"Semi", "Anti"})
    stops = stops or kind == "Merge Join" or child.get("Parent Relationship") == "SubPlan"
    blocks = kind in {"Sort", "Hash", "Aggregate"} and node.get("Strategy") != "Sorted"
    return _Place(
        depth=here.depth + 1,
        processes=processes,
        is_cut_short=False if once or blocks else (here.is_cut_short or stops),
    )


def _relation(node: Json) -> str:
    name = node.get("Relation Name")
    if name is None:
        return ""
    schema = node.get("Schema")
    return dotted(str(schema), str(name)) if schema else dotted(str(name))


def _self_cost(node: Json, children: tuple[PlanNode, ...]) -> float:
    """What is left of the node's cost when its children are paid, the inner one of a nested loop once an outer row."""
    total = float(node.get("Total Cost", 0.0))
    left = total
    outer_rows = next((child.rows for child in children if child.relationship == "Outer"), 1.0)
    for child in children:
        times = 1.0
        if node.get("Node Type") == "Nested Loop" and child.relationship == "Inner":
            times = max(1.0, outer_rows)
        left -= min(max(left, 0.0), child.total_cost * times)
    return max(0.0, left)


def _actual(node: Json, children: tuple[PlanNode, ...], processes: float) -> Actual | None:
    if "Actual Loops" not in node:
        return None
    loops = float(node["Actual Loops"])
    rows = float(node.get("Actual Rows", 0.0))
    inclusive_ms = float(node.get("Actual Total Time", 0.0)) * loops / processes
    below = sum(c.actual.inclusive_ms for c in children if c.actual is not None and c.relationship != _ONCE)
    return Actual(
        loops=loops,
        loop_rows=rows,
        total_rows=rows * loops,
        startup_ms=float(node.get("Actual Startup Time", 0.0)),
        inclusive_ms=inclusive_ms,
        self_ms=max(0.0, inclusive_ms - below),
        filter_removed_rows=float(node.get("Rows Removed by Filter", 0.0)) * loops,
        join_filter_removed_rows=float(node.get("Rows Removed by Join Filter", 0.0)) * loops,
        recheck_removed_rows=float(node.get("Rows Removed by Index Recheck", 0.0)) * loops,
        heap_fetches=int(node.get("Heap Fetches", 0)),
        exact_blocks=_with_workers(node, "Exact Heap Blocks"),
        lossy_blocks=_with_workers(node, "Lossy Heap Blocks"),
        workers_launched=int(node.get("Workers Launched", 0)),
    )


def _with_workers(node: Json, name: str) -> int:
    """PostgreSQL 18 counts workers' blocks apart."""
    return int(node.get(name, 0)) + sum(int(worker.get(name, 0)) for worker in node.get("Workers", ()))


def _memory(node: Json) -> Memory | None:
    """Sorts, hashes and hash aggregates; workers' sorts are summed, for each has its own memory and files."""
    if "Sort Method" in node or any("Sort Method" in worker for worker in node.get("Workers", ())):
        parts = [part for part in (node, *node.get("Workers", ())) if "Sort Method" in part]
        on_disk = sum(int(p.get("Sort Space Used", 0)) for p in parts if p.get("Sort Space Type") == "Disk")
        in_memory = sum(int(p.get("Sort Space Used", 0)) for p in parts if p.get("Sort Space Type") != "Disk")
        return Memory(method=str(parts[0]["Sort Method"]), memory_bytes=in_memory * _KB, disk_bytes=on_disk * _KB)
    if "Hash Batches" in node:
        return Memory(
            memory_bytes=int(node.get("Peak Memory Usage", 0)) * _KB,
            batches=int(node["Hash Batches"]),
            planned_batches=int(node.get("Original Hash Batches", node["Hash Batches"])),
        )
    if "HashAgg Batches" in node:
        return Memory(
            memory_bytes=int(node.get("Peak Memory Usage", 0)) * _KB,
            disk_bytes=int(node.get("Disk Usage", 0)) * _KB,
            batches=max(1, int(node["HashAgg Batches"])),
        )
    if node.get("Storage") == "Disk":
        return Memory(disk_bytes=int(node.get("Maximum Storage", 0)) * _KB)
    return None


def _blocks(node: Json) -> Blocks | None:
    if "Shared Hit Blocks" not in node:
        return None
    return Blocks(
        shared_hit=int(node["Shared Hit Blocks"]),
        shared_read=int(node.get("Shared Read Blocks", 0)),
        shared_dirtied=int(node.get("Shared Dirtied Blocks", 0)),
        shared_written=int(node.get("Shared Written Blocks", 0)),
        local=int(node.get("Local Hit Blocks", 0)) + int(node.get("Local Read Blocks", 0)),
        temp_read=int(node.get("Temp Read Blocks", 0)),
        temp_written=int(node.get("Temp Written Blocks", 0)),
    )


def _self_blocks(node: Json) -> Blocks | None:
    own = _blocks(node)
    if own is None:
        return None
    below = [b for child in node.get("Plans", ()) if (b := _blocks(child)) is not None]
    return Blocks(
        **{
            field.name: max(0, getattr(own, field.name) - sum(getattr(b, field.name) for b in below))
            for field in dataclasses.fields(Blocks)
        }
    )


def _jit(jit: Json | None) -> Jit | None:
    if not jit:
        return None
    timing = jit.get("Timing", {})
    return Jit(
        functions=int(jit.get("Functions", 0)),
        total_ms=float(timing.get("Total", 0.0)),
        optimization_ms=float(timing.get("Optimization", 0.0)) + float(timing.get("Inlining", 0.0)),
    )


def _settled(root: PlanNode) -> PlanNode:
    """Take the time of a plan that runs once from the node that waited for it: a CTE's scan, or who reads its value."""
    waited: dict[int, float] = {}
    for holder in root.walk():
        for once in holder.children:
            if once.relationship != _ONCE or once.actual is None:
                continue
            payer = _payer(root, holder, once)
            if payer.actual is not None:
                waited[payer.number] = waited.get(payer.number, 0.0) + once.actual.inclusive_ms
    return _without(root, waited) if waited else root


def _payer(root: PlanNode, holder: PlanNode, once: PlanNode) -> PlanNode:
    name = once.subplan.removeprefix("CTE ")
    if once.subplan.startswith("CTE "):
        scans = [node for node in root.walk() if node.kind == "CTE Scan" and node.cte == name]
        return max(scans, key=lambda n: n.actual.self_ms if n.actual else 0.0, default=holder)
    asking = [n for n in holder.walk() if n is not once and name and _asks(n, name)]
    return asking[0] if asking else holder


def _asks(node: PlanNode, name: str) -> bool:
    """Whether one of its conditions reads the value: `(InitPlan 1).col1` from 17 on, `$0` before."""
    told = (node.index_cond, node.filter, node.join_filter, node.join_cond, node.recheck_cond)
    number = name.partition(" (returns ")[2].rstrip(")") or name.removeprefix("InitPlan ")
    return any(f"({name})" in text or (number.startswith("$") and number in text) for text in told)


def _without(node: PlanNode, waited: Mapping[int, float]) -> PlanNode:
    children = tuple(_without(child, waited) for child in node.children)
    actual = node.actual
    if actual is not None and node.number in waited:
        actual = dataclasses.replace(actual, self_ms=max(0.0, actual.self_ms - waited[node.number]))
    return dataclasses.replace(node, children=children, actual=actual)
