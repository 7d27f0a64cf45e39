"""An archiver that looks well and archives nothing.

Asks:    does the command do nothing (`/bin/true`, `:`, `exit 0`), swallow its failures (`… || true`), or name neither
         the file (%p) nor its name (%f)?  Is archive_mode on without a command, or a command set with archive_mode off?
         Is nothing archived although WAL moves on?
Unit:    waiting is counted in WAL segments.
Source:  pg_stat_archiver, pg_settings, pg_ls_archive_statusdir.
Blind:   without pg_monitor to whether WAL waits.
Says:    The archive cannot be trusted, for {why}.  archive_command is {command}.  archive_mode is {mode}.
         The last segment was archived {last_archived_age_s} ago.
         {waiting} segments wait, the first for {oldest_age_s}.
         Only a backup that was restored proves an archive.
Section: Backup and Recovery
Leads:   archive for real, or switch archive_mode off
"""

from __future__ import annotations

import re
from collections.abc import Iterator
from dataclasses import dataclass

from pgrunbook.journey.diagnose import mending
from pgrunbook.journey.diagnose.check import Check
from pgrunbook.journey.diagnose.seen import Seen
from pgrunbook.journey.observe.archiver import ARCHIVE_QUEUE, ARCHIVER, ArchiveQueue, Archiver
from pgrunbook.journey.observe.settings import SETTINGS, by_name
from pgrunbook.model import Advice, Finding, Kind, Severity, Verdict

_NOTHING = re.compile(r"(((/usr)?/bin/)?true|:|exit\s+0|rem)(?=\s|\Z)(?!\s*(&&|;|\|))", re.IGNORECASE)
_SWALLOWED = re.compile(r"(\|\||;)\s*(((/usr)?/bin/)?true|:|exit\s+0)\s*\Z")
_COMMENT = re.compile(r"(\A|\s)#.*\Z")


@dataclass(frozen=True, slots=True, kw_only=True)
class Limits:
    """The archiver works through a segment in seconds and looks once a minute.

    Two filled segments that it left for ten minutes, without a failure, mean that it hangs or does not run.
    """

    age_s: float = 600.0
    segments: int = 2


def judge(seen: Seen, limits: Limits) -> Iterator[Verdict]:
    """At most one finding: the first reason is enough.  What fails is another check's."""
    (archiver,) = seen.rows(ARCHIVER)
    queue = next(iter(seen.rows_or_none(ARCHIVE_QUEUE) or ()), None)
    why = _why(archiver) or (_stuck(queue, limits) if archiver.is_at_work and not archiver.last_try_failed else None)
    if why is None:
        if archiver.is_at_work:
            seen.rows(ARCHIVE_QUEUE)  # NotRead: whether WAL waits is not known
        return
    age_s = archiver.last_archived_age_s
    yield Finding(
        severity=Severity.WARNING,
        kind=Kind.SERVER,
        object="server",
        evidence={
            "why": why,
            "mode": archiver.mode,
            "command": archiver.command or archiver.library or None,
            "last_archived_wal": archiver.last_archived_wal,
            "last_archived_age_s": round(age_s, 1) if age_s is not None and archiver.is_at_work else None,
            "waiting": queue.waiting if queue and archiver.is_at_work else None,
            "oldest_age_s": round(queue.oldest_age_s, 1) if queue and queue.oldest_age_s is not None else None,
        },
        advice=_advice(seen, archiver),
    )


def _why(archiver: Archiver) -> str | None:
    command, library = (archiver.command or "").strip(), (archiver.library or "").strip()
    does_nothing = None if library or not command else _does_nothing(command)
    if not archiver.is_at_work:
        is_forgotten = archiver.mode == "off" and (library or (command and not does_nothing))
        return "how to archive is configured, but archive_mode is off" if is_forgotten else None
    if not command and not library:
        return (
            "archive_mode is on, but neither archive_command nor archive_library says how (all WAL is kept meanwhile)"
        )
    return does_nothing


def _stuck(queue: ArchiveQueue | None, limits: Limits) -> str | None:
    if queue is None or queue.waiting < limits.segments or (queue.oldest_age_s or 0.0) < limits.age_s:
        return None
    return "WAL moves on and nothing is archived (the command hangs, or no archiver runs)"


def _does_nothing(command: str) -> str | None:
    """What is wrong with a shell command that reports success without having copied a file."""
    bare = _COMMENT.sub("", command).strip()
    if not bare or _NOTHING.match(bare):
        return "the command reports success and does nothing"
    if _SWALLOWED.search(bare):
        return "the command reports success even when it fails"
    if "%p" not in bare and "%f" not in bare:
        return "the command is not told which file to archive"
    return None


def _advice(seen: Seen, archiver: Archiver) -> tuple[Advice, ...]:
    mode = by_name(seen.rows(SETTINGS)).get("archive_mode")
    if mode is None:
        return ()
    if archiver.mode == "off":
        return (mending.set_system(mode, "on"),)
    return (
        Advice(
            title="See what the archiver says it has done, and compare it with the files that are there",
            sql="SELECT archived_count, last_archived_wal, last_archived_time, failed_count FROM pg_stat_archiver;",
            risk="Set an archive_command that copies, refuses to overwrite and fails when it fails;"
            " then take a new base backup.",
        ),
    )


CHECK = Check(needs=(ARCHIVER, SETTINGS), likes=(ARCHIVE_QUEUE,), judge=judge, limits=Limits())
