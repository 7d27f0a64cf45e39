"""The difference of two readings: exact where it can be, silent where the counters cannot be trusted."""

from __future__ import annotations

import statistics
from dataclasses import replace

import pytest

from pgrunbook.journey.verify.window import Counter, Key, difference


def counter(times_ms: list[float], *, queryid: int = 1, role_oid: int = 10, blocks: int = 7) -> Counter:
    """What pg_stat_statements would hold after calls that took so long."""
    return Counter(
        queryid=queryid,
        role_oid=role_oid,
        toplevel=True,
        calls=len(times_ms),
        total_ms=sum(times_ms),
        stddev_ms=statistics.pstdev(times_ms),
        rows=2 * len(times_ms),
        blocks=blocks * len(times_ms),
        stats_since="then",
    )


def reading(*counters: Counter) -> dict[Key, Counter]:
    return {counter.key: counter for counter in counters}


def test_mean_and_scatter_are_those_of_the_window_alone() -> None:
    earlier, later = [100.0, 300.0, 500.0], [1.0, 2.0, 4.0, 9.0]
    seen = difference(reading(counter(earlier)), reading(counter(earlier + later)), [1], (), 2.0)
    figures = seen.wanted[1]
    assert figures.calls == 4
    assert figures.mean_ms == 4.0
    assert figures.stderr_ms == pytest.approx(statistics.stdev(later) / 2, abs=1e-3)
    assert figures.blocks_per_call == 7.0
    assert figures.rows_per_call == 2.0


def test_an_entry_that_is_new_in_the_window_counts_whole() -> None:
    seen = difference({}, reading(counter([3.0, 5.0])), [1], (), 2.0)
    assert (seen.wanted[1].calls, seen.wanted[1].mean_ms) == (2, 4.0)


def test_the_entries_of_several_roles_are_one_query() -> None:
    before = reading(counter([1.0]), counter([1.0], role_oid=11))
    after = reading(counter([1.0, 2.0]), counter([1.0, 4.0], role_oid=11))
    seen = difference(before, after, [1], (), 2.0)
    assert (seen.wanted[1].calls, seen.wanted[1].mean_ms) == (2, 3.0)
    assert seen.wanted[1].stderr_ms == pytest.approx(1.0)


def test_only_the_named_roles_count_where_roles_are_named() -> None:
    before = reading(counter([1.0]), counter([1.0], role_oid=11))
    after = reading(counter([1.0, 2.0]), counter([1.0, 4.0], role_oid=11))
    assert difference(before, after, [1], [11], 2.0).wanted[1].mean_ms == 4.0


def test_a_query_that_nobody_called_has_no_figures() -> None:
    same = reading(counter([1.0, 2.0]))
    assert difference(same, same, [1], (), 2.0).wanted == {}


@pytest.mark.parametrize(
    "after",
    [
        counter([1.0]),
        replace(counter([1.0] * 9), blocks=0),
        replace(counter([1.0] * 9), total_ms=0.5),
        replace(counter([1.0] * 9), rows=0),
        replace(counter([1.0] * 9), stats_since="later"),
    ],
)
def test_counters_that_went_backwards_or_are_others_by_now_are_not_counted(after: Counter) -> None:
    seen = difference(reading(counter([1.0, 2.0, 3.0])), reading(after), [1], (), 2.0)
    assert seen.wanted == {}
    assert seen.distrusted == {1}


def test_an_entry_that_was_thrown_out_is_not_trusted() -> None:
    seen = difference(reading(counter([1.0])), {}, [1], (), 2.0)
    assert (seen.wanted, seen.distrusted) == ({}, frozenset({1}))


def test_other_statements_are_seen_beside() -> None:
    seen = difference({}, reading(counter([1.0]), counter([2.0], queryid=2)), [1], (), 2.0)
    assert [figures.queryid for figures in seen.others] == [2]
