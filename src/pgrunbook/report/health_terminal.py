"""The scorecard on a terminal: a line a metric and a practice, its source or evidence beneath."""

from __future__ import annotations

from rich.console import Console
from rich.text import Text

from pgrunbook.model.health import Health, Mark, Metric, Practice
from pgrunbook.report.health import counts, formula_words, source_words, target_words, value_words, window_words
from pgrunbook.report.lines import Lines
from pgrunbook.report.words import clean, one_line, short

INDENT = 6
_STYLES = {Mark.MET: "bold green", Mark.NOT_MET: "bold red", Mark.CANNOT_TELL: "bold yellow"}
_WORDS = {Mark.MET: "ok", Mark.NOT_MET: "NO", Mark.CANNOT_TELL: "?"}


def render(health: Health, console: Console) -> None:
    """Draw the scorecard."""
    draw = Lines(console)
    server = health.server
    head = Text(one_line(server.database), style="bold")
    head.append(f" · PostgreSQL {clean(server.version)} · {server.role.value}", style="not bold")
    head.append(f"  {window_words(health)}", style="not bold dim")
    draw.text(head)
    draw.blank()
    draw.heading("Key metrics")
    for metric in health.metrics:
        _metric(draw, metric)
    draw.blank()
    draw.heading("Load capacity, by rule of thumb")
    draw.paragraph(formula_words(health.capacity), indent=INDENT)
    for source in health.capacity.sources:
        draw.paragraph(clean(source), indent=INDENT, style="dim")
    draw.blank()
    draw.heading("Best practices")
    for practice in health.practices:
        _practice(draw, practice)
    draw.blank()
    draw.paragraph(counts(health), style="bold")


def _mark(mark: Mark) -> Text:
    return Text(f"  {_WORDS[mark]}", style=_STYLES[mark])


def _metric(draw: Lines, metric: Metric) -> None:
    text = Text(metric.title)
    text.append(f"  {value_words(metric)}", style=_STYLES[metric.mark])
    text.append(f"  target {target_words(metric)}", style="dim")
    draw.text(text, indent=INDENT, first=_mark(metric.mark))
    _below(draw, source_words(metric), metric.cure)


def _practice(draw: Lines, practice: Practice) -> None:
    text = Text(f"{practice.number}. {practice.title}", style="bold")
    text.append(f"  {practice.advice}", style="not bold dim")
    draw.text(text, indent=INDENT, first=_mark(practice.mark))
    _below(draw, practice.evidence, practice.cure)


def _below(draw: Lines, words: str, cure: str) -> None:
    if words:
        draw.text(Text(clean(short(words)), style="dim"), indent=INDENT + 2, max_lines=3)
    if cure:
        draw.text(Text(clean(short(cure)), style="green"), indent=INDENT + 2, max_lines=2)
