"""What `pgrunbook snapshot save` does."""

from __future__ import annotations

from pathlib import Path

from pgrunbook import config
from pgrunbook.journey.advise.asking import TOPICS
from pgrunbook.journey.diagnose.request import everything
from pgrunbook.journey.observe import observe, snapshot_file
from pgrunbook.journey.observe.windowed import observe_window
from pgrunbook.pg.connect import resolve_dsn
from pgrunbook.report.words import counted, duration, size
from pgrunbook.surfaces.cli.command import Invocation
from pgrunbook.surfaces.cli.output import busy, note, write_file


def run(invocation: Invocation, file: Path, *, dsn: str | None, dsn_flag: str | None, window_s: float | None) -> None:
    """Ask every question and write the answers."""
    settings = config.load(flags={"window_s": window_s}, file=invocation.config_file)
    found = resolve_dsn(dsn, dsn_flag)
    questions = (*everything(), *(question for topic in TOPICS.values() for question in topic.questions))
    with busy(invocation, "looking …"):
        if settings.window_s > 0:
            snapshot = observe_window(found, questions, window_s=settings.window_s)
        else:
            snapshot = observe(found, questions)
    data = snapshot_file.to_bytes(snapshot, compress=file.suffix == ".gz")
    write_file(file, data, private=True)
    unread = sum(1 for _ in snapshot.unread())
    missing = f", {counted(unread, 'reading')} could not be had" if unread else ""
    note(
        invocation,
        f"saved {counted(len(snapshot.readings) - unread, 'reading')} of database {snapshot.server.database} to {file}"
        f" ({size(len(data))}, {duration(snapshot.duration_s)}){missing}",
    )
