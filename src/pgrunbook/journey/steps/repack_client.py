"""pg_repack: rewrites a table while the application works, where both its extension and its program are there.

A killed pg_repack leaves a trigger that writes every change into a log that nobody reads, and its next run says success
and does nothing.  So leftovers are looked for, by name, before and after; they are cleared away when no pg_repack is at
work.
"""

from __future__ import annotations

import contextlib
import os
import shutil
import signal
import subprocess
import time
from dataclasses import dataclass

from pgrunbook.errors import Refused
from pgrunbook.model import Server, dotted
from pgrunbook.pg.connect import Session
from pgrunbook.pg.environment import environment_of
from pgrunbook.report.words import one_line

PROGRAM = "pg_repack"
EXTENSION = "pg_repack"
SCHEMA = "repack"  # the extension allows no other
GOES_ON_S = 60.0  # how long a pg_repack whose starter was killed is waited for
END_S = 30.0  # after which one that was interrupted must have cleaned up
POLL_S = 0.2

_LEFT = """/* pgrunbook: repack leftovers */
select c.oid::int8,
       exists (select from pg_catalog.pg_trigger as t where t.tgrelid = c.oid and t.tgname = 'repack_trigger'),
       array(
         select r.relname::text from pg_catalog.pg_class as r
         join pg_catalog.pg_namespace as m on m.oid = r.relnamespace
         where m.nspname = 'repack' and r.relkind = 'r' and r.relname in ('log_' || c.oid, 'table_' || c.oid)
         order by 1
       ),
       exists (
         select from pg_catalog.pg_type as y join pg_catalog.pg_namespace as m on m.oid = y.typnamespace
         where m.nspname = 'repack' and y.typname = 'pk_' || c.oid
       )
from pg_catalog.pg_class as c
join pg_catalog.pg_namespace as n on n.oid = c.relnamespace
where n.nspname = %(schema)s and c.relname = %(table)s"""

_AT_WORK = """/* pgrunbook: repack at work */
select min(a.pid)::int4 from pg_catalog.pg_stat_activity as a
where a.datname = pg_catalog.current_database() and a.application_name = 'pg_repack'"""


@dataclass(frozen=True, slots=True, kw_only=True)
class Leftovers:
    """What a killed pg_repack left at one table."""

    schema: str
    table: str
    oid: int
    has_trigger: bool
    tables: tuple[str, ...]
    has_type: bool

    @property
    def names(self) -> tuple[str, ...]:
        """Each by its name; () when there is nothing."""
        trigger = (f"trigger repack_trigger on {dotted(self.schema, self.table)}",) if self.has_trigger else ()
        kind = (f"type {SCHEMA}.pk_{self.oid}",) if self.has_type else ()
        return (*trigger, *(f"table {SCHEMA}.{name}" for name in self.tables), *kind)

    @property
    def statements(self) -> tuple[str, ...]:
        """What clears them away, the trigger first: it writes into the log."""
        trigger = (f"DROP TRIGGER repack_trigger ON {dotted(self.schema, self.table)}",) if self.has_trigger else ()
        tables = tuple(f"DROP TABLE {dotted(SCHEMA, name)}" for name in self.tables)
        kind = (f"DROP TYPE {dotted(SCHEMA, f'pk_{self.oid}')}",) if self.has_type else ()
        return (*trigger, *tables, *kind)


def leftovers(conn: Session, schema: str, table: str) -> Leftovers | None:
    """What stands at this table; None when there is nothing."""
    row = conn.execute(_LEFT, {"schema": schema, "table": table}).fetchone()
    if row is None:
        return None
    found = Leftovers(
        schema=schema,
        table=table,
        oid=int(row[0]),
        has_trigger=bool(row[1]),
        tables=tuple(row[2]),
        has_type=bool(row[3]),
    )
    return found if found.names else None


def clear_leftovers(conn: Session, schema: str, table: str) -> None:
    """Drop them, once no pg_repack is at work; Refused when one does not end."""
    wait_for_end(conn)
    found = leftovers(conn, schema, table)
    for statement in found.statements if found is not None else ():
        conn.execute(statement.encode())


def wait_for_end(conn: Session, *, budget_s: float = GOES_ON_S) -> None:
    """Return when no pg_repack is at work in this database; Refused when one outstays the budget."""
    deadline = time.monotonic() + budget_s
    while True:
        row = conn.execute(_AT_WORK).fetchone()
        if row is None or row[0] is None:
            return
        if time.monotonic() > deadline:
            raise Refused(
                f"a pg_repack is at work in this database (backend {row[0]})",
                hint="Wait until it has finished, or end it; what it leaves is cleared away then.",
            )
        time.sleep(POLL_S)


def why_not(server: Server) -> str | None:
    """Why pg_repack cannot be used here; None when it can."""
    if not server.has_extension(EXTENSION):
        return "the extension pg_repack is not installed in this database"
    program = shutil.which(PROGRAM)
    if program is None:
        return "the program pg_repack is not installed on this machine"
    said = subprocess.run([program, "--version"], capture_output=True, text=True, stdin=subprocess.DEVNULL).stdout
    installed, wanted = said.split()[-1:] or [""], server.extensions[EXTENSION].version
    if installed[0] != wanted:
        return f"the program pg_repack is {installed[0] or 'unreadable'}, the extension {wanted}; they must be equal"
    return None


def command(schema: str, table: str, *, is_superuser: bool = True, wait_s: float) -> tuple[str, ...]:
    """The program with its arguments: it gives up rather than ending sessions that hold the table."""
    check = ("--no-superuser-check",) if not is_superuser else ()
    waiting = (f"--wait-timeout={max(1, round(wait_s))}", "--no-kill-backend")
    return (PROGRAM, "--no-order", *waiting, *check, f"--table={dotted(schema, table)}")


def run(conn: Session, schema: str, table: str, *, wait_s: float) -> None:
    """Rewrite one table.  Raises Refused with what the program said; an interrupt is passed on to it first."""
    is_superuser = conn.info.parameter_status("is_superuser") == "on"
    words = command(schema, table, is_superuser=is_superuser, wait_s=wait_s)
    child = subprocess.Popen(
        words,
        env=environment_of(conn),
        stdin=subprocess.DEVNULL,
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        text=True,
        errors="replace",
        start_new_session=True,  # Ctrl-C comes to it from us, once
    )
    try:
        said, _ = child.communicate()
    except BaseException:
        _end(child)
        raise
    lines = [one_line(line) for line in said.splitlines() if line.strip()]
    if child.returncode != 0 or any(line.startswith(("ERROR", "WARNING")) for line in lines):
        told = "; ".join(line for line in lines if line.startswith(("ERROR", "WARNING", "DETAIL"))) or "nothing"
        raise Refused(f"{PROGRAM} ended with {child.returncode} and said: {told}", hint=_hint(told))


def _hint(told: str) -> str:
    if "primary key" in told or "unique" in told:
        return "pg_repack needs a primary key or a unique index on columns that are never null; VACUUM FULL does not."
    return "What it left is looked for and cleared away; try again when the table is less busy."


def _end(child: subprocess.Popen[str]) -> None:
    """Interrupt it so that it cleans up after itself; kill it when it does not."""
    with contextlib.suppress(ProcessLookupError):
        os.killpg(child.pid, signal.SIGINT)
    try:
        child.communicate(timeout=END_S)
    except subprocess.TimeoutExpired:
        with contextlib.suppress(ProcessLookupError):
            os.killpg(child.pid, signal.SIGKILL)
        child.communicate()
