"""The scorecard's judgement: targets, estimates, and "cannot tell" wherever nobody measured."""

from __future__ import annotations

import dataclasses
import random
import statistics
from datetime import timedelta
from typing import Any

import pytest
from tests.fix import diagnoses
from tests.fix.statement_rows import AT, info, snapshot, statement

from pgrunbook.journey.diagnose.health.asking import health_of
from pgrunbook.journey.diagnose.health.quantile import quantile_ms
from pgrunbook.journey.observe.archiver import Archiver
from pgrunbook.journey.observe.databases import Database
from pgrunbook.journey.observe.host import Host
from pgrunbook.journey.observe.processors import Processors
from pgrunbook.journey.observe.replication import Receiver
from pgrunbook.journey.observe.sessions import Backend
from pgrunbook.journey.observe.settings import Setting
from pgrunbook.journey.workload.costs import costs_of
from pgrunbook.model import Basis, Blind, Reading, Snapshot, Unread
from pgrunbook.model.health import Health, Mark, Metric, Practice
from pgrunbook.report.health import formula_words, render_json, render_markdown

BEFORE = AT - timedelta(seconds=10)
HIDDEN = Unread(reason="not allowed", cure="GRANT pg_monitor TO app;")
HOST = Host(
    where="this machine, on which the server runs",
    cpu_ratio=0.35,
    disk_wait_ratio=0.02,
    memory_ratio=0.5,
    memory_bytes=8 << 30,
    cores=4,
    seconds=10.0,
)


def reading(*rows: Any) -> Reading[Any]:
    return Reading(rows=rows, taken_at=AT)


def setting(name: str, value: str) -> Setting:
    return Setting(
        name=name,
        value=value,
        unit=None,
        type="integer",
        context="postmaster",
        source="default",
        source_file=None,
        boot_value=value,
        reset_value=value,
        pending_restart=False,
    )


def backend(pid: int, application: str = "app") -> Backend:
    values: dict[str, Any] = {field.name: None for field in dataclasses.fields(Backend)}
    known = {"pid": pid, "is_self": False, "backend_type": "client backend", "role": "app", "database": "shop"}
    return Backend(**{**values, **known, "application": application, "state": "idle"})


def receiver(**changes: Any) -> Receiver:
    values: dict[str, Any] = {field.name: None for field in dataclasses.fields(Receiver)}
    known = {
        "pid": 7,
        "application_name": "replica-1",
        "is_logical": False,
        "is_replaying": True,
        "state": "streaming",
        "end_position": 1000,
        "replayed_position": 1000,
        "reply_age_s": 1.0,
    }
    return Receiver(**{**values, **known, **changes})


def database(**changes: Any) -> Database:
    values: dict[str, Any] = {field.name: 0 for field in dataclasses.fields(Database)}
    known = {"name": "shop", "is_current": True, "counters_age_s": 3600.0, "reset_at": None}
    return Database(**{**values, **known, **changes})


def archiver(**changes: Any) -> Archiver:
    values: dict[str, Any] = {field.name: None for field in dataclasses.fields(Archiver)}
    known = {"mode": "on", "archived": 9, "failed": 0, "segment_bytes": 1 << 24, "current_wal": "0" * 24}
    return Archiver(**{**values, **known, **changes})


def seen(*, window: bool = True, calls: int = 1000, mean_ms: float = 2.0, **readings: Any) -> Snapshot:
    """A quiet primary with five sessions and no replica; `readings` replace what is named."""
    rows: dict[str, Any] = {
        "settings": reading(setting("max_connections", "103"), setting("superuser_reserved_connections", "3")),
        "sessions": reading(*(backend(pid) for pid in range(5))),
        "databases": reading(database()),
        "replication": reading(),
        "recovery": HIDDEN,
        "wal_receiver": HIDDEN,
        "processors": HIDDEN,
        "machine": HIDDEN,
        "archiver": reading(archiver(mode="off")),
        **readings,
    }
    before = {name: rows.pop(f"{name}_before") for name in ("processors", "databases") if f"{name}_before" in rows}
    old = statement(calls=100, mean_ms=mean_ms)
    earlier = snapshot(old, about=info(), at=BEFORE, **{**rows, **before}) if window else None
    return snapshot(statement(calls=100 + calls, mean_ms=mean_ms), about=info(), earlier=earlier, **rows)


def metric(health: Health, name: str) -> Metric:
    return next(metric for metric in health.metrics if metric.name == name)


def practice(health: Health, number: int) -> Practice:
    return next(practice for practice in health.practices if practice.number == number)


def scorecard(found: Snapshot, **around: Any) -> Health:
    return health_of(found, around.pop("diagnosis", diagnoses.clean()), **around)


