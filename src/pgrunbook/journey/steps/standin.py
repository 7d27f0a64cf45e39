"""How the server itself would print a definition of ours: made on an empty stand-in table, read, and rolled back.

Only so can a definition that we wrote be compared with one that stands in the catalog.
"""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager

import psycopg

from pgrunbook.errors import Refused
from pgrunbook.model import dotted, quote
from pgrunbook.pg.connect import Session, first_line


@contextmanager
def stand_in(conn: Session, schema: str, table: str) -> Iterator[str]:
    """An empty temporary table of the same name and columns, in a transaction that is rolled back.

    It takes ACCESS SHARE on the real one.  Raises Refused when the server will not have it.
    """
    try:
        with conn.transaction(force_rollback=True):
            conn.execute(f"CREATE TEMP TABLE {quote(table)} (LIKE {dotted(schema, table)})".encode())
            yield f"pg_temp.{quote(table)}"
    except psycopg.errors.InsufficientPrivilege as exc:
        raise Refused(
            f"the definition on {dotted(schema, table)} cannot be checked: {first_line(exc)}",
            hint=f"GRANT TEMPORARY ON DATABASE {quote(conn.info.dbname)} TO {quote(conn.info.user)};",
        ) from exc
