"""Kill the tool, then the server, at each point of each step; run again; compare with a run that nobody disturbed.

    python -m tests.exam.chaos [--major 18] [--quick] [--only KIND]

Each cell of the matrix is one point of one step: `.` both kills came out right, `t` the killed tool did not, `s` the
killed server did not, `x` neither did.  Right means: the second run ends well, the world (schema, settings, policies,
slots) is that of the undisturbed run, the journal's chain holds with no step left open, and a bystander's session, rows
and locks are as they were.  Exit code 0 only when all hold.
"""

from __future__ import annotations

import argparse
import contextlib
import signal
import sys
import tempfile
import threading
import time
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from itertools import takewhile, zip_longest
from pathlib import Path
from typing import Any

import psycopg
from tests.fix.killed import FAST, Killable
from tests.fix.server import SETTINGS, FreshDatabase, installed
from tests.fix.step_cases import CASES, StepCase, prepare, start_over, world

from pgrunbook.errors import RunbookError
from pgrunbook.journey.act import apply, undo
from pgrunbook.journey.steps import Step, spec_of
from pgrunbook.lab import start_cluster
from pgrunbook.model.plan import Phase, PlannedStep, Progress
from pgrunbook.record import Journal, fold, open_steps, read, verify

NAME = "chaos"
WAIT_S = 30.0


@dataclass(frozen=True, slots=True, kw_only=True)
class Point:
    """Where it is killed: when a phase begins, or some milliseconds after."""

    phase: Phase
    after_ms: float = 0.0
    undoing: bool = False

    @property
    def name(self) -> str:
        """As the head of its column."""
        late = f"+{self.after_ms:g}ms" if self.after_ms else ""
        return f"{'undo ' if self.undoing else ''}{self.phase}{late}"


APPLYING = (
    Point(phase=Phase.PRECHECK),
    Point(phase=Phase.CAPTURE),
    Point(phase=Phase.MEASURE_BEFORE),
    Point(phase=Phase.INTENT),
    Point(phase=Phase.DO),
    Point(phase=Phase.DO, after_ms=2),
    Point(phase=Phase.DO, after_ms=8),
    Point(phase=Phase.DO, after_ms=30),
    Point(phase=Phase.DONE),
    Point(phase=Phase.MEASURE_AFTER),
    Point(phase=Phase.OUTCOME),
    Point(phase=Phase.END),
)
TAKING_BACK = (
    Point(phase=Phase.UNDOING, undoing=True),
    Point(phase=Phase.UNDO, undoing=True),
    Point(phase=Phase.UNDO, after_ms=3, undoing=True),
    Point(phase=Phase.OUTCOME, undoing=True),
    Point(phase=Phase.END, undoing=True),
)
QUICK = (Point(phase=Phase.DO, after_ms=2), Point(phase=Phase.OUTCOME), Point(phase=Phase.UNDO, undoing=True))


