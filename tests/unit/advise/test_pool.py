"""Pools: demand, sizes, modes and the file; on rows of a server, so that each figure can be chosen."""

from __future__ import annotations

import configparser
import dataclasses
from datetime import timedelta
from typing import Any

import pytest
from tests.fix import counsel_rows as rows
from tests.fix.statement_rows import AT, statement

from pgrunbook.errors import UsageError
from pgrunbook.journey.advise.asking import Inquiry, counsel_of
from pgrunbook.journey.advise.given import Given, size_bytes, version_numbers
from pgrunbook.journey.advise.pool.demand import Demand
from pgrunbook.journey.advise.pool.sizing import Room, shared_out, sizes
from pgrunbook.journey.observe.locks import AdvisoryLocks
from pgrunbook.journey.observe.session_tally import TempTables
from pgrunbook.model import Snapshot, Unread
from pgrunbook.model.counsel import Counsel, Proposal


def demand(role: str = "app", database: str = "shop", **changes: Any) -> Demand:
    base = Demand(
        database=database,
        role=role,
        samples=20,
        sessions_max=60,
        busy_mean=4.0,
        busy_max=7,
        active_mean=4.0,
        waiting_max=0,
        unseen=0,
        longest_transaction_s=0.1,
    )
    return dataclasses.replace(base, **changes)


def looked(name: str = "app", *, busy: int, sessions: int = 60, times: int = 20, **changes: Any) -> tuple[Any, ...]:
    return tuple(
        rows.tally(n, name, sessions=sessions, active=busy, idle=sessions - busy, **changes) for n in range(times)
    )


def advised(seen: Snapshot, **given: Any) -> Counsel:
    return counsel_of(Inquiry(topic="pool", given=Given(**given)), seen)


def pools(counsel: Counsel) -> dict[str, Proposal]:
    return {str(one.evidence["role"]): one for one in counsel.proposals if one.area == "Pool sizes"}


def ini_of(counsel: Counsel) -> configparser.ConfigParser:
    parser = configparser.ConfigParser(interpolation=None, comment_prefixes=(";",), delimiters=("=",))
    parser.read_string(counsel.fragments[0].text)
    return parser


@pytest.mark.parametrize("busy_mean, busy_max, needed", [(4.0, 5, 9), (0.0, 0, 2), (1.0, 12, 12), (25.0, 30, 37)])
def test_what_is_needed_is_the_mean_with_its_chance_and_never_less_than_was_seen(
    busy_mean: float, busy_max: int, needed: int
) -> None:
    assert demand(busy_mean=busy_mean, busy_max=busy_max).needed == needed


def test_what_the_server_lets_in_is_less_reserved_outside_and_spare() -> None:
    room = Room(max_connections=100, reserved=3, outside=7)
    assert (room.usable, room.spare, room.for_pools) == (97, 10, 80)
    assert Room(max_connections=5, reserved=3, outside=9).for_pools == 1


def test_too_many_wishes_are_cut_in_proportion_and_everyone_keeps_one() -> None:
    large, middle, small = demand("a"), demand("b"), demand("c")
    given = shared_out({large: 60, middle: 30, small: 1}, 30)
    assert sum(given.values()) == 30
    assert given[large] > given[middle] > given[small] == 1
    assert shared_out({large: 3, middle: 2}, 30) == {large: 3, middle: 2}


def test_cores_bound_what_is_of_use_and_idle_transactions_widen_it() -> None:
    room = Room(max_connections=200, reserved=3, outside=0)
    busy = demand(busy_mean=40.0, busy_max=50, sessions_max=150)
    assert sizes([busy], room, cores=4).total == 9
    assert sizes([busy], room, cores=4, hold_ratio=2.0).total == 18
    assert sizes([busy], room, cores=None).total == busy.needed == 55


def test_limits_of_roles_and_databases_hold() -> None:
    room = Room(max_connections=200, reserved=3, outside=0)
    cut = sizes([demand()], room, cores=None, limits={("shop", "app"): 5}).pools[0]
    assert (cut.size, cut.is_cut) == (5, True)


def test_a_role_in_session_mode_gets_a_connection_for_each_client() -> None:
    room = Room(max_connections=200, reserved=3, outside=0)
    assert sizes([demand()], room, cores=2, modes={"app": "session"}).total == 72


