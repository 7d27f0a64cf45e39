"""Costs of statements between two readings: resets, crashes and evictions never give a negative or a wrong figure."""

from __future__ import annotations

import dataclasses
import statistics
from datetime import timedelta
from typing import Any

import pytest
from tests.fix.statement_rows import AT, info, snapshot, statement

from pgrunbook.journey.observe.statements import Statement
from pgrunbook.journey.workload.costs import Cost, costs_of
from pgrunbook.model import NotRead, ServerRole

BEFORE = AT - timedelta(seconds=10)


def measured(times_ms: list[float], **changes: Any) -> Statement:
    """What the server counts of calls that took so long."""
    return statement(
        calls=len(times_ms),
        total_exec_ms=sum(times_ms),
        mean_exec_ms=statistics.fmean(times_ms),
        min_exec_ms=min(times_ms),
        max_exec_ms=max(times_ms),
        stddev_exec_ms=statistics.pstdev(times_ms),
        **changes,
    )


def window(before: list[Statement], after: list[Statement], *, evicted: int | None = 0, **later: Any) -> Any:
    """Two readings ten seconds apart; `evicted` None: the extension does not say."""
    then = info() if evicted is not None else None
    now = info(evictions=evicted, **later) if evicted is not None else None
    earlier = snapshot(*before, about=then, at=BEFORE)
    return costs_of(snapshot(*after, about=now, earlier=earlier))


def only(found: Any) -> Cost:
    (cost,) = found.costs
    assert cost.calls > 0
    assert all(value >= 0 for value in dataclasses.asdict(cost).values() if type(value) in {int, float})
    return cost


def test_without_a_window_figures_are_cumulative_with_their_age() -> None:
    found = costs_of(snapshot(statement(), about=info()))
    assert (found.is_window, found.period_s) == (False, 3 * 86400)
    assert only(found).calls == 100


def test_an_old_extension_leaves_the_age_unknown() -> None:
    assert costs_of(snapshot(statement())).period_s is None


def test_in_a_window_only_what_happened_in_it_counts() -> None:
    found = window(
        [statement(calls=100, mean_ms=1)], [statement(calls=130, mean_ms=2, min_exec_ms=0.5, max_exec_ms=9.0)]
    )
    cost = only(found)
    assert (found.is_window, found.period_s, cost.calls, cost.exec_ms) == (True, 10.0, 30, 160.0)
    assert cost.rows == 30
    assert not cost.is_whole


def test_the_deviation_of_the_window_is_that_of_its_calls_alone() -> None:
    old, new = [1.0, 2.0, 3.0, 100.0], [10.0, 14.0, 12.0]
    cost = only(window([measured(old)], [measured(old + new)]))
    assert cost.mean_ms == pytest.approx(statistics.fmean(new))
    assert cost.deviation_ms == pytest.approx(statistics.pstdev(new))


def test_two_roles_count_as_one_statement() -> None:
    first, second = [1.0, 5.0, 9.0], [20.0, 40.0]
    cost = only(costs_of(snapshot(measured(first), measured(second, role="web"), about=info())))
    assert (cost.roles, cost.calls) == (("app", "web"), 5)
    assert cost.deviation_ms == pytest.approx(statistics.pstdev(first + second))


def test_entries_of_one_text_are_one_statement() -> None:
    """psycopg sends 5 as smallint and 50000 as integer: two entries."""
    text = "select * from t where id = $1"
    found = costs_of(snapshot(statement(-5, query=text, calls=7), statement(9, query=text, calls=70), about=info()))
    assert (only(found).queryids, only(found).object, only(found).calls) == ((9, -5), "9", 77)


def test_a_statement_that_did_not_run_in_the_window_is_left_out() -> None:
    assert window([statement()], [statement()]).costs == ()


def test_a_statement_that_is_new_counts_whole() -> None:
    assert only(window([], [statement(calls=7)])).calls == 7


def test_after_a_reset_everything_counted_since_then_is_the_windows() -> None:
    reset_at = AT - timedelta(seconds=4)
    found = window([statement(calls=5000)], [statement(calls=90, mean_ms=3)], stats_reset=reset_at)
    assert (found.is_window, found.period_s) == (True, 4.0)
    assert (only(found).calls, only(found).mean_ms) == (90, 3.0)


def test_after_a_reset_a_statement_that_has_outgrown_its_old_counts_is_not_subtracted() -> None:
    reset_at = AT - timedelta(seconds=4)
    found = window([statement(calls=10, mean_ms=500)], [statement(calls=90, mean_ms=80)], stats_reset=reset_at)
    assert (only(found).calls, only(found).mean_ms) == (90, 80.0)


def test_one_statement_that_was_reset_alone_counts_from_then_on() -> None:
    assert only(window([statement(calls=5000)], [statement(calls=3)])).calls == 3


def test_an_entry_that_began_again_is_known_by_its_start_from_17_on() -> None:
    old, new = BEFORE - timedelta(hours=1), AT - timedelta(seconds=2)
    found = window(
        [statement(calls=10, stats_since=old)], [statement(calls=60, mean_ms=9, stats_since=new)], evicted=50
    )
    assert (only(found).calls, only(found).mean_ms, found.unsure) == (60, 9.0, 0)


