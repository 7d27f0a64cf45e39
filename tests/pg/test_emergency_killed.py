"""An emergency that is killed half-way leaves a journal that is whole, and the next run goes on at once."""

from __future__ import annotations

import os
import signal
import sys
from pathlib import Path

import psycopg
import pytest
from tests.fix.server import FreshDatabase

from pgrunbook.model.emergency import EmergencyReport
from pgrunbook.model.plan import Phase, Progress
from pgrunbook.procedures.emergency.limits import Procedure, limits_for
from pgrunbook.procedures.emergency.running import Order, carry_out
from pgrunbook.record import Journal, fold, open_steps, read, verify

PHASES = (Phase.CAPTURE, Phase.INTENT, Phase.DO, Phase.DONE, Phase.OUTCOME)


def run(dsn: str, folder: Path, die_at: Phase | None) -> EmergencyReport:
    def die(news: Progress) -> None:
        if news.phase is die_at:
            os.kill(os.getpid(), signal.SIGKILL)

    limits = limits_for(Procedure.IDLE, {}, {"older_than": "0s"}, origin="")
    order = Order(procedure=Procedure.IDLE, limits=limits)
    return carry_out(dsn, order, show=lambda _: None, journal=Journal(folder), progress=die)


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