def test_pools_are_sized_by_who_holds_a_transaction_not_by_who_is_connected() -> None:
    counsel = advised(rows.snapshot(session_tally=looked(busy=4)))
    one = pools(counsel)["app"]
    assert one.evidence["pool_size"] == 9
    assert one.proposed == "pool_size 9, transaction mode"
    assert "Of 60 sessions, 4 held a transaction on average and 4 at most, in 20 looks." in one.reason
    assert one.effect.startswith("51 connections")


def test_administrators_and_watchers_need_room_but_no_pool() -> None:
    watchers = (rows.role("app"), rows.role("grafana", member_of=("pg_monitor",)))
    counsel = advised(
        rows.snapshot(roles=watchers, session_tally=(*looked(busy=4), *looked("grafana", busy=0, sessions=5)))
    )
    assert set(pools(counsel)) == {"app"}
    assert "5 went past a pooler" in counsel.kept[0].reason


def test_nobody_at_work_is_said_and_no_load_is_invented() -> None:
    idle = advised(rows.snapshot(session_tally=looked(busy=0)))
    assert "no session held a transaction" in idle.blind[-1].reason
    none = advised(rows.snapshot(session_tally=()))
    assert not pools(none)
    assert none.fragments == ()
    assert "--window 60" in none.blind[-1].cure
    once = advised(rows.snapshot(session_tally=looked(busy=4, times=1)))
    assert "a moment, no measure" in once.blind[-1].reason


def test_sessions_that_we_may_not_see_are_named_with_the_grant() -> None:
    hidden = advised(rows.snapshot(session_tally=looked(busy=0, unseen=30)))
    assert [blind.cure for blind in hidden.blind if "GRANT" in blind.cure] == ["GRANT pg_read_all_stats TO postgres;"]


@pytest.mark.parametrize(
    "query, words",
    [
        ("LISTEN jobs", "notifications reach whoever"),
        ("select pg_advisory_lock($1)", "the lock stays with the session"),
        ("PREPARE p as select $1", "EXECUTE finds no such statement"),
        ("create temp table t (i int)", "the table stays with the session"),
        ("SET search_path to tenant_1", "the setting holds for whoever"),
    ],
)
def test_statements_that_a_transaction_pooler_breaks_keep_their_role_in_session_mode(query: str, words: str) -> None:
    counsel = advised(rows.snapshot(statement(1, query=query, calls=50), session_tally=looked(busy=4)))
    (mode,) = [one for one in counsel.proposals if one.area == "Pool mode"]
    assert words in mode.reason
    assert "Instead: " in mode.reason
    assert pools(counsel)["app"].evidence["mode"] == "session"
    assert ini_of(counsel)["pgbouncer"]["pool_mode"] == "session"


@pytest.mark.parametrize(
    "query",
    ["SET LOCAL search_path to a", "create temp table t (i int) on commit drop", "SELECT 1", "set timezone to x"],
)
def test_statements_that_it_leaves_whole_need_no_session(query: str) -> None:
    counsel = advised(rows.snapshot(statement(1, query=query, calls=50), session_tally=looked(busy=4)))
    assert pools(counsel)["app"].evidence["mode"] == "transaction"


def test_listeners_and_locks_that_outlive_their_transaction_are_seen_in_sessions() -> None:
    counsel = advised(
        rows.snapshot(
            session_tally=(*looked(busy=4), *looked("worker", busy=1, sessions=3)),
            sessions=(rows.backend(8, role="worker", query="LISTEN jobs"), rows.backend(9, role="app")),
            advisory_locks=(AdvisoryLocks(pid=9, database="shop", locks=2, keys=("1",)),),
        )
    )
    modes = {one.object: one.reason for one in counsel.proposals if one.area == "Pool mode"}
    assert "an idle session holds 2 advisory locks" in modes["app"]
    assert "a session listens" in modes["worker"]


def test_statements_that_cannot_be_read_are_no_proof_of_transaction_mode() -> None:
    unread = Unread(reason="not allowed", cure="GRANT pg_read_all_stats TO app;")
    counsel = advised(rows.snapshot(session_tally=looked(busy=4), statements=unread))
    assert [blind.cure for blind in counsel.blind if "need a session" in blind.reason] == [unread.cure]


