"""What `pgrunbook demo` shows while it goes on: bars on a terminal, a line for each stage elsewhere."""

from __future__ import annotations

import contextlib
import sys
from collections.abc import Iterator
from pathlib import Path

from rich.console import Console
from rich.progress import BarColumn, Progress, TaskID, TextColumn, TimeElapsedColumn
from rich.text import Text

from pgrunbook.demo.demonstration import Demonstration
from pgrunbook.errors import UsageError
from pgrunbook.lab import stop_kept
from pgrunbook.model.demo import DemoPhase
from pgrunbook.model.diagnosis import Diagnosis
from pgrunbook.model.plan import Phase
from pgrunbook.model.plan import Progress as News
from pgrunbook.model.rehearsal import Rehearsal
from pgrunbook.report import changes, demonstration, terminal
from pgrunbook.report.json import dumps
from pgrunbook.report.lines import Lines
from pgrunbook.report.words import duration, number, one_line
from pgrunbook.surfaces.cli.command import Invocation
from pgrunbook.surfaces.cli.exits import Exit
from pgrunbook.surfaces.cli.output import live_console, note, write_file


def run(invocation: Invocation, *, users: int, seed: int, keep: bool, result: Path | None, report: Path) -> int:
    """Perform, then print the table and write the files."""
    for path in (result, report):
        if path is not None and not path.absolute().parent.is_dir():
            raise UsageError(f"there is no folder {path.parent} to write {path.name} into")
    console = live_console(invocation)
    with screen(console) as audience:
        performed = Demonstration(audience=audience, users=users, seed=seed, keep=keep).run()
    demonstration.terminal(performed, console)
    if result is not None:
        write_file(result, dumps(demonstration.as_dict(performed)))
        note(invocation, f"wrote {result}")
    write_file(report, demonstration.html(performed))
    note(invocation, f"wrote {report}")
    if performed.kept_dsn:
        lines = Lines(console)
        lines.paragraph(f"The server is left running: {performed.kept_dsn}")
        lines.paragraph("pgrunbook undo --all takes the cure back; pgrunbook demo --stop ends it.", style="dim")
    return Exit.FINE


def stop(invocation: Invocation) -> int:
    """End kept servers."""
    stop_kept()
    note(invocation, "nothing of the demonstration is running any more")
    return Exit.FINE


class Screen:
    """Draws what the demonstration tells.  Off a terminal each stage is one line, said once."""

    def __init__(self, console: Console, bar: Progress | None) -> None:
        self._console = console
        self._lines = Lines(console)
        self._bar = bar
        self._task: TaskID | None = bar.add_task("", total=None) if bar is not None else None
        self._said = ""
        self._diagnosed = False

    def stage(self, text: str, ratio: float | None = None) -> None:
        """Something long goes on."""
        if self._bar is not None and self._task is not None:
            self._bar.update(self._task, description=text, total=None if ratio is None else 1.0, completed=ratio or 0.0)
        elif text != self._said:
            self._lines.paragraph(f"… {text}", style="dim")
        self._said = text

    def diagnosed(self, diagnosis: Diagnosis) -> None:
        """The findings of the sick database, as a user would see them; what is left in the end, the report says."""
        if self._diagnosed:
            return
        self._diagnosed = True
        self._heading("pgrunbook diagnose")
        terminal.render(diagnosis, self._console)
        self._lines.blank()

    def rehearsed(self, rehearsal: Rehearsal) -> None:
        """What became of the steps where nothing can break."""
        self._heading("pgrunbook rehearse")
        changes.rehearsal(self._lines, rehearsal)
        self._heading("pgrunbook apply, while the users go on working")

    def acting(self, progress: News) -> None:
        """A step goes on."""
        if progress.phase is Phase.OUTCOME:
            self._lines.text(Text(one_line(progress.text)), indent=5, first=Text(f"{progress.number:>3}", style="dim"))
        elif progress.number:
            words = progress.phase.value.replace("_", " ")
            done = (progress.number - 1) / max(1, progress.total)
            if self._bar is not None:
                self.stage(f"{progress.number}/{progress.total} {words}: {one_line(progress.text)}", done)

    def measured(self, phase: DemoPhase) -> None:
        """A phase has its figures."""
        text = Text().append(f"{phase.label}: ", style="bold")
        text.append(f"P95 {duration(phase.p95_ms / 1000)}", style="bold cyan")
        text.append(f" at {number(phase.users)} users, {number(phase.samples)} samples, ")
        text.append(f"{number(round(phase.throughput_per_s, 1))} requests/s")
        self._lines.text(text)
        self._lines.blank()

    def _heading(self, words: str) -> None:
        self._lines.text(Text().append("$ ", style="dim").append(words, style="bold"))


@contextlib.contextmanager
def screen(console: Console) -> Iterator[Screen]:
    """A screen with a bar below what was said, or without one off a terminal."""
    if not (console.is_terminal and sys.stdout.isatty()):
        yield Screen(console, None)
        return
    columns = (BarColumn(bar_width=24), TimeElapsedColumn(), TextColumn("{task.description}", markup=False))
    with Progress(*columns, console=console, transient=True) as bar:
        yield Screen(console, bar)
