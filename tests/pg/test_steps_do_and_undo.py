"""Each step does what it says, knows it from the catalog, and its undo restores the world exactly."""

from __future__ import annotations

import psycopg
import pytest
from tests.fix.server import FreshDatabase
from tests.fix.step_cases import CASES, STRANGE, StepCase, prepare, world

from pgrunbook.errors import Refused
from pgrunbook.journey.observe.observer import Observer
from pgrunbook.journey.steps import Step, kinds, load, spec_of
from pgrunbook.journey.steps.runner import Ran, run_step, take_back
from pgrunbook.pg.connect import connect

EVENTS = {"analyze", "vacuum", "vacuum_full", "reindex"}  # these are never done beforehand


def run(database: FreshDatabase, step: Step) -> Ran:
    with connect(database.dsn, station="test") as conn:
        return run_step(step, conn, Observer(conn).server)


def undo(database: FreshDatabase, step: Step, ran: Ran) -> None:
    with connect(database.dsn, station="test") as conn:
        take_back(step, conn, ran.before)


def test_every_step_has_a_case() -> None:
    assert {case.kind for case in CASES} == set(kinds())


@pytest.mark.parametrize("case", CASES, ids=lambda case: case.kind)
def test_a_step_is_done_once_and_undone_exactly(pg: FreshDatabase, case: StepCase) -> None:
    step = prepare(pg, case, STRANGE)
    before = world(pg)

    ran = run(pg, load(spec_of(step)))

    assert not ran.already
    assert run(pg, step).already is (case.kind not in EVENTS)
    if step.reversible:
        assert world(pg) != before
        undo(pg, load(spec_of(step)), ran)
        assert world(pg) == before
        undo(pg, step, ran)  # once more changes nothing
        assert world(pg) == before
    else:
        with pytest.raises(Refused):
            undo(pg, step, ran)


@pytest.mark.parametrize("case", CASES, ids=lambda case: case.kind)
def test_the_statements_that_are_shown_do_what_the_step_does(server18: FreshDatabase, case: StepCase) -> None:
    step = prepare(server18, case, STRANGE)
    before = world(server18)
    with connect(server18.dsn, station="test") as conn:
        captured = step.capture(conn)
    with psycopg.connect(server18.dsn, autocommit=True) as conn:
        for statement in step.statements():
            conn.execute(statement.encode())
        assert step.done(conn, captured)
        for statement in step.undo_statements(captured):
            conn.execute(statement.encode())
    if step.reversible and case.kind not in {"set_autovacuum", "set_role_setting", "set_database_setting"}:
        assert world(server18) == before  # lists come back in another order by hand; the step keeps theirs
