from __future__ import annotations

import dataclasses
import json
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta, timezone
from pathlib import Path
from typing import Any

import pytest
from tests.fix import diagnoses

from pgrunbook.errors import UsageError
from pgrunbook.journey.observe import snapshot_file
from pgrunbook.journey.observe.windowed import since
from pgrunbook.model import Extension, Question, Reading, Snapshot, Unread

AT = datetime(2026, 11, 24, 9, 30, 1, 123456, tzinfo=UTC)


@dataclass(frozen=True, slots=True, kw_only=True)
class Row:
    name: str
    count: int
    share: float
    wanted: bool | None
    seen_at: datetime | None
    parts: tuple[str | None, ...]
    nested: tuple[tuple[int, ...], ...] = ()


ROWS = Question(name="rows", row=Row, folder=Path())
NONE = Question(name="none", row=Row, folder=Path())
ASKED: tuple[Question[Any], ...] = (ROWS, NONE)


def row(**changes: Any) -> Row:
    base = Row(name="a", count=1, share=1.0, wanted=True, seen_at=AT, parts=("x", None))
    return dataclasses.replace(base, **changes)


def snapshot(*rows: Row, **changes: Any) -> Snapshot:
    server = dataclasses.replace(
        diagnoses.server(),
        memberships=frozenset({"pg_monitor", "b"}),
        extensions={"pg_trgm": Extension(version="1.6", schema="my schema")},
        system_identifier="7300000000000000001",
        timeline=3,
        started_at=AT,
    )
    readings: dict[str, Reading[object] | Unread] = {
        "rows": Reading(rows=rows, taken_at=AT, duration_s=0.25, skipped=frozenset({16384, 2})),
        "none": Unread(reason="not allowed", cure="GRANT pg_monitor TO app;"),
    }
    return dataclasses.replace(Snapshot(server=server, taken_at=AT, duration_s=1.5, readings=readings), **changes)


def again(made: Snapshot, *, compress: bool = False) -> Snapshot:
    return snapshot_file.from_bytes(snapshot_file.to_bytes(made, compress=compress), ASKED)


@pytest.mark.parametrize("compress", [False, True])
def test_everything_comes_back_as_it_was(compress: bool) -> None:  # noqa: FBT001 - a parameter of the test
    made = snapshot(
        row(),
        row(name="\udce9 \x00 😀 \u2028", count=2**63 - 1, share=0.1 + 0.2, wanted=None, seen_at=None, parts=()),
        row(share=float("inf"), seen_at=AT.astimezone(timezone(timedelta(hours=-3, minutes=-30)))),
        row(nested=((1, 2), ())),
        earlier=snapshot(row(count=0)),
    )
    assert again(made, compress=compress) == made


def test_types_survive_where_python_calls_values_equal() -> None:
    reading = again(snapshot(row(count=1, share=1.0, wanted=True))).reading(ROWS)
    (read,) = reading.rows
    assert [type(read.count), type(read.share), type(read.wanted)] == [int, float, bool]
    assert type(read.parts) is tuple


def test_the_same_snapshot_gives_the_same_bytes() -> None:
    for compress in (False, True):
        assert snapshot_file.to_bytes(snapshot(row()), compress=compress) == snapshot_file.to_bytes(
            snapshot(row()), compress=compress
        )


def test_columns_of_another_version_make_the_reading_unread() -> None:
    content = json.loads(snapshot_file.to_bytes(snapshot(row())))
    content["version"] = "0.0.9"
    content["readings"]["rows"]["columns"][0] = "label"
    read = snapshot_file.from_bytes(json.dumps(content).encode(), ASKED).readings["rows"]
    assert isinstance(read, Unread)
    assert "0.0.9" in read.reason
    assert read.cure


def test_a_question_that_no_check_asks_any_more_is_left_out() -> None:
    assert "rows" not in snapshot_file.from_bytes(snapshot_file.to_bytes(snapshot(row())), (NONE,)).readings


def test_a_value_that_json_cannot_keep_is_our_bug() -> None:
    with pytest.raises(TypeError, match="a row holds a bytes"):
        snapshot_file.to_bytes(snapshot(row(name=b"x")))


def broken_file(kind: str) -> bytes:
    whole = snapshot_file.to_bytes(snapshot(row()))
    packed = snapshot_file.to_bytes(snapshot(row()), compress=True)
    content = json.loads(whole)
    return {
        "empty": b"",
        "cut": whole[:100],
        "cut-gz": packed[:-9],
        "noise": b"\x1f\x8bnoise",
        "list": b"[]",
        "foreign": b'{"findings": []}',
        "binary": b"\x00\xff\xfe",
        "no-server": json.dumps({**content, "server": {}}).encode(),
        "short-row": json.dumps(
            {**content, "readings": {"rows": {**content["readings"]["rows"], "rows": [[1]]}}}
        ).encode(),
        "bad-time": json.dumps({**content, "taken_at": "yesterday"}).encode(),
    }[kind]


@pytest.mark.parametrize(
    "kind", ["empty", "cut", "cut-gz", "noise", "list", "foreign", "binary", "no-server", "short-row", "bad-time"]
)
def test_a_broken_or_foreign_file_is_said_to_be_one(kind: str, tmp_path: Path) -> None:
    path = tmp_path / "s.json"
    path.write_bytes(broken_file(kind))
    with pytest.raises(UsageError) as caught:
        snapshot_file.load(path, ASKED)
    assert str(path) in caught.value.message


def test_a_newer_file_asks_for_an_update() -> None:
    content = {**json.loads(snapshot_file.to_bytes(snapshot())), "pgrunbook_snapshot": snapshot_file.FORMAT + 1}
    with pytest.raises(UsageError, match="newer pgrunbook") as caught:
        snapshot_file.from_bytes(json.dumps(content).encode(), ASKED)
    assert "update" in caught.value.hint


def test_a_missing_file_is_said_to_be_missing(tmp_path: Path) -> None:
    with pytest.raises(UsageError, match="cannot read the snapshot"):
        snapshot_file.load(tmp_path / "nowhere.json", ASKED)


def test_rates_come_from_an_older_snapshot_of_the_same_database() -> None:
    older = snapshot(row(count=1), taken_at=AT - timedelta(minutes=5), earlier=snapshot())
    now = since(snapshot(row(count=7)), older)
    assert now.earlier is not None
    assert now.earlier.earlier is None
    window = now.window(ROWS)
    assert window is not None
    assert (window.before[0].count, window.after[0].count) == (1, 7)


@pytest.mark.parametrize("wrong", ["database", "server", "time"])
def test_rates_come_from_nothing_else(wrong: str) -> None:
    older = snapshot(taken_at=AT - timedelta(minutes=5))
    if wrong == "database":
        older = dataclasses.replace(older, server=dataclasses.replace(older.server, database="other"))
    if wrong == "server":
        older = dataclasses.replace(older, server=dataclasses.replace(older.server, system_identifier="1"))
    if wrong == "time":
        older = dataclasses.replace(older, taken_at=AT + timedelta(seconds=1))
    with pytest.raises(UsageError):
        since(snapshot(), older)
