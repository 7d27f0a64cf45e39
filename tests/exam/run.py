"""Run the exam on one major and print a row a case, then `recall=… false_alarms=… abstention=…`.

    python -m tests.exam.run [--major 18] [--only TEXT] [--mend]

Exit code 0 when recall ≥ 0.95, no false alarm, at most 2 notices on 40 decoys, abstention ≥ 0.95 and at most 2 % of the
faults are answered Blind with full rights.
"""

from __future__ import annotations

import argparse
import contextlib
import importlib
import pkgutil
import sys
import time
from collections.abc import Iterator
from dataclasses import dataclass

import psycopg
from psycopg.conninfo import make_conninfo
from tests.exam import cases, mending
from tests.exam.case import Blindfold, Decoy, Fault, Staged
from tests.fix.server import FreshDatabase, Servers, satisfies

from pgrunbook.errors import RunbookError
from pgrunbook.journey.diagnose.engine import choose, judge, questions_of
from pgrunbook.journey.observe import observe
from pgrunbook.model import Finding, Severity
from pgrunbook.model.diagnosis import Diagnosis

RECALL_MIN = 0.95
ABSTENTION_MIN = 0.95
BLIND_FAULTS_MAX_RATIO = 0.02
NOTICES_MAX_RATIO = 2 / 40
COLLECTOR_S = 1.2  # before 15 counters travel by way of a collector, which shows them once in half a second
HEALTHY = ("create schema extensions", "create extension pg_stat_statements schema extensions")
NOT_DURABLE = ("unsafe_durability",)  # throw-away servers run without fsync on purpose; a fault of its own says so


@dataclass(slots=True)
class Score:
    """What is counted."""

    faults: int = 0
    found: int = 0
    answered_blind: int = 0
    decoys: int = 0
    false_alarms: int = 0
    notices: int = 0
    blindfolded: int = 0
    abstained: int = 0
    lost: int = 0
    mends: bool = False
    unmended: int = 0

    @property
    def recall(self) -> float:
        """Share of the planted faults that were found."""
        return self.found / self.faults if self.faults else 0.0

    @property
    def abstention(self) -> float:
        """Share of the blindfolded cases that were answered Blind."""
        return self.abstained / self.blindfolded if self.blindfolded else 0.0

    @property
    def passed(self) -> bool:
        """Whether every bar is reached."""
        return (
            self.recall >= RECALL_MIN
            and self.false_alarms == 0
            and self.lost == 0
            and self.unmended == 0
            and self.abstention >= ABSTENTION_MIN
            and self.notices <= NOTICES_MAX_RATIO * max(self.decoys, 40)
            and self.answered_blind <= BLIND_FAULTS_MAX_RATIO * self.faults
        )


Case = Fault | Decoy | Blindfold


def all_cases() -> Iterator[Case]:
    """Every case in tests/exam/cases/, by module and place."""
    for info in sorted(pkgutil.iter_modules(cases.__path__), key=lambda i: i.name):
        yield from importlib.import_module(f"{cases.__name__}.{info.name}").CASES


def checks_of(case: Case) -> tuple[str, ...]:
    """The checks that a case is about."""
    if isinstance(case, Blindfold):
        return case.checks
    return (case.check,) if isinstance(case, Fault) else ()


def take(case: Case, servers: Servers, major: int, score: Score, *, only: tuple[str, ...] = ()) -> str:
    """One case on a fresh database; returns the row to print.  `only`: of a fault, ask no more than these checks."""
    with servers.fresh_database(major) as database:
        database.execute(*HEALTHY, *case.sql)
        with case.stage(database) if case.stage else contextlib.nullcontext() as staged:
            if major < 15:
                time.sleep(COLLECTOR_S)
            place = staged if isinstance(staged, Staged) else Staged(object=str(staged))
            dsn = place.dsn or database.dsn
            if isinstance(case, Blindfold):
                return _blind(case, diagnose(_as_role(case, database, dsn)), score)
            if isinstance(case, Decoy):
                return _decoy(case, diagnose(dsn, case, skip=NOT_DURABLE), score)
            wanted = place.object if case.object == "?" else case.object
            seen = diagnose(dsn, case, only=only)
            row = _fault(case, wanted, seen, score)
            if case.blindfold is not None:
                role = database.role("blindfolded", options=case.blindfold)
                row += _blindfold(case, diagnose(database.dsn_as(role), case, only=only), score)
            if score.mends and case.altered is None:
                row += _mend(case, wanted, seen, dsn, score)
            return row


def _mend(case: Fault, wanted: str, seen: Diagnosis, dsn: str, score: Score) -> str:
    """Do what is advised, and undo it."""
    found = next((f for f in seen.findings if _is(f, case, wanted)), None)
    if found is None:
        return ""

    def again() -> Finding | None:
        asked = diagnose(dsn, case, only=(case.check,))
        return next((f for f in asked.findings if f.fingerprint == found.fingerprint), None)

    came = mending.try_out(found, dsn, again)
    score.unmended += bool(came)
    return came