def test_one_role_in_session_mode_leaves_the_others_in_transaction_mode() -> None:
    counsel = advised(
        rows.snapshot(
            statement(1, query="LISTEN jobs", calls=3, role="worker"),
            session_tally=(*looked(busy=4), *looked("worker", busy=1, sessions=3)),
        )
    )
    file = ini_of(counsel)
    assert file["pgbouncer"]["pool_mode"] == "transaction"
    assert file["users"]["worker"] == "pool_mode=session max_user_connections=4"


def test_the_file_bounds_what_the_server_can_give() -> None:
    counsel = advised(rows.snapshot(session_tally=looked(busy=4)), address="host=db-1 port=5432")
    file = ini_of(counsel)
    assert file["databases"]["shop"].startswith("host=db-1 port=5432 dbname=shop pool_size=9 ")
    assert int(file["pgbouncer"]["max_db_connections"]) <= 80
    assert file["pgbouncer"]["max_client_conn"] == "1000"
    assert "max_prepared_statements" not in file["pgbouncer"]
    assert not [line for line in counsel.fragments[0].text.splitlines() if ";" in line.lstrip("; ")]


def test_prepared_statements_follow_the_poolers_version() -> None:
    seen = rows.snapshot(session_tally=looked(busy=4))
    new = advised(seen, pooler_version=version_numbers("1.22.1"))
    assert ini_of(new)["pgbouncer"]["max_prepared_statements"] == "200"
    old = advised(seen, pooler_version=version_numbers("1.18"))
    assert "turn that off in the driver" in old.notes[0]
    assert "max_prepared_statements" not in old.fragments[0].text


def test_strange_names_cannot_leave_their_line() -> None:
    counsel = advised(rows.snapshot(session_tally=looked(busy=4, database="my shop's")))
    assert """"my shop's" = host=SERVER port=5432 dbname='my shop''s' pool_size=9""" in counsel.fragments[0].text


def test_a_line_end_in_a_name_leaves_its_pool_out_of_the_file() -> None:
    seen = rows.snapshot(session_tally=(*looked(busy=4), *looked("a\n[pgbouncer]\nadmin_users = a", busy=1)))
    text = advised(seen).fragments[0].text
    assert "admin_users" not in text
    assert "; 1 with a line end in a name left out" in text


@pytest.mark.parametrize("commits,shown", [(100, False), (10_000, True)])
def test_our_own_transactions_are_not_taken_for_the_applications(commits: int, shown: bool) -> None:  # noqa: FBT001 - a parameter
    before = rows.snapshot(at=AT - timedelta(seconds=10))
    after = rows.database(commits=1_000_000 + commits, active_time_s=50_002.0)
    counsel = advised(rows.snapshot(earlier=before, databases=(after,), session_tally=looked(busy=4)))
    assert ("transaction" in {one.name for one in counsel.inputs}) == shown


def test_instances_times_pool_size_is_held_against_the_server() -> None:
    seen = rows.snapshot(session_tally=looked(busy=4))
    counsel = advised(seen, instances=10, client_pool_size=20)
    (one,) = [one for one in counsel.proposals if one.area == "The application's own pools"]
    assert "10 instances × 20 = 200 connections" in one.reason
    assert one.proposed.startswith("8 each directly")
    fits = advised(seen, instances=4, client_pool_size=20)
    assert not [one for one in fits.proposals if one.area == "The application's own pools"]
    assert "they fit even without a pooler" in fits.kept[-1].reason


def test_temporary_tables_and_missing_time_limits_are_named() -> None:
    seen = rows.snapshot(
        session_tally=looked(busy=4),
        temp_tables=(TempTables(tables=3, schemas=2),),
        roles=(rows.role("app", granted_tables=1),),
    )
    counsel = advised(seen)
    assert "ON COMMIT DROP" in counsel.notes[-1]
    (limit,) = [one for one in counsel.proposals if one.area == "Time limits"]
    assert limit.step is not None
    assert "lost behind a transaction pooler" in limit.reason


@pytest.mark.parametrize("text", ["16", "GB", "16 apples", "1kB", "-4GB"])
def test_a_size_that_is_none_is_refused(text: str) -> None:
    with pytest.raises(UsageError, match="no size of memory"):
        size_bytes(text)


def test_a_version_that_is_none_is_refused() -> None:
    with pytest.raises(UsageError, match="no version of PgBouncer"):
        version_numbers("latest")
