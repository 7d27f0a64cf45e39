"""The vacuum family's judges on crafted rows: what cannot be provoked on a server within a test."""

from __future__ import annotations

from dataclasses import replace
from datetime import UTC, datetime, timedelta
from typing import Any

import pytest

from pgrunbook.journey.diagnose.autovacuum import upkeep
from pgrunbook.journey.diagnose.check import all_checks
from pgrunbook.journey.diagnose.engine import judge
from pgrunbook.journey.diagnose.seen import Seen
from pgrunbook.journey.observe.counters import COUNTERS, Counters
from pgrunbook.journey.observe.databases import DATABASES, Database
from pgrunbook.journey.observe.prepared_transactions import PREPARED_TRANSACTIONS
from pgrunbook.journey.observe.relations import RELATIONS, Relation
from pgrunbook.journey.observe.replication_slots import REPLICATION_SLOTS, ReplicationSlot
from pgrunbook.journey.observe.sessions import SESSIONS, Backend
from pgrunbook.journey.observe.settings import SETTINGS, Setting
from pgrunbook.journey.observe.table_activity import TABLE_ACTIVITY, TableActivity
from pgrunbook.journey.observe.vacuum_progress import VACUUM_PROGRESS
from pgrunbook.model import Question, Reading, Server, ServerRole, Service, Severity, Snapshot
from pgrunbook.model.diagnosis import Diagnosis
from pgrunbook.pg.parse import Parser

NOW = datetime(2026, 11, 1, 12, tzinfo=UTC)
SERVER = Server(
    database="shop",
    version="18.6",
    major=18,
    version_num=180006,
    role=ServerRole.PRIMARY,
    service=Service.PLAIN,
    user="postgres",
    is_superuser=True,
)
DEFAULTS = {
    "autovacuum": "on",
    "track_counts": "on",
    "autovacuum_naptime": "60",
    "autovacuum_max_workers": "3",
    "autovacuum_vacuum_threshold": "50",
    "autovacuum_vacuum_scale_factor": "0.2",
    "autovacuum_vacuum_max_threshold": "100000000",
    "autovacuum_vacuum_insert_threshold": "1000",
    "autovacuum_vacuum_insert_scale_factor": "0.2",
    "autovacuum_analyze_threshold": "50",
    "autovacuum_analyze_scale_factor": "0.1",
    "autovacuum_freeze_max_age": "200000000",
    "autovacuum_multixact_freeze_max_age": "400000000",
    "autovacuum_vacuum_cost_delay": "2",
    "autovacuum_vacuum_cost_limit": "-1",
    "vacuum_cost_delay": "0",
    "vacuum_cost_limit": "200",
    "vacuum_cost_page_dirty": "20",
}
UNITS = {"autovacuum_naptime": "s", "autovacuum_vacuum_cost_delay": "ms", "vacuum_cost_delay": "ms"}


def settings(**changed: str) -> tuple[Setting, ...]:
    return tuple(
        Setting(
            name=name,
            value=value,
            unit=UNITS.get(name),
            type="string",
            context="sighup",
            source="default",
            source_file=None,
            boot_value=value,
            reset_value=value,
            pending_restart=False,
        )
        for name, value in {**DEFAULTS, **changed}.items()
    )


def relation(name: str = "t", oid: int = 1, **changed: Any) -> Relation:
    return Relation(
        **{
            "oid": oid,
            "schema": "public",
            "name": name,
            "kind": "r",
            "persistence": "p",
            "is_partition": False,
            "parent_oid": None,
            "pages": 10_000,
            "estimated_rows": 1_000_000.0,
            "all_visible_pages": 0,
            "size_bytes": 81_920_000,
            "toast_pages": None,
            "toast_oid": 0,
            "options": (),
            "toast_options": (),
            "row_security": False,
            "force_row_security": False,
            "replica_identity": "d",
            "owner": "postgres",
            "readable": True,
            "of_extension": False,
            "frozen_xid_age": 1000,
            "min_mxid_age": 0,
            **changed,
        }
    )


def activity(oid: int = 1, **changed: Any) -> TableActivity:
    times = dict.fromkeys(("last_vacuum_at", "last_autovacuum_at", "last_analyze_at", "last_autoanalyze_at"))
    counts = {field: 0 for field in TableActivity.__dataclass_fields__ if field not in times and field != "oid"}
    return TableActivity(**{"oid": oid, **counts, **times, "live_rows": 1_000_000, **changed})


