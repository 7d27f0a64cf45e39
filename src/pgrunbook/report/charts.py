"""Charts as SVG of our own: lines over time, bars, sparklines.  Pure functions from numbers to markup.

Positions along the width are percentages, heights are pixels, so that one SVG is readable on a phone and on a wide
screen: its text keeps its size, only the plot is stretched.  Colours are CSS variables (page.css), light or dark.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Sequence
from dataclasses import dataclass

from pgrunbook.report.markup import Content, Markup, tag
from pgrunbook.report.words import number

STRETCH = 1000  # units of the stretched plot in both directions
TOP, TOP_WITH_MARKS, BOTTOM = 10, 58, 26  # pixels above the plot, below it for times
MARK_SAME_RATIO = 0.03  # of the width: marks nearer than this share a badge
MARK_ROWS = 3
WIDE_PX, PHONE_PX, LETTER_PX = 880, 270, 8  # widths of a plot and of a letter: what fits where


@dataclass(frozen=True, slots=True, kw_only=True)
class Series:
    """One line: its name and its points (x, y) in the order of x; where y is None the line is broken."""

    name: str
    points: tuple[tuple[float, float | None], ...]


@dataclass(frozen=True, slots=True, kw_only=True)
class Mark:
    """Something that happened at `x`; `label` is a short sign on the chart, `title` says what it was."""

    x: float
    label: str
    title: str
    kind: str = "action"


@dataclass(frozen=True, slots=True, kw_only=True)
class Band:
    """A stretch of the x axis with a name, such as a phase of a load test."""

    start: float
    end: float
    label: str


@dataclass(frozen=True, slots=True, kw_only=True)
class Bar:
    """One bar: what it is, how long, and how the value reads."""

    label: str
    value: float | None
    text: str
    tone: str = "plain"


def nice_ticks(high: float, count: int = 4) -> tuple[float, ...]:
    """Round values from 0 that cover `high`.

    >>> nice_ticks(870), nice_ticks(0)
    ((0.0, 250.0, 500.0, 750.0, 1000.0), (0.0, 1.0))
    """
    if high <= 0:
        return (0.0, 1.0)
    raw = high / count
    magnitude = 10.0 ** math.floor(math.log10(raw))
    step = next(m * magnitude for m in (1, 2, 2.5, 5, 10) if m * magnitude >= raw * (1 - 1e-9))
    return tuple(k * step for k in range(math.ceil(high / step - 1e-9) + 1))


def log_ticks(low: float, high: float) -> tuple[float, ...]:
    """The powers of ten that enclose both.

    >>> log_ticks(4, 870)
    (1.0, 10.0, 100.0, 1000.0)
    """
    first = math.floor(math.log10(low))
    last = max(first + 1, math.ceil(math.log10(high) - 1e-9))
    return tuple(10.0**k for k in range(first, last + 1))


def clock(seconds: float) -> str:
    """Time since the start, short enough for an axis.

    >>> clock(0), clock(95), clock(3725)
    ('0:00', '1:35', '1:02:05')
    """
    minutes, rest = divmod(round(seconds), 60)
    hours, minutes = divmod(minutes, 60)
    return f"{hours}:{minutes:02}:{rest:02}" if hours else f"{minutes}:{rest:02}"


@dataclass(frozen=True, slots=True, kw_only=True)
class _Scale:
    """Values to 0 (bottom) … 1 (top)."""

    ticks: tuple[float, ...]
    logarithmic: bool

    def share(self, value: float) -> float:
        low, high = self.ticks[0], self.ticks[-1]
        if self.logarithmic:
            return (math.log10(max(value, low)) - math.log10(low)) / (math.log10(high) - math.log10(low))
        return value / high

    @staticmethod
    def of(values: Sequence[float], *, logarithmic: bool) -> _Scale:
        positive = [value for value in values if value > 0]
        if logarithmic and positive:
            return _Scale(ticks=log_ticks(min(positive), max(positive)), logarithmic=True)
        return _Scale(ticks=nice_ticks(max(values, default=0.0) * 1.05), logarithmic=False)


def line_chart(
    series: Sequence[Series],
    *,
    title: str,
    y_text: Callable[[float], str] = number,
    x_text: Callable[[float], str] = clock,
    target: tuple[float, str] | None = None,
    marks: Sequence[Mark] = (),
    bands: Sequence[Band] = (),
    logarithmic: bool = False,
    plot_px: int = 240,
) -> Markup:
    """Lines over time with a target line, numbered marks and named bands; says so when there is nothing to draw."""
    xs = [x for one in series for x, _ in one.points] + [mark.x for mark in marks]
    ys = [y for one in series for _, y in one.points if y is not None]
    if len(set(xs)) < 2 or not ys:
        return tag("p", f"{title}: too few points to draw.", class_="empty")
    scale = _Scale.of([*ys, *([target[0]] if target else [])], logarithmic=logarithmic)
    top = TOP_WITH_MARKS if marks else TOP
    low, high = min(xs), max(xs)

    def place(x: float) -> float:
        return (x - low) / (high - low)

    drawing = tag(
        "svg",
        _bands(bands, place, top, plot_px),
        _grid(scale, y_text, top, plot_px),
        _times(low, high, x_text, top + plot_px),
        _lines(series, place, scale, top, plot_px),
        _target(target, scale, top, plot_px),
        _band_labels(bands, place, top),
        _marks(marks, place, top + plot_px),
        class_="plot",
        width="100%",
        height=top + plot_px + BOTTOM,
        role="img",
        aria_label=title,
    )
    return tag("figure", tag("figcaption", tag("h3", title), _legend(series, y_text)), drawing, class_="chart")


def _percent(share: float) -> str:
    return f"{100 * share:.2f}%"


def _bands(bands: Sequence[Band], place: Callable[[float], float], top: int, plot_px: int) -> list[Markup]:
    drawn = []
    for index, band in enumerate(bands):
        start, end = max(0.0, place(band.start)), min(1.0, place(band.end))
        if end <= start:
            continue
        drawn.append(
            tag(
                "rect",
                tag("title", band.label),
                x=_percent(start),
                width=_percent(end - start),
                y=top,
                height=plot_px,
                class_=f"band b{index % 2}",
            )
        )
    return drawn


def _band_labels(bands: Sequence[Band], place: Callable[[float], float], top: int) -> list[Markup]:
    """The names of the bands that are wide enough for them, drawn above the lines."""
    drawn = []
    for band in bands:
        start, end = max(0.0, place(band.start)), min(1.0, place(band.end))
        wanted_px = LETTER_PX * len(band.label)
        if (end - start) * WIDE_PX >= wanted_px:
            narrow = " narrow" if (end - start) * PHONE_PX < wanted_px else ""
            x = _percent((start + end) / 2)
            drawn.append(tag("text", band.label, x=x, y=top + 16, text_anchor="middle", class_=f"band-label{narrow}"))
    return drawn


def _grid(scale: _Scale, y_text: Callable[[float], str], top: int, plot_px: int) -> list[Markup]:
    drawn = []
    for tick in scale.ticks:
        y = round(top + (1 - scale.share(tick)) * plot_px, 1)
        drawn.append(tag("line", x1="0", x2="100%", y1=y, y2=y, class_="grid"))
        drawn.append(tag("text", y_text(tick), x=-8, y=y + 4, text_anchor="end", class_="tick"))
    return drawn


def _times(low: float, high: float, x_text: Callable[[float], str], bottom: int) -> list[Markup]:
    shares = (0.0, 0.25, 0.5, 0.75, 1.0)
    anchors = ("start", "middle", "middle", "middle", "end")
    return [
        tag(
            "text",
            x_text(low + share * (high - low)),
            x=_percent(share),
            y=bottom + 18,
            text_anchor=anchor,
            class_="tick narrow" if share in {0.25, 0.75} else "tick",
        )
        for share, anchor in zip(shares, anchors, strict=True)
    ]


def _lines(series: Sequence[Series], place: Callable[[float], float], scale: _Scale, top: int, plot_px: int) -> Markup:
    paths = []
    for index, one in enumerate(series):
        runs = _runs(one, place, scale)
        if index == 0:
            paths += [tag("path", d=_area(run), class_="area s0") for run in runs if len(run) > 1]
        path = "".join(_path(run) for run in runs)
        paths.append(tag("path", tag("title", one.name), d=path, class_=f"line s{index % 4}"))
    return tag(
        "svg",
        paths,
        y=top,
        width="100%",
        height=plot_px,
        viewBox=f"0 0 {STRETCH} {STRETCH}",
        preserveAspectRatio="none",
        class_="stretched",
    )


def _runs(series: Series, place: Callable[[float], float], scale: _Scale) -> list[list[tuple[float, float]]]:
    """The unbroken stretches of a line in the plot's units."""
    runs: list[list[tuple[float, float]]] = [[]]
    for x, y in series.points:
        if y is None:
            runs.append([])
        else:
            runs[-1].append((STRETCH * place(x), STRETCH * (1 - min(1.0, scale.share(y)))))
    return [run for run in runs if run]


