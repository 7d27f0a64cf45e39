"""The readings `columns` and `column_statistics`: what they say, and what a role without rights is told."""

from __future__ import annotations

from tests.fix.server import FreshDatabase

from pgrunbook.journey.observe import observe
from pgrunbook.journey.observe.column_statistics import COLUMN_STATISTICS
from pgrunbook.journey.observe.columns import COLUMNS


def test_columns_say_type_null_default_identity_and_generation(pg: FreshDatabase) -> None:
    pg.execute(
        "create domain mail as text check (value like '%@%')",
        'create table "We ird" (id bigint generated always as identity primary key, email mail not null,'
        " tags text[] default '{}', code varchar(8) collate \"C\", twice int generated always as (3 * 2) stored)",
    )
    seen = {row.name: row for row in observe(pg.dsn, [COLUMNS]).rows(COLUMNS)}
    assert list(seen) == ["id", "email", "tags", "code", "twice"]
    assert (seen["id"].identity, seen["id"].not_null, seen["id"].has_default) == ("a", True, False)
    assert (seen["email"].type_kind, seen["email"].base_type_name, seen["email"].not_null) == ("d", "text", True)
    assert (seen["tags"].type_category, seen["tags"].element_type_oid, seen["tags"].has_default) == ("A", 25, True)
    assert (seen["code"].declared_type, seen["code"].collates_by_bytes) == ("character varying(8)", True)
    assert seen["twice"].generated == "s"
    assert seen["id"].qualified == 'public."We ird".id'
    assert all(row.statistics_readable for row in seen.values())


def test_statistics_of_columns_expressions_and_arrays(pg: FreshDatabase) -> None:
    pg.execute(
        "create table t (id int, kind int, note text, tags text[])",
        "insert into t select i, i % 4, case when i % 10 = 0 then 'x' end, array['a', 'b' || i % 3]"
        " from generate_series(1, 1000) i",
        "create index on t (lower(note))",
        "analyze t",
    )
    rows = observe(pg.dsn, [COLUMN_STATISTICS]).rows(COLUMN_STATISTICS)
    seen = {row.name: row for row in rows}
    assert set(seen) == {"id", "kind", "note", "tags", "lower"}
    assert seen["id"].distinct_values(1000) == 1000
    assert seen["kind"].distinct_values(1000) == 4
    assert (seen["kind"].most_common_count, seen["kind"].most_common_freqs[0]) == (4, 0.25)
    assert seen["note"].null_ratio == 0.9
    assert seen["tags"].most_common_element_count >= 1


def test_a_role_without_select_is_told_which_columns_hide_their_statistics(pg: FreshDatabase) -> None:
    watcher = pg.role("watcher", member_of="pg_monitor")
    pg.execute(
        "create table ajar (id int); create table shut (id int); create table guarded (id int)",
        "insert into ajar values (1); insert into shut values (1); insert into guarded values (1)",
        "alter table guarded enable row level security",
        f"grant select on ajar, guarded to {watcher}",
        "analyze ajar, shut, guarded",
    )
    snapshot = observe(pg.dsn_as(watcher), [COLUMNS, COLUMN_STATISTICS])
    assert {row.table_name: row.statistics_readable for row in snapshot.rows(COLUMNS)} == {
        "ajar": True,
        "shut": False,
        "guarded": False,
    }
    assert len(snapshot.rows(COLUMN_STATISTICS)) == 1