def diagnose(
    dsn: str, case: Fault | Decoy | None = None, *, only: tuple[str, ...] = (), skip: tuple[str, ...] = ()
) -> Diagnosis:
    """All checks, or some, as the command asks them."""
    chosen = choose(only, skip, plans=True)
    snapshot = observe(dsn, questions_of(chosen))
    if isinstance(case, Fault) and case.altered is not None:
        snapshot = case.altered(snapshot)
    limits, expect = (case.limits, case.expect) if case is not None else ({}, {})
    return judge(snapshot, chosen, limits=limits, expectations=expect)


def _as_role(case: Blindfold, database: FreshDatabase, dsn: str) -> str:
    if case.role is None:
        return dsn
    role = database.role("blindfolded", options=case.role, member_of=case.member_of)
    return database.dsn_as(role) if dsn == database.dsn else make_conninfo(dsn, user=role)


def _blind(case: Blindfold, seen: Diagnosis, score: Score) -> str:
    """Each check counts for itself."""
    row = []
    for check in case.checks:
        score.blindfolded += 1
        blind = [b for b in seen.blind if b.check == check and case.about in {None, b.object}]
        found = [f for f in seen.findings if f.check == check and case.about in {None, f.object, *f.related}]
        if blind and all(b.cure for b in blind) and not found:
            score.abstained += 1
        else:
            row.append(f"{check} {'is blind without a cure' if blind else 'is NOT BLIND'}")
    known = {(f.check, f.object) for f in seen.findings}
    row += [f"{check} {name} is NOT SEEN" for check, name in case.seen if (check, name) not in known]
    score.lost += sum((check, name) not in known for check, name in case.seen)
    return f"{'blind' if not row else 'WRONG':9} {'':32} {case.name}" + (": " + ", ".join(row) if row else "")


def _fault(case: Fault, wanted: str, seen: Diagnosis, score: Score) -> str:
    score.faults += 1
    right = [f for f in seen.findings if _is(f, case, wanted)]
    if right:
        score.found += 1
        return f"found     {case.check:32} {case.name}"
    if any(b.check == case.check for b in seen.blind):
        score.answered_blind += 1
        reason = next(b.reason for b in seen.blind if b.check == case.check)
        return f"BLIND     {case.check:32} {case.name}: {reason}"
    near = [f"{f.check}/{f.severity.value}/{f.object}" for f in seen.findings if f.check == case.check]
    return f"MISSED    {case.check:32} {case.name}: wanted {wanted}, got {near or 'nothing'}"


def _is(finding: Finding, case: Fault, wanted: str) -> bool:
    columns = finding.evidence.get("columns")
    return (
        finding.check == case.check
        and finding.object == wanted
        and finding.severity.value in case.severity
        and (case.columns is None or columns == case.columns)
    )


def _decoy(case: Decoy, seen: Diagnosis, score: Score) -> str:
    score.decoys += 1
    alarms = [f for f in seen.findings if f.severity is not Severity.NOTICE]
    score.notices += len(seen.findings) - len(alarms)
    if alarms:
        score.false_alarms += 1
        return f"ALARM     {'':32} {case.name}: " + ", ".join(f"{f.check} {f.object}" for f in alarms)
    noticed = ", ".join(f"{f.check} {f.object}" for f in seen.findings)
    return f"quiet     {'':32} {case.name}" + (f" (notice: {noticed})" if noticed else "")


def _blindfold(case: Fault, seen: Diagnosis, score: Score) -> str:
    score.blindfolded += 1
    if any(b.check == case.check for b in seen.blind):
        score.abstained += 1
        return "  [blindfolded: blind]"
    return "  [blindfolded: NOT BLIND]"


def _taken(case: Case, servers: Servers, major: int, score: Score) -> str:
    """A row, also where the case itself came to grief, which counts against us."""
    try:
        return take(case, servers, major, score)
    except (psycopg.Error, RunbookError, OSError) as exc:
        score.lost += 1
        return f"ERROR     {'':32} {case.name}: {exc}"


def main() -> int:
    """Take every case; print rows and the score."""
    parser = argparse.ArgumentParser(description="planted faults, decoys and blindfolds")
    parser.add_argument("--major", type=int, default=18)
    parser.add_argument("--only", default="", help="cases whose name or check contains this")
    parser.add_argument("--mend", action="store_true", help="do what is advised, ask again, undo it, ask once more")
    asked = parser.parse_args()
    score = Score(mends=asked.mend)
    servers = Servers()
    try:
        for case in all_cases():
            named = " ".join((case.name, *checks_of(case)))
            if asked.only in named and satisfies(asked.major, case.majors):
                print(_taken(case, servers, asked.major, score), flush=True)
    finally:
        servers.stop()
    print(
        f"faults={score.faults} found={score.found} blind={score.answered_blind} decoys={score.decoys}"
        f" notices={score.notices} blindfolded={score.blindfolded} major={asked.major}"
    )
    print(f"recall={score.recall:.3f} false_alarms={score.false_alarms} abstention={score.abstention:.3f}")
    return 0 if score.passed else 1


if __name__ == "__main__":
    sys.exit(main())
