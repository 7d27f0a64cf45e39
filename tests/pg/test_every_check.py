"""Every check tells its story on the majors in between: silent, found, mended, undone, blind without rights.

The oldest and the newest major have stories of their own, family by family; here one fault a check of the exam is told.
"""

from __future__ import annotations

import pytest
from tests.exam.case import Fault
from tests.exam.run import HEALTHY, NOT_DURABLE, Score, all_cases, diagnose, take
from tests.fix.server import Servers, installed, satisfies, unavailable

from pgrunbook.journey.diagnose.check import all_checks
from pgrunbook.model.diagnosis import Diagnosis

MAJORS = (15, 16, 17)


def simplest(check: str, major: int) -> Fault | None:
    """The fault of a check that needs least beside it, and can be asked about without rights."""
    of_it = [c for c in all_cases() if isinstance(c, Fault) and c.check == check and satisfies(major, c.majors)]
    return min(of_it, key=_needs, default=None)


def _needs(case: Fault) -> tuple[bool, ...]:
    is_partitioned = "partition by" in " ".join(case.sql)
    return (case.blindfold is None, case.altered is not None, case.stage is not None, is_partitioned)


@pytest.fixture(scope="module")
def healthy(servers: Servers) -> dict[int, Diagnosis]:
    """What is said of a database with nothing in it, by major."""
    found = {}
    for major in set(MAJORS) & set(installed()):
        with servers.fresh_database(major) as database:
            database.execute(*HEALTHY)
            found[major] = diagnose(database.dsn, skip=NOT_DURABLE)
    return found


@pytest.mark.parametrize("major", MAJORS)
@pytest.mark.parametrize("check", sorted(all_checks()))
def test_its_story(check: str, major: int, servers: Servers, healthy: dict[int, Diagnosis]) -> None:
    if major not in installed():
        unavailable(f"PostgreSQL {major} is not installed")
    case = simplest(check, major)
    if case is None:
        pytest.skip(f"there is no such fault on {major}")
    assert check not in {finding.check for finding in healthy[major].findings}
    score = Score(mends=case.stage is None)  # what sessions do is mended in the families' tests
    row = take(case, servers, major, score, only=(check,))
    assert (score.found, score.unmended) == (1, 0), row
    assert score.abstained == score.blindfolded, row