@dataclass(slots=True, kw_only=True)
class Chaos:
    """One server, one database, and what is counted."""

    database: FreshDatabase
    killable: Killable
    folder: Path
    runs: int = 0
    wrong: list[str] = field(default_factory=list)

    def row(self, case: StepCase, points: tuple[Point, ...]) -> str:
        """Every point of one step, as a row of the matrix."""
        start_over(self.database)
        step = prepare(self.database, case)
        before = world(self.database)
        _again(self.database, self.folder / case.kind / "undisturbed", step)
        expected = world(self.database)
        cells = [self._cell(case, point, before if point.undoing else expected) for point in points]
        return "".join(f"{cell:^{len(point.name) + 2}}" for cell, point in zip(cells, points, strict=True))

    def _cell(self, case: StepCase, point: Point, expected: str) -> str:
        if point.undoing and not _is_reversible(case):
            return " "
        said = [self._one(case, point, expected, kills) for kills in ("tool", "server")]
        return {(True, True): ".", (False, True): "t", (True, False): "s", (False, False): "x"}[said[0], said[1]]

    def _one(self, case: StepCase, point: Point, expected: str, kills: str) -> bool:
        """One kill and the run after it; what was wrong is kept for the end."""
        self.runs += 1
        place = self.folder / case.kind / f"{point.name}-{kills}"
        try:
            trouble = self._disturbed(case, point, expected, kills, place)
        except (RunbookError, psycopg.Error, AssertionError, TimeoutError) as exc:
            trouble = [f"{type(exc).__name__}: {exc}"]
            _ensure_running(self.database)
        self.wrong += [f"{case.kind}, {kills} killed at {point.name}: {what}" for what in trouble]
        return not trouble

    def _disturbed(self, case: StepCase, point: Point, expected: str, kills: str, place: Path) -> list[str]:
        start_over(self.database)
        step = prepare(self.database, case)
        if point.undoing:
            _again(self.database, place, step)
        with _bystander(self.database) as unhurt:
            if kills == "tool":
                self._kill_tool(step, point, place)
            else:
                self._kill_server(step, point, place)
            code = _undo_again(self.database, place) if point.undoing else _again(self.database, place, step)
            trouble = [] if code == 0 else [f"the second run ended with {code}"]
            trouble += unhurt(kills)
        trouble += _differences(expected, world(self.database))
        return trouble + _journal_trouble(place)

    def _kill_tool(self, step: Step, point: Point, place: Path) -> None:
        """The fork kills itself, by kill -9, when the phase begins, or we kill it a little later."""
        self.killable.start(
            [] if point.undoing else [step],
            self.database.dsn,
            place,
            die_at=point.phase,
            die_after_ms=point.after_ms,
            what="all" if point.undoing else "",
        )
        ended = self.killable.ended()
        assert ended == -signal.SIGKILL or (point.after_ms and ended == 0), f"the tool ended with {ended}"

    def _kill_server(self, step: Step, point: Point, place: Path) -> None:
        """Kill -9 of the postmaster, then a start as after a crash."""
        killer: list[threading.Timer] = []

        def kill(progress: Progress) -> None:
            if progress.phase is not point.phase or killer:
                return
            killer.append(threading.Timer(point.after_ms / 1000, self.database.cluster.kill))
            killer[0].start()
            if not point.after_ms:
                killer[0].join()

        with contextlib.suppress(RunbookError):  # it says that the connection was lost; anything else is our bug
            if point.undoing:
                undo("all", self.database.dsn, journal=Journal(place), progress=kill, patience=FAST)
            else:
                planned = [PlannedStep(step=spec_of(step))]
                apply(planned, self.database.dsn, journal=Journal(place), progress=kill, patience=FAST)
        assert killer, "the phase never began"
        killer[0].join()
        self.database.cluster.start()


def _again(database: FreshDatabase, place: Path, step: Step) -> int:
    return apply([PlannedStep(step=spec_of(step))], database.dsn, journal=Journal(place), patience=FAST).exit_code


def _undo_again(database: FreshDatabase, place: Path) -> int:
    return undo("all", database.dsn, journal=Journal(place), patience=FAST).exit_code


def _differences(expected: str, found: str) -> list[str]:
    """How the world differs from that of the undisturbed run: the lines, and in long ones the part."""
    pairs = zip_longest(expected.splitlines(), found.splitlines(), fillvalue="")
    for was, now in pairs:
        if was != now:
            same = sum(1 for _ in takewhile(lambda pair: pair[0] == pair[1], zip(was, now, strict=False)))
            at = max(0, same - 60)
            return [f"the world is another one: {now[at : at + 160]!r} instead of {was[at : at + 160]!r}"]
    return []


def _journal_trouble(place: Path) -> list[str]:
    """Whether the chain holds and nothing was left open."""
    records = read(place)
    if verify(place).records != len(records):
        return ["the journal lost a record"]
    left = open_steps(fold(records))
    return [f"left open in the journal: {step.title}" for step in left]


