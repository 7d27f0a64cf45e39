"""Brings the rows of some tables into a copy of the schema, through a pipe: nothing of them is kept in a file of ours.

pg_dump holds ACCESS SHARE on these tables meanwhile, and gives way as soon as somebody waits for it.  Foreign keys and
triggers do not fire on the copy, so a table can come without those that it refers to.
"""

from __future__ import annotations

import contextlib
import secrets
import subprocess
import tempfile
import time
from collections.abc import Collection
from dataclasses import dataclass
from typing import IO, Any

from pgrunbook.errors import Refused, ServerError
from pgrunbook.lab.schema.copy import SchemaCopy
from pgrunbook.lab.schema.dump import GIVE_WAY_AFTER_S, LOCK_WAIT_MS, POLL_S, ask, ending, pattern
from pgrunbook.lab.schema.programs import Program, Source, pg_dump_for, source_of
from pgrunbook.lab.schema.tunnel import Tunnel
from pgrunbook.pg.connect import Session, connect

COPY_LIMIT_S = 1800.0


@dataclass(frozen=True, slots=True, kw_only=True)
class CopiedRows:
    """Which tables came, quoted, and how large they are in the source."""

    tables: tuple[str, ...]
    size_bytes: int


def copy_rows(conn: Session, copy: SchemaCopy, oids: Collection[int], *, limit_bytes: int) -> CopiedRows:
    """Copy the rows of these tables and their partitions, and gather statistics on them.

    Raises Refused when they are larger than `limit_bytes`, hide rows from us, or somebody waits for our lock.
    """
    tables = ask(conn, "cloned_tables", oids=list(oids))
    size_bytes = sum(int(row["size_bytes"]) for row in tables)
    if size_bytes > limit_bytes:
        raise Refused(
            f"the tables concerned hold {size_bytes / 1024**2:.0f} MB, more than the {limit_bytes / 1024**2:.0f} MB"
            " that may be copied",
            hint="Allow more with --max-size, or rehearse without --data.",
        )
    hidden = [pattern(row) for row in tables if row["hides_rows"]]
    if hidden:
        raise Refused(
            f"row security hides rows of {hidden[0]} from {conn.info.user}, so a copy would lack them",
            hint="Use the owner or a role with BYPASSRLS, or rehearse without --data.",
        )
    names = tuple(pattern(row) for row in tables)
    if names:
        source = source_of(conn)
        program = pg_dump_for(source)
        if program.needs_tunnel:
            with Tunnel(source.parameters) as tunnel:
                _pipe(conn, source.through(tunnel), program, copy, names)
        else:
            _pipe(conn, source, program, copy, names)
        with connect(copy.dsn(), station="lab") as admin:
            for name in names:
                admin.execute(f"ANALYZE {name}".encode("utf-8", "surrogateescape"))
    return CopiedRows(tables=names, size_bytes=size_bytes)


def _pipe(conn: Session, source: Source, program: Program, copy: SchemaCopy, names: Collection[str]) -> None:
    """pg_dump into pg_restore, watched."""
    application = f"pgrunbook/rows-{secrets.token_hex(4)}"
    beside = program.path.with_name("pg_restore")
    restorer = beside if beside.is_file() else copy.cluster.binaries.tool("pg_restore")
    take = ["--format=custom", "--compress=0", "--data-only", "--no-password", f"--lock-wait-timeout={LOCK_WAIT_MS}"]
    put = ["--data-only", "--disable-triggers", "--no-password", "--exit-on-error", f"--dbname={copy.dsn()}"]
    with tempfile.TemporaryFile() as said, contextlib.ExitStack() as stack:
        dump = subprocess.Popen(
            [str(program.path), *take, *(f"--table={name}" for name in names), f"--dbname={source.conninfo}"],
            stdin=subprocess.DEVNULL,
            stdout=subprocess.PIPE,
            stderr=said,
            env=source.environment(application),
            start_new_session=True,
        )
        stack.enter_context(ending(conn, dump, application))
        restore = subprocess.Popen([str(restorer), *put], stdin=dump.stdout, stdout=subprocess.DEVNULL, stderr=said)
        if dump.stdout is not None:
            dump.stdout.close()  # the restorer has it
        try:
            _watch(conn, application, restore)
        finally:
            if restore.poll() is None:
                restore.kill()
            if restore.wait() != 0:
                dump.kill()
            dump.wait()
        if dump.returncode != 0 or restore.returncode != 0:
            raise ServerError(f"the rows could not be copied: {_words(said)}")


def _watch(conn: Session, application: str, restore: subprocess.Popen[Any]) -> None:
    started = last_free = time.monotonic()
    while True:
        with contextlib.suppress(subprocess.TimeoutExpired):
            restore.wait(POLL_S)
            return
        now = time.monotonic()
        if ask(conn, "waiting_for_us", application=application)[0]["waiting"] == 0:
            last_free = now
        if now - last_free > GIVE_WAY_AFTER_S:
            raise Refused(
                "gave way while copying rows: another session waited for our lock",
                hint="Try again when no DDL is running.",
            )
        if now - started > COPY_LIMIT_S:
            raise Refused(f"copying the rows took longer than {COPY_LIMIT_S:.0f} s and was stopped")


def _words(said: IO[bytes]) -> str:
    said.seek(0)
    return said.read().decode("utf-8", "replace").strip()[-1000:]
