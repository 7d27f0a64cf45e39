"""How many rows QuizMentor has for a number of users.

The operations draw their parameters from the same figures, so that they stand in one place.
"""

from __future__ import annotations

from dataclasses import dataclass
from math import gcd

from pgrunbook.errors import UsageError

USERS_MIN = 500
USERS_MAX = 1_000_000
STEP = 7919  # a prime: consecutive ranks of activity lie that many users apart


@dataclass(frozen=True, slots=True, kw_only=True)
class Size:
    """Row counts that follow from the number of users; the rows themselves are all drawn from their numbers."""

    users: int

    def __post_init__(self) -> None:
        if not USERS_MIN <= self.users <= USERS_MAX:
            raise UsageError(
                f"QuizMentor cannot be made with {self.users} users",
                hint=f"Ask for {USERS_MIN} to {USERS_MAX} users, for instance 5000, 20000 or 100000.",
            )

    @property
    def step(self) -> int:
        """The distance between users of neighbouring ranks; without a common factor with their number."""
        return next(step for step in range(STEP, STEP + self.users) if gcd(step, self.users) == 1)

    @property
    def courses(self) -> int:
        """Courses that quizzes belong to."""
        return max(20, self.users // 20)

    @property
    def quizzes(self) -> int:
        """A multiple of five: the number of questions repeats every five quizzes."""
        return 4 * self.users // 5 * 5

    @property
    def questions(self) -> int:
        """Four a quiz."""
        return 4 * self.quizzes

    @property
    def answers(self) -> int:
        """Attempts at an answer; fewer rows, for an answer given twice is one."""
        return 20 * self.users

    @property
    def performances(self) -> int:
        """Finished quizzes."""
        return 10 * self.users

    @property
    def sessions(self) -> int:
        """Sessions of the last months."""
        return 3 * self.users

    @property
    def events(self) -> int:
        """The biggest table."""
        return 50 * self.users

    @property
    def audits(self) -> int:
        """Rows of the audit log."""
        return 10 * self.users