@contextlib.contextmanager
def _bystander(database: FreshDatabase) -> Iterator[Callable[[str], list[str]]]:
    """Somebody else at work in the same database: a committed row, a setting of the session, a lock of its own.

    No temporary table: after a crash it stays until autovacuum comes by.
    """
    number = time.monotonic_ns()
    with contextlib.closing(psycopg.connect(database.dsn, autocommit=True)) as conn:
        conn.execute("select set_config('bystander.mark', 'mine', false)")
        conn.execute("select pg_advisory_lock(4711)")
        conn.execute("insert into bystander values (%s)", (number,))

        def unhurt(killed: str) -> list[str]:
            with psycopg.connect(database.dsn, autocommit=True) as other:
                row = other.execute("select count(*) from bystander where n = %s", (number,)).fetchone()
            trouble = [] if row == (1,) else ["a bystander's committed row is gone"]
            if killed == "tool":  # with the server, every session ends
                try:
                    if conn.execute("select current_setting('bystander.mark', true)").fetchone() != ("mine",):
                        trouble.append("a bystander's session is another one")
                    held = conn.execute("select count(*) from pg_locks where locktype = 'advisory' and objid = 4711")
                    trouble += [] if held.fetchone() == (1,) else ["a bystander's lock is gone"]
                except psycopg.Error as exc:
                    trouble.append(f"a bystander's session was hurt: {exc}")
            return trouble

        yield unhurt


def _is_reversible(case: StepCase) -> bool:
    return case.kind not in {
        "analyze", "cancel_query", "drop_invalid_index", "drop_slot", "end_session", "reindex", "vacuum", "vacuum_full",
    }  # fmt: skip


def _ensure_running(database: FreshDatabase) -> None:
    if database.cluster.pid is None:
        database.cluster.start()


def _set_up(database: FreshDatabase) -> None:
    with psycopg.connect(database.cluster.dsn(), autocommit=True) as admin:
        admin.execute(f"create database {NAME}")
    database.execute("create table bystander (n int8 primary key)")


def main() -> int:
    """Print the matrix, what went wrong, and one line of summary."""
    parser = argparse.ArgumentParser(description="kill the tool and the server at each point of each step")
    parser.add_argument("--major", type=int, default=18)
    parser.add_argument("--quick", action="store_true", help="three points a step instead of seventeen")
    parser.add_argument("--only", default="", help="steps whose kind contains this")
    asked = parser.parse_args()
    points: tuple[Point, ...] = QUICK if asked.quick else (*APPLYING, *TAKING_BACK)
    cases = [case for case in CASES if asked.only in case.kind]
    began = time.monotonic()
    with (
        tempfile.TemporaryDirectory(prefix="pgrb-chaos-") as folder,
        start_cluster(binaries=installed()[asked.major], settings=SETTINGS, prefix="pgrb-chaos") as cluster,
        contextlib.closing(Killable()) as killable,
        contextlib.closing(FreshDatabase(cluster=cluster, name=NAME)) as database,
    ):
        _set_up(database)
        chaos = Chaos(database=database, killable=killable, folder=Path(folder))
        print(" " * 26 + "".join(f"{point.name:^{len(point.name) + 2}}" for point in points))
        for case in cases:
            known = len(chaos.wrong)
            print(f"{case.kind:26}{chaos.row(case, points)}", flush=True)
            print("".join(f"  {what}\n" for what in chaos.wrong[known:]), end="", flush=True)
    return _summary(chaos, asked.major, len(cases), len(points), time.monotonic() - began)


def _summary(chaos: Chaos, major: int, steps: int, points: int, duration_s: float) -> int:
    wrong = len({what.split(":", 1)[0] for what in chaos.wrong})
    verdict: dict[bool, Any] = {True: "all as undisturbed", False: f"{wrong} not"}
    print(
        f"PostgreSQL {major}: {steps} steps, {points} points, {chaos.runs} kills of tool or server:"
        f" {verdict[not wrong]}; {duration_s:.0f} s"
    )
    return 0 if chaos.runs and not wrong else 1


if __name__ == "__main__":
    sys.exit(main())
