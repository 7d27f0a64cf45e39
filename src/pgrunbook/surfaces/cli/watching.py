"""Shows on stderr where a run is: a progress bar on a terminal, a line for each step's end elsewhere."""

from __future__ import annotations

import contextlib
import os
import sys
from collections.abc import Callable, Iterator
from typing import TypeAlias

from rich.console import Console
from rich.progress import BarColumn, Progress, TextColumn, TimeElapsedColumn

from pgrunbook.model.plan import Phase
from pgrunbook.model.plan import Progress as News
from pgrunbook.report.words import one_line
from pgrunbook.surfaces.cli.command import Invocation
from pgrunbook.surfaces.cli.output import note, wants_color

Tell: TypeAlias = Callable[[News], None]
Told: TypeAlias = Callable[[str, int, int], None]
_QUIET_PHASES = frozenset({Phase.PRECHECK, Phase.CAPTURE, Phase.INTENT, Phase.DONE})
_WORDS = {
    Phase.RECONCILE: "finding out what became of it",
    Phase.MEASURE_BEFORE: "measuring before",
    Phase.DO: "doing it",
    Phase.WAIT: "waiting",
    Phase.WORK: "working",
    Phase.RETRY: "trying again",
    Phase.MEND: "clearing away",
    Phase.MEASURE_AFTER: "measuring after",
    Phase.UNDOING: "undoing it",
    Phase.UNDO: "undoing it",
}


@contextlib.contextmanager
def watching(invocation: Invocation) -> Iterator[Tell]:
    """Show the news of a run while the block lasts."""
    if not _is_lively(invocation):
        yield lambda news: note(invocation, one_line(news.text)) if news.phase is Phase.OUTCOME else None
        return
    with _bar(invocation) as bar:
        task = bar.add_task("beginning", total=None)

        def tell(news: News) -> None:
            if news.phase in _QUIET_PHASES:
                return
            words = _WORDS.get(news.phase, "")
            place = f"{news.number}/{news.total} " if news.total else ""
            done = max(0, news.number - 1) + (news.ratio or 0.0)
            text = f"{place}{one_line(news.text)}" + (f": {words}" if words else "")
            bar.update(task, description=text, total=news.total or None, completed=done)

        yield tell


@contextlib.contextmanager
def rehearsing(invocation: Invocation) -> Iterator[Told]:
    """Show how far a rehearsal is while the block lasts."""
    if not _is_lively(invocation):
        yield lambda what, number, total: None  # noqa: ARG005 - nobody watches
        return
    with _bar(invocation) as bar:
        task = bar.add_task("rehearsing", total=None)

        def told(what: str, number: int, total: int) -> None:
            bar.update(task, description=f"rehearsing: {one_line(what)}", total=total or None, completed=number)

        yield told


def _is_lively(invocation: Invocation) -> bool:
    return not invocation.quiet and sys.stderr.isatty() and os.environ.get("TERM") != "dumb"


def _bar(invocation: Invocation) -> Progress:
    console = Console(stderr=True, highlight=False, no_color=not wants_color(invocation.color, sys.stderr))
    return Progress(
        BarColumn(bar_width=24),
        TimeElapsedColumn(),
        TextColumn("{task.description}", markup=False),
        console=console,
        transient=True,
    )