def database(name: str = "shop", **changed: Any) -> Database:
    fields = Database.__dataclass_fields__
    counts = {field: 0 for field, it in fields.items() if it.type in {"int", "float"}}
    nothing = {field: None for field, it in fields.items() if "None" in str(it.type)}
    return Database(
        **{
            **counts,
            **nothing,
            "name": name,
            "is_current": name == "shop",
            "is_template": False,
            "allows_connections": True,
            "connection_limit": -1,
            **changed,
        }
    )


def backend(pid: int, **changed: Any) -> Backend:
    nothing = dict.fromkeys(Backend.__dataclass_fields__)
    return Backend(**{**nothing, "pid": pid, "is_self": False, "backend_type": "client backend", **changed})


def snapshot(*readings: tuple[Question[Any], tuple[Any, ...]], server: Server = SERVER) -> Snapshot:
    return Snapshot(
        server=server,
        taken_at=NOW,
        duration_s=0.1,
        readings={question.name: Reading(rows=rows, taken_at=NOW) for question, rows in readings},
    )


def tables(*pairs: tuple[Relation, TableActivity], **changed: str) -> Snapshot:
    counters = Counters(
        reset_at=None,
        kept_since_at=NOW - timedelta(days=90),
        now_at=NOW,
        walsenders=0,
        physical_slots=0,
        is_counting=True,
    )
    return snapshot(
        (RELATIONS, tuple(pair[0] for pair in pairs)),
        (TABLE_ACTIVITY, tuple(pair[1] for pair in pairs)),
        (SETTINGS, settings(**changed)),
        (COUNTERS, (counters,)),
        (SESSIONS, ()),
        (REPLICATION_SLOTS, ()),
        (PREPARED_TRANSACTIONS, ()),
        (VACUUM_PROGRESS, ()),
    )


def said(seen: Snapshot, check: str, **limits: Any) -> Diagnosis:
    return judge(seen, [all_checks()[check]], limits={check: limits})


def found(seen: Snapshot, check: str, **limits: Any) -> list[tuple[str, Severity]]:
    return [(finding.object, finding.severity) for finding in said(seen, check, **limits).findings]


WARNED = [("public.t", Severity.WARNING)]


# --- triggers --------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    "options, changed, vacuum, analyze",
    [
        ((), {}, 200_050, 100_050),
        (("autovacuum_vacuum_scale_factor=0.01", "autovacuum_vacuum_threshold=7"), {}, 10_007, 100_050),
        (("autovacuum_analyze_scale_factor=0",), {}, 200_050, 50),
        ((), {"autovacuum_vacuum_max_threshold": "5000"}, 5000, 100_050),
        (("autovacuum_vacuum_max_threshold=-1",), {"autovacuum_vacuum_max_threshold": "5000"}, 200_050, 100_050),
    ],
)
def test_triggers_are_those_of_the_server(
    options: tuple[str, ...], changed: dict[str, str], vacuum: float, analyze: float
) -> None:
    with Parser() as parser:
        (table,) = upkeep(Seen(snapshot=tables((relation(options=options), activity()), **changed), parser=parser))
    assert (table.vacuum_trigger_rows, table.analyze_trigger_rows) == (pytest.approx(vacuum), pytest.approx(analyze))


def test_a_table_that_was_never_counted_has_the_bare_threshold() -> None:
    with Parser() as parser:
        (table,) = upkeep(Seen(snapshot=tables((relation(estimated_rows=-1.0), activity())), parser=parser))
    assert table.vacuum_trigger_rows == 50


# --- dead rows, stale statistics -------------------------------------------------------------------------------------


def test_dead_rows_within_the_swing_of_autovacuum_are_healthy() -> None:
    assert found(tables((relation(), activity(dead_rows=230_000))), "dead_rows") == []
    assert found(tables((relation(), activity(dead_rows=250_000))), "dead_rows") == WARNED


def test_a_table_at_which_autovacuum_works_gets_its_turn() -> None:
    tended = activity(dead_rows=400_000, last_autovacuum_at=NOW - timedelta(seconds=70))
    assert found(tables((relation(), tended)), "dead_rows") == []
    off = relation(options=("autovacuum_enabled=off",))
    assert found(tables((off, tended)), "dead_rows") == WARNED
    late = replace(tended, last_autovacuum_at=NOW - timedelta(seconds=130))
    assert found(tables((relation(), late)), "dead_rows") == WARNED


def test_a_snapshot_in_the_way_excuses_nobody() -> None:
    tended = activity(dead_rows=400_000, last_autovacuum_at=NOW - timedelta(seconds=70))
    holder = backend(77, database="shop", state="active", xmin_age=90_000, transaction_age_s=900.0)
    seen = tables((relation(), tended))
    held = replace(seen, readings={**seen.readings, "sessions": Reading(rows=(holder,), taken_at=NOW)})
    (finding,) = said(held, "dead_rows").findings
    assert finding.evidence["held_by"] == "backend 77"
    elsewhere = replace(holder, database="other")
    away = replace(seen, readings={**seen.readings, "sessions": Reading(rows=(elsewhere,), taken_at=NOW)})
    assert found(away, "dead_rows") == []


