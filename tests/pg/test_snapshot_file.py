"""Every reading of a real server survives the way through a file."""

from __future__ import annotations

from tests.fix.server import FreshDatabase

from pgrunbook.journey.diagnose.check import all_checks
from pgrunbook.journey.diagnose.engine import judge
from pgrunbook.journey.diagnose.request import everything
from pgrunbook.journey.observe import observe, snapshot_file
from pgrunbook.journey.observe.schemas import SCHEMAS
from pgrunbook.journey.observe.windowed import observe_window
from pgrunbook.model import Reading

MESS = (
    "create schema \"my 'odd' schema 😀\"",
    "create table \"my 'odd' schema 😀\".\"T %s\" (id int primary key, tags text[] default '{a,null}', at timestamptz)",
    "insert into \"my 'odd' schema 😀\".\"T %s\" select n, array['x', null], now() from generate_series(1, 500) as n",
    'create index on "my \'odd\' schema 😀"."T %s" (at) where id > 3',
    'analyze "my \'odd\' schema 😀"."T %s"',
)


def test_every_row_of_every_reading_comes_back_as_it_was(pg: FreshDatabase) -> None:
    pg.execute(*MESS)
    made = observe(pg.dsn, everything())
    for compress in (False, True):
        again = snapshot_file.from_bytes(snapshot_file.to_bytes(made, compress=compress), everything())
        assert again == made
    assert sum(len(reading.rows) for reading in made.readings.values() if isinstance(reading, Reading)) > 50


def test_the_verdicts_are_the_same_from_the_file(pg: FreshDatabase) -> None:
    pg.execute(*MESS, 'create index again on "my \'odd\' schema 😀"."T %s" (at) where id > 3')
    made = observe(pg.dsn, everything())
    again = snapshot_file.from_bytes(snapshot_file.to_bytes(made), everything())
    chosen = tuple(all_checks().values())
    live, saved = judge(made, chosen), judge(again, chosen)
    assert (saved.findings, saved.blind, saved.ok) == (live.findings, live.blind, live.ok)
    assert any(finding.check == "duplicate_index" for finding in saved.findings)


def test_a_window_holds_the_counters_before_and_nothing_else_twice(pg: FreshDatabase) -> None:
    waited: list[float] = []
    made = observe_window(pg.dsn, everything(), window_s=7.0, wait=waited.append)
    assert waited == [7.0]
    assert made.earlier is not None
    counters = {question.name for question in everything() if question.counters}
    assert counters
    assert set(made.earlier.readings) == counters


def test_schemas_are_those_that_are_not_the_servers_own(pg: FreshDatabase) -> None:
    pg.execute('create schema "Other"')
    names = [schema.name for schema in observe(pg.dsn, (SCHEMAS,)).rows(SCHEMAS)]
    assert names == ["Other", "public"]
