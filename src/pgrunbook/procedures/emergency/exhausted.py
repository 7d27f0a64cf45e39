"""Gets in where connections have run out: tries for a while, and says "exhausted", not "down", when it cannot.

The server refuses with SQLSTATE 53300, of which the driver's connection errors keep the text only.
"""

from __future__ import annotations

import time
from collections.abc import Callable
from typing import TypeVar

from pgrunbook.errors import Unreachable

T = TypeVar("T")
POLL_S = 0.5
_TEXTS = (
    "too many clients",  # max_connections
    "connection slots are reserved",  # what is left is for superusers, or for members of pg_use_reserved_connections
    "too many connections for",  # the limit of a role or a database
    "no more connections allowed",  # PgBouncer's max_client_conn
)
HINT = (
    "Connect as a superuser (superuser_reserved_connections), or from 16 on as a member of pg_use_reserved_connections"
    " (GRANT pg_use_reserved_connections TO …; with reserved_connections set).  Or free one by hand: stop one of the"
    " application's processes, or lower its pool; scaling up max_connections needs a restart, which ends every session."
)


def is_exhausted(exc: Unreachable) -> bool:
    """Whether the server is there, but lets nobody in.

    >>> is_exhausted(Unreachable("cannot connect to …: FATAL:  sorry, too many clients already"))
    True
    """
    return any(text in exc.message for text in _TEXTS)


def patiently(enter: Callable[[], T], *, wait_s: float) -> T:
    """What `enter` gives, tried again while connections are exhausted.  Raises Unreachable, which says so."""
    deadline = time.monotonic() + wait_s
    while True:
        try:
            return enter()
        except Unreachable as exc:
            if not is_exhausted(exc):
                raise
            if time.monotonic() >= deadline:
                raise Unreachable(
                    f"the server is up, but exhausted: it has no connection left for us, tried for {wait_s:g} s"
                    f" ({exc.message})",
                    hint=HINT,
                ) from exc
        time.sleep(POLL_S)
