"""What `pgrunbook maintain calendar` prints: the next dates, when each task ran, or what to install for it."""

from __future__ import annotations

import shlex
from collections.abc import Mapping
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

from rich.text import Text

from pgrunbook import config
from pgrunbook.errors import UsageError
from pgrunbook.journey.observe import observe
from pgrunbook.model.plan import TargetPrint
from pgrunbook.pg.secrets import without_password
from pgrunbook.procedures.maintain.arrangements import Arrangements, arrangements
from pgrunbook.procedures.maintain.calendar import Rule, Slot, zone_of
from pgrunbook.procedures.maintain.ledger import Performance, last_runs, load
from pgrunbook.record import folder_for
from pgrunbook.report.json import dumps, utc
from pgrunbook.report.lines import Lines
from pgrunbook.surfaces.cli.command import Invocation
from pgrunbook.surfaces.cli.output import busy, note, text_console, write

SHOWN = 3
EVERY_MIN = 15  # how often cron asks what is due: a refused task gets its next chance then
_EXAMPLE = "postgresql://user@host:5432/database"


def run(invocation: Invocation, dsn: str | None, *, calendar_file: Path | None, form: str) -> None:
    """Print the calendar; a database is asked only when one is named."""
    arranged = arrangements(config.load(file=invocation.config_file), calendar_file=calendar_file)
    if form in {"cron", "systemd"}:
        write(_TEXTS[form](arranged, dsn, calendar_file, invocation))
        return
    known: tuple[Performance, ...] = ()
    if dsn is not None:
        with busy(invocation, "looking …"):
            known = load(folder_for(TargetPrint.of(observe(dsn, ()).server)))
    now = datetime.now(UTC)
    if form == "json":
        write(dumps(as_dict(arranged, known, now, has_database=dsn is not None)))
        return
    console, drawn = text_console(invocation)
    _draw(Lines(console), arranged, known, now, has_database=dsn is not None)
    write(drawn.getvalue())


def as_dict(
    arranged: Arrangements, known: tuple[Performance, ...], now: datetime, *, has_database: bool
) -> dict[str, Any]:
    """The calendar as JSON's values; without a database nobody knows what ran."""
    schedule, ran = arranged.schedule, last_runs(known)
    due = {id(entry) for entry, _ in schedule.due(now, ran)}
    missed = {id(entry) for entry, _ in schedule.missed(now, ran)}
    return {
        "schema_version": 1,
        "origin": schedule.origin,
        "at": utc(now),
        "entries": [
            {
                "task": entry.task.value,
                "words": entry.words,
                "frequency": entry.rule.frequency.value,
                "time": entry.rule.text,
                "impact": entry.impact or None,
                "next": [
                    {"starts_at": utc(slot.starts_at), "ends_at": utc(slot.ends_at)}
                    for slot in entry.rule.next(now, SHOWN, catch_up_s=schedule.catch_up_s)
                ],
                "last_run_at": utc(ran[entry.task]) if entry.task in ran else None,
                "due": id(entry) in due if has_database else None,
                "missed": id(entry) in missed if has_database else None,
            }
            for entry in schedule.entries
        ],
    }


def _draw(
    lines: Lines, arranged: Arrangements, known: tuple[Performance, ...], now: datetime, *, has_database: bool
) -> None:
    schedule, ran = arranged.schedule, last_runs(known)
    latest = {one.task: one for one in known}
    due = {id(entry) for entry, _ in schedule.due(now, ran)}
    missed = {id(entry): slot for entry, slot in schedule.missed(now, ran)}
    for entry in schedule.entries:
        head = Text(f"{entry.task.value:<14}", style="bold").append(f"{entry.rule.frequency} ", style="dim")
        head.append(entry.rule.text, style="cyan")
        if entry.impact:
            head.append(f"  impact {entry.impact}", style="dim")
        if has_database and id(entry) in due:
            head.append("  due now", style="bold yellow")
        lines.text(head)
        slots = entry.rule.next(now, SHOWN, catch_up_s=schedule.catch_up_s)
        dates = ", ".join(_date(slot, entry.rule) for slot in slots)
        lines.paragraph(f"{entry.task.says}; next {dates} {entry.rule.zone}", indent=14)
        if has_database:
            lines.paragraph(_history(latest.get(entry.task)), indent=14, style="dim")
        if id(entry) in missed:
            words = f"missed on {_date(missed[id(entry)], entry.rule)} {entry.rule.zone}"
            lines.paragraph(words, indent=14, style="bold red")
    lines.blank()
    lines.paragraph(f"{schedule.origin}; now {now:%a %Y-%m-%d %H:%M} UTC", style="dim")
    for span in arranged.blackouts:
        lines.paragraph(f"blackout {span.text}", style="dim")


