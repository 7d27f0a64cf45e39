"""EXPLAIN's JSON becomes a tree in which loops are multiplied and the parts add up to the whole."""

from __future__ import annotations

from typing import Any

import pytest

from pgrunbook.journey.observe.plan_tree import plan_of


def node(kind: str, *children: dict[str, Any], **fields: Any) -> dict[str, Any]:
    named = {name.replace("_", " ").title().replace(" By ", " by "): value for name, value in fields.items()}
    base = {"Node Type": kind, "Startup Cost": 0.0, "Total Cost": 100.0, "Plan Rows": 10, "Plan Width": 8}
    return {**base, **named, **({"Plans": list(children)} if children else {})}


def ran(kind: str, *children: dict[str, Any], ms: float, rows: float, loops: int = 1, **fields: Any) -> dict[str, Any]:
    found = node(kind, *children, **fields)
    return {**found, "Actual Total Time": ms, "Actual Startup Time": 0.0, "Actual Rows": rows, "Actual Loops": loops}


def measured(root: dict[str, Any], ms: float) -> dict[str, Any]:
    return {"Plan": root, "Execution Time": ms, "Planning Time": 0.1}


def test_times_and_rows_of_loops_are_multiplied() -> None:
    inner = ran("Index Scan", ms=0.02, rows=2, loops=1000, parent_relationship="Inner", rows_removed_by_filter=3)
    outer = ran("Seq Scan", ms=5.0, rows=1000, parent_relationship="Outer")
    plan = plan_of(measured(ran("Nested Loop", outer, inner, ms=30.0, rows=2000), 30.0))
    (loop, scan, index) = plan.nodes
    assert index.actual is not None
    assert loop.actual is not None
    assert (index.actual.inclusive_ms, index.actual.total_rows, index.actual.filter_removed_rows) == (20.0, 2000, 3000)
    assert loop.actual.self_ms == pytest.approx(5.0)
    assert plan.share(scan) == pytest.approx(5 / 30)
    assert sum(plan.share(one) for one in plan.nodes) == pytest.approx(1.0)


def test_the_time_of_parallel_workers_is_the_time_that_passed() -> None:
    scan = ran("Seq Scan", ms=40.0, rows=300, loops=3, parallel_aware=True)
    plan = plan_of(measured(ran("Gather", scan, ms=42.0, rows=900, workers_planned=2, workers_launched=2), 43.0))
    below = plan.nodes[1]
    assert below.actual is not None
    assert below.actual.inclusive_ms == pytest.approx(40.0)
    assert below.actual.total_rows == 900
    assert plan.nodes[0].actual is not None
    assert plan.nodes[0].actual.self_ms == pytest.approx(2.0)


def test_a_cte_is_paid_by_the_scan_that_waits_for_it() -> None:
    cte = ran("Seq Scan", ms=90.0, rows=500, parent_relationship="InitPlan", subplan_name="CTE x")
    scan = ran("CTE Scan", ms=95.0, rows=5, parent_relationship="Outer")
    scan["CTE Name"] = "x"
    plan = plan_of(measured(ran("Limit", cte, scan, ms=96.0, rows=5), 96.0))
    limit, first, waiting = plan.nodes
    assert first.actual is not None
    assert waiting.actual is not None
    assert limit.actual is not None
    assert (first.actual.self_ms, waiting.actual.self_ms) == (90.0, pytest.approx(5.0))
    assert limit.actual.self_ms == pytest.approx(1.0)


def test_what_a_limit_stopped_is_cut_short_and_what_a_sort_reads_is_not() -> None:
    scan = ran("Seq Scan", ms=1.0, rows=3)
    plan = plan_of(measured(ran("Limit", ran("Sort", scan, ms=2.0, rows=1), ms=2.0, rows=1), 2.0))
    assert [one.is_cut_short for one in plan.nodes] == [False, True, False]


def test_an_estimate_has_costs_and_no_times() -> None:
    inner = node("Index Scan", parent_relationship="Inner", total_cost=2.0)
    outer = node("Seq Scan", parent_relationship="Outer", total_cost=50.0)
    plan = plan_of({"Plan": node("Nested Loop", outer, inner)}, is_generic=True)
    assert not plan.is_measured
    assert plan.root.self_cost == pytest.approx(30.0)  # 100 - 50 - 10 outer rows times 2
    assert plan.nodes[1].misestimate is None


def test_what_never_ran_is_told_from_what_found_nothing() -> None:
    never = ran("Seq Scan", ms=0.0, rows=0, loops=0)
    plan = plan_of(measured(ran("Result", never, ms=0.1, rows=0), 0.1))
    assert plan.nodes[1].misestimate is None
    assert plan.nodes[0].misestimate == pytest.approx(0.1)
