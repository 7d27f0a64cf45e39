"""From lines of pgbench's log to figures, without pgbench."""

from __future__ import annotations

import itertools
import re

import pytest

from pgrunbook.errors import UsageError
from pgrunbook.procedures.load.figures import (
    Line,
    Lost,
    Requests,
    parse_line,
    percentile,
    summarise,
    timeline,
)
from pgrunbook.procedures.load.pacing import Pacing
from pgrunbook.procedures.load.spec import LoadSpec, Script

NO_THINKING = Pacing(mean_us=0)
BEGAN_S = 1_750_000_000.0


def line(client: int, elapsed_us: int | None, ended_s: float, script: int = 0) -> Line:
    return Line(client=client, script=script, elapsed_us=elapsed_us, ended_at_s=BEGAN_S + ended_s)


def requests(users: int, *lines: Line, pacing: Pacing = NO_THINKING) -> Requests:
    made = Requests(users=users, pacing=pacing)
    for each in lines:
        made.add(each)
    return made


def figures(of: Requests, from_s: float, until_s: float, names: tuple[str, ...] = ("a", "b")):
    return summarise(of, names, from_s=BEGAN_S + from_s, until_s=BEGAN_S + until_s, other_cpu_ratio=0.25)


def test_a_line_of_the_log_is_read():
    assert parse_line("7 31 4321 2 1750000000 250000") == Line(
        client=7, script=2, elapsed_us=4321, ended_at_s=1_750_000_000.25
    )


@pytest.mark.parametrize("word", ["failed", "serialization", "deadlock"])
def test_a_failed_transaction_has_no_time(word):
    read = parse_line(f"0 5 {word} 1 1750000000 0")
    assert read is not None
    assert read.elapsed_us is None


@pytest.mark.parametrize("text", ["", "0 5 12", "progress: 5.0 s, 12 tps", "0 5 12 1 17500000x 0"])
def test_what_is_no_record_is_passed_over(text):
    assert parse_line(text) is None


def test_a_percentile_is_one_of_the_values():
    values = [float(n) for n in range(1, 101)]
    assert percentile(values, 0.50) == 50.0
    assert percentile(values, 0.95) == 95.0
    assert percentile(values, 0.99) == 99.0
    assert percentile([5.0], 0.95) == 5.0
    assert percentile([1.0, 2.0, 3.0], 0.95) == 3.0


def test_thinking_is_taken_off_exactly_by_client_and_turn():
    pacing = Pacing(mean_us=3_000_000)
    lines = [
        line(client, pacing.think_us(client, turn) + 1000 * (turn + 1), 10.0 * (turn + 1))
        for turn in range(3)
        for client in range(4)
    ]
    made = requests(4, *lines, pacing=pacing)
    assert [each.latency_ms for each in made.ended] == [1.0] * 4 + [2.0] * 4 + [3.0] * 4


def test_a_failed_request_counts_as_a_turn():
    pacing = Pacing(mean_us=1_000_000)
    made = requests(
        1,
        line(0, pacing.think_us(0, 0) + 5000, 1.0),
        line(0, None, 2.0),
        line(0, pacing.think_us(0, 2) + 7000, 4.0),
        pacing=pacing,
    )
    assert [each.latency_ms for each in made.ended] == [5.0, None, 7.0]


def test_the_mean_time_to_think_is_what_was_asked_for():
    pacing = Pacing(mean_us=2_000_000)
    thoughts = [pacing.think_us(client, turn) for client in range(50) for turn in range(1, 201)]
    assert sum(thoughts) / len(thoughts) == pytest.approx(2_000_000, rel=0.005)
    assert min(thoughts) >= 1_000_000
    assert max(thoughts) < 3_000_000


def test_first_arrivals_are_spread_over_the_mean_time_to_think():
    pacing = Pacing(mean_us=4_000_000)
    arrivals = sorted(pacing.think_us(client, 0) for client in range(100))
    gaps = [later - earlier for earlier, later in itertools.pairwise(arrivals)]
    assert arrivals[-1] < 4_000_000
    assert max(gaps) < 3 * 4_000_000 / 100


def test_pgbench_and_we_reckon_the_same_time_to_think():
    pacing = Pacing(mean_us=3_333_333)
    formula = pacing.paced("select 1;\n").splitlines()[0]
    found = re.fullmatch(r"\\set pgrb_think_us case when :pgrb_turn = 0 then (.*) else (.*) end", formula)
    assert found is not None
    for client in (0, 1, 49, 999):
        for turn in (0, 1, 2, 500):
            text = found[1] if turn == 0 else found[2]
            text = text.replace(":client_id", str(client)).replace(":pgrb_turn", str(turn)).replace("/", "//")
            assert eval(text, {"mod": int.__mod__}) == pacing.think_us(client, turn)  # noqa: S307 - our own formula


