"""A streaming standby of the test's PostgreSQL 18, made for the test and removed after it (under a second)."""

from __future__ import annotations

import time
from collections.abc import Iterator

import psycopg
import pytest
from tests.fix.server import FreshDatabase

from pgrunbook.lab import Cluster, start_replica

CATCH_UP_LIMIT_S = 30.0
SLOT = "standby"


def wait_for_replay(primary: Cluster, replica: Cluster) -> None:
    """Wait until the standby shows everything that the primary has written so far."""
    with psycopg.connect(primary.dsn(), autocommit=True) as conn:
        (target,) = conn.execute("select pg_current_wal_flush_lsn()").fetchone() or ("",)
    deadline = time.monotonic() + CATCH_UP_LIMIT_S
    with psycopg.connect(replica.dsn(), autocommit=True) as conn:
        while time.monotonic() < deadline:
            if conn.execute("select pg_last_wal_replay_lsn() >= %s::pg_lsn", (target,)).fetchone() == (True,):
                return
            time.sleep(0.01)
    pytest.fail(f"the standby did not reach {target} within {CATCH_UP_LIMIT_S:.0f} s:\n{replica.log_path.read_text()}")


@pytest.fixture
def replica(server18: FreshDatabase) -> Iterator[Cluster]:
    """A standby that follows `server18.cluster` through the slot `standby`."""
    with start_replica(server18.cluster, slot=SLOT) as standby:
        wait_for_replay(server18.cluster, standby)
        yield standby
