"""Vacuum: reasons, rates and triggers; on rows of a server, so that each figure can be chosen."""

from __future__ import annotations

import dataclasses
from datetime import timedelta
from typing import Any

import pytest
from tests.fix import counsel_rows as rows
from tests.fix.counsel_rows import GB
from tests.fix.statement_rows import AT
from tests.fix.table_rows import index, relation

from pgrunbook.errors import Unsupported
from pgrunbook.journey.advise.asking import Inquiry, counsel_of
from pgrunbook.journey.advise.given import Given
from pgrunbook.journey.advise.vacuum.tuning import Trigger, trigger
from pgrunbook.journey.steps import load
from pgrunbook.model import Lock, ServerRole, Snapshot, Unread
from pgrunbook.model.counsel import Counsel, Proposal

HOUR_S = 3600.0
CHECKS_NEED = Unread(reason="not asked in this test")


def snapshot(**changed: Any) -> Snapshot:
    extra = {"columns": (), "column_statistics": (), "toast": (), "replication_slots": (), "prepared_transactions": ()}
    return rows.snapshot(**{**extra, "measured_bloat": CHECKS_NEED, **changed})


def advised(seen: Snapshot, **given: Any) -> Counsel:
    return counsel_of(Inquiry(topic="vacuum", given=Given(**given)), seen)


def tuned(seen: Snapshot, **given: Any) -> list[Proposal]:
    return [one for one in advised(seen, **given).proposals if one.area == "Autovacuum settings"]


def due(seen: Snapshot) -> list[Proposal]:
    return [one for one in advised(seen).proposals if one.area == "Needs a vacuum now"]


def watched(seconds: float, *, relations: Any, **written: int) -> Snapshot:
    """A table before and after; `written` are the differences."""
    before = rows.activity(1)
    after = rows.activity(1, **{name: getattr(before, name) + amount for name, amount in written.items()})
    earlier = snapshot(at=AT - timedelta(seconds=seconds), relations=relations, table_activity=(before,))
    return snapshot(earlier=earlier, relations=relations, table_activity=(after,))


def big(**changes: Any) -> tuple[Any, ...]:
    """Ten million rows in 2 GB."""
    return (relation(1, "public", "orders", estimated_rows=10_000_000, size_bytes=2 * GB, pages=262_144, **changes),)


def test_a_quiet_table_needs_nothing_and_is_not_spoken_of() -> None:
    counsel = advised(snapshot())
    assert counsel.proposals == ()
    assert counsel.kept == ()


@pytest.mark.parametrize(
    "per_s, rows_there, expected",
    [
        (10.0, 10_000_000.0, Trigger(threshold=220_000, scale=0.0)),  # 216,000 in six hours
        (0.5, 10_000_000.0, Trigger(threshold=1000, scale=0.01)),  # 10,800: no visit for less than a hundredth
        (500.0, 10_000_000.0, Trigger(threshold=1000, scale=0.1)),  # 10.8 million: a tenth at most
        (0.1, 20_000.0, Trigger(threshold=200, scale=0.1)),  # 2,160 in six hours, a tenth of the table
    ],
)
def test_a_trigger_fires_every_so_often_within_what_a_visit_is_worth(
    per_s: float, rows_there: float, expected: Trigger
) -> None:
    found = trigger(per_s, 6 * HOUR_S, rows_there, 100.0)
    assert found == expected


def test_a_gigabyte_of_dead_rows_is_enough_whatever_the_share() -> None:
    wide = trigger(1000.0, 6 * HOUR_S, 100_000_000.0, 200.0)
    assert wide == Trigger(threshold=5_400_000, scale=0.0)


def test_a_watched_table_gets_a_trigger_from_its_rate_and_the_step_that_sets_it() -> None:
    """36,000 of ten million rows an hour die; the default comes at two million, every 55 hours."""
    (one,) = tuned(watched(600.0, relations=big(), rows_deleted=6000, dead_rows=6000))
    assert one.object == "public.orders"
    assert "36,000 rows an hour die" in one.reason
    assert "every 2 d 7 h" in one.reason
    assert one.proposed == "at 220,000 dead rows"
    assert "about every 6 h" in one.effect
    assert one.step is not None
    (sql,) = load(one.step).statements()
    assert "autovacuum_vacuum_threshold = '220000'" in sql
    assert "autovacuum_vacuum_scale_factor = '0'" in sql
    assert "RESET" in (one.advice[0].undo_sql or "")
    assert one.advice[0].lock is Lock.SHARE_UPDATE_EXCLUSIVE


def test_how_often_is_a_matter_of_choice() -> None:
    seen = watched(600.0, relations=big(), rows_deleted=6000, dead_rows=6000)
    (one,) = tuned(seen, every_s=12 * HOUR_S)
    assert one.proposed == "at 430,000 dead rows"


def test_rows_that_reads_prune_away_never_reach_a_trigger() -> None:
    seen = watched(600.0, relations=big(), rows_updated=60_000, rows_hot_updated=60_000, dead_rows=0)
    assert not tuned(seen)


def test_without_a_window_what_gathered_since_the_last_vacuum_tells_the_rate() -> None:
    counts = rows.activity(1, dead_rows=864_000, rows_deleted=3_000_000, last_autovacuum_at=AT - timedelta(days=1))
    (one,) = tuned(snapshot(relations=big(), table_activity=(counts,)))
    assert "36,000 rows an hour die" in one.reason
    assert "since the last vacuum 1 d ago" in one.reason
    assert "cumulative" in one.reason


