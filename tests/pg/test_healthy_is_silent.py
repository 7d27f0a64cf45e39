"""What is healthy raises no alarm: every check at once on QuizMentor as it should be."""

from __future__ import annotations

from tests.fix.quizmentor import Shared

from pgrunbook.journey.diagnose.engine import diagnose
from pgrunbook.model import Severity


def test_healthy_quizmentor_has_nothing_at_warning_or_above(quizmentors: Shared) -> None:
    seen = diagnose(quizmentors.healthy, skip=["unsafe_durability"])  # test servers do without fsync
    assert [f"{f.check} {f.object}" for f in seen.findings if f.severity is not Severity.NOTICE] == []
