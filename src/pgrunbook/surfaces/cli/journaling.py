"""What `pgrunbook journal` does: show, verify or export what was done to a database."""

from __future__ import annotations

from pathlib import Path
from typing import Any

from pgrunbook.errors import UsageError
from pgrunbook.journey.act.run import journal_folder
from pgrunbook.journey.observe import observe
from pgrunbook.pg.connect import resolve_dsn
from pgrunbook.record import fold, read, verify
from pgrunbook.record.history import History
from pgrunbook.report import changes, journal
from pgrunbook.report.json import dumps, utc
from pgrunbook.report.lines import Lines
from pgrunbook.report.words import counted
from pgrunbook.surfaces.cli.command import Invocation
from pgrunbook.surfaces.cli.exits import Exit
from pgrunbook.surfaces.cli.output import busy, note, text_console, write, write_file
from pgrunbook.surfaces.cli.words_given import is_dsn

ACTIONS = ("show", "verify", "export")


def run(
    invocation: Invocation,
    words: tuple[str, ...],
    *,
    dsn_flag: str | None,
    folder: Path | None,
    form: str,
    output: Path | None,
) -> int:
    """Do one of the three with the journal of one database."""
    action = words[0] if words and words[0] in ACTIONS else "show"
    rest = words[1:] if words and words[0] in ACTIONS else words
    if len(rest) > 1 or any(not is_dsn(word) for word in rest):
        raise UsageError(f"journal takes {', '.join(ACTIONS)} and a DSN, not {' '.join(rest)!r}")
    place = folder if folder is not None else _folder(invocation, rest[0] if rest else None, dsn_flag)
    if folder is not None and not folder.is_dir():
        raise UsageError(f"there is no folder {folder}")
    sound = verify(place)
    if action == "verify":
        torn = "; its last line was torn by a crash and counts for nothing" if sound.torn else ""
        write(f"{counted(sound.records, 'record')}, every hash fits{torn}; head {sound.head}")
        return Exit.FINE
    history = fold(read(place))
    if action == "export":
        _put(invocation, journal.render(history, head=sound.head), output)
    elif form == "json":
        _put(invocation, dumps(_as_dict(history, place)), output)
    else:
        console, drawn = text_console(invocation, to_file=output is not None)
        changes.history(Lines(console), history)
        _put(invocation, drawn.getvalue(), output)
        note(invocation, f"journal: {place}")
    return Exit.FINE


def _folder(invocation: Invocation, dsn: str | None, dsn_flag: str | None) -> Path:
    with busy(invocation, "looking …"):
        return journal_folder(observe(resolve_dsn(dsn, dsn_flag), ()).server)


def _put(invocation: Invocation, text: str, output: Path | None) -> None:
    if output is None:
        write(text)
        return
    write_file(output, text)
    note(invocation, f"wrote {output}")


def _as_dict(history: History, folder: Path) -> dict[str, Any]:
    return {
        "folder": str(folder),
        "runs": [
            {
                "run": run.run_id,
                "kind": run.kind,
                "at": utc(run.at),
                "ended_at": utc(run.ended_at) if run.ended_at else None,
                "end": run.end,
                "database": run.target.database,
                "role": run.target.user,
                "tool": run.tool,
                "steps": [
                    {
                        "step": step.step_id,
                        "title": step.title,
                        "state": step.state.value,
                        "finding": step.planned.finding,
                        "sql": list(step.statements),
                        "undo_sql": list(step.undo_statements),
                        "reversible": step.reversible,
                        "at": utc(step.at),
                        "ended_at": utc(step.ended_at) if step.ended_at else None,
                        "reason": step.reason,
                        "figures": dict(step.figures),
                    }
                    for step in history.steps_of(run.run_id)
                ],
            }
            for run in history.runs
        ],
    }
