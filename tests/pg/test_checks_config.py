"""The config family on real servers: healthy, fault, fixed, blindfolded; and what must not be taken for a fault."""

from __future__ import annotations

import pytest
from tests.fix.server import FreshDatabase
from tests.fix.story import ask, mend, objects, paste, the_finding

from pgrunbook.model import Kind, Severity

# --- missing_timeouts ------------------------------------------------------------------------------------------------


def test_a_role_without_time_limits_is_found_and_given_them(pg: FreshDatabase) -> None:
    assert ask(pg.dsn, "missing_timeouts").ok == ("missing_timeouts",)
    pg.role("shop app")
    pg.execute("create table t (i int)", 'grant select on t to "shop app"')
    found = the_finding(ask(pg.dsn, "missing_timeouts"))
    assert (found.severity, found.kind, found.object) == (Severity.WARNING, Kind.ROLE, '"shop app"')
    assert found.evidence["missing"] == ("statement_timeout", "idle_in_transaction_session_timeout")

    advice = mend(pg, found)
    assert ask(pg.dsn, "missing_timeouts").ok == ("missing_timeouts",)
    paste(pg, advice.undo_sql)
    assert objects(ask(pg.dsn, "missing_timeouts")) == ['"shop app"']


@pytest.mark.parametrize(
    "given",
    [
        "alter role app in database {name} set {setting} = '5s'",
        "alter role app set {setting} = '5s'",
        "alter database {name} set {setting} = '5s'",
        "alter role all set {setting} = '5s'",
        "alter system set {setting} = '5s'",
    ],
)
def test_a_limit_may_stand_at_any_level(pg: FreshDatabase, given: str) -> None:
    pg.role("app")
    pg.connect_as("app")
    assert objects(ask(pg.dsn, "missing_timeouts")) == ["app"]
    for setting in ("statement_timeout", "idle_in_transaction_session_timeout"):
        pg.execute(given.format(name=pg.name, setting=setting), "select pg_reload_conf()")
    assert ask(pg.dsn, "missing_timeouts").ok == ("missing_timeouts",)


def test_a_roles_zero_beats_the_databases_limit(pg: FreshDatabase) -> None:
    pg.role("app")
    pg.execute(
        f"alter database {pg.name} set statement_timeout = '5s'",
        f"alter database {pg.name} set idle_in_transaction_session_timeout = '5s'",
        "alter role app set statement_timeout = 0",
    )
    pg.connect_as("app")
    found = the_finding(ask(pg.dsn, "missing_timeouts"))
    assert (found.object, found.evidence["missing"]) == ("app", ("statement_timeout",))
    advice = mend(pg, found)
    paste(pg, advice.undo_sql)
    assert objects(ask(pg.dsn, "missing_timeouts")) == ["app"]


def test_administrators_and_strangers_need_no_limits(pg: FreshDatabase) -> None:
    pg.role("boss", options="superuser login")
    pg.role("watcher", member_of="pg_monitor")
    pg.role("copier", options="login replication")
    pg.role("stranger")
    pg.role("team", options="nologin")
    pg.execute("create table t (i int)", "grant select on t to boss, watcher, copier, team")
    assert ask(pg.dsn, "missing_timeouts").ok == ("missing_timeouts",)


def test_rights_by_membership_make_an_application(pg: FreshDatabase) -> None:
    pg.role("team", options="nologin")
    pg.role("member", member_of="team")
    pg.execute("create table t (i int)", "grant select on t to team")
    assert objects(ask(pg.dsn, "missing_timeouts")) == ["member"]


def test_many_roles_are_a_matter_of_the_database(pg: FreshDatabase) -> None:
    pg.execute("create table t (i int)")
    for number in range(12):
        pg.role(f"tenant_{number}")
        pg.execute(f"grant select on t to tenant_{number}")
    found = the_finding(ask(pg.dsn, "missing_timeouts"))
    assert (found.kind, found.object, len(found.related)) == (Kind.DATABASE, pg.name, 12)
    advice = mend(pg, found)
    assert ask(pg.dsn, "missing_timeouts").ok == ("missing_timeouts",)
    paste(pg, advice.undo_sql)
    assert objects(ask(pg.dsn, "missing_timeouts")) == [pg.name]


@pytest.mark.pg(">= 17")
def test_a_limit_for_whole_transactions_serves_for_both(pg: FreshDatabase) -> None:
    pg.role("app")
    pg.execute("alter role app set transaction_timeout = '20s'")
    pg.connect_as("app")
    assert ask(pg.dsn, "missing_timeouts").ok == ("missing_timeouts",)


def test_a_plain_role_sees_missing_limits(pg: FreshDatabase) -> None:
    pg.role("app")
    assert objects(ask(pg.dsn_as("app"), "missing_timeouts")) == []
    pg.execute("create table t (i int)", "alter table t owner to app")
    assert objects(ask(pg.dsn_as("app"), "missing_timeouts")) == ["app"]
