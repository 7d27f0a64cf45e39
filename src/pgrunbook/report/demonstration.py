"""What the demonstration measured, as a page and for a terminal: before and after, each step with its gain and undo."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from rich.console import Console
from rich.table import Table
from rich.text import Text

from pgrunbook import __version__
from pgrunbook.model import Lock, Severity
from pgrunbook.model.demo import DemoPhase, DemoResult, DemoStep, StepOutcome
from pgrunbook.report.charts import Band, Bar, Mark, Series, bar_chart, line_chart
from pgrunbook.report.html import findings_table, server_words
from pgrunbook.report.json import utc
from pgrunbook.report.lines import Lines
from pgrunbook.report.markup import Content, Markup, tag
from pgrunbook.report.page import brand, page, tile
from pgrunbook.report.short_ids import short_ids
from pgrunbook.report.words import counted, duration, number, one_line, short

TARGET_MS = 100.0  # the promise: P95 at 1000 users below it
_TONES = {"sick": "critical", "cured": "warning", "healthy": "ok", "thousand": "note"}
_CLASS = {StepOutcome.KEPT: "kept", StepOutcome.UNMEASURED: "unmeasured", StepOutcome.UNDONE: "undone"}
_WORD = {StepOutcome.KEPT: "kept", StepOutcome.UNMEASURED: "kept", StepOutcome.UNDONE: "undone"}


def html(result: DemoResult) -> str:
    """The page: self-contained, with charts."""
    return page(
        "QuizMentor, sick and cured",
        tag(
            "header",
            brand(),
            tag("h1", "QuizMentor, sick and cured"),
            tag("span", _setting(result), class_="mute"),
            class_="top",
        ),
        tag("p", verdict(result), class_="verdict"),
        tag("div", [_tile(phase) for phase in result.phases], class_="tiles"),
        tag("h2", "Before and after"),
        tag("section", tag("div", _phases_table(result), class_="scroll"), class_="card"),
        _charts(result),
        _steps(result),
        _diagnoses(result),
        _notes(result),
        tag(
            "footer",
            tag("p", f"pgrunbook {__version__} · {server_words(result.before)} · the figures ride along as JSON."),
        ),
        data=as_dict(result),
        data_id="demonstration",
    )


def terminal(result: DemoResult, console: Console) -> None:
    """The same in a screenful: the table, the steps, the verdict last."""
    lines = Lines(console)
    console.print(_terminal_table(result))
    lines.blank()
    for index, step in enumerate(result.steps, start=1):
        _terminal_step(lines, step, index)
    if result.steps:
        lines.blank()
    for note in result.notes:
        lines.paragraph(note, style="dim")
    lines.paragraph(verdict(result), style="bold")


def verdict(result: DemoResult) -> str:
    """What came of it, in a sentence or three."""
    sick, cured, healthy, thousand = (result.phase(name) for name in ("sick", "cured", "healthy", "thousand"))
    sentences = []
    if sick and cured:
        sentences.append(
            f"P95 at {number(cured.users)} users: {_ms(sick.p95_ms)} sick, {_ms(cured.p95_ms)} cured"
            f" ({_compared(sick, cured)})."
        )
    if sick and healthy:
        sentences.append(f"With the good queries too: {_ms(healthy.p95_ms)} ({_compared(sick, healthy)}).")
    if thousand:
        how = "through a pooler" if thousand.pooled else "directly"
        sentences.append(f"{number(thousand.users)} users {how}: {_ms(thousand.p95_ms)}.")
    return " ".join(sentences) or "Nothing was measured."


def as_dict(result: DemoResult) -> dict[str, Any]:
    """The figures as other programs read them (`--result`)."""
    phases = {phase.name: phase for phase in result.phases}
    return {
        "tool": "pgrunbook",
        "version": __version__,
        "taken_at": utc(result.taken_at),
        "duration_s": result.duration_s,
        "data_users": result.data_users,
        "seed": result.seed,
        **{
            key: {name: getattr(phase, key) for name, phase in phases.items()}
            for key in (
                "users",
                "samples",
                "failed",
                "p50_ms",
                "p95_ms",
                "p99_ms",
                "throughput_per_s",
                "other_cpu_ratio",
                "pooled",
            )
        },
        "findings": [_finding_line(result, fingerprint) for fingerprint in _fingerprints(result)],
        "steps": [_step_dict(step) for step in result.steps],
        "timeline": [[point.t_s, point.phase, point.p95_ms, point.throughput_per_s] for point in result.timeline],
        "notes": list(result.notes),
    }


def _fingerprints(result: DemoResult) -> tuple[str, ...]:
    found = (*result.before.findings, *result.after.findings)
    return tuple(dict.fromkeys(finding.fingerprint for finding in found))


def _finding_line(result: DemoResult, fingerprint: str) -> dict[str, Any]:
    finding = result.before.by_id(fingerprint) or result.after.by_id(fingerprint)
    assert finding is not None  # noqa: S101 - the fingerprint came from one of the two
    return {
        "check": finding.check,
        "object": finding.object,
        "severity": finding.severity.value,
        "fingerprint": fingerprint,
        "before": result.before.by_id(fingerprint) is not None,
        "after": result.after.by_id(fingerprint) is not None,
    }


def _step_dict(step: DemoStep) -> dict[str, Any]:
    return {
        "title": step.title,
        "sql": step.sql,
        "undo_sql": step.undo_sql,
        "lock": step.lock.value,
        "duration_s": step.duration_s,
        "at_s": step.at_s,
        "outcome": step.outcome.name.lower(),
        "check": step.check,
        "object": step.object,
        "before_ms": step.before_ms,
        "after_ms": step.after_ms,
        "basis": step.basis.value,
    }


def _ms(value: float) -> str:
    return duration(value / 1000)


def _factor(sick: DemoPhase, other: DemoPhase) -> str:
    ratio = sick.p95_ms / other.p95_ms if other.p95_ms > 0 else float("inf")
    return f"{ratio:.0f}×" if ratio >= 10 else f"{ratio:.1f}×"


def _compared(sick: DemoPhase, other: DemoPhase) -> str:
    """In words, for a sentence; a small data set may well be no faster."""
    if other.p95_ms > sick.p95_ms:
        return f"{_factor(other, sick)} slower"
    return f"{_factor(sick, other)} faster"


def _share(ratio: float | None) -> str:
    return "unknown" if ratio is None else f"{100 * ratio:.0f} %"


def _setting(result: DemoResult) -> str:
    return (
        f"{result.data_users:,} users in the data set · seed {result.seed} · {result.taken_at:%Y-%m-%d %H:%M} UTC"
        f" · took {duration(result.duration_s)}"
    )


def _tile(phase: DemoPhase) -> Markup:
    value, _, unit = _ms(phase.p95_ms).partition(" ")
    tone = {"critical": "critical", "warning": "warning", "ok": "ok", "note": "notice"}[_TONES.get(phase.name, "note")]
    return tile(f"P95 {phase.label}", value, unit=unit, tone=tone)


def _phases_table(result: DemoResult) -> Markup:
    sick = result.phase("sick")
    rows, head = [], Markup()
    for phase in result.phases:
        gain = _factor(sick, phase) if sick and phase is not sick else ""
        cells = (
            ("Users", number(phase.users), ""),
            ("Samples", number(phase.samples), ""),
            ("P50", _ms(phase.p50_ms), " wide"),
            ("P95", tag("b", _ms(phase.p95_ms)), ""),
            ("P99", _ms(phase.p99_ms), " wide"),
            ("Requests", f"{number(round(phase.throughput_per_s, 1))}/s", " wide"),
            ("Failed", number(phase.failed), " wide"),
            ("Other CPU", _share(phase.other_cpu_ratio), " wide"),
            (
                "Faster",
                tag("span", gain, class_="gain" if sick and phase.p95_ms <= sick.p95_ms else "loss") if gain else "",
                "",
            ),
        )
        pooled = (
            tag("div", "through a pooler", class_="mute small") if phase.pooled and "pool" not in phase.label else None
        )
        rows.append(
            tag("tr", tag("td", phase.label, pooled), [tag("td", cell, class_=f"n{hide}") for _, cell, hide in cells])
        )
        head = tag("tr", tag("th", "State"), [tag("th", name, class_=f"n{hide}") for name, _, hide in cells])
    return tag("table", tag("thead", head), tag("tbody", rows))


def _charts(result: DemoResult) -> Content:
    if not result.timeline:
        return None
    marks = [
        Mark(
            x=step.at_s,
            label=str(index),
            title=f"{index}: {step.title}",
            kind="undone" if step.outcome is StepOutcome.UNDONE else "action",
        )
        for index, step in enumerate(result.steps, start=1)
    ]
    p95 = line_chart(
        [Series(name="P95", points=tuple((point.t_s, point.p95_ms) for point in result.timeline))],
        title="P95 latency over time",
        y_text=_ms,
        target=(TARGET_MS, f"{_ms(TARGET_MS)}"),
        marks=marks,
        bands=_bands(result),
        logarithmic=True,
    )
    throughput = line_chart(
        [Series(name="requests", points=tuple((point.t_s, point.throughput_per_s) for point in result.timeline))],
        title="Requests per second",
        bands=_bands(result),
        plot_px=110,
    )
    bars = [
        Bar(label=phase.label, value=phase.p95_ms, text=_ms(phase.p95_ms), tone=_TONES.get(phase.name, "plain"))
        for phase in result.phases
    ]
    return [
        tag("h2", "Over time"),
        tag("section", p95, class_="card"),
        tag("section", throughput, class_="card"),
        tag("section", bar_chart(bars, title="P95 by state", logarithmic=True), class_="card"),
    ]


def _bands(result: DemoResult) -> tuple[Band, ...]:
    """Stretches of the timeline of one phase; each begins where the one before ended."""
    labels = {"thousand": phase.label if (phase := result.phase("thousand")) else "many users"}
    bands: list[Band] = []
    start = 0.0
    for index, point in enumerate(result.timeline):
        following = result.timeline[index + 1] if index + 1 < len(result.timeline) else None
        if following is None or following.phase != point.phase:
            bands.append(Band(start=start, end=point.t_s, label=labels.get(point.phase, point.phase)))
            start = point.t_s
    return tuple(bands)


def _steps(result: DemoResult) -> Content:
    if not result.steps:
        return None
    head = tag("tr", tag("th", ""), tag("th", "Step"), tag("th", "Its queries", class_="n"))
    rows = [_step(step, index) for index, step in enumerate(result.steps, start=1)]
    table = tag("table", tag("thead", head), tag("tbody", rows), class_="steps")
    words = "Each was written into the journal before and after it was done; "
    return [
        tag("h2", "What was done, while the users went on working"),
        tag("p", words, tag("code", "pgrunbook undo --all"), " takes it all back.", class_="mute"),
        tag("section", table, class_="card"),
    ]


def _step(step: DemoStep, index: int) -> Markup:
    lock = "no table lock" if step.lock is Lock.NONE else step.lock.value.lower()
    undo: Content = tag("p", tag("b", "It cannot be undone."), class_="small")
    if step.undo_sql:
        undo = [tag("h4", "Undo"), tag("pre", short(step.undo_sql), class_="sql undo")]
    cause = (f"{step.check} on {step.object}",) if step.check else ()
    about = " · ".join((*cause, lock, f"took {duration(step.duration_s)}", f"done at {duration(step.at_s)}"))
    details = tag("details", tag("summary", "SQL and undo"), tag("pre", short(step.sql), class_="sql"), undo)
    verdict_word = tag("span", " undone", class_="loss") if step.outcome is StepOutcome.UNDONE else None
    return tag(
        "tr",
        tag("td", tag("span", index, class_=f"badge {_CLASS[step.outcome]}")),
        tag("td", tag("b", step.title), verdict_word, tag("div", about, class_="mute small"), details),
        tag("td", _gain(step), class_="n"),
    )


def _gain(step: DemoStep) -> Content:
    if step.before_ms is None or step.after_ms is None:
        return None
    better = step.after_ms < step.before_ms
    return [
        tag("span", f"{_ms(step.before_ms)} → {_ms(step.after_ms)}", class_="gain" if better else "loss"),
        tag("div", step.basis.value, class_="mute small"),
    ]


def _diagnoses(result: DemoResult) -> Content:
    before, after = result.before.findings, result.after.findings
    ids = short_ids(tuple({f.fingerprint: f for f in (*before, *after)}.values()))
    parts: list[Content] = []
    if before:
        parts += [tag("h2", f"Found before: {_amounts(result.before.findings)}"), findings_table(before, ids)]
    parts.append(tag("h2", f"Left afterwards: {_amounts(after)}"))
    if after:
        parts.append(findings_table(after, ids))
    elif result.after.ok:
        parts.append(tag("p", f"Nothing to mend; {counted(len(result.after.ok), 'check')} looked and found nothing."))
    return parts


def _amounts(findings: Sequence[Any]) -> str:
    amounts = [(severity, sum(finding.severity is severity for finding in findings)) for severity in Severity]
    words = [
        f"{amount} critical" if severity is Severity.CRITICAL else counted(amount, severity.value)
        for severity, amount in amounts
        if amount
    ]
    return ", ".join(words) or "nothing"


def _notes(result: DemoResult) -> Content:
    if not result.notes:
        return None
    return [tag("h2", "Notes"), tag("ul", [tag("li", note) for note in result.notes])]


def _terminal_table(result: DemoResult) -> Table:
    sick = result.phase("sick")
    table = Table(box=None, padding=(0, 1), pad_edge=False, header_style="dim")
    for name in ("", "users", "samples", "P95", "P99", "req/s", "failed", "faster"):
        table.add_column(name, justify="left" if not name else "right", no_wrap=True)
    styles = {"critical": "red", "warning": "yellow", "ok": "green", "note": "cyan"}
    for phase in result.phases:
        style = styles.get(_TONES.get(phase.name, "note"), "cyan")
        table.add_row(
            Text(phase.label, style="bold"),
            number(phase.users),
            number(phase.samples),
            Text(_ms(phase.p95_ms), style=f"bold {style}"),
            _ms(phase.p99_ms),
            number(round(phase.throughput_per_s)),
            number(phase.failed),
            _factor(sick, phase) if sick and phase is not sick else "",
        )
    return table


def _terminal_step(lines: Lines, step: DemoStep, index: int) -> None:
    """One line a step: what, what its queries gained, how long it took."""
    tail = Text()
    if step.outcome is StepOutcome.UNDONE:
        tail.append("undone  ", style="bold red")
    if step.before_ms is not None and step.after_ms is not None:
        tail.append(
            f"{_ms(step.before_ms)} → {_ms(step.after_ms)}", style="green" if step.after_ms < step.before_ms else "red"
        )
    tail.append(f"{duration(step.duration_s):>9}", style="dim")
    title = Text(one_line(step.title))
    title.truncate(max(10, lines.width - 6 - tail.cell_len), overflow="ellipsis")
    title.pad_right(max(0, lines.width - 5 - tail.cell_len - title.cell_len))
    lines.text(title + tail, indent=5, first=Text(f"{index:>3}", style="dim"))
