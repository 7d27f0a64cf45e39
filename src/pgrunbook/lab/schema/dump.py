"""Reads a schema with pg_dump: in bounded time, around what is locked or unreadable, and giving way to who waits.

pg_dump takes ACCESS SHARE on every table and keeps it to its end.  That blocks nobody but DDL, yet a waiting DDL blocks
everybody behind it: so as soon as somebody waits for us, we stop.
"""

from __future__ import annotations

import contextlib
import secrets
import subprocess
import threading
import time
from collections.abc import Collection, Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Self

from psycopg.rows import dict_row

from pgrunbook.errors import Refused, ServerError, Unreachable
from pgrunbook.lab.schema.programs import Source, pg_dump_for, source_of
from pgrunbook.lab.schema.tunnel import Tunnel
from pgrunbook.pg import sqlfile
from pgrunbook.pg.connect import Session, translated

LOCK_WAIT_MS = 3_000
DUMP_LIMIT_S = 120.0  # 10,000 tables took 21 s on a busy machine
GIVE_WAY_AFTER_S = 0.5
POLL_S = 0.1
MAX_TRIES = 2  # a lock may appear between our look and pg_dump's
_HERE = Path(__file__).parent
_TAKE = ("--format=custom", "--compress=0", "--schema-only", "--no-password")
_LEAVE = ("--no-publications", "--no-subscriptions", "--no-security-labels", "--no-tablespaces")


@dataclass(frozen=True, slots=True, kw_only=True)
class LeftOut:
    """Something that is not on the copy: its kind and name, and why."""

    what: str
    reason: str


@dataclass(frozen=True, slots=True, kw_only=True)
class Dump:
    """A schema in pg_dump's custom format.  It may hold passwords of user mappings: it never goes to a disk."""

    archive: bytes
    left_out: tuple[LeftOut, ...]
    program: Path


def dump_schema(conn: Session, *, wanted: Collection[int] = ()) -> Dump:
    """Read the schema of the database that `conn` is connected to.

    Tables that are locked or unreadable are left out unless their OID is `wanted`; then it is refused.
    """
    source = source_of(conn)
    program = pg_dump_for(source)
    if not program.needs_tunnel:
        return _dump(conn, source, program.path, wanted)
    with Tunnel(source.parameters) as tunnel:
        try:
            return _dump(conn, source.through(tunnel), program.path, wanted)
        except ServerError as exc:
            if tunnel.trouble:
                raise Unreachable(tunnel.trouble) from exc
            raise


def _dump(conn: Session, source: Source, program: Path, wanted: Collection[int]) -> Dump:
    for attempt in range(1, MAX_TRIES + 1):
        obstacles = ask(conn, "obstacles")
        if attempt > 1 and any(row["oid"] in wanted for row in obstacles):
            break
        needless = [row for row in obstacles if row["oid"] not in wanted]
        unreadable = [row for row in obstacles if row["oid"] in wanted and row["is_unreadable"]]
        if unreadable:
            names = ", ".join(pattern(row) for row in unreadable)
            raise Refused(
                f"{conn.info.user} may not read {names}, so its schema cannot be copied",
                hint=f"GRANT SELECT ON {names} TO {conn.info.user};",
            )
        run = _run(conn, source, program, [f"--exclude-table={pattern(row)}" for row in needless])
        if run.exit_code == 0:
            return Dump(archive=run.archive, left_out=tuple(_left_out(row) for row in needless), program=program)
        if not run.is_about_locks or attempt == MAX_TRIES:
            break
    raise _refusal(conn, run, wanted)


@dataclass(frozen=True, slots=True, kw_only=True)
class _Run:
    exit_code: int
    archive: bytes
    said: str
    gave_way: bool = False
    out_of_time: bool = False

    @property
    def is_about_locks(self) -> bool:
        return "statement timeout" in self.said or "could not obtain lock" in self.said or "lock timeout" in self.said


def _run(conn: Session, source: Source, program: Path, excludes: list[str]) -> _Run:
    application = f"pgrunbook/schema-{secrets.token_hex(4)}"
    argv = [str(program), *_TAKE, *_LEAVE, f"--lock-wait-timeout={LOCK_WAIT_MS}", *excludes]
    child = subprocess.Popen(
        [*argv, f"--dbname={source.conninfo}"],
        stdin=subprocess.DEVNULL,
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        env=source.environment(application),
        start_new_session=True,
    )
    gave_way = out_of_time = False
    with ending(conn, child, application), _Drain(child) as drain:
        started = last_free = time.monotonic()
        while not drain.wait(POLL_S):
            now = time.monotonic()
            if ask(conn, "waiting_for_us", application=application)[0]["waiting"] == 0:
                last_free = now
            gave_way = now - last_free > GIVE_WAY_AFTER_S
            out_of_time = now - started > DUMP_LIMIT_S
            if gave_way or out_of_time:
                return _Run(exit_code=-1, archive=b"", said="", gave_way=gave_way, out_of_time=out_of_time)
    return _Run(exit_code=child.returncode, archive=drain.out, said=drain.err.decode("utf-8", "replace").strip())


