"""A PgBouncer in transaction mode before the test's PostgreSQL 18."""

from __future__ import annotations

from collections.abc import Iterator

import pytest
from tests.fix.server import FreshDatabase, unavailable

from pgrunbook.lab import Pgbouncer, pgbouncer_path, start_pgbouncer


@pytest.fixture
def pgbouncer(server18: FreshDatabase) -> Iterator[Pgbouncer]:
    """A pooler; `pgbouncer.dsn(server18.name)` leads to the test's database."""
    if pgbouncer_path() is None:
        unavailable("pgbouncer is not installed")
    with start_pgbouncer(server18.cluster) as pooler:
        yield pooler
