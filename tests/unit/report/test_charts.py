from __future__ import annotations

import re
import xml.etree.ElementTree as ET
from itertools import pairwise

import pytest

from pgrunbook.report.charts import Band, Bar, Mark, Series, bar_chart, line_chart, log_ticks, nice_ticks, sparkline

EVIL = '"><script>alert(1)</script>&'


def parsed(markup: str) -> ET.Element:
    return ET.fromstring(markup)  # noqa: S314 - our own text


def line(*values: float | None) -> Series:
    return Series(name="P95", points=tuple((float(x), y) for x, y in enumerate(values)))


@pytest.mark.parametrize("high", [0.003, 1, 7, 99, 100, 101, 870, 12_345, 9.9e9])
def test_ticks_are_few_and_cover_the_highest_value(high: float) -> None:
    ticks = nice_ticks(high)
    assert ticks[0] == 0
    assert ticks[-1] >= high
    assert 2 <= len(ticks) <= 6


@pytest.mark.parametrize("low,high", [(1, 1), (0.4, 3), (4, 870), (1000, 1000)])
def test_logarithmic_ticks_enclose_the_values(low: float, high: float) -> None:
    ticks = log_ticks(low, high)
    assert ticks[0] <= low
    assert ticks[-1] >= high
    assert len(ticks) >= 2


def test_a_line_breaks_where_there_is_no_value() -> None:
    root = parsed(line_chart([line(1, 2, None, 4, 5)], title="t"))
    (path,) = [p.attrib["d"] for p in root.iter("path") if p.attrib["class"] == "line s0"]
    assert path.count("M") == 2


def test_no_point_leaves_the_plot() -> None:
    root = parsed(line_chart([line(0, 1, 1000, 3)], title="t", target=(2000.0, "2 s"), logarithmic=True))
    for path in root.iter("path"):
        for x, y in re.findall(r"([\d.]+),([\d.]+)", path.attrib["d"]):
            assert 0 <= float(x) <= 1000
            assert 0 <= float(y) <= 1000


def test_all_text_is_escaped() -> None:
    chart = line_chart(
        [line(1, 2), Series(name=EVIL, points=((0.0, 1.0), (1.0, 2.0)))],
        title=EVIL,
        target=(1.0, EVIL),
        marks=[Mark(x=0.5, label=EVIL, title=EVIL)],
        bands=[Band(start=0, end=1, label=EVIL)],
    )
    assert parsed(chart).find(".//script") is None
    assert parsed(bar_chart([Bar(label=EVIL, value=1.0, text=EVIL)], title=EVIL)).find(".//script") is None


def test_marks_that_stand_close_are_put_into_different_rows() -> None:
    marks = [Mark(x=10 + n, label=str(n), title=str(n)) for n in range(3)]
    root = parsed(line_chart([line(*range(1, 30))], title="t", marks=marks))
    badges = [mark.find("rect") for mark in root.iter("svg") if "mark" in mark.attrib["class"]]
    rows = [badge.attrib["y"] for badge in badges if badge is not None]
    assert len(rows) == 3
    assert all(here != following for here, following in pairwise(rows))


def test_marks_of_the_same_time_share_a_badge_that_names_them_all() -> None:
    kinds = ("action", "action", "undone")
    marks = [Mark(x=10 + n / 1000, label=str(n), title=f"step {n}", kind=kind) for n, kind in enumerate(kinds)]
    root = parsed(line_chart([line(*range(1, 30))], title="t", marks=marks))
    (badge,) = [mark for mark in root.iter("svg") if "mark" in mark.attrib["class"]]
    assert (badge.findtext("text"), badge.findtext("title")) == ("0–2", "step 0\nstep 1\nstep 2")
    assert badge.attrib["class"] == "mark other"


@pytest.mark.parametrize("series", [[], [line()], [line(1)], [line(None, None)]], ids=["none", "empty", "one", "nulls"])
def test_nothing_to_draw_is_said(series: list[Series]) -> None:
    assert "too few points" in line_chart(series, title="P95")


def test_equal_values_still_give_a_line() -> None:
    assert parsed(line_chart([line(5, 5, 5)], title="t")).find(".//path") is not None
    assert parsed(sparkline([5, 5, 5])).find(".//path") is not None


def test_bars_are_as_long_as_their_values() -> None:
    root = parsed(
        bar_chart([Bar(label="a", value=50.0, text="50"), Bar(label="b", value=100.0, text="100")], title="t")
    )
    widths = [
        float(r.attrib["width"].rstrip("%")) for r in root.iter("rect") if r.attrib["class"].startswith("bar plain")
    ]
    assert widths[1] == pytest.approx(2 * widths[0], abs=0.1)


def test_a_bar_without_a_value_keeps_its_row() -> None:
    root = parsed(
        bar_chart([Bar(label="a", value=None, text="not run"), Bar(label="b", value=1.0, text="1")], title="t")
    )
    assert [t.text for t in root.iter("text")] == ["a", "not run", "b", "1"]