def test_a_far_trigger_counts_whatever_the_share() -> None:
    tight = relation(options=("autovacuum_vacuum_scale_factor=0.01",))
    assert found(tables((tight, activity(dead_rows=40_000))), "dead_rows") == []
    assert found(tables((tight, activity(dead_rows=60_000))), "dead_rows") == WARNED


def test_statistics_go_stale_by_share_not_by_number() -> None:
    assert found(tables((relation(), activity(modified_rows=190_000))), "stale_statistics") == []
    assert found(tables((relation(), activity(modified_rows=210_000))), "stale_statistics") == WARNED
    fresh = activity(modified_rows=210_000, last_autoanalyze_at=NOW - timedelta(seconds=70))
    assert found(tables((relation(), fresh)), "stale_statistics") == []


def test_a_small_table_that_is_written_often_is_planned_well_enough() -> None:
    counter = relation(estimated_rows=3.0, pages=1)
    assert found(tables((counter, activity(live_rows=3, modified_rows=5000))), "stale_statistics") == []
    assert found(tables((counter, activity(live_rows=4000, modified_rows=5000))), "stale_statistics") == WARNED


def test_a_late_count_of_rows_that_analyze_saw_is_no_change() -> None:
    analyzed = {"last_analyze_at": NOW - timedelta(seconds=3), "rows_inserted": 1_000_000}
    late = activity(modified_rows=400_000, **analyzed)  # the last rows of the load, counted after ANALYZE
    assert found(tables((relation(), late)), "stale_statistics") == []
    doubled = activity(modified_rows=1_000_000, **{**analyzed, "rows_inserted": 2_000_000})
    assert found(tables((relation(), doubled)), "stale_statistics") == WARNED
    updated = activity(modified_rows=400_000, rows_updated=400_000, **analyzed)
    assert found(tables((relation(), updated)), "stale_statistics") == WARNED


# --- wraparound ------------------------------------------------------------------------------------------------------


def aged(check: str, database_age: int, table_age: int, catalog_age: int = 0) -> list[tuple[str, Severity]]:
    field = "frozen_xid_age" if check.startswith("transaction") else "min_mxid_age"
    catalogs = "catalog_xid_age" if check.startswith("transaction") else "catalog_mxid_age"
    seen = snapshot(
        (DATABASES, (database(**{field: database_age, catalogs: catalog_age}),)),
        (RELATIONS, (relation(**{field: table_age}), relation("young", oid=2))),
        (SETTINGS, settings()),
    )
    return found(seen, check)


@pytest.mark.parametrize(
    "check, age, severity",
    [
        ("transaction_id_wraparound", 210_000_000, None),  # autovacuum has just begun by force
        ("transaction_id_wraparound", 410_000_000, Severity.WARNING),
        ("transaction_id_wraparound", 1_100_000_000, Severity.WARNING),
        ("transaction_id_wraparound", 1_650_000_000, Severity.CRITICAL),
        ("multixact_wraparound", 410_000_000, None),
        ("multixact_wraparound", 810_000_000, Severity.WARNING),
        ("multixact_wraparound", 1_650_000_000, Severity.CRITICAL),
    ],
)
def test_age_makes_the_degree(check: str, age: int, severity: Severity | None) -> None:
    assert aged(check, age, age) == ([("public.t", severity)] if severity else [])


def test_old_catalogs_are_the_databases_fault() -> None:
    assert aged("transaction_id_wraparound", 1_100_000_000, 1_100_000_000, 1_100_000_000) == [
        ("shop", Severity.WARNING)
    ]


def test_the_holder_of_an_old_snapshot_is_named_with_the_age() -> None:
    slot = replica_slot("gone", xmin_age=900_000_000)
    seen = snapshot(
        (DATABASES, (database(frozen_xid_age=900_000_000, catalog_xid_age=900_000_000),)),
        (RELATIONS, ()),
        (SETTINGS, settings()),
        (REPLICATION_SLOTS, (slot,)),
    )
    (finding,) = said(seen, "transaction_id_wraparound").findings
    assert finding.evidence["held_by"] == "replication slot gone"


# --- horizon, slots --------------------------------------------------------------------------------------------------


def replica_slot(name: str, **changed: Any) -> ReplicationSlot:
    nothing = dict.fromkeys(ReplicationSlot.__dataclass_fields__)
    return ReplicationSlot(
        **{
            **nothing,
            "name": name,
            "type": "physical",
            "is_temporary": False,
            "is_active": False,
            "is_conflicting": False,
            "is_synced": False,
            "max_slot_wal_keep_size": "-1",
            **changed,
        }
    )


