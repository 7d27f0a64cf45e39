"""Settings: the prior, and what corrects it; on rows of a server, so that each figure can be chosen."""

from __future__ import annotations

import dataclasses
import json
from datetime import timedelta
from typing import Any

import pytest
from tests.fix import counsel_rows as rows
from tests.fix.counsel_rows import GB
from tests.fix.statement_rows import AT, statement
from tests.fix.table_rows import index, relation

from pgrunbook.journey.advise.asking import Inquiry, counsel_of
from pgrunbook.journey.advise.given import Given, HostFacts, Storage, Workload
from pgrunbook.journey.observe.parallel_work import JitWork, ParallelWork
from pgrunbook.journey.observe.plans import StatementPlan
from pgrunbook.journey.observe.session_tally import SessionTally
from pgrunbook.journey.observe.settings import RoleSetting
from pgrunbook.journey.observe.vacuum_progress import VacuumProgress
from pgrunbook.journey.observe.write_work import BufferWrites, WalWork
from pgrunbook.journey.steps import load
from pgrunbook.model import ServerRole, Service, Snapshot, Unread
from pgrunbook.model.counsel import Counsel, Ground, Proposal, Takes

MB = 1024**2
HOUR_S = 3600.0


def advised(snapshot: Snapshot, **given: Any) -> Counsel:
    return counsel_of(Inquiry(topic="settings", given=Given(**given)), snapshot)


def proposals(snapshot: Snapshot, **given: Any) -> dict[str, Proposal]:
    return {one.title.split()[1]: one for one in advised(snapshot, **given).proposals}


def kept(counsel: Counsel) -> dict[str, str]:
    return {one.object: one.reason for one in counsel.kept}


def large(**changes: Any) -> tuple[Any, ...]:
    """A table of 40 GB."""
    return (relation(1, "public", "orders", size_bytes=40 * GB, pages=5_242_880, **changes),)


BUSY = rows.database(blocks_read=40_000_000, blocks_hit=60_000_000)
HEALTHY = rows.snapshot(changed={"random_page_cost": "1.1"})


def test_nothing_is_proposed_where_the_evidence_says_that_all_is_well() -> None:
    counsel = advised(HEALTHY)
    assert counsel.proposals == ()
    assert {"shared_buffers", "work_mem", "max_wal_size", "random_page_cost", "jit"} <= kept(counsel).keys()


def test_every_figure_that_it_was_reckoned_with_names_its_source() -> None:
    inputs = {one.name: (one.value, one.source) for one in advised(HEALTHY, cores=8).inputs}
    assert inputs["memory"] == ("16.0 GB", "the server's kernel")
    assert inputs["cores"] == ("8", "--cores")
    assert inputs["storage"] == ("unknown", "no SQL tells; give --storage ssd|hdd|network")
    assert inputs["role"][0] == "mixed"
    assert "assumed" in inputs["role"][1]


def test_the_size_of_the_machine_is_never_invented() -> None:
    unread = Unread(reason="not allowed")
    unknown = rows.snapshot(databases=(BUSY,), relations=large(), machine=unread, processors=unread)
    counsel = advised(unknown)
    assert not {"shared_buffers", "effective_cache_size"} & {one.object for one in counsel.proposals}
    assert [blind.cure for blind in counsel.blind if "--memory" in blind.cure]
    assert [blind.cure for blind in counsel.blind if "--cores" in blind.cure]
    here = Given(host=HostFacts(where="this machine", memory_bytes=8 * GB, cores=2))
    beside = counsel_of(Inquiry(topic="settings", given=here), unknown)
    assert [one.source for one in beside.inputs[:2]] == ["this machine", "this machine"]
    assert "shared_buffers" in {one.object for one in beside.proposals}