def test_an_entry_of_the_same_start_is_compared_whatever_was_evicted() -> None:
    old = BEFORE - timedelta(hours=1)
    found = window([statement(calls=10, stats_since=old)], [statement(calls=60, stats_since=old)], evicted=50)
    assert (only(found).calls, found.unsure) == (50, 0)


@pytest.mark.parametrize("evicted", [3, None])
def test_before_17_an_entry_that_may_have_been_evicted_is_not_guessed(evicted: int | None) -> None:
    before = statement(calls=10, mean_ms=10, min_exec_ms=8.0, max_exec_ms=12.0)
    after = statement(calls=60, mean_ms=11, min_exec_ms=7.0, max_exec_ms=30.0)
    found = window([before], [after], evicted=evicted)
    assert (found.costs, found.unsure) == ((), 1)


def test_before_17_an_entry_with_the_same_shortest_time_is_the_same() -> None:
    before = statement(calls=10, mean_ms=10, min_exec_ms=8.123456, max_exec_ms=12.0)
    after = statement(calls=60, mean_ms=11, min_exec_ms=8.123456, max_exec_ms=30.0)
    assert only(window([before], [after], evicted=3)).calls == 50


@pytest.mark.parametrize(
    "changes",
    [
        {"max_exec_ms": 11.0},  # was 12
        {"min_exec_ms": 9.0},  # was 8
        {"rows": 5},  # was 10
        {"mean_ms": 3.0},  # less in all than before
        {"shared_hit_blocks": 3},
    ],
)
def test_whatever_went_back_shows_that_the_entry_began_again(changes: dict[str, Any]) -> None:
    before = statement(calls=10, mean_ms=10, min_exec_ms=8.0, max_exec_ms=12.0)
    after = statement(**{"calls": 20, "mean_ms": 10.0, "min_exec_ms": 8.0, "max_exec_ms": 12.0, **changes})
    cost = only(window([before], [after]))
    assert (cost.calls, cost.is_whole) == (20, True)


def test_new_calls_that_would_be_longer_than_the_longest_show_that_the_entry_began_again() -> None:
    before = statement(calls=10, mean_ms=1, min_exec_ms=0.5, max_exec_ms=2.0)
    after = statement(calls=11, mean_ms=2, min_exec_ms=0.5, max_exec_ms=3.0)  # the new call would have taken 12 ms
    assert only(window([before], [after])).calls == 11


def test_roles_that_were_dropped_cannot_be_told_apart() -> None:
    gone = [statement(role=None), statement(role=None, calls=5)]
    found = window(gone, [statement(role=None, calls=150), statement(role=None, calls=6)])
    assert (found.costs, found.unsure) == ((), 2)


def test_a_reading_of_another_node_is_refused() -> None:
    earlier = snapshot(statement(calls=5000), about=info(stats_reset=AT - timedelta(days=9)), at=BEFORE)
    with pytest.raises(NotRead, match="another server"):
        costs_of(snapshot(statement(calls=3), about=info(), earlier=earlier))


def test_a_reading_of_a_standby_is_refused_though_its_extension_says_nothing() -> None:
    earlier = snapshot(statement(calls=5000), at=BEFORE, started_at=AT - timedelta(days=1))
    earlier = dataclasses.replace(earlier, server=dataclasses.replace(earlier.server, role=ServerRole.STANDBY))
    with pytest.raises(NotRead, match="another server"):
        costs_of(snapshot(statement(calls=3), earlier=earlier))


def test_a_standby_that_was_promoted_is_the_same_server() -> None:
    earlier = snapshot(statement(calls=100), about=info(), at=BEFORE)
    earlier = dataclasses.replace(earlier, server=dataclasses.replace(earlier.server, role=ServerRole.STANDBY))
    assert only(costs_of(snapshot(statement(calls=103), about=info(), earlier=earlier))).calls == 3


def test_nothing_is_known_when_tracking_is_off() -> None:
    with pytest.raises(NotRead, match="switched off"):
        costs_of(snapshot(statement(), about=info(track="none")))


def test_ours_and_utility_statements_never_count() -> None:
    rows = [
        statement(1, query="/* pgrunbook: x */ select 1"),
        statement(2, query="select relname from pg_catalog.pg_class"),
        statement(3, query="vacuum t"),
        statement(4, query="COPY public.t (id) TO stdout"),
        statement(5, query="select * from pg_stat_statements"),
        statement(6, query="-- a comment\nselect 6"),
    ]
    found = costs_of(snapshot(*rows, about=info()))
    assert [cost.queryid for cost in found.costs] == [6]
    assert found.calls == 100


def test_a_statement_within_a_function_is_not_counted_twice() -> None:
    found = costs_of(snapshot(statement(1), statement(2, toplevel=False), about=info(track="all")))
    assert (len(found.costs), found.calls, found.exec_ms) == (2, 100, 100.0)


def test_the_estimate_of_p95_is_never_above_the_longest_call() -> None:
    cost = only(costs_of(snapshot(measured([1.0] * 99 + [2.0]), about=info())))
    assert cost.mean_ms < cost.p95_ms < 2.0
    spread = only(costs_of(snapshot(measured([1.0, 1.0, 9.0]), about=info())))
    assert spread.p95_ms == 9.0
