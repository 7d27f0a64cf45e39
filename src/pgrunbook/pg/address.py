"""Where a DSN leads, as other programs' configurations want it written: host and port, no user and no secret."""

from __future__ import annotations

import os

import psycopg
from psycopg.conninfo import conninfo_to_dict

from pgrunbook.pg.secrets import has_stray_at


def host_and_port(dsn: str) -> tuple[str, int] | None:
    """Host (or the folder of its socket) and port of the first server that the DSN names; None where it names none.

    >>> host_and_port("postgresql://app:secret@db-1:5433/shop"), host_and_port("dbname=shop port=5433 host=/run/pg")
    (('db-1', 5433), ('/run/pg', 5433))
    """
    if has_stray_at(dsn):
        return None
    try:
        parts = conninfo_to_dict(dsn)
    except psycopg.ProgrammingError:
        return None
    host = str(parts.get("host") or parts.get("hostaddr") or os.environ.get("PGHOST") or "").split(",", maxsplit=1)[0]
    port = str(parts.get("port") or os.environ.get("PGPORT") or "5432").split(",", maxsplit=1)[0]
    return (host, int(port)) if host and port.isdigit() else None