class _Drain:
    """Reads both pipes of a child in threads, so that neither fills up while we look after the locks."""

    def __init__(self, child: subprocess.Popen[bytes]) -> None:
        self._child = child
        self.out = b""
        self.err = b""
        self._threads = (threading.Thread(target=self._read_out), threading.Thread(target=self._read_err))

    def __enter__(self) -> Self:
        for thread in self._threads:
            thread.start()
        return self

    def __exit__(self, *_: object) -> None:
        if self._child.poll() is None:
            self._child.kill()
        for thread in self._threads:
            thread.join()
        self._child.wait()

    def wait(self, seconds: float) -> bool:
        """Whether the child has closed both pipes, after at most so many seconds each."""
        for thread in self._threads:
            thread.join(seconds)
        if any(thread.is_alive() for thread in self._threads):
            return False
        self._child.wait()
        return True

    def _read_out(self) -> None:
        assert self._child.stdout is not None  # noqa: S101 - opened with a pipe
        with self._child.stdout as pipe:
            self.out = pipe.read()

    def _read_err(self) -> None:
        assert self._child.stderr is not None  # noqa: S101 - opened with a pipe
        with self._child.stderr as pipe:
            self.err = pipe.read()


@contextlib.contextmanager
def ending(conn: Session, child: subprocess.Popen[bytes], application: str) -> Iterator[None]:
    """See that neither the program nor its server process outlives us; the latter would keep its locks."""
    try:
        yield
    finally:
        if child.returncode != 0 and not conn.closed:
            conn.execute(
                "select pg_catalog.pg_terminate_backend(pid) from pg_catalog.pg_stat_activity"
                " where application_name = %(application)s and backend_type = 'client backend'",
                {"application": application},
            )


def _refusal(conn: Session, run: _Run, wanted: Collection[int]) -> Exception:
    again = "Try again when no DDL is running."
    if run.gave_way:
        return Refused("gave way while reading the schema: another session waited for our lock", hint=again)
    if run.out_of_time:
        return Refused(f"reading the schema took longer than {DUMP_LIMIT_S:.0f} s and was stopped", hint=again)
    if run.is_about_locks:
        holders = ask(conn, "lock_holders", oids=list(wanted))
        return Refused(
            f"gave up after {LOCK_WAIT_MS / 1000:.0f} s: a table whose schema is to be copied is locked"
            f" ({_who(holders)})",
            hint="Wait until that session has ended its transaction, or end it: pgrunbook diagnose names blockers.",
        )
    return ServerError(f"pg_dump could not read the schema (exit {run.exit_code}): {run.said[-1000:]}")


def _who(holders: list[dict[str, Any]]) -> str:
    if not holders:
        return "by whom is no longer seen"
    return "; ".join(
        f"session {row['pid']}{' of ' + row['role'] if row['role'] else ''}"
        f"{' (' + row['application'] + ')' if row['application'] else ''}"
        f" {'holds' if row['holds'] else 'waits for'} ACCESS EXCLUSIVE, {row['state'] or 'state hidden'}"
        + (f", for {row['transaction_age_s']:.0f} s" if row["transaction_age_s"] is not None else "")
        for row in holders
    )


def _left_out(row: dict[str, Any]) -> LeftOut:
    reason = "not readable for this role" if row["is_unreadable"] else "locked by another session"
    return LeftOut(what=f"table {pattern(row)}", reason=reason)


def pattern(row: dict[str, Any]) -> str:
    """A name that pg_dump takes literally: within double quotes its patterns know no special character."""
    return ".".join('"' + part.replace('"', '""') + '"' for part in (row["schema"], row["name"]))


def ask(conn: Session, name: str, **params: object) -> list[dict[str, Any]]:
    """The rows of one of the questions that stand beside this module."""
    text: Any = sqlfile.load(_HERE, name).text_for(conn.info.server_version // 10_000)
    with translated("reading the schema"), conn.cursor(row_factory=dict_row) as cursor:
        return cursor.execute(text, params).fetchall()