def _path(points: Sequence[tuple[float, float]]) -> str:
    if len(points) == 1:
        return f"M{points[0][0]:.0f},{points[0][1]:.1f}h1"
    return "M" + "L".join(f"{x:.1f},{y:.1f}" for x, y in points)


def _area(points: Sequence[tuple[float, float]]) -> str:
    return f"{_path(points)}L{points[-1][0]:.1f},{STRETCH}L{points[0][0]:.1f},{STRETCH}Z"


def _target(target: tuple[float, str] | None, scale: _Scale, top: int, plot_px: int) -> list[Markup]:
    if target is None:
        return []
    y = round(top + (1 - scale.share(target[0])) * plot_px, 1)
    return [
        tag("line", x1="0", x2="100%", y1=y, y2=y, class_="target"),
        tag("text", target[1], x="100%", dx=-4, y=y - 6, text_anchor="end", class_="target-label"),
    ]


def _marks(marks: Sequence[Mark], place: Callable[[float], float], bottom: int) -> list[Markup]:
    """Badges above the plot; what happened at nearly the same time shares one."""
    drawn = []
    free_from = [-math.inf] * MARK_ROWS
    for cluster in _clusters(marks, place):
        label = cluster[0].label if len(cluster) == 1 else f"{cluster[0].label}–{cluster[-1].label}"
        width = 10 + 7 * len(label)
        share = place(cluster[0].x)
        half = width / 2 / PHONE_PX
        row = next((r for r in range(MARK_ROWS) if share - half >= free_from[r]), free_from.index(min(free_from)))
        free_from[row] = share + half
        y = 1 + row * 18
        kinds = {mark.kind for mark in cluster}
        badge = [
            tag("title", "\n".join(mark.title for mark in cluster)),
            tag("line", x1=0, x2=0, y1=y, y2=bottom),
            tag("rect", x=-width / 2, y=y, width=width, height=16, rx=8),
            tag("text", label, x=0, y=y + 12, text_anchor="middle"),
        ]
        kind = kinds.pop() if len(kinds) == 1 else "other"
        drawn.append(tag("svg", badge, x=_percent(share), class_=f"mark {kind}", overflow="visible"))
    return drawn