def test_the_warm_up_is_left_out_by_the_time_a_request_ended():
    made = requests(1, line(0, 900_000, 1.0), line(0, 2000, 6.0), line(0, 4000, 7.0))
    result = figures(made, 5.0, 7.0)
    assert result is not None
    assert (result.samples, result.p95_ms, result.mean_ms, result.window_s) == (2, 4.0, 3.0, 2.0)
    assert result.throughput_per_s == 1.0
    assert result.other_cpu_ratio == 0.25


def test_unfinished_requests_count_with_their_age():
    made = requests(2, line(0, 1_000_000, 1.0), line(1, 1_000_000, 1.0), line(1, 1_000_000, 9.5))
    result = figures(made, 5.0, 10.0)
    assert result is not None
    assert result.samples == 1
    assert result.unfinished == 2
    assert result.p95_ms == pytest.approx(9000.0)
    assert result.p50_ms == pytest.approx(1000.0)


def test_who_still_thinks_has_nothing_unfinished():
    pacing = Pacing(mean_us=4_000_000)
    made = requests(1, line(0, pacing.think_us(0, 0) + 10, 1.0), pacing=pacing)
    think_s = pacing.think_us(0, 1) / 1e6
    assert made.unfinished_ms(BEGAN_S + 1.0 + think_s - 0.5) == []
    assert made.unfinished_ms(BEGAN_S + 1.0 + think_s + 0.5) == pytest.approx([500.0], abs=0.01)


def test_a_user_whose_first_request_never_ends_is_unfinished():
    made = requests(2, line(0, 500_000, 0.5), line(0, 9_000_000, 9.5))
    assert sorted(made.unfinished_ms(BEGAN_S + 10.0)) == pytest.approx([500.0, 10_000.0])


def test_only_unfinished_work_still_gives_figures_with_no_samples():
    made = requests(1, line(0, 1000, 0.5))
    result = figures(made, 5.0, 10.0)
    assert result is not None
    assert (result.samples, result.unfinished, result.throughput_per_s) == (0, 1, 0.0)
    assert result.p95_ms == pytest.approx(9500.0)


def test_no_request_at_all_gives_no_figures():
    assert figures(requests(3), 0.0, 10.0) is None


def test_failed_requests_are_counted_and_have_no_share_in_percentiles():
    made = requests(1, line(0, 1000, 1.0), line(0, None, 2.0, script=1), line(0, 3000, 3.0))
    result = figures(made, 0.0, 3.0)
    assert result is not None
    assert (result.samples, result.failed, result.p95_ms) == (2, 1, 3.0)
    assert result.per_script["b"].failed == 1
    assert result.per_script["b"].p95_ms is None
    assert result.per_script["a"].mean_ms == 2.0


def test_a_lost_user_is_a_failure_and_not_unfinished_for_ever():
    made = requests(2, line(0, 1000, 1.0), line(1, 1000, 1.0), line(0, 1000, 9.9))
    made.lost.append(Lost(client=1, script=1, lost_at_s=BEGAN_S + 4.0))
    result = figures(made, 2.0, 9.9)
    assert result is not None
    assert (result.samples, result.failed, result.lost_users, result.unfinished) == (1, 1, 1, 0)
    assert result.per_script["b"].failed == 1


def test_the_timeline_has_every_second_and_says_when_nothing_ended():
    made = requests(
        1, line(0, 1000, 0.001), line(0, 2000, 0.5), line(0, 4000, 0.6), line(0, 8000, 2.5), line(0, 1000, 3.2)
    )
    points = timeline(made, BEGAN_S + 3.7)
    assert [point.t_s for point in points] == [1.0, 2.0, 3.0]
    assert [point.p95_ms for point in points] == [4.0, None, 8.0]
    assert [point.throughput_per_s for point in points] == [3.0, 0.0, 1.0]


def test_a_long_load_has_a_timeline_of_bounded_length():
    made = requests(1, line(0, 1000, 0.001), line(0, 1000, 999.0))
    assert len(timeline(made, BEGAN_S + 1000.0)) <= 120


@pytest.mark.parametrize(
    "wrong",
    [
        {"users": 0},
        {"think_s": -1.0},
        {"duration_s": 0.0},
        {"warmup_s": -1.0},
        {"scripts": ()},
        {"threads": 3},
        {"scripts": (Script(name="a", weight=0, text="select 1;"),)},
        {"scripts": (Script(name="a", weight=1, text="select 1;"),) * 2},
    ],
)
def test_a_load_that_makes_no_sense_is_refused(wrong):
    right = {
        "users": 2,
        "think_s": 1.0,
        "duration_s": 1.0,
        "warmup_s": 0.0,
        "scripts": (Script(name="a", weight=1, text="select 1;"),),
    }
    with pytest.raises(UsageError):
        LoadSpec(**{**right, **wrong})