def test_a_table_that_fits_its_rate_is_kept_with_the_time_between_visits() -> None:
    own = ("autovacuum_vacuum_threshold=200000", "autovacuum_vacuum_scale_factor=0")
    analyze = ("autovacuum_analyze_threshold=200000", "autovacuum_analyze_scale_factor=0")
    counsel = advised(watched(600.0, relations=big(options=(*own, *analyze)), rows_deleted=6000, dead_rows=6000))
    assert not [one for one in counsel.proposals if one.area == "Autovacuum settings"]
    assert "about every 5 h 33 min" in counsel.kept[0].reason


def test_a_table_that_is_only_added_to_is_visited_for_its_visibility_map() -> None:
    (one,) = tuned(watched(600.0, relations=big(), rows_inserted=10_000))
    assert "hardly any die" in one.reason
    assert one.proposed == "at 360,000 inserted rows"
    off = big(options=("autovacuum_vacuum_insert_threshold=-1",))
    (one,) = tuned(watched(600.0, relations=off, rows_inserted=10_000))
    assert "switched off" in one.reason


def test_a_visit_that_takes_too_long_is_given_a_higher_cost_limit() -> None:
    """40 GB and 20 GB of indexes: at 200 every 2 ms a visit would take an hour of two."""
    huge = (relation(1, "public", "orders", estimated_rows=400_000_000, size_bytes=40 * GB, pages=5_242_880),)
    seen = watched(600.0, relations=huge, rows_deleted=600_000, dead_rows=600_000)
    slow = snapshot(
        earlier=seen.earlier,
        relations=huge,
        table_activity=seen.readings["table_activity"].rows,  # type: ignore[union-attr]  # it was read
        indexes=(index(9, 1, "i", "a", pages=2_600_000, size_bytes=20 * GB),),
        changed={"autovacuum_vacuum_cost_delay": "20"},
    )
    (one,) = tuned(slow)
    assert one.step is not None
    assert "autovacuum_vacuum_cost_limit" in load(one.step).statements()[0]
    assert "(estimated)" in one.reason


def test_counters_that_were_reset_in_between_give_no_rate() -> None:
    earlier = snapshot(at=AT - timedelta(minutes=10), table_activity=(rows.activity(1, rows_deleted=9_000_000),))
    counsel = advised(snapshot(earlier=earlier, relations=big(), table_activity=(rows.activity(1, rows_deleted=5),)))
    assert not counsel.proposals
    assert "--window" in counsel.blind[-1].cure


@pytest.mark.parametrize(
    "changed, table, words",
    [
        ({"dead_rows": 50_000}, {}, "50,000 dead rows, 33 % of it (autovacuum comes at 20,050)"),
        ({"inserted_since_vacuum_rows": 80_000}, {}, "80,000 rows added since the last vacuum"),
        ({}, {"frozen_xid_age": 160_000_000}, "its oldest row is 160,000,000 transactions old"),
        ({}, {"min_mxid_age": 350_000_000}, "350,000,000 multixacts old"),
        (
            {"index_scans": 50_000, "dead_rows": 10},
            {"pages": 10_000, "all_visible_pages": 1000},
            "only 10 % of its 10,000 pages are marked all-visible",
        ),
    ],
)
def test_each_reason_for_a_vacuum_is_named(changed: Any, table: Any, words: str) -> None:
    seen = snapshot(
        relations=(relation(1, "public", "orders", **table),), table_activity=(rows.activity(1, **changed),)
    )
    (one,) = due(seen)
    assert words.lower() in one.reason.lower()
    assert one.advice[0].sql.startswith("VACUUM (")


def test_a_freeze_is_asked_for_where_age_is_the_reason() -> None:
    seen = snapshot(relations=(relation(1, "public", "orders", frozen_xid_age=190_000_000),))
    (one,) = due(seen)
    assert one.advice[0].sql == "VACUUM (FREEZE, ANALYZE, TRUNCATE false) public.orders;"
    assert one.step is None


def test_who_holds_an_old_snapshot_is_said_first_and_beside_every_vacuum() -> None:
    reader = rows.backend(
        77, state="idle in transaction", xmin_age=500_000, transaction_age_s=4000.0, state_age_s=3900.0
    )
    seen = snapshot(
        sessions=(reader, rows.backend(2, backend_type="checkpointer", role=None)),
        table_activity=(rows.activity(1, dead_rows=50_000),),
    )
    counsel = advised(seen)
    assert next(one.area for one in counsel.proposals) == "What holds vacuum back"
    assert counsel.proposals[0].object == "77"
    (vacuum,) = due(seen)
    assert "backend 77 may still see stay" in vacuum.reason


@pytest.mark.parametrize("topic", ["settings", "vacuum", "pool"])
def test_what_cannot_be_advised_at_all_is_said_and_ends_as_not_observable(topic: str) -> None:
    unread = Unread(reason="gave up waiting", cure="Try again.")
    blindfolded = snapshot(settings=unread, relations=unread)
    with pytest.raises(Unsupported, match="gave up waiting") as raised:
        counsel_of(Inquiry(topic=topic), blindfolded)
    assert (raised.value.exit_code, raised.value.hint) == (3, "Try again.")


def test_a_standby_says_only_that_the_primary_must_be_asked() -> None:
    server = dataclasses.replace(rows.SERVER, role=ServerRole.STANDBY)
    counsel = advised(snapshot(server=server, table_activity=(rows.activity(1, dead_rows=50_000),)))
    assert counsel.proposals == ()
    assert [blind.cure for blind in counsel.blind] == ["Ask the primary."]
