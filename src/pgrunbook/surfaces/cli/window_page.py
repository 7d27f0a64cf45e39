"""What `pgrunbook maintain window` prints: whether now is a good time, what speaks against it, the next quiet hour."""

from __future__ import annotations

from typing import Any

from pgrunbook import config
from pgrunbook.pg.connect import resolve_dsn
from pgrunbook.procedures.maintain import activity, working
from pgrunbook.procedures.maintain.activity import QuietHour
from pgrunbook.procedures.maintain.arrangements import arrangements
from pgrunbook.procedures.maintain.working import Look
from pgrunbook.record import folder_for
from pgrunbook.report import maintenance
from pgrunbook.report.json import dumps, utc
from pgrunbook.report.lines import Lines
from pgrunbook.report.words import number
from pgrunbook.surfaces.cli.command import Invocation
from pgrunbook.surfaces.cli.output import busy, text_console, write


def run(invocation: Invocation, dsn: str | None, dsn_flag: str | None, *, form: str) -> None:
    """Look once, note down how busy it is, and say what was seen."""
    arranged = arrangements(config.load(file=invocation.config_file))
    with busy(invocation, "looking …"):
        seen = working.look(resolve_dsn(dsn, dsn_flag), arranged)
    folder = folder_for(seen.target)
    activity.note_down(folder, seen.snapshot)
    quiet = activity.quiet_hour(activity.load(folder), seen.outlook.at)
    if form == "json":
        write(dumps(as_dict(seen, quiet)))
        return
    console, drawn = text_console(invocation)
    _draw(Lines(console), seen, quiet)
    write(drawn.getvalue())


def as_dict(seen: Look, quiet: QuietHour | str) -> dict[str, Any]:
    """The outlook as JSON's values."""
    hour = None if isinstance(quiet, str) else quiet
    return {
        "schema_version": 1,
        "at": utc(seen.outlook.at),
        "database": seen.snapshot.server.database,
        "good": seen.outlook.is_good,
        "signs": [
            {"kind": sign.hindrance.value, "words": sign.words, "forbids": sign.forbids} for sign in seen.outlook.signs
        ],
        "blind": [{"reason": one.reason, "cure": one.cure} for one in seen.outlook.blind],
        "free_bytes": seen.free_bytes,
        "quiet_hour": None
        if hour is None
        else {
            "starts_at": utc(hour.starts_at),
            "transactions_per_s": round(hour.transactions_per_s, 3),
            "usual_transactions_per_s": round(hour.usual_per_s, 3),
            "days": hour.days,
        },
        "why_no_quiet_hour": quiet if isinstance(quiet, str) else None,
    }


def _draw(lines: Lines, seen: Look, quiet: QuietHour | str) -> None:
    good = seen.outlook.is_good
    verdict = "Now is a good time for maintenance." if good else "Now is not the time: maintenance would be refused."
    if good and seen.outlook.blind:
        verdict = "Nothing that can be seen speaks against maintenance now."
    lines.paragraph(verdict, style="bold green" if good else "bold red")
    maintenance.signs(lines, [(sign.hindrance, sign.words, sign.forbids) for sign in seen.outlook.signs])
    for one in seen.outlook.blind:
        lines.paragraph(f"not seen: {one.reason}  {one.cure}".rstrip(), style="dim")
    lines.paragraph(quiet_words(quiet))


def quiet_words(quiet: QuietHour | str) -> str:
    """The next quiet hour, or why it is not known."""
    if isinstance(quiet, str):
        return f"The next quiet hour is not known: {quiet}"
    return (
        f"The next quiet hour begins {quiet.starts_at:%a %Y-%m-%d %H:%M} UTC: {number(quiet.transactions_per_s)}"
        f" transactions a second, {number(quiet.usual_per_s)} on the average (seen over {quiet.days} days)."
    )