@pytest.mark.parametrize(
    "service, changed, memory",
    [
        (Service.SUPABASE, {"max_connections": "160"}, "8.0 GB"),
        (Service.SUPABASE, {"max_connections": "60"}, "unknown"),
        (Service.RDS, {"shared_buffers": "1048576", "effective_cache_size": "2097152"}, "32.0 GB"),
        (Service.RDS, {"shared_buffers": "1048576", "effective_cache_size": "524288"}, "unknown"),
    ],
)
def test_a_managed_servers_size_is_known_where_its_own_settings_tell(
    service: Service, changed: dict[str, str], memory: str
) -> None:
    unread = Unread(reason="not allowed")
    server = dataclasses.replace(rows.SERVER, service=service, is_superuser=False)
    counsel = advised(rows.snapshot(server=server, changed=changed, machine=unread, processors=unread))
    assert counsel.inputs[0].value == memory


@pytest.mark.parametrize(
    "statements, role",
    [
        ([statement(1, calls=100_000, mean_ms=2.0)], Workload.WEB),
        ([statement(1, calls=10_000, mean_ms=2.0), statement(2, calls=100, mean_ms=60_000.0)], Workload.WAREHOUSE),
        ([statement(1, calls=10_000, mean_ms=2.0), statement(2, calls=100, mean_ms=600.0)], Workload.MIXED),
    ],
)
def test_the_role_of_a_database_is_told_by_where_its_time_goes(statements: Any, role: Workload) -> None:
    assert advised(rows.snapshot(*statements)).inputs[3].value == role


def test_cache_misses_on_a_large_database_give_a_quarter_of_the_memory() -> None:
    found = proposals(rows.snapshot(databases=(BUSY,), relations=large()))["shared_buffers"]
    assert (found.current, found.proposed, found.takes) == ("128 MB", "4GB", Takes.RESTART)
    assert found.ground is Ground.EVIDENCE
    assert "60 %" in found.reason
    assert found.evidence["hit_ratio"] == 0.6
    assert found.advice[0].sql.startswith("ALTER SYSTEM SET shared_buffers = '4GB';")
    assert found.advice[0].undo_sql == "ALTER SYSTEM RESET shared_buffers;\n-- then restart the server"


def test_good_hits_keep_small_buffers_whatever_the_prior_says() -> None:
    assert "shared_buffers" in kept(advised(rows.snapshot(relations=large())))


