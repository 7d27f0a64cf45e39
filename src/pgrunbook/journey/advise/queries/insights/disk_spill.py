"""Sorts, hashes and aggregates that do not fit into work_mem and go through files on disk."""

from __future__ import annotations

from collections.abc import Iterator

from pgrunbook.journey.advise.queries.context import Context, insight
from pgrunbook.model import Advice, Lock
from pgrunbook.model.explanation import Insight
from pgrunbook.model.query_plan import PlanNode

# What a row takes in memory beyond its width: a tuple's header and pointers (SortTuple 24, MinimalTuple 16, palloc 8).
ROW_OVERHEAD_BYTES = 48
# A row on a tape has no SortTuple and no allocation around it; measured on rows of 16 to 200 bytes: 1.4 to 2.6 times.
MEMORY_PER_DISK = 2.6
MARGIN = 1.2
MB = 1024 * 1024
LARGEST_MB = 1024  # more for one node is no longer a setting's business

SPILLED = (
    "{what} needed {disk_bytes} on disk, for work_mem is {work_mem_bytes}.  {what} went through {batches} batches on"
    " disk, for work_mem is {hash_work_mem_bytes}.  About {needed_bytes} of work_mem would keep it in memory."
)
WILL_SPILL = (
    "{what} is going to hold {rows} rows of {width_bytes} each, estimated {needed_bytes}, and work_mem is"
    " {work_mem_bytes}: it will go through files on disk."
)


def find(context: Context) -> Iterator[Insight]:
    """One insight a node that spilled, or that by its estimates will."""
    for node in context.plan.nodes:
        found = _measured(context, node) if context.plan.is_measured else _reckoned(context, node)
        if found is not None:
            yield found


def _measured(context: Context, node: PlanNode) -> Insight | None:
    memory = node.memory
    if memory is None or not memory.spilled or node.kind in {"Materialize", "WindowAgg", "CTE Scan"}:
        return None
    work_mem = _work_mem(context)
    multiplier = context.setting_number("hash_mem_multiplier", 2.0) if node.kind != "Sort" else 1.0
    if node.kind in {"Sort", "Incremental Sort"}:
        rows = node.actual.loop_rows if node.actual is not None else node.rows
        needed = max(memory.disk_bytes * MEMORY_PER_DISK / 2, rows * (node.width_bytes + ROW_OVERHEAD_BYTES))
    elif memory.disk_bytes:
        needed = (memory.memory_bytes + memory.disk_bytes * MEMORY_PER_DISK) / multiplier
    else:
        needed = memory.memory_bytes * memory.batches / multiplier
    needed *= MARGIN
    blocks = node.self_blocks
    return insight(
        "disk_sort" if "Sort" in node.kind else "hash_spill",
        f"{_what(node)} spills to disk",
        SPILLED,
        node,
        plan=context.plan,
        cures=_cures(needed),
        what=_what(node),
        disk_bytes=memory.disk_bytes or None,
        batches=memory.batches if memory.batches > 1 and not memory.disk_bytes else None,
        temp_blocks=blocks.temp_written if blocks is not None else None,
        work_mem_bytes=round(work_mem) if memory.disk_bytes else None,
        hash_work_mem_bytes=round(work_mem) if not memory.disk_bytes else None,
        needed_bytes=round(needed),
    )


def _reckoned(context: Context, node: PlanNode) -> Insight | None:
    if node.kind not in {"Sort", "Hash"} or not node.children or node.is_cut_short or _bounded(context, node):
        return None
    rows = node.children[0].rows
    needed = rows * (node.width_bytes + ROW_OVERHEAD_BYTES) * MARGIN
    multiplier = context.setting_number("hash_mem_multiplier", 2.0) if node.kind == "Hash" else 1.0
    work_mem = _work_mem(context)
    if needed / MARGIN <= work_mem * multiplier:
        return None
    return insight(
        "disk_sort" if node.kind == "Sort" else "hash_spill",
        f"{_what(node)} will spill to disk, by the planner's estimates",
        WILL_SPILL,
        node,
        plan=context.plan,
        cures=_cures(needed / multiplier),
        what=_what(node),
        rows=round(rows),
        width_bytes=node.width_bytes,
        needed_bytes=round(needed / multiplier),
        work_mem_bytes=round(work_mem),
    )


def _bounded(context: Context, node: PlanNode) -> bool:
    """Whether a LIMIT right above lets a sort keep the first rows only."""
    parent = context.plan.parent_of(node)
    return parent is not None and parent.kind == "Limit"


def _work_mem(context: Context) -> float:
    return context.setting_bytes("work_mem", 4 * MB)


def _what(node: PlanNode) -> str:
    return {"Hash": "The hash of a join", "Aggregate": "The aggregate"}.get(node.kind, f"The {node.kind.lower()}")


def _cures(needed_bytes: float) -> tuple[Advice, ...]:
    wanted_mb = max(1, -(-round(needed_bytes) // MB))
    if wanted_mb > LARGEST_MB:
        return ()
    return (
        Advice(
            title="Give this statement the memory, and only it",
            sql=f"BEGIN;\nSET LOCAL work_mem = '{wanted_mb}MB';\n-- the statement\nCOMMIT;",
            undo_sql="-- SET LOCAL ends with the transaction",
            lock=Lock.NONE,
            risk="Each sort and hash of each process may take so much: raise it where it is needed, not for everybody.",
        ),
    )
