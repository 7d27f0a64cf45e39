"""An emergency that is killed leaves a journal that is whole, and the next run goes on; no plan at work holds it up."""

from __future__ import annotations

import os
import signal
import sys
from pathlib import Path

import psycopg
import pytest
from tests.fix.killed import FAST
from tests.fix.server import FreshDatabase
from tests.fix.step_cases import CASES, prepare

from pgrunbook.errors import Refused
from pgrunbook.journey.act import apply
from pgrunbook.journey.steps import spec_of
from pgrunbook.model.emergency import EmergencyReport
from pgrunbook.model.plan import Phase, PlannedStep, Progress
from pgrunbook.procedures.emergency.limits import Procedure, limits_for
from pgrunbook.procedures.emergency.running import Order, carry_out
from pgrunbook.record import Hold, Journal, fold, open_steps, read, verify

PHASES = (Phase.CAPTURE, Phase.INTENT, Phase.DO, Phase.DONE, Phase.OUTCOME)


def run(dsn: str, folder: Path, die_at: Phase | None, **thresholds: str) -> EmergencyReport:
    def die(news: Progress) -> None:
        if news.phase is die_at:
            os.kill(os.getpid(), signal.SIGKILL)

    limits = limits_for(Procedure.IDLE, {}, {"older_than": "0s", **thresholds}, origin="")
    order = Order(procedure=Procedure.IDLE, limits=limits)
    return carry_out(dsn, order, show=lambda _: None, journal=Journal(folder, Hold.EMERGENCY), progress=die)


@pytest.mark.parametrize("phase", PHASES)
def test_killed_at_each_phase_the_next_run_goes_on(server18: FreshDatabase, tmp_path: Path, phase: Phase) -> None:
    server18.role("app")
    idlers = [server18.connect_as("app", autocommit=False) for _ in range(2)]
    for idler in idlers:
        idler.execute("select 1")
    bystander = server18.connect_as("app")
    pid = os.fork()
    if pid == 0:
        run(server18.dsn, tmp_path, phase)
        sys.stderr.write("it was not killed\n")
        os._exit(1)
    assert os.waitstatus_to_exitcode(os.waitpid(pid, 0)[1]) == -signal.SIGKILL

    report = run(server18.dsn, tmp_path, None)

    assert report.exit_code == 0
    assert verify(tmp_path).records == len(read(tmp_path))
    assert not open_steps(fold(read(tmp_path)))
    for idler in idlers:
        with pytest.raises(psycopg.OperationalError):
            idler.execute("select 1")
    assert bystander.execute("select 1").fetchone() == (1,)


def test_while_a_plan_is_applied_an_emergency_acts_and_both_are_in_one_journal(
    server18: FreshDatabase, tmp_path: Path
) -> None:
    """At each phase of the plan: its own lock and the journal's writer are not the emergency's."""
    step = prepare(server18, CASES[0])
    server18.role("app")
    ended: list[EmergencyReport] = []

    def also_an_emergency(news: Progress) -> None:
        if news.phase not in PHASES:
            return
        idler = server18.connect_as("app", autocommit=False)
        idler.execute("select 1")
        ended.append(run(server18.dsn, tmp_path, None, cool_down="0s"))
        with pytest.raises(psycopg.OperationalError):
            idler.execute("select 1")
        with pytest.raises(Refused, match="another pgrunbook is writing"):
            apply([], server18.dsn, journal=Journal(tmp_path))

    planned = [PlannedStep(step=spec_of(step))]
    outcome = apply(planned, server18.dsn, journal=Journal(tmp_path), progress=also_an_emergency, patience=FAST)

    assert outcome.exit_code == 0
    assert [report.exit_code for report in ended] == [0] * len(PHASES)
    assert all(report.outcome and not report.outcome.reconciled for report in ended)
    assert verify(tmp_path).records == len(read(tmp_path))
    history = fold(read(tmp_path))
    assert len(history.written_as(Hold.EMERGENCY)) == len(PHASES)
    assert not open_steps(history)


def test_what_a_living_emergency_has_begun_is_not_judged_by_a_plan(server18: FreshDatabase, tmp_path: Path) -> None:
    step = prepare(server18, CASES[0])
    server18.role("app")
    idler = server18.connect_as("app", autocommit=False)
    idler.execute("select 1")
    reconciled: list[int] = []

    def also_a_plan(news: Progress) -> None:
        if news.phase is Phase.DO:  # its intent is written, its outcome is not
            outcome = apply([PlannedStep(step=spec_of(step))], server18.dsn, journal=Journal(tmp_path), patience=FAST)
            reconciled.append(len(outcome.reconciled))

    limits = limits_for(Procedure.IDLE, {}, {"older_than": "0s"}, origin="")
    order = Order(procedure=Procedure.IDLE, limits=limits)
    journal = Journal(tmp_path, Hold.EMERGENCY)
    report = carry_out(server18.dsn, order, show=lambda _: None, journal=journal, progress=also_a_plan)

    assert report.exit_code == 0
    assert reconciled == [0]
    assert verify(tmp_path).records == len(read(tmp_path))
    assert not open_steps(fold(read(tmp_path)))
