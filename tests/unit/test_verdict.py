"""What two measurements say about a step."""

from __future__ import annotations

import json

import pytest

from pgrunbook.journey.verify.measurement import Measurement, QueryFigures
from pgrunbook.journey.verify.verdict import Promise, Terms, judge
from pgrunbook.model.plan import Judgement

INDEX = Terms(promise=Promise.FASTER)
POLICY = Terms(promise=Promise.FASTER, by_time=True)
DROP = Terms(promise=Promise.NOT_SLOWER)


def query(queryid: int = 1, **figures: float) -> QueryFigures:
    defaults = {"calls": 100, "mean_ms": 10.0, "stderr_ms": 0.1, "blocks_per_call": 100.0, "rows_per_call": 1.0}
    return QueryFigures(queryid=queryid, **{**defaults, **figures})


def seen(*queries: QueryFigures, gauges: tuple[float, ...] = (), **rest: str) -> Measurement:
    beside = tuple(QueryFigures(queryid=100 + n, calls=50, mean_ms=ms) for n, ms in enumerate(gauges))
    return Measurement(queries=queries, window_s=2.0, gauges=beside, **rest)


def idle(cost: float | None = None, queryid: int = 1) -> QueryFigures:
    return QueryFigures(queryid=queryid, calls=0, cost=cost)


def test_an_index_that_saves_a_fifth_of_the_blocks_has_improved() -> None:
    judgement = judge(seen(query()), seen(query(blocks_per_call=80.0)), INDEX)
    assert judgement.improved is True
    assert judgement.figures["basis"] == "measured"
    assert judgement.figures["gain_ratio"] == pytest.approx(0.2)
    assert judgement.reason == "measured: blocks per call fell by 20%"


def test_an_index_that_saves_less_has_not() -> None:
    judgement = judge(seen(query()), seen(query(blocks_per_call=81.0)), INDEX)
    assert judgement.improved is False
    assert judgement.figures["verdict"] == "unchanged"


def test_time_alone_does_not_prove_an_index() -> None:
    """The load fell: the same plan reads the same blocks in half the time."""
    judgement = judge(seen(query()), seen(query(mean_ms=5.0)), INDEX)
    assert judgement.improved is False


def test_another_plan_that_reads_more_but_is_surely_faster_has_improved() -> None:
    judgement = judge(seen(query()), seen(query(mean_ms=1.0, blocks_per_call=110.0)), INDEX)
    assert judgement.improved is True
    assert judgement.figures["metric"] == "time per call"


def test_more_load_does_not_hide_the_gain_of_an_index() -> None:
    judgement = judge(seen(query()), seen(query(mean_ms=30.0, blocks_per_call=10.0)), INDEX)
    assert judgement.improved is True


def test_more_blocks_are_worse() -> None:
    judgement = judge(seen(query()), seen(query(blocks_per_call=150.0, mean_ms=15.0)), INDEX)
    assert (judgement.improved, judgement.figures["verdict"]) == (False, "worse")


def test_queries_weigh_as_often_as_they_were_called_before() -> None:
    before = seen(query(1, calls=990), query(2, calls=10, blocks_per_call=100.0))
    after = seen(query(1, calls=10), query(2, calls=990, blocks_per_call=1.0))
    judgement = judge(before, after, INDEX)
    assert judgement.improved is False
    assert judgement.figures["gain_ratio"] == pytest.approx(0.0099)


def test_a_policy_is_proven_by_time() -> None:
    judgement = judge(seen(query()), seen(query(mean_ms=2.0)), POLICY)
    assert judgement.improved is True
    assert judgement.figures["metric"] == "time per call"


def test_a_policy_is_credited_for_load_that_grew_meanwhile() -> None:
    """Everything else takes twice as long: 9 ms instead of 10 are really 4.5."""
    before = seen(query(), gauges=(1.0, 2.0, 3.0))
    after = seen(query(mean_ms=9.0), gauges=(2.0, 4.0, 6.0))
    judgement = judge(before, after, POLICY)
    assert judgement.improved is True
    assert judgement.figures["load_ratio"] == 2.0