def test_every_metric_and_practice_has_its_place() -> None:
    health = scorecard(seen())
    assert [metric.name for metric in health.metrics] == [
        "p95_ms",
        "pool_ratio",
        "cpu_ratio",
        "memory_ratio",
        "disk_wait_ratio",
        "replication_lag_s",
        "cache_hit_ratio",
    ]
    assert [practice.number for practice in health.practices] == list(range(1, 11))


@pytest.mark.parametrize("seed", [1, 2, 3])
def test_the_estimated_p95_is_near_the_true_one_of_skewed_times(seed: int) -> None:
    chance = random.Random(seed)  # noqa: S311 - times to reckon with, no secrets
    groups = [[chance.lognormvariate(mu, 0.7) for _ in range(4000)] for mu in (0.0, 1.0, 3.0)]
    rows = [
        statement(
            number,
            calls=len(times),
            mean_ms=statistics.fmean(times),
            total_exec_ms=sum(times),
            stddev_exec_ms=statistics.pstdev(times),
            min_exec_ms=min(times),
            max_exec_ms=max(times),
        )
        for number, times in enumerate(groups)
    ]
    true_ms = sorted(time for times in groups for time in times)[int(0.95 * 12_000)]
    found_ms = quantile_ms(costs_of(snapshot(*rows, about=info())).toplevel, 0.95)
    assert found_ms == pytest.approx(true_ms, rel=0.1)


def test_p95_is_called_an_estimate_and_names_its_source() -> None:
    found = metric(scorecard(seen(mean_ms=250.0)), "p95_ms")
    assert (found.mark, found.basis) == (Mark.NOT_MET, Basis.ESTIMATED)
    assert "1,000 calls in 10 s" in found.source
    assert metric(scorecard(seen(mean_ms=2.0)), "p95_ms").mark is Mark.MET
    assert "cumulative" in metric(scorecard(seen(window=False)), "p95_ms").source


def test_too_few_calls_make_no_p95() -> None:
    found = metric(scorecard(seen(calls=3)), "p95_ms")
    assert (found.mark, found.value) == (Mark.CANNOT_TELL, None)


def test_without_rights_nothing_is_met_by_default() -> None:
    hidden = dict.fromkeys(("settings", "sessions", "databases", "replication", "archiver", "statements"), HIDDEN)
    health = scorecard(seen(window=False, **hidden), diagnosis=dataclasses.replace(diagnoses.clean(), ok=()))
    assert {metric.mark for metric in health.metrics} == {Mark.CANNOT_TELL}
    assert {practice.mark for practice in health.practices} == {Mark.CANNOT_TELL}
    assert metric(health, "pool_ratio").cure == HIDDEN.cure
    assert health.capacity.queries_per_s is None


def test_the_pool_is_judged_by_what_ordinary_roles_may_take() -> None:
    assert metric(scorecard(seen()), "pool_ratio").value == pytest.approx(0.05)
    full = seen(sessions=reading(*(backend(pid) for pid in range(81))))
    assert metric(scorecard(full), "pool_ratio").mark is Mark.NOT_MET


def test_the_servers_own_kernel_is_asked_before_this_machine() -> None:
    ticks = {"cores": 4, "busy_ticks": 0, "idle_ticks": 0, "waiting_ticks": 0}
    found = seen(
        processors_before=reading(Processors(**ticks)),
        processors=reading(Processors(cores=4, busy_ticks=80, idle_ticks=8, waiting_ticks=12)),
    )
    health = scorecard(found, host=HOST)
    assert (metric(health, "cpu_ratio").value, metric(health, "cpu_ratio").mark) == (0.8, Mark.NOT_MET)
    assert (metric(health, "disk_wait_ratio").value, metric(health, "disk_wait_ratio").mark) == (0.12, Mark.NOT_MET)


def test_this_machine_is_watched_only_when_the_server_runs_on_it() -> None:
    here, elsewhere = scorecard(seen(), host=HOST), scorecard(seen())
    for name, value in (("cpu_ratio", 0.35), ("memory_ratio", 0.5), ("disk_wait_ratio", 0.02)):
        assert (metric(here, name).value, metric(here, name).mark) == (value, Mark.MET)
        assert (metric(elsewhere, name).mark, bool(metric(elsewhere, name).cure)) == (Mark.CANNOT_TELL, True)


def test_an_idle_replica_has_no_lag_and_none_at_all_cannot_be_judged() -> None:
    assert metric(scorecard(seen()), "replication_lag_s").mark is Mark.CANNOT_TELL
    idle = seen(replication=reading(receiver(replay_lag_s=500.0)))  # left from when it last replayed
    assert metric(scorecard(idle), "replication_lag_s").value == 0.0
    late = seen(replication=reading(receiver(), receiver(pid=8, replayed_position=10, replay_lag_s=3.5)))
    assert (metric(scorecard(late), "replication_lag_s").value, metric(scorecard(late), "replication_lag_s").mark) == (
        3.5,
        Mark.NOT_MET,
    )
    unmeasured = seen(replication=reading(receiver(replayed_position=10)))
    assert metric(scorecard(unmeasured), "replication_lag_s").mark is Mark.CANNOT_TELL