def _clusters(marks: Sequence[Mark], place: Callable[[float], float]) -> list[list[Mark]]:
    clusters: list[list[Mark]] = []
    for mark in sorted(marks, key=lambda one: one.x):
        if clusters and place(mark.x) - place(clusters[-1][0].x) < MARK_SAME_RATIO:
            clusters[-1].append(mark)
        else:
            clusters.append([mark])
    return clusters


def _legend(series: Sequence[Series], y_text: Callable[[float], str]) -> Content:
    if len(series) < 2:
        return None
    items = []
    for index, one in enumerate(series):
        last = next((y for _, y in reversed(one.points) if y is not None), None)
        value = tag("b", y_text(last)) if last is not None else None
        items.append(tag("span", tag("i", class_=f"s{index % 4}"), one.name, " ", value))
    return tag("div", items, class_="legend")


def bar_chart(bars: Sequence[Bar], *, title: str, logarithmic: bool = False) -> Markup:
    """Bars below each other, each with its value in words; on a logarithmic scale a tenth is one step shorter."""
    values = [bar.value for bar in bars if bar.value is not None]
    if not values:
        return tag("p", f"{title}: nothing was measured.", class_="empty")
    scale = _Scale.of(values, logarithmic=logarithmic)
    rows = []
    for index, bar in enumerate(bars):
        y = index * 46
        rows.append(tag("text", bar.label, x=0, y=y + 14, class_="bar-label"))
        rows.append(tag("text", bar.text, x="100%", y=y + 14, text_anchor="end", class_="bar-value"))
        rows.append(tag("rect", x=0, y=y + 21, width="100%", height=12, rx=6, class_="bar-track"))
        if bar.value is not None:
            share = max(0.008, min(1.0, scale.share(bar.value)))
            rows.append(tag("rect", x=0, y=y + 21, width=_percent(share), height=12, rx=6, class_=f"bar {bar.tone}"))
    note = tag("span", "logarithmic scale", class_="mute") if scale.logarithmic else None
    drawing = tag("svg", rows, class_="bars", width="100%", height=46 * len(bars), role="img", aria_label=title)
    return tag("figure", tag("figcaption", tag("h3", title), note), drawing, class_="chart")


def sparkline(values: Sequence[float | None], *, tone: str = "ok", height_px: int = 34) -> Markup:
    """A small line without axes; it is decoration beside a number, and hidden from screen readers."""
    known = [value for value in values if value is not None]
    if len(known) < 2:
        return Markup()
    low, high = min(known), max(known)
    span = (high - low) or 1.0
    series = Series(name="", points=tuple(enumerate(values)))
    scale = _Scale(ticks=(0.0, 1.0), logarithmic=False)
    scaled = Series(
        name="", points=tuple((x, None if y is None else 0.05 + 0.9 * (y - low) / span) for x, y in series.points)
    )
    runs = _runs(scaled, lambda x: x / (len(values) - 1), scale)
    return tag(
        "svg",
        [tag("path", d=_area(run), class_="area") for run in runs if len(run) > 1],
        tag("path", d="".join(_path(run) for run in runs), class_="line"),
        class_=f"spark {tone}",
        viewBox=f"0 0 {STRETCH} {STRETCH}",
        preserveAspectRatio="none",
        width="100%",
        height=height_px,
        aria_hidden="true",
    )
