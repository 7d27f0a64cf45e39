"""inactive_replication_slot on real servers: healthy, fault, fixed; and what must not be taken for a fault."""

from __future__ import annotations

import pytest
from tests.fix.server import FreshDatabase
from tests.fix.story import ask, mend, objects, the_finding

from pgrunbook.lab import Cluster
from pgrunbook.model import Kind, Severity

NEWEST = pytest.mark.pg("== 18")  # what does not differ between majors need not be asked of all of them


@pytest.mark.parametrize(
    "made",
    [
        "select pg_create_physical_replication_slot('forgotten', true)",
        "select pg_create_logical_replication_slot('forgotten', 'test_decoding')",
    ],
)
def test_a_forgotten_slot_is_found_and_dropped(pg: FreshDatabase, made: str) -> None:
    assert ask(pg.dsn, "inactive_replication_slot").ok == ("inactive_replication_slot",)
    pg.execute(made, "create table t as select generate_series(1, 10000) i")
    found = the_finding(ask(pg.dsn, "inactive_replication_slot"))
    assert (found.severity, found.kind, found.object) == (Severity.WARNING, Kind.SLOT, "forgotten")
    assert found.evidence["retained_bytes"] > 100_000
    assert (found.evidence["inactive_s"] is not None) == (pg.major >= 17)
    mend(pg, found)
    assert ask(pg.dsn, "inactive_replication_slot").ok == ("inactive_replication_slot",)


@NEWEST
def test_much_wal_behind_a_slot_is_critical(pg: FreshDatabase) -> None:
    pg.execute("select pg_create_physical_replication_slot('forgotten', true)", "create table t as select 1 i")
    found = the_finding(ask(pg.dsn, "inactive_replication_slot", critical_bytes=1))
    assert found.severity is Severity.CRITICAL


@NEWEST
def test_a_slot_that_reserved_nothing_is_a_notice(pg: FreshDatabase) -> None:
    pg.execute("select pg_create_physical_replication_slot('empty')")
    found = the_finding(ask(pg.dsn, "inactive_replication_slot"))
    assert found.severity is Severity.NOTICE


def test_a_plain_role_sees_a_forgotten_slot(pg: FreshDatabase) -> None:
    pg.role("plain")
    pg.execute("select pg_create_physical_replication_slot('forgotten', true)")
    assert objects(ask(pg.dsn_as("plain"), "inactive_replication_slot")) == ["forgotten"]


def test_a_slot_with_a_standby_is_healthy(server18: FreshDatabase, replica: Cluster) -> None:
    assert ask(server18.dsn, "inactive_replication_slot").ok == ("inactive_replication_slot",)
    assert ask(replica.dsn(server18.name), "inactive_replication_slot").ok == ("inactive_replication_slot",)
    replica.shutdown()
    found = the_finding(ask(server18.dsn, "inactive_replication_slot"))
    assert found.object == "standby"