def test_the_cache_is_judged_in_the_window_by_the_applications_statements() -> None:
    assert metric(scorecard(seen()), "cache_hit_ratio").value == 1.0
    few = metric(scorecard(seen(calls=30)), "cache_hit_ratio")
    assert (few.mark, "only 120 blocks" in few.why) == (Mark.CANNOT_TELL, True)


def test_without_statements_the_cache_is_judged_by_the_database() -> None:
    found = seen(
        statements=HIDDEN,
        databases_before=reading(database(blocks_hit=10_000, blocks_read=10_000)),
        databases=reading(database(blocks_hit=19_000, blocks_read=11_000)),
    )
    hits = metric(scorecard(found), "cache_hit_ratio")
    assert (hits.value, hits.mark, hits.is_floor) == (0.9, Mark.NOT_MET, True)
    reset = seen(statements=HIDDEN, databases_before=reading(database(blocks_hit=99_999)))
    assert "reset" in metric(scorecard(reset), "cache_hit_ratio").why


def test_the_capacity_formula_multiplies_its_three_inputs() -> None:
    capacity = scorecard(seen()).capacity
    assert (capacity.connections, capacity.queries_per_connection_per_s, capacity.hit_ratio) == (100, 20.0, 1.0)
    assert capacity.queries_per_s == 2000.0
    assert formula_words(capacity).endswith("= 2,000 queries/s")
    assert len(capacity.sources) == 3


def test_without_a_window_the_formula_has_no_result() -> None:
    capacity = scorecard(seen(window=False)).capacity
    assert (capacity.queries_per_connection_per_s, capacity.queries_per_s) == (None, None)
    assert "unknown" in formula_words(capacity)


def test_practices_follow_the_diagnosis() -> None:
    sick = scorecard(seen(), diagnosis=diagnoses.sick())
    assert practice(sick, 2).mark is Mark.NOT_MET
    assert "missing_index" in practice(sick, 2).evidence
    healthy = scorecard(seen(), diagnosis=diagnoses.clean())
    assert practice(healthy, 2).mark is Mark.MET


def test_a_check_that_could_not_look_leaves_its_practice_open() -> None:
    half = dataclasses.replace(
        diagnoses.clean(), blind=(Blind(check="missing_index", reason="no right", cure="GRANT"),)
    )
    found = practice(scorecard(seen(), diagnosis=half), 2)
    assert (found.mark, found.evidence, found.cure) == (Mark.CANNOT_TELL, "no right", "GRANT")


def test_queries_of_a_silent_application_cannot_be_judged() -> None:
    quiet = dataclasses.replace(diagnoses.clean(), ok=("slow_query",))
    assert practice(scorecard(seen(calls=2), diagnosis=quiet), 5).mark is Mark.CANNOT_TELL
    assert practice(scorecard(seen(), diagnosis=quiet), 5).mark is Mark.MET


def test_watchers_and_poolers_are_known_by_their_names() -> None:
    found = scorecard(seen(sessions=reading(backend(1, "postgres_exporter"), backend(2, "pgbouncer"))))
    assert (practice(found, 1).mark, practice(found, 3).mark) == (Mark.MET, Mark.MET)
    assert practice(scorecard(seen()), 1).mark is Mark.CANNOT_TELL


def test_long_lived_sessions_are_taken_for_pooled() -> None:
    pooled = seen(databases=reading(database(sessions=10, commits=50_000, session_time_s=36_000.0)))
    assert practice(scorecard(pooled), 3).mark is Mark.MET


def test_an_archive_is_no_backup_until_it_works() -> None:
    assert practice(scorecard(seen()), 7).mark is Mark.CANNOT_TELL
    fresh = seen(archiver=reading(archiver(last_archived_age_s=60.0)))
    assert practice(scorecard(fresh), 7).mark is Mark.MET


def test_changes_are_documented_when_the_journal_says_so() -> None:
    assert practice(scorecard(seen(), journalled=3), 8).mark is Mark.MET
    assert practice(scorecard(seen(), journalled=0), 8).mark is Mark.CANNOT_TELL


def test_a_standby_that_streams_is_a_read_replica() -> None:
    assert practice(scorecard(seen()), 9).mark is Mark.NOT_MET
    assert practice(scorecard(seen(replication=reading(receiver()))), 9).mark is Mark.MET


def test_nothing_from_a_database_breaks_out_of_the_reports() -> None:
    hostile = seen(sessions=reading(backend(1, "pgwatch | <b>\n# x\x1b[31m")))
    health = dataclasses.replace(scorecard(hostile), server=diagnoses.server(diagnoses.HOSTILE))
    assert "\x1b" not in render_markdown(health)
    assert "<b>" not in render_markdown(health).replace("\\<b\\>", "")
    assert render_json(health).startswith("{")