def _date(slot: Slot, rule: Rule) -> str:
    """When a slot begins, by the clocks that the rule goes by: a day there may begin on another one in UTC."""
    local = slot.starts_at.astimezone(zone_of(rule.zone))
    return f"{local:%a %Y-%m-%d %H:%M}" if rule.at is not None else f"{local:%a %Y-%m-%d}"


def _history(last: Performance | None) -> str:
    if last is None:
        return "never run here"
    end = last.end.value if last.end is not None else "not known to have ended"
    return f"last begun {last.at:%Y-%m-%d %H:%M} UTC: {end}" + (f" ({last.reason})" if last.reason else "")


def _command(dsn: str | None, calendar_file: Path | None, invocation: Invocation) -> list[str]:
    """The words to be run; a password never stands among them."""
    config_words = ["--config", str(invocation.config_file.resolve())] if invocation.config_file is not None else []
    file_words = ["--file", str(calendar_file.resolve())] if calendar_file is not None else []
    shown = without_password(dsn) if dsn is not None else ""
    if dsn is not None and not shown:
        raise UsageError("the DSN cannot be read")
    if dsn is not None and shown != dsn:
        note(invocation, "the password is left out of what is printed: put it into ~/.pgpass")
    dsn_words = [shown] if shown else []
    return ["pgrunbook", *config_words, "maintain", "run", "--due", "--yes", *file_words, *dsn_words]


def _plan(arranged: Arrangements) -> list[str]:
    entries = arranged.schedule.entries
    return [f"#   {entry.task:<14}{entry.rule.frequency} {entry.rule.text}" for entry in entries]


def _cron(arranged: Arrangements, dsn: str | None, calendar_file: Path | None, invocation: Invocation) -> str:
    """One line: cron's own fields cannot say "First Sunday", and know neither UTC nor what has run already."""
    command = shlex.join(_command(dsn, calendar_file, invocation)).replace("%", r"\%")
    where = [] if dsn is not None else [f"PGRUNBOOK_DSN={_EXAMPLE}"]
    return "\n".join(
        [
            f"# pgrunbook asks every {EVERY_MIN} minutes what is due ({arranged.schedule.origin}):",
            *_plan(arranged),
            "# Install with crontab -e, for a user who may write its state folder; passwords belong into ~/.pgpass.",
            *where,
            f"*/{EVERY_MIN} * * * * {command}",
        ]
    )


def _systemd(arranged: Arrangements, dsn: str | None, calendar_file: Path | None, invocation: Invocation) -> str:
    """A service and a timer, each under the name of its file."""
    words = _command(dsn, calendar_file, invocation)
    command = " ".join(_systemd_word(word) for word in ("/usr/bin/env", *words))
    where = [] if dsn is not None else [f"Environment=PGRUNBOOK_DSN={_EXAMPLE}"]
    return "\n".join(
        [
            f"# pgrunbook asks every {EVERY_MIN} minutes what is due ({arranged.schedule.origin}):",
            *_plan(arranged),
            "# Passwords belong into ~/.pgpass of the user.",
            "",
            "# ~/.config/systemd/user/pgrunbook-maintain.service",
            "[Unit]",
            "Description=PostgreSQL maintenance that is due",
            "",
            "[Service]",
            "Type=oneshot",
            *where,
            f"ExecStart={command}",
            "SuccessExitStatus=4",
            "KillMode=mixed",
            "TimeoutStopSec=5min",
            "",
            "# ~/.config/systemd/user/pgrunbook-maintain.timer",
            "[Unit]",
            "Description=Ask what PostgreSQL maintenance is due",
            "",
            "[Timer]",
            f"OnCalendar=*:0/{EVERY_MIN}",
            "AccuracySec=1min",
            "",
            "[Install]",
            "WantedBy=timers.target",
            "",
            "# then: systemctl --user daemon-reload && systemctl --user enable --now pgrunbook-maintain.timer",
        ]
    )


def _systemd_word(word: str) -> str:
    """A word as ExecStart= reads it: quoted, with its own signs doubled."""
    plain = word.replace("%", "%%").replace("$", "$$")
    if shlex.quote(word) == word:
        return plain
    return '"' + plain.replace("\\", "\\\\").replace('"', '\\"') + '"'


_TEXTS: Mapping[str, Any] = {"cron": _cron, "systemd": _systemd}
