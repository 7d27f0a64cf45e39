"""Work that the result does not need: a large OFFSET, a bitmap that forgets rows, a subquery run row by row, JIT."""

from __future__ import annotations

from collections.abc import Iterator

from pgrunbook.journey.advise.queries.context import Context, insight
from pgrunbook.model import Advice
from pgrunbook.model.explanation import Insight
from pgrunbook.pg.parse import Tree

OFFSET_ROWS_MIN = 1000
LOSSY_BYTES_A_BLOCK = 110  # an entry of the bitmap's hash table with its share of empty ones
JIT_RATIO_MIN = 0.2
JIT_MS_MIN = 20.0
SUBPLAN_LOOPS_MIN = 1000.0
SHARE_MIN = 0.2
OFFSET_SAYS = "{rows_skipped} rows are made and counted away before the first one that is returned."
LOSSY_SAYS = (
    "The bitmap had no room for single rows: {lossy_blocks} blocks of {blocks} were kept whole, and {rows_rechecked}"
    " rows in them were read and thrown away.  About {needed_bytes} of work_mem would keep it exact."
)
JIT_SAYS = "Compiling {functions} functions took {jit_ms}, {jit_ratio} of the whole time of {execution_ms}."
SUBPLAN_SAYS = "{subplan} ran {loops} times, once a row, and took {share_ratio} of the time."


def find(context: Context) -> Iterator[Insight]:
    """Each by itself."""
    yield from _offset(context)
    yield from _lossy(context)
    yield from _jit(context)
    yield from _subplans(context)


def _offset(context: Context) -> Iterator[Insight]:
    skipped = constant_offset(context.query.select or {})
    for node in context.plan.nodes:
        if node.kind != "Limit" or not node.children:
            continue
        below, actual = node.children[0], node.actual
        if actual is not None and below.actual is not None:
            rows = below.actual.total_rows - actual.total_rows
        elif node.depth == 0 and skipped is not None:
            rows = min(float(skipped), below.rows)
        else:
            continue
        if rows >= OFFSET_ROWS_MIN:
            yield insight(
                "large_offset",
                "A large OFFSET",
                OFFSET_SAYS,
                node,
                plan=context.plan,
                share=context.plan.inclusive_share(below),
                rows_skipped=round(rows),
            )


def constant_offset(select: Tree) -> int | None:
    """The OFFSET that a SELECT's text shows."""
    constant = select.get("limit_offset", {}).get("a_const", {})
    return int(constant["ival"].get("ival", 0)) if "ival" in constant else None


def _lossy(context: Context) -> Iterator[Insight]:
    for node in context.plan.nodes:
        actual = node.actual
        if actual is None or not actual.lossy_blocks:
            continue
        blocks = actual.lossy_blocks + actual.exact_blocks
        needed = blocks * LOSSY_BYTES_A_BLOCK
        wanted_mb = max(1, -(-needed // (1024 * 1024)))
        yield insight(
            "lossy_bitmap",
            f"The bitmap of {node.relation} became lossy",
            LOSSY_SAYS,
            node,
            plan=context.plan,
            cures=(
                Advice(
                    title="Give this statement the memory, and only it",
                    sql=f"BEGIN;\nSET LOCAL work_mem = '{wanted_mb}MB';\n-- the statement\nCOMMIT;",
                    undo_sql="-- SET LOCAL ends with the transaction",
                    risk="Each sort and hash of each process may take so much.",
                ),
            ),
            lossy_blocks=actual.lossy_blocks,
            blocks=blocks,
            rows_rechecked=round(actual.recheck_removed_rows),
            needed_bytes=needed,
            table=node.relation,
        )


def _jit(context: Context) -> Iterator[Insight]:
    jit, whole = context.plan.jit, context.plan.execution_ms
    if jit is None or not whole or jit.total_ms < max(JIT_MS_MIN, JIT_RATIO_MIN * whole):
        return
    yield insight(
        "jit_cost",
        "Just-in-time compilation costs more than it can bring",
        JIT_SAYS,
        plan=context.plan,
        share=jit.total_ms / whole,
        cures=(
            Advice(
                title="Leave this statement uncompiled",
                sql="BEGIN;\nSET LOCAL jit = off;\n-- the statement\nCOMMIT;",
                undo_sql="-- SET LOCAL ends with the transaction",
                risk="Or raise jit_above_cost: a plan whose cost is overestimated is compiled in vain.",
            ),
        ),
        functions=jit.functions,
        jit_ms=round(jit.total_ms, 1),
        jit_ratio=round(jit.total_ms / whole, 3),
        execution_ms=round(whole, 1),
    )


def _subplans(context: Context) -> Iterator[Insight]:
    for node in context.plan.nodes:
        if node.relationship != "SubPlan" or node.actual is None or node.actual.loops < SUBPLAN_LOOPS_MIN:
            continue
        share = context.plan.inclusive_share(node)
        if share >= SHARE_MIN:
            yield insight(
                "subquery_per_row",
                "A subquery runs once a row",
                SUBPLAN_SAYS,
                node,
                plan=context.plan,
                share=share,
                subplan=node.subplan or "SubPlan",
                loops=round(node.actual.loops),
                share_ratio=round(share, 3),
            )
