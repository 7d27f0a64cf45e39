"""PgBouncer from its admin console: RECONNECT, and PAUSE that cannot be forgotten.

RECONNECT closes each server connection as soon as its client lets go of it: nobody notices.  PAUSE outlives who asked
for it, and while it waits for open transactions every new query queues already.  So it is asked for with a deadline,
and before it is, a record is put on disk that the next start finds and resumes.  Who is alive holds a lock on its
record, so that nobody resumes what another has just paused.
"""

from __future__ import annotations

import contextlib
import fcntl
import hashlib
import json
import os
import select
import threading
import time
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path

import psycopg
from psycopg import sql

from pgrunbook.errors import ChangedInPart, Refused, RunbookError, ServerError
from pgrunbook.pg.connect import Session, connect, describe, first_line
from pgrunbook.pg.secrets import without_password
from pgrunbook.record.journal import state_home

FOLDER = "paused"
ADMIN = "pgbouncer"


class Pooler:
    """The admin console of one PgBouncer.  `dsn` leads to its database `pgbouncer`."""

    def __init__(self, dsn: str) -> None:
        self._dsn = dsn

    @property
    def words(self) -> str:
        """Which pooler it is, without any secret."""
        return describe(self._dsn)

    def version(self) -> str:
        """What it calls itself.  Raises ServerError when it is no PgBouncer or does not let us in."""
        rows = self._ask("SHOW VERSION")
        text = str(rows[0][0]) if rows else ""
        if "PgBouncer" not in text:
            raise ServerError(f"{self.words} is no admin console of PgBouncer", hint=f"Its database is called {ADMIN}.")
        return text

    def reconnect(self) -> None:
        """Have every server connection closed when its client next lets go of it."""
        self._ask("RECONNECT")

    def pause(self, deadline_s: float) -> None:
        """Wait until no server connection is in use.  Raises Refused when that takes too long; then it is resumed."""
        with contextlib.closing(connect(self._dsn, station="emergency")) as conn:
            conn.pgconn.send_query(b"PAUSE")
            answer = _answer_within(conn, deadline_s)
            if answer == "":
                return
            self.resume()
        if answer is not None:
            raise Refused(f"{self.words} could not be paused: {answer}", hint="It goes on as before.")
        raise Refused(
            f"{self.words} could not be paused within {deadline_s:g} s: transactions are open in it",
            hint="It was resumed.  End those transactions first, or go without --pause.",
        )

    def resume(self) -> None:
        """Let it go on.  One that is not paused goes on already."""
        try:
            self._ask("RESUME")
        except ServerError as exc:
            if "not paused" not in exc.message:
                raise

    def _ask(self, command: str) -> list[tuple[object, ...]]:
        """Send one command; the console speaks only the simple protocol."""
        with connect(self._dsn, station="emergency") as conn:
            try:
                cursor = psycopg.ClientCursor(conn).execute(sql.SQL(command))
                return list(cursor.fetchall()) if cursor.description is not None else []
            except psycopg.Error as exc:
                raise ServerError(f"{self.words} refused {command}: {first_line(exc)}") from exc


def _answer_within(conn: Session, deadline_s: float) -> str | None:
    """How the command that was sent has ended: "" well, else the error; None when it has not ended in time."""
    deadline = time.monotonic() + deadline_s
    while conn.pgconn.is_busy():
        left = deadline - time.monotonic()
        if left <= 0 or not select.select([conn.pgconn.socket], [], [], left)[0]:
            return None
        conn.pgconn.consume_input()
    result = conn.pgconn.get_result()
    if result is not None and result.status == psycopg.pq.ExecStatus.COMMAND_OK:
        return ""
    return (result.error_message.decode("utf-8", "replace") if result is not None else "").strip() or "no answer"


@contextmanager
def paused(pooler: Pooler, dsn: str, *, deadline_s: float) -> Iterator[None]:
    """Keep a pooler paused while the block lasts, but never longer than twice the deadline.

    Raises Refused when it does not come to rest in time, ChangedInPart when it cannot be resumed.
    """
    with _record(dsn, deadline_s):
        pooler.pause(deadline_s)
        over = threading.Timer(deadline_s, lambda: _resume_quietly(pooler))
        over.daemon = True
        over.start()
        try:
            yield
        finally:
            over.cancel()
            over.join()
            _resume_surely(pooler)


