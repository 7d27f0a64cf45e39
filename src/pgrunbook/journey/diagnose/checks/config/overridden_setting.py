"""A line of a configuration file that has no effect.

Asks:    which settings of the configuration files does ALTER SYSTEM (postgresql.auto.conf) or the command line override
         with another value?
Source:  pg_file_settings, pg_settings.source.
Blind:   without the right to read pg_file_settings.
Says:    {object} reads {value} in {file}, line {line}, but {winner} sets it to {used}.
Section: Maintenance Operations
Leads:   ALTER SYSTEM RESET, or take the line out of the file
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import replace
from itertools import groupby
from operator import attrgetter

from pgrunbook.journey.diagnose import mending
from pgrunbook.journey.diagnose.check import Check, NoLimits
from pgrunbook.journey.diagnose.seen import Seen
from pgrunbook.journey.observe.settings import FILE_SETTINGS, SETTINGS, FileSetting, Setting, by_name
from pgrunbook.model import Advice, Blind, Finding, Kind, Severity, Verdict, quote

_AUTO = "postgresql.auto.conf"
_STRONGER = {"command line", "environment variable"}


def judge(seen: Seen, limits: NoLimits) -> Iterator[Verdict]:  # noqa: ARG001 - no thresholds
    """One finding a setting.  Files that include others to override them are the ordinary way and stay unmentioned."""
    settings = by_name(seen.rows(SETTINGS))
    files = seen.rows_or_none(FILE_SETTINGS)
    if files is None:
        user = quote(seen.server.user)
        yield Blind(
            reason=f"{user} may not read the configuration files",
            cure=f"GRANT SELECT ON pg_catalog.pg_file_settings TO {user};\n"
            f"GRANT EXECUTE ON FUNCTION pg_catalog.pg_show_all_file_settings() TO {user};",
        )
        return
    lines = [row for row in files if row.name is not None and row.error is None]
    for name, group in groupby(sorted(lines, key=attrgetter("name", "place")), key=attrgetter("name")):
        yield from _judge_one(name, list(group), settings)


def _judge_one(name: str, lines: Sequence[FileSetting], settings: Mapping[str, Setting]) -> Iterator[Finding]:
    last, setting = lines[-1], settings.get(name)
    in_files = [line for line in lines if not line.file.endswith(_AUTO)]
    if setting is not None and setting.source in _STRONGER:
        if in_files and _differs(in_files[-1].value, setting.value):
            yield _finding(in_files[-1], setting.source, setting.value, ())
    elif last.file.endswith(_AUTO) and in_files and _differs(in_files[-1].value, last.value or ""):
        risk = "Or take the line out of the file, if ALTER SYSTEM's value is the right one."
        advice = replace(mending.reset_system(name, last.value or ""), risk=risk)
        yield _finding(in_files[-1], "ALTER SYSTEM", last.value or "", (advice,))


def _differs(written: str | None, used: str) -> bool:
    return (written or "").lower() != used.lower()


def _finding(line: FileSetting, winner: str, used: str, advice: tuple[Advice, ...]) -> Finding:
    return Finding(
        severity=Severity.NOTICE,
        kind=Kind.SETTING,
        object=str(line.name),
        evidence={"value": line.value, "file": line.file, "line": line.line, "winner": winner, "used": used},
        advice=advice,
    )


CHECK = Check(needs=(SETTINGS,), likes=(FILE_SETTINGS,), judge=judge, limits=NoLimits())
