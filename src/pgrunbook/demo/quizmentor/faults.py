"""The faults of sick QuizMentor that live in sessions and slots, for as long as a `with` block lasts.

A forgotten replication slot keeps WAL from being removed; an idle transaction holds an old snapshot, so that the rows
that die from then on cannot be cleaned, by autovacuum neither.  Neither blocks the application.
"""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from importlib.resources import files

import psycopg
from psycopg.conninfo import make_conninfo

from pgrunbook.demo.quizmentor.names import Names
from pgrunbook.pg.connect import connect, translated

SLOT = "quizmentor_old_replica"
FORGOTTEN_BY = "quizmentor-report"
APPLICATION_ROLE = "quizmentor_app"


@dataclass(frozen=True, slots=True, kw_only=True)
class SickSessions:
    """What was added: the slot's name and the process id of the session that sits in its transaction."""

    slot: str
    idle_pid: int


@contextmanager
def sicken_sessions(dsn: str, *, names: Names | None = None, slot: str = SLOT) -> Iterator[SickSessions]:
    """Add the forgotten slot and the idle transaction, and rows that died after its snapshot.

    On leaving, whatever of both a cure has not removed yet is removed.
    """
    names = names if names is not None else Names()
    with connect(dsn, station="demo") as conn, translated("creating the forgotten slot"):
        conn.execute("select pg_catalog.pg_create_physical_replication_slot(%s, true)", (slot,))
    try:
        idle = connect(make_conninfo(dsn, user=APPLICATION_ROLE), station="demo")
        try:
            with translated("leaving a transaction idle"):
                idle.execute("select pg_catalog.set_config('application_name', %s, false)", (FORGOTTEN_BY,))
                idle.execute("begin isolation level repeatable read")
                idle.execute(names.render(_text("open_transaction")).encode())
            with connect(dsn, station="demo") as conn, translated("letting rows die under the old snapshot"):
                psycopg.ClientCursor(conn).execute(names.render(_text("held_dead_rows")).encode())
            yield SickSessions(slot=slot, idle_pid=idle.info.backend_pid)
        finally:
            idle.close()
    finally:
        with connect(dsn, station="demo") as conn, translated("dropping the forgotten slot"):
            conn.execute(
                """
                select pg_catalog.pg_drop_replication_slot(slot_name)
                from pg_catalog.pg_replication_slots
                where slot_name = %s and not active
                """,
                (slot,),
            )


def _text(name: str) -> str:
    return files(__package__).joinpath("sql", "sick", f"{name}.sql").read_text(encoding="utf-8")
