"""The environment in which another program reaches the same database, without a password on its command line."""

from __future__ import annotations

import os

from pgrunbook.pg.connect import Session

_VARIABLES = {
    "host": "PGHOST",
    "hostaddr": "PGHOSTADDR",
    "port": "PGPORT",
    "user": "PGUSER",
    "dbname": "PGDATABASE",
    "sslmode": "PGSSLMODE",
    "sslcert": "PGSSLCERT",
    "sslkey": "PGSSLKEY",
    "sslrootcert": "PGSSLROOTCERT",
    "sslcrl": "PGSSLCRL",
    "channel_binding": "PGCHANNELBINDING",
    "gssencmode": "PGGSSENCMODE",
    "krbsrvname": "PGKRBSRVNAME",
}


def environment_of(conn: Session) -> dict[str, str]:
    """Our environment with libpq's variables set to the very server that a connection has reached."""
    given = conn.info.get_parameters()
    given |= {"host": conn.info.host, "port": str(conn.info.port), "user": conn.info.user, "dbname": conn.info.dbname}
    if "," in given.get("hostaddr", ""):  # of several hosts in a DSN it is one
        del given["hostaddr"]
    kept = {name: value for name, value in os.environ.items() if not name.startswith("PG")}
    secret = {"PGPASSWORD": conn.info.password} if conn.info.password else {}
    return {**kept, **{_VARIABLES[name]: value for name, value in given.items() if name in _VARIABLES}, **secret}