def test_a_policy_is_not_praised_for_load_that_fell() -> None:
    before = seen(query(), gauges=(2.0, 4.0, 6.0))
    after = seen(query(mean_ms=5.0), gauges=(1.0, 2.0, 3.0))
    judgement = judge(before, after, POLICY)
    assert judgement.improved is None
    assert judgement.figures["verdict"] == "unverified"


@pytest.mark.parametrize("cost, improved", [(100.0, True), (1000.0, False)])
def test_where_the_load_fell_the_planner_decides(cost: float, improved: bool) -> None:  # noqa: FBT001 - parametrized
    before = seen(query(cost=1000.0), gauges=(2.0, 4.0, 6.0))
    after = seen(query(mean_ms=5.0, cost=cost), gauges=(1.0, 2.0, 3.0))
    judgement = judge(before, after, POLICY)
    assert judgement.improved is improved
    assert judgement.figures["basis"] == "estimated"


def test_times_that_scatter_too_widely_prove_nothing() -> None:
    judgement = judge(seen(query(stderr_ms=5.0)), seen(query(mean_ms=6.0, stderr_ms=3.0)), POLICY)
    assert judgement.improved is None
    assert "chance" in judgement.reason


def test_times_are_compared_per_row_where_other_values_were_asked_for() -> None:
    before = seen(query(rows_per_call=100.0, mean_ms=100.0))
    after = seen(query(rows_per_call=1000.0, mean_ms=100.0))
    judgement = judge(before, after, POLICY)
    assert judgement.improved is True
    assert judgement.figures["metric"] == "time per row"


def test_a_dropped_index_owes_nothing_but_no_harm() -> None:
    assert judge(seen(query()), seen(query()), DROP).improved is None
    assert judge(seen(query()), seen(query(blocks_per_call=500.0)), DROP).improved is False


def test_a_step_without_named_queries_is_kept_when_nothing_changed() -> None:
    terms = Terms(promise=Promise.FASTER, promised=False)
    assert judge(seen(query()), seen(query()), terms).improved is None
    assert judge(seen(query()), seen(query(blocks_per_call=500.0)), terms).improved is False


def test_without_calls_the_cost_is_compared_and_labelled() -> None:
    judgement = judge(seen(idle(1000.0)), seen(idle(10.0)), INDEX)
    assert judgement.improved is True
    assert judgement.reason == "estimated: the planner's cost fell by 99%"


def test_too_few_calls_in_one_window_do_not_count() -> None:
    judgement = judge(seen(query(cost=100.0)), seen(query(calls=4, blocks_per_call=1.0, cost=100.0)), INDEX)
    assert (judgement.improved, judgement.figures["basis"]) == (False, "estimated")


@pytest.mark.parametrize(
    "before, after, why",
    [
        (seen(), seen(), "no statement is known"),
        (seen(idle()), seen(idle()), "none of its queries was called 5 times"),
        (seen(idle()), seen(idle(), trouble="it was reset"), "it was reset"),
        (seen(idle()), seen(idle(), no_cost="no estimate: syntax"), "no estimate: syntax"),
        (seen(query(blocks_per_call=0.0, mean_ms=0.0)), seen(query(2)), "none of its queries"),
    ],
)
def test_what_could_not_be_seen_is_unverified_never_improved(before: Measurement, after: Measurement, why: str) -> None:
    judgement = judge(before, after, INDEX)
    assert judgement.improved is None
    assert judgement.reason.startswith("unverified: ")
    assert why in judgement.reason
    assert judgement.figures["verdict"] == "unverified"


def test_a_measurement_survives_the_journal() -> None:
    measured = seen(query(cost=3.5), idle(queryid=2), gauges=(1.0, 2.0))
    assert Measurement.of(json.loads(json.dumps(measured.as_figures()))) == measured
    assert Measurement.of({}) is None


def test_every_figure_of_a_judgement_can_be_journalled() -> None:
    judgement: Judgement = judge(seen(query(cost=3.5)), seen(query(cost=1.0)), POLICY)
    assert json.loads(json.dumps(judgement.figures))["mean_ms_before"] == [10.0]