def test_buffers_that_leave_too_little_are_cut() -> None:
    found = proposals(rows.snapshot(changed={"shared_buffers": str(10 * GB // 8192)}))["shared_buffers"]
    assert found.proposed == "4GB"


def spilling(number: int, role: str, *, mb_a_call: int, calls: int = 100) -> Any:
    return statement(number, role=role, calls=calls, temp_written_blocks=mb_a_call * calls * MB // 8192)


def test_a_role_that_spills_is_given_what_its_largest_sort_needs() -> None:
    found = proposals(rows.snapshot(spilling(1, "report", mb_a_call=20), spilling(2, "report", mb_a_call=5)))
    one = found["work_mem"]
    assert (one.proposed, one.takes, one.object) == ("64MB", Takes.NEW_SESSIONS, "report")
    assert one.advice[0].sql == "ALTER ROLE report SET work_mem TO '64MB';"
    assert one.advice[0].undo_sql == "ALTER ROLE report RESET work_mem;"
    assert "2.4 GB" in one.reason
    step = one.step
    assert step is not None
    assert load(step).statements() == ("ALTER ROLE report SET work_mem TO '64MB'",)


def test_never_more_than_fits_beside_those_who_are_at_work() -> None:
    """16 GB less 128 MB for 3 x 100 sessions: 54 MB each, so that only the smaller sorts are helped."""
    crowd = tuple(rows.tally(n, active=100, sessions=100, idle=0) for n in range(3))
    found = proposals(
        rows.snapshot(spilling(1, "report", mb_a_call=20), spilling(2, "report", mb_a_call=5), session_tally=crowd)
    )["work_mem"]
    assert found.proposed == "16MB"
    assert found.evidence["ceiling_bytes"] == round((16 * GB - 128 * MB) / 300)


def test_many_roles_that_spill_are_the_servers_matter() -> None:
    found = proposals(rows.snapshot(*(spilling(n, f"role{n}", mb_a_call=5) for n in range(4))))["work_mem"]
    assert found.object == "work_mem"
    assert found.advice[0].sql.startswith("ALTER SYSTEM SET work_mem = '16MB';")


def test_a_sort_that_no_memory_holds_is_said_and_nothing_is_set() -> None:
    counsel = advised(rows.snapshot(spilling(1, "report", mb_a_call=5000, calls=10)))
    assert not [one for one in counsel.proposals if "work_mem" in one.title]
    assert "sort less" in kept(counsel)["work_mem"]


def test_work_mem_with_which_those_at_work_would_not_fit_is_cut() -> None:
    crowd = (rows.tally(0, active=40, sessions=40, idle=0),)
    found = proposals(rows.snapshot(changed={"work_mem": str(GB // 1024)}, session_tally=crowd))["work_mem"]
    assert found.evidence["worst_bytes"] == 40 * GB + 128 * MB
    assert found.proposed == "135MB"


FORCED = rows.checkpoints(timed=100, requested=400, wal_bytes=3 * 86400 * 4 * MB)


def test_checkpoints_that_come_early_ask_for_more_wal() -> None:
    """4 MB/s for 5 minutes, and 90 % of the next, and a quarter more: 2.8 GB."""
    found = proposals(rows.snapshot(checkpoints=(FORCED,)))["max_wal_size"]
    assert (found.proposed, found.takes) == ("3GB", Takes.RELOAD)
    assert found.evidence["forced"] == 400
    assert "pg_wal may grow" in found.advice[0].risk
    assert found.advice[0].sql == "ALTER SYSTEM SET max_wal_size = '3GB';\nSELECT pg_reload_conf();"


def test_requested_checkpoints_that_no_wal_explains_are_nobodys_fault() -> None:
    idle = rows.checkpoints(timed=100, requested=400, wal_bytes=GB)
    assert "max_wal_size" in kept(advised(rows.snapshot(checkpoints=(idle,))))


def test_a_disk_without_room_gets_no_more_wal() -> None:
    inquiry = Inquiry(topic="settings", expectations={"wal_disk_free_bytes": 2 * GB})
    assert "its disk has only" in kept(counsel_of(inquiry, rows.snapshot(checkpoints=(FORCED,))))["max_wal_size"]


@pytest.mark.parametrize(
    "changed, words",
    [
        ({"checkpoints": (rows.checkpoints(counters_age_s=600.0, wal_counters_age_s=600.0),)}, "too little"),
        ({"recovery": (rows.recovery(is_standby=True),)}, "standby"),
    ],
)
def test_young_counters_and_standbys_judge_no_wal(changed: Any, words: str) -> None:
    counsel = advised(rows.snapshot(**changed))
    assert "max_wal_size" not in {one.object for one in counsel.proposals}
    assert [blind for blind in counsel.blind if words in blind.reason]


def images(share: float) -> tuple[WalWork, ...]:
    wal = 3 * 86400 * 2 * MB
    return (
        WalWork(
            records=1, page_images=int(share * wal / 8192), wal_bytes=wal, buffers_full=0, counters_age_s=rows.DAYS_S
        ),
    )


def test_whole_page_images_ask_for_longer_intervals_and_compression() -> None:
    calm = rows.checkpoints(wal_bytes=3 * 86400 * 2 * MB)
    found = proposals(rows.snapshot(checkpoints=(calm,), wal_work=images(0.7)))
    assert {"checkpoint_timeout", "wal_compression", "max_wal_size"} <= found.keys()
    assert found["checkpoint_timeout"].proposed == "15min"
    assert found["max_wal_size"].proposed == "5GB"  # 2 MB/s for 15 minutes
    few = proposals(rows.snapshot(checkpoints=(calm,), wal_work=images(0.05)))
    assert not {"checkpoint_timeout", "wal_compression"} & few.keys()


def test_wal_buffers_found_full_again_and_again_are_enlarged() -> None:
    full = WalWork(records=1, page_images=0, wal_bytes=GB, buffers_full=600_000, counters_age_s=rows.DAYS_S)
    assert proposals(rows.snapshot(wal_work=(full,)))["wal_buffers"].proposed == "64MB"


def test_sessions_that_write_pages_out_want_a_busier_background_writer() -> None:
    pages = BufferWrites(
        checkpoint_pages=100_000,
        background_pages=100_000,
        session_pages=200_000,
        background_stops=60_000,
        counters_age_s=rows.DAYS_S,
    )
    assert proposals(rows.snapshot(buffer_writes=(pages,)))["bgwriter_lru_maxpages"].proposed == "400"


def test_parallel_workers_that_were_missing_are_allowed_up_to_the_cores() -> None:
    missed = (ParallelWork(workers_wanted=1000, workers_launched=400, counters_age_s=rows.DAYS_S),)
    found = proposals(rows.snapshot(parallel_work=missed), cores=16)
    assert found["max_parallel_workers"].proposed == "16"
    assert found["max_worker_processes"].proposed == "20"
    assert "600 of 1,000 workers" in found["max_parallel_workers"].reason
    assert "max_parallel_workers" not in proposals(rows.snapshot(parallel_work=missed), cores=8)


def test_a_warehouse_may_use_half_its_cores_for_one_query() -> None:
    found = proposals(rows.snapshot(), cores=16, workload=Workload.WAREHOUSE)
    assert found["max_parallel_workers_per_gather"].proposed == "8"


def overdue(tables: int) -> dict[str, Any]:
    return {
        "relations": tuple(relation(n, "public", f"t{n}") for n in range(1, tables + 1)),
        "table_activity": tuple(rows.activity(n, dead_rows=90_000) for n in range(1, tables + 1)),
    }


def test_tables_past_their_triggers_want_a_faster_autovacuum() -> None:
    late = rows.snapshot(**overdue(2))
    assert proposals(late, storage=Storage.SSD)["autovacuum_vacuum_cost_limit"].proposed == "1000"
    assert proposals(late, storage=Storage.HDD)["autovacuum_vacuum_cost_limit"].proposed == "400"
    throttled = rows.snapshot(changed={"autovacuum_vacuum_cost_delay": "20"}, **overdue(2))
    assert proposals(throttled)["autovacuum_vacuum_cost_delay"].proposed == "2ms"


def test_busy_workers_beside_waiting_tables_want_company() -> None:
    workers = tuple(rows.backend(n, backend_type="autovacuum worker") for n in range(3))
    found = proposals(rows.snapshot(sessions=workers, **overdue(4)))["autovacuum_max_workers"]
    assert (found.proposed, found.takes) == ("6", Takes.RELOAD)


def test_autovacuum_is_switched_on() -> None:
    assert proposals(rows.snapshot(changed={"autovacuum": "off"}))["autovacuum"].proposed == "on"


def test_the_cost_of_scattered_reads_follows_storage_or_evidence() -> None:
    cold = {"databases": (BUSY,)}
    assert proposals(rows.snapshot(**cold), storage=Storage.SSD)["random_page_cost"].proposed == "1.1"
    assert "random_page_cost" not in proposals(rows.snapshot(**cold), storage=Storage.HDD)
    flash = {"changed": {"random_page_cost": "1.1"}}
    assert proposals(rows.snapshot(**cold, **flash), storage=Storage.HDD)["random_page_cost"].proposed == "4"
    asked = [blind.cure for blind in advised(rows.snapshot(**cold)).blind if blind.object == "random_page_cost"]
    assert "--storage" in asked[0]


@pytest.mark.parametrize("read_ms, proposed", [(0.1, "1.1"), (6.0, None)])
def test_timed_reads_tell_the_storage(read_ms: float, proposed: str | None) -> None:
    reads = statement(1, calls=10_000, shared_read_blocks=100_000, shared_block_read_ms=100_000 * read_ms)
    found = proposals(rows.snapshot(reads, databases=(BUSY,))).get("random_page_cost")
    assert (found.proposed if found else None) == proposed
    if found is not None:
        assert found.ground is Ground.EVIDENCE


def test_data_from_the_cache_makes_scattered_reads_cheap() -> None:
    found = proposals(rows.snapshot())["random_page_cost"]
    assert (found.proposed, found.ground) == ("1.1", Ground.EVIDENCE)


def test_read_ahead_is_raised_where_it_is_one_and_the_storage_is_quick() -> None:
    old = dataclasses.replace(rows.SERVER, major=16, version="16.4")
    cold = rows.snapshot(server=old, databases=(BUSY,), changed={"effective_io_concurrency": "1"})
    assert proposals(cold, storage=Storage.NETWORK)["effective_io_concurrency"].proposed == "200"
    assert "effective_io_concurrency" not in proposals(cold)


def test_compiling_that_costs_a_tenth_is_switched_off() -> None:
    dear = (JitWork(statements=5, functions=1000, compile_ms=200_000.0, exec_ms=1_000_000.0),)
    found = proposals(rows.snapshot(jit_work=dear))["jit"]
    assert found.proposed == "off"
    assert "20 %" in found.reason


def test_a_vacuum_of_many_passes_wants_memory() -> None:
    passes = VacuumProgress(
        pid=1,
        database="shop",
        table_oid=1,
        phase="vacuuming indexes",
        heap_pages=10,
        heap_pages_scanned=5,
        index_passes=2,
    )
    found = proposals(rows.snapshot(vacuum_progress=(passes,)))["maintenance_work_mem"]
    assert (found.proposed, found.ground) == ("1GB", Ground.EVIDENCE)
    big_index = index(9, 1, "i", "a", size_bytes=5 * GB)
    assert proposals(rows.snapshot(indexes=(big_index,)))["maintenance_work_mem"].ground is Ground.RULE


def test_managed_services_are_told_their_own_command_and_sessions_settings_go_to_the_database() -> None:
    server = dataclasses.replace(rows.SERVER, service=Service.RDS, is_superuser=False, user="app")
    found = proposals(
        rows.snapshot(server=server, databases=(BUSY,), relations=large(), checkpoints=(FORCED,)),
        storage=Storage.SSD,
    )
    buffers = found["shared_buffers"].advice[0]
    assert "ParameterName=shared_buffers,ParameterValue=524288,ApplyMethod=pending-reboot" in buffers.sql
    assert "ParameterValue=16384" in (buffers.undo_sql or "")
    assert all(line.startswith("--") for line in buffers.sql.splitlines())
    costs = found["random_page_cost"].advice[0]
    assert costs.sql == "ALTER DATABASE shop SET random_page_cost TO '1.1';"
    assert costs.risk.startswith("Needs the owner of the database.")


def test_a_role_that_may_not_is_told_who_may_and_overrides_are_named() -> None:
    server = dataclasses.replace(rows.SERVER, is_superuser=False)
    own = RoleSetting(role="report", database=None, name="max_parallel_workers", value="0")
    missed = (ParallelWork(workers_wanted=1000, workers_launched=400, counters_age_s=rows.DAYS_S),)
    plain = proposals(rows.snapshot(server=server, checkpoints=(FORCED,)))
    assert plain["max_wal_size"].advice[0].risk.startswith("Needs a superuser.")
    found = proposals(rows.snapshot(parallel_work=missed, role_settings=(own,)), cores=16)
    assert "It stays as it is for role report." in found["max_parallel_workers"].advice[0].risk


def test_a_window_counts_what_happened_in_it_and_a_reset_counts_nothing() -> None:
    before = rows.snapshot(at=AT - timedelta(hours=2))
    moved = rows.database(blocks_read=4_010_000, blocks_hit=106_000_000)
    watched = rows.snapshot(earlier=before, databases=(moved,), relations=large())
    found = proposals(watched)["shared_buffers"]
    assert "in the 2 h watched" in found.reason
    assert found.evidence["hit_ratio"] == 0.6
    reset = rows.snapshot(earlier=before, databases=(rows.database(blocks_read=0, blocks_hit=5),), relations=large())
    assert "Too few blocks" in proposals(reset)["shared_buffers"].reason


def test_connections_that_nobody_comes_near_are_fewer_and_a_full_house_wants_a_pooler() -> None:
    few = tuple(rows.tally(n, sessions=30, active=5) for n in range(20))
    wide = {"changed": {"max_connections": "1000"}}
    assert proposals(rows.snapshot(session_tally=few, **wide))["max_connections"].proposed == "100"
    assert "max_connections" not in proposals(rows.snapshot(session_tally=few[:5], **wide))
    full = rows.snapshot(session_tally=(rows.tally(0, sessions=90),))
    assert "a pooler helps" in kept(advised(full))["max_connections"]


def planned(role: str, pages: int, *, trouble: str = "") -> StatementPlan:
    """A bitmap that names so many pages of a table of 40 GB, or a statement that could not be planned."""
    rows_named = 2.0 * TABLE_PAGES * pages / (2.0 * TABLE_PAGES - pages)
    index_scan = {"Node Type": "Bitmap Index Scan", "Plan Rows": rows_named, "Index Name": "i", **COSTS_OF_NODE}
    scan = {
        "Node Type": "Bitmap Heap Scan",
        "Plan Rows": rows_named,
        "Schema": "public",
        "Relation Name": "orders",
        "Alias": "orders",
        "Plans": [{**index_scan, "Parent Relationship": "Outer"}],
        **COSTS_OF_NODE,
    }
    return StatementPlan(
        queryid=1,
        role=role,
        query="select 1",
        parameters=1,
        calls=10,
        mean_ms=50.0,
        rows_per_call=1.0,
        blocks_per_call=1.0,
        planned_as=role,
        is_prepared=False,
        plan="" if trouble else json.dumps({"Plan": scan}),
        trouble=trouble,
    )


TABLE_PAGES = 5_242_880
COSTS_OF_NODE = {"Startup Cost": 0.0, "Total Cost": 1.0, "Plan Width": 8}


def with_plans(*plans: StatementPlan, statements: tuple[Any, ...] = ()) -> Snapshot:
    return rows.snapshot(*statements, plans=plans, relations=large())


def test_bitmaps_beyond_work_mem_are_given_to_their_role_once() -> None:
    """4 MB hold 65,536 pages of 64 bytes each."""
    assert "work_mem" not in proposals(with_plans(planned("app", 65_530)))
    found = proposals(with_plans(planned("app", 200_000), planned("app", 70_000)))["work_mem"]
    assert (found.object, found.proposed) == ("app", "16MB")
    assert found.evidence["pages"] == 200_000
    both = with_plans(planned("app", 200_000), statements=(spilling(1, "app", mb_a_call=20),))
    assert [one.proposed for one in advised(both).proposals if "work_mem" in one.title] == ["64MB"]


def test_statements_that_could_not_be_planned_are_counted() -> None:
    broken = with_plans(planned("app", 10, trouble="no such table"), planned("app", 10))
    assert "1 statement of 2 could not be planned" in advised(broken).blind[-1].reason
    assert not advised(broken).notes
    assert "--plans" in advised(rows.snapshot()).notes[0]


def test_on_a_standby_it_is_said_where_to_run_what() -> None:
    standby = dataclasses.replace(rows.SERVER, role=ServerRole.STANDBY)
    counsel = advised(rows.snapshot(server=standby, recovery=(rows.recovery(is_standby=True),)))
    assert "random_page_cost" in {one.object for one in counsel.proposals}
    assert "runs on its primary" in counsel.notes[-1]


def test_databases_whose_counters_began_apart_are_brought_together() -> None:
    """An hour of the one and three days of the other: what both did in an hour."""
    young = rows.database(name="new", is_current=False, counters_age_s=HOUR_S, active_time_s=HOUR_S)
    old = rows.database(active_time_s=3 * rows.DAYS_S)
    at_work = rows.snapshot(databases=(old, young), session_tally=(rows.tally(0, active=0),))
    assert "4 at work" in kept(advised(at_work))["max_connections"]


def test_samples_of_a_look_are_told_apart() -> None:
    tallies: tuple[SessionTally, ...] = (rows.tally(0, active=3), rows.tally(1, active=7), rows.tally(1, "b", active=2))
    crowd = rows.snapshot(session_tally=tallies, changed={"work_mem": str(2 * GB // 1024)})
    assert proposals(crowd)["work_mem"].evidence["worst_bytes"] == 9 * 2 * GB + 128 * MB
