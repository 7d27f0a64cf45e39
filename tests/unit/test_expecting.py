"""What a step is expected to take, and the fingerprints of two indexes on the same columns."""

from __future__ import annotations

import pytest
from tests.fix.statement_rows import AT, snapshot
from tests.fix.table_rows import index, relation

from pgrunbook.journey.advise.expecting import MOMENT_S, Sizes, expect
from pgrunbook.journey.steps import spec_of
from pgrunbook.journey.steps.create_index import CreateIndex
from pgrunbook.journey.steps.drop_index import DropIndex
from pgrunbook.journey.steps.set_role_setting import SetRoleSetting
from pgrunbook.journey.steps.validate_constraint import ValidateConstraint
from pgrunbook.model import Finding, Kind, Reading, Severity
from pgrunbook.model.plan import Expected

MB = 1024**2


@pytest.fixture
def sizes() -> Sizes:
    """A partitioned table of two partitions, 300 MB and two million rows together, with an index on one."""
    tables = (
        relation(1, "public", "p", kind="p", size_bytes=0, estimated_rows=-1),
        relation(2, "public", "p1", parent_oid=1, is_partition=True, size_bytes=150 * MB, estimated_rows=1e6),
        relation(3, "public", "p2", parent_oid=1, is_partition=True, size_bytes=150 * MB, estimated_rows=1e6),
    )
    on_one = index(9, 2, "p1_idx", "a", table_name="p1", size_bytes=20 * MB)
    return Sizes.of(
        snapshot(
            relations=Reading(rows=tables, taken_at=AT),
            indexes=Reading(rows=(on_one,), taken_at=AT),
        )
    )


def test_a_build_grows_with_the_table_and_a_root_counts_its_partitions(sizes: Sizes) -> None:
    one = expect(spec_of(CreateIndex(schema="public", table="p1", keys=("a",))), sizes)
    all_of_it = expect(spec_of(CreateIndex(schema="public", table="p", keys=("a",))), sizes)
    assert one is not None
    assert all_of_it is not None
    assert one.duration_s > 2.0
    assert all_of_it.duration_s == pytest.approx(2 * one.duration_s, rel=0.1)
    assert all_of_it.disk_bytes == pytest.approx(2 * one.disk_bytes, rel=0.01)
    assert one.disk_bytes > 1_000_000 * 12


def test_a_drop_gives_back_what_the_index_takes(sizes: Sizes) -> None:
    assert expect(spec_of(DropIndex(schema="public", name="p1_idx")), sizes) == Expected(
        duration_s=MOMENT_S, disk_bytes=-20 * MB
    )


def test_a_validation_reads_the_table_and_a_setting_takes_a_moment(sizes: Sizes) -> None:
    check = expect(spec_of(ValidateConstraint(schema="public", table="p", name="c")), sizes)
    assert check == Expected(duration_s=2.0)
    assert expect(spec_of(SetRoleSetting(role="r", settings=("jit=off",))), sizes) == Expected(duration_s=MOMENT_S)


def test_nothing_is_said_of_a_table_that_was_not_seen(sizes: Sizes) -> None:
    assert expect(spec_of(CreateIndex(schema="public", table="other", keys=("a",))), sizes) is None


def missing(method: str | None) -> Finding:
    named = {"method": method} if method is not None else {}
    return Finding(
        severity=Severity.WARNING,
        kind=Kind.TABLE,
        object="public.t",
        check="missing_index",
        evidence={"columns": ("a",), **named},
    )


def test_an_index_that_is_no_btree_is_told_apart_and_others_keep_their_fingerprint() -> None:
    assert missing("btree").fingerprint == missing(None).fingerprint
    assert missing("gin").fingerprint != missing("btree").fingerprint
