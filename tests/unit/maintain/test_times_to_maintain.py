"""Blackouts, pressure and the quiet hour, on crafted rows."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any
from zoneinfo import ZoneInfo

import pytest

from pgrunbook.errors import UsageError
from pgrunbook.journey.diagnose.seen import Seen
from pgrunbook.journey.observe.locks import BLOCKING, Waiter
from pgrunbook.journey.observe.processors import PROCESSORS, Processors
from pgrunbook.journey.observe.sessions import SESSIONS, Backend
from pgrunbook.journey.observe.settings import SETTINGS, Setting
from pgrunbook.model import Question, Reading, Server, ServerRole, Service, Snapshot
from pgrunbook.pg.parse import Parser
from pgrunbook.procedures.maintain import activity, blackout
from pgrunbook.procedures.maintain.activity import QuietHour, Sample
from pgrunbook.procedures.maintain.arrangements import Arrangements
from pgrunbook.procedures.maintain.outlook import Hindrance, outlook
from pgrunbook.procedures.maintain.schedule import default

NOW = datetime(2026, 11, 23, 10, 0, tzinfo=UTC)  # a Monday
SERVER = Server(
    database="shop", version="18.6", major=18, version_num=180006, role=ServerRole.PRIMARY, service=Service.PLAIN,
    user="postgres", is_superuser=True,
)  # fmt: skip


@pytest.mark.parametrize(
    "text,hours",
    [
        ("08:00-18:00 UTC", {day * 24 + hour for day in range(7) for hour in range(8, 18)}),
        ("Monday-Friday 08:00-18:00 UTC", {day * 24 + hour for day in range(5) for hour in range(8, 18)}),
        ("Saturday-Sunday 00:00-24:00 UTC", set(range(5 * 24, 7 * 24))),
        ("Sunday 22:00-02:00 UTC", {166, 167, 0, 1}),
        ("Friday-Monday 23:00-01:00 UTC", {119, 120, 143, 144, 167, 0, 23, 24}),
        ("Monday 08:00-18:00 Europe/Berlin", set(range(7, 17))),
    ],
)
def test_a_blackout_covers_exactly_its_hours(text: str, hours: set[int]) -> None:
    span = blackout.parse(text)
    monday = datetime(2026, 11, 23, tzinfo=UTC)
    assert {hour for hour in range(168) if span.end_at(monday + timedelta(hours=hour, minutes=30))} == hours


def test_a_blackout_moves_with_its_zones_clocks() -> None:
    span = blackout.parse("08:00-18:00 Europe/Berlin")
    moment = datetime(2026, 1, 1, tzinfo=UTC)
    while moment.year == 2026:
        local = moment.astimezone(ZoneInfo("Europe/Berlin"))
        assert (span.end_at(moment) is not None) == (8 <= local.hour < 18)
        moment += timedelta(hours=1)


@pytest.mark.parametrize(
    "text", ["", "8-18", "08:00-18:00", "Mon 08:00-18:00 UTC", "08:00-08:00 UTC", "08:00-25:00 UTC", "08:00-18:00 Moon"]
)
def test_a_blackout_that_cannot_be_read_is_refused_with_an_example(text: str) -> None:
    with pytest.raises(UsageError) as refused:
        blackout.parse(text)
    assert blackout.EXAMPLE in refused.value.hint


def backend(pid: int, **changed: Any) -> Backend:
    values: dict[str, Any] = dict.fromkeys(Backend.__dataclass_fields__)
    values |= {
        "pid": pid, "is_self": False, "backend_type": "client backend", "database": "shop", "role": "app",
        "application": "api", "state": "idle", "query": "select ?",
    }  # fmt: skip
    return Backend(**{**values, **changed})


def looked(backends: list[Backend], *, cores: int | None = 4, waiters: int = 0, blackouts: tuple[str, ...] = ()):
    setting = Setting(
        name="max_connections", value="100", unit=None, type="integer", context="postmaster", source="default",
        source_file=None, boot_value="100", reset_value="100", pending_restart=False,
    )  # fmt: skip
    rows: dict[Question[Any], tuple[Any, ...]] = {SESSIONS: tuple(backends), SETTINGS: (setting,)}
    if cores is not None:
        rows[PROCESSORS] = (Processors(cores=cores, busy_ticks=0, idle_ticks=0, waiting_ticks=0),)
    rows[BLOCKING] = tuple(
        Waiter(
            pid=900 + n, blocked_by=(1,), prepared_gids=(), lock_type="relation", mode="ShareLock", schema=None,
            name=None, waiting_s=5.0,
        )
        for n in range(waiters)
    )  # fmt: skip
    snapshot = Snapshot(
        server=SERVER,
        taken_at=NOW,
        duration_s=0.1,
        readings={q.name: Reading(rows=found, taken_at=NOW) for q, found in rows.items()},
    )
    arrangements = Arrangements(schedule=default(), blackouts=tuple(map(blackout.parse, blackouts)))
    with Parser() as parser:
        return outlook(Seen(snapshot=snapshot, parser=parser), arrangements)


def test_a_quiet_database_may_be_maintained() -> None:
    assert looked([backend(n) for n in range(10)]).is_good
    assert not looked([backend(n) for n in range(10)]).signs


def test_busy_sessions_on_few_cores_are_pressure_and_waiting_ones_are_not() -> None:
    busy = [backend(n, state="active") for n in range(8)]
    assert [sign.hindrance for sign in looked(busy).forbidding] == [Hindrance.PRESSURE]
    assert looked(busy[:7]).is_good
    assert looked(busy, cores=16).is_good
    assert looked([backend(n, state="active", wait_event_type="Client") for n in range(8)]).is_good
    assert looked([backend(n, state="active", query="create index on t (a)") for n in range(8)]).is_good
    assert looked([backend(n, state="active", application="pgrunbook/load") for n in range(8)]).is_good


def test_where_nobody_knows_the_cores_the_connections_stand_for_them() -> None:
    assert looked([backend(n, state="active") for n in range(49)], cores=None).is_good
    assert not looked([backend(n, state="active") for n in range(50)], cores=None).is_good


def test_full_connections_and_queues_for_locks_are_pressure() -> None:
    assert "80 of the 100 connections" in looked([backend(n) for n in range(80)]).forbidding[0].words
    assert looked([backend(n) for n in range(79)]).is_good
    assert "5 sessions wait for locks" in looked([], waiters=5).forbidding[0].words
    assert looked([], waiters=4).is_good


def test_a_blackout_forbids_and_a_dump_is_only_said() -> None:
    found = looked([backend(1, application="pg_dump", state="active")], blackouts=("Monday 09:00-11:00 UTC",))
    assert [(sign.hindrance, sign.forbids) for sign in found.signs] == [
        (Hindrance.BLACKOUT, True), (Hindrance.BACKUP, False),
    ]  # fmt: skip
    assert "ends at 2026-11-23 11:00 UTC" in found.signs[0].words


def test_an_old_snapshot_is_said_because_it_keeps_dead_rows() -> None:
    old = backend(7, state="idle in transaction", xmin_age=5000, transaction_age_s=900.0)
    found = looked([old])
    assert found.is_good
    assert [sign.hindrance for sign in found.signs] == [Hindrance.TRANSACTION]
    assert "15 min" in found.signs[0].words


def samples(days: int, quiet: int) -> list[Sample]:
    """A quarter of an hour apart: 10 transactions a second, 1 in the quiet hour."""
    made, total, at = [], 0, NOW - timedelta(days=days)
    while at <= NOW:
        made.append(Sample(at=at.isoformat(), transactions=total))
        total += 900 if at.hour == quiet else 9000
        at += timedelta(minutes=15)
    return made


def test_the_quiet_hour_is_the_one_with_the_fewest_transactions() -> None:
    found = activity.quiet_hour(samples(5, quiet=3), NOW)
    assert isinstance(found, QuietHour)
    assert found.starts_at == datetime(2026, 11, 24, 3, tzinfo=UTC)
    assert found.transactions_per_s < 2 < found.usual_per_s


def test_too_little_was_seen_to_know_a_quiet_hour() -> None:
    assert "on 1 days" in str(activity.quiet_hour(samples(1, quiet=3)[:10], NOW))
    assert "0 hours" in str(activity.quiet_hour([], NOW))
    once_a_day = [Sample(at=(NOW - timedelta(days=n)).isoformat(), transactions=n) for n in range(9, 0, -1)]
    assert isinstance(activity.quiet_hour(once_a_day, NOW), str)


def test_a_reset_of_the_counters_is_no_quiet_hour() -> None:
    known = samples(5, quiet=3)
    reset = [*known[:200], *(Sample(at=one.at, transactions=one.transactions % 100_000) for one in known[200:])]
    found = activity.quiet_hour(reset, NOW)
    assert isinstance(found, QuietHour)
    assert found.starts_at.hour == 3


def test_lines_that_cannot_be_read_are_left_out(tmp_path: Path) -> None:
    good = f'{{"at": "{NOW.isoformat()}", "transactions": 5}}\n'
    (tmp_path / activity.FILE).write_text(f'{good}{{"at": 3}}\nx\n[]\n{{"at": "2026-01-01"}}\n', encoding="ascii")
    assert [one.transactions for one in activity.load(tmp_path)] == [5]
    assert activity.load(tmp_path / "nowhere") == ()
