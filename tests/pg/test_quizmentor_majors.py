"""QuizMentor can be made on every supported server."""

from __future__ import annotations

import pytest
from tests.fix.quizmentor import USERS, checksums

from pgrunbook.demo.quizmentor import load


@pytest.mark.parametrize("sick", [True, False], ids=["sick", "healthy"])
def test_loads_on_every_major(pg, sick):
    load(pg.dsn, users=USERS, sick=sick)
    found = checksums(pg.dsn)
    assert found["users"][0] == USERS
    assert found["events"][0] == 50 * USERS
    assert all(count > 0 for count, _ in found.values())
