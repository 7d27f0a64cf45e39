"""How much room is left where a table lies, for the case that the server runs on our own machine.

No SQL tells it.  Where the server is elsewhere, or does not tell its paths, nobody knows: None, never a guess.
"""

from __future__ import annotations

import os

from pgrunbook.journey.observe.host import serves_here
from pgrunbook.pg.connect import Session

_PLACE = """/* pgrunbook: place_of */
select pg_catalog.pg_backend_pid() as pid,
       case when pg_catalog.pg_has_role('pg_read_all_settings', 'usage')
         then coalesce(nullif(pg_catalog.pg_tablespace_location(%(tablespace_oid)s::oid), ''),
                       pg_catalog.current_setting('data_directory')) end as folder"""


def free_bytes(conn: Session, tablespace_oid: int = 0) -> int | None:
    """The free bytes of the tablespace's file system (0: the database's own); None where they cannot be known."""
    row = conn.execute(_PLACE, {"tablespace_oid": tablespace_oid}).fetchone()
    if row is None or row[1] is None or not serves_here(int(row[0])):
        return None
    try:
        found = os.statvfs(str(row[1]))
    except OSError:
        return None
    return found.f_bavail * found.f_frsize