@contextmanager
def _record(dsn: str, deadline_s: float) -> Iterator[None]:
    """Leave word of the pause on disk for as long as it lasts, and if we die, for the next start."""
    folder = state_home() / FOLDER
    place = folder / f"{hashlib.sha256(without_password(dsn).encode()).hexdigest()[:16]}.json"
    text = {"dsn": without_password(dsn), "at": datetime.now(UTC).isoformat(), "deadline_s": deadline_s}
    try:
        folder.mkdir(mode=0o700, parents=True, exist_ok=True)
        fd = os.open(place, os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, 0o600)
    except OSError as exc:
        raise Refused(
            f"{place} cannot be written: {exc.strerror}; without it nothing is paused",
            hint="Give write permission there, or set XDG_STATE_HOME to another folder.",
        ) from exc
    try:
        if not _lock(fd):
            raise Refused("another pgrunbook has this pooler paused", hint="Wait until it has finished.")
        os.ftruncate(fd, 0)
        os.pwrite(fd, json.dumps(text).encode(), 0)
        os.fsync(fd)
        try:
            yield
        except ChangedInPart:  # it could not be resumed: the record stays for the next start
            raise
        except BaseException:
            place.unlink(missing_ok=True)
            raise
        place.unlink(missing_ok=True)
    finally:
        os.close(fd)


@dataclass(frozen=True, slots=True, kw_only=True)
class Forgotten:
    """A pause that outlived its process: what was found, and whether it is over now."""

    pooler: str
    since: str
    resumed: bool
    reason: str = ""


def resume_forgotten(given: Sequence[str] = ()) -> tuple[Forgotten, ...]:
    """Resume every pooler that a run which died has left paused.  `given` are DSNs, one perhaps with the password."""
    folder = state_home() / FOLDER
    if not folder.is_dir():
        return ()
    found = []
    for place in sorted(folder.glob("*.json")):
        with contextlib.suppress(FileNotFoundError):
            fd = os.open(place, os.O_RDWR | os.O_CLOEXEC)
            try:
                if _lock(fd):
                    found.append(_resume_one(place, given))
            finally:
                os.close(fd)
    return tuple(found)


def _resume_one(place: Path, given: Sequence[str]) -> Forgotten:
    try:
        record = json.loads(place.read_text(encoding="utf-8"))
        dsn, since = str(record["dsn"]), str(record["at"])
    except (ValueError, KeyError, TypeError):  # died while it was written: before PAUSE was asked for
        place.unlink(missing_ok=True)
        return Forgotten(
            pooler=place.name, since="", resumed=True, reason="its record was cut short: nothing was paused"
        )
    known = next((one for one in given if without_password(one) == dsn), dsn)
    try:
        Pooler(known).resume()
    except ServerError as exc:
        return Forgotten(pooler=describe(dsn), since=since, resumed=False, reason=exc.message)
    place.unlink(missing_ok=True)
    return Forgotten(pooler=describe(dsn), since=since, resumed=True)


def _lock(fd: int) -> bool:
    try:
        fcntl.flock(fd, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except OSError:
        return False
    return True


def _resume_quietly(pooler: Pooler) -> None:
    """At the deadline, from another thread; the block's end asks again and complains if it must."""
    with contextlib.suppress(RunbookError):
        pooler.resume()


def _resume_surely(pooler: Pooler, tries: int = 3) -> None:
    for attempt in range(1, tries + 1):
        try:
            pooler.resume()
        except ServerError as exc:
            if attempt == tries:
                raise ChangedInPart(
                    f"{pooler.words} is paused and could not be resumed: {exc.message}",
                    hint="On its admin console: RESUME;  The next pgrunbook emergency tries again.",
                ) from exc
            time.sleep(0.5 * attempt)
        else:
            return
