"""The archiver fails.

Asks:    was the last attempt to archive a segment a failure?
Unit:    waiting is counted in WAL segments.
Source:  pg_stat_archiver, pg_ls_archive_statusdir (with pg_monitor).
Says:    The archiver could not archive {last_failed_wal} {last_failed_age_s} ago, and {failed} attempts have failed.
         The last success was {last_archived_age_s} ago.  {waiting} segments wait, the first for {oldest_age_s}.
         Until it works again pg_wal grows without a limit, and no later point in time can be restored.
Section: Backup and Recovery
Leads:   mend the command (the server's log shows its words), then let the archiver try again
"""

from __future__ import annotations

from collections.abc import Iterator

from pgrunbook.journey.diagnose.check import Check, NoLimits
from pgrunbook.journey.diagnose.seen import Seen
from pgrunbook.journey.observe.archiver import ARCHIVE_QUEUE, ARCHIVER
from pgrunbook.model import Advice, Finding, Kind, Severity, Verdict

_TRY_AGAIN = Advice(
    title="Mend archive_command (its words are in the server's log), then let the archiver try at once",
    sql="SELECT pg_reload_conf();",
    risk="Run the command by hand first, as the operating system's user that the server runs as.",
)


def judge(seen: Seen, limits: NoLimits) -> Iterator[Verdict]:  # noqa: ARG001 - no thresholds
    """One finding.  A failure that was followed by a success is over; a standby that does not archive is fine."""
    (archiver,) = seen.rows(ARCHIVER)
    if not archiver.is_at_work or not archiver.last_try_failed:
        return
    queue = next(iter(seen.rows_or_none(ARCHIVE_QUEUE) or ()), None)
    succeeded_s = archiver.last_archived_age_s
    yield Finding(
        severity=Severity.CRITICAL,
        kind=Kind.SERVER,
        object="server",
        evidence={
            "failed": archiver.failed,
            "last_failed_wal": archiver.last_failed_wal,
            "last_failed_age_s": round(archiver.last_failed_age_s or 0.0, 1),
            "last_archived_wal": archiver.last_archived_wal,
            "last_archived_age_s": round(succeeded_s, 1) if succeeded_s is not None else None,
            "segments_behind": archiver.segments_behind,
            "waiting": queue.waiting if queue else None,
            "oldest_age_s": round(queue.oldest_age_s, 1) if queue and queue.oldest_age_s is not None else None,
            "command": archiver.command or None,
            "library": archiver.library or None,
        },
        advice=(_TRY_AGAIN,),
    )


CHECK = Check(needs=(ARCHIVER,), likes=(ARCHIVE_QUEUE,), judge=judge, limits=NoLimits())