@pytest.mark.parametrize(
    "changed, expected",
    [
        ({"retained_bytes": 5_000_000, "wal_status": "reserved"}, Severity.WARNING),
        ({"retained_bytes": 20 * 1024**3, "wal_status": "extended"}, Severity.CRITICAL),
        ({"retained_bytes": 5_000_000, "wal_status": "unreserved"}, Severity.CRITICAL),
        ({"retained_bytes": 5_000_000, "xmin_age": 150_000_000}, Severity.CRITICAL),
        ({}, Severity.NOTICE),
        ({"retained_bytes": 5_000_000, "is_active": True}, None),
        ({"retained_bytes": 5_000_000, "is_synced": True}, None),
        ({"wal_status": "lost"}, None),
        ({"retained_bytes": 5_000_000, "invalidation_reason": "idle_timeout"}, None),
    ],
)
def test_what_a_slot_holds_makes_the_degree(changed: dict[str, Any], expected: Severity | None) -> None:
    seen = snapshot((REPLICATION_SLOTS, (replica_slot("s", **changed),)))
    assert found(seen, "inactive_replication_slot") == ([("s", expected)] if expected else [])


def test_growth_of_what_a_slot_holds_comes_from_the_window() -> None:
    before = snapshot((REPLICATION_SLOTS, (replica_slot("s", retained_bytes=1_000_000),)))
    earlier = replace(
        before,
        readings={
            "replication_slots": replace(before.readings["replication_slots"], taken_at=NOW - timedelta(seconds=10))
        },
    )
    now = snapshot((REPLICATION_SLOTS, (replica_slot("s", retained_bytes=3_000_000, safe_wal_bytes=2_000_000),)))
    (finding,) = said(replace(now, earlier=earlier), "inactive_replication_slot").findings
    assert (finding.evidence["growth_bytes_per_s"], finding.evidence["time_to_lost_s"]) == (200_000, 10)


@pytest.mark.parametrize(
    "changed, expected",
    [
        ({"transaction_age_s": 600.0, "xmin_age": 50_000}, Severity.WARNING),
        ({"transaction_age_s": 600.0, "xmin_age": 10}, None),  # nothing happened meanwhile
        ({"transaction_age_s": 60.0, "xmin_age": 50_000}, None),
        ({"transaction_age_s": 90_000.0, "xid_age": 50_000}, Severity.CRITICAL),
        ({"transaction_age_s": 600.0, "xmin_age": 150_000_000}, Severity.CRITICAL),
        ({"transaction_age_s": 3600.0, "xmin_age": 50_000, "application": "pg_dump"}, None),
        ({"transaction_age_s": 3600.0, "xmin_age": 50_000, "backend_type": "autovacuum worker"}, None),
        ({"xmin_age": 50_000, "backend_type": "walsender", "database": None}, None),  # feedback that keeps up
        ({"xmin_age": 5_000_000, "backend_type": "walsender", "database": None}, Severity.WARNING),
    ],
)
def test_who_holds_the_horizon_for_long_is_found(changed: dict[str, Any], expected: Severity | None) -> None:
    holder = backend(
        5, **{"database": "shop", "state": "active", "application": "app", "backend_started_at": NOW, **changed}
    )
    assert found(snapshot((SESSIONS, (holder,))), "xmin_horizon_held") == ([("5", expected)] if expected else [])


# --- autovacuum_settings ---------------------------------------------------------------------------------------------


def test_a_hundred_gigabytes_under_the_default_scale_factor() -> None:
    large = relation(
        estimated_rows=500_000_000.0, size_bytes=100 * 1024**3, options=("autovacuum_vacuum_max_threshold=-1",)
    )
    quiet = activity(live_rows=500_000_000)
    assert found(tables((large, quiet)), "autovacuum_settings") == [("public.t", Severity.NOTICE)]
    busy = activity(live_rows=500_000_000, rows_updated=3_000_000_000)
    assert found(tables((large, busy)), "autovacuum_settings") == WARNED


def test_a_standby_is_asked_nothing_of_upkeep() -> None:
    seen = replace(tables((relation(), activity(dead_rows=900_000))), server=replace(SERVER, role=ServerRole.STANDBY))
    for check in ("dead_rows", "stale_statistics", "never_analyzed", "autovacuum_settings", "autovacuum_starved"):
        diagnosis = said(seen, check)
        assert (diagnosis.findings, diagnosis.blind[0].cure) == ((), "Ask the primary.")
